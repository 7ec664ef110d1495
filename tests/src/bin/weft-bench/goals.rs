//! What weft is meant to reach, so that the report says what was reached and what was missed. Nothing fails here.
//!
//! The goals are ratios to direct or to Envoy in the same run where that makes sense, since the machines differ.

use crate::figure::Figure;
use crate::results::Cell;
use crate::row::Row;
use crate::summary::Summary;
use crate::system::Kind;

/// How far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At least this share of direct.
    DirectAtLeast(f64),
    /// At most this many times direct.
    DirectAtMost(f64),
    /// At most this, in the metric's unit.
    AtMost(f64),
    /// At least this many times Envoy's L4.
    EnvoyAtLeast(f64),
    /// At most this many times Envoy's L4.
    EnvoyAtMost(f64),
}

/// One goal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The figure.
    pub cell: Cell,
    /// How far.
    pub bound: Bound,
}

const MIB: f64 = 1_048_576.0;

/// All goals of the project, L7 first.
pub const GOALS: [Goal; 18] = [
    goal(Row::Rps1, Figure::Rate, Kind::WeftHttp, Bound::DirectAtLeast(0.40)),
    goal(Row::Rps1, Figure::Rate, Kind::WeftTcp, Bound::DirectAtLeast(0.45)),
    goal(Row::Rps32, Figure::Rate, Kind::WeftHttp, Bound::DirectAtLeast(0.40)),
    goal(Row::Rps32, Figure::Rate, Kind::WeftTcp, Bound::DirectAtLeast(0.40)),
    goal(Row::Rps128, Figure::Rate, Kind::WeftHttp, Bound::DirectAtLeast(0.45)),
    goal(Row::Rps128, Figure::Rate, Kind::WeftTcp, Bound::DirectAtLeast(0.38)),
    goal(Row::Latency, Figure::P50, Kind::WeftHttp, Bound::AtMost(0.45e-3)),
    goal(Row::Latency, Figure::P50, Kind::WeftTcp, Bound::AtMost(0.35e-3)),
    goal(Row::Latency, Figure::P99, Kind::WeftHttp, Bound::DirectAtMost(1.7)),
    goal(Row::Latency, Figure::P99, Kind::WeftTcp, Bound::DirectAtMost(1.5)),
    goal(Row::Rps32, Figure::ProxyCpu, Kind::WeftHttp, Bound::AtMost(40e-6)),
    goal(Row::Rps32, Figure::ProxyCpu, Kind::WeftTcp, Bound::AtMost(45e-6)),
    goal(Row::NewConnections, Figure::Rate, Kind::WeftHttp, Bound::DirectAtLeast(0.80)),
    goal(Row::NewConnections, Figure::Rate, Kind::WeftTcp, Bound::DirectAtLeast(0.20)),
    goal(Row::Bulk, Figure::Throughput, Kind::WeftTcp, Bound::EnvoyAtLeast(1.35)),
    goal(Row::Bulk, Figure::ProxyCpuPerGb, Kind::WeftTcp, Bound::EnvoyAtMost(0.8)),
    goal(Row::Idle, Figure::Rss, Kind::WeftHttp, Bound::AtMost(24.0 * MIB)),
    goal(Row::Loaded, Figure::Rss, Kind::WeftHttp, Bound::AtMost(40.0 * MIB)),
];

const fn goal(row: Row, figure: Figure, system: Kind, bound: Bound) -> Goal {
    Goal { cell: Cell { row, figure, system }, bound }
}

/// A goal beside what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What it was to be.
    pub wanted: String,
    /// What it is.
    pub measured: String,
    /// Is it reached?
    pub met: bool,
}

impl Goal {
    /// Compares; `None` when the run did not measure it or what it is compared with.
    pub fn judge(&self, summary: &Summary) -> Option<Verdict> {
        let versus = |base| summary.ratio_to(self.cell, base).map(|spread| spread.median);
        let ratio = |wanted: f64, most: bool, base: Kind| {
            let ratio = versus(base)?;
            let sign = if most { "at most" } else { "at least" };
            Some(Verdict {
                wanted: format!("{sign} {wanted:.2} of {base}"),
                measured: format!("{ratio:.2}"),
                met: if most { ratio <= wanted } else { ratio >= wanted },
            })
        };
        match self.bound {
            Bound::DirectAtLeast(wanted) => ratio(wanted, false, Kind::Direct),
            Bound::DirectAtMost(wanted) => ratio(wanted, true, Kind::Direct),
            Bound::EnvoyAtLeast(wanted) => ratio(wanted, false, Kind::EnvoyTcp),
            Bound::EnvoyAtMost(wanted) => ratio(wanted, true, Kind::EnvoyTcp),
            Bound::AtMost(wanted) => {
                let value = summary.value(self.cell)?.median;
                Some(Verdict {
                    wanted: format!("at most {}", self.cell.figure.show(wanted)),
                    measured: self.cell.figure.show(value),
                    met: value <= wanted,
                })
            }
        }
    }
}
