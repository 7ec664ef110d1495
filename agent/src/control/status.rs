//! What became of the objects that people wrote, in their own `status`: `kubectl describe vs name`.
//!
//! [`run`] follows the four kinds that weft acts on and the world, and writes a status only where it says something
//! else than before. What it says is decided in [`conditions`], without an API server. One replica runs it: the leader.

pub mod conditions;
mod summary;
mod tracked;

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use kube::{
    Api, Client,
    api::{ApiResource, Patch, PatchParams},
    core::{DynamicObject, Status},
    runtime::{WatchStreamExt, watcher},
};
use serde_json::json;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::{sync::watch, time::Instant};
use weft_model::snapshot::Snapshot;

use self::tracked::{Tracked, TrackedObjects};
use crate::{
    control::references::References,
    discovery::objects::{
        authorization_policy::AuthorizationPolicy, destination_rule::DestinationRule,
        peer_authentication::PeerAuthentication, status::IstioStatus, virtual_service::VirtualService,
    },
};

/// Who owns what is written, beside other controllers that may have conditions of their own in the same objects.
const OWNER: &str = "weft-status";

/// From the first change to the writing about it: what is created together is judged together.
const SETTLING_TIME: Duration = Duration::from_millis(500);

/// Between two rounds of writing, and after one that went wrong.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Statuses written in one round; the rest has its turn in the next.
const WRITES_MAX: usize = 200;

/// The kinds whose objects have a status.
fn kinds() -> [ApiResource; 4] {
    [
        ApiResource::erase::<VirtualService>(&()),
        ApiResource::erase::<DestinationRule>(&()),
        ApiResource::erase::<PeerAuthentication>(&()),
        ApiResource::erase::<AuthorizationPolicy>(&()),
    ]
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Every status says what it should.
    Done,
    /// More is to be written.
    More,
    /// The API server did not take something.
    Failed,
}

/// Writes statuses until it is dropped, or whoever publishes the world is gone.
pub async fn run(client: Client, mut snapshots: watch::Receiver<Arc<Snapshot>>) {
    let kinds = kinds();
    let streams = kinds.iter().cloned().enumerate().map(|(kind, resource)| {
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        watcher(api, watcher::Config::default()).default_backoff().map(move |event| (kind, event)).boxed()
    });
    let mut events = stream::select_all(streams);
    let mut objects = TrackedObjects::default();
    // When the next round begins; `None` when there is nothing to say.
    let mut due: Option<Instant> = None;
    let mut earliest = Instant::now();
    loop {
        let settled = Instant::now() + SETTLING_TIME;
        tokio::select! {
            Some((kind, event)) = events.next() => match event {
                Ok(event) => {
                    objects.take(kind, event, &snapshots.borrow().mesh.cluster_domain);
                    due = due.or(Some(settled));
                }
                Err(error) => tracing::debug!(kind = kinds[kind].kind, %error, "cannot follow objects for their status now"),
            },
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
                due = due.or(Some(settled));
            }
            () = tokio::time::sleep_until(due.unwrap_or(settled).max(earliest)), if due.is_some() => {
                let snapshot = snapshots.borrow_and_update().clone();
                let round = write(&client, &kinds, &snapshot, &mut objects).await;
                earliest = Instant::now() + if round == Round::Failed { PAUSE_AFTER_FAILURE } else { PAUSE };
                due = (round != Round::Done).then_some(earliest);
            }
        }
    }
}

/// One round over all objects.
async fn write(client: &Client, kinds: &[ApiResource], snapshot: &Snapshot, objects: &mut TrackedObjects) -> Round {
    if snapshot.version == 0 {
        // Nothing is known of the world yet: everything would seem to be missing. The first snapshot starts a round.
        return Round::Done;
    }
    let references = References::new(snapshot);
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let now = now.format(&Rfc3339).unwrap_or_default();
    let (mut writes, mut failures) = (0, 0);
    for (kind, tracked) in objects.all() {
        let Some(wanted) = tracked.wanted(&references, &now) else { continue };
        if writes == WRITES_MAX {
            return Round::More;
        }
        writes += 1;
        match apply(client, &kinds[kind], tracked, &wanted).await {
            Ok(written) => tracked.is_written(&written),
            // It has changed or gone meanwhile: its watch tells more.
            Err(kube::Error::Api(error)) if is_outdated(&error) => {}
            Err(error) => {
                failures += 1;
                tracing::warn!(kind = kinds[kind].kind, object = tracked.name(), %error, "cannot write a status");
            }
        }
    }
    if failures == 0 { Round::Done } else { Round::Failed }
}

fn is_outdated(error: &Status) -> bool {
    matches!(error.code, 404 | 409)
}

/// Writes the status of exactly the version that was judged.
async fn apply(
    client: &Client,
    resource: &ApiResource,
    tracked: &Tracked,
    status: &IstioStatus,
) -> Result<DynamicObject, kube::Error> {
    let meta = &tracked.meta;
    let (name, namespace) = (meta.name.as_deref().unwrap_or_default(), meta.namespace.as_deref().unwrap_or_default());
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": { "name": name, "namespace": namespace, "resourceVersion": meta.resource_version },
        "status": status,
    });
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, resource);
    api.patch_status(name, &PatchParams::apply(OWNER).force(), &Patch::Apply(patch)).await
}

#[cfg(test)]
mod tests;
