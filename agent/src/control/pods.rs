//! Which service accounts have a pod on which node.
//!
//! The authority asks before it signs for an agent. Every replica follows all scheduled pods that have not ended, and keeps
//! of each what the question needs. A pod that was scheduled a moment ago may be unknown here: then the API server is
//! asked, so that no pod waits for a watch.

mod index;
mod slim;

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::Semaphore;

use super::{backoff::WatchBackoff, ca::caller::PodRef};
use crate::telemetry::control::ControlMetrics;
use index::Index;
pub use index::{Agent, NodeIdentity};
use slim::SlimPod;

/// Questions to the API server at a time; further ones wait.
const MAX_QUESTIONS: usize = 16;
/// How long one of them may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Field selector of pods that have not ended.
const ALIVE: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Knows, or asks.
#[async_trait::async_trait]
pub trait NodePods: Send + Sync {
    /// Does that identity have a pod on that node?
    ///
    /// # Errors
    /// When it is not known here and the API server cannot be asked.
    async fn has(&self, wanted: &NodeIdentity) -> Result<bool, String>;

    /// The node of a pod of that service account; `None` when there is no such pod (any more).
    ///
    /// # Errors
    /// When the API server cannot be asked.
    async fn node_of(&self, namespace: &str, account: &str, pod: &PodRef) -> Result<Option<Arc<str>>, String>;
}

/// The real one.
pub struct Pods {
    client: Client,
    index: Mutex<Index>,
    questions: Semaphore,
    metrics: Arc<ControlMetrics>,
}

impl Pods {
    /// Knows nothing yet: run [`Self::follow`].
    pub fn new(client: Client, metrics: Arc<ControlMetrics>) -> Arc<Self> {
        Arc::new(Self { client, index: Mutex::default(), questions: Semaphore::new(MAX_QUESTIONS), metrics })
    }

    /// Follows the cluster's pods, for as long as it is polled.
    pub async fn follow(&self) {
        let pods: Api<SlimPod> = Api::all(self.client.clone());
        let config = watcher::Config::default().fields(&format!("spec.nodeName!=,{ALIVE}"));
        let mut events = pin!(watcher(pods, config).backoff(WatchBackoff::default()));
        while let Some(event) = events.next().await {
            let mut index = self.index();
            match event {
                Ok(watcher::Event::Init) => index.begin(),
                Ok(watcher::Event::InitApply(pod)) => index.listed(pod.into()),
                Ok(watcher::Event::InitDone) => index.end(),
                Ok(watcher::Event::Apply(pod)) => index.put(pod.into()),
                Ok(watcher::Event::Delete(pod)) => index.remove(&pod.into()),
                Err(error) => tracing::warn!(%error, "cannot follow the pods now"),
            }
            self.metrics.pods.set(i64::try_from(index.len()).unwrap_or(i64::MAX));
        }
    }

    /// Pods that run as one of `accounts`.
    pub fn agents(&self, accounts: &super::accounts::TrustedAccounts) -> Vec<Agent> {
        self.index().agents(|namespace, account| accounts.contains(namespace, account))
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Changes of the index do not panic half-way.
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the API server, with a bound on how many do so and on how long.
    async fn ask<T>(&self, question: impl Future<Output = Result<T, kube::Error>>) -> Result<T, String> {
        let asked = async {
            let _place = self.questions.acquire().await.map_err(|closed| closed.to_string())?;
            question.await.map_err(|error| error.to_string())
        };
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        answer.unwrap_or_else(|_elapsed| Err(format!("no answer within {PATIENCE:?}")))
    }
}

#[async_trait::async_trait]
impl NodePods for Pods {
    async fn has(&self, wanted: &NodeIdentity) -> Result<bool, String> {
        if self.index().has(wanted) {
            return Ok(true);
        }
        let pods: Api<SlimPod> = Api::namespaced(self.client.clone(), &wanted.namespace);
        let there = format!("spec.nodeName={},{ALIVE}", wanted.node);
        let found = self.ask(pods.list(&ListParams::default().fields(&there))).await?;
        Ok(found.items.into_iter().filter_map(|pod| index::Entry::from(pod).place).any(|place| place == *wanted))
    }

    async fn node_of(&self, namespace: &str, account: &str, pod: &PodRef) -> Result<Option<Arc<str>>, String> {
        let is_it = |place: &NodeIdentity| *place.namespace == *namespace && *place.service_account == *account;
        if let Some(place) = self.index().place(&pod.uid).filter(|place| is_it(place)) {
            return Ok(Some(place.node.clone()));
        }
        let pods: Api<SlimPod> = Api::namespaced(self.client.clone(), namespace);
        let found = self.ask(pods.get_opt(&pod.name)).await?;
        let found = found.filter(|found| found.uid().as_deref() == Some(pod.uid.as_str()));
        Ok(found.and_then(|found| index::Entry::from(found).place).filter(is_it).map(|place| place.node))
    }
}
