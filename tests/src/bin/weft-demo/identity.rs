//! The SPIFFE names of both ends: as the server's metrics count them and as its application is told.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use weft_testbed::Pod;

use crate::show::Show;
use crate::town::{ECHO, Town, label};

/// The step.
pub fn run(town: &Town, show: &mut Show) -> Result<String> {
    let server = town.pod("name-v2")?;
    let series = series(town, &server)?;
    let value = |label: &str| series.get(label).cloned().unwrap_or_default();
    show.fact("metrics of", &format!("{}, http://{}:15020/stats/prometheus", label(&server), server.ip()));
    for name in ["source_principal", "destination_principal", "connection_security_policy"] {
        show.line(&format!("     {name:27} {}", value(name)));
    }
    let (source, destination) = (spiffe("sentences"), spiffe("name"));
    show.promise(
        value("source_principal") == source && value("destination_principal") == destination,
        "both are the names of the service accounts, proven by certificates",
    );
    show.promise(value("connection_security_policy") == "mutual_tls", "requests are counted as mutual_tls");
    let certificate = forwarded_certificate(town)?;
    show.fact("told to a server", "`client` asks `echo`, which received x-forwarded-client-cert:");
    for part in certificate.split(';').filter(|part| !part.starts_with("Hash=")) {
        show.line(&format!("     {part}"));
    }
    show.promise(certificate.contains(&format!("URI={}", spiffe("default"))), "the application learns who asks, too");
    Ok("spiffe://cluster.local/ns/default/sa/sentences asked .../sa/name, over mutual TLS".to_owned())
}

/// The labels of the requests that `sentences` sent to `server`, as the server's side counted them.
fn series(town: &Town, server: &Pod) -> Result<BTreeMap<String, String>> {
    let url = format!("http://{}:15020/stats/prometheus", server.ip());
    let page = town.cluster.on_node(server.node())?.get(&url)?;
    ensure!(page.status == 200, "{url}: status {}", page.status);
    let text = page.text();
    let lines = text.lines().filter_map(|line| line.strip_prefix("istio_requests_total{"));
    let mut found = lines.filter_map(|line| line.rsplit_once('}')).map(|(inside, _)| labels(inside));
    let wanted = found.find(|labels| {
        let is = |name: &str, value: &str| labels.get(name).is_some_and(|one| one == value);
        is("reporter", "destination") && is("source_workload", "sentences") && is("response_code", "200")
    });
    wanted.with_context(|| format!("{url} counts no request of sentences"))
}

/// Labels of one line of Prometheus' text format; the values that are looked at hold no quotes.
fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split("\",").filter_map(|pair| pair.split_once("=\""));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim_end_matches('"').to_owned())).collect()
}

/// The header that the echo server received.
fn forwarded_certificate(town: &Town) -> Result<String> {
    let answer = town.client.get(&format!("http://echo:{ECHO}/"))?;
    let echo: Value = serde_json::from_slice(&answer.body).context("reading the echo server's answer")?;
    let headers = echo["headers"].as_array().context("the echo server's answer has no headers")?;
    let found = headers
        .iter()
        .find(|pair| pair[0].as_str().is_some_and(|name| name.eq_ignore_ascii_case("x-forwarded-client-cert")));
    Ok(found.and_then(|pair| pair[1].as_str()).context("the echo server got no x-forwarded-client-cert")?.to_owned())
}

fn spiffe(account: &str) -> String {
    format!("spiffe://cluster.local/ns/default/sa/{account}")
}
