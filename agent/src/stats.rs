//! A pod's metrics, answered on the pod's own address: `<pod IP>:15020/stats/prometheus`, inside its
//! namespace, with the application's own metrics merged in, as Istio's agent does.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use weft_model::{
    snapshot::Snapshot,
    workload::{Named, Scrape},
};

use crate::{
    ebpf::manager::StatsListener,
    net::{Netns, socket},
    telemetry::{CONTENT_TYPE, Telemetry},
};

/// Time for the application to give its metrics: less than Prometheus' usual scrape timeout of 10 s.
const SCRAPE_TIMEOUT: Duration = Duration::from_secs(3);

/// Largest metrics page taken from an application.
const SCRAPE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a pod's page is made from.
struct PodPage {
    pod: Named,
    netns: Arc<Netns>,
    telemetry: Arc<Telemetry>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
}

/// Serves the pages of all captured pods; ends with the sender of `listeners`.
pub async fn serve(
    mut listeners: mpsc::UnboundedReceiver<StatsListener>,
    telemetry: Arc<Telemetry>,
    snapshot: watch::Receiver<Arc<Snapshot>>,
) {
    let mut serving: HashMap<Named, JoinHandle<()>> = HashMap::new();
    while let Some(StatsListener { pod, netns, listener }) = listeners.recv().await {
        if let Some(before) = serving.remove(&pod) {
            before.abort();
        }
        let Some(listener) = listener else { continue };
        let page = PodPage { pod: pod.clone(), netns, telemetry: telemetry.clone(), snapshot: snapshot.clone() };
        match TcpListener::from_std(listener) {
            Ok(listener) => {
                serving.insert(pod, tokio::spawn(accept(listener, Arc::new(page))));
            }
            Err(error) => tracing::warn!(%pod, %error, "cannot serve a pod's metrics"),
        }
    }
    serving.into_values().for_each(|task| task.abort());
}

async fn accept(listener: TcpListener, page: Arc<PodPage>) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let page = page.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, page.clone()));
            // A scraper that goes away is no event.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, page: Arc<PodPage>) -> Result<Response<Full<Bytes>>, http::Error> {
    match request.uri().path() {
        "/stats/prometheus" => {
            let application = page.scrape().await;
            let text = page.telemetry.pod_page(&page.pod, application.as_deref());
            Response::builder().header(header::CONTENT_TYPE, CONTENT_TYPE).body(Full::from(text))
        }
        "/healthz/ready" => Response::builder().body(Full::default()),
        _ => Response::builder().status(StatusCode::NOT_FOUND).body(Full::default()),
    }
}

impl PodPage {
    /// The application's own page, when the pod asks for it to be merged.
    async fn scrape(&self) -> Option<String> {
        let (scrape, addresses) = {
            let snapshot = self.snapshot.borrow();
            let workload = snapshot.workloads.get(&self.pod)?;
            let scrape = workload.scrape.clone().filter(|scrape| scrape.merge && snapshot.mesh.prometheus_merge)?;
            (scrape, workload.addresses.clone())
        };
        // Istio's agent asks on localhost; an application that listens on the pod's address only is found, too.
        let candidates = std::iter::once(IpAddr::V4(Ipv4Addr::LOCALHOST)).chain(addresses);
        for address in candidates {
            let asked = tokio::time::timeout(SCRAPE_TIMEOUT, self.ask(address, &scrape)).await;
            match asked {
                Ok(Ok(text)) => return Some(text),
                Ok(Err(error)) => tracing::debug!(pod = %self.pod, %address, error, "cannot scrape the application"),
                Err(_elapsed) => return None,
            }
        }
        None
    }

    async fn ask(&self, address: IpAddr, scrape: &Scrape) -> Result<String, String> {
        let target = SocketAddr::new(address, scrape.port);
        let connected = self.connect(target).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(connected)).await.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(connection);
        let request = Request::get(&*scrape.path)
            .header(header::HOST, target.to_string())
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status()));
        }
        let body = Limited::new(response.into_body(), SCRAPE_BYTES_MAX).collect().await;
        driver.abort();
        let bytes = body.map_err(|error| error.to_string())?.to_bytes();
        String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())
    }

    /// From inside the pod: both ends are local there, so the hooks leave it alone.
    async fn connect(&self, target: SocketAddr) -> io::Result<tokio::net::TcpStream> {
        socket::connect(socket::upstream(&self.netns, target)?, target).await
    }
}
