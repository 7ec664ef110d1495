//! The times, at their bounds.

use super::*;

#[test]
fn renewal_comes_after_half_of_the_life_and_a_little() {
    let begin = SystemTime::UNIX_EPOCH;
    let end = begin + Duration::from_secs(1000);
    let after = |jitter| renewal(begin, end, jitter).duration_since(begin).unwrap().as_secs();
    assert_eq!((after(0.0), after(1.0)), (500, 600));
    assert_eq!((after(-3.0), after(9.0)), (500, 600), "jitter cannot push it out of bounds");
}

#[test]
fn pauses_double_up_to_a_maximum_and_shrink_towards_the_end() {
    let hour = Some(Duration::from_secs(3600));
    let pauses = [0, 1, 2, 30].map(|failures| backoff(failures, hour, 1.0));
    assert_eq!(pauses, [RETRY_MIN, 2 * RETRY_MIN, 4 * RETRY_MIN, RETRY_MAX]);
    assert_eq!(backoff(30, hour, 0.0), RETRY_MAX / 2);
    assert_eq!(backoff(30, Some(Duration::from_secs(40)), 1.0), Duration::from_secs(10));
    assert_eq!(backoff(30, Some(Duration::ZERO), 1.0), RETRY_MIN / 2);
    assert_eq!(backoff(30, None, 1.0), RETRY_MAX_WITHOUT);
}
