//! A real Kubernetes cluster in the language of kubectl: namespaces, pods, what they say and what a client of theirs gets.
//!
//! Used by the cluster tier (`tests/cluster/tests`), whose scenarios do what a person does with kubectl and curl, and nothing else: they
//! run on any cluster that `KUBECONFIG` names. Only scenarios that pull a node's plug or stop the API server need the rig ([`rig`]),
//! which is `cargo xtask cluster`.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use weft_cluster_tests::{Namespace, manifests};
//! let namespace = Namespace::enrolled("hello")?;
//! namespace.apply(manifests::V1)?;
//! namespace.wait_rollout()?;
//! namespace.node_port("sentences", 5000)?.get_many(&[], 100)?.assert_sentences();
//! namespace.passed()
//! # }
//! ```

mod command;
mod container;
mod curl;
mod debug;
mod dump;
mod held;
mod kubectl;
mod load;
pub mod manifests;
mod mesh;
mod namespace;
mod node;
mod node_port;
mod observer;
mod pages;
mod pod;
pub mod rig;
mod rollout;
mod tcpdump;

pub use command::Output;
pub use container::Container;
pub use curl::Curl;
pub use held::HeldConnection;
pub use kubectl::{kubectl, object};
pub use load::PodLoad;
pub use mesh::{AGENT, CONTROL, SYSTEM, agent_on, alone, system_pods, wait_rollout_of};
pub use namespace::Namespace;
pub use node::{Node, nodes, two_nodes};
pub use node_port::{NodePort, curl_here};
pub use observer::{Leftovers, Observer};
pub use pod::Pod;
pub use tcpdump::Tcpdump;
pub use weft_scenario::{
    APPLIES, Answers, Failure, FailureKind, Load, Machine, Metrics, PATIENCE, Response, Step, eventually, is_sentence,
    try_eventually,
};
