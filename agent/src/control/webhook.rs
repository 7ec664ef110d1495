//! Admission: what the API server asks before it takes an object.
//!
//! `/validate` refuses objects of Istio's kinds that cannot work ([`validate`]), `/inject` tells pods that will be in the
//! mesh so in labels and annotations ([`inject`]). The decisions are plain functions; [`serve`] speaks to the API
//! server. Which requests come here is said in `deploy/kustomize/webhooks.yaml`; who listens is `control`'s server.

pub mod inject;
pub mod namespaces;
pub mod patch;
pub mod serve;
pub mod validate;

/// The object that sends pods here.
pub const MUTATING_CONFIGURATION: &str = "weft-injector";
/// The object that sends Istio's kinds here.
pub const VALIDATING_CONFIGURATION: &str = "weft-validator";

/// Where pods are sent.
pub const INJECT_PATH: &str = "/inject";
/// Where objects of Istio's kinds are sent.
pub const VALIDATE_PATH: &str = "/validate";

#[cfg(test)]
mod tests;
