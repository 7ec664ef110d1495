//! How the figures came about, and what they leave out: the page's last part.

use std::fmt::Write as _;

use crate::results::Results;
use crate::row::Row;
use crate::stage::Stage;

/// Writes the part; only what was measured is described.
pub fn describe(page: &mut String, results: &Results) {
    let log = if results.access_log { "on" } else { "off" };
    let _ = writeln!(
        page,
        "## How it is measured\n\n\
         Two emulated nodes (network namespaces joined by veth pairs and a bridge) on one machine; a client pod on node a, nginx with a 1 KiB \
         file on node b, all ways in one cluster and interleaved: each row runs every column before the next row begins, and each \
         repetition begins with another column. Load generators, nginx and proxies share the CPUs, so requests per second say what is left \
         for them. Direct and weft dial the Service by name (direct through kube-proxy's rules, as a pod without a mesh does).\n\n\
         - Rates: `wrk -t1 -cN`. Latency: `oha -q 2000 -c 32 --latency-correction`. New connections: `oha --disable-keepalive -c 16`. Bulk: `iperf3 -P 1`.\n\
         - Proxy CPU is user and system time of the proxy processes of both sides. What the kernel does in interrupts is not charged to them: \
         the machine's CPU beside it has everything, load generator and nginx included.\n\
         - weft L7 is a port declared HTTP (routing, policy, telemetry per request), weft L4 the same nginx on a port declared TCP. One agent per \
         node does both, so both columns show the same idle memory.\n\
         - Before anything counts, each way is proved: the answer is nginx's, readable on the wire between the pods only for direct, and read by an \
         HTTP proxy only for the L7 columns.\n\
         - Access logs of proxies are {log}."
    );
    let has = |stage| results.rows.iter().any(|row| row.stage() == stage);
    let paragraphs = [
        (results.with_envoy, ENVOY),
        (results.rows.contains(&Row::Counters), COUNTERS),
        (has(Stage::Pairs), PAIRS),
        (has(Stage::Pairs) && results.with_envoy, PAIRS_ENVOY),
        (has(Stage::Memory), MEMORY),
        (has(Stage::Growth), GROWTH),
    ];
    for (_, text) in paragraphs.iter().filter(|(is_wanted, _)| *is_wanted) {
        let _ = writeln!(page, "- {text}");
    }
    for note in &results.notes {
        let _ = writeln!(page, "- {note}");
    }
    let _ = writeln!(
        page,
        "- Every single value is in `benchmarks.json` beside this page; `cargo xtask bench --list` says what can be measured by itself."
    );
}

const ENVOY: &str = "Envoy runs in the pods' network namespaces with two workers each, a process pair per column, TLS 1.3 with client certificates, \
     without limits on connections and requests (Istio's default). Clients dial its listener on 127.0.0.1 instead of being captured, and its \
     endpoints are fixed: a real sidecar also pays for iptables, for a discovery client and for Istio's own filters, which this comparison leaves \
     out in Envoy's favour.";

const COUNTERS: &str = "Counters come from a run of their own at 32 connections: `/proc` for context switches, `perf stat -p` for the rest. They cost \
     time, so that run's rate is not shown.";

const PAIRS: &str = "Pairs: 64 connections in all. One pair is one client pod with all of them; 8 pairs are eight client pods with eight connections \
     each, every client with a server pod of its own; 64 pairs are the same clients with one Service in front of all eight server pods, and each of them \
     was seen to reach all eight.";

const PAIRS_ENVOY: &str =
    "64 pairs need 16 Envoys, one beside each pod, so Envoy has as many pairs as weft; all 16 count in its CPU.";

const MEMORY: &str = "Fresh proxies are started for every repetition, and apart for L7 and L4. An idle connection has carried one request and is still \
     open at both ends; then each of them gets a request before the first answer is read, again and again, \
     and the most that was seen is the memory of busy ones. Memory that a proxy has \
     freed before is used first and not seen; what the kernel holds for sockets is in no figure.";

const GROWTH: &str = "Growing snapshots: clusters of equal pods (one client, two servers), each with agents of its own, live side by side; they differ in \
     what else their agents are told of (Services, pods and EndpointSlices, all on other nodes and enrolled), read from a folder of manifests. A change is a VirtualService that \
     sends requests to the other server; its time begins before the file is written and ends with the first answer of the other server on a kept \
     connection (the agents wait 25 ms for a writer to pause). Envoy has no column here: it would need a control plane, and that would be measured.";
