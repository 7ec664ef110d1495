//! What the process asks of the machine for itself.

use std::time::Duration;

/// How often memory that nobody uses goes back to the machine.
const TRIM_INTERVAL: Duration = Duration::from_secs(10);

/// Gives freed memory back: loading programs and bursts of connections leave each thread's heap with tens
/// of MiB of holes, which glibc keeps otherwise.
pub(super) async fn trim_memory() {
    let mut interval = tokio::time::interval(TRIM_INTERVAL);
    loop {
        interval.tick().await;
        // SAFETY: the call has no preconditions and may run beside any allocation.
        #[cfg(target_env = "gnu")]
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Each captured pod and each connection needs descriptors: the soft limit goes up to the hard one.
pub(super) fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, "cannot raise the limit of open files");
    }
}
