//! The plugin as a runtime calls it, with a listener of the test's in the agent's place.

use std::{
    collections::BTreeMap,
    io::BufReader,
    os::unix::net::UnixListener,
    path::PathBuf,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{AGENT_AWAY, CniError, Code, error_page, run};
use crate::cni::{
    known::Known,
    message::{Answer, Request, read, write},
};

struct Node {
    folder: tempfile::TempDir,
}

impl Node {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An agent that answers one call, and returns it.
    fn agent(&self, answer: Answer) -> JoinHandle<Request> {
        let listener = UnixListener::bind(self.path("cni.sock")).unwrap();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let request = read(BufReader::new(&stream)).unwrap();
            write(&stream, &answer).unwrap();
            request
        })
    }

    fn knows(&self, namespaces: &[(&str, bool)]) {
        let namespaces: BTreeMap<String, bool> =
            namespaces.iter().map(|(name, held)| ((*name).to_owned(), *held)).collect();
        Known { namespaces }.write(&self.path("state.json")).unwrap();
    }

    fn input(&self) -> Value {
        json!({
            "cniVersion": "1.0.0", "name": "net", "type": "weft-cni", "agentNamespace": "istio-system",
            "socket": self.path("cni.sock"), "state": self.path("state.json"), "prevResult": result(),
        })
    }

    fn call(&self, command: &str, namespace: &str, pod: &str) -> Result<Option<Value>, CniError> {
        self.call_with(command, namespace, pod, &self.input())
    }

    fn call_with(&self, command: &str, namespace: &str, pod: &str, input: &Value) -> Result<Option<Value>, CniError> {
        let variable = |name: &str| match name {
            "CNI_COMMAND" => Some(command.to_owned()),
            "CNI_CONTAINERID" => Some("c1".to_owned()),
            "CNI_NETNS" => Some("/var/run/netns/cni-1".to_owned()),
            "CNI_ARGS" => Some(format!("K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={pod};K8S_POD_UID=u1")),
            _ => None,
        };
        run(&variable, input.to_string().as_bytes())
    }
}

/// What the plugins before have done.
fn result() -> Value {
    json!({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/var/run/netns/cni-1"}],
        "ips": [{"address": "10.244.1.5/24", "interface": 0}], "dns": {}})
}

#[test]
fn a_pod_that_the_agent_lets_pass_has_the_result_of_the_plugins_before() {
    let node = Node::new();
    let agent = node.agent(Answer::Pass { reason: "proven".to_owned() });
    assert_eq!(node.call("ADD", "default", "a").unwrap(), Some(result()));
    let Request::Add(sandbox) = agent.join().unwrap() else { panic!("an ADD") };
    assert_eq!((&*sandbox.namespace, &*sandbox.name, &*sandbox.uid), ("default", "a", "u1"));
    assert_eq!(sandbox.addresses.len(), 1);
}

#[test]
fn a_pod_that_the_agent_refuses_is_told_why() {
    let node = Node::new();
    node.knows(&[("default", false)]);
    let agent = node.agent(Answer::Refuse { reason: "weft holds pod default/a: no route".to_owned() });
    let error = node.call("ADD", "default", "a").unwrap_err();
    assert_eq!(error.code, Code::TryAgain);
    let page = error_page(&error, node.input().to_string().as_bytes());
    assert_eq!(page, json!({"cniVersion": "1.0.0", "code": 11, "msg": "weft holds pod default/a: no route"}));
    agent.join().unwrap();
}

#[test]
fn without_an_agent_only_what_is_known_to_be_outside_the_mesh_starts() {
    let node = Node::new();
    node.knows(&[("outside", false), ("enrolled", true)]);
    let started = Instant::now();
    for (namespace, pod) in
        [("outside", "a"), ("kube-system", "coredns"), ("istio-system", "weft-agent-1"), ("istio-system", "x")]
    {
        assert_eq!(node.call("ADD", namespace, pod).unwrap(), Some(result()), "{namespace}/{pod}");
    }
    assert!(started.elapsed() < AGENT_AWAY, "nobody waits for an agent that is not needed");
    for (namespace, word) in [("enrolled", "in the mesh"), ("made-since", "not seen")] {
        let error = node.call("ADD", namespace, "a").unwrap_err();
        assert_eq!(error.code, Code::TryAgain);
        let text = error.to_string();
        assert!(
            text.contains("weft's agent on this node is not running") && text.contains("is held until it is"),
            "{text}"
        );
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn without_an_agent_and_without_the_file_only_what_brings_them_back_starts() {
    let node = Node::new();
    for (namespace, pod) in [("kube-system", "coredns"), ("istio-system", "weft-agent-1")] {
        assert!(node.call("ADD", namespace, pod).is_ok(), "{namespace}/{pod}");
    }
    let text = node.call("ADD", "outside", "a").unwrap_err().to_string();
    assert!(text.contains("is not known: cannot read"), "{text}");
}

#[test]
fn an_agent_that_comes_back_is_waited_for() {
    let node = Node::new();
    node.knows(&[("enrolled", true)]);
    thread::scope(|scope| {
        let call = scope.spawn(|| node.call("ADD", "enrolled", "a"));
        thread::sleep(Duration::from_millis(300));
        let agent = node.agent(Answer::Pass { reason: "proven".to_owned() });
        assert_eq!(call.join().unwrap().unwrap(), Some(result()));
        agent.join().unwrap();
    });
}

#[test]
fn a_pod_can_always_go() {
    let node = Node::new();
    assert_eq!(node.call("DEL", "enrolled", "a").unwrap(), None, "without an agent");
    assert_eq!(node.call_with("DEL", "enrolled", "a", &json!("nonsense")).unwrap(), None);
    let agent = node.agent(Answer::Pass { reason: String::new() });
    let without_result = {
        let mut input = node.input();
        input.as_object_mut().unwrap().remove("prevResult");
        input
    };
    assert_eq!(node.call_with("DEL", "enrolled", "a", &without_result).unwrap(), None);
    assert!(matches!(agent.join().unwrap(), Request::Delete(sandbox) if sandbox.container == "c1"));
}

#[test]
fn check_asks_the_agent() {
    let node = Node::new();
    let agent = node.agent(Answer::Refuse { reason: "not captured".to_owned() });
    assert_eq!(node.call("CHECK", "default", "a").unwrap_err().to_string(), "not captured");
    assert!(matches!(agent.join().unwrap(), Request::Check(_)));
    assert_eq!(node.call("CHECK", "kube-system", "a").unwrap(), None);
    assert!(node.call("CHECK", "default", "a").unwrap_err().to_string().contains("not running"));
}

#[test]
fn a_first_plugin_cannot_be_ours() {
    let node = Node::new();
    let mut input = node.input();
    input.as_object_mut().unwrap().remove("prevResult");
    let error = node.call_with("ADD", "default", "a", &input).unwrap_err();
    assert_eq!(error.code, Code::Config);
}

#[test]
fn version_status_and_gc() {
    let node = Node::new();
    let version = node.call("VERSION", "", "").unwrap().unwrap();
    assert_eq!(version["cniVersion"], "1.0.0");
    assert!(version["supportedVersions"].as_array().unwrap().contains(&json!("1.1.0")));
    assert_eq!(node.call("STATUS", "", "").unwrap(), None, "also without an agent");
    assert_eq!(node.call("GC", "", "").unwrap(), None);
}

#[test]
fn a_pod_that_got_a_network_which_was_replaced_is_tried_again_with_the_new_one() {
    let node = Node::new();
    let folder = node.path("net.d");
    std::fs::create_dir(&folder).unwrap();
    let write = |kind: &str| {
        let list = json!({"name": "net", "cniVersion": "1.0.0", "plugins": [{"type": kind}]});
        std::fs::write(folder.join("10-net.conflist"), list.to_string()).unwrap();
    };
    let mut input = node.input();
    input["copiedIn"] = folder.display().to_string().into();
    input["copyOf"] = "10-net.conflist".into();
    write("ptp");
    let error = node.call_with("ADD", "kube-system", "x", &input).unwrap_err();
    assert!(error.code == Code::TryAgain && error.to_string().contains("has changed"), "no copy yet: {error}");
    assert_eq!(node.call_with("ADD", "kube-system", "x", &input).unwrap(), Some(result()));
    write("bridge");
    assert!(node.call_with("ADD", "kube-system", "x", &input).is_err());
    let copy: Value = serde_json::from_slice(&std::fs::read(folder.join("0-weft.conflist")).unwrap()).unwrap();
    assert_eq!((&copy["plugins"][0]["type"], &copy["plugins"][1]["type"]), (&json!("bridge"), &json!("weft-cni")));
    assert_eq!(copy["plugins"][1]["socket"], input["socket"], "the plugin writes the agent's entry");
    assert_eq!(node.call_with("ADD", "kube-system", "x", &input).unwrap(), Some(result()));
    std::fs::write(folder.join("10-net.conflist"), "{").unwrap();
    assert_eq!(node.call_with("ADD", "kube-system", "x", &input).unwrap(), Some(result()), "being written");
}
