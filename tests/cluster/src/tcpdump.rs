//! tcpdump in a container, usually an ephemeral one: what is readable on a device of the pod.

use anyhow::{Context, Result, ensure};
use weft_scenario::{PATIENCE, try_eventually};

use crate::container::Container;

/// Packets to `$1` of device `$2` that fit `$3`, for at most ten minutes; each when it comes, not by the bufferful.
const START: &str = r#"
timeout 600 tcpdump --immediate-mode -l -A -n -s 0 -i "$2" "$3" >"$1" 2>"$1.said" </dev/null &
echo $! >"$1.pid"
"#;
/// Gives the last packets a moment, ends it, and waits for its last word.
const FINISH: &str = r#"
sleep 0.3
kill -INT "$(cat "$1.pid")"
i=0
until grep -q 'dropped by kernel' "$1.said" || [ "$i" -ge 50 ]; do sleep 0.1; i=$((i + 1)); done
cat "$1"
"#;

/// A running tcpdump.
#[derive(Debug)]
pub struct Tcpdump {
    container: Container,
    file: String,
}

impl Container {
    /// `tcpdump -i DEVICE FILTER`, from now on; for instance `eth0` and `tcp port 80`.
    pub fn tcpdump(&self, device: &str, filter: &str) -> Result<Tcpdump> {
        let file = format!("/tmp/tcpdump-{:08x}", fastrand::u32(..));
        self.shell(START, &[&file, device, filter])?;
        try_eventually(PATIENCE, || {
            let said = self.shell(r#"cat "$1.said""#, &[&file])?;
            ensure!(said.contains("listening on"), "tcpdump on {device} in {}: {said}", self.pod());
            Ok(())
        })?;
        Ok(Tcpdump { container: self.clone(), file })
    }
}

impl Tcpdump {
    /// Ends it, and returns how many packets it saw and what is readable in them.
    pub fn finish(self) -> Result<(usize, String)> {
        let text = self.container.shell(FINISH, &[&self.file])?;
        let said = self.container.shell(r#"cat "$1.said""#, &[&self.file])?;
        let count = said.lines().find_map(|line| line.strip_suffix(" packets captured")?.trim().parse().ok());
        Ok((count.with_context(|| format!("tcpdump does not say how many packets it saw: {said}"))?, text))
    }
}
