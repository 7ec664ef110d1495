//! Everything in the agent that parses a stranger's bytes, by the name of its folder in `fuzz/corpus`.

use weft::{
    admin, cni,
    dataplane::{hello, http1, sniff},
    discovery, handover, identity,
    net::mux,
    telemetry,
};

/// Panics when a property does not hold for these bytes.
pub type Target = fn(&[u8]);

/// All targets.
pub const TARGETS: &[(&str, Target)] = &[
    ("admin_query", admin::fuzzing::query),
    ("ca_message", identity::fuzzing::ca_message),
    ("certificate", identity::fuzzing::certificate),
    ("client_hello", hello::fuzzing::client_hello),
    ("cni_input", cni::plugin::fuzzing::input),
    ("cni_network", cni::plugin::fuzzing::network),
    ("cni_socket", cni::plugin::fuzzing::socket),
    ("http1_body", http1::fuzzing::body),
    ("http1_request", http1::fuzzing::request),
    ("http1_response", http1::fuzzing::response),
    ("keeper_message", handover::keeper::fuzzing::message),
    ("manifests", discovery::fuzzing::manifests),
    ("metrics_page", telemetry::fuzzing::page),
    ("mux_client", mux::session::fuzzing::client),
    ("mux_frame", mux::session::fuzzing::frame),
    ("mux_server", mux::session::fuzzing::server),
    ("signing_request", identity::fuzzing::signing_request),
    ("sniff", sniff::fuzzing::first),
];
