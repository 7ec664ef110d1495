//! Names are unique, patterns choose them, and every figure has a label.

use std::collections::BTreeSet;

use super::*;

fn chosen(patterns: &[&str]) -> Vec<&'static str> {
    let patterns = Patterns(patterns.iter().map(|pattern| (*pattern).to_owned()).collect());
    patterns.choose().unwrap().into_iter().map(Row::name).collect()
}

#[test]
fn names_are_unique_and_fit_for_a_command_line() {
    let names: BTreeSet<&str> = ALL.iter().map(|row| row.name()).collect();
    assert_eq!(names.len(), ALL.len());
    for name in names {
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
    }
}

#[test]
fn patterns_choose_in_the_order_of_the_table() {
    assert_eq!(chosen(&["bulk", "rps-*"]), ["rps-1", "rps-32", "rps-128", "bulk"]);
    assert_eq!(chosen(&["*-10"]), ["pods-10", "snapshot-10"]);
    assert_eq!(chosen(&["s*-1*0"]), ["snapshot-10", "snapshot-100", "snapshot-1000"]);
    assert_eq!(chosen(&["rps-1"]), ["rps-1"]);
    assert_eq!(chosen(&["*"]).len(), ALL.len());
    assert_eq!(chosen(&[]).len(), ALL.len());
}

#[test]
fn a_pattern_that_means_nothing_is_refused_with_the_names_there_are() {
    let error = Patterns(vec!["rps-32".to_owned(), "rsp-*".to_owned()]).choose().unwrap_err().to_string();
    assert!(error.contains("\"rsp-*\"") && error.contains("latency-2000"), "{error}");
}

#[test]
fn every_figure_of_a_row_has_a_label_of_its_own() {
    for row in ALL {
        let labels: BTreeSet<&str> = row.figures().iter().map(|figure| row.label(*figure)).collect();
        assert_eq!(labels.len(), row.figures().len(), "{}", row.name());
    }
}
