//! One replica at a time does what only one may do.
//!
//! `control` gives the work as a future; it is polled while this replica holds the Lease, and dropped when it does not. The
//! client library has no election; this is client-go's, in small. What the leader writes is safe beyond that: Secrets are
//! replaced only as they were read, and everything else is made from them.

pub mod lease;
pub mod store;

use std::{pin::pin, time::Duration};

use tokio::time::Instant;

use lease::{Intent, LEASE, Observed, RENEW_DEADLINE, RETRY, Record};
use store::{LeaseError, Leases};

/// The spans of an election; others than the default are for tests.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// [`LEASE`].
    pub lease: Duration,
    /// [`RENEW_DEADLINE`].
    pub renew_deadline: Duration,
    /// [`RETRY`].
    pub retry: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { lease: LEASE, renew_deadline: RENEW_DEADLINE, retry: RETRY }
    }
}

/// A candidate.
pub struct Election<L> {
    leases: L,
    me: String,
    timing: Timing,
    observed: Observed,
}

impl<L: Leases> Election<L> {
    /// `me` is this replica's name; no other may have it.
    pub fn new(leases: L, me: String, timing: Timing) -> Self {
        Self { leases, me, timing, observed: Observed::nothing(Instant::now()) }
    }

    /// Takes part for as long as it is polled: whenever this replica holds the Lease, `lead` is called and what it returns is
    /// polled; it is dropped when the Lease is lost. When `stop` ends, the Lease is given up, for another to take it at
    /// once.
    pub async fn run<F: Future>(mut self, lead: impl Fn() -> F, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        loop {
            let acquired = tokio::select! {
                acquired = self.acquire() => acquired,
                () = &mut stop => return,
            };
            tracing::info!(me = self.me, "this replica leads");
            let ended = tokio::select! {
                reason = self.hold(acquired) => Some(reason),
                _ = lead() => None,
                () = &mut stop => {
                    self.give_up().await;
                    return;
                }
            };
            match ended {
                Some(reason) => tracing::warn!(me = self.me, reason, "this replica does not lead any more"),
                None => self.give_up().await,
            }
        }
    }

    /// Waits until the Lease is held. Returns when the write that took it began.
    async fn acquire(&mut self) -> Instant {
        loop {
            match self.attempt().await {
                Ok(Some(at)) => return at,
                Ok(None) | Err(LeaseError::Overtaken) => {}
                Err(error) => tracing::warn!(%error, "cannot take part in the election now"),
            }
            tokio::time::sleep(self.timing.retry).await;
        }
    }

    /// Renews until that fails for too long, or somebody else has the Lease. Says which.
    async fn hold(&mut self, acquired: Instant) -> String {
        let mut renewed = acquired;
        loop {
            let end = renewed + self.timing.renew_deadline;
            let attempt = async {
                tokio::time::sleep(self.timing.retry).await;
                self.attempt().await
            };
            match tokio::time::timeout_at(end, attempt).await {
                Ok(Ok(Some(at))) => renewed = at,
                Ok(Ok(None)) => return "another replica holds the Lease".to_owned(),
                Ok(Err(error)) => tracing::warn!(%error, "the Lease was not renewed"),
                Err(_elapsed) => return format!("the Lease was not renewed for {:?}", self.timing.renew_deadline),
            }
        }
    }

    /// Reads, and writes if that is due. When the Lease is held afterwards: the time before the write.
    async fn attempt(&mut self) -> Result<Option<Instant>, LeaseError> {
        let read = self.leases.read().await?;
        self.observed.see(read, Instant::now());
        let now = Instant::now();
        let intent = self.observed.intent(&self.me, now);
        if intent == Intent::Wait {
            return Ok(None);
        }
        let before = self.observed.record().cloned().unwrap_or_default();
        let is_other = before.holder.as_deref() != Some(self.me.as_str());
        let record = Record {
            holder: Some(self.me.clone()),
            duration: self.timing.lease,
            acquired: before.acquired.filter(|_| !is_other),
            transitions: before.transitions + i32::from(is_other),
            ..before
        };
        let written = self.leases.write(record).await?;
        self.observed.see(Some(written), Instant::now());
        Ok(Some(now))
    }

    async fn give_up(&mut self) {
        let Some(record) = self.observed.record().cloned() else { return };
        if record.holder.as_deref() == Some(self.me.as_str()) {
            let free = Record { holder: None, duration: Duration::from_secs(1), ..record };
            if let Err(error) = self.leases.write(free).await {
                tracing::info!(%error, "the Lease was not given up; it will run out");
            }
        }
    }
}

#[cfg(test)]
mod tests;
