use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::HeaderMap;
use http_body_util::{BodyExt, Full};
use tokio_rustls::TlsAcceptor;

use super::{Client, ClientError, Target};
use crate::{serve, tls};

#[test]
fn urls_are_taken_apart() {
    let target = Target::parse("http://age:5000").unwrap();
    assert_eq!((target.host.as_str(), target.port, target.secure), ("age", 5000, false));
    assert_eq!((target.authority.to_str().unwrap(), target.origin_form.to_string().as_str()), ("age:5000", "/"));
    let target = Target::parse("https://[::1]/bytes/1?a=b").unwrap();
    assert_eq!((target.host.as_str(), target.port, target.secure), ("::1", 443, true));
    assert_eq!((target.authority.to_str().unwrap(), target.origin_form.path()), ("[::1]", "/bytes/1"));
}

#[test]
fn bad_urls_are_named() {
    for (url, reason) in [("age:5000", "scheme"), ("/x", "scheme"), ("ftp://x/", "ftp"), ("http://", "")] {
        let error = Target::parse(url).unwrap_err().to_string();
        assert!(error.contains(url) && error.contains(reason), "{error}");
    }
}

#[tokio::test]
async fn a_refused_connection_names_host_and_port() {
    let listener = serve::listen(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let target = Target::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let error = Client::default().get_once(&target, &HeaderMap::new()).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot connect to 127.0.0.1:{port}: ")), "{error}");
}

#[tokio::test]
async fn https_is_verified_against_the_bundle() {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (mut chain, mut key) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    chain.write_all(issued.cert.pem().as_bytes()).unwrap();
    key.write_all(issued.signing_key.serialize_pem().as_bytes()).unwrap();
    let acceptor = TlsAcceptor::from(tls::server_config(chain.path(), key.path()).unwrap());
    let listener = serve::listen(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(serve::http1(listener, Some(acceptor), |request, _| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        Response::new(Full::new(Bytes::from(host)).boxed())
    }));

    let target = Target::parse(&format!("https://localhost:{port}/")).unwrap();
    let trusting = Client::new(Some(chain.path().to_owned()));
    let reply = trusting.get_once(&target, &HeaderMap::new()).await.unwrap();
    assert_eq!(reply.body, format!("localhost:{port}"));

    let stranger = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut other = tempfile::NamedTempFile::new().unwrap();
    other.write_all(stranger.cert.pem().as_bytes()).unwrap();
    let distrusting = Client::new(Some(other.path().to_owned()));
    let outcome = distrusting.get_once(&target, &HeaderMap::new()).await;
    assert!(matches!(outcome, Err(ClientError::Handshake { .. })), "{outcome:?}");
    assert!(Arc::ptr_eq(trusting.tls.get().unwrap(), trusting.clone().tls.get().unwrap()));
}
