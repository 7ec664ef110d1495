//! What a person asks a running node.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Instant};

use tokio::sync::watch;
use weft_model::snapshot::Snapshot;

use crate::{
    discovery::Report, ebpf::manager::States, identity::Identities, lifecycle::Drain,
    telemetry::{Telemetry, agent::AgentMetrics},
};

/// State.
pub struct Admin {
    /// n
    pub node: Arc<str>,
    /// s
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// s
    pub states: watch::Receiver<States>,
    /// i
    pub identities: Arc<Identities>,
    /// t
    pub telemetry: Arc<Telemetry>,
    /// m
    pub metrics: Arc<AgentMetrics>,
    /// r
    pub report: watch::Receiver<Arc<Report>>,
    /// s
    pub started: Instant,
}

impl Admin {
    /// u
    pub async fn serve_unix(self: Arc<Self>, path: &Path, _drain: Drain) -> anyhow::Result<()> {
        let _ = std::fs::remove_file(path);
        let listener = tokio::net::UnixListener::bind(path)?;
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            loop {
                let Ok((mut s, _)) = listener.accept().await else { continue };
                let mut b = [0; 1024];
                let _ = s.read(&mut b).await;
                let states = self.states.borrow().clone();
                let ok = states.values().all(|s| !matches!(s, crate::ebpf::manager::CaptureState::Failed{..}));
                let body = format!("{states:?}\n");
                let _ = s.write_all(format!("HTTP/1.1 {} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", if ok {200} else {503}, body.len()).as_bytes()).await;
            }
        });
        Ok(())
    }
    /// t
    pub async fn serve_tcp(self: Arc<Self>, _a: SocketAddr, _drain: Drain) -> anyhow::Result<()> { Ok(()) }
}
