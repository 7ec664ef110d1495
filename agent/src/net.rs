//! Sockets in network namespaces, and the routes that lead captured traffic to them. No domain:
//! who a pod is and what may happen to its bytes is decided above.

pub mod mux;
pub mod netns;
pub mod pod_places;
pub mod routes;
pub mod socket;
pub mod sysctl;
pub mod stream;
pub mod relay;

pub use netns::Netns;
pub use pod_places::{Place, PodPlaces};
