//! What whoever started a source of worlds holds: its reports, and its life.

use std::sync::Arc;

use tokio::sync::watch;

use super::problem::Report;

/// Keeps a source going; dropping it ends the source.
pub struct Handle {
    reports: watch::Receiver<Arc<Report>>,
    stop: Option<Box<dyn FnOnce() + Send>>,
}

impl Handle {
    /// A handle of the source whose reports these are, and which `stop` ends.
    pub(super) fn new(reports: watch::Receiver<Arc<Report>>, stop: impl FnOnce() + Send + 'static) -> Self {
        Self { reports, stop: Some(Box::new(stop)) }
    }

    /// What is wrong with the source and its objects, updated with every look at it.
    pub fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.reports.clone()
    }

    /// The latest report.
    pub fn report(&self) -> Arc<Report> {
        self.reports.borrow().clone()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop();
        }
    }
}
