//! How the watches are: what was read once, when each was last known to be alive, and what to say about it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use super::{
    PLACE,
    catalog::{Id, Resource},
    contact,
    failure::Failure,
    watch,
};
use crate::discovery::problem::Problem;

/// A broken connection is mended within this time or becomes a problem: servers are restarted now and then.
const GRACE: Duration = Duration::from_secs(5);

/// A server that was heard later than this is not silent.
const FRESH: Duration = contact::INTERVAL.saturating_mul(2);

const CLOCK: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second] UTC");

/// State of all watches.
#[derive(Debug, Default)]
pub struct Health {
    watches: BTreeMap<Id, WatchHealth>,
    /// Which kinds there are is known.
    knows_kinds: bool,
    answered_at: Option<SystemTime>,
    silent: Option<Broken>,
}

#[derive(Debug)]
struct WatchHealth {
    resource: Resource,
    is_whole: bool,
    seen_at: Option<SystemTime>,
    broken: Option<Broken>,
}

#[derive(Debug)]
struct Broken {
    since: SystemTime,
    failure: Failure,
}

impl Health {
    /// A watch begins.
    pub fn begins(&mut self, resource: &Resource) {
        let watch = WatchHealth { resource: resource.clone(), is_whole: false, seen_at: None, broken: None };
        self.watches.insert(resource.id(), watch);
    }

    /// A watch is given up.
    pub fn ends(&mut self, id: &Id) {
        self.watches.remove(id);
    }

    /// A watch was heard of.
    pub fn seen(&mut self, id: &Id, now: SystemTime) {
        if let Some(watch) = self.watches.get_mut(id) {
            watch.seen_at = Some(now);
            watch.broken = None;
        }
    }

    /// Everything that there is of a resource was read.
    pub fn completed(&mut self, id: &Id) {
        if let Some(watch) = self.watches.get_mut(id) {
            watch.is_whole = true;
        }
    }

    /// A watch broke.
    pub fn failed(&mut self, id: &Id, failure: Failure, now: SystemTime) {
        if let Some(watch) = self.watches.get_mut(id) {
            let since = watch.broken.as_ref().map_or(now, |broken| broken.since);
            watch.broken = Some(Broken { since, failure });
        }
    }

    /// The server answered, and what it serves is known.
    pub fn answered(&mut self, now: SystemTime) {
        self.knows_kinds = true;
        self.answered_at = Some(now);
        self.silent = None;
    }

    /// The server did not answer.
    pub fn unanswered(&mut self, failure: Failure, now: SystemTime) {
        let since = self.silent.as_ref().map_or(now, |broken| broken.since);
        self.silent = Some(Broken { since, failure });
    }

    /// Has the server said which kinds it has?
    pub fn knows_kinds(&self) -> bool {
        self.knows_kinds
    }

    /// Does the server lack the resource that is watched?
    pub fn is_absent(&self, id: &Id) -> bool {
        let broken = self.watches.get(id).and_then(|watch| watch.broken.as_ref());
        broken.is_some_and(|broken| broken.failure.is_absent())
    }

    /// What must be read before there is a world.
    pub fn awaited(&self) -> Vec<String> {
        let needed = self.watches.values().filter(|watch| watch.resource.is_needed() && !watch.is_whole);
        let kinds = (!self.knows_kinds).then(|| "which kinds the API server has".to_owned());
        kinds.into_iter().chain(needed.map(|watch| watch.resource.id().to_string())).collect()
    }

    /// When all that is needed was last known to be as it was read; `None` before it was read.
    pub fn confirmed(&self, now: SystemTime) -> Option<SystemTime> {
        if !self.awaited().is_empty() {
            return None;
        }
        let needed = self.watches.values().filter(|watch| watch.resource.is_needed());
        needed.map(|watch| self.watch_confirmed(watch, now)).min().flatten()
    }

    /// A watch that is open and not overdue is as good as the last answer of its server.
    fn watch_confirmed(&self, watch: &WatchHealth, now: SystemTime) -> Option<SystemTime> {
        let seen = watch.seen_at?;
        let is_alive = watch.broken.is_none() && since(seen, now) < watch::MAX_SILENCE;
        Some(self.answered_at.filter(|_| is_alive).map_or(seen, |answered| answered.max(seen)))
    }

    /// What to tell a person. `is_whole`: there is a world that stays in force.
    pub fn problems(&self, is_whole: bool, now: SystemTime) -> Vec<Problem> {
        let stays =
            if is_whole { "the last snapshot stays in force" } else { "nothing is in force before it was read" };
        let is_late = |broken: &&Broken| since(broken.since, now) >= GRACE;
        let is_silent = self.answered_at.is_none_or(|at| since(at, now) >= FRESH);
        if let Some(broken) = self.silent.as_ref().filter(is_late) {
            let message = format!("does not answer since {}: {}", clock(broken.since), broken.failure);
            return vec![problem(None, message, &format!("{}; {stays}", advice(&broken.failure)))];
        }
        let broken = self.watches.values().filter(|watch| watch.resource.is_needed());
        let broken = broken.filter_map(|watch| {
            let broken = watch.broken.as_ref()?;
            let is_told = !broken.failure.is_of_the_connection() || (is_late(&broken) && !is_silent);
            is_told.then(|| {
                let message = format!("cannot be watched since {}: {}", clock(broken.since), broken.failure);
                let id = watch.resource.id();
                let advice = match broken.failure.is_forbidden() {
                    true => format!(
                        "give the agent's service account get, list and watch on {} of API group {:?}",
                        watch.resource.plural, &*id.group
                    ),
                    false => advice(&broken.failure).to_owned(),
                };
                problem(Some(id.to_string()), message, &format!("{advice}; {stays}"))
            })
        });
        broken.collect()
    }
}

fn problem(object: Option<String>, message: String, next_step: &str) -> Problem {
    Problem { file: PLACE.into(), line: None, object, field: None, message, next_step: next_step.to_owned() }
}

fn advice(failure: &Failure) -> &'static str {
    match failure {
        Failure::Refused { code: 401, .. } => "give the agent a valid token or certificate",
        Failure::Refused { code: 403, .. } => "give the agent's service account the rights of its manifest",
        Failure::Refused { .. } | Failure::Unreadable(_) => "it is tried again; look at the API server's log",
        Failure::Unreachable(_) | Failure::Silent(_) => {
            "it is tried again; is the API server running, and reachable from this node?"
        }
    }
}

/// A clock set back makes a time unknowable, not negative: call it now.
fn since(at: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(at).unwrap_or_default()
}

fn clock(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&CLOCK).unwrap_or_default()
}

#[cfg(test)]
mod tests;
