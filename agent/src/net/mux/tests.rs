use std::{cell::Cell, io, rc::Rc, time::Duration};

use proptest::prelude::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::{LocalSet, spawn_local},
};

use super::{
    frame::{HEADER_BYTES, Header, Kind, PAYLOAD_BYTES_MAX},
    *,
};

/// Runs `test` with a client whose server answers each stream with `serve`.
fn with_server<S, F>(serve: S, test: impl AsyncFnOnce(Opener))
where
    S: Fn(MuxStream) -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (near, far) = tokio::io::duplex(32 * 1024);
        let (opener, driving) = client(near, None);
        let (mut acceptor, serving) = server(far, None);
        spawn_local(driving);
        spawn_local(serving);
        spawn_local(async move {
            while let Some(stream) = acceptor.accept().await {
                spawn_local(serve(stream));
            }
        });
        tokio::time::timeout(Duration::from_secs(30), test(opener)).await.expect("in time");
    });
}

async fn echo(mut stream: MuxStream) {
    let mut bytes = vec![0; 8192];
    while let Ok(length @ 1..) = stream.read(&mut bytes).await {
        stream.write_all(&bytes[..length]).await.unwrap();
    }
    let _ = stream.shutdown().await;
}

#[test]
fn many_streams_carry_their_own_bytes_at_once() {
    with_server(echo, async |opener| {
        let mut tasks = Vec::new();
        for number in 0..100_u32 {
            let mut stream = opener.open().unwrap();
            tasks.push(spawn_local(async move {
                let sent: Vec<u8> = (0..50_000_u32).map(|at| (at.wrapping_mul(number) >> 3) as u8).collect();
                let (mut reader, mut writer) = tokio::io::split(&mut stream);
                let writing = async {
                    writer.write_all(&sent).await.unwrap();
                    writer.shutdown().await.unwrap();
                };
                let mut received = Vec::new();
                let (read, ()) = tokio::join!(reader.read_to_end(&mut received), writing);
                read.unwrap();
                assert_eq!(received, sent, "stream {number}");
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(opener.is_idle(), "finished streams are forgotten");
    });
}

#[test]
fn a_reader_that_stops_holds_up_only_its_own_sender() {
    with_server(
        |mut stream| async move {
            let mut first = [0; 1];
            stream.read_exact(&mut first).await.unwrap();
            if first[0] == b's' {
                // Never reads again.
                std::future::pending::<()>().await;
            }
            stream.write_all(b"ok").await.unwrap();
        },
        async |opener| {
            let sent = Rc::new(Cell::new(0));
            let mut stuck = opener.open().unwrap();
            let counted = sent.clone();
            spawn_local(async move {
                stuck.write_all(b"s").await.unwrap();
                loop {
                    let written = stuck.write(&[0; 4096]).await.unwrap();
                    counted.set(counted.get() + written);
                }
            });
            for _ in 0..20 {
                let mut stream = opener.open().unwrap();
                stream.write_all(b"g").await.unwrap();
                let mut answer = [0; 2];
                stream.read_exact(&mut answer).await.unwrap();
                assert_eq!(&answer, b"ok");
            }
            assert!(sent.get() <= WINDOW_BYTES + SEND_BUFFER_BYTES, "{} bytes are kept for a stuck reader", sent.get());
            assert!(sent.get() >= WINDOW_BYTES, "the window is used");
        },
    );
}

#[test]
fn an_aborted_stream_is_a_reset_for_the_other_end() {
    let seen = Rc::new(Cell::new(None));
    let told = seen.clone();
    with_server(
        move |mut stream| {
            let told = told.clone();
            async move {
                let mut bytes = [0; 16];
                loop {
                    match stream.read(&mut bytes).await {
                        Ok(0) => break told.set(Some(Ok(()))),
                        Ok(_) => {}
                        Err(error) => break told.set(Some(Err(error.kind()))),
                    }
                }
            }
        },
        async |opener| {
            let mut stream = opener.open().unwrap();
            stream.write_all(b"half a request").await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
            stream.reset_on_drop();
            drop(stream);
            while seen.get().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert_eq!(seen.get(), Some(Err(io::ErrorKind::ConnectionReset)));
        },
    );
}

/// As with a socket: what was written before a reset is on its way, and the reset comes behind it.
#[test]
fn bytes_written_before_an_abort_arrive_before_it() {
    let seen = Rc::new(Cell::new(None));
    let told = seen.clone();
    with_server(
        move |mut stream| {
            let told = told.clone();
            async move {
                let mut bytes = Vec::new();
                let ended = stream.read_to_end(&mut bytes).await.map_err(|error| error.kind());
                told.set(Some((bytes.len(), ended)));
            }
        },
        async |opener| {
            let mut stream = opener.open().unwrap();
            stream.write_all(&[7; 30_000]).await.unwrap();
            stream.reset_on_drop();
            drop(stream);
            let told = loop {
                match seen.take() {
                    Some(told) => break told,
                    None => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            };
            assert_eq!(told, (30_000, Err(io::ErrorKind::ConnectionReset)));
        },
    );
}

#[test]
fn a_dropped_stream_still_sends_what_was_written_then_ends() {
    with_server(
        |mut stream| async move {
            let mut first = [0; 1];
            stream.read_exact(&mut first).await.unwrap();
            stream.write_all(&[7; 100_000]).await.unwrap();
        },
        async |opener| {
            let mut stream = opener.open().unwrap();
            stream.write_all(b"x").await.unwrap();
            let mut received = Vec::new();
            stream.read_to_end(&mut received).await.unwrap();
            assert_eq!(received, [7; 100_000]);
            // Nobody is there any more: the sender learns it.
            let told = async {
                while stream.write_all(b"more").await.is_ok() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(Duration::from_secs(5), told).await.expect("a reset");
        },
    );
}

#[test]
fn going_away_lets_open_streams_finish_and_opens_no_new_ones() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let (near, far) = tokio::io::duplex(1024);
        let (opener, driving) = client(near, None);
        let (mut acceptor, serving) = server(far, None);
        let driving = spawn_local(driving);
        spawn_local(serving);
        let mut stream = opener.open().unwrap();
        stream.write_all(b"x").await.unwrap();
        let served = acceptor.accept().await.unwrap();
        acceptor.go_away();
        let serving = spawn_local(echo(served));
        while opener.is_open() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(opener.open().is_none());
        let mut answer = [0; 1];
        stream.read_exact(&mut answer).await.unwrap();
        stream.shutdown().await.unwrap();
        serving.await.unwrap();
        drop(stream);
        let ended = tokio::time::timeout(Duration::from_secs(5), driving).await;
        ended.expect("the last stream ends the connection").unwrap().unwrap();
    });
}

/// A peer that sends what needs an answer and reads none: it is not read any further.
#[test]
fn answers_that_nobody_reads_have_a_bound() {
    run(async {
        let (mut near, far) = tokio::io::duplex(4096);
        let (mut acceptor, serving) = server(far, None);
        let mut late = vec![0, 1, 0, 0, 0, 0, 0, 1, b'x'];
        near.write_all(&late).await.unwrap();
        late = late.repeat(1000);
        let serve = async {
            let stream = acceptor.accept().await.unwrap();
            stream.reset_on_drop();
        };
        let flood = async {
            serve.await;
            let mut sent = 0;
            while let Ok(written) = tokio::time::timeout(Duration::from_millis(300), near.write_all(&late)).await {
                written.unwrap();
                sent += late.len();
                assert!(sent < 1 << 20, "{sent} bytes were read, and none of the answers");
            }
        };
        tokio::select! {
            () = flood => {}
            ended = serving => panic!("{ended:?}"),
        }
    });
}

/// Who stops listening says so behind its own last word, not before it.
#[test]
fn the_reset_comes_behind_what_was_written() {
    run(async {
        let (mut near, far) = tokio::io::duplex(1 << 20);
        let (mut acceptor, serving) = server(far, None);
        near.write_all(&[0, 1, 0, 0, 0, 0, 0, 1, b'x']).await.unwrap();
        let talk = async {
            let mut stream = acceptor.accept().await.unwrap();
            stream.write_all(b"answer").await.unwrap();
            // Still in the way when the next byte arrives.
            near.write_all(&[0, 1, 0, 0, 0, 0, 0, 1, b'y']).await.unwrap();
            drop(stream);
            let mut frames = [0; 2 * HEADER_BYTES + 6];
            near.read_exact(&mut frames).await.unwrap();
            assert_eq!(&frames[HEADER_BYTES..HEADER_BYTES + 6], b"answer");
            let last = Header::parse(&frames[HEADER_BYTES + 6..]).unwrap().unwrap();
            assert!(matches!(last.kind, Kind::Reset | Kind::End), "{last:?}");
        };
        tokio::select! {
            () = talk => {}
            ended = serving => panic!("{ended:?}"),
        }
    });
}

/// A request that was written when its connection had ended already, unseen, can be sent again.
#[test]
fn a_stream_knows_whether_its_peer_can_have_seen_anything() {
    run(async {
        for peer_reads in [false, true] {
            let (near, mut far) = tokio::io::duplex(32 * 1024);
            let (opener, driving) = client(near, None);
            let mut stream = opener.open().unwrap();
            stream.write_all(b"once").await.unwrap();
            let peer = async {
                if peer_reads {
                    far.read_exact(&mut [0; HEADER_BYTES + 4]).await.unwrap();
                }
                drop(far);
            };
            // The peer acts first: it has gone when the driver looks, or waits for what the driver sends.
            let (_, _) = tokio::join!(biased; peer, driving);
            assert!(stream.read(&mut [0]).await.is_err());
            assert_eq!(stream.is_unsent(), !peer_reads);
        }
    });
}

/// What becomes of a server that gets these bytes.
async fn fed(bytes: &[u8]) -> io::Result<()> {
    let (mut near, far): (DuplexStream, DuplexStream) = tokio::io::duplex(1 << 20);
    let (acceptor, serving) = server(far, None);
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let result = tokio::time::timeout(Duration::from_secs(5), serving).await.expect("ends");
    drop(acceptor);
    result
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn a_peer_that_breaks_the_rules_ends_the_connection() {
    let frame = |length: u16, kind: u8, reserved: u8, stream: u32, payload: &[u8]| {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend([kind, reserved]);
        bytes.extend(stream.to_be_bytes());
        bytes.extend(payload);
        bytes
    };
    let mut too_much = Vec::new();
    for _ in 0..=WINDOW_BYTES / 8192 {
        too_much.extend(frame(8192, 0, 0, 1, &[0; 8192]));
    }
    let mut after_end = frame(0, 1, 0, 1, b"");
    after_end.extend(frame(1, 0, 0, 1, b"x"));
    let many: Vec<u8> = (1..=STREAMS_MAX as u32 + 1).flat_map(|id| frame(1, 0, 0, id, b"x")).collect();
    for (name, bytes) in [
        ("unknown kind", frame(0, 9, 0, 1, b"")),
        ("reserved byte", frame(0, 1, 1, 1, b"")),
        ("empty data", frame(0, 0, 0, 1, b"")),
        ("long data", frame(16377, 0, 0, 1, &[0; 16377])),
        ("short window", frame(3, 3, 0, 1, b"abc")),
        ("data for the connection", frame(1, 0, 0, 0, b"x")),
        ("goaway for a stream", frame(0, 4, 0, 1, b"")),
        ("more than the window", too_much),
        ("data after the end", after_end),
        ("too many streams", many),
        ("ends within a frame", frame(4, 0, 0, 1, b"x")),
    ] {
        assert!(run(fed(&bytes)).is_err(), "{name}");
    }
    assert!(run(fed(&frame(1, 0, 0, 1, b"x"))).is_ok(), "the table's frames are otherwise right");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = run(fed(&bytes));
    }

    #[test]
    fn headers_survive_the_wire(kind in 0_u8..5, stream in 1_u32.., length in 1..=PAYLOAD_BYTES_MAX) {
        let (kind, length, stream) = match kind {
            0 => (Kind::Data, length, stream),
            1 => (Kind::End, 0, stream),
            2 => (Kind::Reset, 0, stream),
            3 => (Kind::Window, 4, stream),
            _ => (Kind::GoAway, 0, 0),
        };
        let header = Header { kind, stream, length };
        let mut bytes = bytes::BytesMut::new();
        header.write(&mut bytes);
        prop_assert_eq!(bytes.len(), HEADER_BYTES);
        prop_assert_eq!(Header::parse(&bytes), Ok(Some(header)));
        for end in 0..HEADER_BYTES {
            prop_assert_eq!(Header::parse(&bytes[..end]), Ok(None));
        }
    }
}
