//! Two hundred pods come and go: what agents and nodes hold for them goes with them.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use weft_cluster_tests::manifests::{STRICT, all, mirror};
use weft_cluster_tests::{Leftovers, Namespace, Observer, PATIENCE, alone, eventually, kubectl};

/// Pods at a time; a machine with two CPUs starts about two a second.
const PODS: usize = 40;
/// How often they come and go.
const ROUNDS: usize = 5;
/// Descriptors that an agent may hold more than before: connections to the API server and the like come and go.
const SLACK: u64 = 16;
/// Memory that an agent may hold more than after its first round: allocators keep what was free at once.
const MEMORY_KIB: u64 = 16 * 1024;

/// Pods that do nothing but are in the mesh.
fn crowd() -> String {
    mirror("crowd", "      terminationGracePeriodSeconds: 0\n")
        .replace("spec:\n  selector:\n    match", "spec:\n  replicas: 0\n  selector:\n    match")
}

#[test]
fn two_hundred_pods_leave_nothing_behind() -> Result<()> {
    let _alone = alone();
    let (namespace, look) = (Namespace::enrolled("churn")?, Namespace::plain("churn-observer")?);
    let observer = Observer::start(&look)?;
    namespace.apply(&all(&[STRICT, &crowd()]))?;
    let client = namespace.multitool()?;
    let round = || -> Result<()> {
        namespace.scale("deployment/crowd", PODS)?;
        eventually(PATIENCE, || {
            let status = client.status("http://crowd/")?;
            ensure!(status == 200, "the crowd answers {status}");
            Ok(())
        });
        namespace.scale("deployment/crowd", 0)?;
        namespace.wait_pods("app=crowd", 0);
        Ok(())
    };
    // The first round pays for what is kept on purpose: pools, caches, the allocator's own.
    let start = settled(&observer)?;
    round()?;
    let after_first = settled(&observer)?;
    for _ in 1..ROUNDS {
        round()?;
    }
    for (node, before) in &start {
        println!("figure: {node} before {} pods: {before:?}", PODS * ROUNDS);
    }
    eventually(PATIENCE, || {
        let now = observer.count()?;
        for (node, counts) in &now {
            println!("figure: {node} after {} pods: {counts:?}", PODS * ROUNDS);
            let (before, first) = (&start[node], &after_first[node]);
            for what in ["namespaces", "pins", "mounts", "threads"] {
                ensure!(counts[what] <= before[what], "{node}: {} {what}, {} before", counts[what], before[what]);
            }
            let (now, before) = (counts["descriptors"], before["descriptors"]);
            ensure!(now <= before + SLACK, "{node}: {now} descriptors, {before} before");
            let (now, first) = (counts["memory_kib"], first["memory_kib"]);
            ensure!(now <= first + MEMORY_KIB, "{node}: {now} KiB, {first} after the first round");
        }
        Ok(())
    });
    look.passed()?;
    namespace.passed()
}

/// What there is when nothing of other scenarios is on its way out and three looks in a row see the same.
fn settled(observer: &Observer) -> Result<BTreeMap<String, Leftovers>> {
    eventually(PATIENCE, || {
        let leaving = kubectl(&[
            "get",
            "namespaces",
            "--output",
            "jsonpath={.items[?(@.metadata.deletionTimestamp)].metadata.name}",
        ])?;
        ensure!(leaving.trim().is_empty(), "{leaving} are being deleted");
        Ok(())
    });
    let (mut last, mut alike) = (observer.count()?, 0);
    for _ in 0..30 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        let now = observer.count()?;
        let same = |what: &str| {
            now.iter().all(|(node, counts)| last.get(node).is_some_and(|l| l.get(what) == counts.get(what)))
        };
        alike = if ["namespaces", "pins", "descriptors"].into_iter().all(same) { alike + 1 } else { 0 };
        if alike == 2 {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}
