use std::fs;

use tempfile::TempDir;
use weft_model::mesh::OutboundPolicy;

use super::*;
use crate::discovery::tests::FakeAddresses;

type Snapshots = channel::Receiver<Arc<Snapshot>>;

/// Longer than the watch takes by far, shorter than its slow poll: what passes was told by the kernel.
const SOON: Duration = Duration::from_millis(1500);

/// Time in which something that should not happen would have happened.
const A_WHILE: Duration = Duration::from_millis(400);

fn config(dir: &Path) -> Config {
    Config { addresses: Arc::new(FakeAddresses([("a", "10.0.0.1")].into())), ..Config::new(dir, "node-1") }
}

fn mesh(mode: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata:\n  mesh: |\n    \
         outboundTrafficPolicy: {{mode: {mode}}}\n"
    )
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{clusterIP: None, ports: [{{port: 80}}]}}\n"
    )
}

fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.services.values().map(|one| one.name.name.to_string()).collect()
}

async fn until(snapshots: &mut Snapshots, what: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let found = timeout(SOON, snapshots.wait_for(|snapshot| what(snapshot))).await;
    found.expect("the change acts soon").expect("the watch lives").clone()
}

async fn stays(snapshots: &mut Snapshots) {
    snapshots.mark_unchanged();
    assert!(timeout(A_WHILE, snapshots.changed()).await.is_err(), "nothing was to change");
}

#[tokio::test]
async fn the_first_snapshot_is_complete_and_writes_renames_and_deletions_act() {
    let dir = TempDir::new().unwrap();
    let path = |name: &str| dir.path().join(name);
    fs::write(path("a.yaml"), service("a")).unwrap();
    fs::write(path("b.yml"), service("b")).unwrap();
    fs::write(path(".c.yaml"), service("hidden")).unwrap();
    fs::write(path("d.txt"), service("other")).unwrap();
    let (mut snapshots, handle) = spawn(config(dir.path()));
    assert_eq!((names(&snapshots.borrow()), snapshots.borrow().version), (vec!["a".into(), "b".into()], 1));

    fs::write(path("c.yaml"), service("c")).unwrap();
    until(&mut snapshots, |one| names(one) == ["a", "b", "c"]).await;
    fs::write(path("a.tmp"), service("a2")).unwrap();
    fs::rename(path("a.tmp"), path("a.yaml")).unwrap();
    until(&mut snapshots, |one| names(one) == ["a2", "b", "c"]).await;
    fs::remove_file(path("b.yml")).unwrap();
    let last = until(&mut snapshots, |one| names(one) == ["a2", "c"]).await;
    assert_eq!(last.version, 4);
    assert_eq!(handle.report().objects, 2);
    assert!(handle.report().is_clean() && handle.report().age().unwrap() < SOON);
}

#[tokio::test]
async fn a_change_acts_within_a_tenth_of_a_second() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("mesh.yaml");
    fs::write(&file, mesh("ALLOW_ANY")).unwrap();
    let (mut snapshots, _handle) = spawn(config(dir.path()));
    let mut times = Vec::new();
    for (mode, policy) in
        [("REGISTRY_ONLY", OutboundPolicy::RegistryOnly), ("ALLOW_ANY", OutboundPolicy::AllowAny)].repeat(3)
    {
        let start = std::time::Instant::now();
        fs::write(&file, mesh(mode)).unwrap();
        until(&mut snapshots, |one| one.mesh.outbound == policy).await;
        times.push(start.elapsed());
    }
    times.sort();
    // The median, not the worst: other tests share the machine.
    assert!(times[3] < Duration::from_millis(100), "{times:?}");
}

#[tokio::test]
async fn touching_a_file_changes_nothing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("a.yaml");
    fs::write(&file, service("a")).unwrap();
    let (mut snapshots, _handle) = spawn(config(dir.path()));
    fs::write(&file, service("a")).unwrap();
    stays(&mut snapshots).await;
    fs::write(&file, format!("# a comment\n{}", service("a"))).unwrap();
    stays(&mut snapshots).await;
    assert_eq!(snapshots.borrow().version, 1);
}

#[tokio::test]
async fn a_broken_file_is_reported_and_its_last_good_version_stays() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("mesh.yaml");
    fs::write(&file, mesh("REGISTRY_ONLY")).unwrap();
    let (mut snapshots, handle) = spawn(config(dir.path()));
    let mut reports = handle.reports();
    fs::write(&file, mesh("REGISTRY")).unwrap();
    let report = timeout(SOON, reports.wait_for(|one| !one.errors.is_empty())).await.unwrap().unwrap().clone();
    let said = "mesh.yaml:6: ConfigMap istio-system/istio: data.mesh.outboundTrafficPolicy.mode: unknown variant \
                REGISTRY, expected ALLOW_ANY or REGISTRY_ONLY; correct the value; the version read before stays in force";
    assert_eq!(report.errors[0].to_string(), said);
    stays(&mut snapshots).await;
    assert_eq!(snapshots.borrow().mesh.outbound, OutboundPolicy::RegistryOnly);
    fs::write(&file, mesh("ALLOW_ANY")).unwrap();
    until(&mut snapshots, |one| one.mesh.outbound == OutboundPolicy::AllowAny).await;
    timeout(SOON, reports.wait_for(|one| one.errors.is_empty())).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_emptied_file_keeps_its_objects_for_the_moment_its_writer_needs() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("a.yaml");
    fs::write(&file, service("a")).unwrap();
    let (mut snapshots, _handle) = spawn(config(dir.path()));
    fs::write(&file, "").unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(names(&snapshots.borrow()), ["a"]);
    until(&mut snapshots, |one| names(one).is_empty()).await;
}

#[tokio::test]
async fn a_directory_that_is_gone_takes_nothing_back_and_is_found_again() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("manifests");
    let (mut snapshots, handle) = spawn(config(&dir));
    assert_eq!(snapshots.borrow().version, 0);
    let error = handle.report().errors[0].to_string();
    assert!(
        error.contains("manifests: the directory cannot be read") && error.ends_with("nothing was read yet"),
        "{error}"
    );
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("a.yaml"), service("a")).unwrap();
    until(&mut snapshots, |one| names(one) == ["a"]).await;

    fs::remove_dir_all(&dir).unwrap();
    let mut reports = handle.reports();
    // The file may be seen to go before the directory does; what remains is what the last look found.
    timeout(SOON * 2, reports.wait_for(|one| !one.errors.is_empty())).await.unwrap().unwrap();
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("b.yaml"), service("b")).unwrap();
    until(&mut snapshots, |one| names(one) == ["b"]).await;
    fs::write(dir.join("c.yaml"), service("c")).unwrap();
    until(&mut snapshots, |one| names(one) == ["b", "c"]).await;
    assert_eq!(handle.report().errors, []);
}

#[tokio::test]
async fn another_directory_under_the_same_path_is_read_and_watched() {
    let parent = TempDir::new().unwrap();
    let (dir, other) = (parent.path().join("manifests"), parent.path().join("other"));
    for (dir, name) in [(&dir, "a"), (&other, "b")] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join(format!("{name}.yaml")), service(name)).unwrap();
    }
    let (mut snapshots, _handle) = spawn(config(&dir));
    fs::rename(&dir, parent.path().join("old")).unwrap();
    fs::rename(&other, &dir).unwrap();
    timeout(SOON * 2, snapshots.wait_for(|one| names(one) == ["b"])).await.unwrap().unwrap();
    fs::write(dir.join("c.yaml"), service("c")).unwrap();
    until(&mut snapshots, |one| names(one) == ["b", "c"]).await;
}

#[tokio::test]
async fn a_mounted_config_map_is_read_and_its_swap_acts() {
    use std::os::unix::fs::symlink;
    let dir = TempDir::new().unwrap();
    for (version, name) in [("..1", "a"), ("..2", "b")] {
        fs::create_dir(dir.path().join(version)).unwrap();
        fs::write(dir.path().join(version).join("x.yaml"), service(name)).unwrap();
    }
    symlink("..1", dir.path().join("..data")).unwrap();
    symlink("..data/x.yaml", dir.path().join("x.yaml")).unwrap();
    let (mut snapshots, _handle) = spawn(config(dir.path()));
    assert_eq!(names(&snapshots.borrow()), ["a"]);
    // As the kubelet does it: a new link, renamed over the old one.
    symlink("..2", dir.path().join("..data_tmp")).unwrap();
    fs::rename(dir.path().join("..data_tmp"), dir.path().join("..data")).unwrap();
    until(&mut snapshots, |one| names(one) == ["b"]).await;
}

/// Addresses that appear later, as when the pod's interface is created after its manifest.
struct Late(std::sync::Mutex<Vec<std::net::IpAddr>>);

impl NetnsAddresses for Late {
    fn addresses(&self, _: &str) -> std::io::Result<Vec<std::net::IpAddr>> {
        Ok(self.0.lock().unwrap().clone())
    }
}

#[tokio::test]
async fn addresses_that_come_late_are_found_without_a_change_of_files() {
    let dir = TempDir::new().unwrap();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {weft.dev/netns: a}}\n";
    fs::write(dir.path().join("a.yaml"), pod).unwrap();
    let late = Arc::new(Late(std::sync::Mutex::new(Vec::new())));
    let (mut snapshots, handle) = spawn(Config { addresses: late.clone(), ..config(dir.path()) });
    assert_eq!(handle.report().warnings.len(), 1);
    let ip = "10.0.0.7".parse().unwrap();
    late.0.lock().unwrap().push(ip);
    until(&mut snapshots, |one| one.workload_by_ip(ip).is_some()).await;
}

#[test]
fn a_directory_is_checked_without_anyone_to_ask() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a.yaml"), "kind: [").unwrap();
    fs::write(dir.path().join("b.yaml"), service("b")).unwrap();
    fs::write(dir.path().join("c.yaml"), [0xff, 0xfe]).unwrap();
    fs::write(dir.path().join("d.yaml"), "apiVersion: v1\nkind: Secret\n---\napiVersion: v1\nkind: Secret\n").unwrap();
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {weft.dev/netns: nowhere}}\n";
    fs::write(dir.path().join("e.yaml"), pod).unwrap();
    let report = check_dir(dir.path());
    let errors: Vec<_> = report.errors.iter().map(|one| (&*one.file, one.line)).collect();
    assert_eq!(errors, [("a.yaml", Some(1)), ("c.yaml", None)]);
    assert_eq!((report.warnings.len(), report.notes.len(), report.objects), (0, 1, 2));
    let missing = check_dir(&dir.path().join("nowhere"));
    assert_eq!((missing.errors.len(), missing.read_at), (1, None));
}
