//! AuthorizationPolicy: who may ask `name` for what, and the name of the policy that refused.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weft_testbed::Pod;

use crate::canary::URL;
use crate::keep;
use crate::show::Show;
use crate::town::{Town, follows};

/// The policies, as published in `deploy/examples`, under the names of the copies that the agents read.
const ALLOW: (&str, &str) =
    ("allow-sentences.yaml", include_str!("../../../../deploy/examples/authorization/allow-sentences.yaml"));
const DENY: (&str, &str) = ("deny-age.yaml", include_str!("../../../../deploy/examples/authorization/deny-age.yaml"));
/// The body of a refusal, Envoy's and Istio's.
const REFUSAL: &str = "RBAC: access denied";
/// How long a line may take to reach the access log.
const LOG: Duration = Duration::from_secs(3);
/// What is asked.
const NAME: &str = "http://name:5000/";

/// The step.
pub fn run(town: &Town, show: &mut Show) -> Result<String> {
    let age = town.pod("age")?;
    let shown = allowed(town, &age, show).and_then(|()| denied(town, &age, show));
    // Away with them whatever happened: the next step has nothing to do with them.
    for (file, _) in [ALLOW, DENY] {
        if town.manifests().join(file).exists() {
            town.remove(file)?;
        }
    }
    let policy = shown?;
    Ok(format!("age: 403 {REFUSAL}, by {policy}; sentences are made as before"))
}

/// With the ALLOW policy, everything else is refused.
fn allowed(town: &Town, age: &Pod, show: &mut Show) -> Result<()> {
    let before = age.get(NAME)?;
    show.fact("before", &format!("age asks {NAME}: {}", before.status));
    let written = town.put(ALLOW.0, ALLOW.1)?;
    show.fact("written", &format!("manifests/{}: `name` answers GET / of sentences only", ALLOW.0));
    let took = follows(written, "age is refused", || age.get(NAME).is_ok_and(|answer| answer.status == 403))?;
    let refused = age.get(NAME)?;
    let text = refused.text();
    show.promise(
        refused.status == 403 && text == REFUSAL,
        &format!("{} ms later age gets {} \"{text}\"", took.as_millis(), refused.status),
    );
    let choices = town.pod("sentences")?.get("http://name:5000/choices")?;
    show.promise(choices.status == 403, &format!("sentences, asking for /choices: {}", choices.status));
    let sentence = town.client.get(URL)?;
    let whole = sentence.status == 200 && sentence.text().contains(" is ") && !sentence.text().contains(REFUSAL);
    show.promise(whole, &format!("sentences, asking for /: \"{}\"", sentence.text()));
    let none = refusal_in_log(town)?;
    show.fact("access log of name", "has, as the detail of the refusal,");
    show.line(&format!("     {none}"));
    show.promise(none.ends_with("[none]"), "`none`: there are ALLOW policies, and none of them matched");
    Ok(())
}

/// A DENY policy is named. Returns the name.
fn denied(town: &Town, age: &Pod, show: &mut Show) -> Result<String> {
    let written = town.put(DENY.0, DENY.1)?;
    show.fact("written", &format!("manifests/{}: `name` refuses age, whatever else is allowed", DENY.0));
    let mut detail = String::new();
    let named = follows(written, "the DENY policy is named", || {
        let found = age.get(NAME).map_err(anyhow::Error::from).and_then(|_refused| refusal_in_log(town));
        detail = found.unwrap_or_else(|error| format!("{error:#}"));
        detail.contains("policy[name-not-for-age]")
    });
    show.fact("access log of name", "has, as the detail of the refusal,");
    show.line(&format!("     {detail}"));
    show.promise(named.is_ok(), "the refusal carries the name of the policy");
    let from = format!("{}/{}", age.namespace(), age.name());
    let explained = keep::weft(town, &["explain", "--from", &from, "--to", NAME])?;
    show.fact("weft explain", &format!("--from {from} --to {NAME}"));
    explained.lines().for_each(|line| show.line(&show.paint(&format!("   {line}"), "2")));
    show.promise(explained.contains("name-not-for-age"), "it says the same without sending anything");
    let policy = detail.split_once("policy[ns").and_then(|(_, rest)| rest.split("policy[").nth(1)).unwrap_or(&detail);
    Ok(policy.split(']').next().unwrap_or(policy).to_owned())
}

/// The response code detail of the last refusal in the access log of `name`: what Envoy and Istio write there.
fn refusal_in_log(town: &Town) -> Result<String> {
    let deadline = Instant::now() + LOG;
    let pods = [town.pod("name-v1")?, town.pod("name-v2")?];
    loop {
        for pod in &pods {
            let log = town.cluster.agent(pod.node())?.log();
            let own = format!("{}/{} ", pod.namespace(), pod.name());
            let mut lines = log.lines().rev().filter(|line| line.starts_with(&own));
            let detail =
                lines.find_map(|line| line.split_whitespace().find(|word| word.starts_with("rbac_access_denied")));
            if let Some(detail) = detail {
                return Ok(detail.to_owned());
            }
        }
        ensure!(Instant::now() < deadline, "the access log of `name` tells of no refusal");
        std::thread::sleep(Duration::from_millis(20));
    }
}
