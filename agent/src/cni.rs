//! Where the pods of this node are, and that none of them starts before it is captured.
//!
//! [`finder`] looks through /proc for pods that run already; [`server`] answers the CNI plugin, which the container runtime
//! calls for each new pod; both note places in the [`registry`], from which discovery learns them. [`plugin`] is the other
//! side: the same binary, called by the runtime on the node, outside of any container. [`install`] puts the plugin into the
//! node's CNI configuration and keeps it there. `app` assembles; which pods are enrolled is discovery's to say, how they
//! are captured is `ebpf`'s.

pub mod cgroup;
pub mod finder;
pub mod install;
pub mod known;
pub mod message;
pub mod plugin;
pub mod process;
pub mod registry;
pub mod scan;
pub mod server;
pub mod verdict;
