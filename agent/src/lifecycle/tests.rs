//! Draining waits for who is busy, and not for ever.

use super::*;

#[tokio::test]
async fn waits_for_the_busy_and_tells_them() {
    let (drainer, drain) = drain();
    let busy = drain.hold();
    let mut ear = drain.clone();
    let part = tokio::spawn(async move {
        ear.begun().await;
        drop(busy);
    });
    assert_eq!(drainer.finish(Duration::from_secs(5)).await, 0);
    part.await.unwrap();
    assert!(drain.has_begun());
}

#[tokio::test]
async fn the_deadline_ends_it() {
    let (drainer, drain) = drain();
    let _busy = drain.hold();
    assert_eq!(drainer.finish(Duration::from_millis(30)).await, 1);
}

#[tokio::test]
async fn who_retires_closes_nothing_yet() {
    let (drainer, drain) = drain();
    let other = drain.clone();
    let mut ear = drain.clone();
    let told = tokio::spawn(async move { ear.retired().await });
    other.set_retiring(true);
    told.await.unwrap();
    assert!(drain.is_retiring() && !drain.has_begun());
    other.set_retiring(false);
    assert!(!drain.is_retiring());
    drainer.begin();
    drain.clone().retired().await;
    assert!(drain.is_retiring() && drain.has_begun());
}
