//! Counting: what comes, moves, goes and is listed anew.

use serde_json::json;

use super::*;

fn pod(name: &str, account: &str, node: &str) -> Entry {
    let pod: SlimPod = serde_json::from_value(json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "namespace": "shop", "uid": format!("uid-{name}") },
        "spec": { "serviceAccountName": account, "nodeName": node, "containers": [{ "name": "c" }] },
        "status": { "phase": "Running" },
    }))
    .unwrap();
    pod.into()
}

fn place(account: &str, node: &str) -> NodeIdentity {
    NodeIdentity { node: node.into(), namespace: "shop".into(), service_account: account.into() }
}

#[test]
fn an_identity_is_there_as_long_as_one_of_its_pods_is() {
    let mut index = Index::default();
    index.put(pod("web-1", "web", "a"));
    index.put(pod("web-2", "web", "a"));
    index.put(pod("web-2", "web", "a"));
    assert!(index.has(&place("web", "a")));
    assert!(!index.has(&place("web", "b")) && !index.has(&place("api", "a")));
    assert_eq!(index.len(), 2);
    index.remove(&pod("web-1", "web", "a"));
    assert!(index.has(&place("web", "a")));
    index.remove(&pod("web-2", "web", "a"));
    index.remove(&pod("web-2", "web", "a"));
    assert!(!index.has(&place("web", "a")));
    assert!(index.counts.is_empty(), "nothing is kept of what is gone");
}

#[test]
fn pods_without_a_place_are_nobody() {
    let mut index = Index::default();
    index.put(pod("web-1", "web", ""));
    index.put(pod("web-2", "", "a"));
    assert_eq!(index.len(), 0);
    index.put(pod("web-1", "web", "a"));
    assert_eq!(index.place("uid-web-1"), Some(&place("web", "a")));
    assert_eq!(index.place("web-1"), None);
}

#[test]
fn a_new_list_replaces_the_old_one_when_it_is_whole() {
    let mut index = Index::default();
    index.put(pod("web-1", "web", "a"));
    index.begin();
    index.listed(pod("api-1", "api", "b"));
    assert!(index.has(&place("web", "a")), "the old one serves meanwhile");
    assert!(!index.has(&place("api", "b")));
    index.end();
    assert!(!index.has(&place("web", "a")) && index.has(&place("api", "b")));
}

#[test]
fn agents_are_found_by_their_account() {
    let mut index = Index::default();
    for entry in [pod("agent-2", "agent", "b"), pod("web-1", "web", "a"), pod("agent-1", "agent", "a")] {
        index.put(entry);
    }
    let agents = index.agents(|namespace, account| (namespace, account) == ("shop", "agent"));
    let agents: Vec<_> = agents.iter().map(|agent| (&*agent.name, &*agent.node)).collect();
    assert_eq!(agents, [("agent-1", "a"), ("agent-2", "b")]);
}
