//! The results as a page for people.

use std::fmt::Write as _;

use crate::goals::GOALS;
use crate::metric::{self, Metric};
use crate::results::Results;
use crate::summary::{Spread, Summary};
use crate::system::Kind;

/// Beyond this share of the machine, others disturb what is measured.
const OTHERS_QUIET: f64 = 0.10;

/// The whole page.
pub fn page(results: &Results, summary: &Summary) -> String {
    let mut page = String::from("# Benchmarks\n\n");
    head(&mut page, results);
    table(&mut page, summary);
    failures(&mut page, results);
    goals(&mut page, summary);
    method(&mut page, results, summary);
    page
}

fn head(page: &mut String, results: &Results) {
    let machine = &results.machine;
    let _ = writeln!(
        page,
        "Measured {} by `cargo xtask bench` at commit `{}` on {}, {} CPUs, {:.0} GiB, Linux {}. Medians of {} repetitions of {} s each; \
         in brackets the ratio to direct of the same repetition (median, smallest-largest). Ratios are what counts.\n",
        machine.date,
        machine.commit,
        machine.cpu,
        machine.cpus,
        machine.memory as f64 / (1u64 << 30) as f64,
        machine.kernel,
        results.repeat,
        results.seconds,
    );
    let busiest = results.others.iter().copied().fold(0.0, f64::max);
    if busiest > OTHERS_QUIET {
        let shares: Vec<String> = results.others.iter().map(|share| format!("{:.0} %", share * 100.0)).collect();
        let _ = writeln!(
            page,
            "**The machine was not quiet**: others used {} of its CPUs just before the repetitions. Rates below are lower \
             bounds of what it can do, ratios are noisy, and the machine's CPU includes the others'.\n",
            shares.join(", ")
        );
    }
}

fn table(page: &mut String, summary: &Summary) {
    let names: Vec<String> = summary.systems.iter().map(Kind::to_string).collect();
    let _ = writeln!(page, "| | {} |\n|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for metric in metric::ALL {
        let cells: Vec<String> = summary.systems.iter().map(|system| cell(summary, metric, *system)).collect();
        if cells.iter().any(|cell| cell != "-") {
            let _ = writeln!(page, "| {} | {} |", metric.name(), cells.join(" | "));
        }
    }
    page.push('\n');
}

fn cell(summary: &Summary, metric: Metric, system: Kind) -> String {
    let Some(value) = summary.value(metric, system) else { return "-".to_owned() };
    let median = metric.show(value.median);
    let ratio = summary.ratio(metric, system, Kind::Direct).filter(|_| metric.has_ratio());
    match ratio {
        Some(ratio) if system != Kind::Direct => {
            format!("{median} ({}; {}-{})", two(ratio.median), two(ratio.min), two(ratio.max))
        }
        _ if value.min < value.max => format!("{median} (±{:.0} %)", apart(value)),
        _ => median,
    }
}

/// `.40`, as ratios below one are read best.
fn two(ratio: f64) -> String {
    let text = format!("{ratio:.2}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

/// Half the distance of the ends, in percent of the middle.
fn apart(spread: Spread) -> f64 {
    (spread.max - spread.min) / 2.0 / spread.median * 100.0
}

/// A failure is told in one line; the whole of it was on the terminal.
fn failures(page: &mut String, results: &Results) {
    if results.failures.is_empty() {
        return;
    }
    page.push_str("**Runs that failed** and count for nothing above:\n\n");
    for failure in &results.failures {
        let _ = writeln!(page, "- {}", failure.lines().next().unwrap_or_default());
    }
    page.push('\n');
}

fn goals(page: &mut String, summary: &Summary) {
    let judged: Vec<_> = GOALS.iter().filter_map(|goal| Some((goal, goal.judge(summary)?))).collect();
    if judged.is_empty() {
        return;
    }
    let missed = judged.iter().filter(|(_, verdict)| !verdict.met).count();
    let _ = writeln!(
        page,
        "## Goals: {} of {} met\n\n| | goal | measured | |\n|---|---|---|---|",
        judged.len() - missed,
        judged.len()
    );
    for (goal, verdict) in &judged {
        let met = if verdict.met { "met" } else { "**missed**" };
        let _ = writeln!(
            page,
            "| {}, {} | {} | {} | {met} |",
            goal.metric.name(),
            goal.kind,
            verdict.wanted,
            verdict.measured
        );
    }
    let not_measured = GOALS.len() - judged.len();
    if not_measured > 0 {
        let _ = writeln!(
            page,
            "\n{not_measured} goals were not measured: their rows or their peer were not part of this run."
        );
    }
    page.push('\n');
}

fn method(page: &mut String, results: &Results, summary: &Summary) {
    let log = if results.access_log { "on" } else { "off" };
    let _ = writeln!(
        page,
        "## How it is measured\n\n\
         Two emulated nodes (network namespaces joined by veth pairs and a bridge) on one machine; a client pod on node a, nginx with a 1 KiB \
         file on node b, all ways in one cluster and interleaved: each row runs every column before the next row begins, and each \
         repetition begins with another column. Load generators, nginx and proxies share the CPUs, so requests per second say what is left \
         for them. Direct and weft dial the Service by name (direct through kube-proxy's rules, as a pod without a mesh does).\n\n\
         - Rates: `wrk -t1 -cN`. Latency: `oha -q 2000 -c 32 --latency-correction`. New connections: `oha --disable-keepalive -c 16`. Bulk: `iperf3 -P 1`.\n\
         - Proxy CPU is user and system time of the proxy processes of both sides. What the kernel does in interrupts is not charged to them: \
         the machine's CPU beside it has everything, load generator and nginx included.\n\
         - weft L7 is a port declared HTTP (routing, policy, telemetry per request), weft L4 the same nginx on a port declared TCP. One agent per \
         node does both, so both columns show the same idle memory.\n\
         - Before anything counts, each way is proved: the answer is nginx's, readable on the wire between the pods only for direct, and read by an \
         HTTP proxy only for the L7 columns.\n\
         - Access logs of proxies are {log}."
    );
    if summary.systems.iter().any(|system| matches!(system, Kind::EnvoyHttp | Kind::EnvoyTcp)) {
        let _ = writeln!(
            page,
            "- Envoy runs in the pods' network namespaces with two workers each, a process pair per column, TLS 1.3 with client certificates. \
             Clients dial its listener on 127.0.0.1 instead of being captured, and its endpoints are fixed: a real sidecar also pays for iptables, \
             for a discovery client and for Istio's own filters, which this comparison leaves out in Envoy's favour."
        );
    }
}
