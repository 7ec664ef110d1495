//! The roots that peers are judged by at this moment: one set for all certificates of a node.
//!
//! [`super::verify`] looks at it in every handshake, so that a change of the mesh's root acts at once and not with each
//! certificate's next renewal. Two sources say what the roots are: each answer of the authority, and, where there is a
//! control plane, its ConfigMap in the file `--ca-root` ([`super::RootFile`]). [`super::Identities`] passes both on.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwapOption;
use rustls::{
    RootCertStore,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use super::{
    authority::{CaError, TrustBundle},
    tls,
};

/// How far a ConfigMap may be behind the control plane's answers: the kubelet refreshes mounted ones every minute or two.
const PUBLICATION_LAG: Duration = Duration::from_secs(5 * 60);

/// The set in force, and who said so.
#[derive(Debug)]
pub(super) struct Anchors {
    current: ArcSwapOption<Roots>,
    said: Mutex<Said>,
}

/// A set in the forms that handshakes need.
#[derive(Debug)]
pub(super) struct Roots {
    pub(super) bundle: TrustBundle,
    /// For judging servers.
    pub(super) store: Arc<RootCertStore>,
    /// For judging clients: the chain alone, not the identity.
    pub(super) clients: Arc<dyn ClientCertVerifier>,
}

/// What each source said last.
#[derive(Clone, Debug, Default)]
struct Said {
    answered: Option<(TrustBundle, SystemTime)>,
    published: Option<TrustBundle>,
}

impl Anchors {
    /// No roots yet: every peer is refused.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { current: ArcSwapOption::empty(), said: Mutex::default() })
    }

    /// Exactly these roots.
    pub(super) fn of(bundle: TrustBundle) -> Result<Arc<Self>, CaError> {
        let anchors = Self::new();
        anchors.update(|said| said.published = Some(bundle))?;
        Ok(anchors)
    }

    /// The set in force.
    pub(super) fn load(&self) -> Option<Arc<Roots>> {
        self.current.load_full()
    }

    /// The authority named its roots beside a certificate.
    pub(super) fn answered(&self, bundle: TrustBundle, now: SystemTime) -> Result<(), CaError> {
        self.update(|said| said.answered = Some((bundle, now))).map(Self::tell)
    }

    /// The control plane published its roots anew. An older answer has nothing to add to that.
    pub(super) fn published(&self, bundle: TrustBundle, now: SystemTime) -> Result<(), CaError> {
        self.update(|said| {
            let is_recent = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age < PUBLICATION_LAG);
            said.answered = said.answered.take().filter(|(_, at)| is_recent(*at));
            said.published = Some(bundle);
        })
        .map(Self::tell)
    }

    fn tell(changed: Option<Arc<Roots>>) {
        if let Some(roots) = changed {
            tracing::info!(roots = ?roots.bundle.fingerprints(), "peers are judged by these roots from now on");
        }
    }

    /// Returns the new set if it is another one.
    fn update(&self, change: impl FnOnce(&mut Said)) -> Result<Option<Arc<Roots>>, CaError> {
        // Nothing panics between the change and its use, so a poisoned lock holds a whole value.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = said.clone();
        change(&mut next);
        let Some(bundle) = next.together() else { return Ok(None) };
        if self.current.load().as_ref().is_some_and(|roots| roots.bundle == bundle) {
            *said = next;
            return Ok(None);
        }
        // What cannot be used is forgotten, or it would spoil what comes after it.
        let roots = Arc::new(Roots::new(bundle)?);
        *said = next;
        self.current.store(Some(roots.clone()));
        Ok(Some(roots))
    }
}

impl Said {
    /// All roots that somebody vouches for, in a fixed order.
    fn together(&self) -> Option<TrustBundle> {
        let answered = self.answered.iter().flat_map(|(bundle, _)| bundle.roots());
        let mut all: Vec<_> = self.published.iter().flat_map(TrustBundle::roots).chain(answered).cloned().collect();
        all.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
        all.dedup();
        TrustBundle::new(all).ok()
    }
}

impl Roots {
    fn new(bundle: TrustBundle) -> Result<Self, CaError> {
        let store = bundle.root_store()?;
        let clients = WebPkiClientVerifier::builder_with_provider(store.clone(), tls::provider())
            // Mesh clients have one certificate, so naming our roots would only cost bytes.
            .clear_root_hint_subjects()
            .build()
            .map_err(|error| CaError::BadBundle(error.to_string()))?;
        Ok(Self { bundle, store, clients })
    }
}

#[cfg(test)]
mod tests;
