//! Who answers: before the first snapshot of the world the little that is known, then the whole agent. A probe or a
//! person is told from the beginning what an agent waits for.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use http::{Method, StatusCode};
use tokio::sync::watch;

use super::{
    Admin, ready,
    route::{self, Reply},
    status::{Keeper, SnapshotStatus, Status, problems},
};
use crate::discovery::Report;

/// The pages of an agent from its start to its end.
pub struct Front {
    node: Arc<str>,
    report: watch::Receiver<Arc<Report>>,
    started: Instant,
    admin: OnceLock<Arc<Admin>>,
}

impl Front {
    /// The pages of an agent on `node` that started just now and reads the world as `report` says.
    pub fn new(node: Arc<str>, report: watch::Receiver<Arc<Report>>) -> Self {
        Self { node, report, started: Instant::now(), admin: OnceLock::new() }
    }

    /// When the agent started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// From here on the whole agent answers. Only the first call counts.
    pub fn open(&self, admin: Arc<Admin>) {
        let _ = self.admin.set(admin);
    }

    pub(super) fn answer(&self, is_ending: bool, method: &Method, path: &str, query: &str) -> Reply {
        match self.admin.get() {
            Some(admin) => route::answer(admin, is_ending, method, path, query),
            None => self.answer_early(is_ending, method, path),
        }
    }

    fn answer_early(&self, is_ending: bool, method: &Method, path: &str) -> Reply {
        if method != Method::GET && method != Method::HEAD {
            return Reply::text(StatusCode::METHOD_NOT_ALLOWED, route::ONLY_GET);
        }
        match path {
            "/live" => Reply::text(StatusCode::OK, "live"),
            "/status" => Reply::json(&self.status(is_ending)),
            // Ready or not, all other pages are about what is not there yet.
            _ => Reply::text(StatusCode::SERVICE_UNAVAILABLE, self.missing(is_ending).join("\n")),
        }
    }

    fn missing(&self, is_ending: bool) -> Vec<String> {
        if is_ending { vec![ready::ENDING.to_owned()] } else { ready::not_read(&self.report.borrow()) }
    }

    fn status(&self, is_ending: bool) -> Status {
        let report = self.report.borrow().clone();
        Status {
            node: self.node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_seconds: self.started.elapsed().as_secs_f64(),
            ready: false,
            missing: self.missing(is_ending),
            trust_domain: String::new(),
            snapshot: SnapshotStatus { version: 0, read_seconds_ago: None, objects: report.objects },
            keeper: Keeper::Off,
            pods: Vec::new(),
            problems: problems(&report.errors, &report.warnings),
        }
    }
}
