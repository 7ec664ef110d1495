//! What should happen: the pure decisions of weft.
//!
//! No I/O, no clock, no randomness, no async: equal inputs give equal decisions. Discovery turns
//! Kubernetes objects into the values of this crate; the data plane asks [`decision`] and obeys.
//!
//! Suggested reading order: [`workload`] and [`service`] (what exists), [`route`] and [`policy`]
//! (what was configured), [`snapshot`] (one consistent world), [`decision`] (the page to read),
//! [`outcome`] (how it can end).

pub mod address;
pub mod balance;
pub mod decision;
pub mod identity;
pub mod matching;
pub mod mesh;
pub mod outcome;
pub mod policy;
pub mod request;
pub mod route;
pub mod service;
pub mod snapshot;
pub mod workload;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
