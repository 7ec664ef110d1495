//! What is compared: a way from a client to a server, and the processes that are paid for it.

use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use weft_testbed::Pod;

use crate::stage::Measured;

/// Body of nginx's answers. Recognised on the wire: it must not be readable between meshed pods.
pub const BODY_WORD: &str = "weft-bench-body.";
/// Its length: 1 KiB, a usual size of an answer between services.
pub const BODY_BYTES: usize = 1024;

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// No proxy.
    Direct,
    /// weft with the port declared as HTTP.
    WeftHttp,
    /// weft with the port declared as TCP.
    WeftTcp,
    /// An Envoy on each side: mTLS, RBAC, HTTP connection manager, router.
    EnvoyHttp,
    /// An Envoy on each side: mTLS, RBAC and TCP proxy.
    EnvoyTcp,
}

impl Kind {
    /// Does it look into requests?
    pub fn is_http(self) -> bool {
        matches!(self, Self::WeftHttp | Self::EnvoyHttp)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::WeftHttp => "weft L7",
            Self::WeftTcp => "weft L4",
            Self::EnvoyHttp => "Envoy HTTP mTLS + RBAC",
            Self::EnvoyTcp => "Envoy L4 mTLS",
        })
    }
}

/// One way.
#[derive(Debug)]
pub struct System {
    /// Which.
    pub kind: Kind,
    /// Where load comes from.
    pub client: Pod,
    /// What answers; its `eth0` is where the wire is looked at.
    pub server: Pod,
    /// Where requests go to.
    pub url: String,
    /// Where one stream of bytes goes to (host, port); `None` where bytes would be read as HTTP.
    pub bulk: Option<(String, u16)>,
    /// Port of the requests on the server's `eth0`.
    pub wire_port: u16,
    /// The proxies of both sides.
    pub proxies: Vec<u32>,
}

impl System {
    /// Answers as it should, and is in clear or encrypted on the wire as it should.
    ///
    /// # Errors
    /// What is different: a benchmark of something else would be worse than none.
    pub fn prove(&self) -> Result<()> {
        let capture = self.server.capture("eth0", self.wire_port)?;
        let response = self.client.get(&self.url)?;
        ensure!(response.status == 200, "{} answers {}", self.url, response.status);
        ensure!(
            response.body.len() == BODY_BYTES && response.text().contains(BODY_WORD),
            "{} answers with another body: {:?}",
            self.url,
            response.text()
        );
        let proxied = response.header("x-envoy-upstream-service-time").is_some();
        ensure!(proxied == self.kind.is_http(), "the answer was read by a proxy: {proxied}, of {}", self.kind);
        ensure!(!capture.packets().is_empty(), "nothing was seen on port {} of the server", self.wire_port);
        let readable = capture.contains(BODY_WORD);
        ensure!(readable == (self.kind == Kind::Direct), "the answer is readable on the wire: {readable}");
        Ok(())
    }

    /// Host and port that requests go to.
    pub fn address(&self) -> Result<(&str, u16)> {
        let authority = self.url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        let (host, port) = authority
            .and_then(|authority| authority.split_once(':'))
            .with_context(|| format!("{} is not http://host:port/", self.url))?;
        Ok((host, port.parse()?))
    }
}

impl Measured for System {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn proxies(&self) -> &[u32] {
        &self.proxies
    }
}
