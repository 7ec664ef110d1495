//! The objects of the cluster and what an API server would fill in: ClusterIPs, node ports, addresses of load balancers.
//!
//! Owned by `state`. Addresses stay with a Service's name for the life of the cluster, also across deletion, so that a re-applied
//! manifest finds what a long-lived client remembers.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::manifest::{Key, list, text};

/// First node port given out; Kubernetes' range begins at 30000, lower ones are left to manifests that choose.
const FIRST_NODE_PORT: u16 = 30_100;
/// Last octet of the first load balancer address in the fabric's 172.30.0.0/24; nodes count up from 1.
const FIRST_LOAD_BALANCER: u8 = 200;

/// All applied objects by key.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    map: BTreeMap<Key, Value>,
    service_numbers: BTreeMap<Key, u16>,
    node_ports: BTreeMap<(Key, u64), u16>,
    load_balancers: BTreeMap<Key, u8>,
}

impl Objects {
    pub(crate) fn get(&self, key: &Key) -> Option<&Value> {
        self.map.get(key)
    }

    /// All objects of one kind.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.map.iter().filter(move |(key, _)| key.kind == kind).map(|(_, object)| object)
    }

    /// Stores `object` with the defaults an API server adds, and returns it as stored.
    pub(crate) fn apply(&mut self, mut object: Value) -> Result<Value> {
        let key = Key::of(&object);
        if key.kind == "Service" {
            self.complete_service(&key, &mut object)?;
        }
        self.map.insert(key, object.clone());
        Ok(object)
    }

    /// The keys of everything in a namespace.
    pub(crate) fn keys_in(&self, namespace: &str) -> Vec<Key> {
        self.map.keys().filter(|key| key.namespace == namespace).cloned().collect()
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Value> {
        self.map.remove(key)
    }

    fn complete_service(&mut self, key: &Key, service: &mut Value) -> Result<()> {
        if !service["spec"].is_object() {
            bail!("{key} has no `spec`");
        }
        let kind = match text(service, "/spec/type") {
            "" => "ClusterIP".to_owned(),
            given => given.to_owned(),
        };
        service["spec"]["type"] = json!(kind);
        if kind == "ExternalName" {
            return Ok(());
        }
        self.give_cluster_ip(key, service);
        let with_node_ports = matches!(kind.as_str(), "NodePort" | "LoadBalancer");
        self.complete_ports(key, service, with_node_ports)?;
        if kind == "LoadBalancer" {
            let next = FIRST_LOAD_BALANCER + u8::try_from(self.load_balancers.len())?;
            let last = *self.load_balancers.entry(key.clone()).or_insert(next);
            let address = Ipv4Addr::new(172, 30, 0, last).to_string();
            service["status"] = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
        }
        Ok(())
    }

    fn give_cluster_ip(&mut self, key: &Key, service: &mut Value) {
        if !text(service, "/spec/clusterIP").is_empty() {
            return;
        }
        // 10.96.0.x is left to manifests that choose their address.
        let next = 0x0101 + u16::try_from(self.service_numbers.len()).unwrap_or(u16::MAX - 0x0101);
        let number = *self.service_numbers.entry(key.clone()).or_insert(next);
        let [high, low] = number.to_be_bytes();
        let v4 = Ipv4Addr::new(10, 96, high, low).to_string();
        let v6 = Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, number).to_string();
        let families: Vec<&str> = list(service, "/spec/ipFamilies").iter().filter_map(Value::as_str).collect();
        let dual = matches!(text(service, "/spec/ipFamilyPolicy"), "PreferDualStack" | "RequireDualStack");
        let (families, addresses) = match (dual || families.len() == 2, families.first() == Some(&"IPv6")) {
            (true, true) => (vec!["IPv6", "IPv4"], vec![v6, v4]),
            (true, false) => (vec!["IPv4", "IPv6"], vec![v4, v6]),
            (false, true) => (vec!["IPv6"], vec![v6]),
            (false, false) => (vec!["IPv4"], vec![v4]),
        };
        let families = json!(families);
        service["spec"]["clusterIP"] = json!(addresses[0]);
        service["spec"]["clusterIPs"] = json!(addresses);
        service["spec"]["ipFamilies"] = families;
    }

    fn complete_ports(&mut self, key: &Key, service: &mut Value, with_node_ports: bool) -> Result<()> {
        let Some(ports) = service["spec"]["ports"].as_array_mut() else { return Ok(()) };
        for port in ports {
            let Some(number) = port["port"].as_u64() else { bail!("{key} has a port without a number: {port}") };
            if port["protocol"].is_null() {
                port["protocol"] = json!("TCP");
            }
            if port["targetPort"].is_null() {
                port["targetPort"] = json!(number);
            }
            if with_node_ports && port["nodePort"].is_null() {
                let next = FIRST_NODE_PORT + u16::try_from(self.node_ports.len())?;
                port["nodePort"] = json!(*self.node_ports.entry((key.clone(), number)).or_insert(next));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, spec: Value) -> Value {
        json!({"kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec})
    }

    #[test]
    fn addresses_are_distinct_and_stay_with_the_name() {
        let mut objects = Objects::default();
        let spec = json!({"type": "NodePort", "ports": [{"port": 80}, {"port": 81}]});
        let first = objects.apply(service("a", spec.clone())).unwrap();
        let other = objects.apply(service("b", spec.clone())).unwrap();
        assert_ne!(first["spec"]["clusterIP"], other["spec"]["clusterIP"]);
        assert_ne!(first["spec"]["ports"][0]["nodePort"], first["spec"]["ports"][1]["nodePort"]);
        objects.remove(&Key::of(&first));
        assert_eq!(objects.apply(service("a", spec)).unwrap(), first);
    }

    #[test]
    fn headless_stays_headless_and_dual_stack_gets_both() {
        let mut objects = Objects::default();
        let headless = objects.apply(service("h", json!({"clusterIP": "None", "ports": [{"port": 80}]}))).unwrap();
        assert_eq!(headless["spec"]["clusterIP"], "None");
        let dual = objects.apply(service("d", json!({"ipFamilyPolicy": "PreferDualStack"}))).unwrap();
        assert_eq!(list(&dual, "/spec/clusterIPs").len(), 2);
    }
}
