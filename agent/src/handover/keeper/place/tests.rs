//! Which mounts are hierarchies of cgroups.

use super::*;

#[test]
fn every_hierarchy_is_found_once() {
    let text = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime shared:4 - cgroup cgroup rw,cpuset
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime master:3 propagate_from:2 - cgroup2 cgroup2 rw
90 80 0:31 /kubepods/pod1 /var/lib/x/cpuset rw - cgroup cgroup rw,cpuset
91 80 0:99 / /proc rw - proc proc rw
nonsense
";
    let hierarchy = |path: &str, is_v1| Hierarchy { path: path.into(), is_v1 };
    let expected = [hierarchy("/sys/fs/cgroup/cpuset", true), hierarchy("/sys/fs/cgroup/unified", false)];
    assert_eq!(mounted(text), expected);
}
