//! What the API server has to say before somebody is somebody.

use std::collections::BTreeMap;

use k8s_openapi::api::authentication::v1::UserInfo;

use super::*;

fn audiences() -> Vec<String> {
    vec!["istio-ca".to_owned()]
}

/// As kube-apiserver 1.35 answers for a token projected into a pod.
fn status() -> TokenReviewStatus {
    let extra = [
        ("authentication.kubernetes.io/credential-id", "JTI=1"),
        ("authentication.kubernetes.io/node-name", "node-a"),
        (POD_NAME, "weft-agent-x"),
        (POD_UID, "u1"),
    ];
    let extra: BTreeMap<_, _> = extra.map(|(key, value)| (key.to_owned(), vec![value.to_owned()])).into();
    TokenReviewStatus {
        authenticated: Some(true),
        audiences: Some(audiences()),
        error: None,
        user: Some(UserInfo {
            username: Some("system:serviceaccount:istio-system:weft-agent".to_owned()),
            extra: Some(extra),
            ..UserInfo::default()
        }),
    }
}

fn read(change: impl FnOnce(&mut TokenReviewStatus)) -> Result<Caller, Unknown> {
    let mut status = status();
    change(&mut status);
    Caller::read(status, &audiences())
}

fn user(status: &mut TokenReviewStatus) -> &mut UserInfo {
    status.user.get_or_insert_default()
}

#[test]
fn a_projected_token_names_account_and_pod() {
    let caller = read(|_| {}).unwrap();
    let pod = PodRef { name: "weft-agent-x".to_owned(), uid: "u1".to_owned() };
    let expected = Caller { namespace: "istio-system".to_owned(), account: "weft-agent".to_owned(), pod: Some(pod) };
    assert_eq!(caller, expected);
    assert_eq!(caller.to_string(), "service account istio-system/weft-agent");
}

#[test]
fn a_token_that_is_bound_to_no_pod_names_none() {
    let unbound = read(|status| user(status).extra = None).unwrap();
    assert_eq!(unbound.pod, None);
    let half = read(|status| drop(user(status).extra.get_or_insert_default().remove(POD_UID))).unwrap();
    assert_eq!(half.pod, None, "a name without a uid could be another pod of that name");
    let double = read(|status| {
        user(status).extra.get_or_insert_default().insert(POD_UID.to_owned(), vec!["u1".to_owned(), "u2".to_owned()]);
    });
    assert_eq!(double.unwrap().pod, None);
}

#[test]
fn what_the_api_server_does_not_vouch_for_is_nobody() {
    let error = read(|status| {
        status.authenticated = Some(false);
        status.error = Some("expired".to_owned());
    });
    assert!(matches!(&error, Err(Unknown::Refused(reason)) if reason == "expired"), "{error:?}");
    assert!(matches!(read(|status| status.authenticated = None), Err(Unknown::Refused(_))));
    assert!(matches!(read(|status| status.user = None), Err(Unknown::NoServiceAccount(_))));
}

#[test]
fn a_token_for_somebody_else_is_not_for_us() {
    for audiences in [None, Some(vec![]), Some(vec!["https://kubernetes.default.svc".to_owned()])] {
        let error = read(|status| status.audiences = audiences).unwrap_err();
        assert!(matches!(error, Unknown::Audience { .. }), "{error}");
        assert!(error.to_string().contains("istio-ca"), "{error}");
    }
}

#[test]
fn only_service_accounts_are_callers() {
    for name in [
        "admin",
        "system:node:node-a",
        "system:serviceaccount:istio-system",
        "system:serviceaccount::weft-agent",
        "system:serviceaccount:istio-system:",
        "system:serviceaccount:istio-system:weft-agent:more",
    ] {
        let error = read(|status| user(status).username = Some(name.to_owned())).unwrap_err();
        assert!(matches!(&error, Unknown::NoServiceAccount(who) if who == name), "{error}");
    }
}
