//! What signs now: the material in force, from whichever Secret has it, renewed whenever that changes.
//!
//! Every replica follows the Secrets by itself and signs in memory. What becomes unusable or is deleted leaves the last
//! good material in force: a mistake in a Secret must not take the mesh's certificates away.

use std::{pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use tokio::sync::watch;

use super::{
    state::{self, CaState, OWN_SECRET, PLUGGED_IN_SECRET},
    store::{Store, StoreError},
};
use crate::{identity::Signer, telemetry::control::ControlMetrics};

/// How long to wait before making a root is tried again, and before a certificate that was not yet valid is looked at.
const RETRY: Duration = Duration::from_secs(5);

/// Material in force.
pub struct Authority {
    /// Signs.
    pub signer: Signer,
    /// Name of the Secret that it comes from.
    pub secret: &'static str,
    /// How far a change of the root has come; `None` where an operator plugged in the material, whose change is theirs.
    pub state: Option<CaState>,
    /// The published bundle, PEM.
    pub bundle: String,
    /// Which Secret in which version it comes from.
    version: (Option<String>, Option<String>),
}

/// The ear for changes; `None` until there is something that signs.
pub type Following = watch::Receiver<Option<Arc<Authority>>>;

/// What the watches saw; the outer `None`: nothing yet.
#[derive(Default)]
struct Seen {
    plugged_in: Option<Option<Secret>>,
    own: Option<Option<Secret>>,
}

/// Follows the Secrets until nobody listens any more, and makes a root where there is none.
pub async fn follow(
    store: Store,
    mut trust_domain: watch::Receiver<Option<Arc<str>>>,
    metrics: Arc<ControlMetrics>,
    authority: watch::Sender<Option<Arc<Authority>>>,
) {
    let mut plugged_in = pin!(store.follow(PLUGGED_IN_SECRET));
    let mut own = pin!(store.follow(OWN_SECRET));
    let mut seen = Seen::default();
    loop {
        let domain = trust_domain.borrow_and_update().clone();
        let retry = match &domain {
            Some(domain) => refresh(&store, &seen, domain, &metrics, &authority).await,
            None => false,
        };
        let pause = async {
            match retry {
                true => tokio::time::sleep(RETRY).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(secret) = plugged_in.next() => seen.plugged_in = Some(secret),
            Some(secret) = own.next() => seen.own = Some(secret),
            Ok(()) = trust_domain.changed() => {}
            () = pause => {}
            () = authority.closed() => return,
        }
    }
}

/// Puts into force what was seen. Returns whether to try again soon.
async fn refresh(
    store: &Store,
    seen: &Seen,
    trust_domain: &str,
    metrics: &ControlMetrics,
    authority: &watch::Sender<Option<Arc<Authority>>>,
) -> bool {
    let (Some(plugged_in), Some(own)) = (&seen.plugged_in, &seen.own) else { return false };
    let made = match (plugged_in, own) {
        (Some(secret), _) => plugged(secret, trust_domain),
        (None, Some(secret)) => owned(secret, trust_domain),
        (None, None) if authority.borrow().is_some() => {
            tracing::error!(
                "the Secret with the mesh's root is gone; signing goes on with what was in it. Put it back, or restart \
                 weft control to have a new root made, which nobody trusts yet"
            );
            return false;
        }
        (None, None) => return create(store, trust_domain).await,
    };
    match made {
        Ok(new) => {
            put_into_force(new, metrics, authority);
            false
        }
        Err(reason) => {
            let rest =
                if authority.borrow().is_some() { "; the last good one signs on" } else { "; nothing is signed" };
            tracing::error!("{reason}{rest}");
            // A certificate that is not valid yet becomes so without anybody's doing.
            true
        }
    }
}

async fn create(store: &Store, trust_domain: &str) -> bool {
    match store.create(trust_domain).await {
        Ok(()) => {
            tracing::info!(trust_domain, "made a root for the mesh");
            false
        }
        // The watch brings what the other replica made.
        Err(StoreError::Overtaken) => false,
        Err(error) => {
            tracing::warn!(%error, "cannot make a root for the mesh; trying again");
            true
        }
    }
}

fn plugged(secret: &Secret, trust_domain: &str) -> Result<Authority, String> {
    let signer = Signer::new(state::files(secret), trust_domain)
        .map_err(|error| format!("Secret {PLUGGED_IN_SECRET} is not usable: {error}"))?;
    let bundle = signer.roots().to_pem();
    Ok(Authority { signer, secret: PLUGGED_IN_SECRET, state: None, bundle, version: version(secret) })
}

pub(super) fn owned(secret: &Secret, trust_domain: &str) -> Result<Authority, String> {
    let unusable = |error: String| format!("Secret {OWN_SECRET} is not usable: {error}");
    let state = CaState::read(secret.clone()).map_err(|error| unusable(error.to_string()))?;
    let signer = Signer::new(state.files(), trust_domain).map_err(|error| unusable(error.to_string()))?;
    let bundle = signer.roots().to_pem();
    Ok(Authority { signer, secret: OWN_SECRET, state: Some(state), bundle, version: version(secret) })
}

fn version(secret: &Secret) -> (Option<String>, Option<String>) {
    (secret.metadata.uid.clone(), secret.metadata.resource_version.clone())
}

fn put_into_force(new: Authority, metrics: &ControlMetrics, authority: &watch::Sender<Option<Arc<Authority>>>) {
    // A watch that began anew says again what is known.
    let is_known =
        |last: &Arc<Authority>| last.version == new.version && last.signer.trust_domain() == new.signer.trust_domain();
    if authority.borrow().as_ref().is_some_and(is_known) {
        return;
    }
    let roots = new.signer.roots();
    metrics.roots.set(i64::try_from(roots.roots().len()).unwrap_or(i64::MAX));
    metrics.set_expiry(roots.first_end().unwrap_or(new.signer.life().1), new.signer.life().1);
    if let Some(last) = authority.borrow().as_ref() {
        let still = |root| roots.roots().contains(root);
        if !last.signer.roots().roots().iter().any(still) {
            tracing::error!(
                "none of the roots of before is trusted any more: certificates signed until now are refused. To change \
                 a root without that, keep both in root-cert.pem for a day"
            );
        }
    }
    let phase = new.state.as_ref().map(|state| state.phase.name());
    tracing::info!(secret = new.secret, phase, trusted = ?roots.fingerprints(), "certificate authority in force");
    authority.send_replace(Some(Arc::new(new)));
}
