//! One object from the API server, read as agents read it: what is wrong with it, and what it means.
//!
//! The webhook refuses by it, the status writer reports it.

use std::sync::Arc;

use kube::core::DynamicObject;

use crate::discovery::{
    Problem,
    api_server::PLACE,
    objects::Content,
    parse::{self, Origin, Settings},
};

/// What reading found out.
#[derive(Clone, Debug, Default)]
pub struct Judged {
    /// With any of these the object does not act.
    pub errors: Vec<Problem>,
    /// The object acts, but not in everything it says.
    pub warnings: Vec<Problem>,
    /// What it means; `None` when it is broken, or of a kind that weft does not act on.
    pub content: Option<Content>,
}

/// How objects of an API server are read.
pub fn settings(cluster_domain: &Arc<str>) -> Settings {
    Settings { cluster_domain: cluster_domain.clone(), origin: Origin::ApiServer, ..Settings::default() }
}

/// Reads an object of any kind of Istio's.
pub fn judge(object: &DynamicObject, settings: &Settings) -> Judged {
    let mut object = object.clone();
    // Long, and nobody's business here.
    object.metadata.managed_fields = None;
    if let (None, Some(prefix)) = (&object.metadata.name, &object.metadata.generate_name) {
        // The API server has not chosen the rest of the name yet.
        object.metadata.name = Some(format!("{prefix}x"));
    }
    let value = match serde_yaml_ng::to_value(&object) {
        Ok(value) => value,
        Err(error) => return Judged { errors: vec![unreadable(&error.to_string())], ..Judged::default() },
    };
    let read = parse::object(&PLACE.into(), value, settings);
    let mut judged = Judged {
        errors: read.errors.into_iter().map(|(_, problem)| problem).collect(),
        warnings: read.warnings,
        content: None,
    };
    for parsed in read.objects {
        judged.warnings.extend(parsed.warnings);
        judged.content = Some(parsed.content);
    }
    judged
}

/// A problem in one line, without the place: who reads it has just written the object.
pub fn line(problem: &Problem) -> String {
    let mut text = match &problem.field {
        // "field: is accepted ..." is no sentence; "field is accepted ..." is one.
        Some(field) if problem.message.starts_with("is ") => format!("{field} {}", problem.message),
        Some(field) => format!("{field}: {}", problem.message),
        None => problem.message.clone(),
    };
    if !problem.next_step.is_empty() {
        text.push_str("; ");
        text.push_str(&problem.next_step);
    }
    text
}

fn unreadable(why: &str) -> Problem {
    Problem {
        file: PLACE.into(),
        line: None,
        object: None,
        field: None,
        message: format!("the object cannot be read: {why}"),
        next_step: String::new(),
    }
}

#[cfg(test)]
mod tests;
