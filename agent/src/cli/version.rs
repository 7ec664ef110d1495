//! `weft version`: of this command, and of what runs in the cluster.

use std::{collections::BTreeMap, process::ExitCode};

use serde::Serialize;

use super::{
    ask, client,
    mesh::{Mesh, Where},
    output::{self, TextForm},
};
use crate::admin::status::Status;

/// Arguments of `weft version`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only of this command: nobody is asked
    #[arg(long)]
    pub client: bool,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = TextForm::Text)]
    pub output: TextForm,
    #[command(flatten)]
    mesh: Where,
}

/// Versions.
#[derive(Debug, Default, Serialize)]
pub(super) struct Versions {
    /// This command's.
    pub(super) client: String,
    /// Of the control plane's replicas, by pod.
    pub(super) control: BTreeMap<String, String>,
    /// Of the agents, by node.
    pub(super) agents: BTreeMap<String, String>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut versions = Versions { client: env!("CARGO_PKG_VERSION").to_owned(), ..Versions::default() };
    let mut complaints = Vec::new();
    if !args.client {
        complaints = ask::block_on(async {
            match args.mesh.find().await {
                Ok(mesh) => ask_all(&mesh, &mut versions).await,
                // The command's own version is known wherever it runs.
                Err(error) => {
                    eprintln!("weft: {error:#}");
                    Ok(Vec::new())
                }
            }
        })?;
    }
    match args.output.data(&versions)? {
        Some(data) => output::print(&data)?,
        None => output::print(&render(&versions))?,
    }
    for complaint in &complaints {
        eprintln!("weft: {complaint}");
    }
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn ask_all(mesh: &Mesh, versions: &mut Versions) -> anyhow::Result<Vec<String>> {
    let said = mesh.ask_all("/status").await.parsed::<Status>();
    let mut complaints = said.complaints();
    versions.agents = said.answers.into_iter().map(|(agent, status)| (agent.node, status.version)).collect();
    let Some(cluster) = &mesh.cluster else { return Ok(complaints) };
    for (pod, way) in cluster.control().await? {
        match client::get(&way, "/version").await {
            Ok(answer) if answer.status.is_success() => {
                versions.control.insert(pod, answer.body.trim().to_owned());
            }
            Ok(answer) => complaints.push(format!("{pod}: {}", answer.body.trim_end())),
            Err(error) => complaints.push(format!("{pod}: {error:#}")),
        }
    }
    Ok(complaints)
}

/// One line for each kind, and more where versions differ.
pub(super) fn render(versions: &Versions) -> String {
    let mut text = format!("weft {}\n", versions.client);
    for (kind, of, all) in [("control", "replicas", &versions.control), ("agents", "nodes", &versions.agents)] {
        let mut by_version: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (who, version) in all {
            by_version.entry(version).or_default().push(who);
        }
        let differ = by_version.len() > 1;
        for (version, who) in by_version {
            let names = if differ { format!(": {}", who.join(", ")) } else { String::new() };
            text.push_str(&format!("{kind:<8} {version} ({} {of}{names})\n", who.len()));
        }
    }
    text
}
