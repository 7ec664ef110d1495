use std::time::{Duration, SystemTime};

use super::{of_node, of_pod};
use crate::{
    cni::{install::Installed, server::Ability},
    ebpf::manager::CaptureState,
};

#[test]
fn a_node_is_ready_when_it_captures_and_holds() {
    let said = |ability: Ability, installed: Option<Installed>| {
        let condition = of_node(&ability, installed);
        (condition.is_true, condition.reason, condition.message)
    };
    let yes = || Some(Installed::Yes { file: "10-net.conflist".to_owned() });
    assert!(said(Ability::Captures, yes()).0);
    assert!(said(Ability::Captures, None).0);
    let (is_true, reason, message) =
        said(Ability::Captures, Some(Installed::Failed { reason: "read-only".to_owned() }));
    assert_eq!((is_true, reason), (false, "CniPluginNotInstalled"));
    assert!(message.contains("read-only"), "{message}");
    assert_eq!(said(Ability::Captures, Some(Installed::Waiting { reason: "x".to_owned() })).1, "CniPluginWaiting");
    let (is_true, reason, message) = said(Ability::Refuses("no cgroup2".to_owned()), yes());
    assert_eq!((is_true, reason), (false, "MachineUnsupported"));
    assert!(message.contains("may not start") && message.contains("no cgroup2"), "{message}");
    assert!(said(Ability::Skips("x".to_owned()), None).2.contains("outside of the mesh"));
}

#[test]
fn a_pods_condition_changes_only_with_what_it_says() {
    let proven = |seconds| CaptureState::Proven { at: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), netns: 1 };
    assert_eq!(of_pod("n", &proven(1)), of_pod("n", &proven(2)));
    let failed = of_pod("n", &CaptureState::Failed { reason: "no route".to_owned() });
    assert_eq!((failed.is_true, failed.reason, &*failed.message), (false, "NotCaptured", "no route"));
}
