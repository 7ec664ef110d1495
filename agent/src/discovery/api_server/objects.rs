//! The objects in force, as the watches told them.
//!
//! Only what changes what weft does counts as a change: a node's heartbeat, a container that restarted or an annotation
//! of somebody else's changes nothing here and wakes nobody.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use weft_model::workload::Named;

use super::{
    PLACE,
    catalog::{Id, Resource, Use},
};
use crate::discovery::{
    objects::{Content, Key},
    parse::{Parsed, ParsedFile},
    problem::Problem,
    store::{InForce, View},
};

/// Objects by name.
#[derive(Debug)]
pub struct Objects {
    place: Arc<str>,
    node: Arc<str>,
    acted: BTreeMap<Key, Held>,
    /// Those whose newest version cannot act.
    broken: BTreeMap<Key, (Vec<Problem>, Listing)>,
    /// Those that are not enforced yet.
    warned: HashMap<Id, BTreeMap<Named, (Problem, Listing)>>,
    listings: HashMap<Id, Listing>,
}

/// Number of a list of a resource: what an older list told, and the newest did not, is gone.
type Listing = u64;

#[derive(Debug)]
struct Held {
    parsed: Parsed,
    listing: Listing,
}

impl Objects {
    /// None yet. `node` is the agent's.
    pub fn new(node: Arc<str>) -> Self {
        Self {
            place: PLACE.into(),
            node,
            acted: BTreeMap::new(),
            broken: BTreeMap::new(),
            warned: HashMap::new(),
            listings: HashMap::new(),
        }
    }

    /// A list of the resource begins.
    pub fn began(&mut self, id: &Id) {
        *self.listings.entry(id.clone()).or_default() += 1;
    }

    /// A list of the resource is complete: what it did not name is gone. True when that changes something.
    pub fn completed(&mut self, resource: &Resource) -> bool {
        let now = self.listing(&resource.id());
        match resource.purpose {
            Use::Acted(kind) => {
                let before = self.acted.len() + self.broken.len();
                self.acted.retain(|key, held| key.kind != kind || held.listing == now);
                self.broken.retain(|key, (_, listing)| key.kind != kind || *listing == now);
                self.acted.len() + self.broken.len() != before
            }
            Use::Warned => {
                let Some(all) = self.warned.get_mut(&resource.id()) else { return false };
                let before = all.len();
                all.retain(|_, (_, listing)| *listing == now);
                all.len() != before
            }
        }
    }

    /// The resource is not served any more, and its objects went with it.
    pub fn forget(&mut self, resource: &Resource) -> bool {
        self.began(&resource.id());
        self.completed(resource)
    }

    /// An object is there. True when that changes something.
    pub fn apply(&mut self, resource: &Resource, name: Named, read: ParsedFile) -> bool {
        let listing = self.listing(&resource.id());
        let kind = match resource.purpose {
            Use::Acted(kind) => kind,
            Use::Warned => {
                let Some(problem) = read.warnings.into_iter().next() else { return false };
                let all = self.warned.entry(resource.id()).or_default();
                return all.insert(name, (problem, listing)).is_none();
            }
        };
        let key = Key { kind, namespace: name.namespace, name: name.name };
        let problems: Vec<Problem> = read.errors.into_iter().map(|(_, problem)| problem).collect();
        if problems.is_empty() {
            let was_broken = self.broken.remove(&key).is_some();
            let Some(parsed) = read.objects.into_iter().next() else { return was_broken };
            return self.put(key, parsed, listing) || was_broken;
        }
        // As with files, the last good version stays in force.
        let stays = match self.acted.get_mut(&key) {
            Some(held) => {
                held.listing = listing;
                "the version read before stays in force"
            }
            None => "it does not act until then",
        };
        let problems: Vec<Problem> = problems.into_iter().map(|problem| problem.followed_by(stays)).collect();
        let is_new = self.broken.get(&key).is_none_or(|(before, _)| *before != problems);
        self.broken.insert(key, (problems, listing));
        is_new
    }

    fn put(&mut self, key: Key, mut parsed: Parsed, listing: Listing) -> bool {
        if let Content::Pod(pod) = &parsed.content
            && pod.node.as_ref() != Some(&self.node)
        {
            // Each node tells of its own pods.
            parsed.warnings = Vec::new();
        }
        match self.acted.get_mut(&key) {
            Some(held) => {
                held.listing = listing;
                let is_same = held.parsed.content == parsed.content && held.parsed.warnings == parsed.warnings;
                if !is_same {
                    held.parsed = parsed;
                }
                !is_same
            }
            None => {
                self.acted.insert(key, Held { parsed, listing });
                true
            }
        }
    }

    /// An object is gone. True when that changes something.
    pub fn delete(&mut self, resource: &Resource, name: Named) -> bool {
        match resource.purpose {
            Use::Acted(kind) => {
                let key = Key { kind, namespace: name.namespace, name: name.name };
                let was_broken = self.broken.remove(&key).is_some();
                self.acted.remove(&key).is_some() || was_broken
            }
            Use::Warned => self.warned.get_mut(&resource.id()).is_some_and(|all| all.remove(&name).is_some()),
        }
    }

    fn listing(&self, id: &Id) -> Listing {
        self.listings.get(id).copied().unwrap_or_default()
    }

    /// How many are in force.
    pub fn len(&self) -> usize {
        self.acted.len()
    }

    /// The objects in force.
    pub fn view(&self) -> View<'_> {
        let in_force = self.acted.iter().map(|(key, held)| (key, InForce::new(&self.place, &held.parsed)));
        View { objects: in_force.collect(), warnings: Vec::new() }
    }

    /// What keeps objects from acting.
    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.broken.values().flat_map(|(problems, _)| problems)
    }

    /// What objects say in vain.
    pub fn warnings(&self) -> impl Iterator<Item = &Problem> {
        let of_acted = self.acted.values().flat_map(|held| &held.parsed.warnings);
        of_acted.chain(self.warned.values().flatten().map(|(_, (problem, _))| problem))
    }
}

#[cfg(test)]
mod tests;
