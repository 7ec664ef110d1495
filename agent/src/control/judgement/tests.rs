use super::*;

fn judged(text: &str) -> Judged {
    let object: DynamicObject = serde_yaml_ng::from_str(text).unwrap();
    judge(&object, &settings(&"cluster.local".into()))
}

const HEAD: &str = "apiVersion: networking.istio.io/v1beta1\nkind: VirtualService\n";

#[test]
fn an_object_of_the_api_server_is_read_as_one_of_a_file() {
    let text = format!(
        "{HEAD}metadata:
  name: name
  namespace: shop
  uid: 0c9a8d74-9cb7-44dd-b98e-09fd62def2f4
  resourceVersion: '7'
  generation: 3
  creationTimestamp: 2026-01-01T00:00:00Z
  managedFields: [{{manager: kubectl, operation: Apply, apiVersion: v1, fieldsType: FieldsV1, fieldsV1: {{'f:spec': {{}}}}}}]
spec: {{hosts: [name], http: [{{timeout: 1s, route: [{{destination: {{host: name}}}}]}}]}}
status: {{conditions: []}}
"
    );
    let judged = judged(&text);
    assert_eq!(judged.errors, []);
    let warnings: Vec<String> = judged.warnings.iter().map(line).collect();
    assert_eq!(warnings, ["spec.http[0].timeout is accepted and not enforced yet"]);
    let Some(Content::VirtualService(rule)) = judged.content else { panic!("no rule") };
    assert_eq!((&*rule.hosts[0], rule.created), ("name.shop.svc.cluster.local", 1_767_225_600));
}

#[test]
fn a_broken_object_means_nothing_and_says_why() {
    let text = format!("{HEAD}metadata: {{name: name}}\nspec: {{hosts: [name], http: [{{}}]}}\n");
    let judged = judged(&text);
    assert!(judged.content.is_none());
    let errors: Vec<String> = judged.errors.iter().map(line).collect();
    assert_eq!(errors, ["spec.http[0]: leads nowhere; add route, redirect, directResponse or delegate"]);
}

#[test]
fn a_name_may_be_the_api_server_s_to_choose() {
    let text =
        format!("{HEAD}metadata: {{generateName: name-}}\nspec: {{hosts: [name], http: [{{redirect: {{uri: /}}}}]}}\n");
    assert_eq!(judged(&text).errors, []);
}

#[test]
fn kinds_without_effect_are_warned_about() {
    let judged =
        judged("apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s}\nspec: {anything: 1}\n");
    let warnings: Vec<String> = judged.warnings.iter().map(line).collect();
    assert_eq!(
        (judged.errors.len(), &warnings[..]),
        (0, &["this kind is accepted and not enforced yet".to_owned()][..])
    );
}
