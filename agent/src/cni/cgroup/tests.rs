//! The forms of `/proc/<pid>/cgroup` that kubelets, runtimes and kernels make.

use super::pod_uid;

const UID: &str = "1f2e3d4c-5b6a-4798-8697-a5b4c3d2e1f0";
const SLICE: &str = "1f2e3d4c_5b6a_4798_8697_a5b4c3d2e1f0";
const CONTAINER: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn found(text: &str) -> Option<String> {
    pod_uid(&text.replace("UID", UID).replace("SLICE", SLICE).replace("CONTAINER", CONTAINER))
}

#[track_caller]
fn is_pod(text: &str) {
    assert_eq!(found(text).as_deref(), Some(UID), "{text}");
}

#[test]
fn cgroup_v2_with_the_systemd_driver() {
    is_pod(
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSLICE.slice/cri-containerd-CONTAINER.scope\n",
    );
    is_pod("0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podSLICE.slice/crio-CONTAINER.scope");
    is_pod("0::/kubepods.slice/kubepods-podSLICE.slice/docker-CONTAINER.scope\n");
    is_pod("0::/kubepods.slice/kubepods-podSLICE.slice/cri-containerd-CONTAINER.scope/init.scope\n");
    // kind gives the kubelet a root of its own.
    is_pod(
        "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-podSLICE.slice/cri-containerd-CONTAINER.scope\n",
    );
}

#[test]
fn cgroup_v2_with_the_cgroupfs_driver() {
    is_pod("0::/kubepods/burstable/podUID/CONTAINER\n");
    is_pod("0::/kubepods/podUID/CONTAINER\n");
    is_pod("0::/kubepods/besteffort/podUID/crio-CONTAINER\n");
    is_pod("0::/system.slice/docker-CONTAINER.scope/kubelet/kubepods/burstable/podUID/CONTAINER\n");
    is_pod("0::/kubepods/burstable/podUID\n");
}

#[test]
fn cgroup_v1() {
    is_pod(
        "12:pids:/kubepods/burstable/podUID/CONTAINER\n11:cpu,cpuacct:/kubepods/burstable/podUID/CONTAINER\n\
         1:name=systemd:/kubepods/burstable/podUID/CONTAINER\n",
    );
    is_pod(
        "3:memory:/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSLICE.slice/cri-containerd-CONTAINER.scope\n",
    );
    // A kubelet with the systemd driver above a runtime without it: what was meant for systemd becomes a name.
    is_pod("5:devices:/system.slice/containerd.service/kubepods-burstable-podSLICE.slice:cri-containerd:CONTAINER\n");
}

#[test]
fn hybrid_where_the_v2_line_says_nothing() {
    is_pod(
        "9:memory:/kubepods/besteffort/podUID/CONTAINER\n1:name=systemd:/kubepods/besteffort/podUID/CONTAINER\n0::/\n",
    );
    is_pod("0::/system.slice/containerd.service\n4:freezer:/kubepods/podUID/CONTAINER\n");
}

#[test]
fn from_inside_a_cgroup_namespace() {
    is_pod("0::/../../podUID/CONTAINER\n");
    is_pod("0::/../../../besteffort/podUID/CONTAINER\n");
    is_pod("0::/../../kubepods-burstable-podSLICE.slice/cri-containerd-CONTAINER.scope\n");
}

#[test]
fn static_pods_have_a_hash_for_a_uid() {
    let hash = "9a1f3c5e7b2d4f6a8c0e1d3b5f7a9c2e";
    for path in [
        format!("0::/kubepods/burstable/pod{hash}/CONTAINER"),
        format!("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{hash}.slice/crio-CONTAINER.scope"),
    ] {
        assert_eq!(found(&path).as_deref(), Some(hash), "{path}");
    }
}

#[test]
fn a_containers_own_cgroups_do_not_rename_its_pod() {
    let other = "00000000-0000-0000-0000-000000000001";
    is_pod(&format!("0::/kubepods/burstable/podUID/CONTAINER/kubepods/pod{other}/x"));
    is_pod(&format!("0::/../../podUID/CONTAINER/pod{other}"));
}

#[test]
fn hierarchies_that_disagree_belong_to_nobody() {
    let other = "00000000-0000-0000-0000-000000000001";
    assert_eq!(found(&format!("2:memory:/kubepods/podUID/a\n1:cpu:/kubepods/pod{other}/b\n")), None);
}

#[test]
fn what_is_no_pod() {
    for text in [
        "",
        "\n",
        "0::/\n",
        "0::/system.slice/containerd.service\n",
        "0::/kubepods.slice/kubepods-burstable.slice\n",
        "0::/user.slice/user-1000.slice/podman-UID.scope\n",
        "0::/kubepods/burstable/pod1234/CONTAINER\n",
        "0::/kubepods/burstable/podUIDx/CONTAINER\n",
        "0::/machine.slice/libpod-CONTAINER.scope\n",
        "0::/kubepods/besteffort/podUID-/CONTAINER\n",
        "no colons at all",
    ] {
        assert_eq!(found(text), None, "{text}");
    }
}
