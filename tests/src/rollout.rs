//! Pods of a cluster as a user sees them: found, scaled, replaced, waited for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::controller::replicas_of;
use crate::deployment;
use crate::manifest::{Key, text};
use crate::pod::Pod;
use crate::state::State;
use weft_scenario::try_eventually;

impl Cluster {
    /// All pods that are not ending.
    pub fn pods(&self) -> Vec<Pod> {
        let state = self.inner.lock();
        let living = state.pods.iter().filter(|(_, record)| !record.is_ending());
        living.map(|(name, record)| Pod::of(&self.inner, name, record)).collect()
    }

    /// The pod of that exact name.
    pub fn pod(&self, namespace: &str, name: &str) -> Result<Pod> {
        let found = self.pods().into_iter().find(|pod| pod.namespace() == namespace && pod.name() == name);
        found.with_context(|| format!("there is no pod {namespace}/{name}"))
    }

    /// The pods of a Deployment.
    pub fn pods_of(&self, namespace: &str, deployment: &str) -> Vec<Pod> {
        let state = self.inner.lock();
        let own = state.pods.iter().filter(|(name, record)| {
            let owner = record.deployment.as_ref().map(|(owner, _)| owner.as_str());
            name.0 == namespace && owner == Some(deployment) && !record.is_ending()
        });
        own.map(|(name, record)| Pod::of(&self.inner, name, record)).collect()
    }

    /// Changes `spec.replicas` of a Deployment.
    pub fn scale(&self, namespace: &str, deployment: &str, replicas: usize) -> Result<()> {
        let mut object = self.object("Deployment", namespace, deployment)?;
        object["spec"]["replicas"] = json!(replicas);
        self.apply_objects(vec![object])
    }

    /// Replaces all pods of a Deployment (`kubectl rollout restart`); wait with [`Cluster::wait_ready`].
    pub fn rollout_restart(&self, namespace: &str, deployment: &str) -> Result<()> {
        let mut object = self.object("Deployment", namespace, deployment)?;
        let metadata = &mut object["spec"]["template"]["metadata"];
        let count = metadata.pointer("/annotations/weft.dev~1restarts").and_then(Value::as_str);
        let count: u64 = count.and_then(|count| count.parse().ok()).unwrap_or(0);
        if !metadata["annotations"].is_object() {
            metadata["annotations"] = json!({});
        }
        metadata["annotations"]["weft.dev/restarts"] = json!((count + 1).to_string());
        self.apply_objects(vec![object])
    }

    /// Waits until every Deployment has its pods ready and no others, and every bare pod is ready.
    pub fn wait_ready(&self, patience: Duration) -> Result<()> {
        try_eventually(patience, || {
            let state = self.inner.lock();
            state.objects.of_kind("Deployment").try_for_each(|object| is_rolled_out(&state, object))?;
            for pod in state.objects.of_kind("Pod") {
                let name = (text(pod, "/metadata/namespace").to_owned(), text(pod, "/metadata/name").to_owned());
                let record = state.pods.get(&name);
                ensure!(
                    record.is_some_and(|r| r.is_ready()),
                    "pod {}/{} is not ready{}",
                    name.0,
                    name.1,
                    why(&state, pod)
                );
            }
            let superfluous = state.pods.iter().filter(|(name, record)| {
                let (kind, owner) = match &record.deployment {
                    Some((deployment, _)) => ("Deployment", deployment),
                    None => ("Pod", &name.1),
                };
                record.is_ending() || state.objects.get(&Key::new(kind, &name.0, owner)).is_none()
            });
            let superfluous = superfluous.count();
            ensure!(superfluous == 0, "{superfluous} pods have to end");
            Ok(())
        })
        .with_context(|| {
            format!("cluster {} is not ready after {patience:?}\n{}", self.inner.name, self.snapshot_of_logs())
        })
    }

    pub(crate) fn wait_for_deployment(&self, namespace: &str, name: &str, patience: Duration) -> Result<Vec<Pod>> {
        let object = self.object("Deployment", namespace, name)?;
        try_eventually(patience, || is_rolled_out(&self.inner.lock(), &object))
            .with_context(|| format!("workload {namespace}/{name} after {patience:?}\n{}", self.snapshot_of_logs()))?;
        Ok(self.pods_of(namespace, name))
    }
}

fn is_rolled_out(state: &State, deployment: &Value) -> Result<()> {
    let key = Key::of(deployment);
    let pods = replicas_of(state, &key);
    let (hash, wanted) = (deployment::template_hash(deployment), deployment::replicas(deployment));
    let ready = pods.iter().filter(|pod| pod.hash == hash && pod.ready).count();
    let others =
        pods.iter().filter(|pod| !pod.ending).count() - pods.iter().filter(|p| p.hash == hash && !p.ending).count();
    ensure!(
        ready == wanted && others == 0,
        "{key}: {ready} of {wanted} ready, {others} old ones{}",
        why(state, deployment)
    );
    Ok(())
}

/// What is known about why an object's pods do not run, as the end of a sentence.
fn why(state: &State, object: &Value) -> String {
    let key = Key::of(object);
    let mut reasons: Vec<String> = state.troubles.get(&key).map(|(trouble, _)| trouble.clone()).into_iter().collect();
    for (name, record) in &state.pods {
        let owned = record.deployment.as_ref().is_some_and(|(owner, _)| *owner == key.name) || name.1 == key.name;
        let trouble = record.trouble().filter(|_| owned && name.0 == key.namespace);
        reasons.extend(trouble.map(|trouble| format!("{}: {trouble}", name.1)));
    }
    if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) }
}
