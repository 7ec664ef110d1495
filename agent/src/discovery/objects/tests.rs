use super::*;

#[test]
fn durations_are_read_as_istio_writes_them() {
    use std::time::Duration;
    let read = |text: &str| common::Span::try_from(text.to_owned()).map(|span| span.0);
    assert_eq!(read("850ms"), Ok(Duration::from_millis(850)));
    assert_eq!(read("0.5s"), Ok(Duration::from_millis(500)));
    assert_eq!(read("1h30m"), Ok(Duration::from_secs(5400)));
    assert_eq!(read("0s"), Ok(Duration::ZERO));
    for wrong in ["", "5", "s", "1.2.3s", "-1s", "5 s", "1d", "1e400s"] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
