//! kubectl itself: the program that `WEFT_KUBECTL` names, or the one on `PATH`, against the cluster that `KUBECONFIG` names.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::command::{self, Output};

/// How long one kubectl may take unless it waits for something.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs kubectl for the whole cluster and returns what it printed; anything but success is an error with what it said.
pub fn kubectl(args: &[&str]) -> Result<String> {
    output(args, "", DEADLINE)?.success(&shown(args))
}

/// Like [`kubectl`], but the text is its standard input.
pub(crate) fn kubectl_with(args: &[&str], stdin: &str) -> Result<String> {
    output(args, stdin, DEADLINE)?.success(&shown(args))
}

/// What kubectl prints with `--output=json`.
pub fn object(args: &[&str]) -> Result<Value> {
    let args = [args, &["--output=json"]].concat();
    let text = kubectl(&args)?;
    serde_json::from_str(&text).with_context(|| format!("{} prints no JSON", shown(&args)))
}

/// Runs kubectl, whatever comes of it.
pub(crate) fn output(args: &[&str], stdin: &str, deadline: Duration) -> Result<Output> {
    command::run(&program(), args, stdin, deadline)
}

/// The program.
pub(crate) fn program() -> OsString {
    env::var_os("WEFT_KUBECTL").unwrap_or_else(|| OsString::from("kubectl"))
}

fn shown(args: &[&str]) -> String {
    format!("`kubectl {}`", args.join(" "))
}
