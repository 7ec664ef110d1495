//! The rules of leader election: pure, on what the Lease says and how long it has said so.
//!
//! As in Kubernetes' own components (client-go, `leaderelection`): a candidate never compares clocks with the holder. It
//! notes when the Lease changed by its own clock, and takes it when it has not changed for as long as the holder promised.
//! The holder stops well before that.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// How long a holder may be silent before another takes over (client-go's default).
pub const LEASE: Duration = Duration::from_secs(15);
/// How long a holder goes on without a successful renewal. The rest of [`LEASE`] is for what it has under way.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often a holder renews, and a candidate looks.
pub const RETRY: Duration = Duration::from_secs(2);

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; `None` when it was given up.
    pub holder: Option<String>,
    /// How long the holder may be silent.
    pub duration: Duration,
    /// When the holder took it, by the holder's clock; `None`: now.
    pub acquired: Option<Timestamp>,
    /// When the holder renewed it last, by the holder's clock: looked at for changes only.
    pub renewed: Option<Timestamp>,
    /// How often the holder changed.
    pub transitions: i32,
    /// Version of the object, for writing it only as it was read.
    pub version: Option<String>,
}

/// What was seen of a Lease, and since when.
#[derive(Clone, Debug)]
pub struct Observed {
    record: Option<Record>,
    since: Instant,
}

/// What a candidate does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent {
    /// It holds the Lease and renews it.
    Renew,
    /// Nobody holds it (any more).
    Acquire,
    /// Another one holds it.
    Wait,
}

impl Observed {
    /// Nothing was seen yet.
    pub fn nothing(now: Instant) -> Self {
        Self { record: None, since: now }
    }

    /// The Lease was read (`None`: there is none).
    pub fn see(&mut self, record: Option<Record>, now: Instant) {
        if self.record != record {
            *self = Self { record, since: now };
        }
    }

    /// What it said last.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// What `me` does at `now`.
    pub fn intent(&self, me: &str, now: Instant) -> Intent {
        let Some(record) = &self.record else { return Intent::Acquire };
        match record.holder.as_deref() {
            None | Some("") => Intent::Acquire,
            // Also after a restart under the same name: nobody else has it.
            Some(holder) if holder == me => Intent::Renew,
            Some(_) if now >= self.since + record.duration => Intent::Acquire,
            Some(_) => Intent::Wait,
        }
    }
}

#[cfg(test)]
mod tests;
