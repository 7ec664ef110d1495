//! Which VirtualService speaks for a host, as seen by sidecars (gateway `mesh`).
//!
//! Istio does not merge VirtualServices of the mesh: the oldest that names the host and is visible to the client counts
//! whole, the others not at all. An exact host beats `*.suffix`, a longer suffix a shorter one, and `*` comes last.

use std::{collections::HashMap, sync::Arc};

use crate::route::VirtualService;

/// Hosts of the VirtualServices that apply to the mesh.
#[derive(Clone, Debug, Default)]
pub(crate) struct VirtualHosts {
    exact: HashMap<Arc<str>, Vec<Arc<VirtualService>>>,
    /// What follows the `*`, longest first; empty for `*` itself.
    suffixes: Vec<(Arc<str>, Vec<Arc<VirtualService>>)>,
}

impl VirtualHosts {
    /// `all` in order of precedence.
    pub(super) fn new(all: &[Arc<VirtualService>]) -> Self {
        let mut exact: HashMap<Arc<str>, Vec<Arc<VirtualService>>> = HashMap::new();
        let mut suffixes: HashMap<Arc<str>, Vec<Arc<VirtualService>>> = HashMap::new();
        for virtual_service in all.iter().filter(|one| one.applies_to_mesh()) {
            for host in &virtual_service.hosts {
                let host = lower_case(host);
                let list = match host.strip_prefix('*') {
                    Some(suffix) => suffixes.entry(suffix.into()).or_default(),
                    None => exact.entry(host).or_default(),
                };
                list.push(virtual_service.clone());
            }
        }
        let mut suffixes: Vec<_> = suffixes.into_iter().collect();
        suffixes.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        Self { exact, suffixes }
    }

    /// The VirtualService that clients in `namespace` use for `host` (lower case).
    pub(crate) fn find(&self, host: &str, namespace: &str) -> Option<&Arc<VirtualService>> {
        let visible = |list: &'_ [Arc<VirtualService>]| list.iter().position(|one| one.export_to.includes(namespace));
        if let Some(list) = self.exact.get(host)
            && let Some(found) = visible(list)
        {
            return list.get(found);
        }
        self.suffixes
            .iter()
            .filter(|(suffix, _)| host.len() > suffix.len() && host.ends_with(&**suffix))
            .find_map(|(_, list)| list.get(visible(list)?))
    }
}

/// Host names are case-insensitive (RFC 3986 section 3.2.2); tables hold them in lower case.
pub(super) fn lower_case(host: &Arc<str>) -> Arc<str> {
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) { host.to_ascii_lowercase().into() } else { host.clone() }
}
