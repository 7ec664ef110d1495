//! Medians, and ratios within a repetition.

use super::*;
use crate::figure::Figure;
use crate::results::tests::empty;

fn results(samples: &[(usize, Kind, f64)]) -> Results {
    let mut results = empty();
    for (repetition, system, value) in samples {
        results.add(*repetition, (Row::Rps32, Figure::Rate, *system), *value);
    }
    results
}

fn rate(system: Kind) -> Cell {
    Cell { row: Row::Rps32, figure: Figure::Rate, system }
}

#[test]
fn medians_of_odd_and_even_counts() {
    assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Some(Spread { median: 2.0, min: 1.0, max: 3.0 }));
    assert_eq!(Spread::of(vec![4.0, 1.0]), Some(Spread { median: 2.5, min: 1.0, max: 4.0 }));
    assert_eq!(Spread::of(Vec::new()), None);
}

#[test]
fn the_spread_is_told_as_half_the_distance_of_the_ends() {
    let spread = |values: &[f64]| Spread::of(values.to_vec()).unwrap().percent_apart();
    assert!((spread(&[80.0, 100.0, 120.0]) - 20.0).abs() < 1e-9);
    assert!(spread(&[0.0, 0.0]).abs() < 1e-9, "nothing is not infinitely far apart");
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
    assert_eq!(summary.systems(&[Row::Rps32]), [Direct, WeftHttp]);
    assert_eq!(summary.systems(&[Row::Bulk]), []);
    let half = Some(Spread { median: 0.5, min: 0.5, max: 0.5 });
    assert_eq!(summary.ratio_to(rate(WeftHttp), Direct), half);
    assert_eq!(summary.value(rate(WeftHttp)).map(|spread| spread.median), Some(30.0));
    assert_eq!(summary.ratio_to(rate(WeftHttp), Kind::EnvoyTcp), None);
}

#[test]
fn a_repetition_that_was_not_finished_does_not_count_in_ratios() {
    let results = results(&[(0, Kind::Direct, 10.0), (0, Kind::WeftTcp, 4.0), (1, Kind::WeftTcp, 9.0)]);
    let ratio = Summary::of(&results).ratio_to(rate(Kind::WeftTcp), Kind::Direct);
    assert_eq!(ratio, Some(Spread { median: 0.4, min: 0.4, max: 0.4 }));
}

#[test]
fn what_is_measured_several_times_in_a_repetition_counts_once() {
    let results = results(&[(0, Kind::WeftHttp, 1.0), (0, Kind::WeftHttp, 9.0), (0, Kind::WeftHttp, 2.0)]);
    let value = Summary::of(&results).value(rate(Kind::WeftHttp));
    assert_eq!(value, Some(Spread { median: 2.0, min: 2.0, max: 2.0 }));
}
