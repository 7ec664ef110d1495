//! How long to wait before asking an API server again.

use std::time::Duration;

/// Wait after a first failure, before it is spread.
const FIRST: Duration = Duration::from_millis(250);

/// No wait is longer: a server that is back is noticed within this time.
const LONGEST: Duration = Duration::from_secs(15);

/// Waits that grow with each failure in a row. Each is a random share of its length, between half and whole: the agents
/// of a cluster lose their API server in the same moment and must not come back in the same moment.
#[derive(Debug, Default)]
pub struct Retry {
    failures: u32,
}

impl Retry {
    /// How long to wait after one more failure. `chance` is a random number from 0 to 1.
    pub fn next(&mut self, chance: f64) -> Duration {
        let whole = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// It went well: the next failure is a first one.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_success() {
        let mut retry = Retry::default();
        let longest: Vec<_> = (0..9).map(|_| retry.next(1.0)).collect();
        assert_eq!(longest[..3], [250, 500, 1000].map(Duration::from_millis));
        assert_eq!(longest[8], LONGEST);
        assert_eq!(retry.next(0.0), LONGEST / 2, "spread over half of it");
        retry.reset();
        assert_eq!(retry.next(0.0), FIRST / 2);
    }
}
