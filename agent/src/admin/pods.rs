//! Finding the pod a person means, and helping when there is none.

use weft_model::{
    snapshot::Snapshot,
    workload::{Named, Workload},
};

/// Names proposed when a pod is not found.
const PROPOSALS_MAX: usize = 3;

/// Letters that may differ in a name that is proposed.
const DISTANCE_MAX: usize = 2;

/// Reads `namespace/name`.
pub(super) fn parse(text: &str) -> Result<Named, String> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Named::new(namespace, name))
        }
        _ => Err(format!("{text:?} is not of the form namespace/pod")),
    }
}

/// The pod, or a message with names that come near.
pub(super) fn find<'a>(snapshot: &'a Snapshot, pod: &Named) -> Result<&'a std::sync::Arc<Workload>, String> {
    snapshot.workloads.get(pod).ok_or_else(|| {
        let near = near(pod, snapshot.workloads.keys());
        if near.is_empty() {
            format!("there is no pod {pod}, nor one with a name like it; `weft status` lists the pods of each node")
        } else {
            format!("there is no pod {pod}; there is {}", near.join(", "))
        }
    })
}

/// Names like that one: the same in another namespace first, then those that differ little or begin alike.
pub(super) fn near<'a>(wanted: &Named, all: impl Iterator<Item = &'a Named>) -> Vec<String> {
    let rank = |one: &Named| {
        let same_namespace = one.namespace == wanted.namespace;
        match distance(&one.name, &wanted.name) {
            0 => Some(0),
            apart if apart <= DISTANCE_MAX => Some(apart * 2 + usize::from(!same_namespace)),
            _ if one.name.starts_with(&*wanted.name) || wanted.name.starts_with(&*one.name) => {
                Some(DISTANCE_MAX * 2 + 2 + usize::from(!same_namespace))
            }
            _ => None,
        }
    };
    let mut ranked: Vec<_> = all.filter_map(|one| Some((rank(one)?, one))).collect();
    ranked.sort();
    ranked.into_iter().take(PROPOSALS_MAX).map(|(_, one)| one.to_string()).collect()
}

/// Letters to insert, remove or replace to make one out of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut above: Vec<usize> = (0..=other.len()).collect();
    for (row, left) in one.chars().enumerate() {
        let mut diagonal = above[0];
        above[0] = row + 1;
        for (column, right) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = above[column + 1];
            above[column + 1] = replaced.min(diagonal + 1).min(above[column] + 1);
        }
    }
    above[other.len()]
}
