//! An installation: does each part run, and do the parts agree?

use std::collections::BTreeMap;

use kube::{
    Api,
    api::{Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::json;

use super::{Row, State, first_and_all, row_of};
use crate::{
    admin::status::{Capture, Severity, Status},
    cli::{
        mesh::{Cluster, Mesh},
        output::duration,
        status,
    },
    install::{
        AGENTS, CONTROL,
        rollout::{self, Rollout},
    },
    kubernetes::{SYSTEM_NAMESPACE, failure},
};

/// Age from which what an agent knows about the world is too old: it reads on within seconds when it can.
const AGE_MAX: f64 = 60.0;

/// What the webhooks are asked about; it is never stored.
const QUESTION: &str = "weft-check";

pub(super) async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<Row>> {
    let control = rollout::deployment(&cluster.client, SYSTEM_NAMESPACE, CONTROL).await?;
    let agents = rollout::daemon_set(&cluster.client, SYSTEM_NAMESPACE, AGENTS).await?;
    let mesh = Mesh { agents: cluster.agents().await.unwrap_or_default(), cluster: None };
    let said = mesh.ask_all("/status").await.parsed::<Status>();
    let complaints = said.complaints();
    let statuses: Vec<Status> = said.answers.into_iter().map(|(_, status)| status).collect();
    let mut rows = vec![
        part("control", control.as_ref(), "certificates, webhooks", "weft install goes on where it stopped"),
        part("agents", agents.as_ref(), "the pods of each node", "weft status; kubectl -n istio-system describe pod"),
        row_of(
            "webhooks",
            State::Missing,
            "refusing what cannot work",
            webhooks(cluster).await.map_err(|said| (said, String::new())),
            "kubectl -n istio-system get pods -l app=istiod; weft install renews the webhooks",
        ),
        row_of(
            "agents answer",
            State::Missing,
            "status, logs, explain",
            first_and_all(&complaints, &format!("all {}", statuses.len())),
            "may you port-forward to pods in istio-system? Else see the agent's own log",
        ),
    ];
    rows.extend(agreement(&statuses));
    rows.extend(pods(&statuses));
    Ok(rows)
}

fn part(what: &str, rollout: Option<&Rollout>, purpose: &'static str, next_step: &'static str) -> Row {
    let found = match rollout {
        None => Err(("not there".to_owned(), String::new())),
        Some(now) if now.is_done() => Ok(format!("{} of {} ready", now.ready, now.wanted)),
        Some(now) => Err((format!("{} of {} ready", now.ready, now.wanted), now.reasons.join("\n"))),
    };
    row_of(what, State::Missing, purpose, found, next_step)
}

/// Asks the server to pretend to store something that the webhook has to look at.
async fn webhooks(cluster: &Cluster) -> Result<String, String> {
    let kind = GroupVersionKind::gvk("networking.istio.io", "v1", "DestinationRule");
    let resource = ApiResource::from_gvk(&kind);
    let api = Api::<DynamicObject>::namespaced_with(cluster.client.clone(), SYSTEM_NAMESPACE, &resource);
    let object = json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": QUESTION}, "spec": {"host": QUESTION}});
    let params = PatchParams { dry_run: true, ..PatchParams::apply(QUESTION) };
    let answer = api.patch(QUESTION, &params, &Patch::Apply(&object)).await;
    answer.map(|_| "answer".to_owned()).map_err(|error| failure(&error))
}

/// Is each agent as new as the others, and does it know the world of now?
pub(super) fn agreement(statuses: &[Status]) -> Vec<Row> {
    let mut versions: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for status in statuses {
        versions.entry(&status.version).or_default().push(status.node.clone());
    }
    let words = |(version, nodes): (&&str, &Vec<String>)| format!("{version} on {}", nodes.join(", "));
    let version = match versions.len() {
        0 | 1 => Ok(versions.keys().next().map_or("none", |version| *version).to_owned()),
        _ => Err((format!("{} versions", versions.len()), versions.iter().map(words).collect::<Vec<_>>().join("\n"))),
    };
    let old = |status: &&Status| {
        status.snapshot.version == 0 || status.snapshot.read_seconds_ago.is_none_or(|age| age > AGE_MAX)
    };
    let age = |status: &Status| match status.snapshot.read_seconds_ago {
        Some(age) if status.snapshot.version > 0 => format!("node {}: read {} ago", status.node, duration(age)),
        _ => format!("node {}: nothing read yet", status.node),
    };
    let stale: Vec<String> = statuses.iter().filter(old).map(age).collect();
    vec![
        row_of("one version", State::Warn, "", version, "an upgrade is under way, or weft install finishes it"),
        row_of(
            "snapshots",
            State::Missing,
            "acting on the world of now",
            first_and_all(&stale, "all read within the last minute"),
            "can the node reach the API server? The agent's own log says",
        ),
    ]
}

/// Enrolled pods that are not captured, and objects that do not act as written.
pub(super) fn pods(statuses: &[Status]) -> Vec<Row> {
    let enrolled = statuses.iter().flat_map(|status| &status.pods).filter(|pod| pod.enrolled);
    let (proven, troubled): (Vec<_>, Vec<_>) =
        enrolled.partition(|pod| matches!(pod.capture, Some(Capture::Proven { .. })));
    let troubled: Vec<String> = troubled.iter().map(|pod| format!("pod {}/{}", pod.namespace, pod.name)).collect();
    let problems = status::problems(statuses);
    let errors: Vec<String> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| status::problem(problem))
        .collect();
    vec![
        row_of(
            "capture",
            State::Missing,
            "enrolled pods",
            first_and_all(&troubled, &format!("proven for all {}", proven.len())),
            "weft status -A says why",
        ),
        row_of(
            "configuration",
            State::Missing,
            "objects that act as written",
            first_and_all(&errors, &format!("no errors, {} warnings", problems.len() - errors.len())),
            "correct the objects; until then their last good versions stay in force",
        ),
    ]
}
