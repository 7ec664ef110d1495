//! temp
fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let args: Vec<String> = std::env::args().collect();
    let get = |k: &str| args.iter().position(|a| a == k).and_then(|i| args.get(i + 1)).cloned();
    weft::app::run(weft::app::Config {
        node: get("--node").unwrap().into(),
        manifests: get("--manifests").unwrap().into(),
        state_dir: get("--state-dir").unwrap().into(),
        bpf_dir: get("--bpf-dir").unwrap().into(),
        workers: get("--workers").map(|w| w.parse().unwrap()).unwrap_or(2),
        http_addr: None,
        access_log_stdout: true,
        drain: std::time::Duration::from_secs(5),
        keep_capture: false,
    })
}
