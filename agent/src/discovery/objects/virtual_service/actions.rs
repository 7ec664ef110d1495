//! What a route does to requests beside routing them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::common::{Percent, Span, StringMap, StringMatch};
use super::Destination;

/// Answer with a redirect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redirect {
    /// New path.
    pub uri: Option<String>,
    /// New text for the matched prefix.
    pub prefix_rewrite: Option<String>,
    /// New authority.
    pub authority: Option<String>,
    /// New port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u32>,
    /// `FROM_PROTOCOL_DEFAULT` or `FROM_REQUEST_PORT`.
    #[schemars(extend("enum" = ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]))]
    pub derive_port: Option<String>,
    /// New scheme.
    pub scheme: Option<String>,
    /// Status; 301 when absent.
    pub redirect_code: Option<u32>,
}

/// Answer with a fixed response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectResponse {
    /// Status.
    #[schemars(range(min = 200, max = 599))]
    pub status: u32,
    /// Body.
    pub body: Option<DirectResponseBody>,
}

/// Body of a fixed response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DirectResponseBody {
    /// As text.
    pub string: Option<String>,
    /// As base64.
    pub bytes: Option<String>,
}

/// Another VirtualService that continues.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Delegate {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; the own one when absent.
    pub namespace: Option<String>,
}

/// Change of path or authority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rewrite {
    /// Replaces the matched prefix, or the path.
    pub uri: Option<String>,
    /// Replaces the authority.
    pub authority: Option<String>,
    /// Replaces parts of the path by expression.
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// Replacement by regular expression.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RegexRewrite {
    /// RE2 expression.
    #[serde(rename = "match")]
    pub expression: Option<String>,
    /// Replacement, with `\1` for groups.
    pub rewrite: Option<String>,
}

/// What is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Tries after the first.
    #[schemars(range(min = 0))]
    pub attempts: Option<i32>,
    /// Time for each try.
    pub per_try_timeout: Option<Span>,
    /// Conditions, Envoy's words.
    pub retry_on: Option<String>,
    /// Also in other localities.
    pub retry_remote_localities: Option<bool>,
    /// Also on hosts already tried.
    pub retry_ignore_previous_hosts: Option<bool>,
    /// Pause between tries.
    pub backoff: Option<Span>,
}

/// Injected faults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fault {
    /// Requests wait.
    pub delay: Option<FaultDelay>,
    /// Requests are answered with an error.
    pub abort: Option<FaultAbort>,
}

/// Requests wait.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultDelay {
    /// Old spelling of `percentage`: whole percent.
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i32>,
    /// Share of requests.
    pub percentage: Option<Percent>,
    /// How long.
    pub fixed_delay: Option<Span>,
    /// Never implemented by Istio.
    pub exponential_delay: Option<Span>,
}

/// Requests are answered with an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultAbort {
    /// Old spelling of `percentage`: whole percent.
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<i32>,
    /// Share of requests.
    pub percentage: Option<Percent>,
    /// HTTP status.
    #[schemars(range(min = 200, max = 599))]
    pub http_status: Option<i32>,
    /// gRPC status.
    pub grpc_status: Option<String>,
    /// Never implemented by Istio.
    pub http2_error: Option<String>,
}

/// A destination that gets copies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MirrorPolicy {
    /// Where to.
    pub destination: Option<Destination>,
    /// Share of requests; absent is all.
    pub percentage: Option<Percent>,
}

/// Cross-origin rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CorsPolicy {
    /// Old spelling of `allowOrigins`.
    pub allow_origin: Option<Vec<String>>,
    /// Origins that may ask.
    pub allow_origins: Option<Vec<StringMatch>>,
    /// Methods.
    pub allow_methods: Option<Vec<String>>,
    /// Request headers.
    pub allow_headers: Option<Vec<String>>,
    /// Response headers.
    pub expose_headers: Option<Vec<String>>,
    /// How long a preflight is valid.
    pub max_age: Option<Span>,
    /// May credentials be sent?
    pub allow_credentials: Option<bool>,
    /// `FORWARD` or `IGNORE`.
    #[schemars(extend("enum" = ["UNSPECIFIED", "FORWARD", "IGNORE"]))]
    pub unmatched_preflights: Option<String>,
}

/// Changes to headers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Headers {
    /// Of the request.
    pub request: Option<HeaderOperations>,
    /// Of the response.
    pub response: Option<HeaderOperations>,
}

/// Changes to one message's headers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeaderOperations {
    /// Replaced.
    pub set: Option<StringMap>,
    /// Appended.
    pub add: Option<StringMap>,
    /// Removed.
    pub remove: Option<Vec<String>>,
}
