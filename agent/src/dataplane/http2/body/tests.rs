//! A body that is begun again says the same, and its sender is given room once.

use std::collections::VecDeque;

use super::*;

struct Given {
    pieces: VecDeque<Bytes>,
    released: usize,
}

impl Source for Given {
    async fn next(&mut self) -> Result<Piece, Broken> {
        let bytes = self.pieces.pop_front();
        Ok(bytes.map_or(Piece::End, |bytes| Piece::Data { bytes, last: self.pieces.is_empty() }))
    }

    fn taken(&mut self, bytes: usize) {
        self.released += bytes;
    }
}

fn replay(pieces: &[usize]) -> Replay<Given> {
    let pieces = pieces.iter().map(|length| vec![7; *length].into()).collect();
    Replay::new(Given { pieces, released: 0 }, false)
}

async fn read(body: &mut Replay<Given>, pieces: usize) -> usize {
    let mut all = 0;
    for _ in 0..pieces {
        let Piece::Data { bytes, .. } = body.next().await.unwrap() else { panic!("no data") };
        body.taken(bytes.len());
        all += bytes.len();
    }
    all
}

#[tokio::test]
async fn it_says_the_same_again() {
    let mut body = replay(&[10, 20, 30]);
    assert_eq!(read(&mut body, 2).await, 30);
    assert!(body.rewind());
    assert_eq!(read(&mut body, 3).await, 60);
    assert_eq!(body.source.released, 60);
    assert!(matches!(body.next().await.unwrap(), Piece::End));
}

#[tokio::test]
async fn the_last_piece_is_the_last_again() {
    let mut body = replay(&[10]);
    for _ in 0..2 {
        assert!(matches!(body.next().await.unwrap(), Piece::Data { last: true, .. }));
        assert!(body.rewind());
    }
}

#[tokio::test]
async fn what_is_long_is_not_kept() {
    let mut body = replay(&[10, REPLAY_BYTES_MAX, 10]);
    assert_eq!(read(&mut body, 3).await, 20 + REPLAY_BYTES_MAX);
    assert!(!body.rewind() && body.kept.borrow().pieces.is_empty());
}
