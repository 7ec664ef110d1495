//! `cargo xtask image`: container images without Docker.

pub mod archive;
pub mod base;
