//! What a Service port speaks, by declaration.
//!
//! Istio's protocol selection: `appProtocol`, else the port's name up to its first `-`, else what is
//! known of the number. Nothing declared means that the data plane looks at the bytes.

use weft_model::service::AppProtocol;

/// Ports on which the server speaks first: waiting there for the client's first bytes would stall
/// (FTP, SSH, SMTP, POP3, IMAP, submission, MySQL; IANA service names).
const SERVER_FIRST: &[u16] = &[21, 22, 25, 110, 143, 587, 3306];

/// Ports that Istio treats as opaque without being told: DNS, MongoDB.
const OPAQUE: &[u16] = &[53, 27017];

/// The protocol of a port.
pub fn protocol(app_protocol: Option<&str>, name: Option<&str>, number: u16) -> AppProtocol {
    let declared = match app_protocol {
        Some("kubernetes.io/h2c") => return AppProtocol::Http2,
        Some("kubernetes.io/ws") => return AppProtocol::Http,
        Some("kubernetes.io/wss") => return AppProtocol::Tls,
        Some(declared) => declared,
        None => name.unwrap_or_default(),
    };
    let word = declared.split('-').next().unwrap_or_default().to_ascii_lowercase();
    match word.as_str() {
        "http" | "http_proxy" => AppProtocol::Http,
        "http2" => AppProtocol::Http2,
        "grpc" => AppProtocol::Grpc,
        "https" | "tls" => AppProtocol::Tls,
        "mysql" => AppProtocol::ServerFirst,
        // Declared opaque, but a server that is known to speak first still does.
        "tcp" if SERVER_FIRST.contains(&number) => AppProtocol::ServerFirst,
        "tcp" | "mongo" | "redis" => AppProtocol::Tcp,
        _ if SERVER_FIRST.contains(&number) => AppProtocol::ServerFirst,
        _ if OPAQUE.contains(&number) => AppProtocol::Tcp,
        _ => AppProtocol::Undeclared,
    }
}
