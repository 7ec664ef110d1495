//! `weft control`: what a mesh needs once and not per node.
//!
//! [`webhook`] looks at objects before the API server takes them, [`status`] writes back what became of them. Both read
//! objects with discovery's own code ([`judgement`]), so that nobody hears "accepted" about what agents refuse.

pub mod judgement;
pub mod references;
pub mod status;
pub mod webhook;
