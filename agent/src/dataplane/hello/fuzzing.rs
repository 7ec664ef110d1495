//! Fuzz target: a ClientHello is the same in any pieces, and is not waited for without end.

use super::*;
use crate::fuzzing::cuts;

/// First bytes of a TLS client.
pub fn client_hello(data: &[u8]) {
    let whole = read(data, &[data.len()]);
    let pieces = read(data, &cuts(data));
    assert_eq!(whole, pieces, "pieces make a difference");
    if let Some(Some((alpn, sni))) = whole {
        assert!(alpn.iter().map(Vec::len).sum::<usize>() + sni.map_or(0, |name| name.len()) <= data.len());
    }
}

type Offer = (Vec<Vec<u8>>, Option<String>);

/// `None`: no ClientHello; `Some(None)`: not yet.
fn read(data: &[u8], cuts: &[usize]) -> Option<Option<Offer>> {
    let mut reader = Reader::default();
    for &end in cuts {
        if let Some(accepted) = reader.advance(&data[..end])? {
            let offer = {
                let hello = accepted.client_hello();
                let alpn: Vec<Vec<u8>> = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
                (alpn, hello.server_name().map(str::to_owned))
            };
            let is_mesh = offer.0.iter().any(|name| identity::ALPN_SERVER.contains(&name.as_slice()));
            assert_eq!(mesh_protocol(accepted).is_some(), is_mesh);
            return Some(Some(offer));
        }
    }
    assert!(data.len() < CLIENT_HELLO_BYTES_MAX, "a ClientHello is waited for beyond its limit");
    Some(None)
}
