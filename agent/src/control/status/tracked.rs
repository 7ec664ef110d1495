//! The objects whose status is written, each with what reading it said: it is read once per version, however often the
//! world around it changes.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{core::DynamicObject, runtime::watcher::Event};

use super::conditions::{self, Facts};
use crate::{
    control::{
        judgement::{self, Judged, judge},
        references::References,
    },
    discovery::objects::status::IstioStatus,
};

/// Kind (by its position in the list of kinds), namespace, name.
type Key = (usize, String, String);

/// One object.
#[derive(Debug)]
pub struct Tracked {
    /// Name, generation, version.
    pub meta: ObjectMeta,
    judged: Judged,
    /// What it has now.
    status: IstioStatus,
    /// Which listing of its kind, or the changes after it, showed the object.
    listing: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub struct TrackedObjects {
    objects: BTreeMap<Key, Tracked>,
    /// Listings so far, by kind.
    listings: BTreeMap<usize, u64>,
}

impl TrackedObjects {
    /// Takes what a watch of `kind` saw.
    pub fn take(&mut self, kind: usize, event: Event<DynamicObject>, cluster_domain: &Arc<str>) {
        let listing = self.listings.entry(kind).or_default();
        match event {
            Event::Init => *listing += 1,
            Event::InitApply(object) | Event::Apply(object) => {
                let tracked = Tracked::new(&object, cluster_domain, *listing);
                self.objects.insert(key(kind, &object), tracked);
            }
            Event::Delete(object) => drop(self.objects.remove(&key(kind, &object))),
            // What the new listing did not show is gone.
            Event::InitDone => self.objects.retain(|(of, ..), one| *of != kind || one.listing == *listing),
        }
    }

    /// All of them, with their kinds.
    pub fn all(&mut self) -> impl Iterator<Item = (usize, &mut Tracked)> {
        self.objects.iter_mut().map(|((kind, ..), one)| (*kind, one))
    }
}

fn key(kind: usize, object: &DynamicObject) -> Key {
    let meta = &object.metadata;
    (kind, meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

impl Tracked {
    fn new(object: &DynamicObject, cluster_domain: &Arc<str>, listing: u64) -> Self {
        let settings = judgement::settings(cluster_domain);
        let meta = ObjectMeta { managed_fields: None, ..object.metadata.clone() };
        Self { meta, judged: judge(object, &settings), status: status_of(object), listing }
    }

    /// Namespace and name, for the log.
    pub fn name(&self) -> String {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}/{}", part(&self.meta.namespace), part(&self.meta.name))
    }

    /// The status that it should have; `None` when it has it.
    pub fn wanted(&self, references: &References<'_>, now: &str) -> Option<IstioStatus> {
        let missing = self.judged.content.as_ref().map(|content| references.missing(content)).unwrap_or_default();
        let facts = Facts {
            judged: &self.judged,
            missing: &missing,
            generation: self.meta.generation,
            root_namespace: references.root_namespace(),
        };
        let wanted = conditions::status(&facts, &self.status, now);
        conditions::differs(&self.status, &wanted).then_some(wanted)
    }

    /// Takes what the API server made of a written status; its watch will say so, too, later.
    pub fn is_written(&mut self, object: &DynamicObject) {
        self.meta.resource_version = object.metadata.resource_version.clone();
        self.status = status_of(object);
    }
}

/// What cannot be read was not written by weft, and is written anew.
fn status_of(object: &DynamicObject) -> IstioStatus {
    let status = object.data.get("status").cloned().unwrap_or_default();
    serde_json::from_value(status).unwrap_or_default()
}
