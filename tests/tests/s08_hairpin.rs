//! A pod that asks its own Service: when it is the only one ready, it must get itself.

use anyhow::{Result, ensure};
use weft_testbed::{APPLIES, Answers, Cluster, PATIENCE, Pod, eventually};

/// Pods with a readiness file, as the exercise on localities has them; its Service's port has no name.
fn multitool(node: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: multitool-{node}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: multitool, node: {node}}}}}
  template:
    metadata:
      labels: {{app: multitool, node: {node}}}
    spec:
      nodeName: {node}
      containers:
      - name: multitool
        image: praqma/network-multitool
        ports: [{{containerPort: 80}}]
        readinessProbe:
          exec: {{command: [cat, /tmp/ready]}}
          periodSeconds: 1
---
"
    )
}

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: multitool}
spec:
  selector: {app: multitool}
  ports: [{port: 80}]
---
";

const STRICT: &str = "apiVersion: security.istio.io/v1beta1\nkind: PeerAuthentication\nmetadata: {name: default}\nspec: {mtls: {mode: STRICT}}\n";

fn from(answers: &Answers, pod: &Pod) -> usize {
    answers.count(|response| response.status == 200 && response.text().trim() == pod.name())
}

#[test]
fn the_only_ready_pod_gets_itself() -> Result<()> {
    let cluster = Cluster::exercise("s08")?;
    cluster.start_agents()?;
    cluster.apply(&(multitool("a") + &multitool("b") + SERVICE))?;
    let pods = eventually(PATIENCE, || {
        let pods = [cluster.pods_of("default", "multitool-a"), cluster.pods_of("default", "multitool-b")].concat();
        ensure!(pods.len() == 4, "{} pods", pods.len());
        pods.iter().try_for_each(Pod::is_captured)?;
        Ok(pods)
    });
    let caller = &pods[0];
    // Nobody is ready, the caller neither.
    let answer = caller.get("http://multitool/");
    assert!(answer.as_ref().map_or(true, |response| response.status == 503), "{answer:?}");

    caller.exec("touch", &["/tmp/ready"])?;
    eventually(PATIENCE, || {
        ensure!(caller.is_ready(), "not ready yet");
        Ok(())
    });
    let itself = || {
        eventually(APPLIES, || {
            let output = caller.exec("curl", &["-s", "http://multitool/"])?;
            ensure!(output.stdout.trim() == caller.name(), "{output:?}");
            Ok(())
        });
        let answers = caller.get_many("http://multitool/", &[], 20, 2);
        assert_eq!(from(&answers, caller), 20, "{:?} {:?}", answers.summary(), answers.bodies());
    };
    itself();
    // By its own address too; and by localhost, which is nobody's business.
    for url in [format!("http://{}/", caller.ip()), "http://127.0.0.1/".to_owned()] {
        let answers = caller.get_many(&url, &[], 20, 2);
        assert_eq!(from(&answers, caller), 20, "{url}: {:?}", answers.summary());
    }
    cluster.apply(STRICT)?;
    itself();
    assert_eq!(pods[1].get("http://multitool/")?.text().trim(), caller.name(), "strict, from the same node");
    assert_eq!(pods[2].get("http://multitool/")?.text().trim(), caller.name(), "strict, from the other node");

    // A second one on the other node takes its half.
    let other = &pods[2];
    other.exec("touch", &["/tmp/ready"])?;
    eventually(PATIENCE, || {
        ensure!(
            from(&caller.get_many("http://multitool/", &[], 10, 2), other) > 0,
            "the second one has no request yet"
        );
        Ok(())
    });
    for client in [caller, other, &pods[1]] {
        let answers = client.get_many("http://multitool/", &[], 200, 4);
        let shares = [from(&answers, caller), from(&answers, other)];
        assert_eq!(shares.iter().sum::<usize>(), 200, "{:?}", answers.summary());
        assert!(shares.iter().all(|share| (76..=124).contains(share)), "{shares:?} from {}", client.name());
    }
    Ok(())
}
