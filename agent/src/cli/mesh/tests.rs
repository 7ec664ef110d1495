//! Which place is meant.

use std::path::Path;

use super::{Place, Where};
use crate::cli::ApiServerArgs;

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
