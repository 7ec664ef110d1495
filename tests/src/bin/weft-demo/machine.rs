//! The machine that the show runs on: it goes first there, and a person is told when that may not be enough.

use std::process::Command;

use crate::show::Show;

/// Better than a build's: what else runs on the machine must not look like the mesh, to the application's limit of 1 s least of all.
const NICENESS: &str = "-10";

/// Gives this process, and with it everything it will start, precedence. Called before it has another thread.
pub fn go_first() {
    let own = std::process::id().to_string();
    // Where there is no renice (package bsdutils, essential in Debian), the show is as good as the machine is idle.
    let _ = Command::new("renice").args(["-n", NICENESS, "-p", &own]).output();
}

/// Says that numbers will be bad when more programs run than there are processors for them.
pub fn warn_if_busy(show: &Show) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: f64 = load.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default();
    if load > 2.0 * processors as f64 {
        show.line(&format!("This machine is busy (load {load:.1} on {processors} processors): times will be long."));
    }
}
