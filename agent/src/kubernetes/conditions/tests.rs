use k8s_openapi::{api::core::v1::PodCondition, jiff::Timestamp};
use serde_json::{Value, json};

use super::{Condition, POD, parsed, patch};

fn found(status: &str, reason: &str, message: &str) -> Vec<PodCondition> {
    let one = |type_: &str, status: &str, reason: &str, message: &str| PodCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        ..PodCondition::default()
    };
    vec![one("Ready", "True", "", ""), one(POD, status, reason, message)]
}

fn change(found: &[PodCondition], wanted: Option<&Condition>) -> Option<Value> {
    patch(POD, &parsed(found), wanted, Timestamp::from_second(1_700_000_000).unwrap())
}

fn captured() -> Condition {
    Condition { is_true: true, reason: "Captured", message: "proven".to_owned() }
}

#[test]
fn only_what_differs_is_written_and_only_a_new_status_has_a_new_time() {
    let wanted = captured();
    assert_eq!(change(&found("True", "Captured", "proven"), Some(&wanted)), None);
    assert_eq!(
        change(&found("True", "Captured", "as before"), Some(&wanted)),
        Some(json!({"type": POD, "status": "True", "reason": "Captured", "message": "proven"}))
    );
    for before in [found("False", "Captured", "proven"), Vec::new()] {
        assert_eq!(
            change(&before, Some(&wanted)),
            Some(json!({"type": POD, "status": "True", "reason": "Captured", "message": "proven",
                "lastTransitionTime": "2023-11-14T22:13:20Z"}))
        );
    }
}

#[test]
fn a_condition_is_removed_only_where_it_is() {
    assert_eq!(change(&found("True", "", ""), None), Some(json!({"type": POD, "$patch": "delete"})));
    assert_eq!(change(&[], None), None);
}
