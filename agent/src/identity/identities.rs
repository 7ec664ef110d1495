//! The certificates of this node, one per identity that has a pod here.
//!
//! The data plane calls [`Identities::get`] per connection; [`super::rotation`] keeps the certificates fresh; admin and
//! telemetry read [`Identities::status`]. Which identities are wanted comes from `app` by a watch, and bounds the
//! number of entries.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use weft_model::identity::SpiffeId;

use super::{
    anchors::Anchors,
    authority::{CertificateAuthority, MAX_TTL, TrustBundle},
    error::{IdentityError, SIGN_TIMEOUT},
    peer,
    root_file::Published,
    schedule,
    verify::TrustDomains,
    workload::WorkloadIdentity,
};

/// The time, as certificates count it.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
/// Randomness from outside, each time a number from 0 to 1.
pub type Jitter = Arc<dyn Fn() -> f64 + Send + Sync>;

/// How certificates are issued.
#[derive(Clone)]
pub struct Config {
    /// Whose identities count.
    pub trust_domains: TrustDomains,
    /// Life of a certificate; [`MAX_TTL`] at most.
    pub ttl: Duration,
    /// The time.
    pub clock: Clock,
    /// Spreads renewals, so that a node does not renew everything in the same second.
    pub jitter: Jitter,
    /// Roots that a control plane publishes, beside those that come with each certificate.
    pub published: Option<watch::Receiver<Published>>,
}

impl Config {
    /// The longest life and the system's clock.
    pub fn new(trust_domains: TrustDomains, jitter: Jitter) -> Self {
        Self { trust_domains, ttl: MAX_TTL, clock: Arc::new(SystemTime::now), jitter, published: None }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("trust_domains", &self.trust_domains)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

/// One line of what `status` and metrics show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateStatus {
    /// Whose certificate.
    pub id: SpiffeId,
    /// Its life, when there is one.
    pub life: Option<(SystemTime, SystemTime)>,
    /// When the next one is asked for.
    pub renew_at: SystemTime,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
}

/// All certificates of this node.
#[derive(Debug)]
pub struct Identities {
    authority: Arc<dyn CertificateAuthority>,
    wanted: watch::Receiver<BTreeSet<SpiffeId>>,
    config: Config,
    anchors: Arc<Anchors>,
    /// Swapped as a whole: read per connection, written when a first pod comes or a last pod goes.
    slots: ArcSwap<HashMap<SpiffeId, Arc<Slot>>>,
}

/// The place of one identity's certificate.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: SpiffeId,
    current: ArcSwapOption<WorkloadIdentity>,
    /// Held while asking the authority: connections that arrive together share one answer.
    issuing: tokio::sync::Mutex<()>,
    plan: Mutex<Plan>,
}

#[derive(Clone, Debug)]
struct Plan {
    next: SystemTime,
    failures: u32,
    last_error: Option<String>,
}

impl Slot {
    fn new(id: SpiffeId, now: SystemTime) -> Self {
        let plan = Mutex::new(Plan { next: now, failures: 0, last_error: None });
        Self { id, current: ArcSwapOption::empty(), issuing: tokio::sync::Mutex::new(()), plan }
    }

    fn valid_at(&self, now: SystemTime) -> Option<Arc<WorkloadIdentity>> {
        self.current.load_full().filter(|identity| now < identity.not_after())
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        // Plans are replaced field by field without anything that panics in between.
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When to ask for the next certificate.
    pub(super) fn due(&self) -> SystemTime {
        self.plan().next
    }
}

impl Identities {
    /// Nothing is issued yet: [`super::spawn_rotation`] does so ahead of need, [`Self::get`] at need.
    ///
    /// Publish an identity to `wanted` before the first connection of its pod can arrive.
    pub fn new(
        authority: Arc<dyn CertificateAuthority>,
        wanted: watch::Receiver<BTreeSet<SpiffeId>>,
        config: Config,
    ) -> Arc<Self> {
        Arc::new(Self { authority, wanted, config, anchors: Anchors::new(), slots: ArcSwap::default() })
    }

    /// The roots by which peers are judged now; `None` before the first was heard of.
    pub fn roots(&self) -> Option<TrustBundle> {
        self.anchors.load().map(|roots| roots.bundle.clone())
    }

    /// The certificate of `id`, issued now if need be. Cheap when there is one.
    ///
    /// # Errors
    /// [`IdentityError`] when `id` is not wanted on this node, or when there is no valid certificate and none can be had.
    pub async fn get(&self, id: &SpiffeId) -> Result<Arc<WorkloadIdentity>, IdentityError> {
        let slot = self.slots.load().get(id).cloned();
        if let Some(identity) = slot.as_ref().and_then(|slot| slot.valid_at(self.now())) {
            return Ok(identity);
        }
        if !self.wanted.borrow().contains(id) {
            return Err(IdentityError::NotOnThisNode(id.clone()));
        }
        let slot = slot.unwrap_or_else(|| self.slot(id));
        let _issuing = slot.issuing.lock().await;
        if let Some(identity) = slot.valid_at(self.now()) {
            return Ok(identity);
        }
        let plan = slot.plan().clone();
        if let (Some(last_error), Ok(retry_in)) = (plan.last_error, plan.next.duration_since(self.now())) {
            return Err(IdentityError::Retrying { id: id.clone(), last_error, attempts: plan.failures, retry_in });
        }
        self.issue(&slot).await
    }

    /// What there is, per identity, in order.
    pub fn status(&self) -> Vec<CertificateStatus> {
        let mut all: Vec<_> = self.slots.load().values().map(|slot| status(slot)).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The watch of identities wanted here.
    pub(super) fn wanted(&self) -> watch::Receiver<BTreeSet<SpiffeId>> {
        self.wanted.clone()
    }

    /// The watch of published roots, if there is one.
    pub(super) fn published(&self) -> Option<watch::Receiver<Published>> {
        self.config.published.clone()
    }

    /// Takes published roots into force, for handshakes from now on.
    pub(super) fn trust(&self, published: &Published) {
        if let Published::Roots(bundle) = published
            && let Err(error) = self.anchors.published(bundle.clone(), self.now())
        {
            tracing::warn!(%error, "the published roots are not used; those before stay in force");
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        (self.config.clock)()
    }

    /// Drops what is not wanted (with its key, as soon as its last connection ends) and makes room for what is.
    pub(super) fn keep_only(&self, wanted: &BTreeSet<SpiffeId>) {
        let now = self.now();
        self.slots.rcu(|slots| {
            wanted
                .iter()
                .map(|id| {
                    let slot = slots.get(id).cloned();
                    (id.clone(), slot.unwrap_or_else(|| Arc::new(Slot::new(id.clone(), now))))
                })
                .collect::<HashMap<_, _>>()
        });
    }

    pub(super) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.load().values().cloned().collect()
    }

    /// Issues the next certificate if its time has come and no one else did.
    pub(super) async fn renew(&self, slot: &Slot) {
        let _issuing = slot.issuing.lock().await;
        if slot.due() > self.now() {
            return;
        }
        if let Err(error) = self.issue(slot).await {
            let end = slot.valid_at(self.now()).map(|identity| peer::rfc3339(identity.not_after().into()));
            let reason = chain(&error);
            match end {
                Some(end) => tracing::warn!(identity = %slot.id, valid_until = end, reason, "certificate not renewed"),
                None => tracing::error!(identity = %slot.id, reason, "no valid certificate"),
            }
        }
    }

    /// Asks the authority; the caller holds `issuing`. Whatever comes of it, the next attempt is planned.
    async fn issue(&self, slot: &Slot) -> Result<Arc<WorkloadIdentity>, IdentityError> {
        let Config { trust_domains, ttl, .. } = &self.config;
        let asked_at = self.now();
        let trust = (trust_domains, &self.anchors);
        let issued = WorkloadIdentity::issue(&*self.authority, &slot.id, trust, *ttl, asked_at);
        let issued = tokio::time::timeout(SIGN_TIMEOUT, issued)
            .await
            .unwrap_or_else(|_elapsed| Err(IdentityError::Timeout(slot.id.clone())));
        let jitter = (self.config.jitter)();
        match issued {
            Ok(identity) => {
                let next = schedule::renewal(identity.issued_at(), identity.not_after(), jitter);
                let identity = Arc::new(identity);
                slot.current.store(Some(identity.clone()));
                *slot.plan() = Plan { next, failures: 0, last_error: None };
                Ok(identity)
            }
            Err(error) => {
                let now = self.now();
                let left = slot.valid_at(now).and_then(|identity| identity.not_after().duration_since(now).ok());
                let mut plan = slot.plan();
                plan.next = now + schedule::backoff(plan.failures, left, jitter);
                plan.failures = plan.failures.saturating_add(1);
                plan.last_error = Some(chain(&error));
                Err(error)
            }
        }
    }

    fn slot(&self, id: &SpiffeId) -> Arc<Slot> {
        let fresh = Arc::new(Slot::new(id.clone(), self.now()));
        self.slots.rcu(|slots| {
            let mut slots = HashMap::clone(slots);
            slots.entry(id.clone()).or_insert_with(|| fresh.clone());
            slots
        });
        // Rotation may have dropped it again in between; then this caller alone has it.
        self.slots.load().get(id).cloned().unwrap_or(fresh)
    }
}

fn status(slot: &Slot) -> CertificateStatus {
    let Plan { next, failures, last_error } = slot.plan().clone();
    let life = slot.current.load().as_ref().map(|identity| (identity.not_before(), identity.not_after()));
    CertificateStatus { id: slot.id.clone(), life, renew_at: next, failures, last_error }
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
