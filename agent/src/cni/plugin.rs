//! `weft-cni`: the chained CNI plugin, called by the container runtime on the node for each pod's sandbox.
//!
//! It follows the CNI specification (1.1, and back to 0.3): settings on standard input, the rest in the environment,
//! the result or an error as JSON on standard output. `ADD` asks the agent and lets the pod start when that says so; the
//! result of the plugins before is passed on as it came. What it does when no agent answers is in [`super::known`].
//!
//! | command | |
//! |---|---|
//! | `ADD` | holds the pod until its capture is proven; an error keeps it in `ContainerCreating`, with the reason in its events |
//! | `CHECK` | asks the agent whether the pod is still captured |
//! | `DEL` | tells the agent, never fails: a pod must be able to go |
//! | `STATUS` | always fine: a node that calls itself not ready would not start the agent's pod, either |
//! | `GC`, `VERSION` | nothing is kept here; what is understood |

mod ask;
mod call;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

use std::{
    fmt, io,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use call::{Call, Command, Settings};
use serde_json::{Value, json};

use super::{
    install::{copy, entry::Entry},
    known::{Known, is_always_free},
    message::{ANSWER, Answer, Request},
};

/// Name of the plugin's binary, and type of its entry in CNI configurations.
pub const NAME: &str = "weft-cni";

/// Versions of the specification whose results are understood: from 0.3.0 on, when plugins could be chained.
const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// How long an agent that does not listen is waited for, when the pod would be held without it: one that is being
/// replaced is back by then. The kubelet tries again later in any case.
const AGENT_AWAY: Duration = Duration::from_secs(5);

/// How long a call that cannot fail waits for the agent.
const NOTICE: Duration = Duration::from_secs(2);

/// Most that is read of standard input: a configuration with a result in it.
const INPUT_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Error codes of the specification (section "Error").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A variable of the environment is missing or wrong.
    Environment = 4,
    /// Standard input cannot be read.
    Io = 5,
    /// Standard input is not what it should be.
    Decode = 6,
    /// The entry in the network configuration cannot work.
    Config = 7,
    /// Not now: the runtime tries again.
    TryAgain = 11,
}

/// What the plugin answers when it does not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CniError {
    code: Code,
    message: String,
}

impl CniError {
    fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

/// Does a container runtime call this process: under the plugin's name, or with a command and nothing else?
pub fn is_called() -> bool {
    let mut words = std::env::args_os();
    let program = words.next().map(PathBuf::from);
    let is_named = program.as_deref().and_then(Path::file_name).is_some_and(|name| name == NAME);
    is_named || (words.next().is_none() && std::env::var_os("CNI_COMMAND").is_some())
}

/// Does what the environment and standard input ask for, and answers on standard output.
pub fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let mut input = Vec::new();
    let read = io::stdin().take(INPUT_BYTES_MAX).read_to_end(&mut input);
    let outcome = match read {
        Ok(_) => run(&variable, &input),
        Err(error) => Err(CniError::new(Code::Io, format!("cannot read standard input: {error}"))),
    };
    let (answer, code) = match outcome {
        Ok(answer) => (answer, ExitCode::SUCCESS),
        Err(error) => (Some(error_page(&error, &input)), ExitCode::FAILURE),
    };
    let written = answer.map_or(Ok(()), |answer| writeln!(io::stdout(), "{answer}"));
    if written.is_err() { ExitCode::FAILURE } else { code }
}

/// The answer, if the command has one.
fn run(variable: &dyn Fn(&str) -> Option<String>, input: &[u8]) -> Result<Option<Value>, CniError> {
    let command = Command::of(variable)?;
    match command {
        Command::Version => {
            let asked = Settings::version(input).unwrap_or_else(|| "1.0.0".to_owned());
            Ok(Some(json!({ "cniVersion": asked, "supportedVersions": VERSIONS })))
        }
        Command::Status | Command::Gc => Ok(None),
        Command::Del => {
            if let Err(error) = delete(variable, input) {
                eprintln!("{NAME}: {error}; the pod goes all the same");
            }
            Ok(None)
        }
        Command::Add => add(&Call::of(variable)?, &Settings::read(input)?).map(Some),
        Command::Check => check(&Call::of(variable)?, &Settings::read(input)?).map(|()| None),
    }
}

fn add(call: &Call, settings: &Settings) -> Result<Value, CniError> {
    let Some(result) = settings.result.clone() else {
        let problem = format!("{NAME} adds no interface: it has to stand behind the plugin that does, in a .conflist");
        return Err(CniError::new(Code::Config, problem));
    };
    ensure_current(&settings.entry)?;
    let Some(sandbox) = call.sandbox(settings) else {
        // Not the kubelet's: somebody runs a container of his own with the node's configuration.
        return Ok(result);
    };
    if is_always_free(&sandbox.namespace, &sandbox.name, &settings.entry.agent_namespace) {
        return Ok(result);
    }
    let pod = format!("{}/{}", sandbox.namespace, sandbox.name);
    let hold = reason_to_hold(settings, &sandbox.namespace);
    let patience = if hold.is_some() { AGENT_AWAY } else { Duration::ZERO };
    match (ask::ask(&settings.entry.socket, &Request::Add(sandbox), patience, ANSWER), hold) {
        (Ok(Answer::Pass { .. }), _) | (Err(_), None) => Ok(result),
        (Ok(Answer::Refuse { reason }), _) => Err(CniError::new(Code::TryAgain, reason)),
        (Err(error), Some(reason)) => Err(CniError::new(
            Code::TryAgain,
            format!(
                "weft's agent on this node is not running ({error}); pod {pod} is held until it is, because {reason}"
            ),
        )),
    }
}

/// The plugins before were called as a copy of the node's network configuration says. If that has changed since, the pod has
/// the network of before: the next attempt gets it from the new one.
fn ensure_current(entry: &Entry) -> Result<(), CniError> {
    let Some(folder) = &entry.copied_in else { return Ok(()) };
    match copy::refresh(folder, &Entry { copied_in: None, copy_of: None, ..entry.clone() }) {
        Ok(true) => {
            let problem =
                format!("the network configuration in {} has changed: once more, with the new one", folder.display());
            Err(CniError::new(Code::TryAgain, problem))
        }
        Ok(false) => Ok(()),
        Err(error) => {
            eprintln!("{NAME}: cannot look whether the network configuration has changed: {error}");
            Ok(())
        }
    }
}

/// Why a pod of that namespace may not start without an agent; `None` lets it.
fn reason_to_hold(settings: &Settings, namespace: &str) -> Option<String> {
    if namespace == settings.entry.agent_namespace {
        return None;
    }
    match Known::read(&settings.entry.state) {
        Ok(known) => known.hold(namespace).map(str::to_owned),
        Err(error) => Some(format!("which namespaces are in the mesh is not known: {error}")),
    }
}

fn check(call: &Call, settings: &Settings) -> Result<(), CniError> {
    let Some(sandbox) = call.sandbox(settings) else { return Ok(()) };
    if is_always_free(&sandbox.namespace, &sandbox.name, &settings.entry.agent_namespace) {
        return Ok(());
    }
    match ask::ask(&settings.entry.socket, &Request::Check(sandbox), Duration::ZERO, ANSWER) {
        Ok(Answer::Pass { .. }) => Ok(()),
        Ok(Answer::Refuse { reason }) => Err(CniError::new(Code::TryAgain, reason)),
        Err(error) => Err(CniError::new(Code::TryAgain, format!("weft's agent on this node is not running ({error})"))),
    }
}

fn delete(variable: &dyn Fn(&str) -> Option<String>, input: &[u8]) -> Result<(), CniError> {
    let (call, settings) = (Call::of(variable)?, Settings::read(input)?);
    let Some(sandbox) = call.sandbox(&settings) else { return Ok(()) };
    ask::ask(&settings.entry.socket, &Request::Delete(sandbox), Duration::ZERO, NOTICE)
        .map(|_answer| ())
        .map_err(|error| CniError::new(Code::TryAgain, format!("cannot tell weft's agent: {error}")))
}

/// An error as the specification has it, in the version that was asked for.
fn error_page(error: &CniError, input: &[u8]) -> Value {
    let version = Settings::version(input).unwrap_or_else(|| "1.0.0".to_owned());
    json!({ "cniVersion": version, "code": error.code as u32, "msg": error.message })
}

#[cfg(test)]
mod tests;
