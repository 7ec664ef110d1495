//! Draining: how the parts of an agent learn that it ends, and how it learns that they have.

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, watch};

/// Tells everybody to finish, and waits until they have.
#[derive(Debug)]
pub struct Drainer {
    signal: watch::Sender<bool>,
    alive: mpsc::Receiver<()>,
}

/// A part's ear for [`Drainer`]. While a clone exists, draining waits.
#[derive(Clone, Debug)]
pub struct Drain {
    signal: watch::Receiver<bool>,
    _alive: Arc<mpsc::Sender<()>>,
}

/// A drainer and its first ear.
pub fn drain() -> (Drainer, Drain) {
    let (signal, heard) = watch::channel(false);
    let (alive, ended) = mpsc::channel(1);
    (Drainer { signal, alive: ended }, Drain { signal: heard, _alive: Arc::new(alive) })
}

impl Drainer {
    /// Tells all parts to finish and waits for them, `deadline` at most. False: some were still busy.
    pub async fn finish(mut self, deadline: Duration) -> bool {
        let _ = self.signal.send(true);
        tokio::time::timeout(deadline, self.alive.recv()).await.is_ok()
    }
}

impl Drain {
    /// Has draining begun?
    pub fn has_begun(&self) -> bool {
        *self.signal.borrow()
    }

    /// Waits until draining begins.
    pub async fn begun(&mut self) {
        // An error means that the drainer is gone, which ends everything, too.
        let _ = self.signal.wait_for(|begun| *begun).await;
    }
}
