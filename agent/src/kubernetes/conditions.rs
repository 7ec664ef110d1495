//! Conditions that an agent writes into the status of its node and of the node's pods, for whoever asks Kubernetes and not
//! weft: `kubectl describe`, controllers, alerts.
//!
//! A condition is read first and written only when it says something else; its time of transition changes only with its
//! status. Other writers' conditions stay as they are.

use k8s_openapi::{
    api::core::v1::{Node, Pod},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde::Deserialize;
use serde_json::{Value, json};
use weft_model::workload::Named;

use super::kubelet_uid;

/// Condition of a node: does weft capture its enrolled pods, and hold new ones until it does?
pub const NODE: &str = "WeftReady";

/// Condition of an enrolled pod: is its capture proven?
pub const POD: &str = "weft.dev/Captured";

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Is it so?
    pub is_true: bool,
    /// In one word, for programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What became of an attempt to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It says so now.
    Done,
    /// There is no such object, or another one of its name.
    Gone,
}

/// Writes conditions.
#[derive(Clone)]
pub struct Conditions {
    client: Client,
}

/// A condition as found.
#[derive(Debug, Deserialize)]
struct Found {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl Conditions {
    /// A writer that asks by `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Writes a node's condition, also when it says the same, with the time of now as its heartbeat; `None` removes it. Needs `get` on nodes and `patch` on nodes/status.
    ///
    /// # Errors
    /// The API server's.
    pub async fn node(&self, name: &str, condition: Option<&Condition>) -> Result<Written, kube::Error> {
        let api = Api::<Node>::all(self.client.clone());
        let Some(node) = api.get_opt(name).await? else { return Ok(Written::Gone) };
        let found = node.status.and_then(|status| status.conditions).unwrap_or_default();
        let (found, now) = (parsed(&found), Timestamp::now());
        let mut entry = match (patch(NODE, &found, condition, now), condition) {
            (Some(entry), _) => entry,
            (None, Some(_)) => json!({ "type": NODE }),
            (None, None) => return Ok(Written::Done),
        };
        if condition.is_some() {
            entry["lastHeartbeatTime"] = time(now);
        }
        let body = json!({ "status": { "conditions": [entry] } });
        written(api.patch_status(name, &PatchParams::default(), &Patch::Strategic(body)).await)
    }

    /// Writes the condition of the pod with the kubelet's `uid`; `None` removes it. Needs `get` on pods and `patch` on
    /// pods/status.
    ///
    /// # Errors
    /// The API server's.
    pub async fn pod(&self, pod: &Named, uid: &str, condition: Option<&Condition>) -> Result<Written, kube::Error> {
        let api = Api::<Pod>::namespaced(self.client.clone(), &pod.namespace);
        let Some(now) = api.get_opt(&pod.name).await? else { return Ok(Written::Gone) };
        if kubelet_uid(&now) != Some(uid) {
            return Ok(Written::Gone);
        }
        let found = now.status.and_then(|status| status.conditions).unwrap_or_default();
        let Some(patch) = patch(POD, &parsed(&found), condition, Timestamp::now()) else { return Ok(Written::Done) };
        // With the uid: a pod that has taken the name meanwhile is not touched.
        let body = json!({ "metadata": { "uid": now.metadata.uid }, "status": { "conditions": [patch] } });
        written(api.patch_status(&pod.name, &PatchParams::default(), &Patch::Strategic(body)).await)
    }
}

/// A pod or node that went meanwhile is no failure.
fn written<K>(result: Result<K, kube::Error>) -> Result<Written, kube::Error> {
    match result {
        Ok(_) => Ok(Written::Done),
        Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(Written::Gone),
        Err(error) => Err(error),
    }
}

fn parsed<T: serde::Serialize>(conditions: &[T]) -> Vec<Found> {
    let each = conditions.iter().filter_map(|one| serde_json::to_value(one).ok());
    each.filter_map(|one| serde_json::from_value(one).ok()).collect()
}

/// The entry of a strategic merge patch (lists of conditions merge by `type`); `None` when nothing has to change.
fn patch(kind: &str, found: &[Found], wanted: Option<&Condition>, now: Timestamp) -> Option<Value> {
    let found = found.iter().find(|one| one.kind == kind);
    let Some(wanted) = wanted else { return found.map(|_| json!({ "type": kind, "$patch": "delete" })) };
    let status = if wanted.is_true { "True" } else { "False" };
    let mut patch = json!({ "type": kind, "status": status, "reason": wanted.reason, "message": wanted.message });
    match found {
        Some(found) if found.status == status => {
            if found.reason == wanted.reason && found.message == wanted.message {
                return None;
            }
        }
        _ => patch["lastTransitionTime"] = time(now),
    }
    Some(patch)
}

/// A time as Kubernetes writes it.
fn time(at: Timestamp) -> Value {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

#[cfg(test)]
mod tests;
