//! Who asks: what the API server says about a token.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::{Api, Client, api::PostParams};

/// Keys of what the API server knows about a token beside its user. There is one with the node, too, since Kubernetes
/// 1.32; the pod's own node is as good, is there in older versions, and proves that the pod is still there.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// A service account, and the pod whose token it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Namespace.
    pub namespace: String,
    /// Service account.
    pub account: String,
    /// The pod that the token is bound to; tokens may be bound to none.
    pub pod: Option<PodRef>,
}

/// A pod of the caller's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    /// Name.
    pub name: String,
    /// Which pod of that name.
    pub uid: String,
}

/// Why nobody is known to be behind a token.
#[derive(Debug, thiserror::Error)]
pub enum Unknown {
    /// There is no token.
    #[error("no token: send the service account's token as authorization: Bearer <token>")]
    NoToken,
    /// The API server does not accept it.
    #[error("the token is not accepted: {0}")]
    Refused(String),
    /// It proves somebody to others, not to us.
    #[error("the token is not for the audience {wanted}; project one with that audience")]
    Audience {
        /// Ours.
        wanted: String,
    },
    /// Somebody, but no service account.
    #[error("the token is that of {0}, which is no service account")]
    NoServiceAccount(String),
    /// The API server cannot be asked.
    #[error("the API server cannot be asked whose token this is: {0}")]
    Unavailable(String),
}

/// Asks whose a token is.
#[async_trait::async_trait]
pub trait Reviewer: Send + Sync {
    /// What the API server says about `token` for `audiences`.
    ///
    /// # Errors
    /// [`Unknown::Unavailable`].
    async fn review(&self, token: &str, audiences: &[String]) -> Result<TokenReviewStatus, Unknown>;
}

/// The real one.
pub struct ApiReviewer(Api<TokenReview>);

impl ApiReviewer {
    /// Asks the API server behind `client`.
    pub fn new(client: Client) -> Self {
        Self(Api::all(client))
    }
}

#[async_trait::async_trait]
impl Reviewer for ApiReviewer {
    async fn review(&self, token: &str, audiences: &[String]) -> Result<TokenReviewStatus, Unknown> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(audiences.to_vec()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviewed = self.0.create(&PostParams::default(), &review).await;
        let reviewed = reviewed.map_err(|error| Unknown::Unavailable(error.to_string()))?;
        reviewed.status.ok_or_else(|| Unknown::Unavailable("it answers without a status".to_owned()))
    }
}

impl Caller {
    /// Reads the API server's answer.
    ///
    /// # Errors
    /// [`Unknown`] unless it vouches for a service account, to us.
    pub fn read(status: TokenReviewStatus, audiences: &[String]) -> Result<Self, Unknown> {
        if status.authenticated != Some(true) {
            let reason = status.error.filter(|reason| !reason.is_empty());
            return Err(Unknown::Refused(reason.unwrap_or_else(|| "it is not valid".to_owned())));
        }
        // A server that knows no audiences names none, and has not looked at them.
        let meant_for_us = status.audiences.unwrap_or_default().iter().any(|audience| audiences.contains(audience));
        if !meant_for_us {
            return Err(Unknown::Audience { wanted: audiences.join(" or ") });
        }
        let user = status.user.unwrap_or_default();
        let name = user.username.unwrap_or_default();
        let Some((namespace, account)) = service_account(&name) else { return Err(Unknown::NoServiceAccount(name)) };
        let mut extra = user.extra.unwrap_or_default();
        let mut one = |key: &str| extra.remove(key).filter(|values| values.len() == 1)?.pop();
        let pod = match (one(POD_NAME), one(POD_UID)) {
            (Some(name), Some(uid)) => Some(PodRef { name, uid }),
            _ => None,
        };
        Ok(Self { namespace: namespace.to_owned(), account: account.to_owned(), pod })
    }
}

fn service_account(username: &str) -> Option<(&str, &str)> {
    let (namespace, account) = username.strip_prefix("system:serviceaccount:")?.split_once(':')?;
    (!namespace.is_empty() && !account.is_empty() && !account.contains(':')).then_some((namespace, account))
}

#[cfg(test)]
mod tests;
