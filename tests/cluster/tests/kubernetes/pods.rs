//! Pods of all kinds: on the node's network, with init containers, as Jobs, with shared accounts, in namespaces that come again.

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{STRICT, all, mirror, multitool_on, pinned};
use weft_cluster_tests::{APPLIES, Namespace, PATIENCE, eventually, two_nodes};

use super::{ask, who};

/// A pod on the node's own network is not in the mesh, as client and as server; both kinds talk as far as strict allows.
#[test]
fn pods_on_the_nodes_network_stay_outside() -> Result<()> {
    let namespace = Namespace::enrolled("pods-host")?;
    let [here, there] = two_nodes()?;
    let on_host =
        pinned(&mirror("host", "      hostNetwork: true\n"), "app: host", &here.name).replace("8080", "18080");
    let host_client = multitool_on("host-client", &here.name);
    let host_client = host_client
        .replace("    spec:\n", "    spec:\n      hostNetwork: true\n      dnsPolicy: ClusterFirstWithHostNet\n");
    // Nothing of its own to serve: the node's port 80 may be somebody's.
    let host_client = host_client + "        command: [sleep, infinity]\n";
    namespace.apply(&all(&[&on_host, &host_client, &mirror("web", ""), &multitool_on("far", &there.name)]))?;
    namespace.wait_rollout()?;
    let (host, host_client) = (namespace.pod("app=host")?, namespace.pod("app=host-client")?);
    let (web, client) = (namespace.pod("app=web")?, namespace.pod("app=far")?);
    assert_eq!(host.ip(), here.address);
    assert_eq!(ask(&client, "http://host/")?["method"], "GET", "a server on the node's network");
    assert_eq!(who(&host_client, "http://web/")?, web.pod(), "a client on the node's network");
    client.ensure_captured(&web, true)?;
    client.ensure_captured(&host, false)?;

    namespace.apply(STRICT)?;
    eventually(APPLIES, || {
        let answer = host_client.curl(&["http://web/"])?;
        ensure!(answer.exit == 56, "strict lets plain text of the node in: {answer:?}");
        Ok(())
    });
    assert_eq!(ask(&client, "http://host/")?["method"], "GET", "strict is about servers in the mesh");
    assert_eq!(who(&client, "http://web/")?, web.pod());
    namespace.passed()
}

/// Whatever runs before the application is in the mesh already: it reaches strict servers, and no packet of it was plain text.
#[test]
fn init_containers_talk_to_strict_servers() -> Result<()> {
    let namespace = Namespace::enrolled("pods-init")?;
    namespace.apply(&all(&[STRICT, &mirror("web", "")]))?;
    namespace.wait_rollout()?;
    let init = r#"      initContainers:
      - name: ask
        image: praqma/network-multitool
        command: [sh, -c, "curl -s -f -m 10 http://web/ && echo asked"]
"#;
    // Several times: the first moments of a pod are where it could go wrong.
    for round in 0..3 {
        let name = format!("starts-{round}");
        namespace.apply(&mirror(&name, init))?;
        namespace.wait_rollout_of(&format!("deployment/{name}"))?;
        let pod = namespace.pod(&format!("app={name}"))?;
        let status = pod.object()?["status"]["initContainerStatuses"][0].clone();
        assert_eq!(status["restartCount"], 0, "the init container failed first: {status}");
    }
    namespace.passed()
}

/// A Job in the mesh ends when its program ends.
#[test]
fn jobs_end() -> Result<()> {
    let namespace = Namespace::enrolled("pods-job")?;
    namespace.apply(&all(&[STRICT, &mirror("web", "")]))?;
    namespace.wait_rollout()?;
    let job = r#"
apiVersion: batch/v1
kind: Job
metadata: {name: ask}
spec:
  completions: 3
  parallelism: 3
  backoffLimit: 0
  template:
    metadata:
      labels: {app: ask}
    spec:
      restartPolicy: Never
      containers:
      - name: ask
        image: praqma/network-multitool
        command: [sh, -c, "for i in 1 2 3 4 5; do curl -s -f -m 10 http://web/ || exit 1; done"]
"#;
    namespace.apply(job)?;
    namespace.kubectl(&["wait", "--for=condition=Complete", "job/ask", "--timeout=100s"])?;
    let object = namespace.object(&["get", "job", "ask"])?;
    assert_eq!((&object["status"]["succeeded"], object["status"]["failed"].as_u64()), (&3.into(), None), "{object}");
    namespace.passed()
}

/// An account is one identity, on every node that it runs on.
#[test]
fn two_pods_share_an_account_across_nodes() -> Result<()> {
    let namespace = Namespace::enrolled("pods-account")?;
    let [here, there] = two_nodes()?;
    namespace.kubectl(&["create", "serviceaccount", "shared"])?;
    let policy = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: web}
spec:
  selector:
    matchLabels: {app: web}
  rules:
  - from:
    - source: {principals: [cluster.local/ns/$NS/sa/shared]}
";
    let shared = |name: &str, node: &str| {
        multitool_on(name, node).replace("    spec:\n", "    spec:\n      serviceAccountName: shared\n")
    };
    let clients = [shared("here", &here.name), shared("there", &there.name), multitool_on("other", &there.name)];
    namespace.apply(&all(&[STRICT, policy, &pinned(&mirror("web", ""), "app: web", &here.name)]))?;
    namespace.apply(&all(&clients.each_ref().map(String::as_str)))?;
    namespace.wait_rollout()?;
    let principal = format!("spiffe://cluster.local/ns/{}/sa/shared", namespace.name());
    for client in ["here", "there"] {
        let client = namespace.pod(&format!("app={client}"))?;
        let said = eventually(APPLIES, || ask(&client, "http://web/"))["headers"].to_string();
        assert!(said.contains(&principal), "the application is told who asks: {said}");
    }
    let answer = namespace.pod("app=other")?.curl(&["http://web/"])?;
    assert_eq!((answer.status, &*answer.body), (403, "RBAC: access denied"));
    namespace.passed()
}

/// A namespace that is deleted and made again has nothing of the first: no policy, no endpoint, no identity in the way.
#[test]
fn a_namespace_comes_again() -> Result<()> {
    let observer = Namespace::enrolled("pods-observer")?;
    let client = observer.multitool()?;
    let name = format!("pods-again-{:04x}", fastrand::u16(..));
    let url = format!("http://web.{name}/");
    for round in 0..2 {
        let namespace = Namespace::named(&name)?;
        namespace.enrol()?;
        namespace.apply(&all(&[STRICT, &mirror("web", "")]))?;
        namespace.wait_rollout()?;
        let web = namespace.pod("app=web")?;
        eventually(PATIENCE, || {
            let answered = who(&client, &url)?;
            ensure!(answered == web.pod(), "{answered} answered in round {round}");
            Ok(())
        });
        let answers = client.get_many(&url, &[], 20, 2)?;
        assert_eq!(answers.count(|response| response.status == 200), 20, "{:?}", answers.summary());
        namespace.apply(weft_cluster_tests::manifests::DENY_ALL)?;
        eventually(APPLIES, || {
            let status = client.status(&url)?;
            ensure!(status == 403, "{status} although nobody may ask");
            Ok(())
        });
        namespace.passed()?;
        weft_cluster_tests::kubectl(&["wait", "--for=delete", &format!("namespace/{name}"), "--timeout=110s"])?;
    }
    observer.passed()
}
