//! `RequestAuthentication` (security.istio.io): whose tokens are believed. Typed for its CRD; not enforced yet.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    authorization_policy::TargetReference,
    common::{Span, WorkloadSelector},
};

/// Specification of a RequestAuthentication.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema, kube::CustomResource)]
#[kube(
    group = "security.istio.io",
    version = "v1",
    kind = "RequestAuthentication",
    plural = "requestauthentications",
    shortname = "ra",
    category = "istio-io",
    category = "security-istio-io",
    namespaced,
    status = "super::status::IstioStatus",
    doc = "Whose tokens are believed"
)]
#[serde(rename_all = "camelCase")]
pub struct RequestAuthenticationSpec {
    /// Workloads it is for; absent is the whole namespace, or the mesh in the root namespace.
    pub selector: Option<WorkloadSelector>,
    /// Gateways and Services it is for, instead of a selector.
    pub target_ref: Option<TargetReference>,
    /// Several of them.
    pub target_refs: Option<Vec<TargetReference>>,
    /// Issuers.
    pub jwt_rules: Option<Vec<JwtRule>>,
}

/// One issuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JwtRule {
    /// `iss` of its tokens.
    #[schemars(length(min = 1))]
    pub issuer: Option<String>,
    /// Any of these must be in `aud`.
    pub audiences: Option<Vec<String>>,
    /// Where its keys are.
    #[schemars(regex(pattern = "^https?://"))]
    pub jwks_uri: Option<String>,
    /// Old spelling of `jwksUri`.
    #[serde(rename = "jwks_uri")]
    #[schemars(regex(pattern = "^https?://"))]
    pub jwks_uri_old: Option<String>,
    /// Its keys.
    pub jwks: Option<String>,
    /// Headers that carry the token, instead of `Authorization`.
    pub from_headers: Option<Vec<JwtHeader>>,
    /// Query parameters that carry the token.
    pub from_params: Option<Vec<String>>,
    /// Cookies that carry the token.
    pub from_cookies: Option<Vec<String>>,
    /// Header that gets the token's content, as base64.
    pub output_payload_to_header: Option<String>,
    /// Headers that get one claim each.
    pub output_claim_to_headers: Option<Vec<ClaimToHeader>>,
    /// Leave the token in the request.
    pub forward_original_token: Option<bool>,
    /// Claims that hold a list in one string.
    pub space_delimited_claims: Option<Vec<String>>,
    /// Time to get the keys.
    pub timeout: Option<Span>,
}

/// A header that carries a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JwtHeader {
    /// Name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Text before the token.
    pub prefix: Option<String>,
}

/// A header that gets a claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimToHeader {
    /// Name of the header.
    #[schemars(length(min = 1))]
    pub header: String,
    /// Claim.
    #[schemars(length(min = 1))]
    pub claim: String,
}
