use super::*;

const TEXT: &str = "\
---
# a comment
kind: VirtualService
spec:
  hosts: [a, b]
  http:
    - match:
        - headers:
            x-test: { exact: v2 }
      route:
        - destination:
            host: name
          weight: -5
    - timeout: 1s
";

#[test]
fn fields_have_the_line_of_their_key() {
    let http = FieldPath::of(&["spec", "http"]);
    let line = |path: &FieldPath| line_of(TEXT, path);
    assert_eq!(line(&FieldPath::of(&["kind"])), Some(3));
    assert_eq!(line(&FieldPath::of(&["spec"])), Some(4));
    assert_eq!(line(&http), Some(6));
    assert_eq!(line(&http.index(0).key("route").index(0).key("weight")), Some(13));
    assert_eq!(line(&http.index(0).key("match").index(0).key("headers").key("x-test").key("exact")), Some(9));
    assert_eq!(line(&http.index(1).key("timeout")), Some(14));
    assert_eq!(line(&http.index(1)), Some(14));
    assert_eq!(line(&FieldPath::of(&["spec", "hosts"]).index(1)), Some(5));
}

#[test]
fn a_field_that_is_absent_has_the_line_of_its_nearest_ancestor() {
    let route = FieldPath::of(&["spec", "http"]).index(0).key("route").index(0).key("destination");
    assert_eq!(line_of(TEXT, &route.key("subset")), Some(11));
    assert_eq!(line_of(TEXT, &route.key("port").key("number")), Some(11));
    assert_eq!(line_of(TEXT, &FieldPath::of(&["status"])), Some(3));
    assert_eq!(line_of("a: [", &FieldPath::of(&["b"])), None, "no YAML");
}
