//! `weft config`: what a pod's traffic is decided by, as `istioctl proxy-config` shows it for a sidecar.

use anyhow::Context;
use clap::ValueEnum;

use super::{
    ask, client,
    mesh::Where,
    output::{self, ListForm},
    pod::Namespace,
    table::Table,
};
use crate::admin::config::PodConfig;

/// Arguments of `weft config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod: name, pod/name or namespace/name
    pub pod: String,
    /// One view of four [default: all]
    #[arg(value_enum)]
    pub view: Option<View>,
    #[command(flatten)]
    namespace: Namespace,
    /// Only hosts that contain this
    #[arg(long, value_name = "TEXT")]
    pub host: Option<String>,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = ListForm::Table)]
    pub output: ListForm,
    #[command(flatten)]
    mesh: Where,
}

/// A view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// What is captured, and how it is taken in.
    #[value(alias = "listener")]
    Listeners,
    /// Where hosts lead.
    #[value(alias = "route")]
    Routes,
    /// What destinations are.
    #[value(alias = "cluster")]
    Clusters,
    /// The addresses behind them.
    #[value(alias = "endpoint")]
    Endpoints,
}

const ALL: [View; 4] = [View::Listeners, View::Routes, View::Clusters, View::Endpoints];

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut config = ask::block_on(async {
        let mesh = args.mesh.find().await?;
        let pod = mesh.pod(&args.pod, args.namespace.namespace.as_deref())?;
        let (agent, body) = mesh.ask_pods_agent(&pod, &client::page("/config", [("pod", pod.as_str())])).await?;
        let config: PodConfig = serde_json::from_str(&body)
            .with_context(|| format!("the agent of node {} is of another version", agent.node))?;
        Ok(config)
    })?;
    if let Some(host) = &args.host {
        narrow(&mut config, host);
    }
    let text = match (args.output.data(&config)?, args.view) {
        (None, view) => render(&config, view, args.output == ListForm::Wide),
        (Some(all), None) => all,
        (Some(_), Some(View::Listeners)) => args.output.data(&config.listeners)?.unwrap_or_default(),
        (Some(_), Some(View::Routes)) => args.output.data(&config.routes)?.unwrap_or_default(),
        (Some(_), Some(View::Clusters)) => args.output.data(&config.clusters)?.unwrap_or_default(),
        (Some(_), Some(View::Endpoints)) => args.output.data(&config.endpoints)?.unwrap_or_default(),
    };
    output::print(&text)
}

fn narrow(config: &mut PodConfig, host: &str) {
    config.routes.retain(|route| route.host.contains(host));
    config.clusters.retain(|cluster| cluster.host.contains(host));
    config.endpoints.retain(|endpoint| endpoint.cluster.contains(host));
}

/// One view, or all under their names.
pub(super) fn render(config: &PodConfig, view: Option<View>, wide: bool) -> String {
    if let Some(view) = view {
        return table(config, view, wide).render();
    }
    let section = |view: &View| {
        let name = format!("{view:?}").to_ascii_uppercase();
        format!("{name}\n{}", table(config, *view, wide).render())
    };
    format!("{} (node {})\n\n{}", config.pod, config.node, ALL.iter().map(section).collect::<Vec<_>>().join("\n"))
}

fn table(config: &PodConfig, view: View, wide: bool) -> Table {
    match view {
        View::Listeners => listeners(config),
        View::Routes => routes(config, wide),
        View::Clusters => clusters(config, wide),
        View::Endpoints => endpoints(config, wide),
    }
}

fn listeners(config: &PodConfig) -> Table {
    let mut table = Table::new(&["DIRECTION", "PORT", "MTLS", "WHAT", "PROTOCOL"]);
    for one in &config.listeners {
        let cells = [&one.direction, &one.port, &one.mtls, &one.what, &one.protocol];
        table.add(cells.map(|cell| dash(cell)).to_vec());
    }
    table
}

fn routes(config: &PodConfig, wide: bool) -> Table {
    let mut table = Table::new(&["HOST", "MATCH", "TO", "FROM"]);
    for one in &config.routes {
        let cells = [host(&one.host, wide), one.matches.clone(), hosts_in(&one.to, wide), dash(&one.from)];
        table.add(cells.to_vec());
    }
    table
}

fn clusters(config: &PodConfig, wide: bool) -> Table {
    let mut headings = vec!["HOST", "PORT", "SUBSET", "READY", "TLS", "DESTINATIONRULE"];
    headings.extend(wide.then_some(["LOAD BALANCER", "PROTOCOL"]).into_iter().flatten());
    let mut table = Table::new(&headings);
    for one in &config.clusters {
        let mut row = vec![
            host(&one.host, wide),
            one.port.to_string(),
            dash(&one.subset),
            format!("{}/{}", one.ready, one.endpoints),
            one.tls.clone(),
            dash(&one.destination_rule),
        ];
        row.extend(wide.then(|| [one.load_balancer.clone(), one.protocol.clone()]).into_iter().flatten());
        table.add(row);
    }
    table
}

fn endpoints(config: &PodConfig, wide: bool) -> Table {
    let mut headings = vec!["CLUSTER", "ADDRESS", "READY", "MESH", "POD"];
    headings.extend(wide.then_some(["NODE", "SUBSETS"]).into_iter().flatten());
    let mut table = Table::new(&headings);
    let yes = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    for one in &config.endpoints {
        let mut row = vec![
            hosts_in(&one.cluster, wide),
            one.address.to_string(),
            yes(one.ready),
            yes(one.in_mesh),
            dash(&one.pod),
        ];
        row.extend(wide.then(|| [dash(&one.node), dash(&one.subsets.join(","))]).into_iter().flatten());
        table.add(row);
    }
    table
}

fn dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// Without what the names of all Services end with: it would fill the screen.
fn host(host: &str, wide: bool) -> String {
    if wide { host.to_owned() } else { host.strip_suffix(SERVICES).unwrap_or(host).to_owned() }
}

/// The same, in a text with several names.
fn hosts_in(text: &str, wide: bool) -> String {
    if wide { text.to_owned() } else { text.replace(SERVICES, "") }
}

const SERVICES: &str = ".svc.cluster.local";

#[cfg(test)]
mod tests;
