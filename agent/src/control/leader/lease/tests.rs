//! Who may take the Lease when.

use super::*;

fn held_by(holder: &str, version: &str) -> Record {
    let (holder, version) = (Some(holder.to_owned()), Some(version.to_owned()));
    Record { holder, version, duration: LEASE, ..Record::default() }
}

#[test]
fn a_lease_that_nobody_holds_is_taken() {
    let now = Instant::now();
    let mut observed = Observed::nothing(now);
    assert_eq!(observed.intent("me", now), Intent::Acquire);
    observed.see(Some(Record::default()), now);
    assert_eq!(observed.intent("me", now), Intent::Acquire);
}

#[test]
fn another_ones_lease_is_taken_when_it_was_silent_for_as_long_as_it_promised() {
    let start = Instant::now();
    let mut observed = Observed::nothing(start);
    // However old it is by the holder's clock: ours begins to run when we see it.
    observed.see(Some(held_by("other", "1")), start);
    assert_eq!(observed.intent("me", start), Intent::Wait);
    let almost = start + LEASE - Duration::from_millis(1);
    observed.see(Some(held_by("other", "1")), almost);
    assert_eq!(observed.intent("me", almost), Intent::Wait);
    assert_eq!(observed.intent("me", start + LEASE), Intent::Acquire);
    observed.see(Some(held_by("other", "2")), start + LEASE);
    assert_eq!(observed.intent("me", start + LEASE), Intent::Wait, "it renewed at the last moment");
}

#[test]
fn the_holder_renews_and_so_does_its_next_life() {
    let start = Instant::now();
    let mut observed = Observed::nothing(start);
    observed.see(Some(held_by("me", "1")), start);
    assert_eq!(observed.intent("me", start), Intent::Renew);
    assert_eq!(observed.intent("me", start + 10 * LEASE), Intent::Renew);
}

#[test]
fn a_holder_stops_before_another_begins() {
    assert!(RENEW_DEADLINE + RETRY < LEASE);
}
