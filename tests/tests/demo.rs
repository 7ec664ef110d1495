//! The demo ends well: every promise held, and nothing stays behind, also when it is interrupted or killed in the middle.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use weft_testbed::cleanup::{BPF_DIR, CLUSTERS_DIR, cleanup_leftovers};
use weft_testbed::eventually;

/// Longer than the demo takes with unoptimised programs on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Each demo of this file runs alone: what one leaves must not be taken away by the end of another's test.
static ALONE: Mutex<()> = Mutex::new(());

/// A running demo and what it has said so far.
struct Demo {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    _alone: MutexGuard<'static, ()>,
}

impl Demo {
    fn start() -> Result<Self> {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new(env!("CARGO_BIN_EXE_weft-demo")).arg("--short").stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no stdout")?;
        let said = Arc::new(Mutex::new(String::new()));
        let writer = Arc::clone(&said);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                writer.lock().unwrap_or_else(PoisonError::into_inner).push_str(&(line + "\n"));
            }
        });
        Ok(Self { child, said, reader: Some(reader), _alone: alone })
    }

    fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it says `text`.
    fn until(&mut self, text: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            if Instant::now() >= deadline || self.child.try_wait()?.is_some() {
                bail!("it never said {text:?}:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Waits for its end; returns everything it said, too.
    fn end(&mut self) -> Result<(ExitStatus, String)> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                let reader = self.reader.take().context("it was waited for before")?;
                reader.join().ok().context("the reader panicked")?;
                return Ok((status, self.said()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("it did not end within {PATIENCE:?}:\n{}", self.said())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(self.child.id().cast_signed()), signal)?)
    }

    /// What of its cluster is on the machine: all names begin with its pid.
    fn traces(&self) -> Vec<String> {
        let prefix = format!("w{}t", self.child.id());
        let folders = ["/run/netns", CLUSTERS_DIR, BPF_DIR].into_iter();
        let entries = folders.flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
        let mut found: Vec<String> = entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path().display().to_string())
            .collect();
        found.extend(self.processes().iter().map(|pid| format!("process {pid}")));
        found
    }

    /// Living processes of its cluster, among them agents and pods.
    fn processes(&self) -> Vec<u32> {
        let mark = format!("WEFT_TESTBED_CLUSTER=w{}t", self.child.id());
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let marked = |pid: &u32| {
            let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|entry| entry.starts_with(mark.as_bytes()))
        };
        pids.filter(marked).collect()
    }
}

fn is_keeper(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "weft-keeper")
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Both fail when it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
        cleanup_leftovers();
    }
}

#[test]
fn every_promise_holds_and_nothing_is_left() -> Result<()> {
    let mut demo = Demo::start()?;
    let (status, said) = demo.end()?;
    assert!(status.success(), "{status}\n{said}");
    assert!(said.contains("8 of 8 as promised") && said.contains("left behind: nothing"), "{said}");
    assert!(!said.contains("BROKEN") && !said.contains('\x1b'), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 110), "it fits on a terminal: {said}");
    assert_eq!(demo.traces(), [""; 0]);
    Ok(())
}

#[test]
fn interrupted_in_the_middle_it_leaves_nothing() -> Result<()> {
    let mut demo = Demo::start()?;
    demo.until("\n3. ")?;
    assert!(demo.traces().len() > 10, "the search finds what is there");
    demo.signal(Signal::SIGINT)?;
    let (status, said) = demo.end()?;
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32), "{status}\n{said}");
    assert!(said.contains("Interrupted. left behind: nothing"), "{said}");
    assert!(!said.contains("BROKEN"), "it says nothing false while it is taken away:\n{said}");
    assert_eq!(demo.traces(), [""; 0]);
    Ok(())
}

#[test]
fn what_a_killed_demo_leaves_is_removed_by_the_next() -> Result<()> {
    let mut demo = Demo::start()?;
    demo.until("\n3. ")?;
    demo.signal(Signal::SIGKILL)?;
    demo.end()?;
    // Agents and pods end with it; names and pins stay until somebody takes them away, and so do the keepers, which
    // wait for the next agents.
    let ending = || demo.processes().into_iter().filter(|pid| !is_keeper(*pid)).collect::<Vec<_>>();
    eventually(Duration::from_secs(10), || {
        anyhow::ensure!(ending().is_empty(), "{:?} live", ending());
        Ok(())
    });
    assert!(!demo.traces().is_empty(), "a killed process cannot clean up");
    // The next demo begins with this.
    cleanup_leftovers();
    assert_eq!(demo.traces(), [""; 0]);
    Ok(())
}
