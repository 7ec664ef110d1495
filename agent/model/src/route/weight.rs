//! Weighted choice among the destinations of a route.

use super::WeightedDestination;
use crate::balance::Draw;

/// Chooses one destination; `None` when there is none.
///
/// A single destination gets everything, whatever its weight. Beside others a missing weight counts 0, and the sum
/// need not be 100: weights are shares of their sum. When all are 0 there is no share to follow, and each is as likely
/// as the other (Envoy refuses such a configuration; refusing the traffic would be the harsher reading).
pub fn draw_weighted<'a>(
    destinations: &'a [WeightedDestination],
    draw: &mut dyn Draw,
) -> Option<(usize, &'a WeightedDestination)> {
    if destinations.len() <= 1 {
        return destinations.first().map(|only| (0, only));
    }
    // Istio's weights are int32; the bound keeps the sum of larger ones from overflowing.
    let count = u32::try_from(destinations.len()).unwrap_or(u32::MAX);
    let share = |one: &WeightedDestination| one.weight.unwrap_or(0).min(u32::MAX / count);
    let total: u32 = destinations.iter().map(share).sum();
    if total == 0 {
        let index = draw.below(count) as usize;
        return destinations.get(index).map(|one| (index, one));
    }
    let mut left = draw.below(total);
    destinations.iter().enumerate().find(|(_, one)| {
        let share = share(one);
        let chosen = left < share;
        left = left.saturating_sub(share);
        chosen
    })
}
