//! What an object's status says.
//!
//! | condition | `True` | `False` |
//! |---|---|---|
//! | `Accepted` | agents act on the object; the message says how they understood it | it is broken, and an agent that starts now does not act on it |
//! | `ResolvedRefs` | everything that it refers to is there | something is not; the reason says what sort |
//! | `Enforced` | all of it has an effect | some fields have none yet; the message names them |
//!
//! A broken object has the first only. `validationMessages` say the same with Istio's codes, which Kiali shows.

use serde_json::Value;

use super::summary::summary;
use crate::{
    control::{
        judgement::{self, Judged},
        references::{Missing, What},
    },
    discovery::objects::status::{Condition, IstioStatus, Level, MessageType, ValidationMessage},
};

/// The conditions that are weft's.
pub const ACCEPTED: &str = "Accepted";
/// See [`ACCEPTED`].
pub const RESOLVED_REFS: &str = "ResolvedRefs";
/// See [`ACCEPTED`].
pub const ENFORCED: &str = "Enforced";

/// Letters of a condition's message (Kubernetes' limit for its own conditions).
const MESSAGE_LENGTH_MAX: usize = 32_768;

/// Messages about one object.
const MESSAGES_MAX: usize = 32;

/// What is known about an object.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// What reading it said.
    pub judged: &'a Judged,
    /// What it refers to in vain.
    pub missing: &'a [Missing],
    /// The version of its specification that was read.
    pub generation: Option<i64>,
    /// The mesh's root namespace.
    pub root_namespace: &'a str,
}

/// The status, given what the object has so far: a condition that stays as it was keeps its time.
pub fn status(facts: &Facts<'_>, before: &IstioStatus, now: &str) -> IstioStatus {
    let generation = facts.generation.map(Value::from);
    let condition = |kind: &str, is_true: bool, reason: &str, message: String| {
        let status = if is_true { "True" } else { "False" };
        let earlier = before.conditions.iter().find(|one| one.kind == kind && one.status == status);
        Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: cut(message),
            observed_generation: generation.clone(),
            last_transition_time: earlier
                .and_then(|one| one.last_transition_time.clone())
                .or_else(|| Some(now.to_owned())),
            last_probe_time: None,
        }
    };
    let mut conditions = Vec::new();
    match &facts.judged.content {
        None => conditions.push(condition(ACCEPTED, false, "Invalid", lines(&facts.judged.errors))),
        Some(content) => {
            conditions.push(condition(ACCEPTED, true, "Accepted", summary(content, facts.root_namespace)));
            let (reason, message) = references(facts.missing);
            conditions.push(condition(RESOLVED_REFS, facts.missing.is_empty(), reason, message));
            let warnings = &facts.judged.warnings;
            conditions.push(match warnings.is_empty() {
                true => condition(ENFORCED, true, "Enforced", "all of it has an effect".to_owned()),
                false => condition(ENFORCED, false, "PartlyEnforced", lines(warnings)),
            });
        }
    }
    IstioStatus { conditions, validation_messages: messages(facts), observed_generation: generation }
}

/// Does what is wanted say something else than what is there? Conditions of others are theirs.
pub fn differs(present: &IstioStatus, wanted: &IstioStatus) -> bool {
    let ours = |status: &IstioStatus| -> Vec<Condition> {
        let ours =
            status.conditions.iter().filter(|one| [ACCEPTED, RESOLVED_REFS, ENFORCED].contains(&one.kind.as_str()));
        let mut ours: Vec<Condition> = ours.cloned().collect();
        ours.sort_by(|a, b| a.kind.cmp(&b.kind));
        ours
    };
    ours(present) != ours(wanted)
        || present.validation_messages != wanted.validation_messages
        || present.observed_generation != wanted.observed_generation
}

/// Reason and message of `ResolvedRefs`.
fn references(missing: &[Missing]) -> (&'static str, String) {
    let reason = match missing.iter().map(|one| one.what).min() {
        None => return ("ResolvedRefs", "everything it refers to is there".to_owned()),
        Some(What::Host) => "BackendNotFound",
        Some(What::Port) => "PortNotFound",
        Some(What::Subset) => "SubsetNotFound",
        Some(What::Workloads) => "NoMatchingWorkloads",
    };
    let lines: Vec<String> = missing.iter().map(|one| format!("{}: {}", one.field, one.message)).collect();
    (reason, lines.join("\n"))
}

fn lines(problems: &[crate::discovery::Problem]) -> String {
    problems.iter().map(judgement::line).collect::<Vec<_>>().join("\n")
}

fn cut(message: String) -> String {
    match message.char_indices().nth(MESSAGE_LENGTH_MAX) {
        Some((end, _)) => message[..end].to_owned(),
        None => message,
    }
}

/// The same with Istio's codes.
fn messages(facts: &Facts<'_>) -> Vec<ValidationMessage> {
    let errors = facts.judged.errors.iter().map(|one| message(&INVALID, judgement::line(one)));
    let missing = facts.missing.iter().map(|one| {
        let code = match one.what {
            What::Host | What::Port | What::Subset => &NOT_FOUND,
            What::Workloads => &NO_WORKLOADS,
        };
        message(code, format!("{}: {}", one.field, one.message))
    });
    let warnings = facts.judged.warnings.iter().map(|one| message(&DOUBTFUL, judgement::line(one)));
    errors.chain(missing).chain(warnings).take(MESSAGES_MAX).collect()
}

/// A code of Istio's analysis.
struct Code {
    code: &'static str,
    name: &'static str,
    level: Level,
}

const NOT_FOUND: Code = Code { code: "IST0101", name: "ReferencedResourceNotFound", level: Level::Error };
const INVALID: Code = Code { code: "IST0106", name: "SchemaValidationError", level: Level::Error };
const NO_WORKLOADS: Code = Code { code: "IST0127", name: "NoMatchingWorkloadsFound", level: Level::Warning };
const DOUBTFUL: Code = Code { code: "IST0133", name: "SchemaWarning", level: Level::Warning };

fn message(code: &Code, text: String) -> ValidationMessage {
    ValidationMessage {
        kind: MessageType { code: code.code.to_owned(), name: code.name.to_owned() },
        level: code.level,
        documentation_url: format!(
            "https://istio.io/docs/reference/config/analysis/{}/",
            code.code.to_ascii_lowercase()
        ),
        message: cut(text),
    }
}

#[cfg(test)]
mod tests;
