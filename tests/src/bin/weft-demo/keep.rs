//! `--keep`: the cluster stays up, and a person is told how to play with it.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::canary::{self, URL};
use crate::show::Show;
use crate::town::Town;

/// Prints how, and stays until a signal ends the process.
pub fn stay(town: &Town, show: &Show) -> Result<()> {
    let dir = town.cluster.dir();
    let (client, state) = (town.client.pid()?, dir.join("state"));
    let ask = format!("nsenter -t {client} -n -m -u curl -s {URL}");
    show.line(&format!("\n{}", show.paint("It stays up. How to play, from another terminal (as root):", "1;36")));
    for (what, how) in [
        ("ask from a pod", ask.clone()),
        ("ask steadily", format!("while {ask}; do echo; sleep 0.3; done")),
        ("change the split", format!("edit the weights in {}", town.manifests().join(canary::FILE).display())),
        ("add a policy", format!("cp deploy/examples/mtls/strict.yaml {}/", town.manifests().display())),
        ("... and then", format!("nsenter -t {} -n -m -u curl -s http://name.default:5000/", town.stranger.pid()?)),
        ("access logs", format!("tail -f {}/agent-*.log", dir.join("logs").display())),
        (
            "metrics of a pod",
            format!("nsenter -t {client} -n curl -s http://{}:15020/stats/prometheus", town.pod("name-v1")?.ip()),
        ),
        ("state of a node", format!("curl -s --unix-socket {} http://agent/status", state.join("a.sock").display())),
    ] {
        show.line(&format!(" {what:17} {how}"));
    }
    let (weft, state) = (binary(), state.display());
    show.line(&format!(" {:17} export WEFT_STATE_DIR={state}", "with weft"));
    show.line(&format!(" {:17} {weft} status", ""));
    show.line(&format!(" {:17} {weft} logs --follow {}", "", town.pod("name-v1")?.name()));
    show.line(&format!(" {:17} {weft} explain --from {} --to {URL}", "", town.client.name()));
    show.line(" stop              Ctrl-C here; it takes everything away");
    loop {
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// What `weft <args>` prints about this cluster.
pub fn weft(town: &Town, args: &[&str]) -> Result<String> {
    let state = town.cluster.dir().join("state");
    let output = Command::new(binary()).args(args).arg("--state-dir").arg(state).output();
    let output = output.with_context(|| format!("running {}", binary()))?;
    ensure!(output.status.success(), "weft {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The mesh as the testbed finds it: `WEFT_BIN`, or what was built next to this program.
fn binary() -> String {
    let beside = || Some(std::env::current_exe().ok()?.with_file_name("weft").display().to_string());
    std::env::var("WEFT_BIN").ok().or_else(beside).unwrap_or_else(|| "weft".to_owned())
}
