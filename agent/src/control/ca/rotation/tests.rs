//! Which step when, and that nobody is refused on the way.

use std::collections::HashSet;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const TIMING: Timing = Timing { spread: Duration::from_secs(600), retire: Duration::from_secs(25 * 3600) };

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
}

/// A root that lives for ten years from `at(0)` on.
fn life() -> (SystemTime, SystemTime) {
    (at(0), at(0) + ROOT_LIFE)
}

const ROOT_LIFE: Duration = crate::identity::material::ROOT_LIFE;

fn step(phase: Phase, request: Option<Request>, now: SystemTime) -> Step {
    next_step(phase, request, life(), now, TIMING)
}

#[test]
fn nothing_happens_unasked_until_the_root_is_near_its_end() {
    assert_eq!(step(Phase::Steady, None, at(1)), Step::Wait(MAX_WAIT));
    assert_eq!(step(Phase::Steady, None, at(0) + ROOT_LIFE / 10 * 9 - HOUR), Step::Wait(MAX_WAIT));
    assert_eq!(step(Phase::Steady, None, at(0) + ROOT_LIFE / 10 * 9), Step::Begin);
    assert_eq!(step(Phase::Steady, None, at(0) + 2 * ROOT_LIFE), Step::Begin, "late is better than never");
    for request in [Request::Rotate, Request::Unconfirmed] {
        assert_eq!(step(Phase::Steady, Some(request), at(1)), Step::Begin);
    }
}

#[test]
fn a_new_root_signs_after_its_time_and_a_confirmation() {
    let phase = Phase::Spreading { since: at(100) };
    assert_eq!(step(phase, None, at(100)), Step::Wait(MAX_WAIT));
    assert_eq!(step(phase, None, at(699)), Step::Wait(Duration::from_secs(1)));
    assert_eq!(step(phase, None, at(700)), Step::Confirm);
    assert_eq!(step(phase, Some(Request::Rotate), at(700)), Step::Confirm);
    assert_eq!(step(phase, Some(Request::Unconfirmed), at(699)), Step::Wait(Duration::from_secs(1)));
    assert_eq!(step(phase, Some(Request::Unconfirmed), at(700)), Step::Switch);
}

#[test]
fn the_old_root_goes_when_all_that_it_signed_has_ended() {
    let phase = Phase::Switched { since: at(0) };
    for request in [None, Some(Request::Rotate)] {
        assert_eq!(step(phase, request, at(24 * 3600)), Step::Wait(MAX_WAIT));
        assert_eq!(step(phase, request, at(25 * 3600 - 1)), Step::Wait(Duration::from_secs(1)));
        assert_eq!(step(phase, request, at(25 * 3600)), Step::Retire);
    }
    assert!(Timing::default().retire > MAX_TTL, "a replica may hear late of the switch");
}

#[test]
fn a_clock_that_was_set_back_costs_time_and_nothing_else() {
    for phase in [Phase::Spreading { since: at(1000) }, Phase::Switched { since: at(1000) }] {
        assert!(matches!(step(phase, None, at(0)), Step::Wait(_)), "{phase:?}");
    }
}

/// A mesh of some nodes: each hears of the bundle late, each holds leaves that end a day after they were signed, and one
/// replica goes on signing with the old root for half an hour.
#[test]
fn at_every_moment_everybody_trusts_who_signed_for_anybody() {
    const NODES: u64 = 5;
    let (mut phase, mut signer, mut bundle) = (Phase::Steady, 1, HashSet::from([1]));
    let mut heard: Vec<Vec<(SystemTime, HashSet<i32>)>> = vec![vec![(at(0), bundle.clone())]; NODES as usize];
    let mut leaves: Vec<(i32, SystemTime)> = Vec::new();
    let (mut slow_signer, mut switched_at, mut steps) = (1, at(0), Vec::new());
    for minute in 0..40 * 60 {
        let now = at(minute * 60);
        let request = (minute == 60).then_some(Request::Rotate);
        let confirmed = heard.iter().all(|heard| trusts(heard, now) == bundle);
        let step = step(phase, request, now);
        match step {
            Step::Begin => (phase, bundle) = (Phase::Spreading { since: now }, HashSet::from([1, 2])),
            Step::Switch | Step::Confirm if step == Step::Switch || confirmed => {
                (phase, signer, switched_at) = (Phase::Switched { since: now }, 2, now);
            }
            Step::Retire => (phase, bundle) = (Phase::Steady, HashSet::from([2])),
            _ => {}
        }
        if !matches!(step, Step::Wait(_)) {
            steps.push(step);
            for (node, heard) in heard.iter_mut().enumerate() {
                heard.push((now + Duration::from_secs(30 * node as u64 * NODES), bundle.clone()));
            }
        }
        if signer == 2 && now >= switched_at + HOUR / 2 {
            slow_signer = 2;
        }
        leaves.extend([(signer, now + MAX_TTL), (slow_signer, now + MAX_TTL)]);
        leaves.retain(|(_, end)| *end > now);
        let signers: HashSet<_> = leaves.iter().map(|(signer, _)| *signer).collect();
        for (node, heard) in heard.iter().enumerate() {
            let trusted = trusts(heard, now);
            assert!(signers.is_subset(&trusted), "minute {minute}: node {node} trusts {trusted:?}, not {signers:?}");
        }
    }
    steps.dedup();
    assert_eq!(steps, [Step::Begin, Step::Confirm, Step::Retire], "and it came to its end");
    assert_eq!((phase, bundle), (Phase::Steady, HashSet::from([2])));
}

/// What a node that heard this trusts by now.
fn trusts(heard: &[(SystemTime, HashSet<i32>)], now: SystemTime) -> HashSet<i32> {
    heard.iter().rfind(|(at, _)| *at <= now).unwrap().1.clone()
}
