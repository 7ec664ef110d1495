//! What the mesh costs: latency of a request from pod to pod with and without it, and the agents' memory.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use weft_testbed::{HttpConnection, Pod};

use crate::Effort;
use crate::show::{Show, millis};
use crate::town::{ECHO, Town};

/// Requests before the first that counts.
const WARM_UP: usize = 50;

/// The step. Requests of the two paths take turns, so that both meet the same weather.
pub fn run(town: &Town, effort: Effort, show: &mut Show) -> Result<String> {
    let (mut direct, mut mesh) = (Path::open(&town.stranger)?, Path::open(&town.client)?);
    for count in 0..WARM_UP + effort.latency {
        let counts = count >= WARM_UP;
        direct.ask(counts)?;
        mesh.ask(counts)?;
    }
    let requests = format!("{} requests each, one after another, kept-alive connection", effort.latency);
    show.fact("client to echo", &format!("from node a to node b, {requests}"));
    for (name, path) in [("without the mesh", &direct), ("under weft, mTLS", &mesh)] {
        show.fact(
            &format!("  {name}"),
            &format!("p50 {}   p99 {}", millis(path.quantile(0.5)), millis(path.quantile(0.99))),
        );
    }
    let ratio = |q: f64| mesh.quantile(q).as_secs_f64() / direct.quantile(q).as_secs_f64();
    show.fact("  ratio", &format!("p50 x {:.1}   p99 x {:.1}", ratio(0.5), ratio(0.99)));
    show.promise(mesh.proxied && !direct.proxied, "the one path went through both agents, the other through none");
    let mut memory = Vec::new();
    for node in town.cluster.nodes() {
        let rss = town.cluster.agent(node.name())?.rss()?;
        let pods = town.cluster.pods().iter().filter(|pod| pod.node() == node.name()).count();
        show.fact(
            &format!("memory on node {}", node.name()),
            &format!("{:.1} MB for {pods} pods (RSS of the agent)", megabytes(rss)),
        );
        memory.push(format!("{:.0} MB", megabytes(rss)));
    }
    let (p50, p99) = (mesh.quantile(0.5), mesh.quantile(0.99));
    Ok(format!(
        "p50 {} (x {:.1}), p99 {} (x {:.1}); agents take {}",
        millis(p50),
        ratio(0.5),
        millis(p99),
        ratio(0.99),
        memory.join(" and ")
    ))
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// One connection and its response times.
struct Path {
    url: String,
    connection: HttpConnection,
    times: Vec<Duration>,
    proxied: bool,
}

impl Path {
    fn open(client: &Pod) -> Result<Self> {
        let url = format!("http://echo:{ECHO}/");
        let connection = client.connection(&url).with_context(|| format!("connecting {} to {url}", client.name()))?;
        Ok(Self { url, connection, times: Vec::new(), proxied: false })
    }

    fn ask(&mut self, counts: bool) -> Result<()> {
        let answer = self.connection.get(&self.url)?;
        ensure!(answer.status == 200, "{}: status {} {}", self.url, answer.status, answer.text());
        // Only the mesh gives a request an identity to forward.
        self.proxied = answer.text().contains("x-forwarded-client-cert");
        if counts {
            self.times.push(answer.elapsed);
        }
        Ok(())
    }

    fn quantile(&self, q: f64) -> Duration {
        let mut times = self.times.clone();
        times.sort();
        let index = (q * times.len().saturating_sub(1) as f64).round() as usize;
        times.get(index).copied().unwrap_or_default()
    }
}
