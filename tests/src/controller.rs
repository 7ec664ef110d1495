//! The thread that makes a cluster what its objects say: Deployment controller stand-in, and the kubelets' clock.
//!
//! Started by `cluster`. It looks again a few milliseconds later while something is under way, otherwise ten times a second (a
//! program may end at any time).

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cleanup::process_is_ending;
use crate::deployment::{self, Replica};
use crate::kubelet::{Phase, Site};
use crate::manifest::{Key, text};
use crate::state::{Inner, State};

/// How long to wait before another attempt at a pod that could not be created.
const RETRY: Duration = Duration::from_millis(500);

/// Runs until the cluster stops.
pub(crate) fn run(inner: &Arc<Inner>) {
    let mut state = inner.lock();
    while !inner.stopping.load(Ordering::SeqCst) && !process_is_ending() {
        let pause = if reconcile(&mut state, &inner.site) { 5 } else { 100 };
        let waited = inner.changed.wait_timeout(state, Duration::from_millis(pause));
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// One look at everything; says whether another one is due soon.
fn reconcile(state: &mut State, site: &Site) -> bool {
    let mut changed = deployments(state, site);
    changed |= bare_pods(state, site);
    for record in state.pods.values_mut() {
        changed |= record.tick(site);
    }
    if changed && let Err(error) = state.publish() {
        eprintln!("testbed {}: publishing the cluster's state: {error:#}", site.id);
    }
    changed || state.pods.values().any(|record| record.phase != Phase::Running)
}

fn deployments(state: &mut State, site: &Site) -> bool {
    let mut changed = false;
    let wanted: Vec<Value> = state.objects.of_kind("Deployment").cloned().collect();
    let mut known = BTreeSet::new();
    for deployment in &wanted {
        let key = Key::of(deployment);
        known.insert((key.namespace.clone(), key.name.clone()));
        let hash = deployment::template_hash(deployment);
        let plan = deployment::plan(&hash, deployment::replicas(deployment), &replicas_of(state, &key));
        for _ in 0..plan.create {
            let pod = deployment::pod(deployment, &hash, RandomState::new().hash_one(&hash));
            changed |= create(state, site, &key, pod, Some((key.name.clone(), hash.clone())));
        }
        for name in plan.end {
            changed |= end(state, &(key.namespace.clone(), name));
        }
    }
    let orphans = state.pods.iter().filter(|(name, record)| {
        let owner = record.deployment.as_ref().map(|(deployment, _)| (name.0.clone(), deployment.clone()));
        owner.is_some_and(|owner| !known.contains(&owner)) && !record.is_ending()
    });
    let orphans: Vec<_> = orphans.map(|(name, _)| name.clone()).collect();
    for name in orphans {
        changed |= end(state, &name);
    }
    changed
}

/// What runs for the Deployment `key`.
pub(crate) fn replicas_of(state: &State, key: &Key) -> Vec<Replica> {
    let own = state.pods.iter().filter(|(name, _)| name.0 == key.namespace);
    own.filter_map(|(name, record)| {
        let (deployment, hash) = record.deployment.as_ref()?;
        (*deployment == key.name).then(|| Replica {
            name: name.1.clone(),
            hash: hash.clone(),
            ready: record.is_ready(),
            ending: record.is_ending(),
        })
    })
    .collect()
}

fn bare_pods(state: &mut State, site: &Site) -> bool {
    let missing = state.objects.of_kind("Pod").filter(|pod| {
        let name = (text(pod, "/metadata/namespace").to_owned(), text(pod, "/metadata/name").to_owned());
        !state.pods.contains_key(&name)
    });
    let missing: Vec<Value> = missing.cloned().collect();
    let mut changed = false;
    for pod in missing {
        let key = Key::of(&pod);
        changed |= create(state, site, &key, pod, None);
    }
    let gone = state.pods.iter().filter(|(name, record)| {
        let key = Key::new("Pod", &name.0, &name.1);
        record.deployment.is_none() && !record.is_ending() && state.objects.get(&key).is_none()
    });
    let gone: Vec<_> = gone.map(|(name, _)| name.clone()).collect();
    for name in gone {
        changed |= end(state, &name);
    }
    changed
}

fn create(state: &mut State, site: &Site, owner: &Key, pod: Value, deployment: Option<(String, String)>) -> bool {
    if state.troubles.get(owner).is_some_and(|(_, again)| Instant::now() < *again) {
        return false;
    }
    match state.create_pod(site, pod, deployment) {
        Ok(()) => {
            state.troubles.remove(owner);
            true
        }
        Err(error) => {
            state.troubles.insert(owner.clone(), (format!("{error:#}"), Instant::now() + RETRY));
            false
        }
    }
}

fn end(state: &mut State, name: &(String, String)) -> bool {
    let Some(record) = state.pods.get_mut(name) else { return false };
    record.end();
    true
}
