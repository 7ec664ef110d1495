//! Shadowing: a third version gets a copy of each request and answers nobody; its own side counts what it got, the client's does not.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use weft_testbed::{APPLIES, Cluster, PATIENCE, Place, Pod, Program, Sentences, Server, eventually, sentences_service};

/// Where the applications listen.
const PORT: u16 = 5000;

/// All to v2, and a copy of `percent` of it to v3. The destination beside v2 has no weight, as in the page's own file.
fn shadow(percent: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata: {{name: name-dest-rule}}
spec:
  host: name
  exportTo: [\".\"]
  subsets:
  - {{name: name-v1, labels: {{version: v1}}}}
  - {{name: name-v2, labels: {{version: v2}}}}
  - {{name: name-v3, labels: {{version: v3}}}}
---
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata: {{name: name-route}}
spec:
  hosts: [name]
  exportTo: [\".\"]
  gateways: [mesh]
  http:
  - route:
    - destination: {{host: name, subset: name-v1}}
    - destination: {{host: name, subset: name-v2}}
      weight: 100
    mirror: {{host: name, subset: name-v3}}
    mirrorPercentage: {{value: {percent}}}
"
    )
}

#[test]
fn copies_reach_the_third_version_and_no_answer_does() -> Result<()> {
    let cluster = Cluster::exercise("e02c")?;
    let services = ["sentence", "age", "name"].map(|mode| sentences_service(mode, "default")).concat();
    let roles = ["sentence", "age"].map(|mode| Sentences::new(mode).yaml()).concat();
    let versions = ["v1", "v2"].map(|version| Sentences::new("name").version(version).yaml()).concat();
    // As slow as the page's third version: nobody must wait for it.
    let slow = Sentences::new("name")
        .version("v3")
        .env("SENTENCE_SVC_DELAY_MIN", "0.4")
        .env("SENTENCE_SVC_DELAY_MAX", "0.4")
        .yaml();
    cluster.start_exercise(&(services + &roles + &versions + &slow + "---\n" + &shadow("0.0")))?;
    let (url, outside) = (cluster.sentences_url()?, cluster.outside());
    cluster.wait_captured(&["default"], PATIENCE)?;
    let pod_of = |deployment| -> Result<Pod> {
        cluster.pods_of("default", deployment).pop().with_context(|| format!("no pod of {deployment}"))
    };
    let v3 = pod_of("name-v3")?;
    let received = || -> Result<f64> {
        Ok(v3.mesh_metrics()?.requests(&[("reporter", "destination"), ("destination_version", "v3")]))
    };
    eventually(APPLIES, || {
        let v2 = outside.get_many(&url, &[], 10, 2).share_with("(v2)");
        ensure!(v2 == 1.0, "v2 got {v2}");
        Ok(())
    });
    assert_eq!(received()?, 0.0, "a share of 0 is no copy");

    cluster.apply(&shadow("100.0"))?;
    eventually(APPLIES, || {
        outside.get_many(&url, &[], 5, 1).assert_sentences();
        ensure!(received()? > 0.0, "v3 has no copy yet");
        Ok(())
    });
    std::thread::sleep(Duration::from_secs(1));
    let before = received()?;
    let started = Instant::now();
    let answers = outside.get_many(&url, &[], 200, 4);
    let took = started.elapsed();
    answers.assert_sentences();
    assert_eq!(answers.share_with("(v2)"), 1.0, "{:?}", answers.summary());
    // Waiting for v3 would take 200 * 0.4 s / 4.
    assert!(took < Duration::from_secs(15), "{took:?}: the client waits for the copy");
    eventually(PATIENCE, || {
        let copies = received()? - before;
        ensure!((198.0..=202.0).contains(&copies), "{copies} copies of 200 requests");
        Ok(())
    });
    // The clients' side reports v2 only.
    let sentences = pod_of("sentences")?;
    let reported = |version| -> Result<f64> {
        Ok(sentences.mesh_metrics()?.requests(&[("reporter", "source"), ("destination_version", version)]))
    };
    assert!(reported("v2")? >= 200.0);
    assert_eq!(reported("v3")?, 0.0, "copies are reported by the server's side alone");
    Ok(())
}

/// A mirror that notes every request whole and answers it.
fn noting(place: &Place) -> Result<(Server, Arc<Mutex<Vec<String>>>)> {
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&noted);
    let server = place.serve(PORT, move |stream, _| {
        let mut stream = BufReader::new(stream);
        loop {
            let mut text = String::new();
            while !text.ends_with("\r\n\r\n") {
                if !matches!(stream.read_line(&mut text), Ok(1..)) {
                    return;
                }
            }
            let length = text
                .to_ascii_lowercase()
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.split("\r\n").next().and_then(|digits| digits.parse().ok()).unwrap_or(0));
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).is_err() {
                return;
            }
            let Ok(mut notes) = notes.lock() else { return };
            notes.push(text + &String::from_utf8_lossy(&body));
            drop(notes);
            if stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    })?;
    Ok((server, noted))
}

#[test]
fn a_copy_has_the_whole_body_and_says_that_it_is_one() -> Result<()> {
    let cluster = Cluster::mesh("e02c-body")?;
    cluster.service("echo").port(80, PORT).apply()?;
    cluster.service("shadow").port(80, PORT).apply()?;
    let echo = cluster.workload("echo").node("b").program(Program::Echo { port: PORT }).start()?;
    let shadow = cluster.workload("shadow").node("b").start()?;
    let client = cluster.workload("client").node("a").start()?;
    let (_server, noted) = noting(&shadow)?;
    cluster.apply(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: echo}
spec:
  hosts: [echo]
  http:
  - route: [{destination: {host: echo}}]
    mirrors: [{destination: {host: shadow}}]
",
    )?;
    [&echo, &shadow, &client].into_iter().try_for_each(|pod| pod.wait_captured(true))?;
    eventually(APPLIES, || {
        ensure!(client.get("http://echo/ready")?.status == 200, "echo does not answer yet");
        ensure!(!noted.lock().unwrap().is_empty(), "no copy yet");
        Ok(())
    });
    // More than rides behind a head, so that the body is collected while it streams.
    let body = "0123456789".repeat(30_000);
    let answer = client.request("POST", "http://echo/some/path").body(body.clone()).send()?;
    assert_eq!(answer.status, 200);
    eventually(PATIENCE, || {
        let noted = noted.lock().unwrap();
        let posted: Vec<&String> = noted.iter().filter(|text| text.starts_with("POST ")).collect();
        ensure!(posted.len() == 1, "{} copies", posted.len());
        let (head, copied) = posted[0].split_once("\r\n\r\n").unwrap();
        ensure!(head.starts_with("POST /some/path HTTP/1.1\r\n"), "{head}");
        ensure!(head.to_ascii_lowercase().contains("host: echo-shadow\r\n"), "{head}");
        ensure!(copied == body, "{} of {} bytes were copied", copied.len(), body.len());
        Ok(())
    });
    Ok(())
}
