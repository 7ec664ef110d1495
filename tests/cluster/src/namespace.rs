//! A namespace of one scenario: made for it, shown when it fails, and gone when it ends.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::kubectl::{kubectl, kubectl_with, object};
use crate::pod::Pod;
use crate::{dump, manifests};

/// The label that takes a namespace into the mesh.
const ENROLLED: &str = "istio-injection=enabled";

/// A namespace; it is deleted when dropped, unless `WEFT_KEEP` is set.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    passed: AtomicBool,
}

impl Namespace {
    /// One that is in the mesh: `kubectl label namespace ... istio-injection=enabled`.
    pub fn enrolled(title: &str) -> Result<Self> {
        let namespace = Self::plain(title)?;
        namespace.enrol()?;
        Ok(namespace)
    }

    /// One that is not.
    pub fn plain(title: &str) -> Result<Self> {
        // The last run's namespace of that title may still be going.
        Self::named(&format!("{title}-{:04x}", fastrand::u16(..)))
    }

    /// One of exactly this name, not in the mesh.
    pub fn named(name: &str) -> Result<Self> {
        kubectl(&["create", "namespace", name])?;
        let namespace = Self { name: name.to_owned(), passed: AtomicBool::new(false) };
        // A pod that is made before its account is refused.
        namespace.kubectl(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"])?;
        Ok(namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes it into the mesh.
    pub fn enrol(&self) -> Result<()> {
        kubectl(&["label", "namespace", &self.name, ENROLLED, "--overwrite"]).map(drop)
    }

    /// Takes it out of the mesh.
    pub fn un_enrol(&self) -> Result<()> {
        kubectl(&["label", "namespace", &self.name, "istio-injection-"]).map(drop)
    }

    /// Runs kubectl in this namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        kubectl(&[&["--namespace", &self.name], args].concat())
    }

    /// What kubectl prints as JSON in this namespace, for instance of `["get", "service", "name"]`.
    pub fn object(&self, args: &[&str]) -> Result<Value> {
        object(&[&["--namespace", &self.name], args].concat())
    }

    /// `kubectl apply -f -`, refusing fields that nobody knows, as kubectl does against today's servers.
    pub fn apply(&self, yaml: &str) -> Result<()> {
        let args = ["--namespace", &self.name, "apply", "--validate=strict", "--filename=-"];
        kubectl_with(&args, &self.substituted(yaml)).map(drop)
    }

    /// What `kubectl apply -f -` says when it refuses; an error when it does not.
    pub fn apply_refused(&self, yaml: &str) -> Result<String> {
        let said = self.apply(yaml).err();
        ensure!(said.is_some(), "kubectl accepted what it should refuse:\n{yaml}");
        Ok(said.map(|error| format!("{error:#}")).unwrap_or_default())
    }

    /// `kubectl delete -f -`.
    pub fn delete(&self, yaml: &str) -> Result<()> {
        let args = ["--namespace", &self.name, "delete", "--wait=false", "--filename=-"];
        kubectl_with(&args, &self.substituted(yaml)).map(drop)
    }

    /// A pod of tools, outside the sentences application: `kubectl create deploy multitool`, in the exercises.
    pub fn multitool(&self) -> Result<Pod> {
        self.apply(manifests::MULTITOOL)?;
        self.wait_rollout()?;
        self.pod("app=multitool")
    }

    /// The scenario's last word: without it, everything about the namespace is shown when it goes.
    pub fn passed(self) -> Result<()> {
        self.passed.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// What `envsubst` makes of a manifest: exercises write their namespace as `$NS`.
    fn substituted(&self, yaml: &str) -> String {
        yaml.replace("$NS", &self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !self.passed.load(Ordering::SeqCst) {
            eprintln!("{}", dump::namespace(&self.name));
        }
        if env::var_os("WEFT_KEEP").is_some() {
            eprintln!("namespace {} stays (WEFT_KEEP)", self.name);
        } else if let Err(error) = kubectl(&["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"]) {
            eprintln!("namespace {} stays: {error:#}", self.name);
        }
    }
}
