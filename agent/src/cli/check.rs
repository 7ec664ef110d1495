//! `weft check`: can weft run on the cluster, and is all well with it? Or: what this machine offers, or what is wrong with
//! a directory of manifests.

mod cluster;

use std::{path::PathBuf, process::ExitCode};

use super::{ApiServerArgs, ask, output, status, table::Table};
use crate::{
    admin::status::problems,
    discovery,
    ebpf::machine::{self, Row, State},
};

/// Arguments of `weft check`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Without --machine and --manifests the cluster is checked, when there is a kubeconfig, else the \
    machine.\nExit codes: 0 nothing that is needed is missing, 1 something is, 2 wrong usage."
)]
pub struct Args {
    /// Check this directory of manifests
    #[arg(long, value_name = "DIR")]
    pub manifests: Option<PathBuf>,
    /// Check this machine: its kernel and what it allows
    #[arg(long, conflicts_with = "manifests")]
    pub machine: bool,
    /// Check the cluster only for what an installation needs
    #[arg(long, conflicts_with_all = ["manifests", "machine"])]
    pub pre: bool,
    #[command(flatten)]
    cluster: ApiServerArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (text, is_fine) = match &args.manifests {
        Some(directory) => manifests(&discovery::check_dir(directory)),
        None if args.machine || !(args.pre || args.cluster.is_known()) => render(&machine::rows()),
        None => render(&ask::block_on(cluster::rows(&args.cluster, args.pre))?),
    };
    output::print(&text)?;
    Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The report, and whether nothing needed is missing.
pub(super) fn render(rows: &[Row]) -> (String, bool) {
    let mut table = Table::new(&["STATE", "WHAT", "FOUND", "FOR"]);
    for row in rows {
        let state = match row.state {
            State::Ok => "OK",
            State::Warn => "WARN",
            State::Missing => "MISSING",
        };
        table.add(vec![state.to_owned(), row.what.clone(), row.found.clone(), row.purpose.to_owned()]);
    }
    let mut text = table.render();
    let wanting: Vec<&Row> = rows.iter().filter(|row| row.state != State::Ok && !row.next_step.is_empty()).collect();
    if !wanting.is_empty() {
        text.push_str("\nNEXT STEPS\n");
        for row in wanting {
            text.push_str(&format!("{}: {}\n", row.what, row.next_step));
            for line in row.detail.lines() {
                text.push_str(&format!("    {line}\n"));
            }
        }
    }
    (text, rows.iter().all(|row| row.state != State::Missing))
}

/// The report on a directory, and whether every object acts as written.
pub(super) fn manifests(report: &discovery::Report) -> (String, bool) {
    let mut text = String::new();
    for problem in problems(&report.errors, &report.warnings) {
        text.push_str(&status::problem(&problem));
        text.push('\n');
    }
    for note in &report.notes {
        text.push_str(&format!("note: {note}\n"));
    }
    let (errors, warnings) = (report.errors.len(), report.warnings.len());
    text.push_str(&format!("{} objects in force, {errors} errors, {warnings} warnings\n", report.objects));
    (text, report.errors.is_empty())
}
