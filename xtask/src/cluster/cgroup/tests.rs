//! Reading the mount table of the three kinds of machine.

use super::*;

fn v1(path: &str, options: &str) -> Hierarchy {
    Hierarchy { mount_point: PathBuf::from(path), kind: Kind::V1(options.to_owned()) }
}

#[test]
fn version_1_beside_version_2() {
    let mounts = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
        cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0\n\
        cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,xattr,release_agent=/x,name=systemd 0 0\n\
        cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n\
        cgroup /somewhere/else cgroup rw,pids 0 0\n";
    let unified = Hierarchy { mount_point: PathBuf::from("/sys/fs/cgroup/unified"), kind: Kind::V2 };
    let expected =
        [v1("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct"), v1("/sys/fs/cgroup/systemd", "none,name=systemd"), unified];
    assert_eq!(parse(mounts), expected);
}

#[test]
fn version_2_alone() {
    let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid,nodev,noexec,relatime,nsdelegate 0 0\n";
    assert_eq!(parse(mounts), [Hierarchy { mount_point: PathBuf::from(ROOT), kind: Kind::V2 }]);
}
