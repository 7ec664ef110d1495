//! Who the workloads of this node are, and how they prove it: SPIFFE certificates per service account.
//!
//! Owns keys, certificates, their rotation, the TLS configurations made from them, and the checks of a peer's
//! certificate. The data plane asks [`Identities`] for a [`WorkloadIdentity`] per connection; `app` chooses the
//! [`CertificateAuthority`] and publishes which identities have a pod here. Which peer may do what is not decided
//! here (that is policy in `weft_model`), nor is any socket opened.

mod anchors;
mod authority;
mod bounded;
pub mod ca_protocol;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod identities;
mod local_ca;
pub mod material;
mod peer;
mod remote_ca;
mod request;
mod root_file;
mod rotation;
mod schedule;
mod sessions;
mod signer;
mod signing_request;
#[cfg(test)]
mod testing;
mod tls;
mod verify;
mod workload;
mod xfcc;

pub use authority::{CaError, CertificateAuthority, MAX_TTL, SignedChain, TrustBundle};
pub use error::IdentityError;
pub use identities::{CertificateStatus, Clock, Config, Identities, Jitter};
pub use local_ca::{LocalCa, LocalCaError};
pub use material::CertificateSummary;
pub use peer::{PeerError, peer_id, refusal};
pub use remote_ca::{InvalidAddress, RemoteCa, RemoteCaConfig};
pub use root_file::{Published, RootFile};
pub use rotation::{Rotation, spawn_rotation};
pub use signer::{ServerKey, Signer, SignerError};
pub use signing_request::{RequestError, SigningRequest};
pub use tls::{ALPN_HTTP, ALPN_HTTP2, ALPN_MUX, ALPN_REQUESTS, ALPN_SERVER, ALPN_TCP, Purpose, service_config};
pub use verify::TrustDomains;
pub use workload::WorkloadIdentity;
pub use xfcc::xfcc;
