//! The access log: lines wait in one bounded buffer until a thread of its own files them.
//!
//! Workers append ([`AccessLog::add`]): one short lock, one copy, no wake-up; when the buffer is full
//! the line is dropped and counted. The writer thread looks every [`FLUSH_INTERVAL`], gives each
//! pod's ring its lines and the optional writer (standard output) all of them. Only the writer
//! thread waits for the writer, so a stuck pipe costs lines, never requests.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use prometheus::IntCounter;

use super::pods::{Pod, lock};

pub(super) mod line;
pub(super) mod ring;

/// How often lines are filed. Reading a pod's lines files them at once.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of lines that may wait to be filed: about 200,000 lines a second.
pub(super) const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// Bytes that may wait for the writer.
const MAX_UNWRITTEN_BYTES: usize = 8 * 1024 * 1024;

/// How long the end of the process waits for the writer to take the last lines.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// Lines not yet filed.
#[derive(Default)]
struct Waiting {
    text: String,
    /// Whose line it is and where it ends in `text`.
    lines: Vec<(Arc<Pod>, usize)>,
}

/// What the writer thread is told, and tells.
#[derive(Default)]
struct Stage {
    unwritten: String,
    stop: bool,
    stopped: bool,
}

struct Shared {
    waiting: Mutex<Waiting>,
    /// Held while lines are filed, so that two drains cannot change their order.
    spare: Mutex<Waiting>,
    stage: Mutex<Stage>,
    wake: Condvar,
    has_writer: bool,
    prefix_lines: bool,
    dropped: IntCounter,
}

/// Handle; the thread ends with it.
pub(super) struct AccessLog(Arc<Shared>);

impl AccessLog {
    /// Starts the writer thread. With `prefix_lines`, each written line begins with
    /// `<namespace>/<pod> `. Fails when the thread cannot be started.
    pub(super) fn spawn(
        writer: Option<Box<dyn Write + Send>>,
        prefix_lines: bool,
        dropped: IntCounter,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            spare: Mutex::default(),
            stage: Mutex::default(),
            wake: Condvar::new(),
            has_writer: writer.is_some(),
            prefix_lines,
            dropped,
        });
        let theirs = shared.clone();
        thread::Builder::new().name("access-log".to_owned()).spawn(move || theirs.run(writer))?;
        Ok(Self(shared))
    }

    /// Leaves a line to the writer thread.
    pub(super) fn add(&self, pod: &Arc<Pod>, line: &str) {
        let mut waiting = lock(&self.0.waiting);
        if waiting.text.len() + line.len() > MAX_WAITING_BYTES {
            self.0.dropped.inc();
            return;
        }
        waiting.text.push_str(line);
        let end = waiting.text.len();
        waiting.lines.push((pod.clone(), end));
    }

    /// Files all lines added before the call.
    pub(super) fn flush(&self) {
        self.0.file();
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let mut stage = lock(&self.0.stage);
        stage.stop = true;
        self.0.wake.notify_all();
        // Bounded, and not a join: the thread may hang in a write to a pipe nobody reads.
        let _ = self.0.wake.wait_timeout_while(stage, LAST_WRITE, |stage| !stage.stopped);
    }
}

impl Shared {
    fn run(&self, mut writer: Option<Box<dyn Write + Send>>) {
        let mut batch = String::new();
        loop {
            let stage = lock(&self.stage);
            let waited = self.wake.wait_timeout_while(stage, FLUSH_INTERVAL, |stage| !stage.stop);
            let stop = waited.unwrap_or_else(PoisonError::into_inner).0.stop;
            self.file();
            batch.clear();
            mem::swap(&mut batch, &mut lock(&self.stage).unwritten);
            if let Some(writer) = &mut writer
                && !batch.is_empty()
                && writer.write_all(batch.as_bytes()).and_then(|()| writer.flush()).is_err()
            {
                self.dropped.inc_by(batch.lines().count() as u64);
            }
            if stop {
                lock(&self.stage).stopped = true;
                self.wake.notify_all();
                return;
            }
        }
    }

    fn file(&self) {
        let mut filed = lock(&self.spare);
        // The two buffers change places, so that neither is allocated anew.
        mem::swap(&mut *filed, &mut *lock(&self.waiting));
        let mut start = 0;
        let mut written = String::new();
        for (pod, end) in &filed.lines {
            let line = &filed.text[start..*end];
            start = *end;
            lock(&pod.log).push(line);
            if self.has_writer {
                if self.prefix_lines {
                    written.extend([&*pod.name.namespace, "/", &*pod.name.name, " "]);
                }
                written.extend([line, "\n"]);
            }
        }
        let lines = filed.lines.len() as u64;
        filed.text.clear();
        filed.lines.clear();
        let mut stage = lock(&self.stage);
        if stage.unwritten.len() + written.len() > MAX_UNWRITTEN_BYTES && !stage.unwritten.is_empty() {
            self.dropped.inc_by(lines);
        } else {
            stage.unwritten.push_str(&written);
        }
    }
}

#[cfg(test)]
mod tests;
