//! HTTP/1.x through the mesh: a lean relay of our own.
//!
//! [`serve`] reads requests from a client's connection, asks its [`Hop`] where each goes, and lets
//! [`exchange`] pass request and response at the same time with bounded memory. The two hops are
//! [`outbound`] (a pod's own requests) and [`inbound`] (requests that reach a pod).

pub mod answer;
pub mod exchange;
pub mod head;
pub mod inbound;
pub mod mirror;
pub mod outbound;
pub mod record;
pub mod serve;
pub mod trace;
pub mod wire;

pub use serve::{Choice, Hop, Next, serve};
pub use wire::Wire;
