//! Weighted choice, for all weights and all throws.

use proptest::{collection::vec, prelude::*};

use super::{WeightedDestination, draw_weighted};
use crate::{
    balance::{ClusterKey, Draw},
    testing::to,
};

/// A die that shows one number and remembers what it was asked.
struct Shows {
    number: u32,
    bound: Option<u32>,
}

impl Draw for Shows {
    fn below(&mut self, bound: u32) -> u32 {
        self.bound = Some(bound);
        self.number % bound
    }

    fn turn(&mut self, _: &ClusterKey) -> usize {
        unreachable!("weights take no turns")
    }
}

fn chosen(destinations: &[WeightedDestination], number: u32) -> (Option<usize>, Option<u32>) {
    let mut die = Shows { number, bound: None };
    (draw_weighted(destinations, &mut die).map(|(index, _)| index), die.bound)
}

fn weighted(weights: &[Option<u32>]) -> Vec<WeightedDestination> {
    weights.iter().map(|weight| to("name", None, *weight)).collect()
}

#[test]
fn one_destination_needs_no_weight_and_no_throw() {
    for weight in [None, Some(0), Some(7)] {
        assert_eq!(chosen(&weighted(&[weight]), 3), (Some(0), None));
    }
    assert_eq!(chosen(&[], 3), (None, None));
}

#[test]
fn huge_weights_do_not_overflow() {
    let (index, bound) = chosen(&weighted(&[Some(u32::MAX), Some(u32::MAX), Some(0)]), u32::MAX);
    assert!(index.is_some_and(|index| index < 2) && bound.is_some());
}

proptest! {
    /// Over all throws each destination is chosen exactly as often as its weight says; all zero is all alike.
    #[test]
    fn each_gets_exactly_its_share(weights in vec(prop_oneof![Just(None), (0..40u32).prop_map(Some)], 2..6)) {
        let destinations = weighted(&weights);
        let total = chosen(&destinations, 0).1.expect("a throw");
        let mut counts = vec![0u32; weights.len()];
        for number in 0..total {
            counts[chosen(&destinations, number).0.expect("a destination")] += 1;
        }
        let shares: Vec<u32> = weights.iter().map(|weight| weight.unwrap_or(0)).collect();
        if shares.iter().sum::<u32>() == 0 {
            prop_assert!(counts.iter().all(|count| *count == 1));
        } else {
            prop_assert_eq!(counts, shares);
        }
    }
}
