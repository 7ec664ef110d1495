//! One object of a document: which kind it is, who reads it, whether it may act.

use std::sync::Arc;

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Node, Pod, Service, ServiceAccount},
    discovery::v1::EndpointSlice,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_yaml_ng::Value;

use super::{Parsed, ParsedFile, Place, Settings, typed};
use crate::discovery::{
    convert::{self, meta::Meta},
    field_path::FieldPath,
    findings::{Finding, Findings},
    names,
    objects::{
        Content, Key, Kind, Recognised, Resource, authorization_policy::AuthorizationPolicySpec,
        destination_rule::DestinationRuleSpec, peer_authentication::PeerAuthenticationSpec, recognise,
        virtual_service::VirtualServiceSpec,
    },
    problem::Problem,
};

/// Reads a document: one object, or a list of them.
pub fn read_all(place: &Place<'_>, value: Value, settings: &Settings, file: &mut ParsedFile) {
    let kind = text(&value, &["kind"]).unwrap_or_default();
    // `kind: List`, and lists of one kind as the API server writes them.
    match (kind.strip_suffix("List"), value.get("items")) {
        (Some(of), Some(Value::Sequence(_)) | Some(Value::Null)) => {
            let api_version = text(&value, &["apiVersion"]).unwrap_or_default();
            let items = value.get("items").and_then(Value::as_sequence).cloned().unwrap_or_default();
            for (index, mut item) in items.into_iter().enumerate() {
                if let (Value::Mapping(item), false) = (&mut item, of.is_empty()) {
                    item.entry("kind".into()).or_insert_with(|| of.into());
                    item.entry("apiVersion".into()).or_insert_with(|| api_version.clone().into());
                }
                let at = FieldPath::of(&["items"]).index(index);
                Item::read(place, at, item, settings, file);
            }
        }
        _ => Item::read(place, FieldPath::root(), value, settings, file),
    }
}

/// A string somewhere below `value`.
fn text(value: &Value, path: &[&str]) -> Option<String> {
    let found = path.iter().try_fold(value, |value, key| value.get(key))?;
    found.as_str().map(str::to_owned)
}

/// An object that is not read any further.
struct Refused {
    /// Its name, when it has one.
    key: Option<Key>,
    /// How to call it.
    object: String,
    finding: Finding,
}

impl Refused {
    fn boxed(key: Option<Key>, object: &str, finding: Finding) -> Box<Self> {
        Box::new(Self { key, object: object.to_owned(), finding })
    }
}

/// An object on its way from value to [`Parsed`].
struct Item<'a> {
    place: &'a Place<'a>,
    at: FieldPath,
    value: Value,
    key: Key,
    settings: &'a Settings,
    file: &'a mut ParsedFile,
}

impl<'a> Item<'a> {
    fn read(place: &'a Place<'a>, at: FieldPath, value: Value, settings: &'a Settings, file: &'a mut ParsedFile) {
        match Self::identify(place, &at, &value, settings, file) {
            Ok(Some(key)) => Item { place, at, value, key, settings, file }.dispatch(),
            Ok(None) => {}
            Err(refused) => {
                let Refused { key, object, finding } = *refused;
                file.errors.push((key, place.problem(&object, &at, finding)));
            }
        }
    }

    /// The object's name; `None` when weft leaves the kind alone (said in the file's warnings and notes).
    fn identify(
        place: &Place<'_>,
        at: &FieldPath,
        value: &Value,
        settings: &Settings,
        file: &mut ParsedFile,
    ) -> Result<Option<Key>, Box<Refused>> {
        let nameless = |field: &str, message: &str, next: &str| {
            Err(Refused::boxed(None, "object", Finding::new(&field_path(field), message, next)))
        };
        if !value.is_mapping() {
            return nameless("", "not a Kubernetes object", "write apiVersion, kind and metadata.name");
        }
        let Some(kind) = text(value, &["kind"]) else {
            return nameless("kind", "missing", "add kind, for example kind: Service");
        };
        let Some(api_version) = text(value, &["apiVersion"]) else {
            return nameless("apiVersion", "missing", "add apiVersion, for example apiVersion: v1");
        };
        let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
        let name = text(value, &["metadata", "name"]);
        let namespace = text(value, &["metadata", "namespace"]).unwrap_or_else(|| "default".into());
        let object = format!("{kind} {namespace}/{}", name.as_deref().unwrap_or("(no name)"));
        let (known, versions) = match recognise(group, &kind) {
            Recognised::Acted(known, versions) => (known, versions),
            Recognised::NotEnforced => {
                let finding = Finding::new(&FieldPath::root(), "this kind is accepted and not enforced yet", "");
                file.warnings.push(place.problem(&object, at, finding));
                return Ok(None);
            }
            Recognised::Ignored => {
                file.notes.push(ignored(place, group, &kind));
                return Ok(None);
            }
        };
        let Some(name) = name else {
            let finding = Finding::new(&field_path("metadata.name"), "missing", "add metadata.name");
            return Err(Refused::boxed(None, &object, finding));
        };
        let namespace = if known.is_cluster_scoped() { String::new() } else { namespace };
        let key =
            Key { kind: known, namespace: settings.interner.text(&namespace), name: settings.interner.text(&name) };
        let object = key.to_string();
        if !versions.contains(&version) || group == "extensions" {
            let wanted = versions.last().copied().unwrap_or("v1");
            let group = if group == "extensions" { "apps" } else { group };
            let wanted = if group.is_empty() { wanted.to_owned() } else { format!("{group}/{wanted}") };
            let message = format!("{api_version} is not served");
            let finding = Finding::new(&field_path("apiVersion"), message, format!("write apiVersion: {wanted}"));
            return Err(Refused::boxed(Some(key), &object, finding));
        }
        match names::check(&key) {
            Ok(()) => Ok(Some(key)),
            Err(finding) => Err(Refused::boxed(Some(key), &object, finding)),
        }
    }

    fn dispatch(self) {
        let settings = self.settings;
        let domain: Arc<str> = settings.cluster_domain.clone();
        match self.key.kind {
            Kind::Namespace => self.core(|one: Namespace, _, _| {
                Content::Namespace(settings.interner.labels(one.metadata.labels.as_ref()))
            }),
            Kind::Node => {
                self.core(|one: Node, _, _| Content::Node(settings.interner.labels(one.metadata.labels.as_ref())))
            }
            Kind::ServiceAccount => self.core(|_: ServiceAccount, _, _| Content::ServiceAccount),
            Kind::Pod => self.core(|one: Pod, _, findings| {
                convert::check::pod(&one, findings);
                let annotations = FieldPath::of(&["metadata", "annotations"]);
                Content::Pod(Arc::new(convert::pod::facts(&one, settings, &annotations, findings)))
            }),
            Kind::Service => self.core(|one: Service, key, findings| {
                convert::check::service(&one, findings);
                Content::Service(Arc::new(convert::service::facts(key.named(), &one, settings)))
            }),
            Kind::EndpointSlice => self.core(|one: EndpointSlice, key, findings| {
                convert::check::endpoint_slice(&one, findings);
                Content::EndpointSlice(Arc::new(convert::endpoint_slice::facts(&key.namespace, &one, settings)))
            }),
            Kind::Deployment => self.core(|one: Deployment, key, findings| {
                convert::check::deployment(&one, findings);
                Content::Deployment(Arc::new(convert::deployment::facts(&key.name, &one, settings, findings)))
            }),
            Kind::ConfigMap => {
                self.core(move |one: ConfigMap, key, findings| match convert::mesh_config::is_mesh_config(key) {
                    true => Content::MeshConfig(Box::new(convert::mesh_config::convert(&one, &domain, findings))),
                    false => Content::ConfigMap,
                })
            }
            Kind::VirtualService => self.istio(move |meta, spec: VirtualServiceSpec, findings| {
                Content::VirtualService(Arc::new(convert::virtual_service::convert(meta, &spec, &domain, findings)))
            }),
            Kind::DestinationRule => self.istio(move |meta, spec: DestinationRuleSpec, findings| {
                Content::DestinationRule(Arc::new(convert::destination_rule::convert(meta, &spec, &domain, findings)))
            }),
            Kind::PeerAuthentication => self.istio(|meta, spec: PeerAuthenticationSpec, findings| {
                Content::PeerAuthentication(Arc::new(convert::peer_authentication::convert(meta, &spec, findings)))
            }),
            Kind::AuthorizationPolicy => self.istio(|meta, spec: AuthorizationPolicySpec, findings| {
                Content::AuthorizationPolicy(Arc::new(convert::authorization_policy::convert(meta, &spec, findings)))
            }),
        }
    }

    fn istio<S>(self, convert: impl FnOnce(&Meta, S, &mut Findings) -> Content)
    where
        S: Default + for<'de> Deserialize<'de>,
    {
        self.core(|object: Resource<S>, key, findings| {
            let meta = Meta::new(key, &object.metadata);
            convert(&meta, object.spec.unwrap_or_default(), findings)
        });
    }

    fn core<T: DeserializeOwned>(self, convert: impl FnOnce(T, &Key, &mut Findings) -> Content) {
        let mut findings = Findings::default();
        let content = match typed::read::<T>(self.key.kind, self.value, self.settings.origin, &mut findings) {
            Ok(object) => Some(convert(object, &self.key, &mut findings)),
            Err(finding) => {
                findings.errors.push(finding);
                None
            }
        };
        let object = self.key.to_string();
        let problem = |finding| self.place.problem(&object, &self.at, finding);
        let warnings: Vec<Problem> = findings.warnings.into_iter().map(problem).collect();
        match content {
            Some(content) if findings.errors.is_empty() => {
                let line = self.place.line(&self.at);
                self.file.objects.push(Parsed { key: self.key, line, content, warnings });
            }
            _ => {
                let errors = findings.errors.into_iter().map(|one| (Some(self.key.clone()), problem(one)));
                self.file.errors.extend(errors);
                self.file.warnings.extend(warnings);
            }
        }
    }
}

fn field_path(dotted: &str) -> FieldPath {
    let keys: Vec<&str> = dotted.split('.').filter(|key| !key.is_empty()).collect();
    FieldPath::of(&keys)
}

fn ignored(place: &Place<'_>, group: &str, kind: &str) -> Problem {
    let group = if group.is_empty() { String::new() } else { format!(" ({group})") };
    Problem {
        file: place.file.clone(),
        line: None,
        object: None,
        field: None,
        message: format!("objects of kind {kind}{group} are left alone"),
        next_step: String::new(),
    }
}
