//! A small runtime for verbs that ask agents.

use std::future::Future;

/// Runs one asking to its end.
///
/// # Errors
/// The asking's own, or when the runtime cannot start.
pub(super) fn block_on<T>(asking: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(asking)
}
