//! Programs that end: kubectl, curl, the rig. Each has a deadline, and what it said is kept.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How often a running program is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What a finished program left.
#[derive(Clone, Debug)]
pub struct Output {
    /// The exit code, or -1 when a signal ended it. For `kubectl exec` that of the command in the container.
    pub code: i32,
    /// Standard output, bytes that are not UTF-8 replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

impl Output {
    /// Standard output, or an error with everything that is known when the program did not succeed.
    pub(crate) fn success(self, what: &str) -> Result<String> {
        ensure!(
            self.code == 0,
            "{what}: exit code {}: {}{}",
            self.code,
            self.stderr.trim_end(),
            self.stdout.trim_end()
        );
        Ok(self.stdout)
    }
}

/// Runs `program` to its end, with `stdin` as its input; kills it and fails after `deadline`.
pub(crate) fn run(program: &OsStr, args: &[&str], stdin: &str, deadline: Duration) -> Result<Output> {
    let shown = || format!("`{} {}`", program.to_string_lossy(), args.join(" "));
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown()))?;
    let input = child.stdin.take().map(|mut pipe| {
        let text = stdin.to_owned();
        // A program that does not read its input closes the pipe: its exit code says what it made of that.
        std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())))
    });
    let (stdout, stderr) = (child.stdout.take().map(collect), child.stderr.take().map(collect));
    let code = wait(&mut child, deadline).with_context(shown)?;
    if let Some(input) = input {
        // It ends when the pipe is closed, and cannot fail.
        let _ = input.join();
    }
    let text = |reader: Option<JoinHandle<String>>| reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    Ok(Output { code, stdout: text(stdout), stderr: text(stderr) })
}

fn wait(child: &mut Child, deadline: Duration) -> Result<i32> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().unwrap_or(-1));
        }
        if started.elapsed() >= deadline {
            child.kill()?;
            child.wait()?;
            bail!("did not end within {deadline:?}");
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

fn collect(mut pipe: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // A broken pipe ends the output; what came before it counts.
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_and_code_are_kept_and_a_deadline_is_one() {
        let sh = |script: &str, deadline| run(OsStr::new("sh"), &["-c", script], "in", Duration::from_millis(deadline));
        let output = sh("cat; echo no >&2; exit 7", 60_000).unwrap();
        assert_eq!((output.code, &*output.stdout, &*output.stderr), (7, "in", "no\n"));
        assert!(output.success("sh").unwrap_err().to_string().contains("exit code 7"));
        assert!(sh("exec sleep 60", 50).is_err());
    }
}
