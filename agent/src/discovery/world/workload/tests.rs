use super::*;

fn pod(text: &str) -> Pod {
    let text = format!("apiVersion: v1\nkind: Pod\n{text}");
    serde_yaml_ng::from_str(&text).unwrap()
}

fn owned(kind: &str, name: &str, labels: &str) -> Option<String> {
    let owner = format!("{{apiVersion: v1, kind: {kind}, name: {name}, uid: u, controller: true}}");
    controller(&pod(&format!("metadata: {{labels: {labels}, ownerReferences: [{owner}]}}")))
}

#[test]
fn a_workload_is_called_after_what_a_person_wrote() {
    let name = |kind, name, labels| owned(kind, name, labels).unwrap();
    assert_eq!(name("ReplicaSet", "name-v1-5d4f", "{pod-template-hash: 5d4f}"), "name-v1");
    assert_eq!(name("ReplicaSet", "name-v1-5d4f", "{}"), "name-v1-5d4f", "a ReplicaSet of its own");
    assert_eq!(name("StatefulSet", "db", "{}"), "db");
    assert_eq!(name("DaemonSet", "agent-1", "{}"), "agent-1");
    assert_eq!(name("Job", "nightly-28012345", "{}"), "nightly");
    assert_eq!(name("Job", "import-2024", "{}"), "import-2024");
    assert_eq!(controller(&pod("metadata: {name: a}")), None);
}

#[test]
fn readiness_is_the_condition_unless_there_is_none() {
    let ready = |text: &str| is_ready(&pod(text));
    assert!(ready("metadata: {name: a}"));
    assert!(ready("status: {podIP: 10.0.0.1}"));
    assert!(ready("status: {conditions: [{type: Ready, status: 'True'}]}"));
    assert!(!ready("status: {conditions: [{type: Initialized, status: 'True'}, {type: Ready, status: 'False'}]}"));
    assert!(!ready("metadata: {deletionTimestamp: '2024-01-01T00:00:00Z'}"), "terminating");
}

#[test]
fn canonical_names_follow_the_labels() {
    let names = |labels: &str| {
        let pod = pod(&format!("metadata: {{labels: {labels}}}"));
        let names = canonical(&pod, &"p".into(), &labels_of(&pod));
        [names.service.to_string(), names.revision.to_string(), names.app.to_string(), names.version.to_string()]
    };
    assert_eq!(names("{}"), ["p", "latest", "unknown", "unknown"]);
    assert_eq!(names("{app: a, version: v1}"), ["a", "v1", "a", "v1"]);
    assert_eq!(
        names("{app: a, app.kubernetes.io/name: b, app.kubernetes.io/version: v2, version: v1}"),
        ["b", "v2", "a", "v1"]
    );
    let canonical = "{app: a, service.istio.io/canonical-name: c, service.istio.io/canonical-revision: r}";
    assert_eq!(names(canonical), ["c", "r", "a", "unknown"]);
}

fn labels_of(pod: &Pod) -> Labels {
    labels(&pod.metadata)
}

#[test]
fn locality_is_the_node_s_unless_the_pod_says() {
    let map = |pairs: &[(&str, &str)]| -> Labels { pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect() };
    let node = map(&[("topology.kubernetes.io/region", "eu"), ("topology.kubernetes.io/zone", "eu-a")]);
    let tell = |pod: &Labels, node: Option<&Labels>| {
        let found = locality(pod, node);
        format!("{}/{}", found.region, found.zone)
    };
    assert_eq!(tell(&Labels::new(), Some(&node)), "eu/eu-a");
    assert_eq!(tell(&Labels::new(), None), "/");
    assert_eq!(tell(&map(&[("istio-locality", "us.us-b.rack")]), Some(&node)), "us/us-b");
}

#[test]
fn ended_pods_are_over() {
    assert!(is_over(&pod("status: {phase: Succeeded}")));
    assert!(is_over(&pod("status: {phase: Failed}")));
    assert!(!is_over(&pod("status: {phase: Running}")));
    assert!(!is_over(&pod("metadata: {name: a}")));
}
