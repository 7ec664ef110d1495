//! Reading what libFuzzer prints.

use super::{failure, stats::Stats};

const DONE: &str = "INFO: Seed: 1\n#2\tINITED cov: 90 ft: 91 corp: 1/1b exec/s: 0 rss: 60Mb\n\
    #2097152\tDONE   cov: 812 ft: 3021 corp: 310/12Kb lim: 4096 exec/s: 190650 rss: 423Mb\n\
    Done 2097152 runs in 11 second(s)\nstat::number_of_executed_units: 2097152\nstat::average_exec_per_sec:     190650\n";

#[test]
fn figures_are_read() {
    let stats = Stats::read(DONE).map(|stats| stats.to_string());
    assert_eq!(stats.as_deref(), Some("   2097152 runs,  190650/s,    812 edges,   310 inputs kept"));
    assert_eq!(Stats::read("#2 INITED cov: 90 ft: 91"), None);
}

#[test]
fn a_failure_says_why_and_how_to_see_it_again() {
    let log = "#2\tINITED\nthread '<unnamed>' panicked at agent/src/x.rs:7:5:\npieces make a difference\n\
        stack backtrace:\n   0: f\nTest unit written to /c/fuzz/t/failures/crash-1\n";
    let said = failure("t", log).unwrap();
    assert!(said.contains("pieces make a difference") && !said.contains("0: f"), "{said}");
    assert!(said.contains("cargo xtask fuzz t --input /c/fuzz/t/failures/crash-1"), "{said}");
    assert_eq!(failure("t", DONE), None, "no input, nothing to run again");
}
