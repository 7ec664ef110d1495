//! A pod's series in the Prometheus text format 0.0.4, as Envoy prints them (TYPE, no HELP).
//!
//! Written by hand: the text between the braces is formatted once per label set and shared by the
//! 67 lines of an HTTP set, where a general encoder would keep 25 label pairs for each of them.

use std::{
    fmt::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    labels::escape_into,
    pods::{Pod, Sorted},
    series::{Histogram, HttpSeries, LE, TcpSeries},
};

/// The page of a pod: all Istio families with samples, then `istio_build`. A pod without series (none
/// yet) still answers with `istio_build`: it is in the mesh.
pub(super) fn page(pod: Option<&Pod>, version: &str) -> String {
    let mut out = Page(String::new());
    if let Some(pod) = pod {
        let (http, tcp) = pod.all();
        out.http(&http);
        out.tcp(&tcp);
    }
    out.family("istio_build", "gauge");
    out.0.push_str("istio_build{component=\"proxy\",tag=\"");
    escape_into(&mut out.0, version);
    out.0.push_str("\"} 1\n");
    out.0
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str) {
        self.put(format_args!("# TYPE {name} {kind}\n"));
    }

    fn put(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }

    fn http(&mut self, all: &Sorted<HttpSeries>) {
        if all.is_empty() {
            return;
        }
        let name = "istio_requests_total";
        self.family(name, "counter");
        for (labels, series) in all {
            self.put(format_args!("{name}{{{labels}}} {}\n", series.duration.read().count()));
        }
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        self.histogram("istio_request_duration_milliseconds", all, |series| &series.duration, milliseconds);
        self.histogram("istio_request_bytes", all, |series| &series.request_bytes, |bytes| bytes as f64);
        self.histogram("istio_response_bytes", all, |series| &series.response_bytes, |bytes| bytes as f64);
    }

    fn histogram(
        &mut self,
        name: &str,
        all: &Sorted<HttpSeries>,
        of: impl Fn(&HttpSeries) -> &Histogram,
        unit: impl Fn(u64) -> f64,
    ) {
        self.family(name, "histogram");
        for (labels, series) in all {
            let reading = of(series).read();
            for (le, count) in LE.iter().chain(&["+Inf"]).zip(reading.cumulative) {
                self.put(format_args!("{name}_bucket{{{labels},le=\"{le}\"}} {count}\n"));
            }
            self.put(format_args!("{name}_sum{{{labels}}} {}\n", unit(reading.sum)));
            self.put(format_args!("{name}_count{{{labels}}} {}\n", reading.count()));
        }
    }

    fn tcp(&mut self, all: &Sorted<TcpSeries>) {
        self.counter("istio_tcp_connections_opened_total", all, |series| &series.opened);
        self.counter("istio_tcp_connections_closed_total", all, |series| &series.closed);
        self.counter("istio_tcp_sent_bytes_total", all, |series| &series.sent);
        self.counter("istio_tcp_received_bytes_total", all, |series| &series.received);
    }

    /// Counters that never moved are left out: a refused connection sends no bytes, and its flags
    /// should not make a series of zeros.
    fn counter(&mut self, name: &str, all: &Sorted<TcpSeries>, of: impl Fn(&TcpSeries) -> &AtomicU64) {
        let values = all.iter().map(|(labels, series)| (labels, of(series).load(Relaxed)));
        let mut moved = values.filter(|(_, count)| *count > 0).peekable();
        if moved.peek().is_some() {
            self.family(name, "counter");
        }
        for (labels, count) in moved {
            self.put(format_args!("{name}{{{labels}}} {count}\n"));
        }
    }
}
