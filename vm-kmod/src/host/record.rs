//! Records as they lie in a ring (`core/record.h`), taken out of it.

use super::rec;

/// A record of a ring, with its head (`struct rec` in `core/record.h`).
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    pub(super) words: Vec<u64>,
}

impl Record {
    /// A record from its bytes, head included; `None` when its length says
    /// more than there is, or less than a head.
    pub fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        if len < 16 || len % 8 != 0 || len > bytes.len() {
            return None;
        }
        let word = |b: &[u8]| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        Some(Record { words: bytes[..len].chunks_exact(8).map(word).collect() })
    }
    /// One of [`rec`].
    pub fn kind(&self) -> u16 {
        (self.words[0] >> 32) as u16
    }
    /// The probe whose handler wrote it.
    pub fn probe(&self) -> Option<u16> {
        let n = (self.words[0] >> 48) as u16;
        (n != 0xffff).then_some(n)
    }
    /// Place in the order of the session, from 1; 0 for a pad at a ring's end.
    pub fn seq(&self) -> u64 {
        self.words[1]
    }
    /// What follows the head.
    pub fn body(&self) -> Vec<u8> {
        self.words[2..].iter().flat_map(|w| w.to_le_bytes()).collect()
    }
    /// The `n`th 32-bit word of the body, 0 where there is none.
    pub fn word(&self, n: usize) -> u32 {
        self.words.get(2 + n / 2).map_or(0, |w| (w >> (n % 2 * 32)) as u32)
    }
    /// Of an ERROR record.
    pub fn error(&self) -> Option<ScriptError> {
        if self.kind() != rec::ERROR {
            return None;
        }
        let body = self.body();
        let (len, depth) = (self.word(2) as usize, self.word(3) as usize);
        let text = body.get(16..16 + len)?.to_vec();
        let at = 4 + len.div_ceil(4);
        let callers = (0..depth.min(self.words.len() * 2)).map(|k| self.word(at + k)).collect();
        Some(ScriptError { pc: self.word(0), code: self.word(1), text, callers })
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record {{ kind: {}, probe: {:?}, seq: {} }}", self.kind(), self.probe(), self.seq())
    }
}

/// An uncaught error of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Instruction that raised it, counted in the whole code section.
    pub pc: u32,
    /// `E_*` of `core/error.h`.
    pub code: u32,
    pub text: Vec<u8>,
    /// Instructions that called the functions around it, innermost first.
    pub callers: Vec<u32>,
}
