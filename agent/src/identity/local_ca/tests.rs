//! What is signed, what is not, and that a directory ends with one root however many agents begin.

use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::Barrier,
    thread,
};

use rcgen::{CertificateParams, IsCa, KeyPair, SanType};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;

use super::*;
use crate::identity::{
    MAX_TTL, peer,
    request::KeyRequest,
    testing::{DOMAIN, Mesh, Signer, authority_params, id},
};

fn open(directory: &Path) -> Result<LocalCa, LocalCaError> {
    LocalCa::open_or_create(directory, DOMAIN)
}

async fn sign(ca: &LocalCa, request: KeyRequest, id: &SpiffeId, ttl: Duration) -> Result<SignedChain, CaError> {
    ca.sign(request.csr, id, ttl).await
}

fn write(directory: &Path, name: &str, content: &str) {
    fs::write(directory.join(name), content).unwrap();
}

#[tokio::test]
async fn the_uri_is_the_only_name_and_life_is_a_day_at_most() {
    let mesh = Mesh::new();
    let week = 7 * MAX_TTL;
    let signed = sign(&mesh.ca, KeyRequest::generate(&id("web")).unwrap(), &id("web"), week).await.unwrap();
    let leaf = peer::parse(&signed.chain[0]).unwrap();

    let names = leaf.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://cluster.local/ns/default/sa/web")]);
    assert!(names.critical, "with an empty subject the name is critical");
    assert_eq!(leaf.subject().iter().count(), 0);

    let validity = leaf.validity();
    let (begin, end) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    assert!(end - begin <= 24 * 60 * 60, "{} seconds", end - begin);
    assert!(end - begin > 23 * 60 * 60, "{} seconds", end - begin);
    assert_eq!(signed.not_after, SystemTime::from(validity.not_after.to_datetime()));

    let usage = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && usage.client_auth && !usage.any);
    assert!(!leaf.is_ca());
    assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
    assert_eq!(signed.chain.len(), 1, "a root is not sent");
    assert!(leaf.raw_serial().len() >= 8, "serial numbers are unpredictable");
}

#[tokio::test]
async fn a_short_life_is_as_short_as_asked() {
    let mesh = Mesh::new();
    let now = SystemTime::now();
    let ttl = Duration::from_secs(5);
    let signed = sign(&mesh.ca, KeyRequest::generate(&id("web")).unwrap(), &id("web"), ttl).await.unwrap();
    let left = signed.not_after.duration_since(now).unwrap();
    assert!(left <= ttl + Duration::from_secs(1) && left >= ttl - Duration::from_secs(1), "{left:?}");
}

async fn refused(request: KeyRequest, id: &SpiffeId) -> String {
    let error = sign(&Mesh::new().ca, request, id, MAX_TTL).await.unwrap_err();
    assert!(matches!(error, CaError::Refused { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(&id.to_string()), "{message}");
    message
}

#[tokio::test]
async fn a_request_for_another_identity_is_refused() {
    let message = refused(KeyRequest::generate(&id("admin")).unwrap(), &id("web")).await;
    assert!(message.contains("/sa/admin") && message.contains("exactly this identity"), "{message}");
}

#[tokio::test]
async fn a_request_with_more_or_fewer_names_is_refused() {
    let named = |names: Vec<SanType>| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        let csr = params.serialize_request(&key).unwrap().into();
        KeyRequest { csr, key: rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    };
    let uri = |sa| SanType::URI(id(sa).to_string().try_into().unwrap());
    let dns = SanType::DnsName("web.default.svc".try_into().unwrap());
    for names in [vec![], vec![uri("web"), uri("admin")], vec![uri("web"), dns]] {
        assert!(refused(named(names), &id("web")).await.contains("exactly this identity"));
    }
}

#[tokio::test]
async fn a_request_whose_signature_does_not_fit_is_refused() {
    let mut request = KeyRequest::generate(&id("web")).unwrap();
    let mut der = request.csr.to_vec();
    let name = der.windows(3).position(|bytes| bytes == b"web").unwrap();
    der[name..name + 3].copy_from_slice(b"api");
    request.csr = der.into();
    assert!(refused(request, &id("api")).await.contains("not valid"));
    let request = KeyRequest { csr: b"nonsense".to_vec().into(), ..KeyRequest::generate(&id("web")).unwrap() };
    assert!(refused(request, &id("web")).await.contains("not valid"));
}

#[tokio::test]
async fn other_trust_domains_and_odd_names_are_refused() {
    let foreign = "spiffe://elsewhere.org/ns/default/sa/web".parse().unwrap();
    let message = refused(KeyRequest::generate(&foreign).unwrap(), &foreign).await;
    assert!(message.contains("cluster.local only"), "{message}");
    let odd = "spiffe://cluster.local/ns/default/sa/a;b".parse().unwrap();
    let message = refused(KeyRequest::generate(&odd).unwrap(), &odd).await;
    assert!(message.contains("characters"), "{message}");
}

#[tokio::test]
async fn no_life_is_refused() {
    let mesh = Mesh::new();
    let request = KeyRequest::generate(&id("web")).unwrap();
    let error = sign(&mesh.ca, request, &id("web"), Duration::ZERO).await.unwrap_err();
    assert!(error.to_string().contains("ends at once"), "{error}");
}

#[test]
fn only_the_owner_reads_the_key() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("deep/ca");
    open(&directory).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory.join("ca-key.pem")), 0o600);
    assert_eq!(mode(&directory), 0o700);
    let names: BTreeSet<_> = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["ca-cert.pem", "ca-key.pem"].map(Into::into).into(), "drafts are removed");
}

#[test]
fn opening_again_changes_nothing() {
    let mesh = Mesh::new();
    let before = fs::read(mesh.directory.path().join("ca-key.pem")).unwrap();
    assert_eq!(open(mesh.directory.path()).unwrap().roots(), mesh.ca.roots());
    assert_eq!(fs::read(mesh.directory.path().join("ca-key.pem")).unwrap(), before);
}

#[test]
fn threads_that_race_end_with_one_root() {
    for _round in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let barrier = Barrier::new(8);
        let roots = thread::scope(|scope| {
            let open = || {
                barrier.wait();
                open(directory.path()).unwrap().roots().roots()[0].to_vec()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<BTreeSet<_>>()
        });
        assert_eq!(roots.len(), 1);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "drafts are removed");
    }
}

const RACE: &str = "WEFT_TEST_CA_RACE";

#[test]
fn processes_that_race_end_with_one_root() {
    let directory = tempfile::tempdir().unwrap();
    let agents: Vec<_> = (0..6)
        .map(|_| {
            Command::new(env::current_exe().unwrap())
                .args(["--exact", "identity::local_ca::tests::one_process_of_the_race", "--nocapture"])
                .env(RACE, directory.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut roots = BTreeSet::new();
    for agent in agents {
        let output = agent.wait_with_output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let root = output.lines().find_map(|line| line.split_once("root=").map(|(_, root)| root.to_owned()));
        roots.insert(root.unwrap_or_else(|| panic!("no root: {output}")));
    }
    assert_eq!(roots.len(), 1);
}

/// Alone it makes an authority of its own; as a process of the test above it joins the race.
#[test]
fn one_process_of_the_race() {
    let alone = tempfile::tempdir().unwrap();
    let directory = env::var_os(RACE).unwrap_or_else(|| alone.path().into());
    let ca = open(Path::new(&directory)).unwrap();
    println!("root={:?}", &ca.roots().roots()[0][..]);
}

#[test]
fn an_interrupted_creation_is_continued() {
    let mesh = Mesh::new();
    fs::remove_file(mesh.directory.path().join("ca-cert.pem")).unwrap();
    let key = fs::read(mesh.directory.path().join("ca-key.pem")).unwrap();
    open(mesh.directory.path()).unwrap();
    assert_eq!(fs::read(mesh.directory.path().join("ca-key.pem")).unwrap(), key, "the key decides");
}

/// The message of an error and its cause.
fn complaint(directory: &Path) -> String {
    let error = open(directory).unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {cause}")
}

#[test]
fn missing_files_are_named_and_never_made_up() {
    let mesh = Mesh::new();
    fs::remove_file(mesh.directory.path().join("ca-key.pem")).unwrap();
    let message = complaint(mesh.directory.path());
    assert!(message.contains("ca-key.pem is missing although"), "{message}");
    assert!(!mesh.directory.path().join("ca-key.pem").exists());

    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "root-cert.pem", "");
    let message = complaint(directory.path());
    assert!(message.contains("ca-cert.pem is missing although"), "{message}");
}

#[test]
fn unreadable_and_unwritable_places_are_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("ca-cert.pem")).unwrap();
    fs::create_dir(directory.path().join("ca-key.pem")).unwrap();
    let message = complaint(directory.path());
    assert!(message.contains("cannot read") && message.contains("ca-key.pem"), "{message}");

    write(directory.path(), "file", "");
    let message = complaint(&directory.path().join("file/ca"));
    assert!(message.contains("file/ca"), "{message}");
}

#[test]
fn garbage_is_named_without_quoting_it() {
    let mesh = Mesh::new();
    write(mesh.directory.path(), "ca-key.pem", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n");
    let message = complaint(mesh.directory.path());
    assert!(message.contains("ca-key.pem is not usable"), "{message}");
    assert!(!message.contains("c2VjcmV0") && !message.contains("secret"), "{message}");

    let mesh = Mesh::new();
    write(mesh.directory.path(), "ca-cert.pem", "nothing");
    let message = complaint(mesh.directory.path());
    assert!(message.contains("ca-cert.pem is not usable: it holds no certificate"), "{message}");
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (mesh, other) = (Mesh::new(), Mesh::new());
    fs::copy(other.directory.path().join("ca-key.pem"), mesh.directory.path().join("ca-key.pem")).unwrap();
    let message = complaint(mesh.directory.path());
    assert!(message.contains("ca-key.pem is not the private key of"), "{message}");
}

/// A directory with a self-signed authority as `change` leaves it.
fn authority(change: impl FnOnce(&mut CertificateParams)) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = authority_params("operator's CA");
    change(&mut params);
    write(directory.path(), "ca-cert.pem", &params.self_signed(&key).unwrap().pem());
    write(directory.path(), "ca-key.pem", &key.serialize_pem());
    directory
}

#[test]
fn an_authority_out_of_its_time_is_refused() {
    let day = Duration::from_secs(86400);
    let now = OffsetDateTime::now_utc();
    assert!(open(authority(|_| {}).path()).is_ok());
    for directory in [authority(|ca| ca.not_after = now - day), authority(|ca| ca.not_before = now + day)] {
        let message = complaint(directory.path());
        assert!(message.contains("ca-cert.pem is valid from") && message.contains("clock"), "{message}");
    }
}

#[test]
fn a_leaf_is_no_authority() {
    let message = complaint(authority(|ca| ca.is_ca = IsCa::ExplicitNoCa).path());
    assert!(message.contains("no CA certificate"), "{message}");
}

#[tokio::test]
async fn leaves_end_with_their_authority() {
    let end = OffsetDateTime::now_utc() + Duration::from_secs(600);
    let directory = authority(|ca| ca.not_after = end);
    let request = KeyRequest::generate(&id("web")).unwrap();
    let signed = sign(&open(directory.path()).unwrap(), request, &id("web"), MAX_TTL).await.unwrap();
    assert!(signed.not_after <= end);
}

/// Istio's `cacerts`: an intermediate signs, the root's key is elsewhere.
fn plugged_in(root: &Mesh) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let signer: Signer = root.unscrupulous();
    let mut params = authority_params("intermediate of this cluster");
    params.not_after = OffsetDateTime::now_utc() + 10 * MAX_TTL;
    let intermediate = params.signed_by(&key, &signer.0).unwrap().pem();
    let root = fs::read_to_string(root.directory.path().join("ca-cert.pem")).unwrap();
    write(directory.path(), "ca-cert.pem", &intermediate);
    write(directory.path(), "ca-key.pem", &key.serialize_pem());
    write(directory.path(), "cert-chain.pem", &format!("{intermediate}{root}"));
    write(directory.path(), "root-cert.pem", &root);
    directory
}

#[tokio::test]
async fn istios_files_are_understood() {
    let root = Mesh::new();
    let directory = plugged_in(&root);
    let ca = open(directory.path()).unwrap();
    assert_eq!(ca.roots(), root.ca.roots());
    let request = KeyRequest::generate(&id("web")).unwrap();
    let signed = sign(&ca, request, &id("web"), MAX_TTL).await.unwrap();
    assert_eq!(signed.chain.len(), 2, "leaf and intermediate, without the root");
    fs::remove_file(directory.path().join("cert-chain.pem")).unwrap();
    let request = KeyRequest::generate(&id("web")).unwrap();
    let again = sign(&open(directory.path()).unwrap(), request, &id("web"), MAX_TTL).await.unwrap();
    assert_eq!(again.chain[1..], signed.chain[1..], "ca-cert.pem is the chain when there is no other");
}

#[test]
fn a_root_that_does_not_fit_is_found_at_start() {
    let (root, other) = (Mesh::new(), Mesh::new());
    let directory = plugged_in(&root);
    fs::copy(other.directory.path().join("ca-cert.pem"), directory.path().join("root-cert.pem")).unwrap();
    let message = complaint(directory.path());
    assert!(message.contains("do not verify") && message.contains("root-cert.pem"), "{message}");
}
