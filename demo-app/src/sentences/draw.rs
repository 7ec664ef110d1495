//! Chance in the sentences application: the draw rule, the delay, and numbers made from another service's text.
//!
//! The rules are pure functions of the dice; [`happens`] and [`pause`] throw them. Called by [`super::roles`].

use std::time::Duration;

/// The draw rule: `percent` is a throw of 0..=100 (101 faces), the event happens when percent/100 is below
/// `probability`. So 0.1 means 10 of 101, and 1.0 means 100 of 101: the throw 100 never wins.
pub fn wins(percent: u8, probability: f64) -> bool {
    f64::from(percent) / 100.0 < probability
}

/// Throws the dice for an event of this probability.
pub fn happens(probability: f64) -> bool {
    wins(fastrand::u8(0..=100), probability)
}

/// The delay at `position` (0.0 to 1.0) between the bounds, in seconds; `None` when it is not positive.
pub fn delay(bounds: (f64, f64), position: f64) -> Option<Duration> {
    let seconds = bounds.0 + position * (bounds.1 - bounds.0);
    if seconds > 0.0 { Duration::try_from_secs_f64(seconds).ok() } else { None }
}

/// A uniform delay between the bounds, in seconds.
pub fn pause(bounds: (f64, f64)) -> Option<Duration> {
    delay(bounds, fastrand::f64())
}

/// The number in a text: an integer if it begins with a digit, else the code point of its only character.
/// `None` for anything else (nothing at all, several characters, a number with something behind it).
pub fn number(text: &str) -> Option<u64> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first.is_ascii_digit() {
        return text.trim_end().parse().ok();
    }
    match characters.next() {
        None => Some(u64::from(u32::from(first))),
        Some(_) => None,
    }
}

/// Brings `value` into the range min..=max by the remainder of the division by its size.
pub fn reduce(value: u64, min: i64, max: i64) -> i64 {
    let size = i128::from(max) - i128::from(min) + 1;
    let reduced = i128::from(min) + i128::from(value) % size;
    // Within min..=max by construction, so the conversion cannot fail.
    i64::try_from(reduced).unwrap_or(min)
}

/// The text of a body: UTF-8, else one character per byte (the way a lone byte from /bytes/1 becomes a character).
pub fn text(body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) => text.to_owned(),
        Err(_) => body.iter().copied().map(char::from).collect(),
    }
}

#[cfg(test)]
mod tests;
