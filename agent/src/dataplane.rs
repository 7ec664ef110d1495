//! Connections and requests of enrolled pods, from accept to report.
//!
//! Reading order: [`worker`] (threads that accept), [`pod`] (what a worker keeps for a pod),
//! [`outbound`] and [`inbound`] (the life of a connection on each side), [`tcp`] and [`http`] (what
//! happens to its bytes), [`dial`] and [`pool`] (connections we make), [`event`] (what is reported).

pub mod event;
pub mod exempt;
pub mod probe;
pub mod http1;
pub mod shared;
pub mod http_date;
pub mod sniff;
pub mod hello;
pub mod pod;
pub mod dial;
pub mod pool;
pub mod shared_connections;
pub mod tcp;
pub mod http;
pub mod http2;
pub mod outbound;
pub mod inbound;
pub mod worker;

pub use exempt::Exempt;
pub use shared::Shared;
