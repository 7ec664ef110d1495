use super::*;

#[test]
fn a_type_tells_its_fields_at_a_path() {
    let container = FieldPath::of(&["spec", "containers"]).index(3);
    let fields = fields_at::<k8s_openapi::api::core::v1::Pod>(&container);
    assert!(fields.contains(&"imagePullPolicy"), "{fields:?}");
    let labels = fields_at::<k8s_openapi::api::core::v1::Pod>(&FieldPath::of(&["metadata", "labels"]));
    assert_eq!(labels, &[] as &[&str], "label keys are free");
}

#[test]
fn the_closest_name_is_suggested() {
    let known = ["subset", "host", "port", "sniHosts", "weight"];
    assert_eq!(closest("subsett", &known), Some("subset"));
    assert_eq!(closest("Subset", &known), Some("subset"));
    assert_eq!(closest("sni_hosts", &known), Some("sniHosts"));
    assert_eq!(closest("wieght", &known), Some("weight"));
    assert_eq!(closest("prot", &known), None, "two errors in a short word are another word");
    assert_eq!(closest("timeout", &known), None);
}
