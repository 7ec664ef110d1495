//! Objects of Istio's kinds: refused when agents would refuse them, with the same words.
//!
//! What is accepted and has no effect, and what an object refers to in vain, comes back as warnings, which `kubectl`
//! prints.

use kube::core::{
    DynamicObject,
    admission::{AdmissionRequest, AdmissionResponse, Operation},
};
use weft_model::snapshot::Snapshot;

use crate::{
    control::{
        judgement::{self, Judged, judge},
        references::{Missing, References},
    },
    discovery::objects::Content,
};

/// Warnings that are sent; the API server cuts off what is longer than 4096 bytes in all.
const WARNINGS_MAX: usize = 16;

/// The answer for one object in one world.
pub fn validate(request: &AdmissionRequest<DynamicObject>, snapshot: &Snapshot) -> AdmissionResponse {
    let question = Question::new(request, snapshot);
    let missing = question.missing(snapshot);
    question.answer(&missing)
}

/// One object about to be stored.
pub struct Question<'a> {
    request: &'a AdmissionRequest<DynamicObject>,
    /// `None` when there is nothing to say about the object.
    judged: Option<Judged>,
}

impl<'a> Question<'a> {
    /// Reads the object, with the mesh's settings.
    pub fn new(request: &'a AdmissionRequest<DynamicObject>, snapshot: &Snapshot) -> Self {
        let settings = judgement::settings(&snapshot.mesh.cluster_domain);
        let object = request.object.as_ref().filter(|object| !is_settled(request, object));
        Self { request, judged: object.map(|object| judge(object, &settings)) }
    }

    /// What makes requests fail because it is not there (yet): what a VirtualService routes to. Other kinds may come
    /// before what they are about.
    pub fn missing(&self, snapshot: &Snapshot) -> Vec<Missing> {
        match self.judged.as_ref().and_then(|judged| judged.content.as_ref()) {
            Some(rule @ Content::VirtualService(_)) => References::new(snapshot).missing(rule),
            _ => Vec::new(),
        }
    }

    /// The answer, given what is missing.
    pub fn answer(&self, missing: &[Missing]) -> AdmissionResponse {
        let mut response = AdmissionResponse::from(self.request);
        let Some(judged) = &self.judged else { return response };
        let missing = missing.iter().map(|one| format!("{}: {}", one.field, one.message));
        let warnings = limited(judged.warnings.iter().map(judgement::line).chain(missing).collect());
        response.warnings = (!warnings.is_empty()).then_some(warnings);
        let errors: Vec<String> = judged.errors.iter().map(judgement::line).collect();
        match &errors[..] {
            [] => response,
            [error] => response.deny(error),
            errors => response.deny(format!("{} mistakes:\n- {}", errors.len(), errors.join("\n- "))),
        }
    }
}

/// Is it an object on its way out, or one that says what it said before? Refusing a change of its labels or finalizers
/// would only keep it from being deleted or corrected.
fn is_settled(request: &AdmissionRequest<DynamicObject>, object: &DynamicObject) -> bool {
    if object.metadata.deletion_timestamp.is_some() {
        return true;
    }
    let before = request.old_object.as_ref().filter(|_| request.operation == Operation::Update);
    before.is_some_and(|before| before.data.get("spec") == object.data.get("spec"))
}

/// At most so many, with a word about the rest.
fn limited(mut warnings: Vec<String>) -> Vec<String> {
    if warnings.len() > WARNINGS_MAX {
        let rest = warnings.len() - (WARNINGS_MAX - 1);
        warnings.truncate(WARNINGS_MAX - 1);
        warnings.push(format!("and {rest} more; weft check --manifests prints all of them"));
    }
    warnings
}

#[cfg(test)]
mod tests;
