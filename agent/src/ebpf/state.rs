//! What has become of the capture of this node's enrolled pods, for everybody who asks: pages, metrics, conditions, and the
//! CNI plugin, which holds a pod until it is proven.

use std::{collections::BTreeMap, time::SystemTime};

use weft_model::workload::Named;

use super::EbpfError;

/// What is known of a pod's capture.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum CaptureState {
    /// Captured; a connection from inside the pod came out at its listener at that time.
    Proven {
        /// When it was last proven.
        at: SystemTime,
        /// Cookie of the namespace that is captured: a pod that follows under the same name has another one.
        netns: u64,
    },
    /// Captured, but the probe did not come through.
    Unproven {
        /// Why not.
        reason: String,
    },
    /// Not captured, because it is nowhere to be found: it has not got a network yet, or was not looked for.
    Pending {
        /// What is awaited.
        reason: String,
    },
    /// Not captured although it should be.
    Failed {
        /// Why, with the next step.
        reason: String,
    },
}

impl CaptureState {
    /// The state of a pod whose capture ended in an error.
    pub(super) fn after(error: &EbpfError) -> Self {
        let reason = error.to_string();
        match error {
            EbpfError::NoNetns => Self::Pending { reason },
            _ => Self::Failed { reason },
        }
    }

    /// The state in a word, as metrics have it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Proven { .. } => "proven",
            Self::Unproven { .. } => "unproven",
            Self::Pending { .. } => "pending",
            Self::Failed { .. } => "failed",
        }
    }
}

/// States of this node's enrolled pods.
pub type States = BTreeMap<Named, CaptureState>;
