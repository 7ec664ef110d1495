//! What the runtime says: variables of the environment, and the entry of the network configuration with what the plugins
//! before have done.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::{CniError, Code, NAME};
use crate::cni::{install::entry::Entry, message::Sandbox};

/// `CNI_COMMAND`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Add,
    Check,
    Del,
    Gc,
    Status,
    Version,
}

impl Command {
    pub(super) fn of(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, CniError> {
        let Some(command) = variable("CNI_COMMAND") else {
            let what =
                format!("{NAME} is a CNI plugin: container runtimes call it, with CNI_COMMAND in the environment");
            return Err(CniError::new(Code::Environment, what));
        };
        match command.as_str() {
            "ADD" => Ok(Self::Add),
            "CHECK" => Ok(Self::Check),
            "DEL" => Ok(Self::Del),
            "GC" => Ok(Self::Gc),
            "STATUS" => Ok(Self::Status),
            "VERSION" => Ok(Self::Version),
            _ => Err(CniError::new(Code::Environment, format!("CNI_COMMAND {command:?} is not known"))),
        }
    }
}

/// The other variables.
#[derive(Debug, Default)]
pub(super) struct Call {
    container: String,
    netns: PathBuf,
    arguments: BTreeMap<String, String>,
}

impl Call {
    pub(super) fn of(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, CniError> {
        let container = variable("CNI_CONTAINERID").filter(|container| !container.is_empty());
        let container = container.ok_or_else(|| CniError::new(Code::Environment, "CNI_CONTAINERID is not set"))?;
        // `NAME=value;NAME=value`
        let arguments = variable("CNI_ARGS").unwrap_or_default();
        let pairs = arguments.split(';').filter_map(|pair| pair.split_once('='));
        Ok(Self {
            container,
            netns: variable("CNI_NETNS").unwrap_or_default().into(),
            arguments: pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect(),
        })
    }

    /// The pod's sandbox, when a kubelet's runtime calls.
    pub(super) fn sandbox(&self, settings: &Settings) -> Option<Sandbox> {
        let argument = |name: &str| self.arguments.get(name).filter(|value| !value.is_empty()).cloned();
        Some(Sandbox {
            namespace: argument("K8S_POD_NAMESPACE")?,
            name: argument("K8S_POD_NAME")?,
            uid: argument("K8S_POD_UID").unwrap_or_default(),
            container: self.container.clone(),
            netns: self.netns.clone(),
            addresses: settings.addresses(),
        })
    }
}

/// The plugin's entry in the network configuration, as the runtime hands it in.
#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    /// What the installer wrote.
    #[serde(flatten)]
    pub(super) entry: Entry,
    /// Result of the plugins before.
    #[serde(rename = "prevResult")]
    pub(super) result: Option<Value>,
}

impl Settings {
    pub(super) fn read(input: &[u8]) -> Result<Self, CniError> {
        let settings: Self = serde_json::from_slice(input).map_err(|error| {
            CniError::new(Code::Decode, format!("the network configuration on standard input cannot be read: {error}"))
        })?;
        for (name, path) in [("socket", &settings.entry.socket), ("state", &settings.entry.state)] {
            if !Path::is_absolute(path) {
                let problem =
                    format!("{name:?} of the {NAME} entry is no absolute path: weft's agent writes the entry anew");
                return Err(CniError::new(Code::Config, problem));
            }
        }
        Ok(settings)
    }

    /// `cniVersion` of whatever was given.
    pub(super) fn version(input: &[u8]) -> Option<String> {
        let input: Value = serde_json::from_slice(input).ok()?;
        Some(input.get("cniVersion")?.as_str()?.to_owned())
    }

    /// Addresses that the pod has got, in order (`ips[].address`, with the length of their network).
    fn addresses(&self) -> Vec<IpAddr> {
        let ips = self.result.as_ref().and_then(|result| result.get("ips")?.as_array()).into_iter().flatten();
        let texts = ips.filter_map(|ip| ip.get("address")?.as_str());
        texts.filter_map(|text| text.split('/').next()?.parse().ok()).collect()
    }
}

#[cfg(test)]
mod tests;
