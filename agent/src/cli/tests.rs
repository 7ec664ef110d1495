//! The command line as typed, agents asked over their sockets, and reports as printed.

use std::{path::Path, sync::Arc, time::Duration};

use clap::{CommandFactory, Parser, error::ErrorKind};
use weft_model::{
    policy::{Action, Rule},
    testing::{TestWorld, authorization, destination_rule, route, to, virtual_service},
    workload::{Enrolment, Named},
};

use super::{
    Cli, Command, StateDir, ask, check, cleanup, client, cni::CniFiles, explain, install, mesh::Mesh, output, pod,
    status, table::Table, version,
};
use crate::{
    admin::{
        explain::Question,
        fixture::{Desk, proven, sentences},
        socket_path,
    },
    app::{CaSource, WorldSource},
    discovery::{Problem, Report},
    ebpf::{
        leftovers,
        machine::{Row, State},
        manager::CaptureState,
    },
    handover::{Files, Ownership},
    identity::MAX_TTL,
    kubernetes::ApiServer,
    lifecycle,
};

fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once(&"weft").chain(args))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn an_agent_has_its_defaults() {
    let cli = parse(&["agent", "--node", "node-a", "--manifests", "world"]).unwrap();
    let Command::Agent(args) = cli.command else { panic!("another verb") };
    let config = args.config();
    assert_eq!(&*config.node, "node-a");
    assert_eq!(config.world, WorldSource::Directory("world".into()));
    assert_eq!(config.state_dir, Path::new("/run/weft"));
    assert_eq!(config.bpf_dir, Path::new("/sys/fs/bpf/weft/node-a"));
    assert_eq!(config.workers, std::thread::available_parallelism().unwrap().get());
    assert_eq!(config.drain, Duration::from_secs(5));
    assert!(config.access_log_stdout && !config.keep_capture && config.http_addr.is_none());
    assert!(config.cni.is_none(), "with a directory the node's CNI is left alone");
    assert_eq!(config.ca, CaSource::Local, "a directory of manifests is a mesh without a control plane");
    assert_eq!(config.certificate_ttl, MAX_TTL);
    assert!(!config.takeover && config.hold == Duration::from_secs(30));
}

#[test]
fn an_agent_asks_the_authority_that_it_is_told() {
    let ca = |args: &[&str]| {
        let cli = parse(&[&["agent", "--node=n", "--manifests=m"], args].concat())?;
        let Command::Agent(args) = cli.command else { panic!("another verb") };
        Ok::<_, clap::Error>(args.config().ca)
    };
    let remote = |address: &str, root: &str, token: &str| CaSource::Remote {
        address: address.to_owned(),
        root: root.into(),
        token: token.into(),
    };
    let (root, token) = ("/var/run/secrets/istio/root-cert.pem", "/var/run/secrets/tokens/istio-token");
    assert_eq!(ca(&["--ca-address=https://ca:1"]).unwrap(), remote("https://ca:1", root, token));
    let told = ["--ca-address=ca:1", "--ca-root=/r", "--ca-token=/t"];
    assert_eq!(ca(&told).unwrap(), remote("ca:1", "/r", "/t"));
    assert_eq!(ca(&["--ca-address=ca:1", "--local-ca"]).unwrap_err().kind(), ErrorKind::ArgumentConflict);
    assert!(parse(&["agent", "--node=n", "--manifests=m", "--certificate-ttl=86401"]).is_err(), "a day at most");
}

#[test]
fn a_control_plane_has_its_defaults() {
    let cli = parse(&["control", "--name=weft-control-x"]).unwrap();
    assert!(cli.command.is_agent(), "it logs what happens");
    let Command::Control(args) = cli.command else { panic!("another verb") };
    let config = args.config();
    let ports = [config.ca_address, config.webhook_address, config.http_address].map(|address| address.port());
    assert_eq!(ports, [15012, 15017, 15014]);
    assert!(config.accounts.contains("istio-system", "weft-agent"));
    assert_eq!(config.audiences, ["istio-ca"]);
    assert_eq!(config.rotation, crate::control::ca::rotation::Timing::default());
    assert_eq!(
        parse(&["control", "--name=x", "--trusted-node-accounts=weft-agent"]).unwrap_err().kind(),
        ErrorKind::ValueValidation
    );
}

#[test]
fn the_cni_plugin_is_where_it_is_told_to_be() {
    let of = |args: &[&str]| {
        let all: Vec<&str> = ["agent", "--node=n", "--manifests=m"].iter().chain(args).copied().collect();
        let Command::Agent(args) = parse(&all).unwrap().command else { panic!("another verb") };
        args
    };
    let asked = of(&["--cni-socket=/s", "--cni-bin-dir=/b"]).config().cni.unwrap();
    assert_eq!((asked.socket.as_path(), asked.folders), (Path::new("/s"), None), "one folder alone installs nothing");
    let installed = of(&["--cni-socket=/s", "--cni-bin-dir=/b", "--cni-conf-dir=/c"]).config().cni.unwrap();
    assert_eq!(installed.folders, Some(("/b".into(), "/c".into())));
    assert!(of(&["--cni-socket=/s", "--no-cni"]).config().cni.is_none());
    let in_cluster = of(&[]).cni.config(true).unwrap();
    assert_eq!(in_cluster.socket, Path::new("/run/weft/cni.socket"));
    assert_eq!(in_cluster.folders, Some(("/opt/cni/bin".into(), "/etc/cni/net.d".into())));
    assert!(of(&["--no-cni"]).cni.config(true).is_none());
}

#[test]
fn an_agent_takes_what_it_is_told() {
    let cli = parse(&[
        "agent",
        "--node=n",
        "--manifests=m",
        "--bpf-dir=/b",
        "--workers=3",
        "--http-addr=127.0.0.1:15021",
        "--access-log=none",
        "--drain-seconds=0",
        "--keep-capture",
        "--takeover",
        "--hold-seconds=0",
        "--log-level=debug",
    ]);
    let cli = cli.unwrap();
    assert_eq!(cli.log.log_level.as_deref(), Some("debug"));
    let Command::Agent(args) = cli.command else { panic!("another verb") };
    let config = args.config();
    assert_eq!((config.bpf_dir.as_path(), config.workers), (Path::new("/b"), 3));
    assert_eq!(config.http_addr, Some("127.0.0.1:15021".parse().unwrap()));
    assert!(!config.access_log_stdout && config.keep_capture && config.drain.is_zero());
    assert!(config.takeover && config.hold.is_zero());
}

#[test]
fn an_agent_without_manifests_follows_an_api_server() {
    let world = |more: &[&str]| {
        let cli = parse(&[&["agent", "--node", "n"], more].concat()).unwrap();
        let Command::Agent(args) = cli.command else { panic!("another verb") };
        args.config().world
    };
    assert_eq!(world(&[]), WorldSource::ApiServer(ApiServer::default()));
    let named = ApiServer { kubeconfig: Some("k".into()), context: Some("c".to_owned()) };
    assert_eq!(world(&["--kubeconfig", "k", "--context", "c"]), WorldSource::ApiServer(named));
}

#[test]
fn what_cannot_be_is_a_usage_error() {
    let cases: [(&[&str], ErrorKind); 9] = [
        (&["agent", "--node", "a", "--manifests", "m", "--kubeconfig", "k"], ErrorKind::ArgumentConflict),
        (&["agent", "--manifests", "m"], ErrorKind::MissingRequiredArgument),
        (&["agent", "--node", "a/b", "--manifests", "m"], ErrorKind::ValueValidation),
        (&["agent", "--node", "..", "--manifests", "m"], ErrorKind::ValueValidation),
        (&["agent", "--node", "a", "--manifests", "m", "--workers", "0"], ErrorKind::ValueValidation),
        (&["agent", "--node", "a", "--manifests", "m", "--http-addr", "15021"], ErrorKind::ValueValidation),
        (&["explain", "--from", "a", "--to", "b", "-H", "nonsense"], ErrorKind::ValueValidation),
        (&["status", "-o", "xml"], ErrorKind::InvalidValue),
        (&["fly"], ErrorKind::InvalidSubcommand),
    ];
    for (args, kind) in cases {
        let error = parse(args).unwrap_err();
        assert_eq!(error.kind(), kind, "{args:?}");
        assert_eq!(error.exit_code(), 2, "{args:?}");
    }
}

#[test]
fn pods_are_spelled_in_three_ways() {
    for (text, namespace, want) in [
        ("a", None, "default/a"),
        ("a", Some("ns"), "ns/a"),
        ("pod/a", None, "default/a"),
        ("pod/a", Some("ns"), "ns/a"),
        ("ns/a", None, "ns/a"),
        ("ns/a", Some("ns"), "ns/a"),
    ] {
        assert_eq!(pod::qualify(text, namespace, None).unwrap(), want, "{text} {namespace:?}");
    }
    assert_eq!(pod::qualify("a", None, Some("of-the-context")).unwrap(), "of-the-context/a");
    assert!(pod::qualify("ns/a", Some("other"), None).unwrap_err().to_string().contains("leave one out"));
    for wrong in ["", "pod/", "/a", "a/b/c", "svc/a"] {
        assert!(pod::qualify(wrong, None, None).is_err(), "{wrong:?}");
    }
    for (text, want) in [
        ("svc/a", (pod::Kind::Service, "default/a")),
        ("service/ns/a", (pod::Kind::Service, "ns/a")),
        ("pods/a", (pod::Kind::Pod, "default/a")),
    ] {
        let (kind, name) = pod::kind_and_name(text, None, None).unwrap();
        assert_eq!((kind, &*name), want, "{text}");
    }
}

#[test]
fn durations_and_tables_are_short() {
    for (seconds, want) in [
        (-1.0, "0s"),
        (3.9, "3s"),
        (59.0, "59s"),
        (250.0, "4m10s"),
        (3_599.0, "59m"),
        (7_500.0, "2h5m"),
        (86_400.0, "24h"),
        (200_000.0, "2d"),
    ] {
        assert_eq!(output::duration(seconds), want);
    }
    let mut table = Table::new(&["A", "LONG"]);
    table.add(vec!["wide".to_owned(), "x".to_owned()]);
    table.add(vec!["é".to_owned(), String::new()]);
    assert_eq!(table.render(), "A      LONG\nwide   x\né\n");
}

#[tokio::test]
async fn the_status_table_fits_a_terminal_and_keeps_the_long_answers_below() {
    let mut world = sentences();
    world.pod("default", "alone", "10.1.0.8", &[]).enrolment =
        Enrolment::NotEnrolled("namespace is not labelled istio-injection=enabled");
    let desk = Desk::new(&world);
    desk.captured("a", proven());
    desk.captured("name-v1", CaptureState::Failed { reason: "network namespace name-v1: not found".to_owned() });
    desk.issue(&"spiffe://cluster.local/ns/default/sa/a".parse().unwrap()).await;
    let problem = Problem {
        file: "name.yaml".into(),
        line: Some(12),
        object: Some("VirtualService default/name".to_owned()),
        field: Some("spec.http[0].fault".to_owned()),
        message: "is not acted upon".to_owned(),
        next_step: "remove it".to_owned(),
    };
    desk.report.send_replace(Arc::new(Report { warnings: vec![problem], ..Report::empty() }));
    let text = status::render(&desk.admin.status(false));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("NODE     READY   SNAPSHOT   PROBLEMS"), "{text}");
    assert!(lines[1].starts_with("node-a   yes     1          1"), "{text}");
    assert_eq!(lines[3], "POD               ENROLLED   CAPTURE         IDENTITY             CERT EXPIRES IN");
    assert!(lines[4].starts_with("default/a         yes        proven 0s ago   ns/default/sa/a      "), "{text}");
    assert_eq!(lines[5], "default/alone     no         -               -                    -");
    assert!(lines[6].starts_with("default/name-v1   yes        failed "), "{text}");
    assert_eq!(lines[8], "default/alone: not enrolled: namespace is not labelled istio-injection=enabled");
    assert_eq!(lines[9], "default/name-v1: capture failed: network namespace name-v1: not found");
    assert_eq!(
        lines[11..],
        [
            "PROBLEMS",
            "warning: name.yaml:12: VirtualService default/name: spec.http[0].fault: is not acted upon; remove it"
        ]
    );
    assert!(lines[..8].iter().all(|line| line.chars().count() <= 100), "{text}");
}

fn explained(world: &TestWorld) -> String {
    let question = Question {
        from: Named::new("default", "a"),
        to: "http://name:5000/".to_owned(),
        method: "GET".to_owned(),
        headers: Vec::new(),
        tcp: false,
    };
    let mut explanation = crate::admin::explain::explain(&world.snapshot(), &question).unwrap();
    "node-a".clone_into(&mut explanation.answered_by);
    explain::render(&explanation)
}

#[test]
fn an_explanation_reads_from_one_pod_to_the_other() {
    let mut world = sentences();
    world.destination_rules.push(destination_rule("name", "name", &["v1"]));
    world.virtual_services.push(virtual_service("name", "name", vec![route(vec![to("name", Some("v1"), None)])]));
    assert_eq!(
        explained(&world),
        "\
default/a -> GET http://name:5000/

SOURCE default/a (node node-a)
  identity   spiffe://cluster.local/ns/default/sa/a
  dials      10.96.0.10:5000, cluster IP of Service default/name
  speaks     HTTP, by declaration
  route      VirtualService default/name http[0], for host name.default.svc.cluster.local
             matches everything
  to         100% name.default.svc.cluster.local port 5000 subset v1
               10.1.0.2:5000 pod default/name-v1 (node node-a)

DESTINATION 10.1.0.2:5000 pod default/name-v1 (node node-a)
  wire       mTLS, and the other end must be spiffe://cluster.local/ns/default/sa/name
  mTLS mode  PERMISSIVE
  verdict    allowed: no AuthorizationPolicy is in the way

OUTCOME: delivered to 10.1.0.2:5000 of pod default/name-v1
"
    );
}

#[test]
fn an_explanation_says_when_the_dice_decide() {
    let mut world = sentences();
    Arc::make_mut(&mut world.pod_mut("name-v2").labels).insert("app2".into(), "v2".into());
    let mut deny = authorization("deny-v2", None, Action::Deny, vec![Rule::default()]);
    deny.selector = Some(weft_model::testing::labels(&[("version", "v2")]));
    world.authorization_policies.push(deny);
    let text = explained(&world);
    let (_, others) = text.split_once("OTHER ENDPOINTS END OTHERWISE\n").expect(&text);
    assert!(text.contains("route      default: no VirtualService speaks for it"), "{text}");
    let other = if text.contains("OUTCOME: delivered") {
        "  10.1.0.3:5000 pod default/name-v2 (node node-b): 403 RBAC: access denied (denied by policy default/deny-v2 rule 0)"
    } else {
        "  10.1.0.2:5000 pod default/name-v1 (node node-a): delivered to 10.1.0.2:5000 of pod default/name-v1"
    };
    assert_eq!(others.lines().next(), Some(other));
}

#[test]
fn checks_fail_only_for_what_is_needed() {
    let row = |what: &str, state| Row {
        what: what.to_owned(),
        state,
        found: "x".to_owned(),
        detail: if what == "two" { "line one\nline two".to_owned() } else { String::new() },
        purpose: "tests",
        next_step: "do it",
    };
    let (text, fine) = check::render(&[row("one", State::Ok), row("two", State::Warn)]);
    assert!(fine);
    assert_eq!(
        text,
        "STATE   WHAT   FOUND   FOR\nOK      one    x       tests\nWARN    two    x       tests\n\nNEXT STEPS\ntwo: do it\n    line one\n    line two\n"
    );
    let (_, fine) = check::render(&[row("one", State::Missing), row("two", State::Ok)]);
    assert!(!fine);
}

#[test]
fn a_directory_is_checked_object_by_object() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pod.yaml");
    std::fs::write(&file, "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: default\n").unwrap();
    let (text, fine) = check::manifests(&crate::discovery::check_dir(folder.path()));
    assert!(fine, "{text}");
    assert!(text.ends_with("1 objects in force, 0 errors, 0 warnings\n"), "{text}");
    std::fs::write(&file, "apiVersion: v1\nkind: [\n").unwrap();
    let (text, fine) = check::manifests(&crate::discovery::check_dir(folder.path()));
    assert!(!fine);
    assert!(text.starts_with("error: pod.yaml:"), "{text}");
}

async fn serve(desk: &Desk, folder: &Path) -> lifecycle::Drainer {
    let (drainer, drain) = lifecycle::drain();
    let (socket, standing) = (socket_path(folder, &desk.admin.node), desk.admin.standing.clone());
    desk.front().serve_unix(&socket, standing, drain).await.unwrap();
    drainer
}

#[tokio::test]
async fn each_pods_agent_is_found_and_silent_sockets_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let none = Mesh::of_machine(folder.path()).err().unwrap().to_string();
    assert!(none.starts_with("no agent listens in"), "{none}");
    let (a, b) = (Desk::of_node("node-a", &sentences()), Desk::of_node("node-b", &sentences()));
    let _a = serve(&a, folder.path()).await;
    let mesh = Mesh::of_machine(folder.path()).unwrap();
    let ask = async |mesh: &Mesh, pod: &str| {
        let page = client::page("/stats", [("pod", pod)]);
        mesh.ask_pods_agent(pod, &page).await.map(|(agent, text)| (agent.node, text))
    };
    let elsewhere = ask(&mesh, "default/name-v2").await.unwrap_err().to_string();
    assert_eq!(
        elsewhere,
        "pod default/name-v2 runs on node node-b, this is node-a; run this on that node, or name its --state-dir"
    );
    let _b = serve(&b, folder.path()).await;
    let mesh = Mesh::of_machine(folder.path()).unwrap();
    let (node, text) = ask(&mesh, "default/name-v2").await.unwrap();
    assert_eq!(node, "node-b");
    assert!(text.contains("istio_build"), "{text}");
    let unknown = ask(&mesh, "default/name-v3").await.unwrap_err().to_string();
    assert_eq!(unknown, "there is no pod default/name-v3; there is default/name-v1, default/name-v2");
    drop(std::os::unix::net::UnixListener::bind(socket_path(folder.path(), "node-c")).unwrap());
    let mesh = Mesh::of_machine(folder.path()).unwrap();
    let silent = Mesh { agents: mesh.agents[2..].to_vec(), cluster: None };
    let silent = ask(&silent, "default/a").await.unwrap_err().to_string();
    assert!(silent.contains("node-c") && silent.contains("run `weft cleanup`"), "{silent}");
}

#[tokio::test]
async fn an_ending_agent_says_so_and_answers_on() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::new(&TestWorld::new());
    let drainer = serve(&desk, folder.path()).await;
    let agent = &Mesh::of_machine(folder.path()).unwrap().agents[0];
    assert_eq!(agent.get("/ready").await.unwrap().status, 200);
    assert_eq!(drainer.finish(Duration::from_secs(5)).await, 0);
    let answer = agent.get("/ready").await.unwrap();
    assert_eq!((answer.status.as_u16(), &*answer.body), (503, "the agent is ending\n"));
}

#[tokio::test]
async fn the_same_pages_are_on_tcp() {
    let desk = Desk::new(&TestWorld::new());
    let (_drainer, drain) = lifecycle::drain();
    let address = desk.front().serve_tcp("127.0.0.1:0".parse().unwrap(), drain.clone()).await.unwrap();
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.writable().await.unwrap();
    stream.try_write(b"GET /live HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    let mut stream = stream;
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("live\n"), "{answer}");
    let taken = desk.front().serve_tcp(address, drain).await.unwrap_err().to_string();
    assert!(taken.contains("give another --http-addr"), "{taken}");
}

fn cleaning(folder: &Path, force: bool) -> cleanup::Args {
    let state = StateDir { state_dir: folder.to_owned() };
    // A folder for pins that is not there: the machine's own must not be touched by a test.
    let cni_files = CniFiles {
        cni_bin_dir: Some(folder.join("bin")),
        cni_conf_dir: Some(folder.join("net.d")),
        cni_state_file: Some(folder.join("cni-state.json")),
    };
    cleanup::Args {
        node: None,
        bpf_dir: Some(folder.join("pins")),
        force,
        cni: false,
        all: false,
        announce: false,
        stay: false,
        data_dir: folder.join("data"),
        state,
        cni_files,
    }
}

#[test]
fn a_node_that_weft_leaves_is_announced_to_its_agent_and_then_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (state_dir, data_dir) = (folder.path().join("run/weft"), folder.path().join("lib/weft"));
    let args = cleanup::Args {
        node: Some("node-a".to_owned()),
        state: StateDir { state_dir: state_dir.clone() },
        data_dir: data_dir.clone(),
        ..cleaning(folder.path(), false)
    };
    let nameless = cleanup::Args { announce: true, node: None, ..cleaning(folder.path(), false) };
    assert!(cleanup::run(&nameless).unwrap_err().to_string().contains("--node"));
    std::fs::create_dir_all(&state_dir).unwrap();
    let note = leftovers::for_good_path(&state_dir, "node-a");
    std::fs::write(&note, "").unwrap();
    let is_for_good = leftovers::for_good(&state_dir, "node-a");
    assert!(!note.exists(), "what an earlier uninstallation noted does not count");
    cleanup::run(&cleanup::Args { announce: true, ..args }).unwrap();
    assert!(is_for_good());
    std::fs::create_dir_all(&data_dir).unwrap();
    let args = cleanup::Args {
        node: Some("node-a".to_owned()),
        state: StateDir { state_dir: state_dir.clone() },
        data_dir: data_dir.clone(),
        all: true,
        ..cleaning(folder.path(), false)
    };
    let report = cleanup::clean(&args).unwrap();
    assert_eq!(report.failed, [""; 0]);
    assert!(!state_dir.exists() && !data_dir.exists(), "{report:?}");
    let kept = cleanup::Args { all: true, ..cleaning(folder.path(), false) };
    cleanup::clean(&kept).unwrap();
    assert!(folder.path().exists(), "a folder that is not called weft may have been named by mistake");
}

#[test]
fn cleanup_removes_what_a_killed_agent_left() {
    let folder = tempfile::tempdir().unwrap();
    let socket = socket_path(folder.path(), "node-a");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let list = leftovers::path(folder.path(), "node-a");
    let gone = leftovers::Leftover {
        netns: "/run/netns/weft-test-never-made".into(),
        addresses: Vec::new(),
        kept_settings: Vec::new(),
    };
    leftovers::write(&list, &[gone]).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "").unwrap();
    let report = cleanup::clean(&cleaning(folder.path(), false)).unwrap();
    assert_eq!(report.removed, [format!("list {}", list.display()), format!("socket {}", socket.display())]);
    assert_eq!(report.failed, [""; 0]);
    assert!(!socket.exists() && !list.exists());
    assert!(folder.path().join("notes.txt").exists(), "what is not an agent's stays");
    assert_eq!(cleanup::clean(&cleaning(folder.path(), false)).unwrap(), cleanup::Report::default());
}

#[test]
fn cleanup_keeps_the_list_of_what_it_could_not_undo() {
    let folder = tempfile::tempdir().unwrap();
    let list = leftovers::path(folder.path(), "node-a");
    let not_a_namespace = folder.path().join("file");
    std::fs::write(&not_a_namespace, "").unwrap();
    leftovers::write(
        &list,
        &[leftovers::Leftover { netns: not_a_namespace, addresses: Vec::new(), kept_settings: Vec::new() }],
    )
    .unwrap();
    let report = cleanup::clean(&cleaning(folder.path(), false)).unwrap();
    assert_eq!(report.failed.len(), 1, "{report:?}");
    assert!(list.exists());
}

#[test]
fn cleanup_takes_the_cni_plugin_away_only_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let (plugin, list) = (folder.path().join("bin/weft-cni"), folder.path().join("net.d/10-net.conflist"));
    std::fs::create_dir_all(plugin.parent().unwrap()).unwrap();
    std::fs::create_dir_all(list.parent().unwrap()).unwrap();
    std::fs::write(&plugin, "").unwrap();
    std::fs::write(&list, r#"{"name":"net","plugins":[{"type":"ptp"},{"type":"weft-cni"}]}"#).unwrap();
    assert_eq!(cleanup::clean(&cleaning(folder.path(), false)).unwrap(), cleanup::Report::default());
    let report = cleanup::clean(&cleanup::Args { cni: true, ..cleaning(folder.path(), false) }).unwrap();
    assert_eq!(report.removed.len(), 2, "{report:?}");
    assert!(!plugin.exists());
    let left = std::fs::read_to_string(&list).unwrap();
    assert!(left.contains("ptp") && !left.contains("weft-cni"), "{left}");
}

#[test]
fn cleanup_leaves_a_running_agent_alone() {
    let folder = tempfile::tempdir().unwrap();
    let socket = socket_path(folder.path(), "node-a");
    let _living = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let refused = cleanup::clean(&cleaning(folder.path(), false)).unwrap_err().to_string();
    assert!(refused.starts_with("the agent of node node-a is running"), "{refused}");
    assert!(socket.exists());
    let report = cleanup::clean(&cleaning(folder.path(), true)).unwrap();
    assert_eq!(report.removed, [format!("socket {}", socket.display())]);
}

#[test]
fn cleanup_leaves_the_owner_of_a_node_alone() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::of(folder.path(), "node-a");
    let owner = Ownership::claim(&files.lock).unwrap();
    let refused = cleanup::clean(&cleaning(folder.path(), false)).unwrap_err().to_string();
    assert!(refused.starts_with("the agent of node node-a is running"), "{refused}");
    drop(owner);
    cleanup::clean(&cleaning(folder.path(), false)).unwrap();
    assert!(!files.lock.exists());
}

#[test]
fn asking_needs_no_runtime_of_the_caller() {
    assert_eq!(ask::block_on(async { Ok(7) }).unwrap(), 7);
}

#[test]
fn versions_are_one_line_each_until_they_differ() {
    let mut versions = version::Versions { client: "0.2.0".to_owned(), ..version::Versions::default() };
    for (node, of) in [("a", "0.2.0"), ("b", "0.2.0")] {
        versions.agents.insert(node.to_owned(), of.to_owned());
    }
    assert_eq!(version::render(&versions), "weft 0.2.0\nagents   0.2.0 (2 nodes)\n");
    versions.agents.insert("c".to_owned(), "0.1.0".to_owned());
    versions.control.insert("weft-control-1".to_owned(), "0.2.0".to_owned());
    assert_eq!(
        version::render(&versions),
        "weft 0.2.0\ncontrol  0.2.0 (1 replicas)\nagents   0.1.0 (1 nodes: c)\nagents   0.2.0 (2 nodes: a, b)\n"
    );
}

#[test]
fn an_installation_can_be_printed_whole() {
    let options = crate::install::options::Options::default();
    let yaml = install::print(&options, output::YamlOrJson::Yaml).unwrap();
    let json = install::print(&options, output::YamlOrJson::Json).unwrap();
    let printed = crate::install::manifests::documents(&yaml).unwrap();
    let list: serde_json::Value = serde_json::from_str(&json).unwrap();
    let applied = crate::install::manifests::manifests(&options).unwrap();
    let applied: Vec<_> = applied.into_iter().map(|manifest| manifest.object).collect();
    assert_eq!(printed, applied);
    assert_eq!(list["items"], serde_json::Value::from(applied));
}
