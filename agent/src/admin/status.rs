//! `/status`: the pods of this node and what is wrong, as one JSON document. `cli` prints it as a table.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};
use weft_model::{
    identity::SpiffeId,
    workload::{Enrolment, Workload},
};

use super::Admin;
use crate::{
    discovery::Problem as Found,
    ebpf::manager::{CaptureState, KeeperState, States},
    identity::CertificateStatus,
};

/// State of one node's agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The node.
    pub node: String,
    /// The agent's version.
    pub version: String,
    /// Seconds since the agent started.
    pub up_seconds: f64,
    /// Is everything in place?
    pub ready: bool,
    /// What is not, a line each.
    pub missing: Vec<String>,
    /// `trustDomain`.
    pub trust_domain: String,
    /// The world in force.
    pub snapshot: SnapshotStatus,
    /// Whether the agent's death would cost connections.
    #[serde(default)]
    pub keeper: Keeper,
    /// Pods of this node.
    pub pods: Vec<PodStatus>,
    /// What is wrong with the configuration.
    pub problems: Vec<Problem>,
}

/// The process that holds the pods' listeners when the agent dies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Keeper {
    /// None is wanted, or the agent is of a version that has none.
    #[default]
    Off,
    /// It holds all listeners.
    Holding,
    /// There is none: while no agent runs, connections are refused.
    Absent {
        /// Why.
        reason: String,
    },
}

/// The world in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotStatus {
    /// Counts up with each change; 0: nothing was read yet.
    pub version: u64,
    /// Seconds since the sources were last read without failure.
    pub read_seconds_ago: Option<f64>,
    /// Objects in force.
    pub objects: usize,
}

/// One pod of this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodStatus {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Does weft handle its traffic?
    pub enrolled: bool,
    /// Why not.
    pub not_enrolled_because: Option<String>,
    /// State of its capture; `None` when it is not enrolled or was not looked at yet.
    pub capture: Option<Capture>,
    /// SPIFFE ID of its service account.
    pub identity: String,
    /// Its certificate; `None` when none was asked for.
    pub certificate: Option<Certificate>,
}

/// State of a pod's capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Capture {
    /// A connection from inside the pod came out at the agent.
    Proven {
        /// Seconds since.
        seconds_ago: f64,
    },
    /// Captured, but the probe did not come through.
    Unproven {
        /// Why not.
        reason: String,
    },
    /// Not captured, because it is nowhere to be found.
    Pending {
        /// What is awaited.
        reason: String,
    },
    /// Not captured although it should be.
    Failed {
        /// Why, with the next step.
        reason: String,
    },
}

/// A pod's certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Seconds until it ends, negative when it has; `None` when there is none.
    pub expires_in_seconds: Option<f64>,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Why the last one failed.
    pub last_error: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The object does not act as written.
    Error,
    /// It acts, but not in everything it says.
    Warning,
}

/// One thing to correct.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// File name.
    pub file: String,
    /// Line, counted from 1.
    pub line: Option<usize>,
    /// `Kind namespace/name`.
    pub object: Option<String>,
    /// Path of the field.
    pub field: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do next; empty when nothing.
    pub next_step: String,
}

impl Admin {
    /// State of this node's agent.
    pub fn status(&self, is_ending: bool) -> Status {
        let missing = self.missing(is_ending);
        let snapshot = self.snapshot.borrow().clone();
        let report = self.report.borrow().clone();
        let states = self.states.borrow().clone();
        let certificates = self.identities.status().into_iter().map(|status| (status.id.clone(), status)).collect();
        let here = snapshot.workloads.values().filter(|workload| workload.node == self.node);
        Status {
            node: self.node.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            up_seconds: self.started.elapsed().as_secs_f64(),
            ready: missing.is_empty(),
            missing,
            trust_domain: snapshot.mesh.trust_domain.to_string(),
            snapshot: SnapshotStatus {
                version: snapshot.version,
                read_seconds_ago: report.age().map(|age| age.as_secs_f64()),
                objects: report.objects,
            },
            keeper: keeper(&self.keeper.borrow()),
            pods: here.map(|workload| pod(workload, &states, &certificates)).collect(),
            problems: problems(&report.errors, &report.warnings),
        }
    }
}

impl Admin {
    /// State of one pod.
    pub(super) fn pod_status(&self, workload: &Workload) -> PodStatus {
        let certificates = self.identities.status().into_iter().map(|status| (status.id.clone(), status)).collect();
        pod(workload, &self.states.borrow(), &certificates)
    }
}

fn keeper(state: &KeeperState) -> Keeper {
    match state {
        KeeperState::Off => Keeper::Off,
        KeeperState::Holding => Keeper::Holding,
        KeeperState::Absent(reason) => Keeper::Absent { reason: reason.clone() },
    }
}

/// Problems as they are shown, errors first.
pub fn problems(errors: &[Found], warnings: &[Found]) -> Vec<Problem> {
    let errors = errors.iter().map(|found| problem(Severity::Error, found));
    errors.chain(warnings.iter().map(|found| problem(Severity::Warning, found))).collect()
}

fn problem(severity: Severity, found: &Found) -> Problem {
    Problem {
        severity,
        file: found.file.to_string(),
        line: found.line,
        object: found.object.clone(),
        field: found.field.clone(),
        message: found.message.clone(),
        next_step: found.next_step.clone(),
    }
}

fn pod(workload: &Workload, states: &States, certificates: &HashMap<SpiffeId, CertificateStatus>) -> PodStatus {
    let not_enrolled_because = match workload.enrolment {
        Enrolment::Enrolled => None,
        Enrolment::NotEnrolled(reason) => Some(reason.to_owned()),
    };
    let enrolled = workload.is_enrolled();
    PodStatus {
        namespace: workload.pod.namespace.to_string(),
        name: workload.pod.name.to_string(),
        enrolled,
        not_enrolled_because,
        capture: states.get(&workload.pod).filter(|_| enrolled).map(capture),
        identity: workload.identity.to_string(),
        certificate: certificates.get(&workload.identity).filter(|_| enrolled).map(certificate),
    }
}

fn capture(state: &CaptureState) -> Capture {
    match state {
        CaptureState::Proven { at, .. } => Capture::Proven { seconds_ago: since(*at) },
        CaptureState::Unproven { reason } => Capture::Unproven { reason: reason.clone() },
        CaptureState::Pending { reason } => Capture::Pending { reason: reason.clone() },
        CaptureState::Failed { reason } => Capture::Failed { reason: reason.clone() },
    }
}

fn certificate(status: &CertificateStatus) -> Certificate {
    let left = |end: SystemTime| match end.duration_since(SystemTime::now()) {
        Ok(left) => left.as_secs_f64(),
        Err(past) => -past.duration().as_secs_f64(),
    };
    Certificate {
        expires_in_seconds: status.life.map(|(_, end)| left(end)),
        failures: status.failures,
        last_error: status.last_error.clone(),
    }
}

/// A clock set back makes the age unknowable, not negative.
fn since(at: SystemTime) -> f64 {
    SystemTime::now().duration_since(at).unwrap_or(Duration::ZERO).as_secs_f64()
}
