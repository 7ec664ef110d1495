//! The control plane's own metrics: what its certificate authority did, and what the process costs.
//!
//! `control` sets them and prints them on port 15014. The authority's have the names of Istio's Citadel, so that
//! dashboards and alerts made for it keep their meaning.

use std::time::SystemTime;

use prometheus::{Error, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::{Register, process};

/// The control plane's metrics. Setting one never blocks.
pub struct ControlMetrics {
    registry: Registry,
    started: SystemTime,
    root_expiry: Gauge,
    chain_expiry: Gauge,
    /// `citadel_server_csr_count`: signing requests received.
    pub requests: IntCounter,
    /// `citadel_server_authentication_failure_count`: requests of callers that proved no right to what they asked.
    pub unauthenticated: IntCounter,
    /// `citadel_server_csr_parsing_err_count`: requests that cannot be read or are not signed by their own key.
    pub unreadable: IntCounter,
    /// `citadel_server_id_extraction_err_count`: identities asked for that are none.
    pub no_identity: IntCounter,
    /// `citadel_server_success_cert_issuance_count`: certificates signed.
    pub signed: IntCounter,
    sign_errors: IntCounterVec,
    /// `weft_control_leader`: 1 while this replica does what only one may do.
    pub leader: IntGauge,
    /// `weft_control_indexed_pods`: scheduled pods that this replica knows.
    pub pods: IntGauge,
    /// `weft_control_trusted_roots`: roots in the published bundle; two while the root is changed.
    pub roots: IntGauge,
}

impl ControlMetrics {
    /// All metrics at zero. `version` is this program's. Fails only when two metrics had one name.
    pub fn new(version: &str) -> Result<Self, Error> {
        let registry = Registry::new();
        let register = Register(&registry);
        let counter = |name: &str, help: &str| register.add(IntCounter::new(name, help)?);
        let gauge = |name: &str, help: &str| register.add(IntGauge::new(name, help)?);
        let build = IntGaugeVec::new(Opts::new("istio_build", "Build information."), &["component", "tag"])?;
        register.add(build)?.with_label_values(&["pilot", version]).set(1);
        let sign_errors = Opts::new("citadel_server_csr_sign_err_count", "Signing requests that were not signed.");
        let expiry = |name: &str, help: &str| register.add(Gauge::new(name, help)?);
        Ok(Self {
            started: SystemTime::now(),
            root_expiry: expiry(
                "citadel_server_root_cert_expiry_timestamp",
                "When the first of the trusted roots ends, seconds since 1970.",
            )?,
            chain_expiry: expiry(
                "citadel_server_cert_chain_expiry_timestamp",
                "When the signing certificate ends, seconds since 1970.",
            )?,
            requests: counter("citadel_server_csr_count", "Signing requests received.")?,
            unauthenticated: counter(
                "citadel_server_authentication_failure_count",
                "Signing requests of callers that proved no right to what they asked.",
            )?,
            unreadable: counter("citadel_server_csr_parsing_err_count", "Signing requests that cannot be read.")?,
            no_identity: counter(
                "citadel_server_id_extraction_err_count",
                "Signing requests for something that is no identity.",
            )?,
            signed: counter("citadel_server_success_cert_issuance_count", "Certificates signed.")?,
            sign_errors: register.add(IntCounterVec::new(sign_errors, &["error"])?)?,
            leader: gauge("weft_control_leader", "1 while this replica does what only one may do.")?,
            pods: gauge("weft_control_indexed_pods", "Scheduled pods that this replica knows.")?,
            roots: gauge("weft_control_trusted_roots", "Roots in the published bundle; two while the root changes.")?,
            registry,
        })
    }

    /// A request was not signed. `error` is the kind of failure: a small, closed set of words.
    pub fn sign_error(&self, error: &'static str) {
        self.sign_errors.with_label_values(&[error]).inc();
    }

    /// Other material signs from now on.
    pub fn set_expiry(&self, roots: SystemTime, chain: SystemTime) {
        for (gauge, at) in [(&self.root_expiry, roots), (&self.chain_expiry, chain)] {
            // Certificates that end before 1970 are not loaded.
            gauge.set(at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        }
    }

    /// All of them and `process_*` in the Prometheus text format. Fails when the encoder does.
    pub fn render(&self) -> Result<String, Error> {
        let mut out = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut out)?;
        process::append(&mut out, self.started);
        Ok(out)
    }
}
