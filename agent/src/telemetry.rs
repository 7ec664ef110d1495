//! Event -> metric and log line: the only place that names either.
//!
//! [`Telemetry`] is the ear of the data plane ([`Observe`]). Each pod has its own series and its own
//! log, printed on the pod's endpoint ([`Telemetry::pod_page`]) and by `weft logs`
//! ([`Telemetry::log`]). The agent's own metrics are apart ([`agent`]), and so are the control plane's
//! ([`control`]). Serving pages, and scraping the application for the merged one, is left to `admin` and `app`.
//!
//! On the hot path an event costs a look-up in a cache of the worker thread (`intern`) and a few
//! relaxed adds (`series`); labels are formatted when a combination is new. That, and 67 lines that share
//! one label text, is why the Istio families are not kept in a metrics library.
//!
//! Suggested reading order: this page, `labels`, `series`, `pods`, `intern`, `exposition`, `merge`,
//! `access_log` with its lines and rings, `agent`.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release},
    },
};

use weft_model::{snapshot::Snapshot, workload::Named};

use crate::dataplane::event::{Observe, RequestEvent, TcpClosed, TcpOpened, TcpProgress};

mod access_log;
pub mod agent;
pub mod control;
mod exposition;
mod intern;
mod labels;
mod merge;
mod pods;
mod process;
mod series;

pub use access_log::ring::{LogPage, MAX_BYTES as MAX_LOG_BYTES_PER_POD, MAX_LINES as MAX_LOG_LINES_PER_POD};
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use merge::fuzzing;
pub use merge::merge;
pub use pods::{MAX_HOST_LABEL_SETS_PER_POD, MAX_LABEL_SETS_PER_POD};

use access_log::{AccessLog, line};
use agent::AgentMetrics;
use intern::{Era, Place};
use labels::{Facts, Protocol};
use pods::{Pods, Series, lock};

/// Media type of [`Telemetry::pod_page`] and [`AgentMetrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What telemetry is told at the start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The agent's version (label `tag` of `istio_build`).
    pub version: String,
    /// Is the access log on? See [`Telemetry::set_access_log`].
    pub access_log: bool,
    /// Begin each line given to the writer with `<namespace>/<pod> `.
    pub prefix_lines: bool,
}

/// Number of the next `Telemetry`, so that caches of worker threads tell them apart.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Series and logs of the pods of this node.
pub struct Telemetry {
    number: u64,
    generation: AtomicU64,
    pods: Pods,
    version: String,
    log_requests: AtomicBool,
    access_log: AccessLog,
    metrics: Arc<AgentMetrics>,
}

impl Telemetry {
    /// Starts the thread that files log lines. `writer`, when given, gets the lines of all pods. Fails when the
    /// thread cannot be started.
    pub fn spawn(
        config: Config,
        metrics: Arc<AgentMetrics>,
        writer: Option<Box<dyn Write + Send>>,
    ) -> io::Result<Self> {
        let access_log = AccessLog::spawn(writer, config.prefix_lines, metrics.access_log_dropped.clone())?;
        Ok(Self {
            number: NEXT.fetch_add(1, Relaxed),
            generation: AtomicU64::new(0),
            pods: Pods::default(),
            version: config.version,
            log_requests: AtomicBool::new(config.access_log),
            access_log,
            metrics,
        })
    }

    /// Switches the access log (`mesh.access_log`). When off, no line is even formatted.
    pub fn set_access_log(&self, on: bool) {
        self.log_requests.store(on, Relaxed);
    }

    /// Forgets the pods that are gone. To be called with each new snapshot, so that the caches let go
    /// of the old one's values.
    pub fn retain(&self, snapshot: &Snapshot) {
        self.pods.retain(snapshot);
        self.generation.fetch_add(1, Release);
    }

    /// The pod's Istio series in the Prometheus text format.
    pub fn render(&self, pod: &Named) -> String {
        exposition::page(self.pods.find(pod).as_deref(), &self.version)
    }

    /// The answer of the pod's endpoint: its Istio series, and the application's own metrics when there are any.
    pub fn pod_page(&self, pod: &Named, app_text: Option<&str>) -> String {
        let page = self.render(pod);
        app_text.map_or_else(|| page.clone(), |app| merge(&page, app))
    }

    /// The pod's log lines after the first `after` ones (0: all that are kept), up to this moment.
    pub fn log(&self, pod: &Named, after: u64) -> LogPage {
        self.access_log.flush();
        self.pods.find(pod).map(|pod| lock(&pod.log).since(after)).unwrap_or_default()
    }

    fn with_place<T>(&self, facts: &Facts<'_>, then: impl FnOnce(&Place, &mut String) -> T) -> T {
        let era = Era { telemetry: self.number, generation: self.generation.load(Acquire) };
        let resolve = || {
            let pod = self.pods.find_or_insert(&facts.connection.owner);
            let (series, is_overflow) = pod.series(facts);
            Place { pod, series, is_overflow }
        };
        intern::with_place(era, facts, resolve, |place, line| {
            if place.is_overflow {
                self.metrics.series_dropped.inc();
            }
            then(place, line)
        })
    }
}

/// Where metrics of the process are kept.
struct Register<'a>(&'a prometheus::Registry);

impl Register<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }
}

/// Codes beyond those of gRPC (0 to 16) are an application's fancy, and would be a series each.
fn known_grpc_status(status: u32) -> Option<u8> {
    u8::try_from(status).ok().filter(|status| *status <= 16)
}

impl Observe for Telemetry {
    fn request(&self, event: &RequestEvent) {
        let facts = Facts {
            connection: &event.connection,
            protocol: if event.grpc { Protocol::Grpc } else { Protocol::Http },
            status: event.status,
            grpc_status: event.grpc_status.and_then(known_grpc_status).filter(|_| event.grpc),
            flags: &event.flags,
            authority: &event.authority,
        };
        self.with_place(&facts, |place, text| {
            if let Series::Http(series) = &place.series {
                series.duration.add_duration(event.duration);
                series.request_bytes.add_bytes(event.request_bytes);
                series.response_bytes.add_bytes(event.response_bytes);
            }
            if self.log_requests.load(Relaxed) {
                text.clear();
                line::http(text, event);
                self.access_log.add(&place.pod, text);
            }
        });
    }

    fn tcp_opened(&self, event: &TcpOpened) {
        let facts = Facts::tcp(&event.connection, &[]);
        self.with_place(&facts, |place, _| {
            if let Series::Tcp(series) = &place.series {
                series.opened.fetch_add(1, Relaxed);
            }
        });
    }

    fn tcp_progress(&self, event: &TcpProgress) {
        let facts = Facts::tcp(&event.connection, &[]);
        self.with_place(&facts, |place, _| {
            if let Series::Tcp(series) = &place.series {
                series.sent.fetch_add(event.sent, Relaxed);
                series.received.fetch_add(event.received, Relaxed);
            }
        });
    }

    fn tcp_closed(&self, event: &TcpClosed) {
        let facts = Facts::tcp(&event.connection, &event.flags);
        self.with_place(&facts, |place, text| {
            if let Series::Tcp(series) = &place.series {
                series.closed.fetch_add(1, Relaxed);
                series.sent.fetch_add(event.sent, Relaxed);
                series.received.fetch_add(event.received, Relaxed);
            }
            if self.log_requests.load(Relaxed) {
                text.clear();
                line::tcp(text, event);
                self.access_log.add(&place.pod, text);
            }
        });
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
