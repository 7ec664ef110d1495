//! What each role of the sentences application answers.
//!
//! Called by [`crate::sentences`] for every request on the API port. Owns routing by path, the order of delay, count
//! and sub-calls, and the translation of failures into statuses; the rules of chance are in [`super::draw`], the
//! headers in [`super::forward`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, SERVER};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::config::{Config, RandomSource, Role};
use super::draw;
use super::forward::{BAD_AUTHORIZATION, forwarded, python_dict, python_list, with_authorization};
use super::metrics::Metrics;
use crate::client::{Client, ClientError, Reply, Target};
use crate::log;

/// Limit of the sentence role's call to api.
const API_TIMEOUT: Duration = Duration::from_secs(2);

/// Limit of the api role's call to httpbin. The original sets none; a minute is beyond what the exercises show.
const HTTPBIN_TIMEOUT: Duration = Duration::from_secs(60);

/// How long random makes callers without good credentials wait.
const PENALTY: Duration = Duration::from_millis(700);

/// The largest number random gives.
const RANDOM_MAX: u32 = 10_000;

/// Why a role has no good answer.
#[derive(Debug, thiserror::Error)]
enum RoleError {
    #[error(transparent)]
    Call(#[from] ClientError),
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("the random service answered {0}")]
    Status(StatusCode),
    #[error("the random service answered {0:?}, which is neither a number nor one character")]
    NotANumber(String),
}

/// One running role.
pub struct Service {
    config: Config,
    role: Role,
    client: Client,
    metrics: Arc<Metrics>,
}

impl Service {
    /// A role with its configuration, its way to other services and its counters.
    pub fn new(config: Config, role: Role, client: Client, metrics: Arc<Metrics>) -> Self {
        Self { config, role, client, metrics }
    }

    /// Answers one request and writes its access line.
    pub async fn answer(&self, request: Parts, peer: SocketAddr) -> Response<Bytes> {
        let response = self.route(&request).await;
        log::access(peer, &request.method, &request.uri, request.version, response.status());
        response
    }

    async fn route(&self, request: &Parts) -> Response<Bytes> {
        let path = request.uri.path();
        let choices = self.role == Role::Name && path == "/choices";
        if path != "/" && !choices {
            return page(StatusCode::NOT_FOUND, "Not Found");
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            let mut response = page(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if choices {
            return page(StatusCode::OK, python_list(&self.config.names));
        }
        match self.root(&request.headers).await {
            Ok(text) => page(StatusCode::OK, text),
            Err(error) => {
                log::line(format_args!("Operation '{}' failed: {error}", self.role.name()));
                let status = match error {
                    RoleError::Status(status) => status,
                    _ => StatusCode::INTERNAL_SERVER_ERROR,
                };
                page(status, status.canonical_reason().unwrap_or("Error"))
            }
        }
    }

    async fn root(&self, headers: &HeaderMap) -> Result<String, RoleError> {
        let _timed = Timed::start(self.role.name());
        match self.role {
            Role::Sentence => self.sentence(headers).await,
            Role::Name => self.name(headers).await,
            Role::Age => self.age(headers).await,
            Role::Random => Ok(self.random(headers).await),
            Role::Api => self.api(headers).await,
        }
    }

    /// Name first, then age; their statuses do not matter, their bodies are pasted. Counted when both have answered.
    async fn sentence(&self, headers: &HeaderMap) -> Result<String, RoleError> {
        self.delay().await;
        let bug = draw::happens(self.config.auth_bug_probability);
        if bug {
            log::line("Simulating authentication bug - adding wrong header");
        }
        let headers = with_authorization(headers, bug);
        log::line(format_args!("Forwarding headers {}", python_dict(&headers)));
        let name = self.call(&self.config.name_url, &headers, self.config.call_timeout).await?;
        let age = self.call(&self.config.age_url, &headers, self.config.call_timeout).await?;
        self.metrics.count(self.role);
        if let Some(api) = &self.config.api_url {
            // The result is not used, but a call that fails fails the sentence.
            self.call(api, &headers, API_TIMEOUT).await?;
        }
        let full_stop = if self.config.full_stop { "." } else { "" };
        Ok(format!("{} is {} years{full_stop}", draw::text(&name.body), draw::text(&age.body)))
    }

    async fn name(&self, headers: &HeaderMap) -> Result<String, RoleError> {
        self.delay().await;
        self.metrics.count(self.role);
        let names = &self.config.names;
        let last = i64::try_from(names.len()).unwrap_or(i64::MAX) - 1;
        let index = self.number(headers, 0, last).await?;
        let name = usize::try_from(index).ok().and_then(|index| names.get(index)).cloned().unwrap_or_default();
        log::line(format_args!("Using name '{name}'"));
        Ok(name)
    }

    async fn age(&self, headers: &HeaderMap) -> Result<String, RoleError> {
        self.delay().await;
        self.metrics.count(self.role);
        let ages = &self.config.ages;
        let age = self.number(headers, *ages.start(), *ages.end()).await?;
        log::line(format_args!("Using age '{age}'"));
        Ok(age.to_string())
    }

    async fn random(&self, headers: &HeaderMap) -> String {
        self.delay().await;
        if headers.get(AUTHORIZATION).is_none_or(|value| *value == BAD_AUTHORIZATION) {
            log::line(format_args!(
                "Simulating bug due to missing/bad authZ header. Got headers: {}",
                python_dict(headers)
            ));
            tokio::time::sleep(PENALTY).await;
        }
        self.metrics.count(self.role);
        let number = fastrand::u32(0..=RANDOM_MAX);
        log::line(format_args!("Using random '{number}'"));
        number.to_string()
    }

    async fn api(&self, headers: &HeaderMap) -> Result<String, RoleError> {
        self.metrics.count(self.role);
        self.delay().await;
        let reply = self.call(&self.config.httpbin_url, &forwarded(headers), HTTPBIN_TIMEOUT).await?;
        log::line(format_args!("Response was: {}", reply.status.as_u16()));
        Ok(draw::text(&reply.body))
    }

    /// A number in min..=max, from the random service when there is one.
    async fn number(&self, headers: &HeaderMap, min: i64, max: i64) -> Result<i64, RoleError> {
        match &self.config.random {
            None => Ok(fastrand::i64(min..=max)),
            Some(source) => Ok(draw::reduce(self.remote_number(source, headers).await?, min, max)),
        }
    }

    async fn remote_number(&self, source: &RandomSource, headers: &HeaderMap) -> Result<u64, RoleError> {
        let url = match &source.alternative {
            Some((url, probability)) if draw::happens(*probability) => url,
            _ => &source.url,
        };
        let _timed = Timed::start("random");
        let headers = forwarded(headers);
        log::line(format_args!("Forwarding headers {}", python_dict(&headers)));
        let reply = self.call(url, &headers, self.config.call_timeout).await?;
        if reply.status != StatusCode::OK {
            return Err(RoleError::Status(reply.status));
        }
        let text = draw::text(&reply.body);
        draw::number(&text).ok_or(RoleError::NotANumber(text))
    }

    /// One GET on a connection of its own.
    async fn call(&self, url: &Target, headers: &HeaderMap, limit: Duration) -> Result<Reply, RoleError> {
        match tokio::time::timeout(limit, self.client.get_once(url, headers)).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(RoleError::Timeout(limit)),
        }
    }

    async fn delay(&self) {
        if let Some(pause) = draw::pause(self.config.delay_seconds) {
            log::line(format_args!("Delay {}s", pause.as_secs_f64()));
            tokio::time::sleep(pause).await;
        }
    }
}

fn page(status: StatusCode, text: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(SERVER, HeaderValue::from_static("sentences"));
    response
}

/// Logs how long an operation took when it goes out of scope, whether it succeeded or not.
struct Timed {
    operation: &'static str,
    started: Instant,
}

impl Timed {
    fn start(operation: &'static str) -> Self {
        Self { operation, started: Instant::now() }
    }
}

impl Drop for Timed {
    fn drop(&mut self) {
        let milliseconds = self.started.elapsed().as_secs_f64() * 1000.0;
        log::line(format_args!("Operation '{}' took {milliseconds:.3}ms", self.operation));
    }
}
