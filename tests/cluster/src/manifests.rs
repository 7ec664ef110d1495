//! The exercises' manifests, in the shape in which their pages have them: the same kinds, names, labels, ports and fields.
//!
//! `$NS` in a manifest is the namespace it is applied to, as `envsubst` puts it there in the exercises.

/// `kubectl apply -f deploy/v1/`: sentences, age, and the first version of name.
pub const V1: &str = concat!(
    include_str!("../manifests/v1/sentences.yaml"),
    "---\n",
    include_str!("../manifests/v1/age.yaml"),
    "---\n",
    include_str!("../manifests/v1/name.yaml")
);
/// `kubectl apply -f deploy/v2/`: the second version of name.
pub const V2: &str = include_str!("../manifests/v2/name.yaml");
/// The application with an account for each role; ports without a protocol.
pub const AUTHZ: &str = include_str!("../manifests/authz/sentences.yaml");
/// The application as the tour of the metrics deploys it: outside the mesh and not merged.
pub const METRICS: &str = include_str!("../manifests/metrics/sentences.yaml");
/// The application outside the mesh, one constant for each file that the page applies by itself.
pub const MTLS_SENTENCES: &str = include_str!("../manifests/mtls/sentences.yaml");
/// See [`MTLS_SENTENCES`].
pub const MTLS_AGE: &str = include_str!("../manifests/mtls/age.yaml");
/// See [`MTLS_SENTENCES`].
pub const MTLS_NAME: &str = include_str!("../manifests/mtls/name.yaml");
/// See [`MTLS_SENTENCES`].
pub const MTLS_NAME_V2: &str = include_str!("../manifests/mtls/name-v2.yaml");
/// The training edition's application; every workload has a version.
pub const TRAINING: &str = concat!(
    include_str!("../manifests/training/sentences.yaml"),
    "---\n",
    include_str!("../manifests/training/age.yaml"),
    "---\n",
    include_str!("../manifests/training/name.yaml")
);
/// The training edition's `age` alone, which one page opts out and in again.
pub const TRAINING_AGE: &str = include_str!("../manifests/training/age.yaml");
/// The training edition's second version of name.
pub const TRAINING_V2: &str = include_str!("../manifests/training/name-v2.yaml");
/// The training edition's third version of name.
pub const TRAINING_V3: &str = include_str!("../manifests/training/name-v3.yaml");
/// A pod of tools.
pub const MULTITOOL: &str = include_str!("../manifests/multitool.yaml");

/// Every workload in `$NS` speaks mutual TLS only.
pub const STRICT: &str = "
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: default, namespace: $NS}
spec:
  mtls: {mode: STRICT}
";
/// Every workload in `$NS` takes plain text, too.
pub const PERMISSIVE: &str = "
apiVersion: security.istio.io/v1beta1
kind: PeerAuthentication
metadata: {name: default, namespace: $NS}
spec:
  mtls: {mode: PERMISSIVE}
";
/// Nobody may ask anything of anybody in `$NS`.
pub const DENY_ALL: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-all, namespace: $NS}
spec: {}
";

/// `grep -v WORD`: a manifest without the lines that have one of these words.
pub fn without(yaml: &str, words: &[&str]) -> String {
    let kept = yaml.lines().filter(|line| !words.iter().any(|word| line.contains(word)));
    kept.map(|line| format!("{line}\n")).collect()
}

/// Several manifests in one.
pub fn all(yaml: &[&str]) -> String {
    yaml.join("\n---\n")
}

/// The Deployments that have this label in `yaml`, put on a node: exercises ask from the same node and from another.
pub fn pinned(yaml: &str, label: &str, node: &str) -> String {
    let documents = yaml.split("---\n").map(|document| {
        let meant = document.contains("kind: Deployment") && document.contains(label);
        if meant { on(document, node) } else { document.to_owned() }
    });
    documents.collect::<Vec<_>>().join("---\n")
}

fn on(deployment: &str, node: &str) -> String {
    let selector = format!("      nodeSelector: {{kubernetes.io/hostname: {node}}}\n      containers:");
    deployment.replace("      containers:", &selector)
}

/// A pod of tools with a name of its own, on a node of its own choice: where clients of one and of another node ask from.
pub fn multitool_on(name: &str, node: &str) -> String {
    let own = MULTITOOL.replace("name: multitool", &format!("name: {name}"));
    let own = own.replace("app: multitool", &format!("app: {name}"));
    own.replace(
        "      containers:",
        &format!("      nodeSelector: {{kubernetes.io/hostname: {node}}}\n      containers:"),
    )
}

/// An echo server of lines on port 9000, with a Service of its name.
pub fn echo(name: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
      containers:
      - name: echo
        image: michaelvl/sentences:latest
        command: [demo-app, echo, --tcp, --port, \"9000\"]
        readinessProbe: {{tcpSocket: {{port: 9000}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: tcp, port: 9000}}]
"
    )
}

/// A server on port 8080 that answers what it was asked and by whom, with a Service of its name.
pub fn mirror(name: &str, more: &str) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app: {name}}}
spec:
  selector:
    matchLabels: {{app: {name}}}
  template:
    metadata:
      labels: {{app: {name}}}
    spec:
{more}      containers:
      - name: echo
        image: michaelvl/sentences:latest
        command: [demo-app, echo, --port, \"8080\"]
        ports: [{{name: http, containerPort: 8080}}]
        readinessProbe: {{httpGet: {{path: /ready, port: http}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: {name}}}
spec:
  selector: {{app: {name}}}
  ports: [{{name: http, port: 80, targetPort: http}}]
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_out_as_grep_does() {
        let enrolled = without(METRICS, &["inject", "merge-metrics"]);
        assert!(!enrolled.contains("inject") && enrolled.contains("prometheus.io/port: '8000'"));
        assert_eq!(enrolled.lines().count(), METRICS.lines().count() - 6, "two lines for each role");
    }

    #[test]
    fn a_multitool_can_be_put_on_a_node() {
        let yaml = multitool_on("far", "node-2");
        assert!(yaml.contains("app: far") && yaml.contains("      nodeSelector: {kubernetes.io/hostname: node-2}\n"));
        assert!(yaml.contains("image: praqma/network-multitool"));
    }

    #[test]
    fn only_the_deployments_that_are_meant_are_pinned() {
        let yaml = pinned(AUTHZ, "mode: name", "node-2");
        assert_eq!(yaml.matches("nodeSelector").count(), 1);
        let documents: Vec<&str> = yaml.split("---\n").filter(|document| document.contains("nodeSelector")).collect();
        assert!(documents[0].contains("kind: Deployment") && documents[0].contains("SENTENCE_MODE, value: name"));
    }
}
