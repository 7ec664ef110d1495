//! A server that the test itself plays, inside a pod: for answers that no program of the demo application would give.
//!
//! Made by [`Place::serve`]; each connection is handled on a thread of its own.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;

use crate::place::Place;

/// How often an idle server looks whether it has ended.
const TICK: Duration = Duration::from_millis(2);
/// How long a handler waits for its client before its read or write fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listening server; it stops listening when dropped, handlers at work go on.
#[derive(Debug)]
#[must_use = "a server that is dropped at once serves nobody"]
pub struct Server {
    accepted: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// How many connections it was given so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It ends by the flag alone; a panic of it has been printed.
            let _ = thread.join();
        }
    }
}

impl Place {
    /// Listens on `port` here, IPv4 and IPv6, and gives each connection with its peer's address to `handle`.
    pub fn serve<H>(&self, port: u16, handle: H) -> Result<Server>
    where
        H: Fn(TcpStream, SocketAddr) + Send + Sync + 'static,
    {
        let listener = self.listen(port)?;
        listener.set_nonblocking(true)?;
        let (accepted, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, end, handle) = (Arc::clone(&accepted), Arc::clone(&ended), Arc::new(handle));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((stream, peer)) => {
                        counter.fetch_add(1, Ordering::SeqCst);
                        let handle = Arc::clone(&handle);
                        if let Ok(stream) = prepare(stream) {
                            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                            std::thread::spawn(move || handle(stream, peer));
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(TICK),
                    // The client has gone before it was accepted.
                    Err(_) => {}
                }
            }
        });
        Ok(Server { accepted, ended, thread: Some(thread) })
    }
}

fn prepare(stream: TcpStream) -> std::io::Result<TcpStream> {
    stream.set_nonblocking(false)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}
