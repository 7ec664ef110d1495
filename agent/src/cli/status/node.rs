//! One agent's report: its state, its pods and what is wrong.

use super::super::{output::duration, table::Table};
use crate::admin::status::{Capture, Certificate, Keeper, PodStatus, Problem, Severity, Status};

/// One agent's report.
pub(in crate::cli) fn render(status: &Status) -> String {
    let mut out = head(status);
    if !status.pods.is_empty() {
        out.push('\n');
        out.push_str(&pods(status).render());
    }
    let reasons: Vec<String> = status.pods.iter().flat_map(reasons).collect();
    section(&mut out, "", reasons);
    section(&mut out, "", keeper(status));
    section(&mut out, "NOT READY", status.missing.clone());
    section(&mut out, "PROBLEMS", status.problems.iter().map(problem).collect());
    out
}

/// What a restart of the agent would cost.
pub(super) fn keeper(status: &Status) -> Vec<String> {
    match &status.keeper {
        Keeper::Absent { reason } => {
            vec![format!(
                "no keeper: while no agent runs, connections of pods are refused instead of waiting: {reason}"
            )]
        }
        Keeper::Off | Keeper::Holding => Vec::new(),
    }
}

pub(super) fn section(out: &mut String, heading: &str, lines: Vec<String>) {
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
    table.add(vec![
        status.node.clone(),
        yes(status.ready),
        snapshot(status),
        status.problems.len().to_string(),
        duration(status.up_seconds),
        status.version.clone(),
    ]);
    table.render()
}

pub(super) fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

pub(super) fn snapshot(status: &Status) -> String {
    match (status.snapshot.version, status.snapshot.read_seconds_ago) {
        (0, _) => "nothing read yet".to_owned(),
        (version, Some(age)) => format!("{version}, read {} ago", duration(age)),
        (version, None) => format!("{version}"),
    }
}

fn pods(status: &Status) -> Table {
    let mut table = Table::new(&["POD", "ENROLLED", "CAPTURE", "IDENTITY", "CERT EXPIRES IN"]);
    for pod in &status.pods {
        let none = || "-".to_owned();
        table.add(vec![
            name(pod),
            yes(pod.enrolled),
            capture(pod),
            if pod.enrolled { short_identity(&pod.identity, &status.trust_domain) } else { none() },
            pod.certificate.as_ref().map_or_else(none, expiry),
        ]);
    }
    table
}

pub(super) fn name(pod: &PodStatus) -> String {
    format!("{}/{}", pod.namespace, pod.name)
}

pub(in crate::cli) fn capture(pod: &PodStatus) -> String {
    match &pod.capture {
        _ if !pod.enrolled => "-".to_owned(),
        None | Some(Capture::Pending { .. }) => "pending".to_owned(),
        Some(Capture::Proven { seconds_ago }) => format!("proven {} ago", duration(*seconds_ago)),
        Some(Capture::Unproven { .. }) => "unproven".to_owned(),
        Some(Capture::Failed { .. }) => "failed".to_owned(),
    }
}

/// Without what all identities of the mesh have in common.
pub(super) fn short_identity(identity: &str, trust_domain: &str) -> String {
    identity.strip_prefix(&format!("spiffe://{trust_domain}/")).unwrap_or(identity).to_owned()
}

pub(in crate::cli) fn expiry(certificate: &Certificate) -> String {
    match certificate.expires_in_seconds {
        None => "none".to_owned(),
        Some(left) if left <= 0.0 => format!("expired {} ago", duration(-left)),
        Some(left) => duration(left),
    }
}

/// The long answers to "why", which would break a table.
pub(in crate::cli) fn reasons(pod: &PodStatus) -> Vec<String> {
    let name = name(pod);
    let enrolment = pod.not_enrolled_because.as_ref().map(|why| format!("{name}: not enrolled: {why}"));
    let capture = match &pod.capture {
        Some(Capture::Unproven { reason }) => Some(format!("{name}: capture unproven: {reason}")),
        Some(Capture::Pending { reason }) => Some(format!("{name}: capture pending: {reason}")),
        Some(Capture::Failed { reason }) => Some(format!("{name}: capture failed: {reason}")),
        Some(Capture::Proven { .. }) | None => None,
    };
    let certificate = pod.certificate.as_ref().and_then(|certificate| certificate.last_error.as_ref());
    let certificate = certificate.map(|why| format!("{name}: certificate not renewed: {why}"));
    enrolment.into_iter().chain(capture).chain(certificate).collect()
}

/// `error: file:line: object: field: message; next step`.
pub(in crate::cli) fn problem(problem: &Problem) -> String {
    let severity = match problem.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let line = problem.line.map(|line| format!(":{line}")).unwrap_or_default();
    let mut parts = vec![severity.to_owned()];
    // What comes from an API server is in no file.
    parts.extend(Some(format!("{}{line}", problem.file)).filter(|place| !place.is_empty()));
    parts.extend(problem.object.clone());
    parts.extend(problem.field.clone());
    parts.push(problem.message.clone());
    let next_step = if problem.next_step.is_empty() { String::new() } else { format!("; {}", problem.next_step) };
    format!("{}{next_step}", parts.join(": "))
}
