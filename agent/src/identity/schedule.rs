//! When to ask for the next certificate: pure arithmetic, randomness comes from the caller.
//!
//! [`super::Identities`] plans with it after every answer of the authority, [`super::rotation`] acts on the plan.

use std::time::{Duration, SystemTime};

/// Share of a certificate's life after which it is renewed, without jitter.
const RENEW_AFTER: f64 = 0.5;
/// Share of the life over which jitter spreads renewals.
const RENEW_SPREAD: f64 = 0.1;
/// First pause after a failure; jitter halves it at most, and no pause is shorter than that.
const RETRY_MIN: Duration = Duration::from_millis(500);
/// Longest pause while the old certificate still serves.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// Longest pause when connections are refused for want of a certificate.
const RETRY_MAX_WITHOUT: Duration = Duration::from_secs(5);

/// When a certificate is renewed: at half of its life, up to a tenth of it later.
pub(super) fn renewal(issued_at: SystemTime, not_after: SystemTime, jitter: f64) -> SystemTime {
    let life = not_after.duration_since(issued_at).unwrap_or_default();
    issued_at + life.mul_f64(RENEW_AFTER + RENEW_SPREAD * jitter.clamp(0.0, 1.0))
}

/// The pause after another failure when `failures` came before: doubling, half of it by jitter. With `left` of the
/// old certificate's life it never takes more than a quarter of that, so that attempts grow denser towards the end.
pub(super) fn backoff(failures: u32, left: Option<Duration>, jitter: f64) -> Duration {
    let max = match left {
        Some(left) => RETRY_MAX.min(left / 4),
        None => RETRY_MAX_WITHOUT,
    };
    let doubled = RETRY_MIN.saturating_mul(2_u32.saturating_pow(failures));
    doubled.min(max).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0)).max(RETRY_MIN / 2)
}

#[cfg(test)]
mod tests;
