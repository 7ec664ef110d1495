//! What the scenarios of every tier share: requests with the exact way they fail, what many of them came to, metric pages, waiting,
//! and the exercises' application as manifests.
//!
//! Used by the testbed of the node tier, where requests begin in a pod's network namespace, and by the cluster tier, where they begin
//! on this machine or in a pod that kubectl reaches. Knows neither: [`Origin`] is all it asks of a place.

mod answers;
mod http;
mod metrics;
mod origin;
mod request;
mod sentences;
mod url;
mod wait;

pub use answers::{Answers, Load};
pub use http::{Response, read_response, write_request};
pub use metrics::{Metrics, Sample};
pub use origin::{Machine, Origin};
pub use request::{Failure, FailureKind, HttpConnection, Request, Step, connect};
pub use sentences::{Sentences, is_sentence, sentences_service};
pub use wait::{APPLIES, PATIENCE, eventually, try_eventually};
