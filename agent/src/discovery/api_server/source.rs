//! The one owner of what the watches tell: puts it together, and publishes a world when it is time to.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, watch as channel},
    task::JoinHandle,
    time::{Instant, interval, sleep_until},
};

use super::{
    Config,
    catalog::{self, Id, Resource},
    clients::Clients,
    contact,
    health::Health,
    message::{Event, MAX_WAITING, Message},
    objects::Objects,
    pace::Pace,
    watch::Watch,
};
use crate::discovery::{
    parse::{Origin, Settings},
    problem::{Problem, Report},
    publish::{Publisher, sorted},
    world::{Before, Inputs, Whereabouts, build},
};

/// How often problems and ages are looked at without being told.
const LOOK: Duration = Duration::from_secs(2);

/// A mesh kind that the server lacks for this long has been removed, and its objects with it. A server that is starting,
/// or a stale one, may lack it for a moment: its policies stay in force.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// Problems of one severity that a report holds; the others are counted.
const MAX_PROBLEMS: usize = 200;

/// Everything the task owns.
pub struct Source {
    config: Config,
    clients: Arc<Clients>,
    settings: Settings,
    objects: Objects,
    health: Health,
    running: BTreeMap<Id, Running>,
    publisher: Publisher,
    before: Before,
    pace: Pace,
    out: mpsc::Sender<Message>,
    /// Warnings of the last world.
    warnings: Vec<Problem>,
}

struct Running {
    resource: Resource,
    task: JoinHandle<()>,
    /// Since when the server does not name it any more.
    missing_since: Option<Instant>,
}

impl Source {
    /// A source that publishes to `publisher`, and what its tasks will tell it.
    pub fn new(config: Config, clients: Clients, publisher: Publisher) -> (Self, mpsc::Receiver<Message>) {
        let (out, inbox) = mpsc::channel(MAX_WAITING);
        let settings = Settings {
            cluster_domain: config.cluster_domain.clone(),
            origin: Origin::ApiServer,
            ..Settings::default()
        };
        let source = Self {
            objects: Objects::new(config.node.clone()),
            clients: Arc::new(clients),
            settings,
            config,
            health: Health::default(),
            running: BTreeMap::new(),
            publisher,
            before: Before::default(),
            pace: Pace::default(),
            out,
            warnings: Vec::new(),
        };
        (source, inbox)
    }

    /// Follows the API server until `stop` is closed.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Message>, mut stop: channel::Receiver<()>) {
        let contact = tokio::spawn(contact::keep(self.clients.clone(), self.out.clone()));
        for resource in catalog::core() {
            self.start(resource);
        }
        let mut places = self.config.places.changed();
        let mut look = interval(LOOK);
        loop {
            let build_at = self.pace.due().filter(|_| self.is_whole());
            tokio::select! {
                Some(message) = inbox.recv() => self.take(message),
                Ok(()) = places.changed() => self.pace.changed(Instant::now()),
                () = due(build_at) => self.build(),
                _ = look.tick() => self.report(),
                _ = stop.changed() => break,
            }
        }
        contact.abort();
        self.running.values().for_each(|running| running.task.abort());
    }

    /// Everything was read once, now or before: there is a world.
    fn is_whole(&self) -> bool {
        !self.publisher.is_first() || self.health.awaited().is_empty()
    }

    fn start(&mut self, resource: Resource) {
        self.health.begins(&resource);
        let watch = Watch {
            resource: resource.clone(),
            clients: self.clients.clone(),
            settings: self.settings.clone(),
            out: self.out.clone(),
        };
        let running = Running { resource: resource.clone(), task: tokio::spawn(watch.run()), missing_since: None };
        if let Some(before) = self.running.insert(resource.id(), running) {
            before.task.abort();
        }
    }

    fn take(&mut self, message: Message) {
        let now = SystemTime::now();
        match message {
            Message::Contact(Ok(served)) => {
                self.health.answered(now);
                if let Some(served) = served {
                    self.follow_kinds(served);
                }
                self.drop_removed_kinds();
                self.publisher.looked(self.health.confirmed(now));
            }
            Message::Contact(Err(failure)) => self.health.unanswered(failure, now),
            Message::Watch(id, event) => self.take_event(&id, event, now),
        }
    }

    fn take_event(&mut self, id: &Id, event: Event, now: SystemTime) {
        // What a watch still said when it was given up means nothing.
        let Some(Running { resource, .. }) = self.running.get(id) else { return };
        if !matches!(event, Event::Failed(_)) {
            self.health.seen(id, now);
        }
        let has_changed = match event {
            Event::Alive => false,
            Event::Began => {
                self.objects.began(id);
                false
            }
            Event::Applied(name, read) => self.objects.apply(resource, name, *read),
            Event::Deleted(name) => self.objects.delete(resource, name),
            Event::Whole => {
                self.health.completed(id);
                // The last kind to be read makes a world, though it may have no objects.
                self.objects.completed(resource) || self.publisher.is_first()
            }
            Event::Failed(failure) => {
                // What the server refuses is told at once; a broken connection is given time to mend.
                let is_told = !failure.is_of_the_connection();
                self.health.failed(id, failure, now);
                if is_told {
                    self.report();
                }
                false
            }
        };
        if has_changed {
            self.pace.changed(Instant::now());
        }
    }

    /// Starts watches of kinds that are new, and of those whose preferred version changed.
    fn follow_kinds(&mut self, served: Vec<Resource>) {
        for running in self.running.values_mut() {
            let id = running.resource.id();
            let is_served = running.resource.is_core() || served.iter().any(|one| one.id() == id);
            running.missing_since = if is_served { None } else { running.missing_since.or(Some(Instant::now())) };
        }
        for resource in served {
            let is_running = self.running.get(&resource.id()).is_some_and(|running| running.resource == resource);
            if !is_running {
                tracing::debug!(kind = %resource.id(), version = &*resource.version, "watching a kind");
                self.start(resource);
            }
        }
        if self.publisher.is_first() {
            // The last thing that was awaited may have been the kinds.
            self.pace.changed(Instant::now());
        }
    }

    fn drop_removed_kinds(&mut self) {
        let is_removed = |running: &&Running| {
            let id = running.resource.id();
            running.missing_since.is_some_and(|since| since.elapsed() >= GONE_AFTER) && self.health.is_absent(&id)
        };
        let removed: Vec<Id> = self.running.values().filter(is_removed).map(|one| one.resource.id()).collect();
        for id in removed {
            let Some(running) = self.running.remove(&id) else { continue };
            running.task.abort();
            self.health.ends(&id);
            tracing::info!(kind = %id, "the API server does not serve this kind any more");
            if self.objects.forget(&running.resource) {
                self.pace.changed(Instant::now());
            }
        }
    }

    fn build(&mut self) {
        let began = Instant::now();
        let is_first = self.publisher.is_first();
        let view = self.objects.view();
        let whereabouts = Whereabouts::ApiServer { node: &self.config.node, places: &self.config.places };
        let inputs = Inputs { cluster_domain: &self.config.cluster_domain, whereabouts };
        let built = build(&view, &inputs, &mut self.before);
        drop(view);
        self.warnings = built.warnings;
        // The report first: who waits for a world may ask at once what was said about it.
        self.report();
        let is_new = self.publisher.publish(built.world);
        let now = Instant::now();
        self.pace.built(now, now - began);
        let (version, objects, micros) = (self.publisher.version(), self.objects.len(), (now - began).as_micros());
        if is_first {
            tracing::info!(version, objects, micros, "the world was read from the API server");
        } else if is_new {
            tracing::debug!(version, objects, micros, "the world has changed");
        }
    }

    fn report(&mut self) {
        let now = SystemTime::now();
        let is_whole = self.is_whole();
        let watching = self.health.problems(is_whole, now);
        self.publisher.report(Report {
            errors: bounded(sorted(watching.iter().chain(self.objects.errors()))),
            warnings: bounded(sorted(self.objects.warnings().chain(&self.warnings))),
            notes: self.not_served(),
            awaited: self.health.awaited(),
            objects: self.objects.len(),
            read_at: self.health.confirmed(now),
        });
    }

    /// Mesh kinds whose definitions nobody has installed.
    fn not_served(&self) -> Vec<Problem> {
        let missing = catalog::wanted().into_iter().filter(|id| !self.running.contains_key(id));
        let missing = missing.filter(|_| self.health.knows_kinds());
        missing
            .map(|id| Problem {
                file: super::PLACE.into(),
                line: None,
                object: Some(id.to_string()),
                field: None,
                message: "is not installed: there are no such objects".to_owned(),
                next_step: "they act as soon as their definition (CRD) is there".to_owned(),
            })
            .collect()
    }
}

/// Waits until then, or for ever.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// The first [`MAX_PROBLEMS`], and how many more there are.
fn bounded(mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        problems.truncate(MAX_PROBLEMS);
        problems.push(Problem {
            file: super::PLACE.into(),
            line: None,
            object: None,
            field: None,
            message: format!("{more} more problems like these are not shown"),
            next_step: "correct the ones that are".to_owned(),
        });
    }
    problems
}
