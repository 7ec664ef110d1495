use super::*;

fn errors(text: &str) -> Vec<String> {
    parse("a.yaml", text, &Settings::default()).errors.iter().map(|(_, problem)| problem.to_string()).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let file = parse("a.yaml", text, &Settings::default());
    let of_objects = file.objects.iter().flat_map(|one| &one.warnings);
    file.warnings.iter().chain(of_objects).map(ToString::to_string).collect()
}

/// A VirtualService whose `http` begins in line 7.
fn virtual_service(http: &str) -> String {
    let head = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: r, namespace: shop}\n";
    format!("{head}spec:\n  hosts: [name]\n  http:\n{http}")
}

/// An AuthorizationPolicy whose rules begin in line 5.
fn policy(rules: &str) -> String {
    let head = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\n";
    format!("{head}spec:\n{rules}")
}

const ROUTE: &str = "      route: [{destination: {host: name}}]\n";

#[test]
fn broken_routes_name_file_line_object_field_and_next_step() {
    let object = "VirtualService shop/r";
    let cases: [(String, &str); 10] = [
        (
            "    - route:\n        - destination: {host: name}\n          weight: -5\n".into(),
            "a.yaml:9: OBJECT: spec.http[0].route[0].weight: weight -5 is out of range; \
             use a share of 0 or more, for example 90 and 10",
        ),
        (
            format!("    - match: [{{headers: {{x-test: {{contains: v2}}}}}}]\n{ROUTE}"),
            "a.yaml:7: OBJECT: spec.http[0].match[0].headers.x-test.contains: unknown field; without it the condition \
             would match more than it says; known here: exact, prefix, regex",
        ),
        (
            format!("    - match:\n        - uri: {{regex: \"a(b\"}}\n{ROUTE}"),
            "a.yaml:8: OBJECT: spec.http[0].match[0].uri.regex: \"a(b\" is no regular expression: unclosed group; \
             use RE2 syntax; the whole value has to match",
        ),
        (
            format!("    - match: [{{uri: {{exact: a, prefix: b}}}}]\n{ROUTE}"),
            "a.yaml:7: OBJECT: spec.http[0].match[0].uri: says more than one way to match; use one of exact, prefix, \
             regex",
        ),
        (
            format!("    - match: [{{headers: {{x-test: use-v2}}}}]\n{ROUTE}"),
            "a.yaml:7: OBJECT: spec.http[0].match[0].headers.x-test: invalid type: string \"use-v2\", expected one of \
             exact, prefix, regex, for example { exact: v2 }; correct the value",
        ),
        (
            format!("    - match: [{{port: 65536}}]\n{ROUTE}"),
            "a.yaml:7: OBJECT: spec.http[0].match[0].port: 65536 is no port; use a number from 1 to 65535",
        ),
        (
            "    - route: [{destination: {host: Na_me}}]\n".into(),
            "a.yaml:7: OBJECT: spec.http[0].route[0].destination.host: \"Na_me\" is no valid host name (invalid DNS \
             label); use a Service name or a DNS name",
        ),
        (
            "    - route: [{destination: {subset: v1}}]\n".into(),
            "a.yaml:7: OBJECT: spec.http[0].route[0].destination: missing field host; add host",
        ),
        (
            "    - timeout: 1 second\n      route: [{destination: {host: name}}]\n".into(),
            "a.yaml:7: OBJECT: spec.http[0].timeout: \"1 second\" is no duration; write it like 850ms, 0.5s, 3m or \
             1h30m; correct the value",
        ),
        (
            "    - timeout: 1s\n".into(),
            "a.yaml:7: OBJECT: spec.http[0]: leads nowhere; add route, redirect, directResponse or delegate",
        ),
    ];
    for (http, expected) in cases {
        assert_eq!(errors(&virtual_service(&http)), [expected.replace("OBJECT", object)], "{http}");
    }
}

#[test]
fn broken_policies_name_file_line_object_field_and_next_step() {
    let object = "AuthorizationPolicy shop/p";
    let cases = [
        (
            "  action: ALOW\n",
            "a.yaml:5: OBJECT: spec.action: unknown variant ALOW, expected one of ALLOW, DENY, AUDIT, CUSTOM; \
             did you mean ALLOW?",
        ),
        (
            "  rules:\n    - from: [{source: {ipBlocks: [10.0.0.0/33]}}]\n",
            "a.yaml:6: OBJECT: spec.rules[0].from[0].source.ipBlocks[0]: \"10.0.0.0/33\" is no address or network; \
             write it like 10.0.0.0/8, 192.0.2.7 or fd00::/8",
        ),
        (
            "  rules:\n    - from: [{source: {principal: [a]}}]\n",
            "a.yaml:6: OBJECT: spec.rules[0].from[0].source.principal: unknown field; without it the condition would \
             match more than it says; did you mean principals?",
        ),
        (
            "  rules:\n    - to: [{operation: {ports: [8000]}}]\n",
            "a.yaml:6: OBJECT: spec.rules[0].to[0].operation.ports[0]: invalid type: integer 8000, expected a string; \
             put the value in quotes",
        ),
        (
            "  rules:\n    - to: [{operation: {ports: []}}]\n",
            "a.yaml:6: OBJECT: spec.rules[0].to[0].operation.ports: is empty; name at least one value, or remove the \
             field",
        ),
        (
            "  rules:\n    - when: [{key: request.header, values: [a]}]\n",
            "a.yaml:6: OBJECT: spec.rules[0].when[0].key: \"request.header\" is no known attribute; use source.ip, \
             source.namespace, source.principal, source.serviceAccount, remote.ip, destination.ip, \
             destination.port, connection.sni, request.headers[name] or request.auth.*",
        ),
    ];
    for (rules, expected) in cases {
        let found = errors(&policy(rules));
        assert_eq!(found.first(), Some(&expected.replace("OBJECT", object)), "{rules}");
    }
}

#[test]
fn broken_objects_of_other_kinds_are_named_as_well() {
    let cases = [
        (
            "a: b: c\n",
            "a.yaml:1: not readable as YAML: mapping values are not allowed in this context; look for wrong \
                       indentation or a missing quote at or above this line",
        ),
        ("- 1\n", "a.yaml:1: object: not a Kubernetes object; write apiVersion, kind and metadata.name"),
        ("apiVersion: v1\n", "a.yaml:1: object: kind: missing; add kind, for example kind: Service"),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {namespace: shop}\n",
            "a.yaml:3: Service shop/(no name): metadata.name: missing; add metadata.name",
        ),
        (
            "apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: d}\n",
            "a.yaml:1: Deployment default/d: apiVersion: extensions/v1beta1 is not served; write apiVersion: apps/v1",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: a_b}\nspec: {ports: [{port: 1}]}\n",
            "a.yaml:3: Service default/a_b: metadata.name: \"a_b\" is no valid DNS label; use lower-case letters, \
             digits and -, beginning and ending with a letter or digit",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports:\n    - port: 80\n    - port: 70000\n      name: b\n",
            "a.yaml:6: Service default/s: spec.ports[0]: has no name; name each port of a Service with several",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    sidecar.istio.io/inject: false\n",
            "a.yaml:6: Pod default/p: metadata.annotations[\"sidecar.istio.io/inject\"]: invalid type: boolean false, \
             expected a string; put the value in quotes",
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus: {podIP: 10.0.0.256}\n",
            "a.yaml:4: Pod default/p: status.podIP: \"10.0.0.256\" is no IP address; write it like 10.0.0.7 or fd00::7",
        ),
        (
            "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: d}\nspec: {mtls: {mode: STRICTT}}\n",
            "a.yaml:4: PeerAuthentication default/d: spec.mtls.mode: unknown variant STRICTT, expected one of UNSET, \
             DISABLE, PERMISSIVE, STRICT; did you mean STRICT?",
        ),
        (
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec:\n  host: a\n  subsets: [{name: v1}, {name: v1}]\n",
            "a.yaml:6: DestinationRule default/d: spec.subsets[1].name: \"v1\" is empty or used twice; give each subset \
             a name of its own",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    a: b\n    outboundTrafficPolicy:\n      mode: REGISTRY\n",
            "a.yaml:8: ConfigMap istio-system/istio: data.mesh.outboundTrafficPolicy.mode: unknown variant REGISTRY, \
             expected ALLOW_ANY or REGISTRY_ONLY; correct the value",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(errors(text).first().map(String::as_str), Some(expected), "{text}");
    }
}

#[test]
fn lines_are_those_of_the_file_in_every_document_and_list() {
    let broken =
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: d}\nspec:\n  mtls: {mode: X}\n";
    let second = format!("# head\n---\napiVersion: v1\nkind: Namespace\nmetadata: {{name: shop}}\n--- # two\n{broken}");
    let file = parse("a.yaml", &second, &Settings::default());
    assert_eq!((file.objects.len(), file.objects[0].line), (1, Some(3)));
    assert_eq!(file.errors[0].1.line, Some(11));
    let indented: String = broken.lines().map(|line| format!("    {line}\n")).collect();
    let list = format!("apiVersion: v1\nkind: List\nitems:\n  - \n{indented}");
    let file = parse("a.yaml", &list, &Settings::default());
    assert_eq!(file.errors[0].1.line, Some(9), "{:?}", file.errors);
    assert_eq!(file.errors[0].1.field.as_deref(), Some("spec.mtls.mode"));
}

#[test]
fn lists_json_and_empty_documents_are_read() {
    let list = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"NamespaceList\",\n\t\"items\": [\n\t\t{\"metadata\": {\"name\": \"a\"}},\n\t\t{\"metadata\": {\"name\": \"b\", \"labels\": {\"x\": \"y\"}}}\n\t]\n}\n";
    let file = parse("a.json", list, &Settings::default());
    assert_eq!(file.errors, []);
    let names: Vec<_> = file.objects.iter().map(|one| one.key.to_string()).collect();
    assert_eq!(names, ["Namespace a", "Namespace b"]);
    let empty = parse("a.yaml", "---\n---\n# nothing\n---\nnull\n", &Settings::default());
    assert_eq!((empty.objects.len(), empty.errors.len()), (0, 0));
}

#[test]
fn one_broken_document_leaves_the_others() {
    let text = "kind: [\n---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
    let file = parse("a.yaml", text, &Settings::default());
    assert_eq!(file.objects.len(), 1);
    assert!(file.has_nameless_errors());
}

#[test]
fn unknown_fields_are_warned_about_with_a_suggestion() {
    let route = "    - route:\n        - destination: {host: name, subsett: v1}\n";
    let said = "a.yaml:8: VirtualService shop/r: spec.http[0].route[0].destination.subsett: unknown field, ignored; \
                did you mean subset?";
    assert_eq!(warnings(&virtual_service(route)), [said]);
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports: [{port: 80, targetport: 81}]\n";
    let said =
        "a.yaml:5: Service default/s: spec.ports[0].targetport: unknown field, ignored; did you mean targetPort?";
    assert_eq!(warnings(service), [said]);
}

#[test]
fn fields_and_kinds_without_effect_are_warned_about() {
    let route = "    - fault: {delay: {percent: 30, fixedDelay: 3s}}\n      timeout: 0.5s\n      retries: {attempts: 3, perTryTimeout: 2s}\n      mirrorPercent: 50\n      route: [{destination: {host: name}}]\n";
    let said: Vec<_> = warnings(&virtual_service(route)).iter().map(|one| one.replace("a.yaml:", "")).collect();
    let expected = [
        "8: VirtualService shop/r: spec.http[0].timeout: is accepted and not enforced yet",
        "9: VirtualService shop/r: spec.http[0].retries: is accepted and not enforced yet",
        "7: VirtualService shop/r: spec.http[0].fault: is accepted and not enforced yet",
    ];
    assert_eq!(said, expected);
    let gateway = "apiVersion: networking.istio.io/v1beta1\nkind: Gateway\nmetadata: {name: g}\n";
    assert_eq!(warnings(gateway), ["a.yaml:1: Gateway default/g: this kind is accepted and not enforced yet"]);
    let rule = "apiVersion: networking.istio.io/v1alpha3\nkind: DestinationRule\nmetadata: {name: d}\nspec:\n  host: backend\n  trafficPolicy:\n    connectionPool: {http: {}, tcp: {}}\n    loadBalancer: {simple: LEAST_CONN}\n    outlierDetection: {consecutiveErrors: 1, interval: 10s, baseEjectionTime: 3m, maxEjectionPercent: 100}\n";
    let expected = [
        "a.yaml:9: DestinationRule default/d: spec.trafficPolicy.outlierDetection: is accepted and not enforced yet",
        "a.yaml:8: DestinationRule default/d: spec.trafficPolicy.loadBalancer.simple: LEAST_CONN is accepted and not \
         enforced yet; ROUND_ROBIN is used",
    ];
    assert_eq!(warnings(rule), expected);
    assert_eq!(errors(rule), [] as [&str; 0]);
}

#[test]
fn old_spellings_are_read_without_complaint_about_the_spelling() {
    let text = "apiVersion: networking.istio.io/v1alpha3\nkind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [httpbin.org]\n  tls:\n    - match: [{port: 443, sni_hosts: [httpbin.org]}]\n      route: [{destination: {host: httpbin.org, port: {number: 443}}, weight: 100}]\n  http:\n    - route: [{destination: {host: a}}]\n      fault: {abort: {percent: 30, httpStatus: 500}}\n    - delegate: {name: b, namespace: c}\n      route: null\n      mirror_percent: 5\n";
    assert_eq!(errors(text), [] as [&str; 0]);
    assert!(warnings(text).iter().all(|one| one.ends_with("is accepted and not enforced yet")), "{:?}", warnings(text));
}
