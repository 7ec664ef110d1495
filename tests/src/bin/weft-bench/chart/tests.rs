//! What the picture shows, and that it is well-formed whatever is missing.

use super::*;
use crate::results::tests::empty;

fn some() -> Results {
    let mut results = empty();
    for (system, rate, p99) in
        [(Kind::Direct, 60_000.0, 1e-3), (Kind::WeftHttp, 30_000.0, 2e-3), (Kind::EnvoyHttp, 6_000.0, 9e-3)]
    {
        results.add(0, (Row::Rps32, Figure::Rate, system), rate);
        results.add(0, (Row::Latency, Figure::P99, system), p99);
    }
    for (row, seconds) in [(Row::Snapshot10, 0.05), (Row::SnapshotServices, 0.2)] {
        results.add(0, (row, Figure::Change, Kind::WeftHttp), seconds);
    }
    results
}

/// Every element is closed in its turn, and nothing is left open.
fn is_well_formed(svg: &str) -> bool {
    let mut open = Vec::new();
    for tag in svg.split('<').skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap_or_default());
        }
    }
    open.is_empty()
}

#[test]
fn shares_of_direct_and_costs_are_bars_with_figures() {
    let svg = draw(&some());
    assert!(is_well_formed(&svg), "{svg}");
    assert!(svg.contains(">0.50 = 30.0k/s</text>") && svg.contains(">0.10 = 6.00k/s</text>"), "{svg}");
    assert!(svg.contains(">9.00 ms</text>") && svg.contains(">1.00 ms</text>"), "direct has a latency, too: {svg}");
    assert!(svg.contains(">200.0 ms</text>") && svg.contains("snapshot-services"), "{svg}");
    assert!(svg.contains("prefers-color-scheme:dark"));
    assert!(svg.contains("a CPU &amp; more"), "text is escaped");
    assert_eq!(svg.matches("class=\"goal\"").count(), 3, "one in the legend, one for the rate, one for the latency");
}

#[test]
fn longer_bars_stand_for_more() {
    let svg = draw(&some());
    let width = |class: &str| -> f64 {
        let bar = svg.split(&format!("<rect class=\"{class}\" x=\"330\"")).nth(1).unwrap();
        bar.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap()
    };
    let (weft, envoy) = (width("weft-http"), width("envoy-http"));
    assert!((weft / envoy - 5.0).abs() < 0.1, "half of direct is five times a tenth: {weft} {envoy}");
}

#[test]
fn nothing_measured_is_a_picture_without_bars() {
    let svg = draw(&empty());
    assert!(is_well_formed(&svg), "{svg}");
    assert!(!svg.contains("less is better"), "{svg}");
}
