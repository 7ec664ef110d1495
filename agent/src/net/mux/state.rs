//! The streams of one connection, as both the connection's driver and the streams' users see them.

use std::{
    collections::{HashMap, VecDeque},
    io,
    task::Waker,
};

use bytes::{Buf, BytesMut};

use super::{
    STREAMS_MAX, WINDOW_BYTES,
    frame::{Header, Kind, PAYLOAD_BYTES_MAX, write_empty, write_window},
};

/// Bytes gathered for one write: four full TLS records.
const GATHER_BYTES: usize = 64 * 1024;

/// Control frames that wait to be sent, in bytes; nothing more is read until there are fewer.
pub(super) const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// Everything about one connection but the connection.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) streams: HashMap<u32, Stream>,
    /// Streams with something to send, in turn.
    pub(super) ready: VecDeque<u32>,
    /// Control frames to send.
    pub(super) control: BytesMut,
    /// Streams the peer opened and nobody took yet.
    pub(super) opened: VecDeque<u32>,
    pub(super) driver: Option<Waker>,
    pub(super) acceptor: Option<Waker>,
    /// The highest stream number seen.
    last: u32,
    /// No new streams: the peer said so, or we did.
    pub(super) going_away: bool,
    /// The connection has ended.
    pub(super) closed: bool,
    pub(super) is_client: bool,
}

/// One stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) received: BytesMut,
    pub(super) receive_ended: bool,
    pub(super) reader: Option<Waker>,
    /// Bytes used since credit was last returned.
    used: usize,
    /// Bytes the peer may still send.
    receive_credit: usize,
    pub(super) sending: BytesMut,
    send_credit: usize,
    /// Some of it has been on the way to the peer.
    pub(super) was_sent: bool,
    pub(super) send_ended: bool,
    end_sent: bool,
    pub(super) writer: Option<Waker>,
    is_ready: bool,
    /// Its user is gone; it only sends what is left.
    is_orphan: bool,
    /// It ends by a reset, not by an end.
    aborts: bool,
    pub(super) reset: bool,
}

impl Stream {
    fn new() -> Self {
        Self {
            received: BytesMut::new(),
            receive_ended: false,
            reader: None,
            used: 0,
            receive_credit: WINDOW_BYTES,
            sending: BytesMut::new(),
            send_credit: WINDOW_BYTES,
            was_sent: false,
            send_ended: false,
            end_sent: false,
            writer: None,
            is_ready: false,
            is_orphan: false,
            aborts: false,
            reset: false,
        }
    }

    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl State {
    /// The streams of a connection that we made.
    pub(super) fn for_client() -> Self {
        Self { is_client: true, ..Self::default() }
    }

    /// Opens a stream; `None` when the connection takes no more.
    pub(super) fn open(&mut self) -> Option<u32> {
        if self.closed || self.going_away || self.streams.len() >= STREAMS_MAX || self.last == u32::MAX {
            return None;
        }
        self.last += 1;
        self.streams.insert(self.last, Stream::new());
        Some(self.last)
    }

    /// Puts a stream into the queue of those with something to send, and the driver to work.
    pub(super) fn make_ready(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_ready
        {
            stream.is_ready = true;
            self.ready.push_back(id);
        }
        self.wake_driver();
    }

    pub(super) fn wake_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
    }

    /// Takes received bytes of a stream and returns credit for them in time.
    pub(super) fn take_received(&mut self, id: u32, into: &mut tokio::io::ReadBuf<'_>) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let length = stream.received.len().min(into.remaining());
        into.put_slice(&stream.received[..length]);
        stream.received.advance(length);
        if stream.received.is_empty() {
            stream.received = BytesMut::new();
        }
        stream.used += length;
        // Half a window at a time: the sender never stops while the reader keeps up.
        if stream.used >= WINDOW_BYTES / 2 && !stream.receive_ended {
            write_window(&mut self.control, id, stream.used as u32);
            stream.receive_credit += stream.used;
            stream.used = 0;
            self.wake_driver();
        }
    }

    /// The user of a stream is gone. As with a socket that is closed: what was written is still sent,
    /// then the stream ends; who sends more to it is told so by a reset. `abort` makes the end a reset: what was written
    /// goes before it as far as the peer has room, and nothing waits for more.
    pub(super) fn drop_stream(&mut self, id: u32, abort: bool) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.reset || self.closed {
            self.remove(id);
        } else if abort && stream.sending.is_empty() {
            write_empty(&mut self.control, Kind::Reset, id);
            self.remove(id);
        } else if stream.end_sent {
            self.remove(id);
        } else {
            stream.send_ended = true;
            stream.is_orphan = true;
            stream.aborts = abort;
            stream.reader = None;
            stream.writer = None;
            self.make_ready(id);
        }
    }

    fn remove(&mut self, id: u32) {
        if self.streams.remove(&id).is_some_and(|stream| stream.is_ready) {
            // Its turn may never come: a peer that reads nothing could let such entries pile up.
            self.ready.retain(|ready| *ready != id);
        }
        // A connection that is going away ends with its last stream.
        self.wake_driver();
    }

    /// Must what is to be sent leave before more is read? What a peer sends may need an answer, and one that reads none of
    /// them gets no more.
    pub(super) fn is_congested(&self) -> bool {
        self.control.len() >= CONTROL_BYTES_MAX
    }

    /// Says that no new streams will be served.
    pub(super) fn go_away(&mut self) {
        if !self.going_away {
            self.going_away = true;
            write_empty(&mut self.control, Kind::GoAway, 0);
            self.wake_driver();
        }
    }

    /// The connection has ended: so have all its streams.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.going_away = true;
        // Nobody waits for those.
        self.streams.retain(|_, stream| !stream.is_orphan);
        for stream in self.streams.values_mut() {
            stream.reset = true;
            stream.wake();
        }
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.wake();
        }
    }

    /// Moves what is to be sent into `out`: control first, then each stream in turn, one frame at a time,
    /// so that a long body leaves room for all others.
    pub(super) fn gather(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.control);
        self.control.clear();
        while out.len() < GATHER_BYTES {
            let Some(id) = self.ready.pop_front() else { return };
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.is_ready = false;
            let length = stream.sending.len().min(stream.send_credit).min(PAYLOAD_BYTES_MAX);
            if length > 0 {
                Header { kind: Kind::Data, stream: id, length }.write(out);
                out.extend_from_slice(&stream.sending[..length]);
                stream.sending.advance(length);
                stream.send_credit -= length;
                stream.was_sent = true;
                if let Some(writer) = stream.writer.take() {
                    writer.wake();
                }
            }
            if stream.aborts && (stream.sending.is_empty() || stream.send_credit == 0) {
                write_empty(out, Kind::Reset, id);
                self.remove(id);
            } else if stream.sending.is_empty() {
                stream.sending = BytesMut::new();
                if stream.send_ended && !stream.end_sent {
                    stream.end_sent = true;
                    write_empty(out, Kind::End, id);
                    if stream.is_orphan {
                        self.remove(id);
                    }
                }
            } else if stream.send_credit > 0 {
                stream.is_ready = true;
                self.ready.push_back(id);
            }
        }
    }

    /// Carries out one frame.
    pub(super) fn receive(&mut self, header: Header, payload: &[u8]) -> io::Result<()> {
        match header.kind {
            Kind::GoAway => self.going_away = true,
            Kind::Data => self.receive_data(header.stream, payload)?,
            Kind::End => {
                if let Some(stream) = self.stream_of_peer(header.stream)? {
                    stream.receive_ended = true;
                    if let Some(reader) = stream.reader.take() {
                        reader.wake();
                    }
                }
            }
            Kind::Reset => {
                let Some(stream) = self.streams.get_mut(&header.stream) else { return Ok(()) };
                stream.reset = true;
                stream.sending = BytesMut::new();
                stream.wake();
                if stream.is_orphan {
                    self.remove(header.stream);
                }
            }
            Kind::Window => {
                let credit = payload.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
                let Some(stream) = self.streams.get_mut(&header.stream) else { return Ok(()) };
                stream.send_credit = stream.send_credit.saturating_add(credit).min(u32::MAX as usize);
                if !stream.sending.is_empty() {
                    self.make_ready(header.stream);
                }
            }
        }
        Ok(())
    }

    fn receive_data(&mut self, id: u32, payload: &[u8]) -> io::Result<()> {
        let Some(stream) = self.stream_of_peer(id)? else {
            write_empty(&mut self.control, Kind::Reset, id);
            return Ok(());
        };
        if stream.is_orphan {
            // The reset comes behind what was written: nothing of a stream may follow it.
            stream.aborts = true;
            self.make_ready(id);
            return Ok(());
        }
        if payload.len() > stream.receive_credit || stream.receive_ended {
            return Err(broken(format!("peer sent more on stream {id} than it may")));
        }
        stream.receive_credit -= payload.len();
        stream.received.extend_from_slice(payload);
        if let Some(reader) = stream.reader.take() {
            reader.wake();
        }
        Ok(())
    }

    /// The stream a frame is for; opens it when the peer may. `None`: it has ended here already.
    fn stream_of_peer(&mut self, id: u32) -> io::Result<Option<&mut Stream>> {
        if id > self.last {
            if self.is_client {
                return Err(broken(format!("peer opened stream {id}, which only we may")));
            }
            if self.streams.len() >= STREAMS_MAX {
                return Err(broken(format!("peer has more than {STREAMS_MAX} streams")));
            }
            self.last = id;
            self.streams.insert(id, Stream::new());
            self.opened.push_back(id);
            if let Some(acceptor) = self.acceptor.take() {
                acceptor.wake();
            }
        }
        Ok(self.streams.get_mut(&id))
    }
}

/// A peer that breaks the rules.
pub(super) fn broken(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
