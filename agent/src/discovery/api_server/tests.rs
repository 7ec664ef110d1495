//! The whole source against an API server that does what real ones do on bad days.

mod equivalence;
mod fake;

use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;
use weft_model::workload::Named;

use self::fake::Fake;
use super::*;
use crate::{
    discovery::problem::Report,
    net::{Place, PodPlaces},
};

type Snapshots = channel::Receiver<Arc<Snapshot>>;

/// Longer than anything takes here that does not wait for the slow look at the server.
const SOON: Duration = Duration::from_secs(8);

/// Time in which something that should not happen would have happened.
const A_WHILE: Duration = Duration::from_millis(400);

struct Followed {
    fake: Fake,
    places: PodPlaces,
    snapshots: Snapshots,
    handle: Handle,
}

async fn follow(fake: Fake) -> Followed {
    let places = PodPlaces::default();
    let (snapshots, handle) = spawn(Config::new(fake.server(), "node-1", places.clone())).await.unwrap();
    Followed { fake, places, snapshots, handle }
}

impl Followed {
    async fn until(&mut self, what: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let found = timeout(SOON, self.snapshots.wait_for(|snapshot| what(snapshot)))
            .await
            .map(|found| found.map(|one| one.clone()));
        match found {
            Ok(snapshot) => snapshot.expect("the source lives"),
            Err(_elapsed) => {
                panic!("not in time; last: {:#?}\n{:#?}", summary(&self.snapshots.borrow()), self.report())
            }
        }
    }

    async fn until_report(&self, what: impl Fn(&Report) -> bool) -> Arc<Report> {
        let mut reports = self.handle.reports();
        let found = timeout(SOON, reports.wait_for(|report| what(report))).await;
        match found {
            Ok(report) => report.expect("the source lives").clone(),
            Err(_elapsed) => panic!("not in time; last: {:#?}", self.report()),
        }
    }

    async fn stays(&mut self) {
        self.snapshots.mark_unchanged();
        assert!(timeout(A_WHILE, self.snapshots.changed()).await.is_err(), "nothing was to change");
    }

    fn report(&self) -> Arc<Report> {
        self.handle.report()
    }
}

/// What tests compare.
fn summary(snapshot: &Snapshot) -> (u64, Vec<String>, Vec<String>, usize) {
    let services = snapshot.services.values().map(|one| one.name.to_string()).collect();
    let pods = snapshot.workloads.keys().map(Named::to_string).collect();
    (snapshot.version, services, pods, snapshot.virtual_services.len())
}

fn pods(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.workloads.keys().map(|pod| &*pod.name).collect()
}

fn namespace(name: &str) -> String {
    format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}, labels: {{istio-injection: enabled}}}}\n---\n")
}

fn pod(name: &str, node: &str, ip: &str) -> String {
    let status = if ip.is_empty() {
        "phase: Pending".to_owned()
    } else {
        format!("phase: Running, podIP: {ip}, conditions: [{{type: Ready, status: 'True'}}]")
    };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, uid: uid-{name}, labels: {{app: web}}}}\n\
         spec: {{nodeName: {node}, containers: []}}\nstatus: {{{status}}}\n---\n"
    )
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n\
    spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{name: http, port: 80}]}\n---\n";

fn slice(endpoints: &str) -> String {
    format!(
        "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\n\
         metadata: {{name: web-1, labels: {{kubernetes.io/service-name: web}}}}\n\
         ports: [{{name: http, port: 8080}}]\nendpoints: {endpoints}\n---\n"
    )
}

fn route(weight: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [web]\n  \
         http:\n  - route: [{{destination: {{host: web}}, weight: {weight}}}]\n---\n"
    )
}

#[tokio::test]
async fn the_first_snapshot_is_whole_and_changes_act() {
    let fake = Fake::start().await;
    fake.define_mesh_kinds();
    fake.apply(&[namespace("default"), SERVICE.to_owned(), pod("a", "node-1", "10.0.0.1"), route("1")].concat());
    fake.apply(&slice("[{addresses: [10.0.0.1], targetRef: {kind: Pod, name: a}}]"));
    let mut it = follow(fake).await;
    let first = it.until(|one| one.version > 0).await;
    assert_eq!(first.version, 1);
    assert_eq!(summary(&first), (1, vec!["default/web".into()], vec!["default/a".into()], 1));
    let endpoint = &first.services["web.default.svc.cluster.local"].endpoints[0];
    assert_eq!((endpoint.ports[&80], endpoint.ready), (8080, true));
    assert!(endpoint.workload.as_ref().unwrap().is_enrolled());
    let report = it.report();
    assert!(report.is_clean() && report.awaited.is_empty(), "{report:?}");
    assert_eq!(report.objects, 5);
    assert!(report.age().unwrap() < SOON);

    it.fake.apply(&pod("b", "node-2", "10.0.0.2"));
    it.until(|one| pods(one) == ["a", "b"]).await;
    it.fake.delete("pods", "default", "a");
    it.until(|one| pods(one) == ["b"]).await;
    it.fake.apply(&pod("b", "node-2", "10.0.0.2").replace("Running", "Succeeded"));
    it.until(|one| pods(one).is_empty()).await;
    it.fake.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n");
    it.fake.apply(&pod("c", "node-2", "10.0.0.3"));
    it.until(|one| one.workloads.values().any(|one| !one.is_enrolled())).await;
}

#[tokio::test]
async fn what_changes_nothing_for_the_mesh_changes_nothing() {
    let fake = Fake::start().await;
    fake.apply(&[SERVICE, &pod("a", "node-1", "10.0.0.1")].concat());
    let mut it = follow(fake).await;
    it.until(|one| one.version == 1).await;
    it.fake.apply(
        &pod("a", "node-1", "10.0.0.1").replace("phase: Running", "phase: Running, startTime: '2024-01-01T00:00:00Z'"),
    );
    it.fake.apply("apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\nstatus: {phase: x}\n");
    it.fake.bookmark();
    it.stays().await;
    assert_eq!(it.report().warnings, [], "fields that this version does not know are the server's affair");
}

#[tokio::test]
async fn a_broken_connection_is_taken_up_where_it_was() {
    let fake = Fake::start().await;
    fake.apply(&[pod("a", "node-1", "10.0.0.1"), pod("b", "node-1", "10.0.0.2")].concat());
    let mut it = follow(fake).await;
    it.until(|one| pods(one) == ["a", "b"]).await;
    it.fake.bookmark();
    it.fake.stop().await;
    it.fake.delete("pods", "default", "b");
    it.fake.apply(&pod("c", "node-1", "10.0.0.3"));
    it.stays().await;
    it.fake.listen().await;
    it.until(|one| pods(one) == ["a", "c"]).await;
    assert_eq!(it.fake.requests("/pods?").iter().filter(|one| one.contains("sendInitialEvents")).count(), 1);
}

#[tokio::test]
async fn a_history_that_was_forgotten_is_listed_anew_and_deletions_are_noticed() {
    let fake = Fake::start().await;
    fake.define_mesh_kinds();
    fake.apply(&[pod("a", "node-1", "10.0.0.1"), pod("b", "node-1", "10.0.0.2"), route("x")].concat());
    let mut it = follow(fake).await;
    it.until(|one| pods(one) == ["a", "b"]).await;
    assert_eq!(it.report().errors.len(), 1);
    it.fake.stop().await;
    it.fake.delete("pods", "default", "b");
    it.fake.delete("virtualservices", "default", "r");
    it.fake.apply(&pod("c", "node-1", "10.0.0.3"));
    it.fake.compact();
    it.fake.listen().await;
    it.until(|one| pods(one) == ["a", "c"]).await;
    assert_eq!(it.fake.requests("/pods?").iter().filter(|one| one.contains("sendInitialEvents")).count(), 2);
    it.until_report(|report| report.errors.is_empty()).await;
}

#[tokio::test]
async fn a_server_that_cannot_begin_watches_with_a_list_is_asked_for_pages() {
    let fake = Fake::start().await;
    fake.pages_of(2);
    for number in 1..=5 {
        fake.apply(&pod(&format!("p{number}"), "node-1", &format!("10.0.0.{number}")));
    }
    let mut it = follow(fake).await;
    it.until(|one| pods(one) == ["p1", "p2", "p3", "p4", "p5"]).await;
    it.fake.delete("pods", "default", "p3");
    it.until(|one| pods(one) == ["p1", "p2", "p4", "p5"]).await;
    it.fake.stop().await;
    it.fake.delete("pods", "default", "p1");
    it.fake.compact();
    it.fake.listen().await;
    it.until(|one| pods(one) == ["p2", "p4", "p5"]).await;
}

#[tokio::test]
async fn a_server_that_comes_late_is_waited_for_and_the_report_says_so() {
    let mut fake = Fake::absent().await;
    fake.define_mesh_kinds();
    fake.apply(&[pod("a", "node-1", "10.0.0.1"), route("1")].concat());
    fake.listen().await;
    fake.stop().await;
    let mut it = follow(fake).await;
    let report = it.until_report(|report| !report.awaited.is_empty()).await;
    assert!(report.awaited.contains(&"Pod".to_owned()), "{report:?}");
    assert!(report.awaited.contains(&"which kinds the API server has".to_owned()), "{report:?}");
    assert_eq!((report.read_at, it.snapshots.borrow().version), (None, 0));
    it.fake.listen().await;
    let first = it.until(|one| one.version > 0).await;
    assert_eq!((pods(&first), first.virtual_services.len()), (vec!["a"], 1));
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_not_believed_to_lack_policies() {
    let fake = Fake::start().await;
    fake.apply(&pod("a", "node-1", "10.0.0.1"));
    fake.is_starting(true);
    let mut it = follow(fake).await;
    it.until_report(|report| report.awaited == ["which kinds the API server has"]).await;
    it.fake.define_mesh_kinds();
    it.fake.apply(&route("1"));
    it.fake.is_starting(false);
    let first = it.until(|one| one.version > 0).await;
    assert_eq!(first.virtual_services.len(), 1);
}

#[tokio::test]
async fn a_kind_that_may_not_be_read_keeps_the_world_from_being_whole_and_is_named() {
    let fake = Fake::start().await;
    fake.define_mesh_kinds();
    fake.refuse("authorizationpolicies", Some(StatusCode::FORBIDDEN));
    let mut it = follow(fake).await;
    let report = it.until_report(|report| !report.errors.is_empty() && report.awaited.len() == 1).await;
    assert_eq!(report.awaited, ["AuthorizationPolicy (security.istio.io)"]);
    let problem = report.errors[0].to_string();
    assert!(
        problem.starts_with("api server: AuthorizationPolicy (security.istio.io): cannot be watched since "),
        "{problem}"
    );
    let end = "refused with status 403: authorizationpolicies is refused for the test; give the agent's service \
               account get, list and watch on authorizationpolicies of API group \"security.istio.io\"; nothing is in \
               force before it was read";
    assert!(problem.ends_with(end), "{problem}");
    assert_eq!(it.snapshots.borrow().version, 0);
    it.fake.refuse("authorizationpolicies", None);
    it.until(|one| one.version > 0).await;
    it.until_report(|report| report.errors.is_empty()).await;
}

#[tokio::test]
async fn kinds_that_are_installed_later_act_when_they_are() {
    let fake = Fake::start().await;
    fake.apply(SERVICE);
    let mut it = follow(fake).await;
    it.until(|one| one.version > 0).await;
    let notes: Vec<_> = it.report().notes.iter().map(ToString::to_string).collect();
    assert_eq!(notes.len(), 4);
    assert!(notes[0].contains("is not installed: there are no such objects"), "{notes:?}");
    assert!(it.fake.requests("virtualservices").is_empty(), "what is not served is not asked for");
    it.fake.define_mesh_kinds();
    it.fake.define("networking.istio.io", "v1", "ServiceEntry", "serviceentries");
    it.fake.apply(&route("1"));
    it.fake.apply("apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e}\nspec: {hosts: [x]}\n");
    // It is looked for every ten seconds.
    let mut snapshots = it.snapshots.clone();
    let found = timeout(2 * SOON, snapshots.wait_for(|one| one.virtual_services.len() == 1)).await;
    assert!(found.is_ok());
    let report = it.until_report(|report| report.notes.is_empty() && !report.warnings.is_empty()).await;
    let said = "api server: ServiceEntry default/e: this kind is accepted and not enforced yet";
    assert_eq!(report.warnings[0].to_string(), said);
}

#[tokio::test]
async fn a_broken_object_keeps_its_last_good_version_and_the_server_is_named() {
    let fake = Fake::start().await;
    fake.define_mesh_kinds();
    fake.apply(&route("7"));
    let mut it = follow(fake).await;
    it.until(|one| one.virtual_services.len() == 1).await;
    it.fake.apply(&route("-5"));
    let report = it.until_report(|report| !report.errors.is_empty()).await;
    let said = "api server: VirtualService default/r: spec.http[0].route[0].weight: weight -5 is out of range; use a \
                share of 0 or more, for example 90 and 10; the version read before stays in force";
    assert_eq!(report.errors[0].to_string(), said);
    let weight = |one: &Snapshot| one.virtual_services[0].http[0].destinations[0].weight;
    assert_eq!(weight(&it.snapshots.borrow()), Some(7));
    it.fake.apply(&route("9"));
    it.until(|one| weight(one) == Some(9)).await;
    assert!(it.report().errors.is_empty());
    it.fake.delete("virtualservices", "default", "r");
    it.until(|one| one.virtual_services.is_empty()).await;
}

#[tokio::test]
async fn pods_of_this_node_are_where_the_node_says() {
    let fake = Fake::start().await;
    fake.apply(&[namespace("default"), pod("a", "node-1", ""), pod("b", "node-2", "")].concat());
    fake.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: waiting}\nspec: {containers: []}\n");
    let mut it = follow(fake).await;
    let first = it.until(|one| one.version > 0).await;
    let (a, waiting) =
        (&first.workloads[&Named::new("default", "a")], &first.workloads[&Named::new("default", "waiting")]);
    assert_eq!((&a.addresses, &a.capture.netns, &*waiting.node), (&vec![], &None, ""));
    let place = |ip: &str| Place { netns: "/run/netns/x".into(), addresses: vec![ip.parse().unwrap()] };
    it.places.set("uid-a", place("10.0.0.1")).unwrap();
    it.places.set("uid-b", place("10.0.0.2")).unwrap();
    let placed = it.until(|one| one.workload_by_ip("10.0.0.1".parse().unwrap()).is_some()).await;
    let a = &placed.workloads[&Named::new("default", "a")];
    assert_eq!((a.capture.netns.as_deref(), &*a.uid), (Some("/run/netns/x"), "uid-a"));
    assert!(placed.workloads[&Named::new("default", "b")].addresses.is_empty(), "a pod of another node is not here");
    // The sandbox was made anew: the status will know later.
    it.fake.apply(&pod("a", "node-1", "10.0.0.1"));
    it.places.set("uid-a", place("10.0.0.9")).unwrap();
    it.until(|one| one.workload_by_ip("10.0.0.9".parse().unwrap()).is_some()).await;
    it.places.remove("uid-a");
    it.until(|one| one.workloads[&Named::new("default", "a")].capture.netns.is_none()).await;
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_said_at_once() {
    let server = ApiServer { kubeconfig: Some("/no/such/file".into()), context: None };
    let error = spawn(Config::new(server, "n", PodPlaces::default())).await.err().unwrap().to_string();
    assert!(error.starts_with("kubeconfig /no/such/file: "), "{error}");
}
