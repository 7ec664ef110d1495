//! `weft status`: every agent's pods and problems.

use std::process::ExitCode;

use anyhow::Context;

use super::{
    StateDir, ask, client,
    output::{self, TableOrJson, duration},
    table::Table,
};
use crate::admin::status::{Capture, Certificate, PodStatus, Problem, Severity, Status};

/// Arguments of `weft status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = TableOrJson::Table)]
    pub output: TableOrJson,
    #[command(flatten)]
    state: StateDir,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (statuses, silent) = ask::block_on(async {
        let (mut statuses, mut silent) = (Vec::new(), Vec::new());
        for agent in client::agents(&args.state.state_dir)? {
            match agent.get("/status").await {
                Ok(answer) if answer.status.is_success() => statuses.push(
                    serde_json::from_str::<Status>(&answer.body)
                        .with_context(|| format!("the agent of node {} is of another version", agent.node))?,
                ),
                Ok(answer) => silent.push(format!("agent of node {}: {}", agent.node, answer.body.trim_end())),
                Err(error) => silent.push(format!("{error:#}")),
            }
        }
        Ok((statuses, silent))
    })?;
    match args.output {
        TableOrJson::Json => output::print(&(serde_json::to_string_pretty(&statuses)? + "\n"))?,
        TableOrJson::Table => output::print(&statuses.iter().map(render).collect::<Vec<_>>().join("\n"))?,
    }
    for complaint in &silent {
        eprintln!("weft: {complaint}");
    }
    Ok(if silent.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One agent's report.
pub(super) fn render(status: &Status) -> String {
    let mut out = head(status);
    if !status.pods.is_empty() {
        out.push('\n');
        out.push_str(&pods(status).render());
    }
    let reasons: Vec<String> = status.pods.iter().flat_map(reasons).collect();
    section(&mut out, "", reasons);
    section(&mut out, "NOT READY", status.missing.clone());
    section(&mut out, "PROBLEMS", status.problems.iter().map(problem).collect());
    out
}

fn section(out: &mut String, heading: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    out.push('\n');
    if !heading.is_empty() {
        out.push_str(heading);
        out.push('\n');
    }
    for line in lines {
        out.push_str(&line);
        out.push('\n');
    }
}

fn head(status: &Status) -> String {
    let mut table = Table::new(&["NODE", "READY", "SNAPSHOT", "PROBLEMS", "UP", "VERSION"]);
    let snapshot = match (status.snapshot.version, status.snapshot.read_seconds_ago) {
        (0, _) => "nothing read yet".to_owned(),
        (version, Some(age)) => format!("{version}, read {} ago", duration(age)),
        (version, None) => format!("{version}"),
    };
    table.add(vec![
        status.node.clone(),
        if status.ready { "yes" } else { "no" }.to_owned(),
        snapshot,
        status.problems.len().to_string(),
        duration(status.up_seconds),
        status.version.clone(),
    ]);
    table.render()
}

fn pods(status: &Status) -> Table {
    let mut table = Table::new(&["POD", "ENROLLED", "CAPTURE", "IDENTITY", "CERT EXPIRES IN"]);
    for pod in &status.pods {
        let none = || "-".to_owned();
        table.add(vec![
            name(pod),
            if pod.enrolled { "yes" } else { "no" }.to_owned(),
            capture(pod),
            if pod.enrolled { short_identity(&pod.identity, &status.trust_domain) } else { none() },
            pod.certificate.as_ref().map_or_else(none, expiry),
        ]);
    }
    table
}

fn name(pod: &PodStatus) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

fn capture(pod: &PodStatus) -> String {
    match &pod.capture {
        _ if !pod.enrolled => "-".to_owned(),
        None => "pending".to_owned(),
        Some(Capture::Proven { seconds_ago }) => format!("proven {} ago", duration(*seconds_ago)),
        Some(Capture::Unproven { .. }) => "unproven".to_owned(),
        Some(Capture::Failed { .. }) => "failed".to_owned(),
    }
}

/// Without what all identities of the mesh have in common.
fn short_identity(identity: &str, trust_domain: &str) -> String {
    identity.strip_prefix(&format!("spiffe://{trust_domain}/")).unwrap_or(identity).to_owned()
}

fn expiry(certificate: &Certificate) -> String {
    match certificate.expires_in_seconds {
        None => "none".to_owned(),
        Some(left) if left <= 0.0 => format!("expired {} ago", duration(-left)),
        Some(left) => duration(left),
    }
}

/// The long answers to "why", which would break a table.
fn reasons(pod: &PodStatus) -> Vec<String> {
    let name = name(pod);
    let enrolment = pod.not_enrolled_because.as_ref().map(|why| format!("{name}: not enrolled: {why}"));
    let capture = match &pod.capture {
        Some(Capture::Unproven { reason }) => Some(format!("{name}: capture unproven: {reason}")),
        Some(Capture::Failed { reason }) => Some(format!("{name}: capture failed: {reason}")),
        Some(Capture::Proven { .. }) | None => None,
    };
    let certificate = pod.certificate.as_ref().and_then(|certificate| certificate.last_error.as_ref());
    let certificate = certificate.map(|why| format!("{name}: certificate not renewed: {why}"));
    enrolment.into_iter().chain(capture).chain(certificate).collect()
}

/// `error: file:line: object: field: message; next step`.
pub(super) fn problem(problem: &Problem) -> String {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
    let mut parts = vec![severity.to_owned(), format!("{}{line}", problem.file)];
    parts.extend(problem.object.clone());
    parts.extend(problem.field.clone());
    parts.push(problem.message.clone());
    let next_step = if problem.next_step.is_empty() { String::new() } else { format!("; {}", problem.next_step) };
    format!("{}{next_step}", parts.join(": "))
}
