use super::Metrics;
use crate::sentences::config::Role;

#[test]
fn a_series_appears_with_its_first_request() {
    let metrics = Metrics::new();
    let before = metrics.exposition();
    assert!(
        before.contains("# HELP sentence_requests_total Number of requests\n# TYPE sentence_requests_total counter\n")
    );
    assert!(!before.contains("sentence_requests_total{"));

    for _ in 0..3 {
        metrics.count(Role::Name);
    }
    let after = metrics.exposition();
    assert!(after.contains("\nsentence_requests_total{type=\"name\"} 3.0\n"), "{after}");
    assert!(
        after.contains("# TYPE sentence_requests_created gauge\nsentence_requests_created{type=\"name\"} 1"),
        "{after}"
    );
}

#[test]
fn the_process_series_are_there_and_every_line_is_well_formed() {
    let text = Metrics::new().exposition();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (_, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
    }
    for name in ["resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds", "start_time_seconds"] {
        let line = text.lines().find(|line| line.starts_with(&format!("process_{name} "))).expect(name);
        assert!(line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() > 0.0, "{line}");
    }
    assert!(text.contains("\nprocess_cpu_seconds_total "));
}
