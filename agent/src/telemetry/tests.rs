use std::{collections::HashMap, sync::Arc, time::Instant};

use weft_model::{decision::Cluster, outcome::ResponseFlag};

use super::{fixture::*, *};
use crate::dataplane::event::{ConnectionInfo, Party, RequestEvent};

#[test]
fn one_request_makes_exactly_this_page_at_the_client() {
    let telemetry = telemetry();
    telemetry.request(&request(outbound()));
    assert_eq!(telemetry.render(&sentences().pod), include_str!("tests/source.prom"));
}

#[test]
fn one_request_makes_exactly_this_page_at_the_server() {
    let telemetry = telemetry();
    telemetry.request(&request(inbound()));
    assert_eq!(telemetry.render(&name().pod), include_str!("tests/destination.prom"));
}

#[test]
fn each_pod_has_its_own_page_and_a_silent_one_only_says_that_it_is_in_the_mesh() {
    let telemetry = telemetry();
    telemetry.request(&request(outbound()));
    let silent = "# TYPE istio_build gauge\nistio_build{component=\"proxy\",tag=\"0.1.0\"} 1\n";
    assert_eq!(telemetry.render(&name().pod), silent);
}

/// The labels of the only series of `event`, by name.
fn labels(event: RequestEvent) -> HashMap<String, String> {
    let telemetry = telemetry();
    telemetry.request(&event);
    let page = telemetry.render(&event.connection.owner.pod);
    let line = page.lines().find(|line| line.starts_with("istio_requests_total{")).unwrap();
    let inside = line.split_once('{').unwrap().1.rsplit_once('}').unwrap().0;
    let pair =
        |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
    inside.split(',').map(|text| pair(text).unwrap()).collect()
}

fn assert_labels(event: RequestEvent, expected: &[(&str, &str)]) {
    let labels = labels(event);
    for (name, value) in expected {
        assert_eq!(labels.get(*name).map(String::as_str), Some(*value), "{name}");
    }
}

#[test]
fn a_request_without_a_route_is_named_by_its_host_and_reached_nobody() {
    let nowhere = ConnectionInfo { destination: Party::default(), ..outbound() };
    assert_labels(
        answered(nowhere, 404, Some(ResponseFlag::NoRoute), "route_not_found"),
        &[
            ("destination_service", "name:5000"),
            ("destination_service_name", "name:5000"),
            ("destination_service_namespace", "unknown"),
            ("destination_workload", "unknown"),
            ("destination_workload_namespace", "unknown"),
            ("destination_canonical_service", "unknown"),
            ("destination_canonical_revision", "latest"),
            ("destination_cluster", "unknown"),
            ("destination_principal", "unknown"),
            ("source_workload", "sentences"),
            ("response_code", "404"),
            ("response_flags", "NR"),
        ],
    );
}

#[test]
fn strangers_are_passed_through_or_black_holed_by_name() {
    for (cluster, name) in [(Cluster::Passthrough, "PassthroughCluster"), (Cluster::BlackHole, "BlackHoleCluster")] {
        let connection = ConnectionInfo { destination: Party::default(), cluster: Some(cluster), ..outbound() };
        let event = RequestEvent { authority: "httpbin.org".to_owned(), ..request(connection) };
        assert_labels(
            event,
            &[
                ("destination_service", "httpbin.org"),
                ("destination_service_name", name),
                ("destination_cluster", "unknown"),
                ("connection_security_policy", "unknown"),
            ],
        );
    }
}

#[test]
fn a_plaintext_client_is_unknown_to_the_server() {
    let unknown = ConnectionInfo { source: Party::default(), mutual_tls: false, ..inbound() };
    let denied = answered(unknown, 403, None, "rbac_access_denied_matched_policy[none]");
    assert_labels(
        denied,
        &[
            ("source_workload", "unknown"),
            ("source_workload_namespace", "unknown"),
            ("source_principal", "unknown"),
            ("source_app", "unknown"),
            ("source_version", "unknown"),
            ("source_canonical_service", "unknown"),
            ("source_canonical_revision", "latest"),
            ("source_cluster", "unknown"),
            ("destination_workload", "name"),
            ("destination_service", "name.default.svc.cluster.local"),
            ("connection_security_policy", "none"),
            ("response_code", "403"),
            ("response_flags", "-"),
        ],
    );
}

#[test]
fn a_port_behind_no_service_is_named_by_the_workload() {
    let connection = ConnectionInfo { cluster: Some(Cluster::Pod(name())), ..inbound() };
    // A server never takes a label from the request.
    let event = RequestEvent { authority: "evil.example".to_owned(), ..request(connection) };
    assert_labels(
        event,
        &[
            ("destination_service", "name"),
            ("destination_service_name", "InboundPassthroughCluster"),
            ("destination_service_namespace", "default"),
        ],
    );
}

#[test]
fn a_client_that_left_has_code_zero() {
    let event =
        answered(outbound(), 0, Some(ResponseFlag::DownstreamConnectionTermination), "downstream_remote_disconnect");
    assert_labels(event, &[("response_code", "0"), ("response_flags", "DC"), ("grpc_response_status", "")]);
}

#[test]
fn several_flags_are_joined_and_grpc_is_named() {
    let mut event = request(outbound());
    event.flags = vec![ResponseFlag::DelayInjected, ResponseFlag::UpstreamTimeout];
    event.grpc = true;
    let telemetry = telemetry();
    telemetry.request(&event);
    let page = telemetry.render(&sentences().pod);
    let expected = ["response_flags=\"DI,UT\"", "request_protocol=\"grpc\""];
    assert_eq!(value(&page, "istio_requests_total", &expected), Some(1.0));
}

#[test]
fn hosts_are_escaped_and_cut() {
    let connection = ConnectionInfo { destination: Party::default(), cluster: None, ..outbound() };
    let event = RequestEvent { authority: "a\"} 1\n\\\0b".to_owned(), ..request(connection.clone()) };
    let telemetry = telemetry();
    telemetry.request(&event);
    let page = telemetry.render(&sentences().pod);
    assert!(page.contains(r#"destination_service="a\"} 1\n\\?b","#), "{page}");
    // 2 bytes each: the cut must fall between two characters.
    let long = RequestEvent { authority: "ä".repeat(1000), ..request(connection) };
    telemetry.request(&long);
    let shown = format!("destination_service=\"{}\",", "ä".repeat(labels::MAX_HOST_BYTES / 2));
    assert!(telemetry.render(&sentences().pod).contains(&shown));
}

#[test]
fn tcp_connections_are_counted_as_they_live() {
    let telemetry = telemetry();
    let connection = outbound();
    telemetry.tcp_opened(&TcpOpened { connection: connection.clone() });
    let progress = TcpProgress { connection: Arc::new(connection.clone()), received: 100, sent: 200 };
    telemetry.tcp_progress(&progress);
    telemetry.tcp_closed(&closed(connection.clone()));
    let mut failed = closed(connection);
    (failed.received, failed.sent) = (0, 0);
    failed.flags = vec![ResponseFlag::UpstreamConnectionFailure];
    telemetry.tcp_closed(&failed);
    let page = telemetry.render(&sentences().pod);
    let (well, bad) = (["response_flags=\"-\"", "request_protocol=\"tcp\""], ["response_flags=\"UF\""]);
    assert_eq!(value(&page, "istio_tcp_connections_opened_total", &well), Some(1.0));
    assert_eq!(value(&page, "istio_tcp_connections_closed_total", &well), Some(1.0));
    assert_eq!(value(&page, "istio_tcp_received_bytes_total", &well), Some(110.0));
    assert_eq!(value(&page, "istio_tcp_sent_bytes_total", &well), Some(220.0));
    assert_eq!(value(&page, "istio_tcp_connections_closed_total", &bad), Some(1.0));
    assert_eq!(value(&page, "istio_tcp_connections_opened_total", &bad), None);
    assert!(!page.contains("response_code") && !page.contains("grpc_response_status"));
}

#[test]
fn hosts_of_strangers_cannot_grow_a_page_without_bound() {
    let metrics = Arc::new(AgentMetrics::new("0.1.0").unwrap());
    let telemetry = telemetry_with(metrics.clone());
    telemetry.request(&request(outbound()));
    let nowhere = ConnectionInfo { cluster: None, ..outbound() };
    let extra = 50;
    for number in 0..MAX_HOST_LABEL_SETS_PER_POD + extra {
        let event = answered(nowhere.clone(), 404, Some(ResponseFlag::NoRoute), "route_not_found");
        telemetry.request(&RequestEvent { authority: format!("host-{number}"), ..event });
    }
    // Known Services keep their series.
    telemetry.request(&request(outbound()));
    let page = telemetry.render(&sentences().pod);
    let overflow = ["destination_service=\"overflow\"", "response_flags=\"NR\""];
    assert_eq!(value(&page, "istio_requests_total", &overflow), Some(extra as f64));
    let known = ["destination_service=\"name.default.svc.cluster.local\""];
    assert_eq!(value(&page, "istio_requests_total", &known), Some(2.0));
    let sets = page.lines().filter(|line| line.starts_with("istio_requests_total{")).count();
    assert_eq!(sets, MAX_HOST_LABEL_SETS_PER_POD + 2);
    assert_eq!(metrics.series_dropped.get(), extra as u64);
}

#[test]
fn a_pod_has_a_bounded_number_of_label_sets() {
    let metrics = Arc::new(AgentMetrics::new("0.1.0").unwrap());
    let telemetry = telemetry_with(metrics.clone());
    let extra = 7;
    let total = MAX_LABEL_SETS_PER_POD + extra;
    for number in 0..total {
        let mut event = request(inbound());
        event.connection.source.principal = Some(identity(&format!("account-{number}")));
        telemetry.request(&event);
    }
    let page = telemetry.render(&name().pod);
    let overflow = ["destination_service=\"overflow\"", "reporter=\"destination\""];
    assert_eq!(value(&page, "istio_requests_total", &overflow), Some(extra as f64));
    assert_eq!(
        page.lines().filter(|line| line.starts_with("istio_requests_total{")).count(),
        MAX_LABEL_SETS_PER_POD + 1
    );
    assert_eq!(metrics.series_dropped.get(), extra as u64);
}

#[test]
fn many_threads_lose_nothing() {
    let telemetry = Arc::new(telemetry());
    telemetry.set_access_log(false);
    let (threads, rounds) = (8, 2_000);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // Pointers of their own: the series must still be the same ones.
                let events = [
                    request(outbound()),
                    answered(outbound(), 503, Some(ResponseFlag::NoHealthyUpstream), "no_healthy_upstream"),
                ];
                for _ in 0..rounds {
                    events.iter().for_each(|event| telemetry.request(event));
                    telemetry.tcp_closed(&closed(outbound()));
                }
            });
        }
    });
    let page = telemetry.render(&sentences().pod);
    let all = f64::from(threads * rounds);
    assert_eq!(value(&page, "istio_requests_total", &["response_code=\"200\""]), Some(all));
    assert_eq!(value(&page, "istio_requests_total", &["response_code=\"503\""]), Some(all));
    assert_eq!(value(&page, "istio_request_bytes_sum", &["response_code=\"200\""]), Some(all * 250.0));
    let milliseconds = value(&page, "istio_request_duration_milliseconds_sum", &["response_code=\"200\""]);
    assert_eq!(milliseconds, Some(all * 2.75));
    assert_eq!(value(&page, "istio_tcp_sent_bytes_total", &["response_flags=\"-\""]), Some(all * 20.0));
}

/// Events that differ from each other in one thing that labels depend on.
fn variants() -> Vec<RequestEvent> {
    let mut all = Vec::new();
    for base in [request(outbound()), request(inbound())] {
        let mut vary = |change: &dyn Fn(&mut RequestEvent)| {
            let mut event = base.clone();
            change(&mut event);
            all.push(event);
        };
        vary(&|_| ());
        vary(&|event| event.status = 500);
        vary(&|event| event.grpc = true);
        vary(&|event| (event.grpc, event.grpc_status) = (true, Some(0)));
        vary(&|event| (event.grpc, event.grpc_status) = (true, Some(14)));
        vary(&|event| event.flags = vec![ResponseFlag::DelayInjected]);
        vary(&|event| event.flags = vec![ResponseFlag::NoRoute]);
        vary(&|event| (event.flags, event.authority) = (vec![ResponseFlag::NoRoute], "other".to_owned()));
        vary(&|event| event.connection.mutual_tls = false);
        vary(&|event| event.connection.source.principal = None);
        vary(&|event| event.connection.destination.principal = Some(identity("other")));
        vary(&|event| event.connection.source.workload = Some(workload("other", "v2", "10.0.0.8")));
        vary(&|event| event.connection.destination.workload = None);
        vary(&|event| event.connection.cluster = None);
        vary(&|event| {
            event.connection.cluster = Some(Cluster::Service { service: service("age"), port: 1, subset: None })
        });
        vary(&|event| event.connection.cluster = Some(Cluster::Passthrough));
        vary(&|event| event.connection.cluster = Some(Cluster::BlackHole));
        vary(&|event| event.connection.cluster = Some(Cluster::Pod(name())));
        vary(&|event| event.connection.cluster = Some(Cluster::Unknown("gone".into())));
    }
    all
}

#[test]
fn the_cache_tells_all_events_apart_that_labels_tell_apart() {
    let counted = |telemetry: &Telemetry, counts: &mut HashMap<String, f64>| {
        let pages = [sentences(), name()].map(|owner| telemetry.render(&owner.pod));
        for line in pages.iter().flat_map(|page| page.lines()).filter(|line| line.starts_with("istio_requests_total{"))
        {
            let (labels, count) = line.rsplit_once(' ').unwrap();
            *counts.entry(labels.to_owned()).or_default() += count.parse::<f64>().unwrap();
        }
    };
    let (mut alone, mut together) = (HashMap::new(), HashMap::new());
    let cached = telemetry();
    for event in variants().iter().chain(&variants()) {
        let fresh = telemetry();
        fresh.request(event);
        counted(&fresh, &mut alone);
    }
    // Each event twice with the same pointers: the second time comes from the cache.
    for event in variants() {
        cached.request(&event);
        cached.request(&event);
    }
    counted(&cached, &mut together);
    assert_eq!(together, alone);
    assert!(alone.len() > 25, "{}", alone.len());
}

#[test]
fn pods_that_are_gone_are_forgotten_and_the_others_go_on() {
    let telemetry = telemetry();
    let (from_client, at_server) = (request(outbound()), request(inbound()));
    telemetry.request(&from_client);
    telemetry.request(&at_server);
    telemetry.retain(&snapshot(&[sentences()]));
    telemetry.request(&from_client);
    assert_eq!(value(&telemetry.render(&sentences().pod), "istio_requests_total", &[]), Some(2.0));
    assert_eq!(value(&telemetry.render(&name().pod), "istio_requests_total", &[]), None);
    assert!(telemetry.log(&name().pod, 0).lines.is_empty());
    // A late event must not be counted into a series that nobody prints any more.
    telemetry.request(&at_server);
    assert_eq!(value(&telemetry.render(&name().pod), "istio_requests_total", &[]), Some(1.0));
}

#[test]
fn a_new_pod_of_the_same_name_starts_at_zero() {
    let telemetry = telemetry();
    telemetry.request(&request(outbound()));
    telemetry.retain(&snapshot(&[workload("sentences", "unknown", "10.0.0.44")]));
    assert_eq!(value(&telemetry.render(&sentences().pod), "istio_requests_total", &[]), None);
}

#[test]
fn two_instances_on_one_thread_do_not_share_series() {
    let (one, other) = (telemetry(), telemetry());
    let event = request(outbound());
    one.request(&event);
    other.request(&event);
    other.request(&event);
    assert_eq!(value(&one.render(&sentences().pod), "istio_requests_total", &[]), Some(1.0));
    assert_eq!(value(&other.render(&sentences().pod), "istio_requests_total", &[]), Some(2.0));
}

#[test]
fn the_pod_page_has_the_applications_metrics_too() {
    let telemetry = telemetry();
    let app = "# TYPE sentence_requests_total counter\nsentence_requests_total{type=\"name\"} 3.0\n";
    let mesh = telemetry.render(&name().pod);
    assert_eq!(telemetry.pod_page(&name().pod, Some(app)), format!("{mesh}{app}"));
    assert_eq!(telemetry.pod_page(&name().pod, None), mesh);
}

/// Prints what one call costs; run it with `cargo test --release -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement, not a check"]
fn cost_of_a_request() {
    let telemetry = telemetry();
    let events = [request(outbound()), request(inbound())];
    for logged in [false, true] {
        telemetry.set_access_log(logged);
        let (batches, rounds) = (100_u32, 10_000_u32);
        let mut spent = std::time::Duration::ZERO;
        for _ in 0..batches {
            let began = Instant::now();
            for round in 0..rounds {
                telemetry.request(std::hint::black_box(&events[round as usize % 2]));
            }
            spent += began.elapsed();
            // Otherwise the buffer fills up at this rate, and dropping a line is cheaper than keeping it.
            telemetry.access_log.flush();
        }
        println!("access log {logged}: {:?} per request", spent / (batches * rounds));
    }
    println!("lines dropped: {}", telemetry.metrics.access_log_dropped.get());
}
