//! What the page says of what was measured, of what was not, and of what failed.

use super::*;
use crate::results::tests::empty;
use crate::results::{Failure, Noise};

fn some() -> Results {
    let mut results = empty();
    for (repetition, direct, weft) in [(0, 60_000.0, 30_000.0), (1, 50_000.0, 20_000.0), (2, 40_000.0, 18_000.0)] {
        results.add(repetition, (Row::Rps32, Figure::Rate, Kind::Direct), direct);
        results.add(repetition, (Row::Rps32, Figure::Rate, Kind::WeftHttp), weft);
        results.add(repetition, (Row::Rps32, Figure::ProxyCpu, Kind::WeftHttp), 40e-6);
        results.add(repetition, (Row::Snapshot10, Figure::AgentRss, Kind::WeftHttp), 50e6);
        results.add(repetition, (Row::Snapshot1000, Figure::AgentRss, Kind::WeftHttp), 75e6);
    }
    results
}

#[test]
fn a_table_has_rows_by_name_and_ratios_to_direct() {
    let page = page(&some(), "x.svg");
    assert!(page.contains("![The figures of the tables below as bars](x.svg)"), "{page}");
    assert!(page.contains("| row | | direct | weft L7 |"), "{page}");
    let line = "| `rps-32` | requests/s, 32 connections | 50.0k (±20 %) | 20.0k (.45; .40-.50) |";
    assert!(page.contains(line), "{page}");
    assert!(page.contains("|  | proxy CPU per request, both proxies | - | 40 us |"), "{page}");
    assert!(!page.contains("`bulk`"), "what was not measured has no line: {page}");
    assert!(!page.contains("not quiet"), "{page}");
}

#[test]
fn growth_is_compared_with_the_small_snapshot() {
    let page = page(&some(), "x.svg");
    assert!(page.contains("| `snapshot-10` | a small cluster: ten pods on other nodes | - | 48 MiB | - |"), "{page}");
    assert!(page.contains("| 72 MiB (1.50) |"), "{page}");
}

#[test]
fn noise_and_failures_are_said() {
    let mut results = some();
    let noise = |repetition, others| Noise { stage: Stage::Base, repetition, others };
    results.noise = vec![noise(0, 0.02), noise(1, 0.60), noise(2, 0.90)];
    results.stolen = Some(0.07);
    let reason = "12 requests failed and 0 were answered: 12 times `refused`\nmore".to_owned();
    results.failures.push(Failure { row: Row::Latency, system: Kind::EnvoyHttp, repetition: 1, reason });
    let page = page(&results, "x.svg");
    assert!(
        page.contains("before 2 of 3 repetitions others used more than 10 % of its CPUs (median 60 %, up to 90 %)"),
        "{page}"
    );
    assert!(page.contains("it gave 7 % of the CPUs' time"), "{page}");
    let line = "- `latency-2000` of Envoy HTTP mTLS + RBAC, repetition 2: 12 requests failed and 0 were answered: 12 times `refused`\n";
    assert!(page.contains(line), "{page}");
}

#[test]
fn goals_are_judged_where_they_were_measured() {
    let page = page(&some(), "x.svg");
    assert!(page.contains("## Goals: 2 of 2 met"), "{page}");
    let line = "| `rps-32` | requests/s, 32 connections, weft L7 | at least 0.40 of direct | 0.45 | met |";
    assert!(page.contains(line), "{page}");
    assert!(page.contains("16 goals were not measured"), "{page}");
}
