//! The cluster: what an installation needs, and whether one that is there works.

mod mesh;
mod server;

use super::{Row, State};
use crate::{
    cli::{ApiServerArgs, mesh::Cluster},
    install,
};

/// All checks, the most basic first; those of an installation only when there is one.
///
/// # Errors
/// When nothing says where the cluster is, or it does not answer.
pub(super) async fn rows(args: &ApiServerArgs, pre: bool) -> anyhow::Result<Vec<Row>> {
    let cluster = Cluster::new(args).await?;
    let mut rows = vec![row(
        "API server",
        State::Missing,
        "",
        install::server_version(&cluster.client).await.map_err(|error| format!("{error:#}")),
        "correct the kubeconfig, or see why the server does not answer",
    )];
    if rows[0].state != State::Ok {
        return Ok(rows);
    }
    let is_installed = !pre && install::installed_image(&cluster.client).await?.is_some();
    rows.extend(server::rows(&cluster.client, is_installed).await?);
    if is_installed {
        rows.extend(mesh::rows(&cluster).await?);
    } else if !pre {
        rows.push(row("weft", State::Warn, "", Err("not installed".to_owned()), "weft install"));
    }
    Ok(rows)
}

fn row(
    what: &str,
    otherwise: State,
    purpose: &'static str,
    found: Result<String, String>,
    next_step: &'static str,
) -> Row {
    let (state, found) = match found {
        Ok(found) => (State::Ok, found),
        Err(found) => (otherwise, found),
    };
    Row { what: what.to_owned(), state, found, detail: String::new(), purpose, next_step }
}

/// Letters of the column FOUND, so that a line fits 100 columns.
const FOUND_MAX: usize = 40;

/// The first line is for the table, all of them for below it, when there are several.
fn first_and_all(lines: &[String], otherwise: &str) -> Result<String, (String, String)> {
    match lines {
        [] => Ok(otherwise.to_owned()),
        [one] => Err((one.clone(), String::new())),
        [first, ..] => Err((format!("{first} (and {} more)", lines.len() - 1), lines.join("\n"))),
    }
}

fn row_of(
    what: &str,
    otherwise: State,
    purpose: &'static str,
    found: Result<String, (String, String)>,
    next_step: &'static str,
) -> Row {
    let (found, detail) = match found {
        Ok(found) => (Ok(found), String::new()),
        // What does not fit into a column is said below the table.
        Err((first, all)) if first.chars().count() > FOUND_MAX => {
            let short: String = first.chars().take(FOUND_MAX - 3).collect();
            (Err(format!("{short}...")), if all.is_empty() { first } else { all })
        }
        Err((first, all)) => (Err(first), all),
    };
    Row { detail, ..row(what, otherwise, purpose, found, next_step) }
}

#[cfg(test)]
mod tests;
