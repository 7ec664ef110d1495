//! The API server stopped for a minute: traffic flows, policy holds, and what changed meanwhile applies when it is back.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weft_cluster_tests::{FailureKind, PATIENCE, agent_on, alone, curl_here, eventually, nodes, rig};

use super::{RATE, Town, figure};

/// How long it stays away.
const AWAY: Duration = Duration::from_secs(60);

#[test]
fn traffic_flows_without_an_api_server() -> Result<()> {
    let _alone = alone();
    let town = Town::enrolled("api-server")?;
    town.strict_inside()?;
    let agents = nodes()?.iter().map(|node| Ok(agent_on(&node.name)?.ip())).collect::<Result<Vec<_>>>()?;
    let held = town.client.hold("lines", 9000)?;
    let inside = town.client.load("http://name:5000/", 20)?;
    let load = town.sentences.load(RATE);
    let stopped = rig::stop_api_server()?;
    let since = Instant::now();
    // What an agent says of itself needs no API server: it knows how old its picture of the cluster is.
    std::thread::sleep(AWAY / 2);
    for agent in agents {
        let said = curl_here(&[&format!("http://{agent}:15021/ready")])?;
        assert_eq!((said.exit, said.status), (0, 200), "an agent is ready with its last picture: {said:?}");
    }
    std::thread::sleep(AWAY.saturating_sub(since.elapsed()));
    let failed = figure("API server away for a minute", &load.finish());
    rig::start_api_server(stopped)?;
    let inside = inside.finish()?;
    let refused = inside.results.len() - inside.count(|response| response.status == 200);
    assert_eq!((failed, refused), (0, 0), "from inside: {:?}", inside.summary());
    assert!(held.finish()? > 300, "a connection stayed open for the whole minute");

    // `weft status` says again that all is well, and a change applies.
    eventually(PATIENCE, || {
        let status = rig::weft(&["status"])?;
        ensure!(status.code == 0, "weft status: {} {}", status.stdout, status.stderr);
        Ok(())
    });
    town.namespace.apply(weft_cluster_tests::manifests::STRICT)?;
    eventually(PATIENCE, || {
        let kind = town.sentences.get().map(|response| response.status).map_err(|failure| failure.kind);
        ensure!(kind == Err(FailureKind::Reset), "strict for all does not apply: {kind:?}");
        Ok(())
    });
    town.namespace.passed()
}
