//! What is measured of a row: names, units, and how values are written for people.

use serde::{Deserialize, Serialize};

/// One figure. Values are in its base unit ([`Figure::unit`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Figure {
    /// Requests, or new connections, per second.
    Rate,
    /// Median latency.
    P50,
    /// 99th percentile of latency.
    P99,
    /// Bits per second of one stream.
    Throughput,
    /// CPU time of the proxies of both sides per request or new connection.
    ProxyCpu,
    /// CPU time of the whole machine per request.
    MachineCpu,
    /// CPU time of the proxies of both sides per GB (10^9 bytes).
    ProxyCpuPerGb,
    /// CPU time of the whole machine per GB.
    MachineCpuPerGb,
    /// System calls of the proxies of both sides per request.
    Syscalls,
    /// Times that a thread of the proxies was put to sleep or set aside, per request.
    ContextSwitches,
    /// Instructions of the proxies of both sides per request.
    Instructions,
    /// Cycles of the proxies of both sides per request.
    Cycles,
    /// CPU seconds per second of both proxies while nothing is asked of them.
    CpuIdle,
    /// Resident memory of the proxies of both sides.
    Rss,
    /// Resident memory of one agent.
    AgentRss,
    /// What a held, idle connection adds to the resident memory of both proxies.
    IdlePair,
    /// What a connection that always has a request under way adds.
    ActivePair,
    /// Time from writing a change to the first answer that follows it.
    Change,
}

impl Figure {
    /// The base unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Rate => "1/s",
            Self::Throughput => "bit/s",
            Self::P50 | Self::P99 | Self::ProxyCpu | Self::MachineCpu | Self::Change => "s",
            Self::ProxyCpuPerGb | Self::MachineCpuPerGb => "s/GB",
            Self::Syscalls | Self::ContextSwitches | Self::Instructions | Self::Cycles => "1",
            Self::CpuIdle => "s/s",
            Self::Rss | Self::AgentRss | Self::IdlePair | Self::ActivePair => "B",
        }
    }

    /// A value with a unit that suits it.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Rate => thousands(value),
            Self::P50 | Self::P99 | Self::Change => format!("{} ms", short(value * 1e3)),
            Self::ProxyCpu | Self::MachineCpu => format!("{:.0} us", value * 1e6),
            Self::Throughput => format!("{} Gbit/s", short(value / 1e9)),
            Self::CpuIdle => format!("{:.1} %", value * 100.0),
            Self::ProxyCpuPerGb | Self::MachineCpuPerGb => format!("{value:.2} s"),
            Self::Rss | Self::AgentRss => format!("{:.0} MiB", value / 1_048_576.0),
            Self::IdlePair | Self::ActivePair => format!("{:.1} KiB", value / 1024.0),
            Self::Syscalls | Self::ContextSwitches => short(value),
            Self::Instructions | Self::Cycles => thousands(value),
        }
    }

    /// Is more of it better?
    pub fn more_is_better(self) -> bool {
        matches!(self, Self::Rate | Self::Throughput)
    }

    /// Does direct have it too, so that a ratio to it says something?
    pub fn has_ratio(self) -> bool {
        matches!(self, Self::Rate | Self::Throughput | Self::P50 | Self::P99 | Self::MachineCpu | Self::MachineCpuPerGb)
    }
}

fn thousands(value: f64) -> String {
    match value {
        value if value < 1_000.0 => format!("{value:.0}"),
        value if value < 10_000.0 => format!("{:.2}k", value / 1e3),
        value => format!("{:.1}k", value / 1e3),
    }
}

/// Two or three digits that mean something.
fn short(value: f64) -> String {
    if value < 10.0 { format!("{value:.2}") } else { format!("{value:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_in_units_that_people_use() {
        let shown = [
            (Figure::Rate, 940.0, "940"),
            (Figure::Rate, 8123.0, "8.12k"),
            (Figure::Rate, 73_300.0, "73.3k"),
            (Figure::P99, 0.00314, "3.14 ms"),
            (Figure::ProxyCpu, 36.4e-6, "36 us"),
            (Figure::Throughput, 20.71e9, "20.7 Gbit/s"),
            (Figure::IdlePair, 8192.0, "8.0 KiB"),
            (Figure::AgentRss, 52_428_800.0, "50 MiB"),
        ];
        for (figure, value, text) in shown {
            assert_eq!(figure.show(value), text, "{figure:?}");
        }
    }
}
