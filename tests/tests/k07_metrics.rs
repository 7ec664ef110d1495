//! A tour of the metrics: what a pod's page shows without the mesh, with it, and with the application's own numbers merged in.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use weft_testbed::{
    APPLIES, Cluster, FailureKind, Metrics, PATIENCE, Place, Pod, Sentences, eventually, sentences_service,
};

const INJECT: (&str, &str) = ("sidecar.istio.io/inject", "false");
const MERGE: (&str, &str) = ("prometheus.istio.io/merge-metrics", "false");

/// The application as the tour deploys it, `name` on `node` and all roles with these annotations and those for Prometheus.
fn app(node: &str, annotations: &[(&str, &str)]) -> String {
    let scrape = [("prometheus.io/scrape", "true"), ("prometheus.io/port", "8000"), ("prometheus.io/path", "/metrics")];
    let roles = ["sentence", "age", "name"].map(|mode| {
        // The image's own server answers in HTTP/1.0 and closes.
        let role = Sentences::new(mode).node(if mode == "name" { node } else { "a" }).env("SENTENCE_HTTP10", "true");
        annotations.iter().chain(&scrape).fold(role, |role, (name, value)| role.annotation(name, value)).yaml()
    });
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    let services = services.replace("type: ClusterIP", "type: NodePort").replace(", appProtocol: http", "");
    roles.concat() + &services
}

struct Rig {
    cluster: Cluster,
    /// Where Prometheus may be: in the mesh and outside of it, on both nodes.
    multitools: Vec<Pod>,
}

impl Rig {
    fn new(title: &str) -> Result<Self> {
        let cluster = Cluster::exercise(title)?;
        cluster.start_agents()?;
        let multitools = ["default", "legacy"].iter().flat_map(|namespace| {
            ["a", "b"]
                .map(|node| cluster.workload(&format!("multitool-{node}")).namespace(namespace).node(node).start())
        });
        let multitools = multitools.collect::<Result<_>>()?;
        Ok(Self { cluster, multitools })
    }

    fn deploy(&self, yaml: &str) -> Result<()> {
        self.cluster.apply(yaml)?;
        self.cluster.wait_captured(&["default"], PATIENCE)
    }

    fn pod(&self, deployment: &str) -> Pod {
        self.cluster.pods_of("default", deployment).remove(0)
    }

    /// The page of `name` as every multitool sees it: they all see the same counts.
    fn page(&self) -> Result<Metrics> {
        let url = format!("http://{}:15020/stats/prometheus", self.pod("name").ip());
        let mut pages = Vec::new();
        for place in &self.multitools {
            pages.push(fetch(place, &url).with_context(|| format!("from {}.{}", place.name(), place.namespace()))?);
        }
        let first = pages.swap_remove(0);
        let others = pages.iter().all(|page| counts(page) == counts(&first));
        ensure!(others, "{:?} and {:?}", counts(&first), pages.iter().map(counts).collect::<Vec<_>>());
        Ok(first)
    }

    fn ask(&self, count: usize) -> Result<()> {
        self.cluster.outside().get_many(&self.cluster.sentences_url()?, &[], count, 4).assert_sentences();
        Ok(())
    }
}

fn fetch(place: &Place, url: &str) -> Result<Metrics> {
    let response = place.get(url)?;
    ensure!(response.status == 200, "{}: {}", response.status, response.text());
    Metrics::parse(&response.text())
}

/// Requests that the mesh counted at the server, and those the application counted.
fn counts(page: &Metrics) -> (f64, f64) {
    (page.requests(&[("reporter", "destination")]), page.sum("sentence_requests_total", &[("type", "name")]))
}

fn tour(title: &str, node: &str) -> Result<()> {
    let rig = Rig::new(title)?;
    // Outside the mesh: the application's own page, and no other.
    rig.deploy(&app(node, &[INJECT, MERGE]))?;
    rig.ask(20)?;
    let name = rig.pod("name");
    assert!(name.is_captured().is_err(), "inject: false is outside");
    let nodes = rig.cluster.nodes();
    let port = rig.cluster.node_port("default", "name", 8000)?;
    let own = fetch(&rig.cluster.outside(), &format!("http://{}:{port}/metrics", nodes[0].address()))?;
    assert_eq!(counts(&own), (0.0, 20.0));
    for multitool in &rig.multitools {
        let kind =
            multitool.get(&format!("http://{}:15020/stats/prometheus", name.ip())).map_err(|failure| failure.kind);
        let nobody = matches!(&kind, Err(FailureKind::Refused | FailureKind::Reset))
            || kind.as_ref().is_ok_and(|r| r.status == 503);
        assert!(nobody, "there is no page without the mesh: {kind:?} in {}", multitool.namespace());
    }

    // In the mesh, not merged: the mesh's series only.
    rig.deploy(&app(node, &[MERGE]))?;
    rig.ask(20)?;
    eventually(APPLIES, || {
        let page = rig.page()?;
        ensure!(counts(&page) == (20.0, 0.0), "{:?}", counts(&page));
        ensure!(page.samples.iter().all(|sample| sample.name.starts_with("istio_")), "{page:?}");
        Ok(())
    });

    // Merged: both, with equal counts.
    rig.deploy(&app(node, &[]))?;
    rig.ask(20)?;
    let before = eventually(APPLIES, || {
        let page = rig.page()?;
        ensure!(counts(&page) == (20.0, 20.0), "{:?}", counts(&page));
        Ok(counts(&page))
    });
    rig.ask(200)?;
    let page = eventually(APPLIES, || {
        let page = rig.page()?;
        let now = counts(&page);
        ensure!((now.0 - before.0, now.1 - before.1) == (200.0, 200.0), "{before:?} became {now:?}");
        Ok(page)
    });
    let as_written = [
        ("response_code", "200"),
        ("source_workload", "sentences"),
        ("source_version", "unknown"),
        ("destination_workload", "name"),
        ("destination_version", "unknown"),
        ("destination_service", "name.default.svc.cluster.local"),
        ("connection_security_policy", "mutual_tls"),
        ("request_protocol", "http"),
    ];
    assert_eq!(page.requests(&as_written), 220.0, "{:?}", page.matching("istio_requests_total", &[]));
    assert_eq!(page.requests(&[]), 220.0, "a page has its own pod's series only, and its scrapes are no requests");
    // The client's side has the same edge once.
    let client = rig.pod("sentences").mesh_metrics()?;
    let outbound = client.requests(&[("reporter", "source"), ("destination_workload", "name")]);
    assert_eq!(outbound, 220.0);
    Ok(())
}

#[test]
fn the_tour_on_one_node() -> Result<()> {
    tour("k07-one", "a")
}

#[test]
fn the_tour_across_nodes() -> Result<()> {
    tour("k07-two", "b")
}

/// What Prometheus sums up over the servers' reports is what was offered, to the request.
#[test]
fn the_rate_of_the_servers_is_the_rate_offered() -> Result<()> {
    let rig = Rig::new("k07-rate")?;
    rig.deploy(&app("b", &[]))?;
    rig.ask(1)?;
    let apps = ["sentences", "age", "name"].map(|deployment| rig.pod(deployment));
    let served = || -> Result<Vec<f64>> {
        // As scraped by a Prometheus outside of the mesh.
        let scraper = &rig.multitools[2];
        let page = |pod: &Pod| fetch(scraper, &format!("http://{}:15020/stats/prometheus", pod.ip()));
        apps.iter()
            .map(|pod| Ok(page(pod)?.requests(&[("reporter", "destination"), ("destination_app", "sentences")])))
            .collect()
    };
    let before = eventually(APPLIES, || {
        let now = served()?;
        ensure!(now == [1.0; 3], "{now:?}");
        Ok(now)
    });
    let load = rig.cluster.outside().load(&rig.cluster.sentences_url()?, &[], 20);
    std::thread::sleep(Duration::from_secs(5));
    let answers = load.finish();
    answers.assert_sentences();
    let sent = answers.results.len() as f64;
    eventually(APPLIES, || {
        let now = served()?;
        let added: Vec<f64> = now.iter().zip(&before).map(|(now, before)| now - before).collect();
        ensure!(added == [sent; 3], "{added:?} of {sent}");
        Ok(())
    });
    Ok(())
}
