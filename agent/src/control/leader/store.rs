//! The Lease at the API server.

use std::time::{Duration, SystemTime};

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};

use super::lease::{LEASE, Record};
use crate::kubernetes::{FIELD_MANAGER, SYSTEM_NAMESPACE};

/// How long one question may take: several fit before a holder has to stop.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a Lease was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another one wrote in between.
    #[error("another replica was faster")]
    Overtaken,
    /// The API server.
    #[error("Lease {SYSTEM_NAMESPACE}/{name}: {reason}")]
    Unavailable {
        /// The Lease.
        name: String,
        /// What it says.
        reason: String,
    },
}

/// Where a Lease is kept. Writing succeeds only on what was read.
#[async_trait::async_trait]
pub trait Leases: Send + Sync {
    /// What it says; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    async fn read(&self) -> Result<Option<Record>, LeaseError>;

    /// Replaces what was read (`record.version`; `None`: there was none). Returns what is there now.
    ///
    /// # Errors
    /// [`LeaseError::Overtaken`] when something else is there by now.
    async fn write(&self, record: Record) -> Result<Record, LeaseError>;
}

/// The real one.
pub struct ApiLease {
    leases: Api<Lease>,
    name: String,
}

impl ApiLease {
    /// The Lease `name` in weft's namespace.
    pub fn new(client: Client, name: &str) -> Self {
        Self { leases: Api::namespaced(client, SYSTEM_NAMESPACE), name: name.to_owned() }
    }

    async fn ask<T>(&self, question: impl Future<Output = Result<T, kube::Error>>) -> Result<T, LeaseError> {
        let unavailable = |reason: String| LeaseError::Unavailable { name: self.name.clone(), reason };
        let answer = tokio::time::timeout(PATIENCE, question).await;
        let answer = answer.map_err(|_elapsed| unavailable(format!("no answer within {PATIENCE:?}")))?;
        answer.map_err(|error| match &error {
            kube::Error::Api(status) if status.is_conflict() || status.is_already_exists() => LeaseError::Overtaken,
            _ => unavailable(error.to_string()),
        })
    }
}

#[async_trait::async_trait]
impl Leases for ApiLease {
    async fn read(&self) -> Result<Option<Record>, LeaseError> {
        Ok(self.ask(self.leases.get_opt(&self.name)).await?.map(record))
    }

    async fn write(&self, record: Record) -> Result<Record, LeaseError> {
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let is_new = record.version.is_none();
        let lease = self.lease(record);
        let written = if is_new {
            self.ask(self.leases.create(&parameters, &lease)).await?
        } else {
            self.ask(self.leases.replace(&self.name, &parameters, &lease)).await?
        };
        Ok(self::record(written))
    }
}

impl ApiLease {
    fn lease(&self, record: Record) -> Lease {
        let now = Timestamp::try_from(SystemTime::now()).ok();
        let mut lease = Lease::default();
        lease.metadata.name = Some(self.name.clone());
        lease.metadata.resource_version = record.version;
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(record.holder.unwrap_or_default()),
            lease_duration_seconds: i32::try_from(record.duration.as_secs().max(1)).ok(),
            lease_transitions: Some(record.transitions),
            acquire_time: record.acquired.or(now).map(MicroTime),
            renew_time: now.map(MicroTime),
            ..LeaseSpec::default()
        });
        lease
    }
}

fn record(lease: Lease) -> Record {
    let spec = lease.spec.unwrap_or_default();
    let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Record {
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        duration: duration.map_or(LEASE, Duration::from_secs),
        acquired: spec.acquire_time.map(|time| time.0),
        renewed: spec.renew_time.map(|time| time.0),
        transitions: spec.lease_transitions.unwrap_or_default(),
        version: lease.metadata.resource_version,
    }
}
