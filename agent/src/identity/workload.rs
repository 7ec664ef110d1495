//! One certificate of one identity, and all that connections need of it, made once.
//!
//! [`super::Identities`] replaces it at rotation; connections that use the old one keep their `Arc`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use rustls::{ClientConfig, ServerConfig, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, UnixTime};
use weft_model::identity::SpiffeId;

use super::{
    anchors::Anchors,
    authority::{CertificateAuthority, SignedChain, TrustBundle},
    bounded::BoundedMap,
    error::IdentityError,
    peer,
    request::KeyRequest,
    sessions::Sessions,
    tls::{self, Purpose},
    verify::{ClientVerifier, ServerVerifier, Trust, TrustDomains},
};

/// Client configurations kept per identity: one per purpose and destination identity.
const MAX_CLIENT_CONFIGS: usize = 1024;

/// A certificate with its key, the bundle to judge peers by, and ready-made TLS configurations.
pub struct WorkloadIdentity {
    id: SpiffeId,
    chain: Vec<CertificateDer<'static>>,
    bundle: TrustBundle,
    issued_at: SystemTime,
    not_before: SystemTime,
    not_after: SystemTime,
    server: Arc<ServerConfig>,
    trust: Arc<Trust>,
    client_base: ClientConfig,
    clients: Mutex<BoundedMap<(Purpose, SpiffeId), Arc<ClientConfig>>>,
    sessions: Arc<Sessions>,
}

impl WorkloadIdentity {
    /// Makes a key, has `authority` sign it, and checks the answer as a peer would. `now` is when the life begins
    /// that rotation measures. Peers are judged by `anchors`, which learn the roots of the answer.
    pub(super) async fn issue(
        authority: &dyn CertificateAuthority,
        id: &SpiffeId,
        (domains, anchors): (&TrustDomains, &Arc<Anchors>),
        ttl: Duration,
        now: SystemTime,
    ) -> Result<Self, IdentityError> {
        let unusable = |reason: String| IdentityError::Unusable { id: id.clone(), reason };
        let KeyRequest { key, csr } = KeyRequest::generate(id).map_err(|error| unusable(error.to_string()))?;
        let signed =
            authority.sign(csr, id, ttl).await.map_err(|source| IdentityError::Authority { id: id.clone(), source })?;
        let signing_key =
            tls::provider().key_provider.load_private_key(key).map_err(|error| unusable(error.to_string()))?;
        let key = CertifiedKey::new(signed.chain.clone(), signing_key);
        Self::assemble(id, signed, key, (domains, anchors), now).map_err(unusable)
    }

    fn assemble(
        id: &SpiffeId,
        signed: SignedChain,
        key: CertifiedKey,
        (domains, anchors): (&TrustDomains, &Arc<Anchors>),
        issued_at: SystemTime,
    ) -> Result<Self, String> {
        let SignedChain { chain, roots: bundle, .. } = signed;
        let (leaf, intermediates) = chain.split_first().ok_or("the chain is empty")?;
        key.keys_match().map_err(|error| format!("it is not for the key of the request: {error}"))?;
        let parsed = peer::parse(leaf).map_err(|error| error.to_string())?;
        // Aliases count for peers, not here: the authority has to sign exactly what was asked.
        let actual = peer::identity(&parsed).map_err(|error| error.to_string())?;
        if actual != *id {
            return Err(format!("it is for {actual}"));
        }
        let (not_before, not_after) = (parsed.validity().not_before, parsed.validity().not_after);
        // By the roots of the answer alone: whatever else is trusted here need not be trusted elsewhere.
        let answered = Anchors::of(bundle.clone()).map_err(|error| error.to_string())?;
        ServerVerifier { trust: Trust::new(answered, domains.clone()), expected: id.clone() }
            .check(leaf, intermediates, UnixTime::now())
            .map_err(|error| error.to_string())?;
        anchors.answered(bundle.clone(), issued_at).map_err(|error| error.to_string())?;
        let trust = Trust::new(anchors.clone(), domains.clone());
        let verifier = ServerVerifier { trust: trust.clone(), expected: id.clone() };
        let resolver = tls::resolver(key);
        let client_verifier = ClientVerifier { trust: trust.clone() };
        let server = tls::server_config(resolver.clone(), client_verifier).map_err(|error| error.to_string())?;
        let client_base = tls::client_base(resolver, verifier).map_err(|error| error.to_string())?;
        Ok(Self {
            id: id.clone(),
            not_before: not_before.to_datetime().into(),
            not_after: not_after.to_datetime().into(),
            chain,
            bundle,
            issued_at,
            server: Arc::new(server),
            trust,
            client_base,
            clients: Mutex::new(BoundedMap::new(MAX_CLIENT_CONFIGS)),
            sessions: Sessions::new(),
        })
    }

    /// Whose certificate this is.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The leaf, then intermediates.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The roots that came with the certificate. Peers are judged by those in force, which may be others by now.
    pub fn bundle(&self) -> &TrustBundle {
        &self.bundle
    }

    /// When it was asked for; `not_before` lies earlier, for peers whose clocks are behind.
    pub fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// Begin of the certificate's life.
    pub fn not_before(&self) -> SystemTime {
        self.not_before
    }

    /// End of the certificate's life.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// For connections that reach a pod of this identity: the client must prove an identity of the mesh.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// For connections that a pod of this identity opens to a workload which must be `expected`.
    ///
    /// The expectation is part of the configuration (kept, up to 1024 per identity), not a look after the handshake:
    /// so nobody can forget it, an impostor learns neither the client's certificate nor a byte of payload, and a session
    /// can be resumed only towards the identity it was opened to. Name the server by its address (`ServerName::IpAddress`)
    /// where nothing else is asked for: sessions are kept per name, and each pod's agent has ticket keys of its own.
    pub fn client_config(&self, purpose: Purpose, expected: &SpiffeId) -> Arc<ClientConfig> {
        let make = || Arc::new(tls::client_config(&self.client_base, &self.trust, &self.sessions, purpose, expected));
        // Nothing panics while the lock is held, and a half-made entry cannot be in the map.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get_or_insert_with((purpose, expected.clone()), make).clone()
    }
}

impl fmt::Debug for WorkloadIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadIdentity")
            .field("id", &self.id)
            .field("not_before", &self.not_before)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
