//! What is counted for one label set: atomics, so that a request costs a few relaxed adds.
//!
//! [`super::pods`] owns the series of a pod, [`super::exposition`] prints them.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Number of finite buckets; one more holds what is above the last bound.
pub(super) const BOUNDS: usize = 19;

/// Istio's bucket bounds as they are printed (label `le`), milliseconds and bytes alike.
pub(super) const LE: [&str; BOUNDS] = [
    "0.5", "1", "5", "10", "25", "50", "100", "250", "500", "1000", "2500", "5000", "10000", "30000", "60000",
    "300000", "600000", "1800000", "3600000",
];

/// The bounds in bytes. A size is whole, so "at most half a byte" is "none".
const BYTES: [u64; BOUNDS] = [
    0, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000, 1_800_000,
    3_600_000,
];

/// The bounds of durations, in nanoseconds.
const NANOS: [u64; BOUNDS] = {
    let mut nanos = [500_000; BOUNDS];
    let mut at = 1;
    while at < BOUNDS {
        nanos[at] = BYTES[at] * 1_000_000;
        at += 1;
    }
    nanos
};

/// A histogram with Istio's buckets.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

/// A histogram as read at one moment.
pub(super) struct Reading {
    /// Cumulative counts in the order of [`LE`], the last one is everything (`+Inf`).
    pub(super) cumulative: [u64; BOUNDS + 1],
    /// Sum in the unit it was recorded in.
    pub(super) sum: u64,
}

impl Reading {
    /// How many values there were.
    pub(super) fn count(&self) -> u64 {
        self.cumulative[BOUNDS]
    }
}

impl Histogram {
    fn add(&self, bounds: &[u64; BOUNDS], value: u64, sum: u64) {
        let bucket = bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(sum, Relaxed);
    }

    /// Records a size.
    pub(super) fn add_bytes(&self, bytes: u64) {
        self.add(&BYTES, bytes, bytes);
    }

    /// Records a duration. The sum is kept in microseconds: nanoseconds of a busy edge would
    /// overflow within weeks.
    pub(super) fn add_duration(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.add(&NANOS, nanos, nanos / 1_000);
    }

    /// Reads it. The count is the sum of the buckets, so that the two always agree.
    pub(super) fn read(&self) -> Reading {
        let mut seen = 0;
        let cumulative = std::array::from_fn(|bucket| {
            seen += self.buckets[bucket].load(Relaxed);
            seen
        });
        Reading { cumulative, sum: self.sum.load(Relaxed) }
    }
}

/// HTTP and gRPC. `istio_requests_total` is the number of durations: one add less per request, and
/// the families cannot disagree.
#[derive(Debug, Default)]
pub(super) struct HttpSeries {
    /// `istio_request_duration_milliseconds`, sum in microseconds.
    pub(super) duration: Histogram,
    /// `istio_request_bytes`.
    pub(super) request_bytes: Histogram,
    /// `istio_response_bytes`.
    pub(super) response_bytes: Histogram,
}

/// Opaque TCP.
#[derive(Debug, Default)]
pub(super) struct TcpSeries {
    /// `istio_tcp_connections_opened_total`.
    pub(super) opened: AtomicU64,
    /// `istio_tcp_connections_closed_total`.
    pub(super) closed: AtomicU64,
    /// `istio_tcp_sent_bytes_total`: server to client.
    pub(super) sent: AtomicU64,
    /// `istio_tcp_received_bytes_total`: client to server.
    pub(super) received: AtomicU64,
}

#[cfg(test)]
mod tests;
