//! A signing request over a real connection, from an agent's own client to the service and back.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    path::PathBuf,
    sync::Mutex,
};

use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};
use tokio::sync::watch;

use super::*;
use crate::{
    control::{
        ca::{authority, caller::PodRef, state::CaState},
        pods::NodeIdentity,
        serve::{Door, certificate::Certificate},
    },
    identity::{
        self, Identities, IdentityError, Published, RemoteCa, RemoteCaConfig, TrustBundle, TrustDomains,
        material::NewRoot,
    },
    lifecycle::{self, Drainer},
};

const DOMAIN: &str = "cluster.local";
const AGENT_TOKEN: &str = "token-of-the-agent-on-node-a";

/// An API server that knows some tokens.
#[derive(Default)]
struct Tokens(Mutex<HashMap<String, TokenReviewStatus>>, Mutex<bool>);

#[async_trait::async_trait]
impl Reviewer for Tokens {
    async fn review(&self, token: &str, audiences: &[String]) -> Result<TokenReviewStatus, Unknown> {
        if *self.1.lock().unwrap() {
            return Err(Unknown::Unavailable("it is down".to_owned()));
        }
        assert_eq!(audiences, ["istio-ca"]);
        Ok(self.0.lock().unwrap().get(token).cloned().unwrap_or_default())
    }
}

impl Tokens {
    fn add(&self, token: &str, account: &str, pod: &str) {
        let extra = [("name", pod.to_owned()), ("uid", format!("uid-{pod}"))];
        let extra = extra.map(|(key, value)| (format!("authentication.kubernetes.io/pod-{key}"), vec![value]));
        let user = UserInfo {
            username: Some(format!("system:serviceaccount:{account}")),
            extra: Some(extra.into()),
            ..UserInfo::default()
        };
        let audiences = Some(vec!["istio-ca".to_owned()]);
        let status = TokenReviewStatus { authenticated: Some(true), audiences, user: Some(user), error: None };
        self.0.lock().unwrap().insert(token.to_owned(), status);
    }
}

/// The pods of a small cluster.
#[derive(Default)]
struct Cluster(Mutex<HashSet<NodeIdentity>>);

#[async_trait::async_trait]
impl NodePods for Cluster {
    async fn has(&self, wanted: &NodeIdentity) -> Result<bool, String> {
        Ok(self.0.lock().unwrap().contains(wanted))
    }

    async fn node_of(&self, _namespace: &str, _account: &str, pod: &PodRef) -> Result<Option<Arc<str>>, String> {
        assert_eq!(pod.uid, format!("uid-{}", pod.name));
        Ok(pod.name.strip_prefix("agent-on-").map(Into::into))
    }
}

/// A control plane without a cluster.
struct Plane {
    state: CaState,
    authority: watch::Sender<Option<Arc<Authority>>>,
    service: Arc<CertificateService>,
    tokens: Arc<Tokens>,
    cluster: Arc<Cluster>,
    address: SocketAddr,
    drainer: Option<Drainer>,
    _certificate: tokio::task::JoinHandle<()>,
    certificate: Arc<Certificate>,
}

fn root() -> NewRoot {
    NewRoot::generate(DOMAIN, SystemTime::now()).unwrap()
}

impl Plane {
    async fn start() -> Self {
        let state = CaState::read(CaState::create("istio-system", root())).unwrap_or_else(|error| panic!("{error}"));
        let (authority, following) = watch::channel(None);
        let (tokens, cluster) = (Arc::new(Tokens::default()), Arc::new(Cluster::default()));
        tokens.add(AGENT_TOKEN, "istio-system:weft-agent", "agent-on-node-a");
        let service = Arc::new(CertificateService {
            authority: following.clone(),
            reviewer: tokens.clone(),
            pods: cluster.clone(),
            accounts: "istio-system/weft-agent".parse().unwrap(),
            audiences: vec!["istio-ca".to_owned()],
            metrics: Arc::new(ControlMetrics::new("0.0.0").unwrap()),
        });
        let certificate = Certificate::new(&["localhost".to_owned()]);
        let keeping = tokio::spawn({
            let certificate = certificate.clone();
            async move { certificate.keep(following).await }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let (_certificate, drainer) = (keeping, None);
        let mut plane =
            Self { state, authority, service, tokens, cluster, address, drainer, _certificate, certificate };
        plane.sign_with(plane.state.clone());
        while !plane.certificate.is_there() {
            tokio::task::yield_now().await;
        }
        plane.listen().await;
        plane
    }

    /// Puts a state of the Secret into force.
    fn sign_with(&mut self, state: CaState) {
        let secret = state.secret().clone();
        let authority = authority::owned(&secret, DOMAIN).unwrap_or_else(|error| panic!("{error}"));
        self.state = state;
        self.authority.send_replace(Some(Arc::new(authority)));
    }

    async fn listen(&mut self) {
        let tls = identity::service_config(self.certificate.clone(), &[b"h2"]).unwrap();
        let door = Door::open("test", self.address, Some(Arc::new(tls))).await.unwrap();
        self.address = door.address().unwrap();
        let (drainer, drain) = lifecycle::drain();
        let service = self.service.clone();
        tokio::spawn(door.serve(move |request| service.clone().handle(request), drain));
        self.drainer = Some(drainer);
    }

    async fn stop(&mut self) {
        self.drainer.take().unwrap().finish(Duration::from_secs(5)).await;
    }

    fn bundle(&self) -> TrustBundle {
        TrustBundle::from_pem(&self.state.roots()).unwrap()
    }

    fn run_pod(&self, account: &str, node: &str) {
        let place = NodeIdentity { node: node.into(), namespace: "shop".into(), service_account: account.into() };
        self.cluster.0.lock().unwrap().insert(place);
    }
}

/// An agent's half.
struct Agent {
    folder: tempfile::TempDir,
    published: watch::Sender<Published>,
    remote: Arc<RemoteCa>,
    identities: Arc<Identities>,
}

fn id(account: &str) -> SpiffeId {
    format!("spiffe://{DOMAIN}/ns/shop/sa/{account}").parse().unwrap()
}

impl Agent {
    fn new(plane: &Plane) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, format!("{AGENT_TOKEN}\n")).unwrap();
        let (published, following) = watch::channel(Published::Roots(plane.bundle()));
        let address = format!("https://localhost:{}", plane.address.port());
        let remote = Arc::new(RemoteCa::new(RemoteCaConfig { address, token, published: following }).unwrap());
        let wanted: BTreeSet<_> = ["web", "api"].map(id).into();
        let (_sender, wanted) = watch::channel(wanted);
        let config = identity::Config::new(TrustDomains::new(DOMAIN, []), Arc::new(|| 0.5));
        let identities = Identities::new(remote.clone(), wanted, config);
        Self { folder, published, remote, identities }
    }

    fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    async fn ask(&self, account: &str, ttl: Duration) -> Result<SignedChain, CaError> {
        use crate::identity::CertificateAuthority as _;
        let key = rcgen::KeyPair::generate().unwrap();
        let csr = rcgen::CertificateParams::default().serialize_request(&key).unwrap();
        self.remote.sign(csr.der().clone(), &id(account), ttl).await
    }
}

/// An error with its causes.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn an_agent_gets_certificates_for_its_node_and_no_others() {
    let plane = Plane::start().await;
    plane.run_pod("web", "node-a");
    plane.run_pod("api", "node-b");
    let agent = Agent::new(&plane);
    let web = agent.identities.get(&id("web")).await.unwrap();
    assert_eq!((web.id(), web.bundle()), (&id("web"), &plane.bundle()));
    assert_eq!(agent.identities.roots(), Some(plane.bundle()));

    let error = agent.identities.get(&id("api")).await.unwrap_err();
    let IdentityError::Authority { source: CaError::Refused { .. }, .. } = &error else { panic!("{error:?}") };
    let words = words(&error);
    assert!(words.contains("sa/api has no pod on node node-a") && words.contains("istio-system/weft-agent"), "{words}");

    plane.run_pod("api", "node-a");
    agent.ask("api", MAX_TTL).await.unwrap();
    let metrics = plane.service.metrics.render().unwrap();
    for line in ["csr_count 3", "authentication_failure_count 1", "success_cert_issuance_count 2"] {
        assert!(metrics.contains(&format!("citadel_server_{line}\n")), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn who_nobody_vouches_for_gets_nothing() {
    let plane = Plane::start().await;
    plane.run_pod("web", "node-a");
    let agent = Agent::new(&plane);
    std::fs::write(agent.token(), "stolen").unwrap();
    let refused = words(&agent.ask("web", MAX_TTL).await.unwrap_err());
    assert!(refused.contains("the token is not accepted") && !refused.contains("stolen"), "{refused}");

    plane.tokens.add("of-web", "shop:web", "web-1");
    std::fs::write(agent.token(), "of-web").unwrap();
    agent.ask("web", MAX_TTL).await.expect("itself, with a token that was replaced meanwhile");
    let refused = words(&agent.ask("api", MAX_TTL).await.unwrap_err());
    assert!(refused.contains("may not ask for"), "{refused}");

    plane.tokens.add("of-a-lost-agent", "istio-system:weft-agent", "gone");
    std::fs::write(agent.token(), "of-a-lost-agent").unwrap();
    let refused = words(&agent.ask("web", MAX_TTL).await.unwrap_err());
    assert!(refused.contains("its token is of pod gone"), "{refused}");

    std::fs::remove_file(agent.token()).unwrap();
    let error = agent.ask("web", MAX_TTL).await.unwrap_err();
    assert!(matches!(error, CaError::Unavailable { .. }), "{error}");
    assert!(words(&error).contains("cannot read the token"), "{}", words(&error));
}

#[tokio::test]
async fn an_api_server_that_is_away_is_nobodys_fault() {
    let plane = Plane::start().await;
    plane.run_pod("web", "node-a");
    let agent = Agent::new(&plane);
    *plane.tokens.1.lock().unwrap() = true;
    let error = agent.ask("web", MAX_TTL).await.unwrap_err();
    assert!(matches!(error, CaError::Unavailable { .. }), "asking again may help: {error}");
    assert!(words(&error).contains("it is down"), "{}", words(&error));
    *plane.tokens.1.lock().unwrap() = false;
    agent.ask("web", MAX_TTL).await.unwrap();
}

#[tokio::test]
async fn nobody_lives_longer_than_a_day() {
    let plane = Plane::start().await;
    plane.run_pod("web", "node-a");
    let agent = Agent::new(&plane);
    for (asked, least, most) in [(7 * MAX_TTL, MAX_TTL / 2, MAX_TTL), (Duration::ZERO, MAX_TTL / 2, MAX_TTL)] {
        let life = agent.ask("web", asked).await.unwrap().not_after.duration_since(SystemTime::now()).unwrap();
        assert!(life >= least && life <= most, "{asked:?} gives {life:?}");
    }
    let short = agent.ask("web", Duration::from_secs(60)).await.unwrap().not_after;
    assert!(short.duration_since(SystemTime::now()).unwrap() <= Duration::from_secs(60));
}

#[tokio::test]
async fn a_restart_of_the_authority_costs_one_attempt_at_most() {
    let mut plane = Plane::start().await;
    plane.run_pod("web", "node-a");
    let agent = Agent::new(&plane);
    agent.ask("web", MAX_TTL).await.unwrap();
    plane.stop().await;
    let error = agent.ask("web", MAX_TTL).await.unwrap_err();
    assert!(matches!(error, CaError::Unavailable { .. }), "{error}");
    assert!(words(&error).contains(&format!("https://localhost:{}", plane.address.port())), "{}", words(&error));
    plane.listen().await;
    agent.ask("web", MAX_TTL).await.expect("it is back");
}

#[tokio::test]
async fn the_authority_itself_is_judged_by_the_published_roots() {
    let mut plane = Plane::start().await;
    plane.run_pod("web", "node-a");
    let agent = Agent::new(&plane);
    let old = plane.bundle();
    plane.sign_with(plane.state.clone().begun(root(), SystemTime::now()));
    assert_eq!(agent.ask("web", MAX_TTL).await.unwrap().roots.roots().len(), 2, "answers name both roots at once");
    let both = plane.bundle();
    plane.sign_with(plane.state.clone().switched(SystemTime::now()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    plane.stop().await;
    plane.listen().await;
    agent.ask("web", MAX_TTL).await.expect("the file is late, but the last answer named the new root");

    // Another agent, whose file is late, meets the new certificate.
    let late = Agent::new(&plane);
    late.published.send_replace(Published::Roots(old));
    let words = words(&late.ask("web", MAX_TTL).await.unwrap_err());
    assert!(words.contains("invalid peer certificate"), "{words}");
    late.published.send_replace(Published::Roots(both));
    let signed = late.ask("web", MAX_TTL).await.expect("with the file that has both");
    let last = signed.roots.roots().last().unwrap();
    let signer = plane.authority.borrow().as_ref().unwrap().signer.certificate().clone();
    assert_eq!(*last, signer, "sidecars take the last root for the one that signs");
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_words() {
    let plane = Plane::start().await;
    let ask = |csr: &str, impersonated: Option<&str>| {
        let mut message = CertificateRequest { csr: csr.to_owned(), validity_duration: 0, metadata: None };
        if let Some(text) = impersonated {
            message = CertificateRequest::on_behalf_of(&id("web"), csr.to_owned(), MAX_TTL);
            let value = prost_types::Value { kind: Some(prost_types::value::Kind::StringValue(text.to_owned())) };
            message.metadata =
                Some(prost_types::Struct { fields: [("ImpersonatedIdentity".to_owned(), value)].into() });
        }
        let mut request = tonic::Request::new(message);
        let token = format!("Bearer {AGENT_TOKEN}").parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        let service = plane.service.clone();
        async move { service.create(request).await.unwrap_err() }
    };
    let status = ask("nonsense", None).await;
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains("no PEM block"), "{status}");
    let status = ask("nonsense", Some("web")).await;
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert!(status.message().contains("is no identity of a mesh"), "{status}");
    plane.authority.send_replace(None);
    assert_eq!(ask("nonsense", None).await.code(), tonic::Code::Unavailable);
}
