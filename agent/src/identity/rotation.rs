//! Keeps certificates fresh: issues ahead of need, renews at half life, drops what no pod needs any more.
//!
//! `app` spawns it once per agent. Connections are not touched: they hold the certificate they began with, new ones get
//! the new one. A failure costs nobody anything while the old certificate is valid.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use tokio::{sync::watch, task::JoinHandle};

use super::identities::Identities;

/// Requests to the authority at a time.
const MAX_REQUESTS: usize = 8;
/// Longest sleep: a clock that was set, or a machine that slept, is noticed by then.
const MAX_SLEEP: Duration = Duration::from_secs(30);
const MIN_SLEEP: Duration = Duration::from_millis(10);

/// The running task; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the rotation"]
pub struct Rotation(JoinHandle<()>);

impl Drop for Rotation {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Rotates the certificates of `identities` until the handle is dropped. Call it inside a tokio runtime.
pub fn spawn_rotation(identities: Arc<Identities>) -> Rotation {
    Rotation(tokio::spawn(rotate(identities)))
}

async fn rotate(identities: Arc<Identities>) {
    let mut wanted = identities.wanted();
    loop {
        let set = wanted.borrow_and_update().clone();
        identities.keep_only(&set);
        renew_due(&identities).await;
        let sleep = tokio::time::sleep(until_next(&identities));
        tokio::select! {
            // Without a sender the last set stays in force: a lost control plane must not cost certificates.
            () = changed(&mut wanted) => {}
            () = sleep => {}
        }
    }
}

async fn changed<T>(watch: &mut watch::Receiver<T>) {
    if watch.changed().await.is_err() {
        std::future::pending().await
    }
}

async fn renew_due(identities: &Identities) {
    let now = identities.now();
    let due = identities.slots().into_iter().filter(|slot| slot.due() <= now);
    stream::iter(due).for_each_concurrent(MAX_REQUESTS, |slot| async move { identities.renew(&slot).await }).await;
}

fn until_next(identities: &Identities) -> Duration {
    let next = identities.slots().iter().map(|slot| slot.due()).min();
    let wait = next.map(|next| next.duration_since(identities.now()).unwrap_or_default());
    wait.unwrap_or(MAX_SLEEP).clamp(MIN_SLEEP, MAX_SLEEP)
}

#[cfg(test)]
mod tests;
