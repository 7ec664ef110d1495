use super::*;

fn pod(text: &str) -> Pod {
    let text = format!("apiVersion: v1\nkind: Pod\n{text}");
    serde_yaml_ng::from_str(&text).unwrap()
}

fn read(text: &str, origin: Origin) -> (PodFacts, Findings) {
    let settings = Settings { origin, ..Settings::default() };
    let mut findings = Findings::default();
    let facts = facts(&pod(text), &settings, &FieldPath::root(), &mut findings);
    (facts, findings)
}

fn of_file(text: &str) -> PodFacts {
    read(text, Origin::Files).0
}

fn of_server(text: &str) -> PodFacts {
    read(text, Origin::ApiServer).0
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
fn readiness_is_the_condition_and_files_may_leave_it_out() {
    let ready = |text: &str| (of_file(text).is_ready, of_server(text).is_ready);
    assert_eq!(ready("metadata: {name: a}"), (true, false));
    assert_eq!(ready("status: {podIP: 10.0.0.1}"), (true, false));
    assert_eq!(ready("status: {conditions: [{type: Ready, status: 'True'}]}"), (true, true));
    let not = "status: {conditions: [{type: Initialized, status: 'True'}, {type: Ready, status: 'False'}]}";
    assert_eq!(ready(not), (false, false));
    let leaving = "metadata: {deletionTimestamp: '2024-01-01T00:00:00Z'}\n\
                   status: {conditions: [{type: Ready, status: 'True'}]}";
    assert_eq!(ready(leaving), (false, false), "terminating");
    assert!(of_server(leaving).is_leaving);
}

#[test]
fn ended_pods_are_over() {
    assert!(of_file("status: {phase: Succeeded}").is_over);
    assert!(of_file("status: {phase: Failed}").is_over);
    assert!(!of_file("status: {phase: Running}").is_over);
    assert!(!of_file("metadata: {name: a}").is_over);
}

#[test]
fn a_static_pod_has_the_uid_that_the_kubelet_knows() {
    assert_eq!(&*of_server("metadata: {uid: u1}").uid, "u1");
    let mirror = "metadata: {uid: u1, annotations: {kubernetes.io/config.mirror: 0f5a}}";
    assert_eq!(&*of_server(mirror).uid, "0f5a");
    assert_eq!(&*of_file("metadata: {name: a}").uid, "");
}

#[test]
fn annotations_place_a_pod_in_files_only() {
    let text = "metadata: {annotations: {weft.dev/netns: /proc/1/ns/net, weft.dev/node: n2}}";
    let (file, server) = (of_file(text), of_server(text));
    assert_eq!((file.capture.netns.as_deref(), file.node.as_deref()), (Some("/proc/1/ns/net"), Some("n2")));
    assert_eq!((server.capture.netns, server.node), (None, None));
}

#[test]
fn a_wrong_annotation_does_not_take_a_running_pod_out_of_the_mesh() {
    let text = "metadata: {annotations: {traffic.sidecar.istio.io/excludeInboundPorts: '80,http'}}";
    let (_, findings) = read(text, Origin::Files);
    assert_eq!((findings.errors.len(), findings.warnings.len()), (1, 0));
    let (facts, findings) = read(text, Origin::ApiServer);
    assert_eq!((findings.errors.len(), findings.warnings.len()), (0, 1));
    assert!(findings.warnings[0].next_step.ends_with("the pod is captured without it until then"));
    assert_eq!(facts.capture.exclude_inbound_ports, [80]);
}
