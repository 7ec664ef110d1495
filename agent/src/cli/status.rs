//! `weft status`: the whole mesh on one screen, or pod by pod.

mod cluster;
mod node;
mod pods;

use std::process::ExitCode;

pub(super) use cluster::problems;
pub(super) use node::{capture, expiry, problem, reasons, render};

use super::{
    ask,
    mesh::{Mesh, Where},
    output::{self, ListForm},
    pod::Namespace,
};
use crate::admin::status::Status;

/// Arguments of `weft status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 everything that was asked answered, 1 somebody did not, or nobody was there, 2 wrong \
    usage. Whether all is well is for `weft check` to say."
)]
pub struct Args {
    /// One pod: name, pod/name or namespace/name
    pub pod: Option<String>,
    /// The pods of all namespaces, one by one
    #[arg(short = 'A', long, conflicts_with_all = ["pod", "namespace"])]
    pub all_namespaces: bool,
    #[command(flatten)]
    namespace: Namespace,
    /// Form of the report
    #[arg(short, long, value_enum, default_value_t = ListForm::Table)]
    pub output: ListForm,
    #[command(flatten)]
    mesh: Where,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (text, complaints) = ask::block_on(async {
        let mesh = args.mesh.find().await?;
        let said = mesh.ask_all("/status").await.parsed::<Status>();
        let complaints = said.complaints();
        let statuses: Vec<Status> = said.answers.into_iter().map(|(_, status)| status).collect();
        let text = match selection(args, &mesh)? {
            Some(selection) => pods::report(&statuses, &selection, args.output)?,
            None => match &mesh.cluster {
                Some(of) => cluster::report(cluster::Overview::of(of, statuses).await?, args.output)?,
                None => machine(&statuses, args.output)?,
            },
        };
        Ok((text, complaints))
    })?;
    output::print(&text)?;
    for complaint in &complaints {
        eprintln!("weft: {complaint}");
    }
    Ok(if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The agents of this machine, one report after the other.
fn machine(statuses: &[Status], form: ListForm) -> anyhow::Result<String> {
    match form.data(&statuses)? {
        Some(data) => Ok(data),
        None => Ok(statuses.iter().map(render).collect::<Vec<_>>().join("\n")),
    }
}

/// Which pods are to be listed one by one; `None`: nobody asked for that.
fn selection(args: &Args, mesh: &Mesh) -> anyhow::Result<Option<pods::Selection>> {
    let namespace = args.namespace.namespace.as_deref();
    Ok(match (&args.pod, namespace) {
        (Some(pod), _) => Some(pods::Selection::Pod(mesh.pod(pod, namespace)?)),
        (None, Some(namespace)) => Some(pods::Selection::Namespace(namespace.to_owned())),
        (None, None) if args.all_namespaces => Some(pods::Selection::All),
        (None, None) => None,
    })
}
