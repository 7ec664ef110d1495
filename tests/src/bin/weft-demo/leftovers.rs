//! What of a cluster is still on the machine: nothing, or the demo has failed.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use weft_testbed::ClusterId;
use weft_testbed::cleanup::{self, BPF_DIR, CLUSTERS_DIR};

/// Network devices of the machine when the demo began.
static DEVICES: OnceLock<BTreeSet<String>> = OnceLock::new();

/// Notes what was there before, and says what is left when a signal ends the demo.
pub fn announce_at_signal() {
    DEVICES.get_or_init(devices);
    cleanup::at_signal(|removed| {
        let left: Vec<String> = removed.iter().flat_map(of).collect();
        // The terminal may be gone; there is nobody to tell then.
        let _ = writeln!(std::io::stdout(), "\nInterrupted. {}", sentence(&left));
    });
}

/// Everything of the cluster `id` that is left, one line each.
pub fn of(id: &ClusterId) -> Vec<String> {
    let id = id.to_string();
    let mut left = Vec::new();
    for (what, dir) in [("network namespace", "/run/netns"), ("folder", CLUSTERS_DIR), ("pins", BPF_DIR)] {
        left.extend(
            entries(Path::new(dir))
                .into_iter()
                .filter(|name| name.starts_with(&id))
                .map(|name| format!("{what} {name}")),
        );
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    left.extend(mounts.lines().filter(|line| line.contains(&id)).map(|line| format!("mount {line}")));
    let mark = format!("WEFT_TESTBED_CLUSTER={id}");
    let marked = |pid: &String| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
    };
    left.extend(entries(Path::new("/proc")).into_iter().filter(marked).map(|pid| format!("process {pid}")));
    left.extend(devices().difference(DEVICES.get_or_init(devices)).map(|name| format!("network device {name}")));
    left
}

/// In words.
pub fn sentence(left: &[String]) -> String {
    let what = if left.is_empty() { "nothing".to_owned() } else { left.join(", ") };
    format!("left behind: {what} (looked for namespaces, devices, pins, mounts, folders, processes)")
}

fn devices() -> BTreeSet<String> {
    entries(Path::new("/sys/class/net")).into_iter().collect()
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
