//! Capture: what the kernel is told about enrolled pods. The only place that speaks to aya.
//!
//! [`kernel::Kernel`] holds the shared maps and the node-wide connect hooks; [`pod::CapturedPod`] is one
//! pod's share of them; [`manager::Manager`] follows the world and enrols what should be enrolled.

pub mod check;
mod error;
mod object;
mod pin;
pub mod kernel;
pub mod leftovers;
pub mod machine;
pub mod pod;
mod probe;
pub mod kubelet;
mod state;
pub mod manager;

pub use error::EbpfError;
pub use kernel::Kernel;
