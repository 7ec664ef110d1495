//! The binary: reads the command line, sets up the log, and says in one line what went wrong.

use std::{io, process::ExitCode};

use clap::Parser;
use weft::{
    cli::{self, Cli},
    cni::plugin,
    handover::keeper,
};

fn main() -> ExitCode {
    // Before anything else is set up: a keeper is to stay small.
    if keeper::process::is_asked_for() {
        return keeper::process::run();
    }
    if plugin::is_called() {
        return plugin::main();
    }
    let cli = Cli::parse();
    let result = cli.log.start(cli.command.is_agent()).and_then(|()| cli::run(cli.command));
    match result {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weft: {}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// `weft status | head` ends when head has seen enough: nothing went wrong.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The error with its causes. A cause that the text before already ends with says nothing new.
fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text.replace('\n', " ")
}
