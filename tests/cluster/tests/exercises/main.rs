//! The exercises on a real cluster, one file each, in the order of its page and with the page's own commands.
//!
//! Figures are those of the acceptance scenarios: ranges are what chance allows, and a change of configuration applies within
//! [`APPLIES`](weft_cluster_tests::APPLIES).

mod e00_setup;
mod e01_routing;
mod e02a_no_default;
mod e02b_canary;
mod k01_blue_green;
mod k02_labels;
mod k03_canary;
mod k07_metrics;
mod k13_mtls;
mod k14_ephemeral;
mod k16_authorization;

use anyhow::{Result, ensure};
use weft_cluster_tests::{APPLIES, NodePort, eventually};

/// The header by which the exercises ask for a version.
type Headers<'a> = &'a [(&'a str, &'a str)];

/// The share of `count` sentences with `text`; each has to be whole.
#[track_caller]
fn share(of: &NodePort, headers: Headers<'_>, count: usize, text: &str) -> f64 {
    let answers = of.get_many(headers, count);
    answers.assert_sentences();
    answers.share_with(text)
}

/// Waits until a change applies: all sentences have `text`, or none has.
#[track_caller]
fn becomes(of: &NodePort, headers: Headers<'_>, text: &str, wanted: f64) {
    eventually(APPLIES, || -> Result<()> {
        let now = of.get_many(headers, 10).share_with(text);
        ensure!(now == wanted, "{text} has {now} of the requests with {headers:?}");
        Ok(())
    });
}

/// Half of the requests, as chance divides 400 of them.
const HALF_OF_400: std::ops::RangeInclusive<f64> = 0.417..=0.583;
/// A tenth of the requests, as chance divides 1000 of them.
const TENTH_OF_1000: std::ops::RangeInclusive<f64> = 0.069..=0.131;
