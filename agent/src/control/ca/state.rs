//! The authority's Secret as a value: who signs, who is trusted, and how far a change of the root has come.
//!
//! `istio-ca-secret` has Istio's keys, so that istiod can take it over, or leave it to weft. What Istio has no word for is
//! beside them: the root that will sign next, the one that signed before, and annotations with the phase. All of it lives
//! in the Secret, so any replica goes on where another one stopped. Pure; [`super::store`] reads and writes it.

use std::time::SystemTime;

use k8s_openapi::{ByteString, api::core::v1::Secret, jiff::Timestamp};

use crate::identity::material::{CA_CERT, CA_KEY, CERT_CHAIN, CaFiles, NewRoot, ROOT_CERT};

/// The Secret with weft's own root.
pub const OWN_SECRET: &str = "istio-ca-secret";
/// The Secret with an operator's material; where it is, nothing else signs.
pub const PLUGGED_IN_SECRET: &str = "cacerts";
/// Type that Istio gives to [`OWN_SECRET`].
pub const OWN_SECRET_TYPE: &str = "istio.io/ca-root";

/// Annotation by which a person asks for another root: [`Request`].
pub const REQUEST: &str = "weft.dev/rotate-root";
const PHASE: &str = "weft.dev/root-rotation";
const SINCE: &str = "weft.dev/root-rotation-since";
const WAITING_FOR: &str = "weft.dev/root-rotation-waiting-for";

const NEXT_CERT: &str = "next-ca-cert.pem";
const NEXT_KEY: &str = "next-ca-key.pem";
const PREVIOUS_CERT: &str = "previous-ca-cert.pem";

/// How far a change of the root has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// One root signs and is trusted.
    Steady,
    /// The next root is trusted, and does not sign yet.
    Spreading {
        /// Since when.
        since: SystemTime,
    },
    /// The next root signs; the one before is still trusted, for what it signed lives on.
    Switched {
        /// Since when.
        since: SystemTime,
    },
}

impl Phase {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Spreading { .. } => "spreading",
            Self::Switched { .. } => "switched",
        }
    }

    /// When it began; `None` for the steady state.
    pub fn since(self) -> Option<SystemTime> {
        match self {
            Self::Steady => None,
            Self::Spreading { since } | Self::Switched { since } => Some(since),
        }
    }
}

/// What a person asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Another root, in safety.
    Rotate,
    /// Another root, also when not every agent says that it trusts the new one.
    Unconfirmed,
}

impl Request {
    /// The annotation's value.
    pub fn value(self) -> &'static str {
        match self {
            Self::Rotate => "requested",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// The Secret's content. Deliberately without `Debug`: it holds keys.
#[derive(Clone)]
pub struct CaState {
    /// The Secret itself, with all that is not ours in it.
    secret: Secret,
    /// How far a change of the root has come.
    pub phase: Phase,
    /// What was asked for.
    pub request: Option<Request>,
}

/// The Secret lacks something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it has no {0}; add it, or delete the Secret and restart weft control to have a new root made")]
pub struct MissingKey(pub &'static str);

impl CaState {
    /// A new Secret with a root of our own.
    pub fn create(namespace: &str, root: NewRoot) -> Secret {
        let mut secret = Secret { type_: Some(OWN_SECRET_TYPE.to_owned()), ..Secret::default() };
        secret.metadata.name = Some(OWN_SECRET.to_owned());
        secret.metadata.namespace = Some(namespace.to_owned());
        put(&mut secret, ROOT_CERT, Some(root.certificate.clone().into_bytes()));
        put(&mut secret, CA_CERT, Some(root.certificate.into_bytes()));
        put(&mut secret, CA_KEY, Some(root.key.into_bytes()));
        put(&mut secret, CERT_CHAIN, Some(Vec::new()));
        secret
    }

    /// Reads a Secret. A phase that cannot be (a hand edited it) counts as the steady one: what is trusted stays so.
    ///
    /// # Errors
    /// [`MissingKey`] when it is no authority's.
    pub fn read(secret: Secret) -> Result<Self, MissingKey> {
        for key in [CA_CERT, CA_KEY] {
            get(&secret, key).ok_or(MissingKey(key))?;
        }
        let annotation = |key| secret.metadata.annotations.as_ref()?.get(key).map(String::as_str);
        let since = annotation(SINCE).and_then(|text| text.parse::<Timestamp>().ok()).map(SystemTime::from);
        let phase = match (annotation(PHASE), since) {
            (Some("spreading"), Some(since)) if next(&secret).is_some() => Phase::Spreading { since },
            (Some("switched"), Some(since)) if get(&secret, PREVIOUS_CERT).is_some() => Phase::Switched { since },
            _ => Phase::Steady,
        };
        let request = match annotation(REQUEST) {
            None | Some("") => None,
            Some("unconfirmed") => Some(Request::Unconfirmed),
            Some(_) => Some(Request::Rotate),
        };
        Ok(Self { secret, phase, request })
    }

    /// The Secret, for the API server.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// What signs and what is trusted.
    pub fn files(&self) -> CaFiles<'_> {
        files(&self.secret)
    }

    /// A person asks for another root.
    #[must_use]
    pub fn requested(self, request: Request) -> Self {
        let phase = self.phase;
        self.enter(phase, Some(request))
    }

    /// Who does not trust the next root yet, so that it does not sign; written by [`Self::waiting`].
    pub fn waiting_for(&self) -> Option<&str> {
        self.secret.metadata.annotations.as_ref()?.get(WAITING_FOR).map(String::as_str)
    }

    /// The next root has to wait.
    #[must_use]
    pub fn waiting(mut self, missing: &str) -> Self {
        let annotations = self.secret.metadata.annotations.get_or_insert_default();
        annotations.insert(WAITING_FOR.to_owned(), missing.to_owned());
        self
    }

    /// The next root becomes trusted.
    #[must_use]
    pub fn begun(mut self, root: NewRoot, now: SystemTime) -> Self {
        let mut roots = self.roots();
        roots.extend_from_slice(root.certificate.as_bytes());
        put(&mut self.secret, ROOT_CERT, Some(roots));
        put(&mut self.secret, NEXT_CERT, Some(root.certificate.into_bytes()));
        put(&mut self.secret, NEXT_KEY, Some(root.key.into_bytes()));
        // What was asked for is under way; that it needs no confirmation is remembered until it is needed.
        let request = self.request.filter(|request| *request == Request::Unconfirmed);
        self.enter(Phase::Spreading { since: now }, request)
    }

    /// The next root signs; the key of the one before is forgotten.
    #[must_use]
    pub fn switched(mut self, now: SystemTime) -> Self {
        let Some((certificate, key)) = next(&self.secret) else { return self };
        let (certificate, key) = (certificate.to_vec(), key.to_vec());
        let previous = get(&self.secret, CA_CERT).map(<[u8]>::to_vec);
        put(&mut self.secret, PREVIOUS_CERT, previous);
        put(&mut self.secret, CA_CERT, Some(certificate));
        put(&mut self.secret, CA_KEY, Some(key));
        put(&mut self.secret, NEXT_CERT, None);
        put(&mut self.secret, NEXT_KEY, None);
        self.enter(Phase::Switched { since: now }, None)
    }

    /// The root before is not trusted any more. Other roots that an operator added to the bundle stay.
    #[must_use]
    pub fn retired(mut self) -> Self {
        let previous = get(&self.secret, PREVIOUS_CERT).unwrap_or_default();
        let roots = super::bundle::without(&self.roots(), previous);
        put(&mut self.secret, ROOT_CERT, Some(roots));
        put(&mut self.secret, PREVIOUS_CERT, None);
        let request = self.request;
        self.enter(Phase::Steady, request)
    }

    /// The published bundle in PEM. Istio leaves it empty where the signing certificate is the only root.
    pub fn roots(&self) -> Vec<u8> {
        let written = get(&self.secret, ROOT_CERT).filter(|text| !text.trim_ascii().is_empty());
        let mut roots = written.or_else(|| get(&self.secret, CA_CERT)).unwrap_or_default().to_vec();
        if !roots.ends_with(b"\n") {
            roots.push(b'\n');
        }
        roots
    }

    fn enter(mut self, phase: Phase, request: Option<Request>) -> Self {
        let annotations = self.secret.metadata.annotations.get_or_insert_default();
        for key in [PHASE, SINCE, WAITING_FOR, REQUEST] {
            annotations.remove(key);
        }
        if let Some(since) = phase.since().and_then(|since| Timestamp::try_from(since).ok()) {
            annotations.insert(PHASE.to_owned(), phase.name().to_owned());
            annotations.insert(SINCE.to_owned(), since.to_string());
        }
        if let Some(request) = request {
            annotations.insert(REQUEST.to_owned(), request.value().to_owned());
        }
        Self { phase, request, ..self }
    }
}

/// The files of an authority in a Secret's data.
pub fn files(secret: &Secret) -> CaFiles<'_> {
    CaFiles {
        certificate: get(secret, CA_CERT).unwrap_or_default(),
        key: get(secret, CA_KEY).unwrap_or_default(),
        roots: get(secret, ROOT_CERT),
        chain: get(secret, CERT_CHAIN),
    }
}

fn next(secret: &Secret) -> Option<(&[u8], &[u8])> {
    Some((get(secret, NEXT_CERT)?, get(secret, NEXT_KEY)?))
}

fn get<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|value| value.0.as_slice())
}

fn put(secret: &mut Secret, key: &str, value: Option<Vec<u8>>) {
    let data = secret.data.get_or_insert_default();
    match value {
        Some(value) => data.insert(key.to_owned(), ByteString(value)),
        None => data.remove(key),
    };
}

#[cfg(test)]
mod tests;
