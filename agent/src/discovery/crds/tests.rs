use std::{collections::BTreeSet, sync::LazyLock};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use super::*;
use crate::discovery::objects::{Recognised, recognise};

/// Made once: schemas of a thousand fields take a second to derive where nothing is optimised.
static ALL: LazyLock<Vec<CustomResourceDefinition>> = LazyLock::new(all);

/// Every schema of a definition with its path, `[]` for an element and `{}` for a value of a map.
fn walk<'a>(path: &str, schema: &'a JSONSchemaProps, found: &mut Vec<(String, &'a JSONSchemaProps)>) {
    found.push((path.to_owned(), schema));
    for (name, property) in schema.properties.iter().flatten() {
        walk(&format!("{path}.{name}"), property, found);
    }
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => walk(&format!("{path}[]"), item, found),
        Some(JSONSchemaPropsOrArray::Schemas(_)) => panic!("{path}: a tuple"),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(value)) = &schema.additional_properties {
        walk(&format!("{path}{{}}"), value, found);
    }
}

fn everything(crd: &CustomResourceDefinition) -> Vec<(String, &JSONSchemaProps)> {
    let mut found = Vec::new();
    for version in &crd.spec.versions {
        let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()).unwrap();
        walk("", schema, &mut found);
    }
    found
}

fn of(kind: &str) -> &'static CustomResourceDefinition {
    ALL.iter().find(|crd| crd.spec.names.kind == kind).unwrap()
}

/// The schema of `kind` at a path below `spec`.
fn schema_at(kind: &str, path: &str) -> Option<JSONSchemaProps> {
    let found = everything(of(kind)).into_iter().find(|(at, _)| *at == format!(".spec.{path}"));
    found.map(|(_, schema)| schema.clone())
}

#[test]
fn the_file_of_the_deployment_is_what_the_command_prints() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/kustomize/crds.yaml");
    let file = std::fs::read_to_string(path).unwrap_or_default();
    assert!(file == yaml().unwrap(), "deploy/kustomize/crds.yaml is old: cargo run -p weft -- crds > {path}");
}

#[test]
fn both_forms_hold_the_same_definitions() {
    let list: serde_json::Value = serde_json::from_str(&json().unwrap()).unwrap();
    let text = yaml().unwrap();
    let stream = serde_yaml_ng::Deserializer::from_str(&text);
    let documents: Vec<serde_json::Value> =
        stream.map(|document| serde::Deserialize::deserialize(document).unwrap()).collect();
    let documents: Vec<_> = documents.into_iter().filter(|document| !document.is_null()).collect();
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"].as_array().unwrap(), &documents);
}

#[test]
fn schemas_are_structural() {
    for crd in &*ALL {
        let name = crd.metadata.name.as_deref().unwrap();
        for (path, schema) in everything(crd) {
            let place = format!("{name}{path}");
            assert!(schema.ref_path.is_none() && schema.one_of.is_none() && schema.all_of.is_none(), "{place}");
            assert!(schema.any_of.is_none() && schema.not.is_none() && schema.default.is_none(), "{place}");
            let is_free = schema.x_kubernetes_int_or_string == Some(true);
            assert!(schema.type_.is_some() != is_free, "{place} has no type");
            assert!(schema.enum_.is_none() || schema.nullable.is_none(), "{place}: null is in no list of values");
            let format = schema.format.as_deref();
            assert!(format.is_none_or(|format| schema::FORMATS.contains(&format)), "{place}: {format:?}");
        }
    }
}

#[test]
fn every_version_has_the_same_schema_and_one_is_stored() {
    for crd in &*ALL {
        let versions = &crd.spec.versions;
        assert_eq!(versions.iter().filter(|one| one.storage).count(), 1, "{:?}", crd.metadata.name);
        assert!(versions.iter().all(|one| one.served && one.schema == versions[0].schema));
        assert!(versions.iter().all(|one| one.subresources.as_ref().is_some_and(|sub| sub.status.is_some())));
        // Discovery reads what is served, and the other way round.
        let names: BTreeSet<&str> = versions.iter().map(|one| one.name.as_str()).collect();
        match recognise(&crd.spec.group, &crd.spec.names.kind) {
            Recognised::Acted(_, read) => assert_eq!(names, read.iter().copied().collect()),
            Recognised::NotEnforced => {}
            Recognised::Ignored => panic!("{:?} is nothing to discovery", crd.metadata.name),
        }
    }
}

#[test]
fn names_and_columns_are_those_that_people_type_and_see() {
    let table = [
        ("VirtualService", "vs", "Gateways Hosts Age"),
        ("DestinationRule", "dr", "Host Age"),
        ("Gateway", "gw", ""),
        ("ServiceEntry", "se", "Hosts Location Resolution Age"),
        ("WorkloadEntry", "we", "Age Address"),
        ("WorkloadGroup", "wg", "Age"),
        ("Sidecar", "", ""),
        ("EnvoyFilter", "", ""),
        ("ProxyConfig", "", ""),
        ("PeerAuthentication", "pa", "Mode Age"),
        ("AuthorizationPolicy", "ap", "Action Age"),
        ("RequestAuthentication", "ra", ""),
        ("Telemetry", "telemetry", "Age"),
        ("WasmPlugin", "", "Age"),
        ("TrafficExtension", "", "Age"),
    ];
    assert_eq!(ALL.len(), table.len());
    for (kind, short, columns) in table {
        let crd = of(kind);
        let names = &crd.spec.names;
        assert_eq!(names.short_names.clone().unwrap_or_default().join(" "), short, "{kind}");
        let group = crd.spec.group.replace('.', "-");
        assert_eq!(names.categories.as_deref(), Some(&["istio-io".to_owned(), group][..]), "{kind}");
        assert_eq!(crd.metadata.name, Some(format!("{}.{}", names.plural, crd.spec.group)));
        for version in &crd.spec.versions {
            let printed = version.additional_printer_columns.iter().flatten().map(|column| column.name.as_str());
            assert_eq!(printed.collect::<Vec<_>>().join(" "), columns, "{kind}");
        }
    }
}

#[test]
fn old_spellings_are_fields_and_what_may_be_null_says_so() {
    let table = [
        ("VirtualService", "http[].fault.abort.percent", "integer"),
        ("VirtualService", "http[].fault.delay.percent", "integer"),
        ("VirtualService", "http[].mirrorPercent", "integer"),
        ("VirtualService", "http[].mirror_percent", "integer"),
        ("VirtualService", "http[].route", "array"),
        ("VirtualService", "tls[].match[].sni_hosts", "array"),
        ("VirtualService", "tls[].match[].sniHosts", "array"),
        ("DestinationRule", "trafficPolicy.outlierDetection.consecutiveErrors", "integer"),
        ("DestinationRule", "subsets[].trafficPolicy.outlierDetection.consecutiveErrors", "integer"),
        ("DestinationRule", "trafficPolicy.outlierDetection.consecutive5xxErrors", "integer"),
        ("DestinationRule", "trafficPolicy.connectionPool.http", "object"),
        ("DestinationRule", "trafficPolicy.loadBalancer.warmupDurationSecs", "string"),
        ("RequestAuthentication", "jwtRules[].jwks_uri", "string"),
    ];
    for (kind, path, expected) in table {
        let schema = schema_at(kind, path).unwrap_or_else(|| panic!("{kind} has no {path}"));
        assert_eq!((schema.type_.as_deref(), schema.nullable), (Some(expected), Some(true)), "{kind} {path}");
    }
    for crd in &*ALL {
        let spec = everything(crd).into_iter().find(|(path, _)| path == ".spec").unwrap().1.clone();
        let is_needed = spec.required.is_some_and(|fields| !fields.is_empty());
        assert!(is_needed || spec.nullable == Some(true) || spec.properties.is_none(), "{:?}", crd.metadata.name);
    }
}

#[test]
fn values_that_cannot_work_are_outside_of_the_schema() {
    let bounds = |kind, path| {
        let schema = schema_at(kind, path).unwrap_or_else(|| panic!("{kind} has no {path}"));
        (schema.minimum, schema.maximum)
    };
    let (port, percent) = ((Some(1.0), Some(65535.0)), (Some(0.0), Some(100.0)));
    assert_eq!(bounds("VirtualService", "http[].route[].destination.port.number"), port);
    assert_eq!(bounds("VirtualService", "tcp[].match[].port"), port);
    assert_eq!(bounds("Gateway", "servers[].port.number"), port);
    assert_eq!(bounds("ServiceEntry", "ports[].number"), port);
    assert_eq!(bounds("VirtualService", "http[].route[].weight"), (Some(0.0), None));
    assert_eq!(bounds("VirtualService", "http[].mirrorPercentage.value"), percent);
    assert_eq!(bounds("VirtualService", "http[].mirror_percent"), percent);
    assert_eq!(bounds("VirtualService", "http[].fault.abort.percent"), percent);
    assert_eq!(bounds("VirtualService", "http[].fault.abort.httpStatus"), (Some(200.0), Some(599.0)));
    assert_eq!(bounds("DestinationRule", "trafficPolicy.outlierDetection.maxEjectionPercent"), percent);
    let codes = bounds("DestinationRule", "trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes[]");
    assert_eq!(codes, (Some(100.0), Some(599.0)));
    let modes = schema_at("DestinationRule", "trafficPolicy.tls.mode").unwrap().enum_.unwrap();
    let modes: Vec<_> = modes.iter().map(|value| value.0.as_str().unwrap()).collect();
    assert_eq!(modes, ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]);
    assert!(schema_at("VirtualService", "http[].redirect.derivePort").unwrap().enum_.is_some());
}

#[test]
fn the_schema_and_the_reader_agree_on_durations() {
    use crate::discovery::objects::common::Span;
    let pattern = schema_at("VirtualService", "http[].timeout").unwrap().pattern.unwrap();
    let pattern = regex::Regex::new(&pattern).unwrap();
    let read = |text: &str| Span::try_from(text.to_owned()).is_ok();
    for text in ["850ms", "0.5s", ".5s", "3m", "1h30m", "0s", "10us", "10µs", "7ns"] {
        assert!(pattern.is_match(text) && read(text), "{text}");
    }
    for text in ["", "5", "s", "1.2.3s", "-1s", "5 s", "1d", "1 second", "1s "] {
        assert!(!pattern.is_match(text) && !read(text), "{text}");
    }
}

#[test]
fn conditions_are_merged_by_type() {
    for crd in &*ALL {
        let schemas = everything(crd);
        let conditions = schemas.iter().find(|(path, _)| path == ".status.conditions").unwrap().1;
        assert_eq!(conditions.x_kubernetes_list_type.as_deref(), Some("map"), "{:?}", crd.metadata.name);
        assert_eq!(conditions.x_kubernetes_list_map_keys.as_deref(), Some(&["type".to_owned()][..]));
    }
}
