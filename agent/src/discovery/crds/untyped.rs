//! Kinds of Istio that weft has no type for: accepted whole, and not enforced.
//!
//! Kiali lists all of them, and manifests hold them; without a definition both fail.

use k8s_openapi::{
    apiextensions_apiserver::pkg::apis::apiextensions::v1::{
        CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
        CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
        CustomResourceSubresources, CustomResourceValidation, JSONSchemaProps,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{NETWORKING, Versions, label, schemas};

/// One kind.
struct Untyped {
    group: &'static str,
    versions: Versions,
    kind: &'static str,
    plural: &'static str,
    short_name: Option<&'static str>,
    /// Is the age printed as a column of its own definition (Istio's choice; without any the API server adds it)?
    prints_age: bool,
    says: &'static str,
}

const KINDS: &[Untyped] = &[
    Untyped {
        group: "networking.istio.io",
        versions: NETWORKING,
        kind: "Sidecar",
        plural: "sidecars",
        short_name: None,
        prints_age: false,
        says: "What the workloads of a namespace can reach",
    },
    Untyped {
        group: "networking.istio.io",
        versions: NETWORKING,
        kind: "WorkloadGroup",
        plural: "workloadgroups",
        short_name: Some("wg"),
        prints_age: true,
        says: "A template for workloads that are no pods",
    },
    Untyped {
        group: "networking.istio.io",
        versions: Versions { served: &["v1alpha3"], storage: "v1alpha3" },
        kind: "EnvoyFilter",
        plural: "envoyfilters",
        short_name: None,
        prints_age: false,
        says: "Changes to the configuration of Envoy, which weft has none of",
    },
    Untyped {
        group: "networking.istio.io",
        versions: Versions { served: &["v1beta1"], storage: "v1beta1" },
        kind: "ProxyConfig",
        plural: "proxyconfigs",
        short_name: None,
        prints_age: false,
        says: "Settings of the proxies of some workloads",
    },
    Untyped {
        group: "telemetry.istio.io",
        versions: Versions { served: &["v1", "v1alpha1"], storage: "v1alpha1" },
        kind: "Telemetry",
        plural: "telemetries",
        short_name: Some("telemetry"),
        prints_age: true,
        says: "What workloads report, and to whom",
    },
    Untyped {
        group: "extensions.istio.io",
        versions: Versions { served: &["v1alpha1"], storage: "v1alpha1" },
        kind: "WasmPlugin",
        plural: "wasmplugins",
        short_name: None,
        prints_age: true,
        says: "A filter written by the user",
    },
    Untyped {
        group: "extensions.istio.io",
        versions: Versions { served: &["v1alpha1"], storage: "v1alpha1" },
        kind: "TrafficExtension",
        plural: "trafficextensions",
        short_name: None,
        prints_age: true,
        says: "A filter written by the user",
    },
];

/// The definitions of all of them.
pub fn all() -> impl Iterator<Item = CustomResourceDefinition> {
    // Whoever writes it, status looks the same in all kinds.
    let mut like = super::typed(<super::VirtualService as kube::CustomResourceExt>::crd(), NETWORKING);
    let status = schemas(&mut like).next().and_then(|schema| schema.properties.as_mut()?.remove("status"));
    KINDS.iter().map(move |one| one.definition(status.clone().unwrap_or_default()))
}

impl Untyped {
    fn definition(&self, status: JSONSchemaProps) -> CustomResourceDefinition {
        let category = self.group.replace('.', "-").trim_end_matches("-istio-io").to_owned() + "-istio-io";
        let names = CustomResourceDefinitionNames {
            categories: Some(vec!["istio-io".to_owned(), category]),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
            short_names: self.short_name.map(|name| vec![name.to_owned()]),
            singular: Some(self.kind.to_ascii_lowercase()),
            ..CustomResourceDefinitionNames::default()
        };
        let mut crd = CustomResourceDefinition {
            metadata: ObjectMeta { name: Some(format!("{}.{}", self.plural, self.group)), ..ObjectMeta::default() },
            spec: CustomResourceDefinitionSpec {
                group: self.group.to_owned(),
                names,
                scope: "Namespaced".to_owned(),
                versions: self.versions.of(&self.version(status)),
                ..CustomResourceDefinitionSpec::default()
            },
            status: None,
        };
        label(&mut crd);
        crd
    }

    fn version(&self, status: JSONSchemaProps) -> CustomResourceDefinitionVersion {
        let spec = JSONSchemaProps {
            type_: Some("object".to_owned()),
            x_kubernetes_preserve_unknown_fields: Some(true),
            ..JSONSchemaProps::default()
        };
        let schema = JSONSchemaProps {
            description: Some(format!("{}; accepted and not enforced", self.says)),
            type_: Some("object".to_owned()),
            properties: Some([("spec".to_owned(), spec), ("status".to_owned(), status)].into()),
            ..JSONSchemaProps::default()
        };
        let age = CustomResourceColumnDefinition {
            name: "Age".to_owned(),
            type_: "date".to_owned(),
            json_path: ".metadata.creationTimestamp".to_owned(),
            ..CustomResourceColumnDefinition::default()
        };
        CustomResourceDefinitionVersion {
            additional_printer_columns: self.prints_age.then(|| vec![age]),
            schema: Some(CustomResourceValidation { open_api_v3_schema: Some(schema) }),
            subresources: Some(CustomResourceSubresources {
                status: Some(CustomResourceSubresourceStatus(serde_json::json!({}))),
                ..CustomResourceSubresources::default()
            }),
            ..CustomResourceDefinitionVersion::default()
        }
    }
}
