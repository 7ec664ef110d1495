use std::time::Duration;

use super::*;

fn sample(page: &str, series: &str) -> f64 {
    let line =
        page.lines().find_map(|line| line.strip_prefix(series)).unwrap_or_else(|| panic!("no {series} in {page}"));
    line.trim().parse().unwrap()
}

#[test]
fn what_was_set_is_shown() {
    let metrics = AgentMetrics::new("1.2.3").unwrap();
    metrics.captured_pods.set(4);
    metrics.ready.set(1);
    metrics.set_snapshot(17, Instant::now().checked_sub(Duration::from_secs(5)).unwrap());
    metrics.tls_handshake(TlsSide::Server, "ok");
    metrics.tls_handshake(TlsSide::Server, "ok");
    metrics.tls_handshake(TlsSide::Client, "refused");
    let inbound = metrics.connection(Direction::Inbound);
    let outbound = metrics.connection(Direction::Outbound);
    drop(outbound);
    let page = metrics.render().unwrap();
    assert_eq!(sample(&page, "weft_build_info{version=\"1.2.3\"}"), 1.0);
    assert_eq!(sample(&page, "weft_captured_pods"), 4.0);
    assert_eq!(sample(&page, "weft_ready"), 1.0);
    assert_eq!(sample(&page, "weft_snapshot_version"), 17.0);
    let age = sample(&page, "weft_snapshot_age_seconds");
    assert!((5.0..30.0).contains(&age), "{age}");
    assert_eq!(sample(&page, "weft_tls_handshakes_total{result=\"ok\",side=\"server\"}"), 2.0);
    assert_eq!(sample(&page, "weft_tls_handshakes_total{result=\"refused\",side=\"client\"}"), 1.0);
    assert_eq!(sample(&page, "weft_connections_active{direction=\"inbound\"}"), 1.0);
    assert_eq!(sample(&page, "weft_connections_active{direction=\"outbound\"}"), 0.0);
    drop(inbound);
    assert_eq!(sample(&metrics.render().unwrap(), "weft_connections_active{direction=\"inbound\"}"), 0.0);
}

#[test]
fn each_pod_has_the_state_it_is_in_now() {
    let metrics = AgentMetrics::new("1.2.3").unwrap();
    metrics.set_captures([("default", "a", "failed"), ("default", "b", "proven")].into_iter());
    metrics.set_captures([("default", "a", "proven")].into_iter());
    let page = metrics.render().unwrap();
    assert_eq!(sample(&page, "weft_pod_capture{pod=\"a\",pod_namespace=\"default\",state=\"proven\"}"), 1.0);
    assert_eq!(page.lines().filter(|line| line.starts_with("weft_pod_capture{")).count(), 1, "{page}");
}

#[test]
fn the_process_is_measured() {
    let metrics = AgentMetrics::new("1.2.3").unwrap();
    let page = metrics.render().unwrap();
    let resident = sample(&page, "process_resident_memory_bytes");
    assert!(resident > 100_000.0 && resident < sample(&page, "process_virtual_memory_bytes"));
    assert!(sample(&page, "process_threads") >= 1.0);
    assert!(sample(&page, "process_cpu_seconds_total") >= 0.0);
    let held: Vec<_> = (0..20).map(|_| std::fs::File::open("/proc/self/stat").unwrap()).collect();
    assert!(sample(&metrics.render().unwrap(), "process_open_fds") >= held.len() as f64);
    assert!(sample(&page, "process_max_fds") >= sample(&page, "process_open_fds"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - sample(&page, "process_start_time_seconds")).abs() < 60.0);
}
