//! Medians, and ratios within a repetition.

use super::*;
use crate::machine::Machine;

fn results(samples: &[(usize, Kind, f64)]) -> Results {
    let machine = Machine {
        date: String::new(),
        commit: String::new(),
        cpu: String::new(),
        cpus: 2,
        kernel: String::new(),
        memory: 0,
    };
    let mut results = Results {
        machine,
        rows: Vec::new(),
        repeat: 3,
        seconds: 1,
        access_log: true,
        others: Vec::new(),
        samples: Vec::new(),
        failures: Vec::new(),
    };
    for (repetition, system, value) in samples {
        results.add(*repetition, *system, Metric::Rps32, *value);
    }
    results
}

#[test]
fn medians_of_odd_and_even_counts() {
    assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
    assert_eq!(Spread::of(vec![4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    assert_eq!(Spread::of(Vec::new()), None);
}

#[test]
fn a_ratio_is_taken_within_a_repetition() {
    use Kind::{Direct, WeftHttp};
    // Half of direct in each repetition, although the machine was four times slower in the second.
    let results = results(&[
        (0, Direct, 80.0),
        (0, WeftHttp, 40.0),
        (1, Direct, 20.0),
        (1, WeftHttp, 10.0),
        (2, Direct, 60.0),
        (2, WeftHttp, 30.0),
    ]);
    let summary = Summary::of(&results);
    assert_eq!(summary.systems, [Direct, WeftHttp]);
    let half = Some(Spread { median: 0.5, min: 0.5, max: 0.5 });
    assert_eq!(summary.ratio(Metric::Rps32, WeftHttp, Direct), half);
    assert_eq!(summary.value(Metric::Rps32, WeftHttp).map(|spread| spread.median), Some(30.0));
    assert_eq!(summary.ratio(Metric::Rps32, WeftHttp, Kind::EnvoyTcp), None);
}

#[test]
fn a_repetition_that_was_not_finished_does_not_count_in_ratios() {
    let results = results(&[(0, Kind::Direct, 10.0), (0, Kind::WeftTcp, 4.0), (1, Kind::WeftTcp, 9.0)]);
    let ratio = Summary::of(&results).ratio(Metric::Rps32, Kind::WeftTcp, Kind::Direct);
    assert_eq!(ratio, Some(Spread { median: 0.4, min: 0.4, max: 0.4 }));
}
