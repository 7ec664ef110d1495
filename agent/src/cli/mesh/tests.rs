//! Which place is meant.

use std::path::Path;

use super::{Answers, Place, Where};
use crate::cli::{
    ApiServerArgs,
    client::{Agent, Answer},
    transport::Transport,
};

fn place<'a>(asked: &'a Where, kubeconfig: bool, agents_here: bool) -> Place<'a> {
    asked.place(kubeconfig, |folder| {
        assert_eq!(folder, Path::new("/run/weft"));
        agents_here
    })
}

#[test]
fn what_is_named_counts_then_what_is_here() {
    let nothing = Where::default();
    assert_eq!(place(&nothing, false, true), Place::Machine(Path::new("/run/weft")));
    assert_eq!(place(&nothing, false, false), Place::Cluster);
    assert_eq!(place(&nothing, true, true), Place::Cluster, "KUBECONFIG names a cluster");
    let folder = Where { state_dir: Some("state".into()), ..Where::default() };
    assert_eq!(place(&folder, true, true), Place::Machine(Path::new("state")));
    let cluster = ApiServerArgs { context: Some("c".to_owned()), kubeconfig: None };
    let both = Where { cluster, ..folder };
    assert_eq!(place(&both, false, true), Place::Cluster, "WEFT_STATE_DIR may be set for other reasons");
}

#[test]
fn an_answer_of_another_version_is_said_and_the_others_count() {
    let answer = |node: &str, body: &str| {
        let agent = Agent { node: node.to_owned(), transport: Transport::Unix("socket".into()) };
        (agent, Answer { status: http::StatusCode::OK, body: body.to_owned() })
    };
    let said = Answers {
        answers: vec![answer("a", "7"), answer("b", "seven")],
        refusals: vec![("c".to_owned(), "no".to_owned())],
        silent: vec!["d is away".to_owned()],
    };
    let parsed = said.parsed::<u32>();
    assert_eq!(parsed.answers.iter().map(|(agent, value)| (&*agent.node, *value)).collect::<Vec<_>>(), [("a", 7)]);
    let complaints = parsed.complaints();
    assert_eq!(complaints[..2], ["agent of node c: no", "d is away"]);
    assert!(complaints[2].starts_with("the agent of node b is of another version: "), "{complaints:?}");
}
