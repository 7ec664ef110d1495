use super::*;

async fn ask(path: &str) -> (Bytes, String) {
    let collected = answer(path).into_body().collect().await.expect("a body that cannot fail");
    let status = collected.trailers().and_then(|trailers| trailers.get("grpc-status")).cloned();
    (collected.to_bytes(), status.map(|value| value.to_str().unwrap_or_default().to_owned()).unwrap_or_default())
}

#[tokio::test(flavor = "current_thread")]
async fn it_is_serving_and_knows_nothing_else() {
    assert_eq!(ask(CHECK).await, (Bytes::from_static(&[0, 0, 0, 0, 2, 8, 1]), "0".to_owned()));
    assert_eq!(ask("/grpc.health.v1.Health/Watch").await, (Bytes::new(), "12".to_owned()));
}
