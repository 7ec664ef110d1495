//! The metric pages of a pod, asked for inside it. How they are read belongs to `weft_scenario`.

use anyhow::{Context, Result, ensure};
use weft_scenario::Metrics;

use crate::pod::Pod;

impl Pod {
    /// The pod's page of the mesh, asked for inside the pod.
    pub fn mesh_metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.page("http://127.0.0.1:15020/stats/prometheus")?)
    }

    /// The application's own page on port 8000, asked for inside the pod.
    pub fn app_metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.page("http://127.0.0.1:8000/metrics")?)
    }

    fn page(&self, url: &str) -> Result<String> {
        let response = self.get(url).with_context(|| format!("{url} in pod {}", self.name()))?;
        ensure!(response.status == 200, "{url} in pod {}: {}", self.name(), response.status);
        Ok(response.text())
    }
}
