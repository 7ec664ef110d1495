use std::time::Duration;

use super::*;

fn bucket_of(histogram: &Histogram) -> &'static str {
    let reading = histogram.read();
    assert_eq!(reading.count(), 1);
    let at = reading.cumulative.iter().position(|count| *count == 1).unwrap();
    LE.get(at).copied().unwrap_or("+Inf")
}

fn duration(duration: Duration) -> &'static str {
    let histogram = Histogram::default();
    histogram.add_duration(duration);
    bucket_of(&histogram)
}

fn bytes(bytes: u64) -> &'static str {
    let histogram = Histogram::default();
    histogram.add_bytes(bytes);
    bucket_of(&histogram)
}

#[test]
fn a_value_on_a_bound_belongs_below_it_and_one_above_it_does_not() {
    for (at, le) in LE.iter().enumerate() {
        let bound = Duration::from_secs_f64(le.parse::<f64>().unwrap() / 1000.0);
        assert_eq!(duration(bound), *le);
        let next = LE.get(at + 1).copied().unwrap_or("+Inf");
        assert_eq!(duration(bound + Duration::from_nanos(1)), next);
        if at > 0 {
            let bound = le.parse().unwrap();
            assert_eq!(bytes(bound), *le);
            assert_eq!(bytes(bound + 1), next);
        }
    }
    assert_eq!(bytes(0), "0.5");
    assert_eq!(duration(Duration::ZERO), "0.5");
    assert_eq!(duration(Duration::MAX), "+Inf");
}

#[test]
fn sums_add_up() {
    let histogram = Histogram::default();
    histogram.add_duration(Duration::from_micros(1500));
    histogram.add_duration(Duration::from_millis(7));
    let reading = histogram.read();
    assert_eq!((reading.count(), reading.sum), (2, 8500));
}
