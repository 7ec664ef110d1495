//! What exists and what is configured: Kubernetes objects from a directory of manifests or an API server, as snapshots.
//!
//! Owns the reading of objects (core Kubernetes and Istio's kinds), their checks, and their conversion
//! to the values of `weft-model`; `app` calls [`directory::spawn`] or [`api_server::spawn`], the command line
//! [`directory::check_dir`]. What to do with a world is left to the model; who listens, to the data plane.
//!
//! Suggested reading order: [`directory`] and [`api_server`] (the sources), [`parse`] (text or value -> objects),
//! [`store`] (which version is in force), [`world`] (objects -> world).

pub mod api_server;
pub mod convert;
pub mod crds;
pub mod directory;
pub mod document;
pub mod field_names;
pub mod field_path;
pub mod findings;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod handle;
pub mod intern;
pub mod locate;
pub mod lookup;
pub mod names;
pub mod netns_addresses;
pub mod objects;
pub mod parse;
pub mod problem;
pub mod publish;
pub mod store;
pub mod world;

pub use directory::{Config, check_dir, spawn};
pub use handle::Handle;
pub use lookup::Lookup;
pub use netns_addresses::NetnsAddresses;
pub use problem::{Problem, Report};

#[cfg(test)]
mod tests;
