//! Running other programs and saying what happened: one clear error per failed command, a time per step.
//!
//! Every task goes through here, so that a person always sees which command failed, how, and how long things took.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How many last lines of a silent command's output its error repeats.
const ERROR_LINES_MAX: usize = 20;

/// How often a command with a deadline is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A command that is going to run, at the root of the repository unless told otherwise.
pub struct Cmd {
    command: Command,
    shown: String,
    deadline: Option<Duration>,
}

impl Cmd {
    /// `program` by name (looked up in `PATH`) or by path.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.current_dir(crate::paths::root());
        Self { command, shown: shown_program(program.as_ref()), deadline: None }
    }

    /// The cargo that runs this task, so that all of them use one toolchain.
    pub fn cargo() -> Self {
        Self::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
    }

    /// Adds arguments.
    pub fn args<I, S>(mut self, args: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        for arg in args {
            self.shown = format!("{} {}", self.shown, arg.as_ref().to_string_lossy());
            self.command.arg(arg);
        }
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Hides an inherited environment variable.
    pub fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Runs in this folder.
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Sends both outputs to `file`.
    pub fn output_to(mut self, file: File) -> Result<Self> {
        let other = file.try_clone().context("cannot use one file for two outputs")?;
        self.command.stdin(Stdio::null()).stdout(file).stderr(other);
        Ok(self)
    }

    /// Ends the command and fails after this time.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Runs with the terminal's input and output; anything but success is an error naming the command.
    pub fn run(mut self) -> Result<()> {
        let child = self.spawn()?;
        let status = self.wait(child)?;
        self.check(status, "")
    }

    /// Runs silently and returns standard output; an error repeats the last lines of standard error.
    pub fn read(mut self) -> Result<String> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn()?;
        // Both pipes are emptied while the command runs: a full one would block it for ever.
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        let status = self.wait(child)?;
        let said = |reader: Option<thread::JoinHandle<String>>| reader.and_then(|r| r.join().ok()).unwrap_or_default();
        let (stdout, stderr) = (said(stdout), said(stderr));
        self.check(status, if stderr.trim().is_empty() { &stdout } else { &stderr })?;
        Ok(stdout)
    }

    /// Runs with errors on the terminal and returns standard output: for tools that report in JSON there.
    pub fn read_stdout(mut self) -> Result<String> {
        self.command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = self.spawn()?;
        let stdout = child.stdout.take().map(drain);
        let status = self.wait(child)?;
        self.check(status, "")?;
        Ok(stdout.and_then(|reader| reader.join().ok()).unwrap_or_default())
    }

    fn spawn(&mut self) -> Result<Child> {
        self.command.spawn().with_context(|| format!("cannot start `{}`: is it installed and on PATH?", self.shown))
    }

    fn wait(&self, mut child: Child) -> Result<ExitStatus> {
        let waits = || format!("cannot wait for `{}`", self.shown);
        let Some(deadline) = self.deadline else {
            return child.wait().with_context(waits);
        };
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().with_context(waits)? {
                return Ok(status);
            }
            if started.elapsed() >= deadline {
                child.kill().with_context(waits)?;
                child.wait().with_context(waits)?;
                bail!("`{}` did not end within {} s", self.shown, deadline.as_secs());
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    fn check(&self, status: ExitStatus, said: &str) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let lines: Vec<&str> = said.trim_end().lines().collect();
        let last = lines[lines.len().saturating_sub(ERROR_LINES_MAX)..].join("\n    ");
        let separator = if last.is_empty() { "" } else { ":\n    " };
        bail!("`{}` failed ({status}){separator}{last}", self.shown)
    }
}

/// Only the name: the folders of a toolchain or a cache say nothing to the reader.
fn shown_program(program: &OsStr) -> String {
    PathBuf::from(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}

fn drain(mut pipe: impl std::io::Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // A broken pipe leaves what came before it, which is all that there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The steps of a task with the time that each took.
#[derive(Default)]
pub struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    outcome: &'static str,
    took: Duration,
}

impl Steps {
    /// No step yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does `work`, announcing it before and its time after.
    pub fn step<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        eprintln!("==> {name}");
        let started = Instant::now();
        let result = work();
        let outcome = if result.is_ok() { "ok" } else { "FAILED" };
        let step = Step { name: name.to_owned(), outcome, took: started.elapsed() };
        eprintln!("<== {name}: {outcome} in {}", seconds(step.took));
        self.done.push(step);
        result
    }

    /// Notes a step that was not done, and why.
    pub fn skip(&mut self, name: &str, reason: &str) {
        eprintln!("==> {name}: skipped: {reason}");
        self.done.push(Step { name: name.to_owned(), outcome: "skipped", took: Duration::ZERO });
    }

    /// The steps as a table, one line each.
    pub fn table(&self) -> String {
        let width = self.done.iter().map(|step| step.name.len()).max().unwrap_or(0);
        let line = |step: &Step| format!("  {:width$}  {:7}  {:>8}\n", step.name, step.outcome, seconds(step.took));
        self.done.iter().map(line).collect()
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests;
