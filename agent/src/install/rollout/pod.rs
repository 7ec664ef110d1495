//! Why a pod is not ready, in its own status' words.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodStatus};

/// Characters of a container's last words that are shown: its log's last lines, the end of which matters.
const LAST_WORDS_MAX: usize = 200;

/// Is the pod ready?
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _)| status == "True")
}

/// What keeps the pod from being ready, when its status tells; `None`: it is just starting, or an event may know.
pub fn complaint(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    containers.filter_map(of_container).next().or_else(|| of_pod(pod, status))
}

fn of_container(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    let waiting = state.waiting.as_ref().and_then(|waiting| {
        let reason = waiting.reason.as_deref().filter(|reason| !is_usual(reason))?;
        let died = container.last_state.as_ref().and_then(|last| last.terminated.as_ref()).map(death);
        let message = died.or_else(|| waiting.message.clone()).unwrap_or_default();
        Some(format!("{reason}: {message}").trim_end_matches([' ', ':']).to_owned())
    });
    waiting.or_else(|| ended(state)).or_else(|| unready(container))
}

/// What every container goes through.
fn is_usual(reason: &str) -> bool {
    matches!(reason, "ContainerCreating" | "PodInitializing")
}

fn ended(state: &ContainerState) -> Option<String> {
    state.terminated.as_ref().filter(|end| end.exit_code != 0).map(death)
}

/// It runs again after it has died, and is not ready yet.
fn unready(container: &ContainerStatus) -> Option<String> {
    let death_before = container.last_state.as_ref()?.terminated.as_ref()?;
    (!container.ready).then(|| format!("restarted {} times, last {}", container.restart_count, death(death_before)))
}

fn death(end: &ContainerStateTerminated) -> String {
    let reason = end.reason.as_deref().unwrap_or("Error");
    let words: Vec<&str> = end.message.as_deref().unwrap_or_default().split_whitespace().collect();
    let words = words.join(" ");
    let skip = words.chars().count().saturating_sub(LAST_WORDS_MAX);
    let words: String = words.chars().skip(skip).collect();
    let words = if words.is_empty() { words } else { format!(": {words}") };
    format!("ended with code {} ({reason}){words}", end.exit_code)
}

fn of_pod(pod: &Pod, status: &PodStatus) -> Option<String> {
    if let Some((status, message)) = condition(pod, "PodScheduled")
        && status != "True"
    {
        return Some(format!("not scheduled: {}", message.unwrap_or("no reason given")));
    }
    match status.phase.as_deref() {
        Some("Failed") => {
            let reason = status.reason.as_deref().unwrap_or("failed");
            Some(format!("{reason}: {}", status.message.as_deref().unwrap_or("no reason given")))
        }
        _ => None,
    }
}

fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<(&'a str, Option<&'a str>)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|condition| condition.type_ == kind)?;
    Some((&found.status, found.message.as_deref()))
}
