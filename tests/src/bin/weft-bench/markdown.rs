//! The results as a page for people.

mod method;

use std::fmt::Write as _;

use crate::figure::Figure;
use crate::goals::GOALS;
use crate::results::{Cell, Results};
use crate::row::Row;
use crate::stage::Stage;
use crate::summary::{Spread, Summary};
use crate::system::Kind;

/// Beyond this share of the machine, others disturb what is measured.
const OTHERS_QUIET: f64 = 0.10;
/// Beyond this share, the machine's host disturbs.
const STOLEN_QUIET: f64 = 0.02;
/// Characters of a failure's reason that the page shows; the JSON has all of it.
const REASON_SHOWN: usize = 300;

/// The whole page; `chart` is the name of the picture beside it.
pub fn page(results: &Results, chart: &str) -> String {
    let summary = Summary::of(results);
    let mut page = String::from("# Benchmarks\n\n");
    head(&mut page, results);
    let _ = writeln!(page, "![The figures of the tables below as bars]({chart})\n");
    for (stage, title) in [
        (Stage::Base, "One client, one server"),
        (Stage::Pairs, "More pairs of pods"),
        (Stage::Memory, "Memory of fresh proxies"),
    ] {
        table(&mut page, &summary, title, &summary.rows(stage));
    }
    growth(&mut page, &summary);
    failures(&mut page, results);
    goals(&mut page, &summary);
    method::describe(&mut page, results);
    page
}

fn head(page: &mut String, results: &Results) {
    let machine = &results.machine;
    let _ = writeln!(
        page,
        "Measured {} by `cargo xtask bench` at commit `{}` on {}, {} CPUs, {:.0} GiB, Linux {}. Medians of {} repetitions of {} s each; \
         in brackets the ratio to direct of the same repetition (median, smallest-largest), or half the distance of the ends. Ratios \
         are what counts.\n",
        machine.date,
        machine.commit,
        machine.cpu,
        machine.cpus,
        machine.memory as f64 / (1u64 << 30) as f64,
        machine.kernel,
        results.repeat,
        results.seconds,
    );
    let spread = Spread::of(results.noise.iter().map(|noise| noise.others).collect());
    if let Some(spread) = spread.filter(|spread| spread.max > OTHERS_QUIET) {
        let busy = results.noise.iter().filter(|noise| noise.others > OTHERS_QUIET).count();
        let _ = writeln!(
            page,
            "**The machine was not quiet**: before {busy} of {} repetitions others used more than {:.0} % of its CPUs (median {:.0} %, \
             up to {:.0} %). Rates below are lower bounds of what it can do, ratios are noisy, and the machine's CPU includes the others'.\n",
            results.noise.len(),
            OTHERS_QUIET * 100.0,
            spread.median * 100.0,
            spread.max * 100.0,
        );
    }
    if let Some(stolen) = results.stolen.filter(|stolen| *stolen > STOLEN_QUIET) {
        let percent = stolen * 100.0;
        let _ =
            writeln!(page, "**The host was not quiet**: it gave {percent:.0} % of the CPUs' time to other machines.\n");
    }
}

/// A column for each system.
fn table(page: &mut String, summary: &Summary, title: &str, rows: &[Row]) {
    if rows.is_empty() {
        return;
    }
    let systems = summary.systems(rows);
    let names: Vec<String> = systems.iter().map(Kind::to_string).collect();
    let _ = writeln!(page, "## {title}\n\n| row | | {} |\n|---|---|{}", names.join(" | "), "---|".repeat(names.len()));
    for row in rows {
        let mut name = format!("`{}`", row.name());
        for figure in row.figures() {
            let cell = |system: &Kind| cell(summary, Cell { row: *row, figure: *figure, system: *system });
            let cells: Vec<String> = systems.iter().map(cell).collect();
            if cells.iter().any(|cell| cell != "-") {
                let _ = writeln!(page, "| {name} | {} | {} |", row.label(*figure), cells.join(" | "));
                name.clear();
            }
        }
    }
    page.push('\n');
}

fn cell(summary: &Summary, cell: Cell) -> String {
    let ratio = summary.ratio_to(cell, Kind::Direct).filter(|_| cell.figure.has_ratio() && cell.system != Kind::Direct);
    shown(summary, cell, ratio)
}

fn shown(summary: &Summary, cell: Cell, ratio: Option<Spread>) -> String {
    let Some(value) = summary.value(cell) else { return "-".to_owned() };
    let median = cell.figure.show(value.median);
    match ratio {
        Some(ratio) if ratio.min == ratio.max => format!("{median} ({})", two(ratio.median)),
        Some(ratio) => format!("{median} ({}; {}-{})", two(ratio.median), two(ratio.min), two(ratio.max)),
        None if value.min < value.max => format!("{median} (±{:.0} %)", value.percent_apart()),
        None => median,
    }
}

/// A column for each figure: the sizes are what is compared.
fn growth(page: &mut String, summary: &Summary) {
    let rows = summary.rows(Stage::Growth);
    let Some(figures) = rows.first().map(|row| row.figures()) else { return };
    let labels: Vec<&str> = figures.iter().map(|figure| rows[0].label(*figure)).collect();
    let _ = writeln!(
        page,
        "## Growing snapshots, weft L7\n\nIn brackets the ratio to the small snapshot in the same repetition.\n\n\
         | row | | {} |\n|---|---|{}",
        labels.join(" | "),
        "---|".repeat(labels.len())
    );
    for row in rows {
        let cells = figures.iter().map(|figure| {
            let cell = growth_cell(row, *figure);
            shown(summary, cell, ratio_to_small(summary, cell))
        });
        let cells: Vec<String> = cells.collect();
        let _ = writeln!(page, "| `{}` | {} | {} |", row.name(), row.about(), cells.join(" | "));
    }
    page.push('\n');
}

/// A cell of the growth table.
pub fn growth_cell(row: Row, figure: Figure) -> Cell {
    Cell { row, figure, system: Kind::WeftHttp }
}

/// As a multiple of the same figure with the small snapshot.
fn ratio_to_small(summary: &Summary, cell: Cell) -> Option<Spread> {
    summary.ratio(cell, Cell { row: Row::Snapshot10, ..cell }).filter(|_| cell.row != Row::Snapshot10)
}

/// `.40`, as ratios below one are read best.
fn two(ratio: f64) -> String {
    let text = format!("{ratio:.2}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

fn failures(page: &mut String, results: &Results) {
    if results.failures.is_empty() {
        return;
    }
    page.push_str("**Runs that failed** and count for nothing above:\n\n");
    for failure in &results.failures {
        let line = failure.reason.lines().next().unwrap_or_default();
        let reason: String = line.chars().take(REASON_SHOWN).collect();
        let (row, time) = (failure.row.name(), failure.repetition + 1);
        let _ = writeln!(page, "- `{row}` of {}, repetition {time}: {reason}", failure.system);
    }
    page.push('\n');
}

fn goals(page: &mut String, summary: &Summary) {
    let judged: Vec<_> = GOALS.iter().filter_map(|goal| Some((goal, goal.judge(summary)?))).collect();
    if judged.is_empty() {
        return;
    }
    let met = judged.iter().filter(|(_, verdict)| verdict.met).count();
    let _ = writeln!(
        page,
        "## Goals: {met} of {} met\n\n| row | | goal | measured | |\n|---|---|---|---|---|",
        judged.len()
    );
    for (goal, verdict) in &judged {
        let met = if verdict.met { "met" } else { "**missed**" };
        let Cell { row, figure, system } = goal.cell;
        let _ = writeln!(
            page,
            "| `{}` | {}, {system} | {} | {} | {met} |",
            row.name(),
            row.label(figure),
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

#[cfg(test)]
mod tests;
