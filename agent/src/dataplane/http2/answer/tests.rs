//! What a client of gRPC is told.

use super::*;

#[test]
fn a_message_is_encoded_as_grpc_wants_it() {
    assert_eq!(encode("RBAC: access denied"), "RBAC: access denied");
    assert_eq!(encode("100 % \u{e4}\n"), "100 %25 %C3%A4%0A");
}

#[test]
fn grpc_is_told_in_the_head_alone() {
    let (response, body) = grpc(&Reply { status: 403, body: "RBAC: access denied".to_owned() });
    assert_eq!((response.status(), body.len()), (StatusCode::OK, 0));
    assert_eq!(response.headers()["grpc-status"], "7");
    assert_eq!(response.headers()["grpc-message"], "RBAC: access denied");
    assert_eq!(response.headers()["content-type"], "application/grpc");
}
