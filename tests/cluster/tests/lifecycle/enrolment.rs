//! Running pods join and leave the mesh by a label: open connections go on, new ones are captured or are not, and no request fails.

use std::time::Duration;

use anyhow::{Result, ensure};
use weft_cluster_tests::{Namespace, PATIENCE, alone, eventually};

use super::{RATE, Town, figure};

#[test]
fn running_pods_join_and_leave_without_breaking_a_connection() -> Result<()> {
    let _alone = alone();
    let town = Town::build(Namespace::plain("enrolment")?)?;
    let look = Namespace::plain("enrolment-outside")?;
    let outside = look.multitool()?;
    let pods = town.namespace.pods("app=sentences")?;
    let name = town.namespace.pod("mode=name")?;
    let before = town.client.hold("lines", 9000)?;

    let load = town.sentences.load(RATE);
    town.namespace.enrol()?;
    for pod in &pods {
        eventually(PATIENCE, || outside.ensure_captured(pod, true));
        assert_eq!(pod.restarts()?, 0, "{} was restarted", pod.pod());
    }
    eventually(PATIENCE, || {
        ensure!(town.client.is_captured()?, "the client is not in the mesh");
        Ok(())
    });
    // New connections are proved; the open one is as it was.
    eventually(PATIENCE, || {
        let labels = [("reporter", "destination"), ("connection_security_policy", "mutual_tls")];
        let proved = outside.mesh_page(&name)?.requests(&labels);
        ensure!(proved > 0.0, "no proved request at name yet");
        Ok(())
    });
    before.assert_works();
    let during = town.client.hold("lines", 9000)?;
    std::thread::sleep(Duration::from_secs(2));
    let joining = figure("running pods join", &load.finish());

    let load = town.sentences.load(RATE);
    town.namespace.un_enrol()?;
    for pod in &pods {
        eventually(PATIENCE, || outside.ensure_captured(pod, false));
    }
    before.assert_works();
    during.assert_works();
    std::thread::sleep(Duration::from_secs(2));
    let leaving = figure("running pods leave", &load.finish());
    assert_eq!((joining, leaving), (0, 0));
    println!(
        "figure: lines over a connection from before: {}, over one from inside the mesh: {}",
        before.finish()?,
        during.finish()?
    );
    look.passed()?;
    town.namespace.passed()
}
