//! Everything about a namespace whose scenario failed, as a person would look: objects, pods, events, logs, and the agents' last words.

use std::fmt::Write as _;
use std::time::Duration;

use crate::kubectl::output;
use crate::mesh::{AGENT, CONTROL, SYSTEM};

/// How long each look may take: the cluster may be what is broken.
const DEADLINE: Duration = Duration::from_secs(20);
/// Lines of each container's log.
const TAIL: &str = "--tail=40";

/// The text to print.
pub(crate) fn namespace(name: &str) -> String {
    let mut text = format!("\n======== namespace {name}, whose scenario failed ========\n");
    let looks: [&[&str]; 6] = [
        &["get", "all,endpointslices,networkpolicies", "--output=wide"],
        &["get", "vs,dr,pa,ap", "--output=yaml", "--ignore-not-found"],
        &["describe", "pods"],
        &["get", "events", "--sort-by=.lastTimestamp"],
        &["logs", "--selector=app", "--all-containers", "--prefix", "--max-log-requests=50", TAIL],
        &["logs", "--selector=app", "--all-containers", "--prefix", "--max-log-requests=50", "--previous", TAIL],
    ];
    for look in looks {
        show(&mut text, &[&["--namespace", name], look].concat());
    }
    for selector in [AGENT, CONTROL] {
        show(&mut text, &["--namespace", SYSTEM, "logs", "--selector", selector, "--prefix", TAIL]);
    }
    show(&mut text, &["--namespace", SYSTEM, "get", "pods", "--output=wide"]);
    text
}

fn show(text: &mut String, args: &[&str]) {
    let said = match output(args, "", DEADLINE) {
        Ok(output) => output.stdout + &output.stderr,
        Err(error) => format!("{error:#}"),
    };
    // Writing to a string cannot fail.
    let _ = writeln!(text, "---- kubectl {}\n{}", args.join(" "), said.trim_end());
}
