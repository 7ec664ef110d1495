//! The mesh's certificate authority: its root, who may have a certificate, and how the root changes.
//!
//! Suggested reading order: [`authorize`] (the decision), [`service`] (a request), [`state`] and [`rotation`] (the root in
//! its Secret, and how it changes), [`authority`] (what is in force), [`rotate`] (the leader's steps). Certificates
//! themselves are made in `identity`.

pub mod authority;
pub mod authorize;
mod bundle;
pub mod caller;
pub mod rotate;
pub mod rotation;
pub mod service;
pub mod state;
pub mod store;
mod trusted_by;
