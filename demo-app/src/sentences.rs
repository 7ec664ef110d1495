//! The sentences application: one of the roles sentence, name, age, random and api, chosen by SENTENCE_MODE.
//!
//! Owns the two listening sockets (the API and the metrics, in every mode) and their form on the wire (HTTP/1.1, or
//! HTTP/1.0 with SENTENCE_HTTP10). [`config`] reads the environment, [`roles`] answers, [`draw`] owns chance,
//! [`forward`] the headers that travel on, [`metrics`] the exposition.

mod config;
mod draw;
mod forward;
mod metrics;
mod roles;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http::Response;
use http::request::Parts;
use http_body_util::{BodyExt, Full};
use tokio::net::TcpListener;

use self::config::{Config, Form};
use self::metrics::Metrics;
use self::roles::Service;
use crate::client::Client;
use crate::{http10, log, serve};

/// Runs the role the environment asks for; returns only when SENTENCE_MODE names no role.
///
/// # Errors
/// An unusable SENTENCE_* variable or a port that is taken, named in the error.
pub async fn run() -> anyhow::Result<()> {
    let config = Config::from_env().context("the environment of the sentences application is not usable")?;
    let metrics_listener = serve::listen(config.listen, config.metrics_port)?;
    let Some(role) = config.role else {
        // As the original: the metrics server starts, no role does, and the process ends well.
        log::line("SENTENCE_MODE names no role: set it to sentence, name, age, random or api");
        return Ok(());
    };
    let listener = serve::listen(config.listen, config.port)?;
    log::line(format_args!(
        "Role '{}' listens on {}, metrics on {}",
        role.name(),
        listener.local_addr()?,
        metrics_listener.local_addr()?
    ));

    let metrics = Arc::new(Metrics::new());
    let form = config.form;
    let service = Arc::new(Service::new(config, role, Client::default(), metrics.clone()));
    tokio::spawn(answer_all(metrics_listener, form, move |_, _| {
        let response = metrics.response();
        async move { response }
    }));
    answer_all(listener, form, move |parts, peer| {
        let service = service.clone();
        async move { service.answer(parts, peer).await }
    })
    .await;
    Ok(())
}

/// Serves `handler`, which looks at request heads only, in the wire form the configuration asks for.
async fn answer_all<H, F>(listener: TcpListener, form: Form, handler: H)
where
    H: Fn(Parts, SocketAddr) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    match form {
        Form::Http10 => http10::http10(listener, handler).await,
        Form::Http11 => {
            serve::http1(listener, None, move |request, peer| {
                let answer = handler(request.into_parts().0, peer);
                async move { answer.await.map(|body| Full::new(body).boxed()) }
            })
            .await
        }
    };
}
