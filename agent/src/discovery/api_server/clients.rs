//! The client that all watches use, and a new one when the old is not accepted any more.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::Client;
use tokio::{sync::watch, time::Instant};

use crate::kubernetes::{ApiServer, ConnectError};

/// A client lives at least this long, whatever is said about it.
const RENEW_AT_MOST_EVERY: Duration = Duration::from_secs(10);

/// Hands out clients.
pub struct Clients {
    server: ApiServer,
    current: Mutex<(Client, Instant)>,
    returns: watch::Sender<()>,
}

impl Clients {
    /// Makes the first client.
    ///
    /// # Errors
    /// When no usable configuration is found.
    pub async fn new(server: ApiServer) -> Result<Self, ConnectError> {
        let client = server.watching_client().await?;
        Ok(Self { server, current: Mutex::new((client, Instant::now())), returns: watch::Sender::default() })
    }

    /// The client of now.
    pub fn get(&self) -> Client {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// The server answers again: who waits before asking it once more need not.
    pub fn has_returned(&self) {
        self.returns.send_replace(());
    }

    /// Changes when the server answers again.
    pub fn returns(&self) -> watch::Receiver<()> {
        self.returns.subscribe()
    }

    /// Reads the configuration again: a kubeconfig may have got other credentials, another CA or another address.
    /// Tokens of service accounts are read again without that.
    pub async fn renew(&self) {
        {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            if current.1.elapsed() < RENEW_AT_MOST_EVERY {
                return;
            }
            current.1 = Instant::now();
        }
        match self.server.watching_client().await {
            Ok(client) => self.current.lock().unwrap_or_else(PoisonError::into_inner).0 = client,
            Err(error) => tracing::debug!(%error, "the API server's configuration was read again in vain"),
        }
    }
}
