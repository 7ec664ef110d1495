//! Agents that go: deleted, replaced, upgraded, killed. Nobody's requests fail for it, and nothing is left unprotected meanwhile.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weft_cluster_tests::{
    AGENT, Namespace, Observer, PATIENCE, SYSTEM, agent_on, alone, eventually, kubectl, nodes, system_pods,
    wait_rollout_of,
};

use super::{RATE, Town, figure};

/// A moment of quiet before and after.
const MOMENT: Duration = Duration::from_secs(3);
/// Requests that two deaths may cost: a fifth of a second's, each time.
const LOST_MAX: usize = 2 * RATE as usize / 5;
const DAEMON_SET: &str = "daemonset/weft-agent";
const IMAGE: &str = "ghcr.io/weft-mesh/weft";

/// Waits until every node has one agent, and that one is ready.
fn wait_for_agents() -> Result<()> {
    wait_rollout_of(DAEMON_SET)?;
    let wanted = nodes()?.len();
    eventually(PATIENCE, || {
        let now = system_pods(AGENT)?.len();
        ensure!(now == wanted, "{now} agents on {wanted} nodes");
        Ok(())
    });
    Ok(())
}

#[test]
fn an_agent_that_is_deleted_fails_no_request() -> Result<()> {
    let _alone = alone();
    let town = Town::enrolled("agent-deleted")?;
    town.strict_inside()?;
    let (load, inside) = (town.sentences.load(RATE), town.client.load("http://name:5000/", 20)?);
    std::thread::sleep(MOMENT);
    for node in nodes()? {
        let before = agent_on(&node.name)?;
        before.delete()?;
        eventually(PATIENCE, || {
            let now = agent_on(&node.name)?;
            ensure!(now.pod() != before.pod(), "no other agent on {} yet", node.name);
            Ok(())
        });
        wait_for_agents()?;
        std::thread::sleep(MOMENT);
    }
    let (answers, inside) = (load.finish(), inside.finish()?);
    let failed = figure("agent pods deleted one after the other", &answers);
    let refused = inside.results.len() - inside.count(|response| response.status == 200);
    println!(
        "figure: the same, from inside: {refused} of {} requests failed: {:?}",
        inside.results.len(),
        inside.summary()
    );
    assert_eq!((failed, refused), (0, 0), "{:?} {:?}", answers.summary(), inside.summary());
    town.namespace.passed()
}

#[test]
fn a_rolling_restart_and_an_upgrade_fail_no_request() -> Result<()> {
    let _alone = alone();
    let town = Town::enrolled("agent-rollout")?;
    town.strict_inside()?;
    let load = town.sentences.load(RATE);
    kubectl(&["--namespace", SYSTEM, "rollout", "restart", DAEMON_SET])?;
    wait_for_agents()?;
    std::thread::sleep(MOMENT);
    let answers = load.finish();
    let restart = figure("rolling restart of the agents", &answers);

    // Another image, as an upgrade has, and back. The rig pushes one under two tags.
    let object = weft_cluster_tests::object(&["--namespace", SYSTEM, "get", DAEMON_SET])?;
    let container = &object["spec"]["template"]["spec"]["containers"][0];
    let (name, image) =
        (container["name"].as_str().context("a name")?, container["image"].as_str().context("an image")?);
    let other = if image.ends_with(":latest") { format!("{IMAGE}:0.1.0") } else { format!("{IMAGE}:latest") };
    let load = town.sentences.load(RATE);
    for image in [other.as_str(), image] {
        kubectl(&["--namespace", SYSTEM, "set", "image", DAEMON_SET, &format!("{name}={image}")])?;
        wait_for_agents()?;
    }
    std::thread::sleep(MOMENT);
    let upgrade = figure("agents upgraded to another image and back", &load.finish());
    assert_eq!((restart, upgrade), (0, 0));
    town.namespace.passed()
}

/// A crash is not announced: it costs what was under way in that moment. What begins later waits in the keeper's listeners.
#[test]
fn an_agent_that_is_killed_is_soon_back() -> Result<()> {
    let _alone = alone();
    let town = Town::enrolled("agent-killed")?;
    let look = Namespace::plain("agent-observer")?;
    let observer = Observer::start(&look)?;
    let load = town.sentences.load(RATE);
    std::thread::sleep(MOMENT);
    for node in nodes()? {
        let before = agent_on(&node.name)?.restarts()?;
        // The agent alone: the keeper of its listeners lives on, as after any crash.
        let kill = r#"
for p in /proc/[0-9]*; do
  case "$(readlink "$p/exe") $(tr '\0' ' ' <"$p/cmdline")" in */weft\ *weft\ agent*) kill -KILL "${p#/proc/}";; esac
done"#;
        observer.on(&node.name)?.shell(kill, &[])?;
        eventually(PATIENCE, || {
            let now = agent_on(&node.name)?.restarts()?;
            ensure!(now > before, "the agent of {} has not been started again", node.name);
            Ok(())
        });
    }
    wait_for_agents()?;
    let failed = figure("agents killed with SIGKILL", &load.finish());
    assert!(failed <= LOST_MAX, "{failed} requests failed: more than were under way when an agent died");
    eventually(PATIENCE, || {
        let answers = town.sentences.get_many(&[], 50);
        ensure!(super::figure("after the agents came back", &answers) == 0);
        Ok(())
    });
    look.passed()?;
    town.namespace.passed()
}
