//! The way to an agent: its unix socket on this machine, or a port of its pod through the API server.

use std::{io, path::PathBuf};

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
};

use crate::kubernetes::{SYSTEM_NAMESPACE, failure};

/// A way.
#[derive(Clone)]
pub(super) enum Transport {
    /// The socket of an agent on this machine.
    Unix(PathBuf),
    /// A port of a pod in [`SYSTEM_NAMESPACE`], as `kubectl port-forward` reaches it.
    Forward {
        /// Whose server forwards.
        client: kube::Client,
        /// The pod.
        pod: String,
        /// Its port.
        port: u16,
    },
}

/// Bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Transport {
    /// Opens it.
    ///
    /// # Errors
    /// When nobody answers, with the next step.
    pub(super) async fn connect(&self) -> anyhow::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(unreachable(&path.display(), &error)),
            },
            Self::Forward { client, pod, port } => {
                let pods = Api::<Pod>::namespaced(client.clone(), SYSTEM_NAMESPACE);
                let forwarding = pods.portforward(pod, &[*port]).await;
                let mut forwarding = forwarding
                    .map_err(|error| anyhow::anyhow!("{}", failure(&error)))
                    .with_context(|| format!("cannot forward to port {port} of pod {SYSTEM_NAMESPACE}/{pod}"))?;
                let stream = forwarding.take_stream(*port).context("the API server forwards no stream")?;
                Ok(Box::new(stream))
            }
        }
    }
}

fn unreachable(path: &dyn std::fmt::Display, error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => anyhow::anyhow!(
            "nobody answers on {path}: the agent has ended without removing it; start it again, or run `weft cleanup`"
        ),
        io::ErrorKind::PermissionDenied => anyhow::anyhow!("not allowed to open {path}: be root"),
        _ => anyhow::anyhow!("cannot open {path}: {error}"),
    }
}
