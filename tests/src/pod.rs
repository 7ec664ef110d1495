//! A handle to one pod, as tests hold it. What it is made of belongs to `kubelet`.

use std::net::IpAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::kubelet::Record;
use crate::manifest::text;
use crate::place::Place;
use crate::state::{Inner, PodName};

/// A pod; it derefs to the [`Place`] that requests are sent from and commands run in.
#[derive(Clone, Debug)]
pub struct Pod {
    place: Place,
    key: PodName,
    node: String,
    addresses: [IpAddr; 2],
    log: PathBuf,
}

impl Deref for Pod {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl Pod {
    pub(crate) fn of(inner: &Arc<Inner>, key: &PodName, record: &Record) -> Self {
        Self {
            place: Place::new(inner, &key.1, &key.0, &record.netns, Some(record.files.clone())),
            key: key.clone(),
            node: record.node.name().to_owned(),
            addresses: record.addresses(),
            log: record.log().to_owned(),
        }
    }

    /// The IPv4 address.
    pub fn ip(&self) -> IpAddr {
        self.addresses[0]
    }

    /// The IPv6 address.
    pub fn ip6(&self) -> IpAddr {
        self.addresses[1]
    }

    /// The name of the node it runs on.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The file its containers write to.
    pub fn log_path(&self) -> PathBuf {
        self.log.clone()
    }

    /// What its containers have written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The pid of its first container's program.
    pub fn pid(&self) -> Result<u32> {
        self.with_record(|record| record.pid())?.with_context(|| format!("pod {} has no running program", self.key.1))
    }

    /// The Pod object as it is now.
    pub fn object(&self) -> Result<Value> {
        self.with_record(|record| record.object())
    }

    /// Whether it is ready, as its object says.
    pub fn is_ready(&self) -> bool {
        self.with_record(|record| record.is_ready()).unwrap_or(false)
    }

    /// Makes it ready or not, whatever its program does; agents, rules and names know when this returns.
    pub fn set_ready(&self, ready: bool) -> Result<()> {
        self.with_record(|record| record.ready_by_hand = Some(ready))?;
        self.publish()
    }

    /// Sets a label of the running pod (`kubectl label pod`).
    pub fn set_label(&self, name: &str, value: &str) -> Result<()> {
        self.set_metadata("labels", name, value)
    }

    /// Sets an annotation of the running pod.
    pub fn set_annotation(&self, name: &str, value: &str) -> Result<()> {
        self.set_metadata("annotations", name, value)
    }

    /// Ends it (`kubectl delete pod`); its Deployment, if it has one, makes another. Returns at once.
    pub fn delete(&self) -> Result<()> {
        let inner = self.inner();
        let mut state = inner.lock();
        let key = crate::manifest::Key::new("Pod", &self.key.0, &self.key.1);
        state.objects.remove(&key);
        state.pods.get_mut(&self.key).with_context(|| self.gone())?.end();
        state.publish()?;
        inner.changed.notify_all();
        Ok(())
    }

    fn set_metadata(&self, field: &str, name: &str, value: &str) -> Result<()> {
        self.with_record(|record| {
            let metadata = &mut record.manifest["metadata"];
            if !metadata[field].is_object() {
                metadata[field] = json!({});
            }
            metadata[field][name] = json!(value);
        })?;
        self.publish()
    }

    fn publish(&self) -> Result<()> {
        self.inner().lock().publish()
    }

    fn with_record<T>(&self, read: impl FnOnce(&mut Record) -> T) -> Result<T> {
        let mut state = self.inner().lock();
        let record = state.pods.get_mut(&self.key).with_context(|| self.gone())?;
        debug_assert_eq!(text(&record.manifest, "/metadata/name"), self.key.1);
        Ok(read(record))
    }

    fn gone(&self) -> String {
        format!("pod {}/{} is gone", self.key.0, self.key.1)
    }
}
