//! weft

/// Connections and requests.
pub mod dataplane {
    pub mod http1;
}
