//! The pods that have series, and the bounds on what one pod may have.
//!
//! [`super::intern`] asks for a pod's series when its cache misses; [`super::exposition`] prints
//! them. A pod lives here from its first event until the snapshot no longer has it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use weft_model::{
    snapshot::Snapshot,
    workload::{Named, Workload},
};

use super::{
    access_log::ring::Ring,
    labels::{Facts, Protocol},
    series::{HttpSeries, TcpSeries},
};

/// Label sets per pod. One HTTP label set is 67 lines of about a kilobyte, so this bound is also the
/// bound of a scrape. What exceeds it is counted under `destination_service="overflow"`.
pub const MAX_LABEL_SETS_PER_POD: usize = 2_000;

/// Label sets per pod that are named by the host of a request: whoever sends requests chooses it.
pub const MAX_HOST_LABEL_SETS_PER_POD: usize = 200;

/// Where an event is counted.
#[derive(Clone, Debug)]
pub(super) enum Series {
    Http(Arc<HttpSeries>),
    Tcp(Arc<TcpSeries>),
}

/// One pod's series and its latest log lines.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) name: Named,
    addresses: Vec<IpAddr>,
    series: Mutex<SeriesByLabels>,
    pub(super) log: Mutex<Ring>,
}

#[derive(Debug, Default)]
struct SeriesByLabels {
    http: HashMap<Arc<str>, Arc<HttpSeries>>,
    tcp: HashMap<Arc<str>, Arc<TcpSeries>>,
    named_by_hosts: usize,
}

/// Label sets with their series, sorted by label text.
pub(super) type Sorted<T> = Vec<(Arc<str>, Arc<T>)>;

impl Pod {
    fn new(workload: &Workload) -> Self {
        Self {
            name: workload.pod.clone(),
            addresses: workload.addresses.clone(),
            series: Mutex::default(),
            log: Mutex::default(),
        }
    }

    /// The series of an event, and whether it had to be folded into an overflow series.
    pub(super) fn series(&self, facts: &Facts<'_>) -> (Series, bool) {
        let labels = facts.labels();
        let mut all = lock(&self.series);
        if let Some(known) = all.find(facts.protocol, &labels) {
            return (known, false);
        }
        let full = all.len() >= MAX_LABEL_SETS_PER_POD;
        let by_host = facts.host().is_some();
        if full {
            (all.find_or_insert(facts.protocol, facts.overflow_labels()), true)
        } else if by_host && all.named_by_hosts >= MAX_HOST_LABEL_SETS_PER_POD {
            (all.find_or_insert(facts.protocol, facts.labels_without_host()), true)
        } else {
            all.named_by_hosts += usize::from(by_host);
            (all.find_or_insert(facts.protocol, labels), false)
        }
    }

    /// All series.
    pub(super) fn all(&self) -> (Sorted<HttpSeries>, Sorted<TcpSeries>) {
        let all = lock(&self.series);
        (sorted(&all.http), sorted(&all.tcp))
    }

    /// Is `workload` the same pod, not a later one of the same name (StatefulSets reuse names)?
    fn is(&self, workload: &Workload) -> bool {
        self.addresses.is_empty()
            || workload.addresses.is_empty()
            || self.addresses.iter().any(|address| workload.addresses.contains(address))
    }
}

impl SeriesByLabels {
    fn len(&self) -> usize {
        self.http.len() + self.tcp.len()
    }

    fn find(&self, protocol: Protocol, labels: &str) -> Option<Series> {
        match protocol {
            Protocol::Http | Protocol::Grpc => self.http.get(labels).cloned().map(Series::Http),
            Protocol::Tcp => self.tcp.get(labels).cloned().map(Series::Tcp),
        }
    }

    fn find_or_insert(&mut self, protocol: Protocol, labels: String) -> Series {
        match protocol {
            Protocol::Http | Protocol::Grpc => Series::Http(self.http.entry(labels.into()).or_default().clone()),
            Protocol::Tcp => Series::Tcp(self.tcp.entry(labels.into()).or_default().clone()),
        }
    }
}

fn sorted<T>(series: &HashMap<Arc<str>, Arc<T>>) -> Sorted<T> {
    let mut sorted: Sorted<T> = series.iter().map(|(labels, series)| (labels.clone(), series.clone())).collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    sorted
}

/// Every pod with series.
#[derive(Debug, Default)]
pub(super) struct Pods(RwLock<HashMap<Named, Arc<Pod>>>);

impl Pods {
    /// The pod, if it has reported anything.
    pub(super) fn find(&self, name: &Named) -> Option<Arc<Pod>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// The pod, entered when it is new.
    pub(super) fn find_or_insert(&self, workload: &Workload) -> Arc<Pod> {
        if let Some(pod) = self.find(&workload.pod) {
            return pod;
        }
        let mut pods = self.0.write().unwrap_or_else(PoisonError::into_inner);
        pods.entry(workload.pod.clone()).or_insert_with(|| Arc::new(Pod::new(workload))).clone()
    }

    /// Forgets the pods that are gone.
    pub(super) fn retain(&self, snapshot: &Snapshot) {
        let mut pods = self.0.write().unwrap_or_else(PoisonError::into_inner);
        pods.retain(|name, pod| snapshot.workloads.get(name).is_some_and(|workload| pod.is(workload)));
    }
}

/// Nothing panics while holding these locks, and a counter is valid at any value.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
