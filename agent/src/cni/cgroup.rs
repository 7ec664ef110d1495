//! From a process' cgroups to its pod: the kubelet names them after the pod, whatever driver and hierarchy it uses.
//!
//! | cgroup driver | name of a pod's cgroup |
//! |---|---|
//! | cgroupfs | `kubepods/burstable/pod<uid>/<container>`, `kubepods/pod<uid>/<container>` for guaranteed pods |
//! | systemd | `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<uid>.slice/cri-containerd-<container>.scope`, with `_` for `-` in the uid |
//!
//! In front of it may stand anything: a root that the kubelet was given, the cgroup of an emulated node, or `/../..`
//! where the reader is in a cgroup namespace of its own and sees its neighbours from there.

/// The uid of the pod that a process with this `/proc/<pid>/cgroup` belongs to.
///
/// `None` also when its hierarchies name different pods: whoever made it so, nobody can say whose it is. A pod
/// that runs containers of its own below its cgroup can name them as it likes; hence the first name on the way counts.
pub fn pod_uid(cgroup: &str) -> Option<String> {
    let mut found: Option<String> = None;
    for uid in cgroup.lines().filter_map(|line| pod_of_path(path(line)?)) {
        match &found {
            Some(other) if *other != uid => return None,
            _ => found = Some(uid),
        }
    }
    found
}

/// Path of a line `hierarchy:controllers:path` (cgroups(7)). It may hold colons itself.
fn path(line: &str) -> Option<&str> {
    line.splitn(3, ':').nth(2)
}

fn pod_of_path(path: &str) -> Option<String> {
    path.split('/').find_map(pod_of_name)
}

/// The pod that one folder of a path is named after.
fn pod_of_name(name: &str) -> Option<String> {
    // `<slice>:<runtime>:<container>`, as a runtime without the systemd driver takes the kubelet's words for a name.
    let name = name.split_once(':').map_or(name, |(slice, _)| slice);
    let uid = match name.strip_suffix(".slice") {
        // `-` separates the levels of a slice's name, so systemd's driver writes the uid's own as `_`.
        Some(slice) => slice.rsplit_once("-pod")?.1.replace('_', "-"),
        None => name.strip_prefix("pod")?.to_owned(),
    };
    is_uid(&uid).then_some(uid)
}

/// A UUID (8-4-4-4-12 digits), or the 32 digits by which the kubelet knows a static pod.
fn is_uid(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    text.split('-').all(is_hex) && matches!(lengths[..], [8, 4, 4, 4, 12] | [32])
}

#[cfg(test)]
mod tests;
