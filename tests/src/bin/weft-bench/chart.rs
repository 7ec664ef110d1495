//! The results as a picture: what each system keeps of direct, and what it costs, weft and Envoy side by side.

mod canvas;

use self::canvas::{Bar, Canvas, Group};
use crate::figure::Figure;
use crate::goals::{Bound, GOALS};
use crate::markdown::growth_cell;
use crate::results::{Cell, Results};
use crate::row::Row;
use crate::stage::Stage;
use crate::summary::{Spread, Summary};
use crate::system::Kind;

/// Order of the bars of a group: the same layer side by side.
const SYSTEMS: [Kind; 5] = [Kind::Direct, Kind::WeftHttp, Kind::EnvoyHttp, Kind::WeftTcp, Kind::EnvoyTcp];

/// What a group shows and what it is called.
type Shown = (Row, Figure, &'static str);

/// Costs in absolute figures, less is better: a title, and what stands below it.
const COSTS: [(&str, &[Shown]); 3] = [
    (
        "Latency at 2,000 requests/s",
        &[(Row::Latency, Figure::P50, "median"), (Row::Latency, Figure::P99, "99th percentile")],
    ),
    (
        "CPU time of the proxies of both sides",
        &[
            (Row::Rps32, Figure::ProxyCpu, "per request, 32 connections"),
            (Row::Pairs64, Figure::ProxyCpu, "per request, 64 pairs of pods"),
            (Row::NewConnections, Figure::ProxyCpu, "per new connection"),
            (Row::Bulk, Figure::ProxyCpuPerGb, "per GB"),
        ],
    ),
    (
        "Resident memory of the proxies of both sides",
        &[
            (Row::Idle, Figure::Rss, "idle"),
            (Row::Loaded, Figure::Rss, "128 busy connections"),
            (Row::HeldConnections, Figure::IdlePair, "for each of 2,000 connections, idle"),
            (Row::HeldConnections, Figure::ActivePair, "for each of 2,000 connections, busy"),
        ],
    ),
];

/// Draws everything that was measured.
pub fn draw(results: &Results) -> String {
    let summary = Summary::of(results);
    let mut canvas = Canvas::new();
    let measured = summary.systems(&results.rows);
    let systems = SYSTEMS.into_iter().filter(|system| measured.contains(system));
    canvas.legend(&systems.map(|system| (class(system), system.to_string())).collect::<Vec<_>>());
    let shares = shares(results, &summary);
    if !shares.is_empty() {
        canvas.title("Share of direct", "more is better");
        canvas.shares(&shares, "direct");
    }
    for (title, cells) in COSTS {
        let groups: Vec<Group> = cells.iter().filter_map(|shown| cost(&summary, *shown)).collect();
        if !groups.is_empty() {
            canvas.title(title, "less is better");
            canvas.groups(&groups);
        }
    }
    growth(&summary, &mut canvas);
    let machine = &results.machine;
    canvas.finish(
        &format!("What weft costs, commit {}", machine.commit),
        &format!(
            "{}; {}, {} CPUs, Linux {}; medians of {} repetitions of {} s",
            machine.date, machine.cpu, machine.cpus, machine.kernel, results.repeat, results.seconds
        ),
    )
}

/// A group for each row of which there may be more or less than direct has.
fn shares(results: &Results, summary: &Summary) -> Vec<Group> {
    let rows = results.rows.iter().filter(|row| row.stage() != Stage::Growth);
    let cells = rows.flat_map(|row| row.figures().iter().map(move |figure| (*row, *figure)));
    let groups = cells.filter(|(_, figure)| figure.more_is_better()).map(|(row, figure)| {
        let bars = SYSTEMS.into_iter().filter(|system| *system != Kind::Direct).filter_map(|system| {
            let cell = Cell { row, figure, system };
            let share = summary.ratio_to(cell, Kind::Direct)?;
            let value = summary.value(cell)?;
            let text = format!("{:.2} = {}{}", share.median, figure.show(value.median), per_second(figure));
            let goal = goal(cell).and_then(|bound| match bound {
                Bound::DirectAtLeast(share) => Some(share),
                _ => None,
            });
            Some(bar(class(system), share, text, goal))
        });
        let name = if row == Row::Bulk { "bytes/s, one stream" } else { row.label(figure) };
        Group { name: name.to_owned(), bars: bars.collect() }
    });
    groups.filter(|group| !group.bars.is_empty()).collect()
}

fn cost(summary: &Summary, (row, figure, name): Shown) -> Option<Group> {
    let bars = SYSTEMS.into_iter().filter_map(|system| {
        let cell = Cell { row, figure, system };
        let value = summary.value(cell)?;
        let goal = goal(cell).and_then(|bound| match bound {
            Bound::AtMost(value) => Some(value),
            Bound::DirectAtMost(times) => Some(times * summary.value(Cell { system: Kind::Direct, ..cell })?.median),
            Bound::EnvoyAtMost(times) => Some(times * summary.value(Cell { system: Kind::EnvoyTcp, ..cell })?.median),
            _ => None,
        });
        Some(bar(class(system), value, figure.show(value.median), goal))
    });
    let bars: Vec<Bar> = bars.collect();
    if bars.is_empty() { None } else { Some(Group { name: name.to_owned(), bars }) }
}

/// A group for each figure, a bar for each size.
fn growth(summary: &Summary, canvas: &mut Canvas) {
    let rows = summary.rows(Stage::Growth);
    let Some(first) = rows.first() else { return };
    let groups = first.figures().iter().flat_map(|figure| {
        let group = |row: &Row| {
            let value = summary.value(growth_cell(*row, *figure))?;
            let text = format!("{}{}", figure.show(value.median), per_second(*figure));
            let name = format!("{}, {}", row.label(*figure), row.name());
            Some(Group { name, bars: vec![bar(class(Kind::WeftHttp), value, text, None)] })
        };
        rows.iter().filter_map(group).collect::<Vec<_>>()
    });
    canvas.title("Growing snapshots, weft L7", "each figure must not grow, or fall, with the cluster");
    canvas.same_scale_by(&groups.collect::<Vec<_>>(), rows.len());
}

fn bar(class: &'static str, spread: Spread, text: String, goal: Option<f64>) -> Bar {
    Bar { class, value: spread.median, low: spread.min, high: spread.max, text, goal }
}

fn goal(cell: Cell) -> Option<Bound> {
    GOALS.iter().find(|goal| goal.cell == cell).map(|goal| goal.bound)
}

fn per_second(figure: Figure) -> &'static str {
    if figure == Figure::Rate { "/s" } else { "" }
}

/// A class of the canvas' style sheet.
fn class(system: Kind) -> &'static str {
    match system {
        Kind::Direct => "direct",
        Kind::WeftHttp => "weft-http",
        Kind::WeftTcp => "weft-tcp",
        Kind::EnvoyHttp => "envoy-http",
        Kind::EnvoyTcp => "envoy-tcp",
    }
}

#[cfg(test)]
mod tests;
