//! The figures: their names, units, and how they are written for people.

use serde::Serialize;

/// One figure of a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Requests per second with one connection.
    Rps1,
    /// With 32.
    Rps32,
    /// With 128.
    Rps128,
    /// Median at the fixed rate, in seconds.
    P50,
    /// 99th percentile at the fixed rate, in seconds.
    P99,
    /// CPU seconds of both proxies per request, at 32 connections.
    ProxyCpu,
    /// CPU seconds of the whole machine per request, at 32 connections.
    MachineCpu,
    /// New connections per second.
    Connections,
    /// CPU seconds of both proxies per new connection.
    ConnectionCpu,
    /// Bits per second of one stream.
    Bulk,
    /// CPU seconds of both proxies per GB (10^9 bytes).
    BulkProxyCpu,
    /// CPU seconds of the whole machine per GB.
    BulkMachineCpu,
    /// CPU seconds per second of both proxies while nothing is asked of them.
    CpuIdle,
    /// Resident bytes of both proxies before any load.
    RssIdle,
    /// The most resident bytes of both proxies while 128 connections are busy.
    RssLoaded,
    /// Resident bytes of one agent with ten enrolled pods.
    RssTenPods,
}

/// All of them, in the order of the table.
pub const ALL: [Metric; 16] = [
    Metric::Rps1,
    Metric::Rps32,
    Metric::Rps128,
    Metric::P50,
    Metric::P99,
    Metric::ProxyCpu,
    Metric::MachineCpu,
    Metric::Connections,
    Metric::ConnectionCpu,
    Metric::Bulk,
    Metric::BulkProxyCpu,
    Metric::BulkMachineCpu,
    Metric::CpuIdle,
    Metric::RssIdle,
    Metric::RssLoaded,
    Metric::RssTenPods,
];

impl Metric {
    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rps1 => "rps, 1 connection",
            Self::Rps32 => "rps, 32",
            Self::Rps128 => "rps, 128",
            Self::P50 => "p50 at 2,000 rps",
            Self::P99 => "p99 at 2,000 rps",
            Self::ProxyCpu => "proxy CPU per request, both proxies (32 connections)",
            Self::MachineCpu => "machine CPU per request (32 connections)",
            Self::Connections => "new connections/s",
            Self::ConnectionCpu => "proxy CPU per new connection, both proxies",
            Self::Bulk => "bulk, one stream",
            Self::BulkProxyCpu => "proxy CPU per GB, both proxies",
            Self::BulkMachineCpu => "machine CPU per GB",
            Self::CpuIdle => "CPU of both proxies, idle",
            Self::RssIdle => "RSS of both proxies, idle",
            Self::RssLoaded => "RSS of both proxies, loaded (128 connections)",
            Self::RssTenPods => "RSS of one agent with ten pods",
        }
    }

    /// A value with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Rps1 | Self::Rps32 | Self::Rps128 | Self::Connections => thousands(value),
            Self::P50 | Self::P99 => format!("{} ms", short(value * 1e3)),
            Self::ProxyCpu | Self::MachineCpu | Self::ConnectionCpu => format!("{:.0} us", value * 1e6),
            Self::Bulk => format!("{} Gbit/s", short(value / 1e9)),
            Self::CpuIdle => format!("{:.1} %", value * 100.0),
            Self::BulkProxyCpu | Self::BulkMachineCpu => format!("{value:.2} s"),
            Self::RssIdle | Self::RssLoaded | Self::RssTenPods => format!("{:.0} MiB", value / 1_048_576.0),
        }
    }

    /// Does the table show it as a ratio to direct, too?
    pub fn has_ratio(self) -> bool {
        use Metric::{Bulk, BulkMachineCpu, Connections, MachineCpu, P50, P99, Rps1, Rps32, Rps128};
        matches!(self, Rps1 | Rps32 | Rps128 | P50 | P99 | MachineCpu | Connections | Bulk | BulkMachineCpu)
    }
}

fn thousands(value: f64) -> String {
    if value < 10_000.0 { format!("{:.2}k", value / 1e3) } else { format!("{:.1}k", value / 1e3) }
}

/// Two or three digits that mean something.
fn short(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}
