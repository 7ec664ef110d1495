//! `weft describe`: everything that applies to a pod or Service, by name.

use std::fmt::Write;

use anyhow::Context;

use super::{
    ask, client,
    mesh::Where,
    output::{self, TextForm},
    pod::{Kind, Namespace},
    status,
    table::Table,
};
use crate::admin::{
    describe::{PodDescription, ServiceDescription, ServiceRules},
    status::Problem,
};

/// Arguments of `weft describe`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// pod/name, svc/name, namespace/name, or a kind followed by a name; without a kind it is a pod
    #[arg(required = true, num_args = 1..=2, value_name = "WHAT")]
    pub what: Vec<String>,
    #[command(flatten)]
    namespace: Namespace,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = TextForm::Text)]
    pub output: TextForm,
    #[command(flatten)]
    mesh: Where,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let what = args.what.join("/");
    let text = ask::block_on(async {
        let mesh = args.mesh.find().await?;
        let (kind, name) = mesh.pod_or_service(&what, args.namespace.namespace.as_deref())?;
        match kind {
            Kind::Pod => {
                let page = client::page("/describe", [("pod", name.as_str())]);
                let (agent, body) = mesh.ask_pods_agent(&name, &page).await?;
                let it: PodDescription = serde_json::from_str(&body).with_context(|| version(&agent.node))?;
                Ok(args.output.data(&it)?.unwrap_or_else(|| pod(&it)))
            }
            Kind::Service => {
                let (agent, body) = mesh.ask_any(&client::page("/describe", [("service", name.as_str())])).await?;
                let it: ServiceDescription = serde_json::from_str(&body).with_context(|| version(&agent.node))?;
                Ok(args.output.data(&it)?.unwrap_or_else(|| service(&it)))
            }
        }
    })?;
    output::print(&text)
}

fn version(node: &str) -> String {
    format!("the agent of node {node} is of another version")
}

/// The text on a pod.
pub(super) fn pod(it: &PodDescription) -> String {
    let status = &it.status;
    let mut out = format!("Pod {}/{}\n", status.namespace, status.name);
    let addresses: Vec<String> = it.addresses.iter().map(ToString::to_string).collect();
    let ready = if it.ready { "ready" } else { "not ready" };
    item(&mut out, "node", &format!("{}, {}, {ready}", it.node, addresses.join(" ")));
    item(&mut out, "identity", &status.identity);
    item(
        &mut out,
        "enrolled",
        &status.not_enrolled_because.as_ref().map_or("yes".to_owned(), |why| format!("no: {why}")),
    );
    item(&mut out, "capture", &status::capture(status));
    let certificate = status.certificate.as_ref().map_or_else(|| "none".to_owned(), status::expiry);
    item(&mut out, "cert ends", &certificate);
    for reason in status::reasons(status) {
        item(&mut out, "", &reason);
    }
    out.push_str("\nWHAT ARRIVES\n");
    let mut ports = Table::new(&["PORT", "MTLS", "SERVICES", "PROTOCOL"]);
    for port in &it.ports {
        let number = port.number.map_or_else(|| "others".to_owned(), |number| number.to_string());
        let services = if port.services.is_empty() { "-".to_owned() } else { port.services.join(", ") };
        ports.add(vec![number, port.mtls.clone(), services, port.protocol.clone()]);
    }
    indent(&mut out, &ports.render());
    let peers = if it.peer_authentications.is_empty() { "none".to_owned() } else { it.peer_authentications.join(", ") };
    item(&mut out, "PeerAuthentication", &peers);
    if it.authorization_policies.is_empty() {
        item(&mut out, "AuthorizationPolicy", "none: everything is allowed");
    }
    for policy in &it.authorization_policies {
        let rules = if policy.rules == 1 { "1 rule".to_owned() } else { format!("{} rules", policy.rules) };
        let dry_run = if policy.dry_run { ", dry run" } else { "" };
        item(&mut out, "AuthorizationPolicy", &format!("{} {} ({rules}{dry_run})", policy.name, policy.action));
    }
    for rules in &it.services {
        out.push('\n');
        self::rules(&mut out, rules);
    }
    problems(&mut out, &it.problems);
    out
}

/// The text on a Service.
pub(super) fn service(it: &ServiceDescription) -> String {
    let mut out = String::new();
    rules(&mut out, &it.rules);
    let addresses: Vec<String> = it.addresses.iter().map(ToString::to_string).collect();
    item(&mut out, "name", format!("{} {}", it.resolution, addresses.join(" ")).trim_end());
    for port in &it.ports {
        item(&mut out, "port", port);
    }
    out.push_str("\nENDPOINTS\n");
    let mut table = Table::new(&["ADDRESS", "READY", "MESH", "MTLS", "POD", "POLICIES"]);
    let yes = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    let dash = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    for one in &it.endpoints {
        table.add(vec![
            one.address.to_string(),
            yes(one.ready),
            yes(one.in_mesh),
            dash(one.mtls.join("/")),
            dash(one.pod.clone().unwrap_or_default()),
            dash(one.authorization_policies.join(",")),
        ]);
    }
    indent(&mut out, &table.render());
    problems(&mut out, &it.problems);
    out
}

fn rules(out: &mut String, it: &ServiceRules) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "Service {}", it.host);
    if it.routes.is_empty() {
        item(out, "routes", "none: its endpoints, in turn");
    }
    for route in &it.routes {
        item(out, "route", &format!("{}: {} -> {}", route.from, route.matches, route.to));
    }
    match &it.destination_rule {
        None => item(out, "policy", "no DestinationRule: mTLS wherever the pod is in the mesh"),
        Some(name) => {
            item(out, "policy", &format!("DestinationRule {name}: TLS {}, {}", it.tls, it.load_balancer));
        }
    }
    for subset in &it.subsets {
        let labels = if subset.labels.is_empty() { "all".to_owned() } else { subset.labels.join(" ") };
        item(out, "subset", &format!("{} ({labels}): {} ready", subset.name, subset.ready));
    }
}

fn problems(out: &mut String, problems: &[Problem]) {
    if !problems.is_empty() {
        out.push_str("\nPROBLEMS\n");
    }
    for problem in problems {
        let _ = writeln!(out, "{}", status::problem(problem));
    }
}

fn item(out: &mut String, name: &str, text: &str) {
    let _ = writeln!(out, "{}", format!("  {name:<10} {text}").trim_end());
}

fn indent(out: &mut String, text: &str) {
    for line in text.lines() {
        let _ = writeln!(out, "  {line}");
    }
}

#[cfg(test)]
mod tests;
