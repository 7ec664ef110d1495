//! A tour of the metrics: what a pod's page and its annotations say outside the mesh, in it, and merged.

use anyhow::{Context, Result, ensure};
use weft_cluster_tests::manifests::{METRICS, pinned, without};
use weft_cluster_tests::{APPLIES, Metrics, Namespace, NodePort, Pod, eventually, two_nodes};

/// Requests that the mesh counted at the server, and those the application counted.
fn counts(page: &Metrics) -> (f64, f64) {
    (page.requests(&[("reporter", "destination")]), page.sum("sentence_requests_total", &[("type", "name")]))
}

/// Where the annotations of a pod send Prometheus: scrape, port, path.
fn scrape(pod: &Pod) -> Result<[String; 3]> {
    let annotations = pod.object()?["metadata"]["annotations"].clone();
    let value = |name: &str| annotations[name].as_str().unwrap_or_default().to_owned();
    Ok([value("prometheus.io/scrape"), value("prometheus.io/port"), value("prometheus.io/path")])
}

struct Tour {
    namespace: Namespace,
    /// Where Prometheus may be: in the mesh and outside of it.
    scrapers: [Pod; 2],
    manifest: String,
}

impl Tour {
    /// `kubectl apply`, through a `grep -v` of these words.
    fn deploy(&self, words: &[&str]) -> Result<(NodePort, Pod)> {
        self.namespace.apply(&without(&self.manifest, words))?;
        self.namespace.wait_rollout()?;
        Ok((self.namespace.node_port("sentences", 5000)?, self.namespace.pod("mode=name")?))
    }

    /// The page of a pod as both scrapers see it: they see the same counts.
    fn page(&self, pod: &Pod) -> Result<Metrics> {
        let [inside, outside] = &self.scrapers;
        let (page, other) = (inside.mesh_page(pod)?, outside.mesh_page(pod)?);
        ensure!(counts(&page) == counts(&other), "{:?} inside the mesh, {:?} outside", counts(&page), counts(&other));
        Ok(page)
    }

    fn wait_for(&self, pod: &Pod, wanted: (f64, f64)) -> Metrics {
        eventually(APPLIES, || {
            let page = self.page(pod)?;
            ensure!(counts(&page) == wanted, "{:?} requests, {wanted:?} wanted", counts(&page));
            Ok(page)
        })
    }
}

#[test]
fn the_tour() -> Result<()> {
    let (namespace, outside) = (Namespace::enrolled("k07")?, Namespace::plain("k07-outside")?);
    let [here, there] = two_nodes()?;
    let scrapers = [namespace.multitool()?, outside.multitool()?];
    let manifest = pinned(&pinned(METRICS, "mode: sentence", &here.name), "mode: name", &there.name);
    let tour = Tour { namespace, scrapers, manifest };

    // Outside the mesh: the application's own page, and no other.
    let (sentences, name) = tour.deploy(&[])?;
    sentences.get_many(&[], 20).assert_sentences();
    let own = tour.namespace.node_port("name", 8000)?.get()?;
    assert_eq!(counts(&Metrics::parse(&own.text())?), (0.0, 20.0));
    for scraper in &tour.scrapers {
        scraper.ensure_captured(&name, false)?;
        assert_eq!(counts(&scraper.app_page(&name)?), (0.0, 20.0));
    }

    // In the mesh, not merged: the annotations as written, the mesh's series only.
    let (sentences, name) = tour.deploy(&["inject"])?;
    assert_eq!(scrape(&name)?, ["true", "8000", "/metrics"]);
    sentences.get_many(&[], 20).assert_sentences();
    let page = tour.wait_for(&name, (20.0, 0.0));
    let foreign = page.samples.iter().find(|sample| !sample.name.starts_with("istio_"));
    assert!(foreign.is_none(), "{foreign:?} on a page that is not merged");

    // Merged: the annotations lead to the mesh's page, and both have counted the same.
    let (sentences, name) = tour.deploy(&["inject", "merge-metrics"])?;
    assert_eq!(scrape(&name)?, ["true", "15020", "/stats/prometheus"]);
    let described = tour.namespace.kubectl(&["describe", "pod", "--selector", "mode=sentence"])?;
    let annotation = described.lines().any(|line| line.trim_start().ends_with("prometheus.io/port: 15020"));
    assert!(annotation, "{described}");
    sentences.get_many(&[], 20).assert_sentences();
    tour.wait_for(&name, (20.0, 20.0));
    sentences.get_many(&[], 200).assert_sentences();
    let page = tour.wait_for(&name, (220.0, 220.0));
    let host = format!("name.{}.svc.cluster.local", tour.namespace.name());
    let as_written = [
        ("response_code", "200"),
        ("source_workload", "sentences"),
        ("source_version", "unknown"),
        ("destination_workload", "name"),
        ("destination_version", "unknown"),
        ("destination_service", &*host),
        ("connection_security_policy", "mutual_tls"),
        ("request_protocol", "http"),
    ];
    assert_eq!(page.requests(&as_written), 220.0, "{:?}", page.matching("istio_requests_total", &[]));
    assert_eq!(page.requests(&[]), 220.0, "a page has its own pod's series only, and scrapes are no requests");
    // The client's side has the same edge once.
    let asking = tour.namespace.pod("mode=sentence")?;
    let client = tour.page(&asking).context("the page of sentences")?;
    assert_eq!(client.requests(&[("reporter", "source"), ("destination_workload", "name")]), 220.0);
    outside.passed()?;
    tour.namespace.passed()
}
