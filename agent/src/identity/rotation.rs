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
    let mut published = identities.published();
    loop {
        if let Some(published) = &mut published {
            identities.trust(&published.borrow_and_update());
        }
        let set = wanted.borrow_and_update().clone();
        identities.keep_only(&set);
        // An authority that hangs must not keep published roots from coming into force.
        tokio::select! {
            () = renew_due(&identities) => {}
            () = changed_if_any(&mut published) => continue,
        }
        let sleep = tokio::time::sleep(until_next(&identities));
        tokio::select! {
            // Without a sender the last set stays in force: a lost control plane must not cost certificates.
            () = changed(&mut wanted) => {}
            () = changed_if_any(&mut published) => {}
            () = sleep => {}
        }
    }
}

async fn changed_if_any<T>(watch: &mut Option<watch::Receiver<T>>) {
    match watch {
        Some(watch) => changed(watch).await,
        None => std::future::pending().await,
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
