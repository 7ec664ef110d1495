use super::*;
use crate::discovery::api_server::catalog;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

/// All of Kubernetes' own kinds, read at second 0.
fn whole() -> (Health, Vec<Id>) {
    let mut health = Health::default();
    let ids: Vec<Id> = catalog::core().iter().map(Resource::id).collect();
    catalog::core().iter().for_each(|resource| health.begins(resource));
    health.answered(at(0));
    for id in &ids {
        health.seen(id, at(0));
        health.completed(id);
    }
    (health, ids)
}

fn refused() -> Failure {
    Failure::Unreachable("connection refused".to_owned())
}

fn told(health: &Health, now: u64) -> Vec<String> {
    health.problems(true, at(now)).iter().map(ToString::to_string).collect()
}

#[test]
fn the_world_is_whole_when_each_kind_was_read() {
    let mut health = Health::default();
    catalog::core().iter().for_each(|resource| health.begins(resource));
    assert_eq!(health.awaited()[..2], ["which kinds the API server has", "ConfigMap"]);
    assert_eq!(health.confirmed(at(0)), None);
    let (health, _) = whole();
    assert_eq!(health.awaited(), [""; 0]);
    assert_eq!(health.confirmed(at(0)), Some(at(0)));
}

#[test]
fn a_quiet_cluster_is_confirmed_by_its_server_s_answers() {
    let (mut health, _) = whole();
    health.answered(at(10));
    health.answered(at(20));
    assert_eq!(health.confirmed(at(25)), Some(at(20)));
    let later = watch::MAX_SILENCE.as_secs();
    health.answered(at(later));
    assert_eq!(health.confirmed(at(later)), Some(at(0)), "a watch that owes a bookmark is not believed");
}

#[test]
fn a_broken_watch_dates_the_world_from_when_it_was_last_heard() {
    let (mut health, ids) = whole();
    ids.iter().for_each(|id| health.seen(id, at(50)));
    health.answered(at(60));
    health.failed(&ids[0], refused(), at(61));
    health.failed(&ids[0], refused(), at(65));
    assert_eq!(health.confirmed(at(100)), Some(at(50)));
    health.answered(at(66));
    assert_eq!(told(&health, 62), [""; 0], "it is given time to mend");
    let said = told(&health, 70);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].starts_with("api server: ConfigMap: cannot be watched since 13:47:41 UTC: connection refused"),
        "{said:?}"
    );
    assert!(said[0].ends_with("the last snapshot stays in force"), "{said:?}");
    health.seen(&ids[0], at(71));
    assert_eq!((told(&health, 80), health.confirmed(at(80))), (vec![], Some(at(66))));
}

#[test]
fn a_server_that_is_away_is_one_problem() {
    let (mut health, ids) = whole();
    ids.iter().for_each(|id| health.failed(id, refused(), at(10)));
    health.unanswered(refused(), at(10));
    let said = told(&health, 20);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("api server: does not answer since 13:46:50 UTC: connection refused; "), "{said:?}");
    assert_eq!(health.confirmed(at(20)), Some(at(0)));
    assert!(health.problems(false, at(20))[0].next_step.ends_with("nothing is in force before it was read"));
}

#[test]
fn a_refusal_is_said_at_once_with_what_to_do() {
    let (mut health, ids) = whole();
    let pods = ids.iter().find(|id| &*id.kind == "Pod").unwrap();
    health.failed(pods, Failure::Refused { code: 403, message: "forbidden".to_owned() }, at(1));
    let said = told(&health, 1);
    assert!(
        said[0].contains("refused with status 403: forbidden; give the agent's service account get, list"),
        "{said:?}"
    );
    health.failed(pods, Failure::Refused { code: 404, message: String::new() }, at(2));
    assert!(health.is_absent(pods) && !health.is_absent(&ids[0]));
}
