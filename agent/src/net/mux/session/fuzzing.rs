//! Fuzz targets: a whole session against a hostile peer, as server and as client.
//!
//! The input is what the peer sends. Users of the streams read, write, end, reset and drop as dice say; the peer reads
//! what we send, or stops. Checked is what `docs/mux.md` promises: memory, credit, order of bytes.

use std::{collections::HashMap, task::Waker};

use super::{
    super::{SEND_BUFFER_BYTES, STREAMS_MAX, WINDOW_BYTES, frame::Kind, state::CONTROL_BYTES_MAX},
    *,
};
use crate::fuzzing::Dice;

/// Bytes one read adds to what is to be sent at most: an answer of 8 bytes to each frame of 9, and what users of all
/// streams say when they leave or have read.
const CONTROL_SLACK: usize = (READ_BYTES + PAYLOAD_SLACK) / 9 * 8 + STREAMS_MAX * 32;

/// A frame that was not complete when the last read ended.
const PAYLOAD_SLACK: usize = 16 * 1024;

/// Pieces in which an input arrives.
const PIECES_MAX: usize = 32;

/// Bytes that a peer sends which reads nothing, by saying the same again and again: what grows without bound shows.
const REPEATED_BYTES: usize = 256 * 1024;

/// Frames as they are.
pub fn frame(data: &[u8]) {
    for end in 0..HEADER_BYTES.min(data.len()) {
        assert_eq!(Header::parse(&data[..end]), Ok(None));
    }
    if let Ok(Some(header)) = Header::parse(data) {
        let mut written = BytesMut::new();
        header.write(&mut written);
        assert_eq!(written[..], data[..HEADER_BYTES]);
        assert_eq!(header.stream == 0, header.kind == Kind::GoAway);
    }
}

/// A peer that opens streams.
pub fn server(data: &[u8]) {
    run(data, false);
}

/// A peer whose streams we open.
pub fn client(data: &[u8]) {
    run(data, true);
}

/// The peer's end of the connection.
#[derive(Default)]
struct Peer {
    sent: BytesMut,
    /// Bytes that it still reads of ours.
    room: usize,
    received: BytesMut,
}

#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Peer>>);

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut peer = self.0.borrow_mut();
        if peer.sent.is_empty() {
            return Poll::Pending;
        }
        let length = peer.sent.len().min(buffer.remaining());
        buffer.put_slice(&peer.sent.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut peer = self.0.borrow_mut();
        let length = peer.room.min(bytes.len());
        if length == 0 {
            return Poll::Pending;
        }
        peer.room -= length;
        peer.received.extend_from_slice(&bytes[..length]);
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What was said on a stream, by the frames themselves.
#[derive(Default)]
struct Said {
    bytes: Vec<u8>,
    credit: usize,
    is_over: bool,
}

/// Adds the complete frames of `wire` to what was said; `wire` keeps the rest. False when a frame is malformed.
fn listen(wire: &mut BytesMut, said: &mut HashMap<u32, Said>, mut each: impl FnMut(&Said, Header)) -> bool {
    loop {
        let header = match Header::parse(wire) {
            Ok(Some(header)) if wire.len() >= HEADER_BYTES + header.length => header,
            Ok(_) => return true,
            Err(_) => return false,
        };
        let frame = wire.split_to(HEADER_BYTES + header.length);
        let stream = said.entry(header.stream).or_default();
        each(stream, header);
        match header.kind {
            Kind::Data => stream.bytes.extend_from_slice(&frame[HEADER_BYTES..]),
            Kind::End | Kind::Reset => stream.is_over = true,
            Kind::Window => {
                stream.credit += frame[HEADER_BYTES..].iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
            }
            Kind::GoAway => {}
        }
    }
}

/// What users write.
static BYTES: [u8; 20_000] = [b'w'; 20_000];

struct User {
    id: u32,
    stream: MuxStream,
    read: Vec<u8>,
}

struct Session {
    dice: Dice,
    state: Rc<RefCell<State>>,
    users: Vec<User>,
    /// Streams that we opened, when we may.
    opener: Option<Opener>,
    opened: u32,
    by_peer: HashMap<u32, Said>,
    by_us: HashMap<u32, Said>,
}

fn run(data: &[u8], is_client: bool) {
    let mut dice = Dice::of(data);
    let state = Rc::new(RefCell::new(if is_client { State::for_client() } else { State::default() }));
    let wire = Wire::default();
    let opener = is_client.then(|| Opener { state: state.clone(), local: None });
    let stall = dice.below(3);
    let is_repeated = stall == 2 && dice.below(8) == 0;
    let rounds = if is_repeated { REPEATED_BYTES / data.len().max(1) } else { 1 };
    let mut driver = Driver::new(wire.clone(), state.clone());
    let mut session =
        Session { dice, state, users: Vec::new(), opener, opened: 0, by_peer: HashMap::new(), by_us: HashMap::new() };
    let cx = &mut Context::from_waker(Waker::noop());
    let mut unheard = BytesMut::new();
    let (mut peer_is_sane, mut alive) = (true, true);
    for _ in 0..rounds {
        let mut at = 0;
        while at < data.len() {
            let length = (1 + session.dice.below(2 * data.len() / PIECES_MAX + 1)).min(data.len() - at);
            let piece = &data[at..at + length];
            at += length;
            wire.0.borrow_mut().sent.extend_from_slice(piece);
            unheard.extend_from_slice(piece);
            peer_is_sane = peer_is_sane && listen(&mut unheard, &mut session.by_peer, |_, _| {});
            wire.0.borrow_mut().room += [usize::MAX / 2, 100, 0][stall];
            alive = alive && driver.poll(cx).is_pending();
            session.act(alive);
            alive = alive && driver.poll(cx).is_pending();
            session.check(&driver);
            wire.0.borrow_mut().room = 0;
        }
        if !alive {
            break;
        }
    }
    if !peer_is_sane && stall != 2 {
        assert!(!alive || !wire.0.borrow().sent.is_empty() || session.state.borrow().is_congested());
    }
    session.hear(&mut wire.0.borrow_mut().received);
    drop(driver);
    session.finish(cx);
}

impl Session {
    /// What the users of the streams do in their turn.
    fn act(&mut self, alive: bool) {
        self.accept();
        let may_open = alive && self.users.len() < 8;
        if let Some(stream) = self.opener.as_ref().filter(|_| may_open).and_then(Opener::open) {
            self.opened += 1;
            self.users.push(User { id: self.opened, stream, read: Vec::new() });
        }
        let cx = &mut Context::from_waker(Waker::noop());
        let mut index = 0;
        while index < self.users.len() {
            let user = &mut self.users[index];
            let stays = match self.dice.below(12) {
                0..5 => user.reads(cx, 1 + self.dice.below(BYTES.len())).is_some(),
                5..8 => {
                    let length = 1 + self.dice.below(BYTES.len());
                    let _ = Pin::new(&mut user.stream).poll_write(cx, &BYTES[..length]);
                    true
                }
                8 => Pin::new(&mut user.stream).poll_shutdown(cx).is_ready(),
                9 => false,
                10 => {
                    user.stream.reset_on_drop();
                    false
                }
                _ => true,
            };
            if stays {
                index += 1;
            } else {
                let user = self.users.swap_remove(index);
                self.compare(&user);
            }
        }
    }

    fn accept(&mut self) {
        let opened = std::mem::take(&mut self.state.borrow_mut().opened);
        for id in opened {
            self.users.push(User { id, stream: MuxStream::new(self.state.clone(), id, None), read: Vec::new() });
        }
    }

    /// What a user has read is what the peer has sent, from its beginning.
    fn compare(&self, user: &User) {
        let sent = self.by_peer.get(&user.id).map(|said| said.bytes.as_slice()).unwrap_or_default();
        assert!(sent.starts_with(&user.read), "stream {} has bytes that were not sent on it", user.id);
    }

    fn check(&self, driver: &Driver<Wire>) {
        let state = self.state.borrow();
        assert!(state.streams.len() <= STREAMS_MAX, "{} streams", state.streams.len());
        assert!(state.opened.len() <= STREAMS_MAX, "{} streams wait", state.opened.len());
        assert!(state.ready.len() <= STREAMS_MAX, "{} streams are ready", state.ready.len());
        let control = state.control.len();
        assert!(control <= CONTROL_BYTES_MAX + CONTROL_SLACK, "{control} bytes of control frames wait");
        for (id, stream) in &state.streams {
            assert!(stream.received.len() <= WINDOW_BYTES, "stream {id} keeps {} bytes", stream.received.len());
            assert!(stream.sending.len() <= SEND_BUFFER_BYTES, "stream {id} is to send {}", stream.sending.len());
        }
        assert!(driver.input.len() <= READ_BYTES + PAYLOAD_SLACK, "{} bytes are not dispatched", driver.input.len());
        let output = driver.output.len();
        assert!(output <= 2 * CONTROL_BYTES_MAX + CONTROL_SLACK + PAYLOAD_SLACK, "{output} bytes were gathered");
    }

    /// Holds what we sent to the rules.
    fn hear(&mut self, received: &mut BytesMut) {
        let by_peer = &self.by_peer;
        let is_sane = listen(received, &mut self.by_us, |ours, header| {
            let granted = by_peer.get(&header.stream).map_or(0, |peer| peer.credit);
            if header.kind == Kind::Data {
                assert!(!ours.is_over, "data behind the end of stream {}", header.stream);
                let sent = ours.bytes.len() + header.length;
                assert!(sent <= WINDOW_BYTES.saturating_add(granted), "more than the peer's credit: {sent}");
            }
        });
        assert!(is_sane, "we sent a malformed frame");
    }

    /// The connection has ended: every user reads what is there, and then learns it.
    fn finish(&mut self, cx: &mut Context<'_>) {
        self.accept();
        for mut user in std::mem::take(&mut self.users) {
            while user.reads(cx, 1 << 16).is_some_and(|length| length > 0) {}
            self.compare(&user);
            let more = Pin::new(&mut user.stream).poll_write(cx, b"more");
            assert!(matches!(more, Poll::Ready(Err(_))), "stream {} takes bytes after the end", user.id);
        }
        assert!(self.state.borrow().streams.is_empty(), "streams without users are left");
    }
}

impl User {
    /// Reads once; `None` when the stream has failed.
    fn reads(&mut self, cx: &mut Context<'_>, limit: usize) -> Option<usize> {
        let mut space = vec![0; limit];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) => {
                self.read.extend_from_slice(buffer.filled());
                Some(buffer.filled().len())
            }
            Poll::Ready(Err(_)) => None,
            Poll::Pending => Some(0),
        }
    }
}
