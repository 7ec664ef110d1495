//! What agent and keeper say to each other: records of one size, each in a packet of its own, some with a socket.
//!
//! Agent and keeper may be of different versions of weft for as long as it takes to replace the keeper: numbers are
//! never given a new meaning.

use std::{fs, io, os::unix::fs::MetadataExt, time::Duration};

/// Bytes of a record: four words of 32 bits and two of 64.
pub const BYTES: usize = 32;

/// A socket's place: which listener of which namespace it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Held {
    /// Cookie of its network namespace.
    pub namespace: u64,
    /// Which of the namespace's sets of listeners.
    pub generation: u64,
    /// Direction, as the kernel's map of listeners has it.
    pub direction: u32,
    /// Worker, likewise.
    pub worker: u32,
}

/// What an agent asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The agent is here; without any agent everything is held for `patience` and no longer. Answered by an end.
    Hello {
        /// To the millisecond.
        patience: Duration,
    },
    /// Hold the socket that comes along.
    Hold(Held),
    /// Close a namespace's sockets but those of a generation.
    Settle {
        /// Its cookie.
        namespace: u64,
        /// The generation that stays.
        generation: u64,
    },
    /// Close a namespace's sockets.
    Forget {
        /// Its cookie.
        namespace: u64,
    },
    /// Send everything. Answered by what is held and an end.
    List,
    /// Close everything and end. Answered by an end.
    Stop,
}

/// What the keeper answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A socket that it holds comes along.
    Held(Held),
    /// No more answers to this question.
    End(Binary),
}

/// Which file a process was started from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Binary {
    device: u64,
    inode: u64,
}

impl Binary {
    /// This process's.
    ///
    /// # Errors
    /// When /proc does not say.
    pub fn own() -> io::Result<Self> {
        let found = fs::metadata("/proc/self/exe")?;
        Ok(Self { device: found.dev(), inode: found.ino() })
    }
}

const HELLO: u32 = 1;
const HOLD: u32 = 2;
const SETTLE: u32 = 3;
const FORGET: u32 = 4;
const LIST: u32 = 5;
const STOP: u32 = 6;
const HELD: u32 = 101;
const END: u32 = 102;

impl Ask {
    /// As a record.
    pub fn encode(&self) -> [u8; BYTES] {
        match *self {
            Self::Hello { patience } => encode(HELLO, 0, 0, u64::try_from(patience.as_millis()).unwrap_or(u64::MAX), 0),
            Self::Hold(held) => encode_held(HOLD, held),
            Self::Settle { namespace, generation } => encode(SETTLE, 0, 0, namespace, generation),
            Self::Forget { namespace } => encode(FORGET, 0, 0, namespace, 0),
            Self::List => encode(LIST, 0, 0, 0, 0),
            Self::Stop => encode(STOP, 0, 0, 0, 0),
        }
    }

    /// From a record; `None` when it means nothing here.
    pub fn decode(bytes: &[u8; BYTES]) -> Option<Self> {
        let record = Record::of(bytes);
        Some(match record.what {
            HELLO => Self::Hello { patience: Duration::from_millis(record.first) },
            HOLD => Self::Hold(record.held()),
            SETTLE => Self::Settle { namespace: record.first, generation: record.second },
            FORGET => Self::Forget { namespace: record.first },
            LIST => Self::List,
            STOP => Self::Stop,
            _ => return None,
        })
    }
}

impl Answer {
    /// As a record.
    pub fn encode(&self) -> [u8; BYTES] {
        match *self {
            Self::Held(held) => encode_held(HELD, held),
            Self::End(binary) => encode(END, 0, 0, binary.device, binary.inode),
        }
    }

    /// From a record; `None` when it means nothing here.
    pub fn decode(bytes: &[u8; BYTES]) -> Option<Self> {
        let record = Record::of(bytes);
        match record.what {
            HELD => Some(Self::Held(record.held())),
            END => Some(Self::End(Binary { device: record.first, inode: record.second })),
            _ => None,
        }
    }
}

struct Record {
    what: u32,
    direction: u32,
    worker: u32,
    first: u64,
    second: u64,
}

impl Record {
    fn of(bytes: &[u8; BYTES]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        Self { what: word(0), direction: word(4), worker: word(8), first: long(16), second: long(24) }
    }

    fn held(&self) -> Held {
        Held { namespace: self.first, generation: self.second, direction: self.direction, worker: self.worker }
    }
}

fn encode_held(what: u32, held: Held) -> [u8; BYTES] {
    encode(what, held.direction, held.worker, held.namespace, held.generation)
}

fn encode(what: u32, direction: u32, worker: u32, first: u64, second: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[0..4].copy_from_slice(&what.to_le_bytes());
    bytes[4..8].copy_from_slice(&direction.to_le_bytes());
    bytes[8..12].copy_from_slice(&worker.to_le_bytes());
    bytes[16..24].copy_from_slice(&first.to_le_bytes());
    bytes[24..32].copy_from_slice(&second.to_le_bytes());
    bytes
}
