//! The API server stopped for a minute: traffic flows, policy holds, and what changed meanwhile applies when it is back.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_cluster_tests::{FailureKind, Namespace, Observer, PATIENCE, alone, eventually, nodes, rig};

use super::{RATE, Town, figure};

/// How long it stays away.
const AWAY: Duration = Duration::from_secs(60);

/// What the agent says of itself on the node, every five seconds for two minutes: readiness, and the age of its picture of the cluster.
const DIARY: &str = r#"
(
  for i in $(seq 24); do
    curl -s -m 3 --unix-socket "$(ls /node/run/weft/*.sock | head -n 1)" -o /dev/null -w 'ready %{http_code}\n' http://agent/ready
    curl -s -m 3 --unix-socket "$(ls /node/run/weft/*.sock | head -n 1)" http://agent/status |
      sed -n 's/.*"read_seconds_ago": *\([0-9]*\).*/age \1/p'
    sleep 5
  done
) >/tmp/diary 2>&1 </dev/null &
"#;

#[test]
fn traffic_flows_without_an_api_server() -> Result<()> {
    let _alone = alone();
    let town = Town::enrolled("api-server")?;
    town.strict_inside()?;
    let look = Namespace::plain("api-server-observer")?;
    let observer = Observer::start(&look)?;
    for node in nodes()? {
        observer.on(&node.name)?.shell(DIARY, &[])?;
    }
    let held = town.client.hold("lines", 9000)?;
    let inside = town.client.load("http://name:5000/", 20)?;
    let load = town.sentences.load(RATE);
    let stopped = rig::stop_api_server()?;
    std::thread::sleep(AWAY);
    let failed = figure("API server away for a minute", &load.finish());
    rig::start_api_server(stopped)?;
    let inside = inside.finish()?;
    let refused = inside.results.len() - inside.count(|response| response.status == 200);
    assert_eq!((failed, refused), (0, 0), "from inside: {:?}", inside.summary());
    assert!(held.finish()? > 300, "a connection stayed open for the whole minute");

    // An agent goes on with its last picture, says how old that is, and stays ready.
    for node in nodes()? {
        let diary = observer.on(&node.name)?.shell("cat /tmp/diary", &[])?;
        let words = |what: &str| diary.lines().filter_map(|line| line.strip_prefix(what)).collect::<Vec<_>>().join(" ");
        let (ready, ages) = (words("ready "), words("age "));
        println!("figure: API server away: {} was {ready}, ages {ages}", node.name);
        assert!(!ready.is_empty() && ready.split(' ').all(|status| status == "200"), "{}: {diary}", node.name);
        let oldest = ages.split(' ').filter_map(|age| age.parse::<u64>().ok()).max();
        assert!(oldest >= Some(AWAY.as_secs() / 2), "{} does not say how old its picture is: {diary}", node.name);
    }

    // `weft check` says again that all is well, and a change applies. Agents reach the API server by its Service, whose
    // rules kube-proxy mends when it has reached it itself: it waits up to half a minute between attempts.
    eventually(4 * PATIENCE, || {
        let check = rig::weft(&["check"])?;
        ensure!(check.code == 0 && !check.stdout.contains("WARN"), "weft check: {} {}", check.stdout, check.stderr);
        Ok(())
    });
    town.namespace.apply(weft_cluster_tests::manifests::STRICT)?;
    eventually(PATIENCE, || {
        let kind = town.sentences.get().map(|response| response.status).map_err(|failure| failure.kind);
        ensure!(kind == Err(FailureKind::Reset), "strict for all does not apply: {kind:?}");
        Ok(())
    });
    look.passed()?;
    town.namespace.passed()
}
