//! `weft explain`: what would become of a request, told as a story from one pod to the other.

use std::fmt::Write;

use anyhow::Context;

use super::{
    ask, client,
    mesh::{Mesh, Where},
    output::{self, TextForm},
    pod::Namespace,
};
use crate::admin::explain::{Destination, Endpoint, Explanation, Outcome, Route};

/// Arguments of `weft explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod that sends: name, pod/name or namespace/name
    #[arg(long, value_name = "POD")]
    pub from: String,
    /// Where to: http://name:port/path, or name:port
    #[arg(long, value_name = "URL")]
    pub to: String,
    #[command(flatten)]
    namespace: Namespace,
    /// Method of the request
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// Header of the request, `name: value`; may be given several times
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header)]
    pub headers: Vec<String>,
    /// A connection of opaque bytes instead of a request
    #[arg(long)]
    pub tcp: bool,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = TextForm::Text)]
    pub output: TextForm,
    #[command(flatten)]
    mesh: Where,
}

fn header(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some((name, _)) if !name.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("a header is written name: value".to_owned()),
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let method = args.method.to_ascii_uppercase();
    let explanation = ask::block_on(async {
        let mesh = args.mesh.find().await?;
        let from = mesh.pod(&args.from, args.namespace.namespace.as_deref())?;
        let mut parameters = vec![("from", from.as_str()), ("to", &args.to), ("method", &method)];
        parameters.extend(args.headers.iter().map(|header| ("header", header.as_str())));
        if args.tcp {
            parameters.push(("tcp", "true"));
        }
        ask_all(&mesh, &from, &client::page("/explain", parameters)).await
    })?;
    match args.output.data(&explanation)? {
        Some(data) => output::print(&data),
        None => output::print(&render(&explanation)),
    }
}

/// On a cluster the agent of the source's node is asked. On one machine every agent is: they share a world, and if the
/// source's own does not run, another one's word is better than none.
async fn ask_all(mesh: &Mesh, from: &str, page: &str) -> anyhow::Result<Explanation> {
    if mesh.cluster.is_some() {
        let (agent, body) = mesh.ask_pods_agent(from, page).await?;
        return serde_json::from_str(&body)
            .with_context(|| format!("the agent of node {} is of another version", agent.node));
    }
    let said = mesh.ask_all(page).await.parsed::<Explanation>();
    let mut refusals: Vec<String> = said.refusals.into_iter().map(|(_, words)| words).chain(said.silent).collect();
    refusals.dedup();
    let mut explanations: Vec<Explanation> = said.answers.into_iter().map(|(_, explanation)| explanation).collect();
    // The source's own decides in truth.
    explanations.sort_by_key(|one| one.source.node != one.answered_by);
    explanations.into_iter().next().ok_or_else(|| anyhow::anyhow!("{}", refusals.join("; ")))
}

/// The report.
pub(super) fn render(it: &Explanation) -> String {
    let mut out = String::new();
    let mut lines = Lines(&mut out);
    lines.plain(&format!("{} -> {}", it.source.pod, it.asked));
    for header in &it.headers {
        lines.plain(&format!("    {header}"));
    }
    lines.heading(&format!("SOURCE {} (node {})", it.source.pod, it.source.node));
    lines.item("identity", &it.source.identity);
    let address = it.dialled.address.map(|address| format!("{address}, ")).unwrap_or_default();
    lines.item("dials", &format!("{address}{}", it.dialled.what));
    lines.item("speaks", &it.dialled.speaks);
    if let Some(why) = &it.bypass {
        lines.item("bypassed", &format!("{why}; the connection goes its way as if there were no mesh"));
    }
    if let Some(of) = &it.route {
        route(&mut lines, of);
    }
    for destination in &it.destinations {
        self::destination(&mut lines, destination, it.destinations.len() > 1);
    }
    let chosen = chosen(it);
    if let Some(endpoint) = chosen {
        server(&mut lines, endpoint);
    }
    others(&mut lines, it, chosen);
    if !it.notes.is_empty() {
        lines.heading("NOTES");
        for note in &it.notes {
            lines.plain(&format!("  {note}"));
        }
    }
    lines.plain("");
    lines.plain(&format!("OUTCOME: {}", it.outcome.text));
    if it.answered_by != it.source.node {
        let (other, own) = (&it.answered_by, &it.source.node);
        lines.plain(&format!("(as the agent of node {other} sees it; the one of node {own} was not to be asked)"));
    }
    out
}

struct Lines<'a>(&'a mut String);

impl Lines<'_> {
    fn plain(&mut self, text: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{text}");
    }

    fn heading(&mut self, text: &str) {
        self.plain("");
        self.plain(text);
    }

    fn item(&mut self, name: &str, text: &str) {
        self.plain(format!("  {name:<10} {text}").trim_end());
    }
}

fn route(lines: &mut Lines<'_>, route: &Route) {
    let Some(virtual_service) = &route.virtual_service else {
        return lines.item("route", "default: no VirtualService speaks for it");
    };
    let hosts = route.hosts.join(", ");
    match (&route.entry, &route.matched) {
        (Some(entry), matched) => {
            let name = route.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
            lines.item("route", &format!("VirtualService {virtual_service} {entry}{name}, for host {hosts}"));
            lines.item("", &format!("matches {}", matched.as_deref().unwrap_or("everything")));
        }
        (None, _) => {
            lines.item("route", &format!("VirtualService {virtual_service}, for host {hosts}: no entry matches"));
        }
    }
    for passed_over in &route.passed_over {
        lines.item("", &format!("passed over: {passed_over}"));
    }
    for mirror in &route.mirrors {
        lines.item("copies", mirror);
    }
}

fn destination(lines: &mut Lines<'_>, destination: &Destination, has_others: bool) {
    let share = destination.share.map(|share| format!("{} ", percent(share))).unwrap_or_default();
    let chosen = mark(has_others && destination.chosen);
    lines.item("to", &format!("{share}{}{chosen}", destination.to));
    if let Some(refused) = &destination.refused {
        lines.item("", &format!("  {}", refused.text));
    }
    for endpoint in &destination.endpoints {
        let chosen = mark(endpoint.chosen && (has_others || destination.endpoints.len() > 1));
        lines.item("", &format!("  {}{chosen}", place(endpoint)));
    }
    if destination.has_more {
        lines.item("", "  and more");
    }
}

fn mark(is_chosen: bool) -> &'static str {
    if is_chosen { "   <- chosen this time" } else { "" }
}

fn percent(share: f64) -> String {
    if share.fract() == 0.0 { format!("{share:.0}%") } else { format!("{share:.1}%") }
}

fn place(endpoint: &Endpoint) -> String {
    let address = endpoint.address.map(|address| address.to_string());
    let pod = endpoint.pod.as_ref().map(|pod| {
        let node = endpoint.node.as_ref().map(|node| format!(" (node {node})")).unwrap_or_default();
        format!("pod {pod}{node}")
    });
    let parts: Vec<String> = address.into_iter().chain(pod).collect();
    if parts.is_empty() { "whatever address the name has".to_owned() } else { parts.join(" ") }
}

fn chosen(it: &Explanation) -> Option<&Endpoint> {
    it.destinations.iter().filter(|one| one.chosen).flat_map(|one| &one.endpoints).find(|endpoint| endpoint.chosen)
}

fn server(lines: &mut Lines<'_>, endpoint: &Endpoint) {
    lines.heading(&format!("DESTINATION {}", place(endpoint)));
    match &endpoint.mtls {
        Some(identity) => lines.item("wire", &format!("mTLS, and the other end must be {identity}")),
        None => lines.item("wire", &format!("plain text: {}", endpoint.secured_because)),
    }
    if let Some(mode) = &endpoint.server.mtls_mode {
        lines.item("mTLS mode", mode);
    }
    lines.item("verdict", &endpoint.server.verdict);
    for remark in &endpoint.server.remarks {
        lines.item("", remark);
    }
}

/// Other endpoints that would end otherwise: the dice decide what a person sees.
fn others(lines: &mut Lines<'_>, it: &Explanation, chosen: Option<&Endpoint>) {
    let kind = |outcome: &Outcome| (outcome.end, outcome.status);
    let differs = |endpoint: &&Endpoint| chosen.is_none_or(|chosen| kind(&chosen.outcome) != kind(&endpoint.outcome));
    let all = it.destinations.iter().flat_map(|one| &one.endpoints);
    let other: Vec<&Endpoint> = all.filter(|endpoint| !endpoint.chosen).filter(differs).collect();
    if other.is_empty() {
        return;
    }
    lines.heading("OTHER ENDPOINTS END OTHERWISE");
    for endpoint in other {
        lines.plain(&format!("  {}: {}", place(endpoint), endpoint.outcome.text));
    }
}
