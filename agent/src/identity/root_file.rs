//! The roots that a control plane publishes: `root-cert.pem` of the ConfigMap `istio-ca-root-cert`, mounted as a file.
//!
//! `app` watches it in a mesh with a control plane. [`super::RemoteCa`] trusts the control plane itself by it, and
//! [`super::Identities`] judges peers by it, so that a root that comes or goes does so on all nodes within minutes.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};

use super::authority::TrustBundle;

/// How often the file is looked at. By content: the kubelet replaces it through symbolic links, some KiB at most.
const LOOK: Duration = Duration::from_secs(2);

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Published {
    /// These are the roots.
    Roots(TrustBundle),
    /// There was never anything usable in it; why.
    Nothing(String),
}

/// The running look; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the watch of the file"]
pub struct RootFile(JoinHandle<()>);

impl Drop for RootFile {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl RootFile {
    /// Follows `path`. What becomes unreadable leaves the last good content in force.
    pub fn watch(path: PathBuf) -> (watch::Receiver<Published>, Self) {
        let (sender, receiver) = watch::channel(read(&path));
        let task = tokio::spawn(async move {
            let mut complained = None;
            while !sender.is_closed() {
                tokio::time::sleep(LOOK).await;
                let now = read(&path);
                let complaint = match &now {
                    Published::Nothing(why) => Some(why.clone()),
                    Published::Roots(_) => None,
                };
                if let Some(why) = complaint.as_ref().filter(|_| complaint != complained) {
                    tracing::warn!(reason = why, "the mesh's published roots are not readable; the last ones stay");
                }
                complained = complaint;
                sender.send_if_modified(|last| take(last, now));
            }
        });
        (receiver, Self(task))
    }
}

/// Whether `now` says something new, and if so, takes it.
fn take(last: &mut Published, now: Published) -> bool {
    let is_new = *last != now && (matches!(now, Published::Roots(_)) || matches!(last, Published::Nothing(_)));
    if is_new {
        *last = now;
    }
    is_new
}

/// A small file on a memory file system: reading it does not block worth a thread.
fn read(path: &Path) -> Published {
    let place = path.display();
    match std::fs::read(path) {
        Ok(text) => match TrustBundle::from_pem(&text) {
            Ok(bundle) => Published::Roots(bundle),
            Err(error) => Published::Nothing(format!("{place}: {error}")),
        },
        Err(error) => Published::Nothing(format!(
            "{place}: {error}; is the ConfigMap istio-ca-root-cert mounted there, and does weft control run?"
        )),
    }
}

#[cfg(test)]
mod tests;
