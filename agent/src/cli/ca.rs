//! `weft ca`: the mesh's roots, and asking for another one.

use std::time::SystemTime;

use anyhow::{Context, bail};

use super::{
    ApiServerArgs, ask,
    output::{self, duration},
    table::Table,
};
use crate::{
    control::ca::{
        state::{self, CaState, OWN_SECRET, PLUGGED_IN_SECRET, Phase, Request},
        store::{Store, StoreError},
    },
    identity::{CertificateSummary, TrustBundle},
    kubernetes::SYSTEM_NAMESPACE,
};

/// How often a write is tried again that the control plane's own writes overtook.
const ATTEMPTS: usize = 5;

/// What of it.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show who signs, who is trusted, and how far a change of the root has come
    Status(StatusArgs),
    /// Have the mesh's root changed, in steps in which everybody trusts everybody
    Rotate(RotateArgs),
}

/// Arguments of `weft ca status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    #[command(flatten)]
    cluster: ApiServerArgs,
}

/// Arguments of `weft ca rotate`.
#[derive(Debug, clap::Args)]
pub struct RotateArgs {
    #[command(flatten)]
    cluster: ApiServerArgs,
    /// Let the new root sign when its time has come, also if not every agent says that it trusts it
    #[arg(long)]
    unconfirmed: bool,
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    ask::block_on(async {
        match command {
            Command::Status(args) => status(&Store::new(args.cluster.client().await?)).await,
            Command::Rotate(args) => rotate(&Store::new(args.cluster.client().await?), args.unconfirmed).await,
        }
    })
}

async fn status(store: &Store) -> anyhow::Result<()> {
    if let Some(secret) = store.plugged_in().await? {
        let files = state::files(&secret);
        let signer = files.certificate.to_vec();
        let roots = files.roots.filter(|roots| !roots.is_empty()).map_or_else(|| signer.clone(), <[u8]>::to_vec);
        let change = "plugged in; change it there, with both roots in root-cert.pem for a day in between";
        return output::print(&render(PLUGGED_IN_SECRET, change, &signer, &roots)?);
    }
    let secret = store.own().await?.with_context(none)?;
    let state = CaState::read(secret).with_context(|| format!("Secret {SYSTEM_NAMESPACE}/{OWN_SECRET}"))?;
    let signer = state.files().certificate.to_vec();
    output::print(&render(OWN_SECRET, &change(&state), &signer, &state.roots())?)
}

fn none() -> String {
    format!("there is no Secret {SYSTEM_NAMESPACE}/{OWN_SECRET}: weft control makes it when it runs")
}

/// How far a change has come, in words.
fn change(state: &CaState) -> String {
    let since = |since: SystemTime| duration(since.elapsed().unwrap_or_default().as_secs_f64());
    match (state.phase, state.request) {
        (Phase::Steady, None) => "none under way".to_owned(),
        (Phase::Steady, Some(_)) => "asked for; the leader of weft control begins it".to_owned(),
        (Phase::Spreading { since: at }, _) => {
            let waiting = state.waiting_for().map(|missing| format!(": {missing}")).unwrap_or_default();
            format!("spreading for {}: the new root is trusted and does not sign yet{waiting}", since(at))
        }
        (Phase::Switched { since: at }, _) => {
            format!(
                "switched {} ago: the new root signs, the old one is trusted until its last certificate ends",
                since(at)
            )
        }
    }
}

/// The report.
fn render(secret: &str, change: &str, signer: &[u8], roots: &[u8]) -> anyhow::Result<String> {
    let signer = TrustBundle::from_pem(signer).context("ca-cert.pem")?;
    let roots = TrustBundle::from_pem(roots).context("root-cert.pem")?;
    let mut table = Table::new(&["ROLE", "SUBJECT", "ENDS IN", "SHA-256"]);
    let signs = signer.roots().iter().take(1);
    let all = signs.filter(|signer| !roots.roots().contains(signer)).chain(roots.roots());
    for certificate in all {
        let summary = CertificateSummary::read(certificate)?;
        let signs = signer.roots().first() == Some(certificate);
        let role = match (signs, roots.roots().contains(certificate)) {
            (true, true) => "signs, trusted",
            (true, false) => "signs",
            (false, _) => "trusted",
        };
        let left = summary.not_after.duration_since(SystemTime::now());
        let left = left.map_or_else(|_past| "ended".to_owned(), |left| duration(left.as_secs_f64()));
        table.add(vec![role.to_owned(), summary.subject, left, summary.fingerprint]);
    }
    Ok(format!("SECRET   {SYSTEM_NAMESPACE}/{secret}\nCHANGE   {change}\n\n{}", table.render()))
}

async fn rotate(store: &Store, unconfirmed: bool) -> anyhow::Result<()> {
    if store.plugged_in().await?.is_some() {
        bail!(
            "the roots come from Secret {SYSTEM_NAMESPACE}/{PLUGGED_IN_SECRET}: add the new root to its root-cert.pem, \
             wait until it has reached everybody, replace ca-cert.pem and ca-key.pem, and drop the old root a day later"
        );
    }
    let request = if unconfirmed { Request::Unconfirmed } else { Request::Rotate };
    for _attempt in 0..ATTEMPTS {
        let state = CaState::read(store.own().await?.with_context(none)?)
            .with_context(|| format!("Secret {SYSTEM_NAMESPACE}/{OWN_SECRET}"))?;
        match state.phase {
            Phase::Spreading { .. } if !unconfirmed => bail!("a change is under way already: {}", change(&state)),
            Phase::Switched { .. } => bail!("a change is not over yet: {}", change(&state)),
            Phase::Steady | Phase::Spreading { .. } => {}
        }
        match store.replace(&state.requested(request)).await {
            Err(StoreError::Overtaken) => {}
            done => {
                done?;
                return output::print("asked for; `weft ca status` shows how far it has come\n");
            }
        }
    }
    bail!("the Secret is being changed by others all the time; try again")
}
