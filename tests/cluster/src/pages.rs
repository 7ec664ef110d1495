//! Metric pages of pods, read from another pod, where Prometheus may be.

use anyhow::{Context, Result, ensure};
use weft_scenario::Metrics;

use crate::container::Container;
use crate::pod::Pod;

impl Container {
    /// `curl <pod IP>:15020/stats/prometheus`: the mesh's series of that pod, with the application's merged in.
    pub fn mesh_page(&self, of: &Pod) -> Result<Metrics> {
        self.page(&format!("http://{}:15020/stats/prometheus", of.ip()))
    }

    /// `curl <pod IP>:8000/metrics`: the application's own.
    pub fn app_page(&self, of: &Pod) -> Result<Metrics> {
        self.page(&format!("http://{}:8000/metrics", of.ip()))
    }

    /// Any page in Prometheus' text format.
    pub fn page(&self, url: &str) -> Result<Metrics> {
        let answer = self.curl(&[url])?;
        ensure!((answer.exit, answer.status) == (0, 200), "{url} from {}: {answer:?}", self.pod());
        Metrics::parse(&answer.body).with_context(|| format!("{url} from {}", self.pod()))
    }
}
