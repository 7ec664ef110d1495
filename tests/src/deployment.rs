//! Deployment controller stand-in, the thinking half: how many pods to create and which to end.
//!
//! Pure; `controller` asks and acts. Rolls as `maxSurge: 100%, maxUnavailable: 0` would: all new pods first, old ones end when the new
//! ones are ready.

use serde_json::{Value, json};

use crate::manifest::{list, text};

/// The alphabet Kubernetes draws name suffixes from: no vowels, nothing that looks like another letter.
const SAFE_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// What the controller knows about one pod of a Deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replica {
    pub(crate) name: String,
    pub(crate) hash: String,
    pub(crate) ready: bool,
    pub(crate) ending: bool,
}

/// What has to happen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) create: usize,
    pub(crate) end: Vec<String>,
}

/// Compares the wanted `count` of pods with template `hash` to the pods there are.
pub(crate) fn plan(hash: &str, count: usize, pods: &[Replica]) -> Plan {
    let living: Vec<&Replica> = pods.iter().filter(|pod| !pod.ending).collect();
    let (current, old): (Vec<&Replica>, Vec<&Replica>) = living.into_iter().partition(|pod| pod.hash == hash);
    let mut end = Vec::new();
    if current.len() > count {
        // Those that serve nobody go first.
        let mut order = current.clone();
        order.sort_by_key(|pod| pod.ready);
        end.extend(order.iter().take(current.len() - count).map(|pod| pod.name.clone()));
    }
    if current.iter().filter(|pod| pod.ready).count() >= count {
        end.extend(old.iter().map(|pod| pod.name.clone()));
    }
    Plan { create: count.saturating_sub(current.len()), end }
}

/// `spec.replicas`, by default 1.
pub(crate) fn replicas(deployment: &Value) -> usize {
    deployment.pointer("/spec/replicas").and_then(Value::as_u64).map_or(1, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// The value of the label `pod-template-hash`: FNV-1 32 of the template, spelled in the safe alphabet as Kubernetes does.
pub(crate) fn template_hash(deployment: &Value) -> String {
    let template = deployment.pointer("/spec/template").map(ToString::to_string).unwrap_or_default();
    let hash = template.bytes().fold(0x811c_9dc5_u32, |hash, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(byte));
    hash.to_string().bytes().map(|digit| safe(digit.into())).collect()
}

/// A pod of the Deployment's template, named, labelled and owned as the ReplicaSet controller does it. `salt` makes the name unique.
pub(crate) fn pod(deployment: &Value, hash: &str, salt: u64) -> Value {
    let name = text(deployment, "/metadata/name");
    let namespace = text(deployment, "/metadata/namespace");
    let replica_set = format!("{name}-{hash}");
    let suffix: String = (0..5).map(|digit| safe(salt / 27_u64.pow(digit))).collect();
    let mut pod = deployment.pointer("/spec/template").cloned().unwrap_or_else(|| json!({}));
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    if !pod["metadata"].is_object() {
        pod["metadata"] = json!({});
    }
    let metadata = &mut pod["metadata"];
    metadata["name"] = json!(format!("{replica_set}-{suffix}"));
    metadata["namespace"] = json!(namespace);
    if !metadata["labels"].is_object() {
        metadata["labels"] = json!({});
    }
    metadata["labels"]["pod-template-hash"] = json!(hash);
    let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": replica_set, "controller": true,
        "blockOwnerDeletion": true, "uid": format!("rs-{namespace}-{replica_set}")});
    metadata["ownerReferences"] = json!([owner]);
    pod
}

/// Fails for a Deployment that could never run.
pub(crate) fn check(deployment: &Value) -> anyhow::Result<()> {
    if list(deployment, "/spec/template/spec/containers").is_empty() {
        anyhow::bail!("spec.template.spec.containers is empty");
    }
    Ok(())
}

fn safe(number: u64) -> char {
    char::from(SAFE_ALPHABET[usize::try_from(number % 27).unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(name: &str, hash: &str, ready: bool) -> Replica {
        Replica { name: name.into(), hash: hash.into(), ready, ending: false }
    }

    #[test]
    fn old_pods_stay_until_all_new_ones_are_ready() {
        let mut pods = vec![replica("o1", "old", true), replica("o2", "old", true)];
        assert_eq!(plan("new", 2, &pods), Plan { create: 2, end: vec![] });
        pods.extend([replica("n1", "new", true), replica("n2", "new", false)]);
        assert_eq!(plan("new", 2, &pods), Plan::default());
        pods[3].ready = true;
        assert_eq!(plan("new", 2, &pods), Plan { create: 0, end: vec!["o1".into(), "o2".into()] });
    }

    #[test]
    fn scaling_down_ends_unready_pods_first_and_counts_no_ending_one() {
        let mut pods = vec![replica("a", "h", true), replica("b", "h", false), replica("c", "h", true)];
        assert_eq!(plan("h", 2, &pods).end, ["b"]);
        pods[1].ending = true;
        assert_eq!(plan("h", 2, &pods), Plan::default());
        assert_eq!(plan("h", 0, &pods).end.len(), 2);
    }

    #[test]
    fn a_pod_is_named_and_owned_as_in_kubernetes() {
        let deployment = json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "x"},
            "spec": {"template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"image": "nginx"}]}}}});
        let hash = template_hash(&deployment);
        let pod = pod(&deployment, &hash, 12345);
        let name = text(&pod, "/metadata/name");
        assert!(name.starts_with(&format!("web-{hash}-")) && name.len() == "web--".len() + hash.len() + 5, "{name}");
        assert_eq!(text(&pod, "/metadata/ownerReferences/0/name"), format!("web-{hash}"));
        assert_eq!(text(&pod, "/metadata/labels/pod-template-hash"), hash);
        let mut changed = deployment.clone();
        changed["spec"]["template"]["spec"]["containers"][0]["image"] = json!("echo");
        assert_ne!(template_hash(&changed), hash);
    }
}
