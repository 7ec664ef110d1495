//! When the mesh's root changes, and in which steps: pure, on the state in the Secret and the time.
//!
//! ```text
//!             asked for, or            time to reach everybody,       longest leaf has ended
//!             near its end             and everybody says so
//!   steady ─────────────────▶ spreading ─────────────────▶ switched ─────────────────▶ steady
//!   old signs                 old signs                    new signs                   new signs
//!   old trusted               both trusted                 both trusted                new trusted
//! ```
//!
//! At every moment each side's certificate is signed by a root that all others trust. Stopping in the middle costs
//! nothing: a phase may last as long as it likes. [`super::rotate`] takes the steps, on the leader.

use std::time::{Duration, SystemTime};

use super::state::{Phase, Request};
use crate::identity::MAX_TTL;

/// How long each phase lasts at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a new root is trusted before it signs. Kubelets refresh mounted ConfigMaps within two minutes; sidecars
    /// and gateways, which nobody asks whether they did, get some more.
    pub spread: Duration,
    /// How long the old root is trusted after it signed last: the longest life of a leaf, and a margin for a replica that
    /// heard of the switch late.
    pub retire: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let hour = Duration::from_secs(60 * 60);
        Self { spread: Duration::from_secs(10 * 60), retire: MAX_TTL + hour }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing, until that much time has passed or something changes.
    Wait(Duration),
    /// Make a new root, and trust it.
    Begin,
    /// Ask everybody whether they trust the new root; if they do, switch.
    Confirm,
    /// Let the new root sign.
    Switch,
    /// Drop the old root.
    Retire,
}

/// The longest wait, for clocks that are set.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Share of its life in which a signing certificate is replaced without being asked for.
const LAST_PART: u32 = 10;

/// The next step at `now`, with a signing certificate of this `life` (begin and end).
pub fn next_step(
    phase: Phase,
    request: Option<Request>,
    life: (SystemTime, SystemTime),
    now: SystemTime,
    timing: Timing,
) -> Step {
    // A clock that was set back starts the wait anew, which is the safe side.
    let left = |since: SystemTime, length: Duration| match now.duration_since(since) {
        Ok(passed) => length.saturating_sub(passed),
        Err(_future) => length,
    };
    let (left, then) = match phase {
        Phase::Steady => {
            let (not_before, not_after) = life;
            let last_part = not_after.duration_since(not_before).unwrap_or_default() / LAST_PART;
            let left = not_after.duration_since(now).unwrap_or_default().saturating_sub(last_part);
            (if request.is_some() { Duration::ZERO } else { left }, Step::Begin)
        }
        Phase::Spreading { since } => {
            let then = if request == Some(Request::Unconfirmed) { Step::Switch } else { Step::Confirm };
            (left(since, timing.spread), then)
        }
        Phase::Switched { since } => (left(since, timing.retire), Step::Retire),
    };
    if left.is_zero() { then } else { Step::Wait(left.min(MAX_WAIT)) }
}

#[cfg(test)]
mod tests;
