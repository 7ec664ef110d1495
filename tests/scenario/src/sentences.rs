//! The exercises' sentences application as their manifests write it: Deployments and Services as YAML text.
//!
//! Scenarios choose mode, version, node and account; what is the same in every exercise (image, ports, labels) is written once here.

use std::fmt::Write as _;

/// How long the roles wait for each other, in seconds, instead of the image's single one: on a machine that is busy with other tests
/// a process may get no CPU for that long, and the answer would be about the machine.
const PATIENT_CALLS: &str = "8";

/// The names that versions of the application give: the image's own, and those of the exercises' later versions.
const NAMES: [&str; 7] = ["Peter", "Ray", "Egon", "Athos", "Porthos", "Aramis", "d'Artagnan"];

/// One Deployment of the application.
#[derive(Clone, Debug)]
pub struct Sentences {
    mode: String,
    name: String,
    version: Option<String>,
    namespace: String,
    node: Option<String>,
    account: Option<String>,
    annotations: Vec<(String, String)>,
    env: Vec<(String, String)>,
}

impl Sentences {
    /// The Deployment of one role, with the exercises' name for it: `sentences` for the mode `sentence`, else the mode's own.
    pub fn new(mode: &str) -> Self {
        Self {
            mode: mode.to_owned(),
            name: service_name(mode).to_owned(),
            version: None,
            namespace: "default".to_owned(),
            node: None,
            account: None,
            annotations: Vec::new(),
            env: vec![("SENTENCE_SVC_TIMEOUT".to_owned(), PATIENT_CALLS.to_owned())],
        }
    }

    /// A version of it: named `name-v2`, labelled `version: v2`. Names of later versions than v1 end in `(v2)`.
    pub fn version(mut self, version: &str) -> Self {
        self.name = format!("{}-{version}", service_name(&self.mode));
        self.version = Some(version.to_owned());
        if self.mode == "name" && version != "v1" {
            let names = ["Peter", "Ray", "Egon"].map(|name| format!("{name} ({version})")).join(",");
            return self.env("SENTENCE_NAMES", &names);
        }
        self
    }

    /// Its Kubernetes namespace (`default`).
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The node its pod runs on; without it pods go to the nodes in turn.
    pub fn node(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// Its service account (`default`).
    pub fn account(mut self, account: &str) -> Self {
        self.account = Some(account.to_owned());
        self
    }

    /// Adds an annotation to its pod template.
    pub fn annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets an environment variable (`SENTENCE_SVC_TIMEOUT` is 8 unless set; the image's is 1).
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The manifest, ending in a document separator.
    pub fn yaml(&self) -> String {
        let Self { mode, name, namespace, .. } = self;
        let labels = match &self.version {
            Some(version) => format!("app: sentences, mode: {mode}, version: {version}"),
            None => format!("app: sentences, mode: {mode}"),
        };
        let mut yaml = format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {name}\n  namespace: {namespace}\n  labels: {{{labels}}}\n\
             spec:\n  replicas: 1\n  selector:\n    matchLabels: {{{labels}}}\n  template:\n    metadata:\n      labels: {{{labels}}}\n"
        );
        self.write_annotations(&mut yaml);
        yaml.push_str("    spec:\n");
        for (field, value) in [("nodeName", &self.node), ("serviceAccount", &self.account)] {
            if let Some(value) = value {
                let _ = writeln!(yaml, "      {field}: {value}");
            }
        }
        let _ = write!(
            yaml,
            "      containers:\n      - name: {mode}\n        image: michaelvl/sentences:latest\n        ports:\n        \
             - {{containerPort: 5000, name: api}}\n        - {{containerPort: 8000, name: metrics}}\n        env:\n        \
             - {{name: SENTENCE_MODE, value: {mode}}}\n"
        );
        for (name, value) in &self.env {
            let _ = writeln!(yaml, "        - {{name: {name}, value: '{value}'}}");
        }
        yaml.push_str("---\n");
        yaml
    }

    fn write_annotations(&self, yaml: &mut String) {
        if !self.annotations.is_empty() {
            yaml.push_str("      annotations:\n");
        }
        for (name, value) in &self.annotations {
            let _ = writeln!(yaml, "        {name}: '{value}'");
        }
    }
}

/// The Service in front of a mode: `sentences` is a NodePort, the others are not. Port 5000 is declared to be HTTP.
pub fn sentences_service(mode: &str, namespace: &str) -> String {
    let kind = if mode == "sentence" { "NodePort" } else { "ClusterIP" };
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {}\n  namespace: {namespace}\n  labels: {{app: sentences, mode: {mode}}}\n\
         spec:\n  type: {kind}\n  selector: {{app: sentences, mode: {mode}}}\n  ports:\n  \
         - {{name: api, port: 5000, protocol: TCP, targetPort: 5000, appProtocol: http}}\n  \
         - {{name: metrics, port: 8000, protocol: TCP, targetPort: 8000, appProtocol: http}}\n---\n",
        service_name(mode)
    )
}

/// The exercises' name for the Service and Deployment of a mode.
fn service_name(mode: &str) -> &str {
    if mode == "sentence" { "sentences" } else { mode }
}

/// Whether `text` is a sentence with nothing missing: a name, perhaps with its version, and an age. The training edition's end in a
/// full stop.
pub fn is_sentence(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((name, age)) = text.strip_suffix(" years").and_then(|text| text.split_once(" is ")) else { return false };
    let (name, version) = name.split_once(" (v").unwrap_or((name, "1)"));
    NAMES.contains(&name)
        && version.strip_suffix(')').is_some_and(|number| number.parse::<u8>().is_ok())
        && age.parse::<u8>().is_ok_and(|age| age <= 100)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[test]
    fn manifests_say_what_was_asked_for() {
        let yaml = Sentences::new("name").version("v2").node("b").account("names").annotation("a.b/c", "false").yaml();
        let yaml = yaml + &sentences_service("sentence", "x");
        let documents = serde_yaml_ng::Deserializer::from_str(&yaml);
        let objects: Vec<serde_json::Value> = documents.map(|text| Deserialize::deserialize(text).unwrap()).collect();
        let pod = &objects[0]["spec"]["template"];
        assert_eq!(objects[0]["metadata"]["name"], "name-v2");
        assert_eq!(
            (&pod["metadata"]["labels"]["version"], &pod["metadata"]["labels"]["app"]),
            (&"v2".into(), &"sentences".into())
        );
        assert_eq!(pod["metadata"]["annotations"]["a.b/c"], "false");
        assert_eq!((&pod["spec"]["nodeName"], &pod["spec"]["serviceAccount"]), (&"b".into(), &"names".into()));
        assert_eq!(pod["spec"]["containers"][0]["env"][2]["value"], "Peter (v2),Ray (v2),Egon (v2)");
        assert_eq!(
            (&objects[1]["metadata"]["name"], &objects[1]["spec"]["type"]),
            (&"sentences".into(), &"NodePort".into())
        );
    }

    #[test]
    fn only_whole_sentences_count() {
        assert!(is_sentence("Ray is 0 years") && is_sentence("Egon (v2) is 100 years"));
        assert!(is_sentence("d'Artagnan (v2) is 7 years."));
        for text in [
            " is 40 years",
            "Ray is  years",
            "Ray is 101 years",
            "40 is 40 years",
            "Ray RBAC is 4 years",
            "Ray (v) is 4 years",
            "Ray",
        ] {
            assert!(!is_sentence(text), "{text}");
        }
    }
}
