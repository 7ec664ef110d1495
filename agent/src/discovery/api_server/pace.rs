//! When to build a world: soon after a first change, seldom while changes pour in.

use std::time::Duration;

use tokio::time::Instant;

/// A change waits this long for those that come with it: a pod and its EndpointSlice, the objects of one manifest.
const GATHER: Duration = Duration::from_millis(20);

/// Time between the end of one build and the next one, in lengths of the last: building takes at most a twentieth of
/// the time, unless that would make changes wait longer than [`LONGEST`].
const REST: u32 = 19;

/// The time between is no shorter and no longer than these.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(250);

/// Times of the past, from which the next one follows.
#[derive(Debug, Default)]
pub struct Pace {
    changed: Option<Instant>,
    not_before: Option<Instant>,
}

impl Pace {
    /// Something has changed.
    pub fn changed(&mut self, now: Instant) {
        self.changed.get_or_insert(now);
    }

    /// When the next world is due; `None` while nothing has changed.
    pub fn due(&self) -> Option<Instant> {
        let gathered = self.changed? + GATHER;
        Some(self.not_before.map_or(gathered, |rested| rested.max(gathered)))
    }

    /// A world was built, and that took so long.
    pub fn built(&mut self, now: Instant, took: Duration) {
        self.changed = None;
        self.not_before = Some(now + took.saturating_mul(REST).clamp(SHORTEST, LONGEST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_first_change_acts_soon_and_what_follows_at_once_with_it() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(pace.due(), None);
        pace.changed(start);
        pace.changed(start + 10 * MS);
        assert_eq!(pace.due(), Some(start + GATHER));
    }

    #[test]
    fn builds_rest_in_proportion_to_what_they_cost_and_within_bounds() {
        let start = Instant::now();
        let next = |took| {
            let mut pace = Pace::default();
            pace.built(start, took);
            assert_eq!(pace.due(), None, "nothing new");
            pace.changed(start);
            pace.due().unwrap() - start
        };
        assert_eq!(next(MS), SHORTEST);
        assert_eq!(next(5 * MS), 95 * MS);
        assert_eq!(next(40 * MS), LONGEST);
        let mut pace = Pace::default();
        pace.built(start, MS);
        pace.changed(start + 500 * MS);
        assert_eq!(pace.due(), Some(start + 500 * MS + GATHER), "rested long ago");
    }
}
