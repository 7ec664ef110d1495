//! The agent's own metrics (`weft_*`, `process_*`): about the node, never about one pod's traffic.
//!
//! `app` sets them and `admin` prints them. They are not on the pods' pages, and the pods' series are not here, so that
//! nothing is scraped twice.

use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use prometheus::{Error, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};

use super::{Register, process};

/// Direction of a captured connection (label `direction`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Opened by an enrolled pod.
    Outbound,
    /// Accepted for an enrolled pod.
    Inbound,
}

/// Our part in a TLS handshake (label `side`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsSide {
    /// We dialled.
    Client,
    /// We accepted.
    Server,
}

/// The agent's own metrics. Counters and gauges are atomics: setting one never blocks.
pub struct AgentMetrics {
    registry: Registry,
    started: SystemTime,
    snapshot_at: Mutex<Option<Instant>>,
    snapshot_age: Gauge,
    connections: [IntGauge; 2],
    handshakes: IntCounterVec,
    /// `weft_ready`: 1 while the readiness endpoint says so.
    pub ready: IntGauge,
    captures: IntGaugeVec,
    cni_calls: IntCounterVec,
    /// `weft_cni_installed`: 1 while the node's network configuration calls the CNI plugin.
    pub cni_installed: IntGauge,
    /// `weft_captured_pods`: pods on this node whose traffic is captured.
    pub captured_pods: IntGauge,
    /// `weft_kubelet_recognised`: 1 while the process is known whose probes pass by policies.
    pub kubelet: IntGauge,
    /// `weft_kubelet_probes_total`: connections of the kubelet that went to their applications untouched.
    pub kubelet_probes: IntCounter,
    /// `weft_snapshot_version`: the snapshot decisions are made by; see [`AgentMetrics::set_snapshot`].
    pub snapshot_version: IntGauge,
    /// `weft_source_age_seconds`: time since what the world is read from was last known to be as it was read.
    pub source_age: Gauge,
    /// `weft_access_log_dropped_total`: lines lost because the log could not keep up.
    pub access_log_dropped: IntCounter,
    /// `weft_series_dropped_total`: events counted under an overflow series.
    pub series_dropped: IntCounter,
}

impl AgentMetrics {
    /// All metrics at zero. `version` is the agent's (`weft_build_info`). Fails only when two
    /// metrics had one name.
    pub fn new(version: &str) -> Result<Self, Error> {
        let registry = Registry::new();
        let register = Register(&registry);
        let build = IntGaugeVec::new(Opts::new("weft_build_info", "The agent's version."), &["version"])?;
        register.add(build)?.with_label_values(&[version]).set(1);
        let connections =
            IntGaugeVec::new(Opts::new("weft_connections_active", "Captured connections now open."), &["direction"])?;
        let connections = register.add(connections)?;
        let captures = Opts::new("weft_pod_capture", "1 for the state that the capture of an enrolled pod is in.");
        let calls =
            Opts::new("weft_cni_calls_total", "Pods announced by the container runtime, and what was answered.");
        let handshakes = Opts::new("weft_tls_handshakes_total", "Mesh TLS handshakes by our side and result.");
        Ok(Self {
            started: SystemTime::now(),
            snapshot_at: Mutex::default(),
            snapshot_age: register.add(Gauge::new(
                "weft_snapshot_age_seconds",
                "Time since discovery last delivered a snapshot; absent changes make it grow, too.",
            )?)?,
            connections: ["outbound", "inbound"].map(|direction| connections.with_label_values(&[direction])),
            handshakes: register.add(IntCounterVec::new(handshakes, &["side", "result"])?)?,
            captures: register.add(IntGaugeVec::new(captures, &["pod_namespace", "pod", "state"])?)?,
            cni_calls: register.add(IntCounterVec::new(calls, &["answer"])?)?,
            cni_installed: register.add(IntGauge::new(
                "weft_cni_installed",
                "1 while the node's network configuration calls the CNI plugin.",
            )?)?,
            ready: register.add(IntGauge::new("weft_ready", "1 while the agent reports itself ready.")?)?,
            captured_pods: register.add(IntGauge::new("weft_captured_pods", "Pods whose traffic is captured.")?)?,
            kubelet: register
                .add(IntGauge::new("weft_kubelet_recognised", "1 while this node's kubelet is recognised.")?)?,
            kubelet_probes: register.add(IntCounter::new(
                "weft_kubelet_probes_total",
                "Connections of the kubelet to captured pods, which no policy is applied to.",
            )?)?,
            snapshot_version: register
                .add(IntGauge::new("weft_snapshot_version", "Version of the snapshot in use.")?)?,
            source_age: register.add(Gauge::new(
                "weft_source_age_seconds",
                "Time since the source of the world (API server, manifests) was last confirmed; grows while it is away.",
            )?)?,
            access_log_dropped: register.add(IntCounter::new(
                "weft_access_log_dropped_total",
                "Access log lines lost because the log could not keep up.",
            )?)?,
            series_dropped: register.add(IntCounter::new(
                "weft_series_dropped_total",
                "Requests and connections counted under an overflow series: their pod has too many label sets.",
            )?)?,
            registry,
        })
    }

    /// A snapshot was published.
    pub fn set_snapshot(&self, version: u64, at: Instant) {
        self.snapshot_version.set(i64::try_from(version).unwrap_or(i64::MAX));
        *self.snapshot_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Counts a connection as open for as long as the guard lives.
    pub fn connection(&self, direction: Direction) -> ActiveConnection {
        let gauge = self.connections[direction as usize].clone();
        gauge.inc();
        ActiveConnection(gauge)
    }

    /// A TLS handshake ended. `result` is `ok` or the kind of failure: a small, closed set of words.
    pub fn tls_handshake(&self, side: TlsSide, result: &'static str) {
        let side = match side {
            TlsSide::Client => "client",
            TlsSide::Server => "server",
        };
        self.handshakes.with_label_values(&[side, result]).inc();
    }

    /// The states of all enrolled pods: (namespace, pod, state). `state` is one of a small, closed set of words.
    pub fn set_captures<'a>(&self, states: impl Iterator<Item = (&'a str, &'a str, &'static str)>) {
        self.captures.reset();
        for (namespace, pod, state) in states {
            self.captures.with_label_values(&[namespace, pod, state]).set(1);
        }
    }

    /// The CNI plugin called, and was told `answer`: `pass` or `refuse`.
    pub fn cni_call(&self, answer: &'static str) {
        self.cni_calls.with_label_values(&[answer]).inc();
    }

    /// All of them and `process_*` in the Prometheus text format. Fails when the encoder does.
    pub fn render(&self) -> Result<String, Error> {
        if let Some(at) = *self.snapshot_at.lock().unwrap_or_else(PoisonError::into_inner) {
            self.snapshot_age.set(at.elapsed().as_secs_f64());
        }
        let mut out = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut out)?;
        process::append(&mut out, self.started);
        Ok(out)
    }
}

/// An open connection, counted until it is dropped.
#[derive(Debug)]
pub struct ActiveConnection(IntGauge);

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests;
