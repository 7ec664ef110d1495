//! The demo application of weft: the `sentences` services of the exercises and four helpers around them.
//!
//! Owns the command line and the single-threaded runtime; everything else lives in one module per subcommand
//! ([`sentences`], [`httpbin`], [`echo`], [`grpc_health`], [`get`]) and in the plumbing they share ([`serve`], [`client`], [`wire`],
//! [`tls`], [`log`]). Every server leaves at once, with exit code 0, on SIGTERM: it often runs as PID 1 of a
//! container, where a signal without a handler is ignored.

mod client;
mod echo;
mod get;
mod grpc_health;
mod http10;
mod httpbin;
mod log;
mod sentences;
mod serve;
mod tls;
mod wire;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Exit code for input we cannot work with, the code clap uses for bad arguments too.
const EXIT_UNUSABLE: u8 = 2;

/// The sentences application of the service mesh exercises, and the helpers around it.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// One service of the sentences application; SENTENCE_MODE and the other SENTENCE_* variables choose what it does.
    Sentences,
    /// The paths of httpbin that the exercises use, plus /stream-bytes/n and /upload.
    HttpbinLite(httpbin::Args),
    /// Answer with what was received: HTTP requests as JSON, or (--tcp) the very bytes.
    Echo(echo::Args),
    /// A gRPC server that knows one thing: it is healthy.
    GrpcHealth(grpc_health::Args),
    /// Ask a URL once or in a loop, print each body, and at the end how often each answer came.
    Get(get::Args),
}

fn main() -> ExitCode {
    match start(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            // One line with all causes: whoever runs this in a pod reads it in the log, where a backtrace only hides it.
            log::line(format_args!("error: {error:#}"));
            ExitCode::from(EXIT_UNUSABLE)
        }
    }
}

fn start(command: Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(run(command))
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    if !matches!(command, Command::Get(_)) {
        exit_on_sigterm()?;
    }
    match command {
        Command::Sentences => sentences::run().await?,
        Command::HttpbinLite(args) => httpbin::run(args).await?,
        Command::Echo(args) => echo::run(args).await?,
        Command::GrpcHealth(args) => grpc_health::run(args).await?,
        Command::Get(args) => return get::run(args).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the process with code 0 as soon as SIGTERM arrives, open requests or not.
fn exit_on_sigterm() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot install the SIGTERM handler")?;
    tokio::spawn(async move {
        terminate.recv().await;
        std::process::exit(0);
    });
    Ok(())
}
