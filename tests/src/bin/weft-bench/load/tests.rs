//! What the load generators print, and what makes a run worthless.

use super::*;

const WRK: &str = "Running 3s test @ http://web:80/\n  1 threads and 32 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
                   Latency   612.01us  503.17us   9.03ms   88.20%\n  150034 requests in 3.10s, 171.20MB read\n";

#[test]
fn wrk_counts_requests() {
    let text = format!("{WRK}Requests/sec:  48398.01\nTransfer/sec:     55.23MB\n");
    assert_eq!(read_wrk(&text).unwrap(), Requests { rate: 48398.01, count: 150_034.0 });
}

#[test]
fn wrk_with_failures_is_refused() {
    for line in ["Non-2xx or 3xx responses: 1000", "Socket errors: connect 0, read 900, write 0, timeout 3"] {
        let text = format!("{WRK}  {line}\nRequests/sec:  48398.01\n");
        let error = read_wrk(&text).unwrap_err().to_string();
        assert!(error.contains("too many failures") && error.contains(line), "{error}");
    }
    let few = format!("{WRK}  Socket errors: connect 0, read 3, write 0, timeout 0\nRequests/sec:  1.00\n");
    assert!(read_wrk(&few).is_ok());
}

#[test]
fn oha_percentiles_and_cut_off_requests() {
    let text = r#"{"summary": {"requestsPerSec": 1999.5}, "latencyPercentiles": {"p50": 0.0004, "p99": 0.002},
        "statusCodeDistribution": {"200": 5990}, "errorDistribution": {"aborted due to deadline": 32}}"#;
    assert_eq!(read_oha(text).unwrap(), Oha { rate: 1999.5, count: 5990.0, p50: 0.0004, p99: 0.002 });
    for (from, to) in
        [("aborted due to deadline\": 32", "connection closed\": 300"), ("\"200\": 5990", "\"200\": 9, \"503\": 1")]
    {
        assert!(read_oha(&text.replace(from, to)).unwrap_err().to_string().contains("too many failures"), "{to}");
    }
}

#[test]
fn iperf_counts_what_arrived() {
    let text = r#"{"end": {"sum_sent": {"bytes": 9}, "sum_received": {"bytes": 8, "bits_per_second": 64.0}}}"#;
    assert_eq!(read_iperf(text).unwrap(), Bulk { rate: 64.0, bytes: 8.0 });
    assert!(read_iperf(&text.replace('8', "0")).is_err());
}
