//! Pauses before a watch is begun anew.
//!
//! The library's own grow to half a minute, which suits thousands of watchers. Control has a handful, and after the API
//! server was away a person who changes the mesh's root should not wonder why nothing happens.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// First pause, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Doubling, with jitter, so that replicas do not come back together.
#[derive(Debug, Default)]
pub struct WatchBackoff {
    failures: u32,
}

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = PAUSES.0.saturating_mul(2_u32.saturating_pow(self.failures)).min(PAUSES.1);
        self.failures = self.failures.saturating_add(1);
        Some(pause.mul_f64(0.5 + 0.5 * fastrand::f64()))
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.failures = 0;
    }
}
