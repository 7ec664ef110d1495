//! What an API server, or the way to it, says when something fails: in one line, for a person.

/// The failure in words. An answer of the server is its own message; everything else is traced to its cause.
pub fn failure(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.message.is_empty() => {
            format!("the API server answered {} {}", status.code, status.reason).trim_end().to_owned()
        }
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::Auth(cause) => format!("cannot sign in: {cause}"),
        kube::Error::SerdeError(cause) => format!("the API server's answer cannot be read: {cause}"),
        other => {
            let mut cause: &dyn std::error::Error = other;
            while let Some(next) = cause.source() {
                cause = next;
            }
            format!("cannot reach the API server: {cause}")
        }
    }
}

/// Is it worth another attempt? The server was away, or busy; what it refuses it will refuse again.
pub fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

/// Is what was asked for not there?
pub fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
