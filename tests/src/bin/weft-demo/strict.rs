//! PeerAuthentication STRICT: a pod outside of the mesh is reset, the mesh goes on.

use anyhow::{Result, ensure};
use weft_testbed::{Failure, FailureKind};

use crate::canary::URL;
use crate::show::Show;
use crate::town::{OUTSIDE, Town, follows};

/// The policy, as published in `deploy/examples`.
const STRICT: &str = include_str!("../../../../deploy/examples/mtls/strict.yaml");
/// The name of the copy that the agents read.
pub const FILE: &str = "strict.yaml";

/// The step.
pub fn run(town: &Town, show: &mut Show) -> Result<String> {
    let url = "http://name.default:5000/";
    let before = town.stranger.get(url)?;
    ensure!(before.status == 200, "the stranger was to be let in before: status {}", before.status);
    show.fact("before", &format!("{OUTSIDE}/stranger, not enrolled, asks {url} in plaintext: {}", before.status));
    let written = town.put(FILE, STRICT)?;
    show.fact("written", "manifests/strict.yaml: PeerAuthentication, mode STRICT");
    let mut last = String::new();
    let followed = follows(written, "the stranger is reset", || {
        let result = town.stranger.get(url);
        last = result.as_ref().map_or_else(words, |answer| format!("status {}", answer.status));
        matches!(result, Err(failure) if failure.kind == FailureKind::Reset)
    });
    let inside = town.client.get(URL);
    town.remove(FILE)?;
    let took = followed.map_err(|error| error.context(format!("the stranger's last request: {last}")))?;
    show.promise(true, &format!("{} ms later the stranger's request is reset: {last}", took.as_millis()));
    let kept = matches!(&inside, Ok(answer) if answer.status == 200);
    let said =
        inside.map_or_else(|failure| failure.to_string(), |answer| format!("{} \"{}\"", answer.status, answer.text()));
    show.promise(kept, &format!("the client in the mesh is not: {said}"));
    Ok(format!("plaintext reset {} ms after the file was written; the mesh goes on", took.as_millis()))
}

/// How a request failed, without the time, which says nothing here.
fn words(failure: &Failure) -> String {
    failure.source.to_string()
}
