//! A look at the nodes themselves, for what must not grow: a privileged pod on each, as an administrator would start one.

use std::collections::BTreeMap;

use anyhow::{Context, Result};

use crate::container::Container;
use crate::namespace::Namespace;

const DAEMON_SET: &str = r#"
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: observer}
spec:
  selector: {matchLabels: {app: observer}}
  template:
    metadata:
      labels: {app: observer, sidecar.istio.io/inject: "false"}
    spec:
      hostPID: true
      terminationGracePeriodSeconds: 0
      tolerations: [{operator: Exists}]
      containers:
      - name: observer
        image: praqma/network-multitool
        command: [sleep, infinity]
        securityContext: {privileged: true}
        volumeMounts: [{name: node, mountPath: /node, mountPropagation: HostToContainer}]
      volumes: [{name: node, hostPath: {path: /}}]
"#;

/// One line for each thing that could be left behind: its name and how many there are.
const COUNT: &str = r#"
agent=
for process in /proc/[0-9]*; do
  [ "$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null | cut -d ' ' -f 2)" = agent ] || continue
  case "$(readlink "$process/exe")" in */weft) agent=$process;; esac
done
if [ -n "$agent" ]; then
  echo "descriptors $(ls "$agent/fd" | wc -l)"
  echo "threads $(ls "$agent/task" | wc -l)"
  echo "memory_kib $(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "$agent/status")"
fi
echo "namespaces $(ls /node/run/netns 2>/dev/null | wc -l)"
echo "pins $(find /node/sys/fs/bpf -mindepth 1 2>/dev/null | wc -l)"
echo "mounts $(wc -l </proc/1/mountinfo)"
"#;

/// How many of each there are: `descriptors`, `threads` and `memory_kib` of the agent, `namespaces`, `pins` and `mounts` of the node.
pub type Leftovers = BTreeMap<String, u64>;

/// A privileged pod on each node.
#[derive(Debug)]
pub struct Observer {
    /// By the name of the node.
    pods: BTreeMap<String, Container>,
}

impl Observer {
    /// Starts one in `namespace`, outside the mesh.
    pub fn start(namespace: &Namespace) -> Result<Self> {
        namespace.apply(DAEMON_SET)?;
        namespace.wait_rollout_of("daemonset/observer")?;
        let pods = namespace.pods("app=observer")?;
        Ok(Self { pods: pods.into_iter().map(|pod| (pod.node().to_owned(), Container::clone(&pod))).collect() })
    }

    /// The observer of a node: a root shell there, the node's files below `/node`.
    pub fn on(&self, node: &str) -> Result<&Container> {
        self.pods.get(node).with_context(|| format!("there is no observer on {node}"))
    }

    /// What there is on each node.
    pub fn count(&self) -> Result<BTreeMap<String, Leftovers>> {
        self.pods.iter().map(|(node, pod)| Ok((node.clone(), leftovers(&pod.shell(COUNT, &[])?)?))).collect()
    }
}

fn leftovers(text: &str) -> Result<Leftovers> {
    let line = |line: &str| {
        let (name, count) = line.split_once(' ').with_context(|| format!("the observer said {line:?}"))?;
        Ok((name.to_owned(), count.trim().parse().with_context(|| format!("the observer said {line:?}"))?))
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_strictly() {
        assert_eq!(leftovers("pins 3\nmounts 40\n").unwrap()["mounts"], 40);
        assert!(leftovers("pins").is_err() && leftovers("pins many").is_err());
    }
}
