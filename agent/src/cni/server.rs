//! The agent's side of the CNI plugin: a unix socket on which each sandbox of the node is announced, and held until the pod's
//! capture is proven.
//!
//! A new pod is known to the runtime and to the agent's watch at about the same time: when the call comes first, it waits
//! for the watch, and then asks the API server once ([`PodLookup`]), so that a watch that lags holds no pod which is not
//! in the mesh.

use std::{io, net::IpAddr, path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::{Semaphore, watch},
    time::timeout,
};
use weft_model::{
    snapshot::Snapshot,
    workload::{Enrolment, Named},
};

use super::{
    message::{self, Answer, HOLD, LINE_BYTES_MAX, Request, Sandbox},
    registry::Registry,
    scan::{Scanner, path_from_here},
    verdict::{Verdict, verdict},
};
use crate::{
    admin::{BindError, OwnersSocket},
    ebpf::manager::{Standing, States},
    lifecycle::Drain,
    net::{Netns, netns::NetnsId},
    telemetry::agent::AgentMetrics,
};

/// Calls served at once; more than a kubelet starts pods. Further ones wait.
const CALLS_MAX: usize = 512;

/// How long a caller may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(5);

/// How long the watch of the API server may lag behind the kubelet's before the API server is asked.
const WATCH_LAG: Duration = Duration::from_secs(1);

/// Wait after a failed accept, as when descriptors run out.
const PAUSE: Duration = Duration::from_millis(50);

/// Whoever can ask the API server about one pod.
#[async_trait]
pub trait PodLookup: Send + Sync {
    /// Is that pod enrolled? `None` when there is no such pod. An empty `uid` means any pod of the name.
    ///
    /// # Errors
    /// Why the API server does not say.
    async fn enrolment(&self, pod: &Named, uid: &str) -> Result<Option<Enrolment>, String>;
}

/// What is done with enrolled pods on a machine that cannot capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ability {
    /// They are captured.
    Captures,
    /// They may not start; why.
    Refuses(String),
    /// They start without the mesh; why.
    Skips(String),
}

/// The desk at which calls are answered.
pub struct Server {
    /// This node.
    pub node: Arc<str>,
    /// Where sandboxes are noted.
    pub registry: Registry,
    /// The world.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// What became of enrolled pods.
    pub states: watch::Receiver<States>,
    /// Who can ask the API server; `None` where there is none.
    pub lookup: Option<Arc<dyn PodLookup>>,
    /// Can this machine capture?
    pub ability: Ability,
    /// Which namespace is the node's own.
    pub scanner: Scanner,
    /// Where answers are counted.
    pub metrics: Arc<AgentMetrics>,
    /// What this agent is to the node: the socket is its owner's.
    pub standing: watch::Receiver<Standing>,
    /// When the agent ends.
    pub drain: Drain,
}

impl Server {
    /// Answers on `socket`, in tasks of the caller's runtime, in place of an earlier agent that may still listen there.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub async fn serve(self, socket: &Path) -> Result<(), BindError> {
        let mut bound = OwnersSocket::bind(socket, self.standing.clone())?;
        let desk = Arc::new(self);
        let places = Arc::new(Semaphore::new(CALLS_MAX));
        tokio::spawn(async move {
            loop {
                let Ok(place) = places.clone().acquire_owned().await else { return };
                match bound.accept().await {
                    Ok(stream) => {
                        let desk = desk.clone();
                        tokio::spawn(async move {
                            if let Err(error) = desk.converse(stream).await {
                                tracing::warn!(%error, "a call of the CNI plugin was not answered");
                            }
                            drop(place);
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a call of the CNI plugin");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        });
        Ok(())
    }

    async fn converse(&self, stream: UnixStream) -> io::Result<()> {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        let mut bounded = (&mut stream).take(LINE_BYTES_MAX as u64);
        timeout(REQUEST, bounded.read_until(b'\n', &mut line)).await.map_err(|_elapsed| io::ErrorKind::TimedOut)??;
        let answer = match message::parse(&line) {
            Ok(request) => self.answer(&request).await,
            Err(error) => {
                let reason =
                    format!("weft's agent does not understand the plugin: {error}; the agent installs a new one");
                Answer::Refuse { reason }
            }
        };
        stream.write_all(&message::line(&answer)?).await
    }

    /// The answer to a call.
    pub async fn answer(&self, request: &Request) -> Answer {
        match request {
            Request::Add(sandbox) => {
                let answer = self.add(sandbox).await;
                let pod = format!("{}/{}", sandbox.namespace, sandbox.name);
                match &answer {
                    Answer::Pass { reason } => {
                        self.metrics.cni_call("pass");
                        tracing::debug!(pod, reason, "a pod may start");
                    }
                    Answer::Refuse { reason } => {
                        self.metrics.cni_call("refuse");
                        tracing::warn!(pod, reason, "a pod may not start yet");
                    }
                }
                answer
            }
            Request::Check(sandbox) => match self.open(sandbox) {
                Ok(netns) => self.end(sandbox, self.verdict(sandbox, netns.cookie())),
                Err(reason) => Answer::Refuse { reason },
            },
            Request::Delete(sandbox) => {
                self.registry.delete(&sandbox.container);
                Answer::Pass { reason: "the pod goes".to_owned() }
            }
        }
    }

    async fn add(&self, sandbox: &Sandbox) -> Answer {
        let netns = match self.open(sandbox) {
            Ok(netns) => netns,
            Err(reason) => return Answer::Refuse { reason },
        };
        let mut is_noted = false;
        let mut end = std::pin::pin!(tokio::time::sleep(HOLD));
        let mut lag = std::pin::pin!(tokio::time::sleep(WATCH_LAG));
        let (mut snapshots, mut states) = (self.snapshot.clone(), self.states.clone());
        let mut drain = self.drain.clone();
        let mut is_asked = self.lookup.is_none();
        loop {
            // Marked as seen before they are read: what comes after wakes the wait below.
            snapshots.mark_unchanged();
            states.mark_unchanged();
            if !is_noted && let Some(uid) = self.uid(sandbox) {
                if let Err(reason) = self.note(&uid, sandbox, &netns) {
                    return Answer::Refuse { reason };
                }
                is_noted = true;
            }
            let found = self.verdict(sandbox, netns.cookie());
            match (&found, &self.ability) {
                (Verdict::Pass(_), _) | (Verdict::Pending(_), Ability::Refuses(_)) => return self.end(sandbox, found),
                _ => {}
            }
            tokio::select! {
                Ok(()) = snapshots.changed() => {}
                Ok(()) = states.changed() => {}
                () = &mut lag, if !is_asked && found == Verdict::Unknown => {
                    is_asked = true;
                    if let Some(answer) = self.ask(sandbox).await {
                        return answer;
                    }
                }
                () = drain.begun() => return self.end(sandbox, Verdict::Pending("weft's agent is ending".to_owned())),
                () = &mut end => return self.end(sandbox, found),
            }
        }
    }

    /// The answer when there is no more time.
    fn end(&self, sandbox: &Sandbox, verdict: Verdict) -> Answer {
        let pod = format!("{}/{}", sandbox.namespace, sandbox.name);
        let reason = match verdict {
            Verdict::Pass(reason) => return Answer::Pass { reason },
            Verdict::Pending(reason) => reason,
            Verdict::Unknown => "the agent's watch of the API server does not show it".to_owned(),
        };
        Answer::Refuse { reason: format!("weft holds pod {pod}: it is not captured yet: {reason}") }
    }

    fn verdict(&self, sandbox: &Sandbox, netns: u64) -> Verdict {
        let snapshot = self.snapshot.borrow().clone();
        match (verdict(sandbox, netns, &self.node, &snapshot, &self.states.borrow()), &self.ability) {
            (Verdict::Pending(_), Ability::Refuses(reason)) => Verdict::Pending(reason.clone()),
            (Verdict::Pending(_), Ability::Skips(reason)) => {
                Verdict::Pass(format!("this machine cannot capture: {reason}"))
            }
            (verdict, _) => verdict,
        }
    }

    /// What the API server says, when that settles it.
    async fn ask(&self, sandbox: &Sandbox) -> Option<Answer> {
        let lookup = self.lookup.as_ref()?;
        let pod = Named::new(&*sandbox.namespace, &*sandbox.name);
        match timeout(HOLD / 2, lookup.enrolment(&pod, &sandbox.uid)).await {
            Ok(Ok(Some(Enrolment::NotEnrolled(reason)))) => {
                Some(Answer::Pass { reason: format!("not enrolled: {reason}") })
            }
            // The watch will show it.
            Ok(Ok(_)) => None,
            Ok(Err(error)) => {
                tracing::warn!(%pod, error, "the API server does not say whether a new pod is enrolled");
                None
            }
            Err(_elapsed) => None,
        }
    }

    /// The kubelet's uid for the pod: the runtime says it, or else the world.
    fn uid(&self, sandbox: &Sandbox) -> Option<Arc<str>> {
        if !sandbox.uid.is_empty() {
            return Some(sandbox.uid.as_str().into());
        }
        let snapshot = self.snapshot.borrow();
        let workload = snapshot.workloads.get(&Named::new(&*sandbox.namespace, &*sandbox.name))?;
        (!workload.uid.is_empty()).then(|| workload.uid.clone())
    }

    /// Notes where the pod is.
    fn note(&self, uid: &str, sandbox: &Sandbox, netns: &Netns) -> Result<(), String> {
        let addresses = sandbox.addresses.iter().map(IpAddr::to_canonical).collect();
        self.registry
            .add(uid, &sandbox.container, netns.path(), addresses)
            .map_err(|error| format!("network namespace {}: {error}", sandbox.netns.display()))
    }

    /// The sandbox' namespace, which must not be the node's.
    fn open(&self, sandbox: &Sandbox) -> Result<Netns, String> {
        let path = path_from_here(&sandbox.netns);
        let failed = |error: io::Error| {
            format!(
                "network namespace {} of pod {}/{} cannot be opened: {error} (weft's agent needs /run/netns mounted with \
                 HostToContainer)",
                sandbox.netns.display(),
                sandbox.namespace,
                sandbox.name
            )
        };
        let netns = Netns::open(&path.to_string_lossy()).map_err(failed)?;
        let is_host = self.scanner.host().is_ok_and(|host| NetnsId::at(&path).is_ok_and(|id| id == host));
        if is_host {
            return Err(format!("network namespace {} is the node's own", sandbox.netns.display()));
        }
        Ok(netns)
    }
}

#[cfg(test)]
mod tests;
