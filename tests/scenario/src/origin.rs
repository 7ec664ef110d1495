//! Where requests come from: a place that has names and opens sockets.
//!
//! Implemented by the testbed's pods and nodes, and here by the machine that runs the test.

use std::fmt::Debug;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// A place in the network.
pub trait Origin: Debug + Send + Sync {
    /// The address of `host` as seen from here.
    ///
    /// # Errors
    /// `NotFound` when the name means nothing here.
    fn resolve(&self, host: &str, port: u16) -> io::Result<SocketAddr>;

    /// Moves the calling thread to where this place's sockets are opened, for good.
    ///
    /// # Errors
    /// What the system said when the place no longer exists.
    fn enter(&self) -> io::Result<()>;
}

/// Runs `work` at `origin`, on a thread of its own. Sockets opened there stay there, whoever uses them later.
pub(crate) fn at<T: Send>(origin: &dyn Origin, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let entered = scope.spawn(|| {
            origin.enter()?;
            Ok(work())
        });
        entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The machine that runs the test: a client outside of every cluster.
#[derive(Clone, Copy, Debug)]
pub struct Machine;

impl Origin for Machine {
    fn resolve(&self, host: &str, port: u16) -> io::Result<SocketAddr> {
        let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("this machine knows no {host:?}"));
        (host, port).to_socket_addrs()?.next().ok_or_else(unknown)
    }

    fn enter(&self) -> io::Result<()> {
        Ok(())
    }
}
