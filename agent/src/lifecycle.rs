//! Draining: how the parts of an agent learn that it ends, and how it learns that they have.
//!
//! First it retires: clients are told to come back by another connection, and nothing is closed. Then it drains:
//! what is idle ends at once, what is busy as soon as it can.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;

/// How often a draining agent looks whether anybody is still busy.
const LOOK: Duration = Duration::from_millis(20);

/// Tells everybody to finish, and waits until they have.
#[derive(Debug)]
pub struct Drainer {
    signal: watch::Sender<bool>,
    busy: Arc<AtomicUsize>,
}

/// A part's ear for [`Drainer`].
#[derive(Clone, Debug)]
pub struct Drain {
    signal: watch::Receiver<bool>,
    retiring: Arc<watch::Sender<bool>>,
    busy: Arc<AtomicUsize>,
}

/// Something unfinished: while it lives, draining waits.
#[derive(Debug)]
pub struct Busy(Arc<AtomicUsize>);

/// A drainer and its first ear.
pub fn drain() -> (Drainer, Drain) {
    let (signal, heard) = watch::channel(false);
    let busy = Arc::new(AtomicUsize::new(0));
    (
        Drainer { signal, busy: busy.clone() },
        Drain { signal: heard, retiring: Arc::new(watch::Sender::new(false)), busy },
    )
}

impl Drainer {
    /// Tells all parts to finish.
    pub fn begin(&self) {
        self.signal.send_replace(true);
    }

    /// Tells all parts to finish and waits for them, `deadline` at most. Returns how many were still busy.
    pub async fn finish(&self, deadline: Duration) -> usize {
        self.begin();
        self.idle(deadline).await
    }

    /// Waits until nobody is busy, `deadline` at most. Returns how many were.
    pub async fn idle(&self, deadline: Duration) -> usize {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            let busy = self.busy.load(Ordering::Acquire);
            if busy == 0 || tokio::time::Instant::now() >= end {
                return busy;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drain {
    /// Asks clients to come back by another connection, or no longer does.
    pub fn set_retiring(&self, retiring: bool) {
        self.retiring.send_replace(retiring);
    }

    /// Should clients be asked to come back by another connection?
    pub fn is_retiring(&self) -> bool {
        *self.retiring.borrow() || self.has_begun()
    }

    /// Waits until clients should be asked to come back by another connection.
    pub async fn retired(&mut self) {
        let mut retiring = self.retiring.subscribe();
        tokio::select! {
            // Its sender is in this very value.
            _ = retiring.wait_for(|retiring| *retiring) => {}
            () = self.begun() => {}
        }
    }

    /// Has draining begun?
    pub fn has_begun(&self) -> bool {
        *self.signal.borrow()
    }

    /// Waits until draining begins.
    pub async fn begun(&mut self) {
        // An error means that the drainer is gone, which ends everything, too.
        let _ = self.signal.wait_for(|begun| *begun).await;
    }

    /// Makes draining wait for something.
    pub fn hold(&self) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(self.busy.clone())
    }

    /// How many things are unfinished now.
    pub fn held(&self) -> usize {
        self.busy.load(Ordering::Acquire)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
