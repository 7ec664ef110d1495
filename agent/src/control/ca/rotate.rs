//! Takes the steps of a change of the root, on the leader.
//!
//! Each step reads the Secret, decides by [`super::rotation`], and writes only if nobody wrote in between: a leader that
//! does not know yet that it is none can do no harm.

use std::time::{Duration, SystemTime};

use kube::Client;

use super::{
    authority::{Authority, Following},
    rotation::{self, Step, Timing},
    state::CaState,
    store::{Store, StoreError},
    trusted_by::TrustedBy,
};
use crate::{
    control::accounts::TrustedAccounts,
    identity::{Signer, SignerError, material::NewRoot},
};

/// Pause after a failure, and between looks whether everybody trusts the new root.
const PAUSE: Duration = Duration::from_secs(5);
/// Pause while there is nothing to do until something changes.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What the steps need to know.
pub struct Rotate {
    /// The Secrets.
    pub store: Store,
    /// The API server, for asking what namespaces and agents have.
    pub client: Client,
    /// Agents run as these.
    pub accounts: TrustedAccounts,
    /// Their port for questions.
    pub agent_port: u16,
    /// How long phases last.
    pub timing: Timing,
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the Secret is not usable: {0}")]
    Signer(#[from] SignerError),
}

impl Rotate {
    /// Takes steps as their time comes, for as long as it is polled.
    pub async fn run(self, mut authority: Following) {
        loop {
            let current = authority.borrow_and_update().clone();
            let wait = match current {
                Some(current) => self.step(&current).await.unwrap_or_else(|error| {
                    tracing::warn!(%error, "a step in the change of the mesh's root was not taken; trying again");
                    PAUSE
                }),
                None => PAUSE,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = authority.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Takes the step that is due. Returns how long there is nothing to do.
    async fn step(&self, current: &Authority) -> Result<Duration, StepError> {
        // Plugged-in material is the operator's to change.
        let Some(known) = &current.state else { return Ok(MAX_PAUSE) };
        let life = current.signer.life();
        if let Step::Wait(wait) = rotation::next_step(known.phase, known.request, life, SystemTime::now(), self.timing)
        {
            return Ok(wait);
        }
        // What the watch brought may be old by now.
        let Some(secret) = self.store.own().await? else { return Ok(PAUSE) };
        let Ok(state) = CaState::read(secret) else { return Ok(PAUSE) };
        let trust_domain = current.signer.trust_domain();
        let signer = Signer::new(state.files(), trust_domain)?;
        let now = SystemTime::now();
        let next = match rotation::next_step(state.phase, state.request, signer.life(), now, self.timing) {
            Step::Wait(wait) => return Ok(wait),
            Step::Begin => state.begun(NewRoot::generate(trust_domain, now)?, now),
            Step::Switch => state.switched(now),
            Step::Retire => state.retired(),
            Step::Confirm => {
                let everybody = TrustedBy { client: &self.client, accounts: &self.accounts, port: self.agent_port };
                let missing = everybody.missing(signer.roots()).await;
                if !missing.is_empty() {
                    self.wait_for(state, &missing.join("; ")).await?;
                    return Ok(PAUSE);
                }
                state.switched(now)
            }
        };
        // Never write what could not sign.
        Signer::new(next.files(), trust_domain)?;
        self.store.replace(&next).await?;
        tracing::info!(phase = next.phase.name(), "the mesh's root changes");
        Ok(PAUSE)
    }

    /// Says who does not trust the new root yet, where `weft ca status` finds it.
    async fn wait_for(&self, state: CaState, missing: &str) -> Result<(), StoreError> {
        if state.waiting_for() == Some(missing) {
            return Ok(());
        }
        tracing::warn!(
            missing,
            "the new root does not sign yet: not everybody trusts it; `weft ca rotate --unconfirmed` goes on all the same"
        );
        self.store.replace(&state.waiting(missing)).await
    }
}
