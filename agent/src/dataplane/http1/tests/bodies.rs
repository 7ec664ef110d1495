//! Bodies: where they end, what is refused inside chunked coding, what is payload.

use super::super::BodyError::*;
use super::super::*;

/// Reads all of `input` as a chunked body: the payload, and what is left behind it.
fn dechunk(input: &[u8]) -> Result<(Vec<u8>, &[u8]), BodyError> {
    let mut payload = Vec::new();
    let progress = ChunkedDecoder::default().decode(input, |range| payload.extend_from_slice(&input[range]))?;
    assert!(progress.complete, "incomplete: {}", input.escape_ascii());
    Ok((payload, &input[progress.taken..]))
}

#[test]
fn chunked_bodies() {
    let cases: [(&[u8], &[u8], &[u8]); 8] = [
        (b"0\r\n\r\n", b"", b""),
        (b"5\r\nhello\r\n0\r\n\r\nGET", b"hello", b"GET"),
        (b"00A\r\n0123456789\r\n000\r\n\r\n", b"0123456789", b""),
        (b"1;a=b;c=\"d e\"\r\nx\r\n0;last\r\n\r\n", b"x", b""),
        (b"0000000000000001\r\nx\r\n0\r\n\r\n", b"x", b""),
        (b"1\r\nx\r\n0\r\nGrpc-Status: 0\r\nx:\r\n\r\nrest", b"x", b"rest"),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n", b""),
        (b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", b"0\r\n\r\n", b""),
    ];
    for (wire, payload, rest) in cases {
        assert_eq!(dechunk(wire), Ok((payload.to_vec(), rest)), "{}", wire.escape_ascii());
    }
}

#[test]
fn malformed_chunked_bodies() {
    let cases: [(&[u8], BodyError); 29] = [
        (b"\r\n", InvalidChunkSize),
        (b"g\r\n", InvalidChunkSize),
        (b"0x5\r\n", InvalidChunkSize),
        (b"+5\r\n", InvalidChunkSize),
        (b"-0\r\n", InvalidChunkSize),
        (b" 5\r\n", InvalidChunkSize),
        (b"5 \r\n", InvalidChunkSize),
        (b"5\t;a\r\n", InvalidChunkSize),
        (b"5\nhello\r\n", InvalidChunkSize),
        (b"00000000000000005\r\n", InvalidChunkSize),
        (b"8000000000000000\r\n", InvalidChunkSize),
        (b"FFFFFFFFFFFFFFFE\r\n", InvalidChunkSize),
        (b";a\r\n", InvalidChunkSize),
        (b"5\rhello\r\n", InvalidChunkLine),
        (b"5\r\r\n", InvalidChunkLine),
        (b"5;a\rb\r\n", InvalidChunkLine),
        (b"5;a\nb\r\n", InvalidChunkExtension),
        (b"5;\x00\r\n", InvalidChunkExtension),
        (b"5;\xff\r\n", InvalidChunkExtension),
        (b"5\r\nhelloX", InvalidChunkEnd),
        (b"5\r\nhello\n", InvalidChunkEnd),
        (b"5\r\nhello\rX", InvalidChunkEnd),
        (b"0\r\nX", InvalidTrailer),
        (b"0\r\nX: 1\n", InvalidTrailer),
        (b"0\r\nX : 1\r\n", InvalidTrailer),
        (b"0\r\nX: 1\r\n folded\r\n", InvalidTrailer),
        (b"0\r\n: 1\r\n", InvalidTrailer),
        (b"0\r\nX: \x00\r\n", InvalidTrailer),
        (b"0\r\n\rX", InvalidTrailer),
    ];
    for (wire, expected) in cases {
        // A name that simply ends is not wrong yet; what follows makes it so.
        let wire = [wire, b"\r\n\r\n"].concat();
        let mut decoder = ChunkedDecoder::default();
        assert_eq!(decoder.decode(&wire, |_| {}), Err(expected), "{}", wire.escape_ascii());
        assert_eq!(decoder.decode(b"0\r\n\r\n", |_| {}), Err(expected), "a refused body stays refused");
        assert!(!decoder.is_complete());
    }
}

#[test]
fn forbidden_trailers() {
    for name in [
        "Content-Length",
        "transfer-encoding",
        "HOST",
        "Connection",
        "Trailer",
        "te",
        "Upgrade",
        "Authorization",
        "Cookie",
        "X-Forwarded-For",
        "x-forwarded-client-cert",
        "Content_Length",
        "Expect",
    ] {
        let wire = format!("0\r\nok: 1\r\n{name}: 1\r\n\r\n");
        assert_eq!(dechunk(wire.as_bytes()), Err(ForbiddenTrailer), "{name}");
    }
    assert!(
        dechunk(b"0\r\nhosts: 1\r\nx-forwarded: 1\r\nx-a-name-that-is-longer-than-any-forbidden-one: 1\r\n\r\n")
            .is_ok()
    );
}

#[test]
fn bounded_trailers_and_overhead() {
    let many = |count: usize| [b"0\r\n".to_vec(), b"a: b\r\n".repeat(count), b"\r\n".to_vec()].concat();
    assert!(dechunk(&many(usize::from(MAX_TRAILERS))).is_ok());
    assert_eq!(dechunk(&many(usize::from(MAX_TRAILERS) + 1)), Err(TrailersTooLarge));
    let long = [b"0\r\na: ".to_vec(), vec![b'x'; MAX_TRAILER_BYTES as usize], b"\r\n\r\n".to_vec()].concat();
    assert_eq!(dechunk(&long), Err(TrailersTooLarge));

    let extended = |len: usize| [b"1;".to_vec(), vec![b'x'; len], b"\r\ny\r\n".to_vec()].concat();
    let body = [extended(200).repeat(50), LAST_CHUNK.to_vec()].concat();
    assert_eq!(dechunk(&body).expect("10 KiB of extensions are tolerated").0.len(), 50);
    assert_eq!(dechunk(&extended(200).repeat(200)), Err(TooMuchChunkOverhead));
    assert_eq!(dechunk(&extended(17_000)), Err(TooMuchChunkOverhead));
    let tiny = [b"1\r\nx\r\n".repeat(100_000), LAST_CHUNK.to_vec()].concat();
    assert_eq!(dechunk(&tiny).expect("plain tiny chunks are no attack").0.len(), 100_000);
}

#[test]
fn encoded_chunks_are_read_back() {
    for len in [0, 1, 9, 10, 15, 16, 17, 255, 256, 4095, 70_000] {
        let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
        let mut wire = Vec::new();
        encode_chunk(&mut wire, &payload);
        wire.extend_from_slice(LAST_CHUNK);
        assert_eq!(dechunk(&wire), Ok((payload, &b""[..])), "{len}");
    }
}

#[test]
fn counted_bodies() {
    let mut reader = BodyReader::new(BodyLength::Length(5));
    assert!(!reader.is_complete());
    assert_eq!(reader.advance(b""), Ok(Progress { taken: 0, complete: false }));
    assert_eq!(reader.advance(b"abc"), Ok(Progress { taken: 3, complete: false }));
    assert_eq!(reader.finish(), Err(Truncated));
    assert_eq!(reader.advance(b"deGET"), Ok(Progress { taken: 2, complete: true }));
    assert_eq!(reader.advance(b"GET"), Ok(Progress { taken: 0, complete: true }));
    assert_eq!((reader.finish(), reader.payload_bytes()), (Ok(()), 5));

    for length in [BodyLength::Empty, BodyLength::Length(0)] {
        let mut reader = BodyReader::new(length);
        assert!(reader.is_complete());
        assert_eq!(reader.advance(b"GET"), Ok(Progress { taken: 0, complete: true }));
    }
}

#[test]
fn bodies_that_end_with_the_connection() {
    let mut reader = BodyReader::new(BodyLength::UntilClose);
    assert_eq!(reader.advance(b"abc"), Ok(Progress { taken: 3, complete: false }));
    assert!(!reader.is_complete());
    assert_eq!(reader.finish(), Ok(()));
    assert_eq!(reader.advance(b"late"), Ok(Progress { taken: 0, complete: true }));
    assert_eq!(reader.payload_bytes(), 3);
}

#[test]
fn chunked_bodies_count_payload_and_are_truncated_without_their_end() {
    let mut reader = BodyReader::new(BodyLength::Chunked);
    assert_eq!(reader.advance(b"5\r\nhello\r\n0\r\n"), Ok(Progress { taken: 13, complete: false }));
    assert_eq!(reader.finish(), Err(Truncated));
    assert_eq!(reader.advance(b"\r\nGET"), Ok(Progress { taken: 2, complete: true }));
    assert_eq!((reader.finish(), reader.payload_bytes()), (Ok(()), 5));
}
