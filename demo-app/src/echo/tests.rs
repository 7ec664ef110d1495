use std::net::SocketAddr;

use super::describe;
use crate::wire::Head;

#[test]
fn the_answer_keeps_headers_in_order_and_unmaps_addresses() {
    let head = Head {
        method: "PUT".to_owned(),
        target: "/p?q=1".to_owned(),
        minor_version: 0,
        headers: vec![
            ("B".to_owned(), b"1".to_vec()),
            ("a".to_owned(), b"2".to_vec()),
            ("B".to_owned(), b"3".to_vec()),
        ],
    };
    let peer: SocketAddr = "[::ffff:10.0.0.7]:4711".parse().unwrap();
    let local: SocketAddr = "[fd00::1]:8080".parse().unwrap();
    assert_eq!(
        describe(&head, 9, "pod-1", peer, local),
        "{\"hostname\":\"pod-1\",\"peer_address\":\"10.0.0.7\",\"peer_port\":4711,\"local_address\":\"fd00::1\",\
         \"local_port\":8080,\"method\":\"PUT\",\"path\":\"/p?q=1\",\"version\":\"HTTP/1.0\",\
         \"headers\":[[\"B\",\"1\"],[\"a\",\"2\"],[\"B\",\"3\"]],\"body_length\":9}\n"
    );
}
