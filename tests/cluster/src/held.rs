//! A TCP connection from a pod that stays open while a scenario does something else: numbered lines out, the same lines back.
//!
//! The server echoes (`manifests::ECHO`). Like a load, it runs detached from kubectl.

use anyhow::{Result, ensure};
use weft_scenario::{PATIENCE, eventually, try_eventually};

use crate::container::Container;

/// Lines at most, ten a second: a quarter of an hour.
const LIMIT: &str = "9000";

/// Folder $1, host $2, port $3, lines at most $4.
const START: &str = r#"
mkdir "$1"
trap '' PIPE
(
  exec 3<>"/dev/tcp/$2/$3" || { echo "not opened" >"$1/end"; exit; }
  n=0
  while [ "$n" -lt "$4" ] && [ ! -e "$1/stop" ]; do
    echo "line $n" >&3 || break
    IFS= read -r -t 10 line <&3 || break
    [ "$line" = "line $n" ] || break
    n=$((n + 1)); echo "$n" >"$1/next"; mv "$1/next" "$1/count"
    sleep 0.1
  done
  if [ -e "$1/stop" ]; then echo whole >"$1/end"; else echo "broken after $n lines" >"$1/end"; fi
) >/dev/null 2>&1 </dev/null &
"#;

/// The open connection.
#[derive(Debug)]
pub struct HeldConnection {
    container: Container,
    folder: String,
}

impl Container {
    /// Opens a connection to an echo server, and waits until the first lines have come back.
    pub fn hold(&self, host: &str, port: u16) -> Result<HeldConnection> {
        let folder = format!("/tmp/held-{:08x}", fastrand::u32(..));
        let command = ["bash", "-c", START, "bash", &folder, host, &port.to_string(), LIMIT];
        self.exec(&command)?.success("holding a connection")?;
        let held = HeldConnection { container: self.clone(), folder };
        try_eventually(PATIENCE, || {
            let lines = held.lines()?;
            ensure!(lines >= 3, "{lines} lines came back");
            Ok(())
        })?;
        Ok(held)
    }
}

impl HeldConnection {
    /// How many lines have come back; an error when the connection is broken.
    pub fn lines(&self) -> Result<u64> {
        let script = r#"cat "$1/end" 2>/dev/null || cat "$1/count" 2>/dev/null || echo 0"#;
        let said = self.container.shell(script, &[&self.folder])?;
        let lines = said.trim().parse().ok();
        ensure!(lines.is_some(), "the connection from {}: {}", self.container.pod(), said.trim());
        Ok(lines.unwrap_or_default())
    }

    /// Panics unless the connection still works: lines sent from now on come back.
    #[track_caller]
    pub fn assert_works(&self) {
        let before = self.lines().unwrap_or_else(|error| panic!("{error:#}"));
        eventually(PATIENCE, || {
            let now = self.lines()?;
            ensure!(now >= before + 3, "{now} lines came back, {before} of them before");
            Ok(())
        });
    }

    /// Ends it in order, and returns how many lines came back; an error when it was broken.
    pub fn finish(self) -> Result<u64> {
        let lines = self.lines()?;
        self.container.shell(r#": >"$1/stop""#, &[&self.folder])?;
        try_eventually(PATIENCE, || {
            let end = self.container.shell(r#"cat "$1/end" 2>/dev/null || true"#, &[&self.folder])?;
            ensure!(end.trim() == "whole", "the connection from {}: {}", self.container.pod(), end.trim());
            Ok(lines)
        })
    }
}
