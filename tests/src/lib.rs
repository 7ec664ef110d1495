//! A Kubernetes cluster small enough for a test, in the language of the mesh.
//!
//! Nodes and pods are real network namespaces joined by veth pairs, programs are real processes, and `weft agent` runs as on a
//! real node. What surrounds them is emulated: the kubelet and the Deployment controller (`kubelet`, `deployment`), kube-proxy
//! (`kubeproxy`), NetworkPolicy (`netpolicy`) and cluster DNS (`hosts`), each said so in its own file. Used by
//! the node test tier, `cargo xtask demo` and `cargo xtask bench`.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use weft_testbed::{Cluster, Program};
//! let cluster = Cluster::new("hello")?.node("a")?.node("b")?;
//! cluster.service("server").port(80, 5000).apply()?;
//! cluster.workload("server").node("b").program(Program::Echo { port: 5000 }).start()?;
//! let client = cluster.workload("client").node("a").start()?;
//! assert_eq!(client.get("http://server/")?.status, 200);
//! # Ok(())
//! # }
//! ```
//!
//! Everything is removed when the [`Cluster`] is dropped, when the test panics and when the process is told to end; what a killed
//! process leaves behind is removed by the next `Cluster::new` ([`cleanup`]).

mod agent;
mod capture;
mod captured;
pub mod cleanup;
mod cluster;
mod container;
mod controller;
mod deployment;
mod endpoints;
mod exercise;
mod hosts;
mod http2;
mod id;
mod kubelet;
mod kubeproxy;
mod link;
mod manifest;
mod mesh;
mod netns;
mod netpolicy;
mod node;
mod objects;
mod pages;
mod place;
mod pod;
mod process;
mod program;
mod rollout;
mod runtime;
mod server;
mod state;
mod workload;
mod world;

pub use agent::Agent;
pub use capture::{Capture, Packet};
pub use cluster::Cluster;
pub use http2::{Http2Answer, Http2Request, ask, http2, read_answer, read_body, send_body};
pub use id::ClusterId;
pub use netns::Netns;
pub use node::Node;
pub use place::Place;
pub use pod::Pod;
pub use process::{Output, Process};
pub use program::Program;
pub use runtime::{CniRuntime, Refusal, Sandbox};
pub use server::Server;
pub use weft_scenario::{
    APPLIES, Answers, Failure, FailureKind, HttpConnection, Load, Metrics, PATIENCE, Request, Response, Sample,
    Sentences, Step, eventually, is_sentence, sentences_service,
};
pub use workload::{ServiceBuilder, WorkloadBuilder};
