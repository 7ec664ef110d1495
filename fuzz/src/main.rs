//! libFuzzer around the agent's fuzz targets: one program for all of them, since linking costs more than choosing.
//!
//! `cargo xtask fuzz` builds it with coverage and names the target in [`TARGET`]. What a target does with its bytes is
//! beside the code that it tests, in a module `fuzzing`.

#![no_main]

mod targets;

use std::sync::OnceLock;

use targets::{TARGETS, Target};

/// The variable of the environment that names the target; [`LIST`] prints their names instead.
const TARGET: &str = "WEFT_FUZZ_TARGET";

/// No target's name.
const LIST: &str = "list";

static CHOSEN: OnceLock<Target> = OnceLock::new();

fn choose() {
    let wanted = std::env::var(TARGET).unwrap_or_default();
    let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    if wanted == LIST {
        println!("{}", names.join("\n"));
        std::process::exit(0);
    }
    match TARGETS.iter().find(|(name, _)| *name == wanted) {
        Some((_, target)) => {
            CHOSEN.get_or_init(|| *target);
        }
        None => {
            eprintln!("{TARGET}={wanted:?} names no target; there is {}", names.join(", "));
            std::process::exit(2);
        }
    }
}

libfuzzer_sys::fuzz_target!(init: choose(), |data: &[u8]| {
    if let Some(target) = CHOSEN.get() {
        target(data);
    }
});
