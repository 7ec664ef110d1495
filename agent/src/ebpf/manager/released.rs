//! What an agent leaves when it ends: nothing, or everything for the next one.

use std::sync::Arc;

use super::{
    super::{Kernel, leftovers::Leftovers, pod::CapturedPod},
    Keeping, Tenure,
};

/// What remains after all pods were released: connections that still run need their routes.
#[must_use = "routes and pins stay until `remove`"]
pub struct Released {
    /// Absent when everything stays for the next agent.
    pub(super) gone: Option<Gone>,
    pub(super) tenure: Tenure,
}

/// What goes with an agent that no other one follows.
pub(super) struct Gone {
    pub(super) kernel: Arc<Kernel>,
    pub(super) routes: Vec<CapturedPod>,
    pub(super) leftovers: Leftovers,
    pub(super) keeping: Keeping,
}

impl Released {
    /// Removes routes and pins, unless they stay for another agent: call it when no connection runs through the agent
    /// any more.
    pub fn remove(self) {
        let Self { gone, tenure } = self;
        let is_final = gone.is_some();
        if let Some(gone) = gone {
            gone.remove();
        }
        // Last: who has the node next finds it clean.
        tenure.end(is_final);
    }
}

impl Gone {
    fn remove(self) {
        self.keeping.stop();
        let mut is_clean = true;
        for pod in self.routes {
            if let Err(error) = pod.remove_route() {
                is_clean = false;
                tracing::warn!(netns = %pod.netns.path().display(), %error, "cannot remove a capture route");
            }
        }
        if let Err(error) = self.kernel.detach() {
            tracing::warn!(%error, "cannot remove all pins; `weft cleanup` removes the rest");
        }
        if is_clean {
            self.leftovers.end();
        }
    }
}
