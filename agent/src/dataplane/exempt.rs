//! How the agent's own sockets are told from the pod's.

use std::{io, os::fd::AsRawFd};

use weft_ebpf_common::{ExemptKind, LocalKey};

/// Marks the agent's own sockets for the connect hook. Implemented by the capture layer; one handle
/// for each worker.
pub trait Exempt: Send {
    /// Marks a socket before it connects.
    ///
    /// # Errors
    /// The kernel's; the socket must then not be used, since it would be captured.
    fn exempt(&mut self, socket: &dyn AsRawFd, kind: ExemptKind) -> io::Result<()>;

    /// Removes the note that the connect hook made of a connection into the pod: it is established, or failed.
    fn forget(&mut self, connection: &LocalKey);
}
