//! The latest log lines of one pod, for `weft logs`.

use std::{collections::VecDeque, sync::Arc};

/// Lines kept per pod.
pub const MAX_LINES: usize = 1_000;

/// Bytes of lines kept per pod: long paths must not make a thousand lines a heap of megabytes.
pub const MAX_BYTES: usize = 512 * 1024;

/// The latest lines, oldest first.
#[derive(Debug, Default)]
pub struct Ring {
    lines: VecDeque<Arc<str>>,
    bytes: usize,
    pushed: u64,
}

/// Lines of a pod, and where to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPage {
    /// Lines, oldest first, without line ends.
    pub lines: Vec<Arc<str>>,
    /// Pass it as `after` to get what came since.
    pub next: u64,
}

impl Ring {
    /// Adds a line; the oldest ones make room.
    pub fn push(&mut self, line: &str) {
        self.lines.push_back(line.into());
        self.bytes += line.len();
        self.pushed += 1;
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// The lines after the first `after` ones of the pod's life, as far as they are still kept.
    pub fn since(&self, after: u64) -> LogPage {
        let dropped = self.pushed - self.lines.len() as u64;
        let skip = usize::try_from(after.saturating_sub(dropped)).unwrap_or(usize::MAX);
        LogPage { lines: self.lines.iter().skip(skip).cloned().collect(), next: self.pushed }
    }
}

#[cfg(test)]
mod tests;
