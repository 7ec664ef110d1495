//! The agents start under a running application, and a first request goes through them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use weft_testbed::Pod;

use crate::canary::URL;
use crate::show::{Show, millis, seconds};
use crate::town::{OUTSIDE, Town, label};

/// How long the proof of capture may take after the agents are ready.
const PROOF: Duration = Duration::from_secs(10);

/// Starts an agent on each node; returns what was seen.
pub fn agents(town: &Town, show: &mut Show) -> Result<String> {
    let pids = |town: &Town| town.cluster.pods().iter().map(|pod| pod.pid().ok()).collect::<Vec<_>>();
    let (before, begun) = (pids(town), Instant::now());
    town.cluster.start_agents()?;
    let took = begun.elapsed();
    show.fact("agents", &format!("one on each node, ready after {}", seconds(took)));
    let enrolled: Vec<Pod> = town.cluster.pods().into_iter().filter(|pod| pod.namespace() != OUTSIDE).collect();
    let deadline = Instant::now() + PROOF;
    let proven = enrolled.iter().filter(|pod| is_proven(town, pod, deadline)).count();
    show.promise(
        proven == enrolled.len(),
        &format!(
            "{proven} of {} enrolled pods captured: a connection from inside each came out at its agent",
            enrolled.len()
        ),
    );
    show.promise(pids(town) == before, "no pod was restarted, none has a sidecar");
    show.fact("asked", "GET /status of both agents, on their unix sockets in state/");
    Ok(format!("{proven} pods on 2 nodes captured {} after the agents were started", seconds(took)))
}

/// Waits until the pod's agent says that it has proven its capture.
fn is_proven(town: &Town, pod: &Pod, deadline: Instant) -> bool {
    loop {
        match capture_state(town, pod) {
            Ok(state) if state == "proven" => return true,
            _ if Instant::now() >= deadline => return false,
            _ => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// `proven`, `unproven` or `failed`, as `/status` of the pod's agent says.
fn capture_state(town: &Town, pod: &Pod) -> Result<String> {
    let answer = town.cluster.agent(pod.node())?.admin("/status")?;
    let status: Value = serde_json::from_slice(&answer.body).context("reading /status of an agent")?;
    let pods = status["pods"].as_array().context("/status has no pods")?;
    let found = pods.iter().find(|one| one["name"] == pod.name() && one["namespace"] == pod.namespace());
    let state = found.and_then(|one| one["capture"]["state"].as_str());
    Ok(state.with_context(|| format!("/status says nothing of {}", pod.name()))?.to_owned())
}

/// One request, end to end.
pub fn sentence(town: &Town, show: &mut Show) -> Result<String> {
    let answer = town.client.get(URL)?;
    let text = answer.text();
    ensure!(answer.status == 200, "{URL}: status {} {text}", answer.status);
    show.fact("client asks", URL);
    let again = town.client.get(URL)?;
    let times = format!("{}; asked again: {}", millis(answer.elapsed), millis(again.elapsed));
    show.fact("and gets", &format!("\"{text}\", the first time after {times}"));
    show.promise(
        text.contains(" is ") && text.ends_with(" years"),
        "a whole sentence: `sentences` asked `name`, then `age`",
    );
    let server = answer.header("server").unwrap_or("-").to_owned();
    let through = answer.header("x-envoy-upstream-service-time").is_some();
    show.promise(through, &format!("it came through the mesh (response headers of a proxy, server: {server})"));
    let route: Vec<String> = ["sentences", "name-v1", "name-v2", "age"]
        .iter()
        .map(|name| town.pod(name).map(|pod| format!("{} on {}", label(&pod), pod.node())))
        .collect::<Result<_>>()?;
    show.fact("where they run", &format!("client on {}, {}", town.client.node(), route.join(", ")));
    Ok(format!("\"{text}\" after {times}"))
}
