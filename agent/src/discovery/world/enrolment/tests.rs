use super::*;

fn labels(text: &str) -> Labels {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.into(), v.into())).collect()
}

/// Istio's webhook decisions: namespace labels, pod labels, pod annotation, and the reason if not enrolled.
const TABLE: &[(&str, &str, Option<&str>, Option<&str>)] = &[
    ("istio-injection=enabled", "", None, None),
    ("istio.io/rev=default", "", None, None),
    ("", "", None, Some("namespace is not labelled istio-injection=enabled")),
    ("istio.io/rev=", "", None, Some("namespace is not labelled istio-injection=enabled")),
    ("istio-injection=disabled", "", None, Some("namespace label istio-injection is disabled")),
    // The older label wins over the revision, and over what the pod wishes.
    ("istio-injection=disabled istio.io/rev=x", "", None, Some("namespace label istio-injection is disabled")),
    (
        "istio-injection=disabled",
        "sidecar.istio.io/inject=true",
        None,
        Some("namespace label istio-injection is disabled"),
    ),
    ("istio-injection=true", "", None, Some("namespace label istio-injection is neither enabled nor disabled")),
    // Opting out, by label and by annotation; the label wins.
    (
        "istio-injection=enabled",
        "sidecar.istio.io/inject=false",
        None,
        Some("label sidecar.istio.io/inject of the pod is not true"),
    ),
    ("istio-injection=enabled", "", Some("false"), Some("annotation sidecar.istio.io/inject of the pod is not true")),
    ("istio-injection=enabled", "", Some("maybe"), Some("annotation sidecar.istio.io/inject of the pod is not true")),
    ("istio-injection=enabled", "sidecar.istio.io/inject=true", Some("false"), None),
    (
        "istio-injection=enabled",
        "sidecar.istio.io/inject=false",
        Some("true"),
        Some("label sidecar.istio.io/inject of the pod is not true"),
    ),
    ("istio-injection=enabled", "", Some("True"), None),
    ("istio-injection=enabled", "", Some(""), None),
    // Opting in without the namespace: by label, not by annotation.
    ("", "sidecar.istio.io/inject=true", None, None),
    ("", "istio.io/rev=default", None, None),
    (
        "",
        "",
        Some("true"),
        Some("annotation sidecar.istio.io/inject enrols only in a namespace labelled istio-injection=enabled"),
    ),
];

#[test]
fn pods_are_enrolled_as_istio_would_inject_them() {
    for (namespace, pod, annotation, reason) in TABLE {
        let (namespace_labels, pod_labels) = (labels(namespace), labels(pod));
        let facts = Facts {
            namespace: "shop",
            namespace_labels: &namespace_labels,
            pod_labels: &pod_labels,
            inject_annotation: *annotation,
            host_network: false,
        };
        let expected = reason.map_or(Enrolment::Enrolled, Enrolment::NotEnrolled);
        assert_eq!(enrolment(&facts), expected, "namespace {namespace:?}, pod {pod:?}, annotation {annotation:?}");
    }
}

#[test]
fn host_network_and_system_namespaces_are_never_enrolled() {
    let (namespace_labels, pod_labels) = (labels("istio-injection=enabled"), labels("sidecar.istio.io/inject=true"));
    let facts = |namespace, host_network| Facts {
        namespace,
        namespace_labels: &namespace_labels,
        pod_labels: &pod_labels,
        inject_annotation: None,
        host_network,
    };
    assert_eq!(enrolment(&facts("shop", false)), Enrolment::Enrolled);
    assert!(matches!(enrolment(&facts("shop", true)), Enrolment::NotEnrolled(why) if why.contains("hostNetwork")));
    assert!(matches!(enrolment(&facts("kube-system", false)), Enrolment::NotEnrolled(why) if why.contains("system")));
}
