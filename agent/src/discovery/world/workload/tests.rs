use super::*;
use crate::discovery::{
    convert::pod,
    field_path::FieldPath,
    findings::Findings,
    parse::{Origin, Settings},
};

#[test]
fn canonical_names_follow_the_labels() {
    let names = |labels: &str| {
        let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{labels: {labels}}}");
        let settings = Settings { origin: Origin::ApiServer, ..Settings::default() };
        let written = serde_yaml_ng::from_str(&text).unwrap();
        let facts = pod::facts(&written, &settings, &FieldPath::root(), &mut Findings::default());
        let names = canonical(&facts, &"p".into());
        [names.service.to_string(), names.revision.to_string(), names.app.to_string(), names.version.to_string()]
    };
    assert_eq!(names("{}"), ["p", "latest", "unknown", "unknown"]);
    assert_eq!(names("{app: a, version: v1}"), ["a", "v1", "a", "v1"]);
    assert_eq!(
        names("{app: a, app.kubernetes.io/name: b, app.kubernetes.io/version: v2, version: v1}"),
        ["b", "v2", "a", "v1"]
    );
    let canonical = "{app: a, service.istio.io/canonical-name: c, service.istio.io/canonical-revision: r}";
    assert_eq!(names(canonical), ["c", "r", "a", "unknown"]);
}

#[test]
fn locality_is_the_node_s_unless_the_pod_says() {
    let map = |pairs: &[(&str, &str)]| -> Labels { pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect() };
    let node = map(&[("topology.kubernetes.io/region", "eu"), ("topology.kubernetes.io/zone", "eu-a")]);
    let tell = |pod: &Labels, node: Option<&Labels>| {
        let found = locality(pod, node);
        format!("{}/{}", found.region, found.zone)
    };
    assert_eq!(tell(&Labels::new(), Some(&node)), "eu/eu-a");
    assert_eq!(tell(&Labels::new(), None), "/");
    assert_eq!(tell(&map(&[("istio-locality", "us.us-b.rack")]), Some(&node)), "us/us-b");
}
