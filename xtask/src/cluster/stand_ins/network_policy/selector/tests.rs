//! The four operators, with and without the label.

use serde_json::json;

use super::*;

#[test]
fn an_empty_selector_selects_everything() {
    assert!(selects(&json!({}), &json!({"a": "1"})));
    assert!(selects(&json!({}), &Value::Null));
}

#[test]
fn all_of_a_selector_has_to_hold() {
    let selector = json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]});
    assert!(selects(&selector, &json!({"a": "1", "b": ""})));
    assert!(!selects(&selector, &json!({"a": "1"})));
    assert!(!selects(&selector, &json!({"a": "2", "b": ""})));
}

#[test]
fn operators_say_what_a_missing_label_means() {
    // Operator, then whether it selects: the listed value, another value, no label.
    let expected = [
        ("In", [true, false, false]),
        ("NotIn", [false, true, true]),
        ("Exists", [true, true, false]),
        ("DoesNotExist", [false, false, true]),
        ("Unknown", [false, false, false]),
    ];
    for (operator, answers) in expected {
        let selector = json!({"matchExpressions": [{"key": "a", "operator": operator, "values": ["1"]}]});
        let labels = [json!({"a": "1"}), json!({"a": "2"}), json!({})];
        assert_eq!(labels.each_ref().map(|labels| selects(&selector, labels)), answers, "{operator}");
    }
}
