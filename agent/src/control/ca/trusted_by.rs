//! Does everybody trust these roots? Asked before a new root signs.
//!
//! Namespaces are asked for their ConfigMap, agents for what they judge by. Agents that are not ready serve nobody, and
//! get the ConfigMap with their start. Sidecars and gateways cannot be asked; for them there is the time that a root is
//! trusted before it signs.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PartialObjectMeta},
};

use crate::{
    admin::Trust,
    control::{accounts::TrustedAccounts, namespaces},
    identity::TrustBundle,
};

/// Agents asked at a time.
const AT_A_TIME: usize = 16;
/// How long an agent may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest answer: some fingerprints.
const MAX_ANSWER: usize = 64 * 1024;
/// Reasons that are collected; the rest is counted.
const MAX_REASONS: usize = 10;
/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Whom to ask.
pub(super) struct TrustedBy<'a> {
    pub(super) client: &'a Client,
    pub(super) accounts: &'a TrustedAccounts,
    pub(super) port: u16,
}

impl TrustedBy<'_> {
    /// Who does not trust all of `roots` yet, and why; empty when everybody does.
    pub(super) async fn missing(&self, roots: &TrustBundle) -> Vec<String> {
        let mut missing = match self.namespaces(roots).await {
            Ok(missing) => missing,
            Err(error) => vec![format!("the namespaces cannot be listed: {error}")],
        };
        match self.agents(roots).await {
            Ok(agents) => missing.extend(agents),
            Err(error) => missing.push(format!("the agents cannot be listed: {error}")),
        }
        let more = missing.len().saturating_sub(MAX_REASONS);
        missing.truncate(MAX_REASONS);
        if more > 0 {
            missing.push(format!("and {more} more"));
        }
        missing
    }

    async fn namespaces(&self, roots: &TrustBundle) -> Result<Vec<String>, kube::Error> {
        let wanted = roots.to_pem();
        let maps: Api<ConfigMap> = Api::all(self.client.clone());
        let named = ListParams::default().fields(&format!("metadata.name={}", namespaces::CONFIG_MAP));
        let maps = all(&maps, named).await?;
        let holds = |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get(namespaces::KEY)) == Some(&wanted);
        let have: BTreeSet<_> = maps.iter().filter(|map| holds(map)).filter_map(ResourceExt::namespace).collect();
        let spaces: Api<PartialObjectMeta<Namespace>> = Api::all(self.client.clone());
        let spaces = all(&spaces, ListParams::default()).await?;
        let lacking = spaces.iter().filter(|space| space.metadata.deletion_timestamp.is_none());
        let lacking = lacking.map(ResourceExt::name_any).filter(|name| !have.contains(name));
        Ok(lacking.map(|name| format!("namespace {name} has no ConfigMap with it")).collect())
    }

    async fn agents(&self, roots: &TrustBundle) -> Result<Vec<String>, kube::Error> {
        let mut agents = Vec::new();
        for namespace in self.accounts.namespaces() {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            let pods = all(&pods, ListParams::default().fields("status.phase=Running")).await?;
            agents.extend(pods.into_iter().filter(|pod| self.is_agent(pod) && is_ready(pod)));
        }
        let wanted: BTreeSet<_> = roots.fingerprints().into_iter().collect();
        let asked = stream::iter(agents).map(|pod| self.ask(pod, &wanted)).buffer_unordered(AT_A_TIME);
        Ok(asked.filter_map(std::future::ready).collect().await)
    }

    fn is_agent(&self, pod: &Pod) -> bool {
        let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
        account.is_some_and(|account| self.accounts.contains(&pod.namespace().unwrap_or_default(), account))
    }

    /// Why the agent does not trust all of `wanted`; `None` when it does.
    async fn ask(&self, pod: Pod, wanted: &BTreeSet<String>) -> Option<String> {
        let name = pod.name_any();
        let address = pod.status.and_then(|status| status.pod_ip).and_then(|ip| ip.parse::<IpAddr>().ok());
        let Some(address) = address else { return Some(format!("agent {name} has no address")) };
        match tokio::time::timeout(PATIENCE, trust(address, self.port)).await {
            Err(_elapsed) => Some(format!("agent {name} does not answer at {address}:{}", self.port)),
            Ok(Err(error)) => Some(format!("agent {name} at {address}:{} cannot be asked: {error:#}", self.port)),
            Ok(Ok(trust)) if wanted.is_subset(&trust.roots) => None,
            Ok(Ok(_)) => Some(format!("agent {name} does not trust it yet")),
        }
    }
}

/// The fingerprints that an agent judges by.
async fn trust(address: IpAddr, port: u16) -> anyhow::Result<Trust> {
    let stream = tokio::net::TcpStream::connect((address, port)).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = http::Request::get("/trust").header(http::header::HOST, "agent").body(Empty::<Bytes>::new())?;
    let answer = async move {
        let answer = sender.send_request(request).await?;
        anyhow::ensure!(answer.status().is_success(), "it answers with status {}", answer.status());
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("its answer cannot be read: {error}"))?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    };
    // The connection ends with its sender; what goes wrong with it is the answer's error, too.
    let (answer, _ended) = tokio::join!(answer, connection);
    answer
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// All objects of a list, page by page.
async fn all<K>(api: &Api<K>, parameters: ListParams) -> Result<Vec<K>, kube::Error>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let mut parameters = parameters.limit(PAGE);
    let mut items = Vec::new();
    loop {
        let page = api.list(&parameters).await?;
        items.extend(page.items);
        match page.metadata.continue_.filter(|more| !more.is_empty()) {
            Some(more) => parameters = parameters.continue_token(&more),
            None => return Ok(items),
        }
    }
}
