//! Why capture failed, in an operator's words.

use std::{io, path::PathBuf};

/// Why capture failed.
#[derive(Debug, thiserror::Error)]
pub enum EbpfError {
    /// The binary carries no eBPF object.
    #[error("this binary was built without its eBPF object: run `cargo xtask build-ebpf` and build weft again")]
    NotEmbedded,
    /// No cgroup2 mount.
    #[error("no cgroup2 file system is mounted: mount one (mount -t cgroup2 none /sys/fs/cgroup/unified)")]
    NoCgroup2,
    /// The pin directory is not usable.
    #[error(
        "cannot use {path} for pinned maps and links: {source}; is a bpf file system mounted there (mount -t bpf bpf /sys/fs/bpf)?"
    )]
    PinDirectory {
        /// Directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// The kernel refused the object or one of its maps.
    #[error("the kernel refused the eBPF object: {0}; run `weft check` to see what it lacks")]
    Load(#[from] aya::EbpfError),
    /// The kernel refused a program.
    #[error("cannot load or attach eBPF program {program}: {source}; run `weft check` to see what the kernel lacks")]
    Program {
        /// Program name.
        program: &'static str,
        /// Cause.
        source: aya::programs::ProgramError,
    },
    /// A program or map of the object is missing: object and agent are of different versions.
    #[error("the eBPF object has no {0}: it was built from another version of weft; build both again")]
    Missing(&'static str),
    /// A map operation failed.
    #[error("eBPF map {map}: {source}")]
    Map {
        /// Map name.
        map: &'static str,
        /// Cause.
        source: aya::maps::MapError,
    },
    /// A link could not be pinned.
    #[error("cannot pin {path}: {message}")]
    Pin {
        /// Where.
        path: PathBuf,
        /// Cause.
        message: String,
    },
    /// Something in the pod's network namespace failed.
    #[error("network namespace {netns}: {source}")]
    Netns {
        /// Its path.
        netns: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Nobody has said yet where the pod is.
    #[error("its network namespace is not known: the CNI plugin has not named it, and no process of the pod was found")]
    NoNetns,
    /// The namespace does not hold the pod's address: it belongs to somebody else.
    #[error(
        "network namespace {netns} has none of the pod's addresses ({addresses}): not capturing what may be another pod"
    )]
    NotThePods {
        /// Its path.
        netns: PathBuf,
        /// The pod's addresses.
        addresses: String,
    },
}
