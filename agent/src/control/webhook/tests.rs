//! The configuration that is installed sends here what it should, and nothing else.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::admissionregistration::v1::{
        MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use serde::Deserialize;
use weft_model::workload::{Enrolment, Labels};

use super::*;
use crate::{
    discovery::world::enrolment::{Facts, enrolment},
    kubernetes::SYSTEM_NAMESPACE,
};

fn configurations() -> (MutatingWebhookConfiguration, ValidatingWebhookConfiguration) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kustomize/webhooks.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let mut documents = serde_yaml_ng::Deserializer::from_str(&text);
    let mutating = Deserialize::deserialize(documents.next().unwrap()).unwrap();
    (mutating, Deserialize::deserialize(documents.next().unwrap()).unwrap())
}

#[test]
fn both_lead_to_the_service_of_control() {
    let (mutating, validating) = configurations();
    assert_eq!(mutating.metadata.name.as_deref(), Some(MUTATING_CONFIGURATION));
    assert_eq!(validating.metadata.name.as_deref(), Some(VALIDATING_CONFIGURATION));
    let check = |client: &WebhookClientConfig, path: &str| {
        let service = client.service.as_ref().unwrap();
        assert_eq!((service.name.as_str(), service.namespace.as_str()), ("istiod", SYSTEM_NAMESPACE));
        assert_eq!((service.port, service.path.as_deref()), (Some(443), Some(path)));
        assert!(client.ca_bundle.is_none(), "control fills it in");
    };
    for webhook in mutating.webhooks.iter().flatten() {
        check(&webhook.client_config, INJECT_PATH);
        assert_eq!(webhook.failure_policy.as_deref(), Some("Ignore"), "a pod is captured whatever is written on it");
    }
    for webhook in validating.webhooks.iter().flatten() {
        check(&webhook.client_config, VALIDATE_PATH);
        assert_eq!(webhook.failure_policy.as_deref(), Some("Fail"));
        let groups = webhook.rules.iter().flatten().flat_map(|rule| rule.api_groups.iter().flatten());
        let mut groups: Vec<&str> = groups.map(String::as_str).collect();
        groups.sort_unstable();
        let defined = crate::discovery::crds::all();
        let mut known: Vec<&str> = defined.iter().map(|crd| crd.spec.group.as_str()).collect();
        known.dedup();
        assert_eq!(groups, known);
    }
}

/// Does a selector match labels? (Kubernetes' rules.)
fn matches(selector: Option<&LabelSelector>, labels: &BTreeMap<String, String>) -> bool {
    let Some(selector) = selector else { return true };
    assert!(selector.match_labels.is_none());
    selector.match_expressions.iter().flatten().all(|one| {
        let value = labels.get(&one.key);
        let is_listed = value.is_some_and(|value| one.values.iter().flatten().any(|listed| listed == value));
        match one.operator.as_str() {
            "In" => is_listed,
            "NotIn" => !is_listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("operator {other}"),
        }
    })
}

/// All combinations of one choice for each key.
fn combinations(keys: &[(&str, &[Option<&str>])]) -> Vec<BTreeMap<String, String>> {
    let mut all = vec![BTreeMap::new()];
    for (key, values) in keys {
        let with = |map: &BTreeMap<String, String>, value: Option<&str>| {
            let mut map = map.clone();
            map.extend(value.map(|value| ((*key).to_owned(), value.to_owned())));
            map
        };
        all = all.iter().flat_map(|map| values.iter().map(|value| with(map, *value)).collect::<Vec<_>>()).collect();
    }
    all
}

fn model(labels: &BTreeMap<String, String>) -> Labels {
    labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect()
}

#[test]
fn every_pod_that_will_be_in_the_mesh_comes_here_once() {
    let (mutating, _) = configurations();
    let webhooks = mutating.webhooks.unwrap();
    let names = [Some("shop"), Some("kube-system"), Some("istio-system")];
    let namespaces = combinations(&[
        ("kubernetes.io/metadata.name", &names),
        ("istio-injection", &[None, Some("enabled"), Some("disabled"), Some("other")]),
        ("istio.io/rev", &[None, Some("default"), Some("")]),
    ]);
    let pods = combinations(&[
        ("sidecar.istio.io/inject", &[None, Some("true"), Some("false"), Some("yes"), Some("no")]),
        ("istio.io/rev", &[None, Some("default"), Some("")]),
    ]);
    let (mut enrolled, mut spared) = (0, 0);
    for namespace in &namespaces {
        for pod in &pods {
            let facts = Facts {
                namespace: &namespace["kubernetes.io/metadata.name"],
                namespace_labels: &model(namespace),
                pod_labels: &model(pod),
                inject_annotation: None,
                host_network: false,
            };
            let sent = webhooks.iter().filter(|one| {
                matches(one.namespace_selector.as_ref(), namespace) && matches(one.object_selector.as_ref(), pod)
            });
            let sent = sent.count();
            if enrolment(&facts) == Enrolment::Enrolled {
                assert_eq!(sent, 1, "namespace {namespace:?}, pod {pod:?}");
                enrolled += 1;
            }
            assert!(sent <= 1, "namespace {namespace:?}, pod {pod:?}");
            spared += usize::from(sent == 0);
        }
    }
    assert!(enrolled > 20 && spared > 100, "{enrolled} {spared}");
    let plain = BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), "shop".to_owned())]);
    let sent = webhooks.iter().any(|one| {
        matches(one.namespace_selector.as_ref(), &plain) && matches(one.object_selector.as_ref(), &BTreeMap::new())
    });
    assert!(!sent, "other people's namespaces do not depend on weft");
}
