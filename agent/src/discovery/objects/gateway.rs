//! `Gateway` (networking.istio.io): ports and hosts that a gateway's pods open. Typed for its CRD; not enforced yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::StringMap;

/// Specification of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, kube::CustomResource)]
#[kube(
    group = "networking.istio.io",
    version = "v1",
    kind = "Gateway",
    plural = "gateways",
    shortname = "gw",
    category = "istio-io",
    category = "networking-istio-io",
    namespaced,
    status = "super::status::IstioStatus",
    doc = "Ports and hosts that a gateway opens"
)]
pub struct GatewaySpec {
    /// Labels of the gateway's pods, in all namespaces.
    pub selector: Option<StringMap>,
    /// What is opened.
    pub servers: Option<Vec<Server>>,
}

/// One port with its hosts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// Name, for logs.
    pub name: Option<String>,
    /// The port.
    pub port: GatewayPort,
    /// Hosts that are served: exact, `*.suffix` or `*`, each with an optional `namespace/` before it.
    pub hosts: Vec<String>,
    /// TLS of the port.
    pub tls: Option<ServerTls>,
    /// Address or Unix socket to listen on.
    pub bind: Option<String>,
    /// Where unmatched traffic goes.
    pub default_endpoint: Option<String>,
}

/// A port that is opened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayPort {
    /// Port of the gateway's pods.
    #[schemars(range(min = 1, max = 65535))]
    pub number: u32,
    /// `HTTP`, `HTTPS`, `GRPC`, `HTTP2`, `MONGO`, `TCP` or `TLS`.
    pub protocol: String,
    /// Name, for logs.
    pub name: String,
    /// Port of the pods when the Service's differs (old).
    #[schemars(range(min = 0, max = 65535))]
    pub target_port: Option<u32>,
}

/// TLS of a port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerTls {
    /// Answer plain HTTP with a redirect to HTTPS.
    pub https_redirect: Option<bool>,
    /// Who terminates, and whether clients show a certificate.
    pub mode: Option<ServerTlsMode>,
    /// Certificate file.
    pub server_certificate: Option<String>,
    /// Key file.
    pub private_key: Option<String>,
    /// File of the authorities of clients.
    pub ca_certificates: Option<String>,
    /// File of revoked certificates.
    pub ca_crl: Option<String>,
    /// Secret with certificate and key, in the namespace of the gateway's pods.
    pub credential_name: Option<String>,
    /// Secrets, one per sort of key.
    #[schemars(length(min = 1, max = 2))]
    pub credential_names: Option<Vec<String>>,
    /// Secret with the authorities of clients.
    pub ca_cert_credential_name: Option<String>,
    /// Files, one set per sort of key.
    #[schemars(length(min = 1, max = 2))]
    pub tls_certificates: Option<Vec<TlsCertificate>>,
    /// Names that clients may have.
    pub subject_alt_names: Option<Vec<String>>,
    /// Hashes of public keys that clients may have.
    pub verify_certificate_spki: Option<Vec<String>>,
    /// Hashes of certificates that clients may have.
    pub verify_certificate_hash: Option<Vec<String>>,
    /// Oldest version of TLS.
    pub min_protocol_version: Option<TlsVersion>,
    /// Newest version of TLS.
    pub max_protocol_version: Option<TlsVersion>,
    /// Cipher suites.
    pub cipher_suites: Option<Vec<String>>,
    /// Not for gateways.
    pub insecure_skip_verify: Option<bool>,
}

/// Certificate and key in files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsCertificate {
    /// Certificate file.
    pub server_certificate: Option<String>,
    /// Key file.
    pub private_key: Option<String>,
    /// File of the authorities of clients.
    pub ca_certificates: Option<String>,
}

/// `tls.mode` of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerTlsMode {
    /// Routed by server name, terminated behind.
    Passthrough,
    /// Terminated here.
    Simple,
    /// Terminated here, clients show a certificate.
    Mutual,
    /// Routed by server names that name cluster and subset.
    AutoPassthrough,
    /// The mesh's mTLS.
    IstioMutual,
    /// Terminated here, clients may show a certificate.
    OptionalMutual,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub enum TlsVersion {
    #[serde(rename = "TLS_AUTO")]
    Auto,
    #[serde(rename = "TLSV1_0")]
    V1_0,
    #[serde(rename = "TLSV1_1")]
    V1_1,
    #[serde(rename = "TLSV1_2")]
    V1_2,
    #[serde(rename = "TLSV1_3")]
    V1_3,
}
