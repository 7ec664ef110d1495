//! Fuzz target: questions to the admin pages, as the query of a URL.

use std::sync::OnceLock;

use weft_model::{snapshot::Snapshot, testing::TestWorld};

use super::{explain::explain, query::Query, route::question};

static SNAPSHOT: OnceLock<Snapshot> = OnceLock::new();

/// What follows the `?` of `/explain`.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let query = Query::parse(text);
    let Ok(question) = question(&query) else { return };
    let snapshot = SNAPSHOT.get_or_init(snapshot);
    if let Ok(explanation) = explain(snapshot, &question) {
        let json = serde_json::to_string(&explanation).unwrap_or_default();
        assert_eq!(serde_json::from_str(&json).ok(), Some(explanation), "the answer changes on its way");
    }
}

fn snapshot() -> Snapshot {
    let mut world = TestWorld::new();
    world.pod("default", "a", "10.1.0.1", &[("app", "a")]);
    world.pod("default", "name-v1", "10.1.0.2", &[("app", "name"), ("version", "v1")]);
    world.pod("default", "name-v2", "10.1.0.3", &[("app", "name"), ("version", "v2")]).node = "node-b".into();
    world.service("default", "name", "10.96.0.10", &[(5000, 5000)], &[("app", "name")]);
    world.headless("default", "direct", &[(80, 80)], &[("app", "name")]);
    world.snapshot()
}
