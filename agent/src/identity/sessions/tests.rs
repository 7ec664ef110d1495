//! What one view of the sessions remembers, no other view sees. (Tickets cannot be made by hand; the group that a
//! server chose is kept in the same entry.)

use super::*;
use crate::identity::testing::id;

fn view(sessions: &Arc<Sessions>, purpose: Purpose, peer: &str) -> PeerSessions {
    PeerSessions { sessions: sessions.clone(), purpose, peer: id(peer) }
}

fn server(last: u8) -> ServerName<'static> {
    ServerName::from(std::net::Ipv4Addr::new(10, 0, 0, last))
}

#[test]
fn an_entry_belongs_to_one_peer_one_purpose_and_one_server() {
    let sessions = Sessions::new();
    let web = view(&sessions, Purpose::Http, "web");
    web.set_kx_hint(server(1), NamedGroup::X25519);
    assert_eq!(web.kx_hint(&server(1)), Some(NamedGroup::X25519));
    assert_eq!(view(&sessions, Purpose::Http, "web").kx_hint(&server(1)), Some(NamedGroup::X25519));
    assert_eq!(web.kx_hint(&server(2)), None);
    assert_eq!(view(&sessions, Purpose::Tcp, "web").kx_hint(&server(1)), None);
    assert_eq!(view(&sessions, Purpose::Http, "api").kx_hint(&server(1)), None);
    assert_eq!(view(&Sessions::new(), Purpose::Http, "web").kx_hint(&server(1)), None);
}
