//! weft: one agent per node that captures the traffic of enrolled pods and is the proxy for all of them.
//!
//! Modules are declared in layer order, lowest first; a module names only modules declared above it
//! (`cargo xtask tidy` checks it). See ARCHITECTURE.md for the picture.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod lifecycle;
pub mod net;
pub mod handover;
pub mod kubernetes;
pub mod identity;
pub mod discovery;
pub mod dataplane;
pub mod ebpf;
pub mod telemetry;
pub mod stats;
pub mod admin;
pub mod cni;
pub mod app;
pub mod control;
pub mod install;
pub mod cli;
