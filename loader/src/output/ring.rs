//! One ring of records, read from memory shared with the machine
//! (`vm-kmod/core/record.h`). In: a mapping. Out: records in the order of the
//! ring. Checks every length; never writes anything but the ring's tail.

use std::sync::atomic::{AtomicU64, Ordering};

/// `enum rec_type` of `record.h`.
pub use stp_vm::host::rec as kind;

/// Which of a mapping's two rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Data = 0,
    Control = 1,
}

/// `struct ring_head`
#[repr(C)]
struct Head {
    head: AtomicU64,
    lost: AtomicU64,
    pad0: [u64; 6],
    tail: AtomicU64,
    pad1: [u64; 7],
    size: u64,
    offset: u64,
    pad2: [u64; 6],
}
const _: () = assert!(size_of::<Head>() == 192);

/// Bytes of `struct rec`; records are aligned to it.
pub const HEADER: usize = 16;

/// A record, still in the ring.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub kind: u16,
    /// Which probe; 0xffff: none.
    pub probe: u16,
    pub seq: u64,
    /// CPU whose ring it stood in.
    pub cpu: usize,
    /// The whole record, header included.
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// What follows the header.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER..]
    }
    /// 32-bit word n of the body; 0 where the body is shorter.
    pub fn word(&self, n: usize) -> u32 {
        self.body().get(n * 4..n * 4 + 4).map_or(0, |b| u32::from_le_bytes(b.try_into().expect("four bytes")))
    }
    /// Text of `len` bytes at `at` of the body, cut where the body ends.
    pub fn text(&self, at: usize, len: u32) -> &'a [u8] {
        let body = self.body();
        let from = at.min(body.len());
        let to = from.saturating_add(len as usize).min(body.len());
        &body[from..to]
    }
}

/// What is wrong with a ring: the machine and the loader do not understand each other.
#[derive(Debug, thiserror::Error)]
pub enum RingError {
    #[error("ring of CPU {0} does not fit its mapping")]
    Shape(usize),
    #[error("ring of CPU {cpu} is damaged at byte {at}")]
    Damaged { cpu: usize, at: u64 },
}

/// Reader of one ring.
pub struct Ring {
    cpu: usize,
    head: *const Head,
    data: *const u8,
    size: u64,
    /// Read up to here; the machine is told by [`Ring::release`].
    tail: u64,
    /// Last head seen.
    seen: u64,
    /// Sequence number of the record at `tail`, once looked at.
    front: Option<u64>,
}

impl Ring {
    /// A ring of the mapping of a CPU.
    ///
    /// # Safety
    /// `base` must be the start of `len` mapped bytes laid out as `record.h` says,
    /// which stay mapped as long as the ring lives, and nobody else may read this ring.
    pub unsafe fn new(base: *const u8, len: usize, which: Which, cpu: usize) -> Result<Ring, RingError> {
        let at = which as usize * size_of::<Head>();
        if at + size_of::<Head>() > len || base as usize % 8 != 0 {
            return Err(RingError::Shape(cpu));
        }
        // SAFETY: inside the mapping, aligned; only atomics are written by the other side.
        let head = unsafe { base.add(at) }.cast::<Head>();
        let (size, offset) = unsafe { ((*head).size, (*head).offset) };
        let fits = size.is_power_of_two()
            && offset % 8 == 0
            && size.checked_add(offset).is_some_and(|e| e <= len as u64);
        if !fits {
            return Err(RingError::Shape(cpu));
        }
        // SAFETY: just checked to be inside.
        let data = unsafe { base.add(offset as usize) };
        let tail = unsafe { (*head).tail.load(Ordering::Relaxed) };
        Ok(Ring { cpu, head, data, size, tail, seen: tail, front: None })
    }

    /// Records that found no room so far.
    pub fn lost(&self) -> u64 {
        // SAFETY: `head` points into the mapping (contract of `new`).
        unsafe { (*self.head).lost.load(Ordering::Relaxed) }
    }

    /// Sequence number of the next record, `None` when there is none yet. Fillers are passed over.
    pub fn front(&mut self) -> Result<Option<u64>, RingError> {
        if self.front.is_some() {
            return Ok(self.front);
        }
        loop {
            let Some(rec) = self.at_tail()? else { return Ok(None) };
            let (kind, seq, len) = (rec.kind, rec.seq, rec.bytes.len());
            if kind == kind::PAD && seq == 0 {
                self.tail += len as u64;
                continue;
            }
            self.front = Some(seq);
            return Ok(self.front);
        }
    }

    /// Takes the record that [`Ring::front`] found. It stays readable until [`Ring::release`].
    pub fn take(&mut self) -> Result<Option<Record<'_>>, RingError> {
        if self.front()?.is_none() {
            return Ok(None);
        }
        self.front = None;
        let at = self.tail;
        let len = self.at_tail()?.map_or(0, |r| r.bytes.len());
        self.tail += len as u64;
        self.record(at)
    }

    /// Tells the machine that all records taken so far may be overwritten.
    pub fn release(&mut self) {
        // SAFETY: `head` points into the mapping. Release: our reads come before the machine's writes.
        unsafe { (*self.head).tail.store(self.tail, Ordering::Release) };
    }

    /// Gives up what is in the ring, so that nobody waits for room in it.
    pub fn skip(&mut self) {
        // SAFETY: `head` points into the mapping.
        self.seen = unsafe { (*self.head).head.load(Ordering::Acquire) };
        self.tail = self.seen;
        self.front = None;
        self.release();
    }

    /// Bytes taken and not yet released.
    pub fn held(&self) -> u64 {
        // SAFETY: as above.
        self.tail - unsafe { (*self.head).tail.load(Ordering::Relaxed) }
    }

    /// Bytes of the ring.
    pub fn size(&self) -> u64 {
        self.size
    }

    fn at_tail(&mut self) -> Result<Option<Record<'_>>, RingError> {
        if self.tail == self.seen {
            // SAFETY: `head` points into the mapping. Acquire: the records before head are complete.
            self.seen = unsafe { (*self.head).head.load(Ordering::Acquire) };
            if self.tail == self.seen {
                return Ok(None);
            }
            if self.seen.wrapping_sub(self.tail) > self.size {
                return Err(RingError::Damaged { cpu: self.cpu, at: self.tail });
            }
        }
        self.record(self.tail)
    }

    fn record(&self, at: u64) -> Result<Option<Record<'_>>, RingError> {
        let damaged = RingError::Damaged { cpu: self.cpu, at };
        let offset = at & (self.size - 1);
        let room = (self.size - offset).min(self.seen - at);
        if room < HEADER as u64 || at % HEADER as u64 != 0 {
            return Err(damaged);
        }
        // SAFETY: offset + room <= size: inside the ring's bytes; the machine leaves what lies
        // between tail and head alone.
        let bytes = unsafe { std::slice::from_raw_parts(self.data.add(offset as usize), room as usize) };
        let len = u32::from_le_bytes(bytes[0..4].try_into().expect("four bytes"));
        if u64::from(len) > room || (len as usize) < HEADER || len % HEADER as u32 != 0 {
            return Err(damaged);
        }
        Ok(Some(Record {
            kind: u16::from_le_bytes([bytes[4], bytes[5]]),
            probe: u16::from_le_bytes([bytes[6], bytes[7]]),
            seq: u64::from_le_bytes(bytes[8..16].try_into().expect("eight bytes")),
            cpu: self.cpu,
            bytes: &bytes[..len as usize],
        }))
    }
}

#[cfg(test)]
pub mod testing {
    //! A ring in plain memory, written as the machine writes it.
    use super::*;

    /// A mapping with both rings.
    pub struct Memory {
        words: Vec<u64>,
        size: usize,
    }

    impl Memory {
        pub fn new(size: usize) -> Memory {
            let mut m = Memory { words: vec![0; (4096 + 2 * size) / 8], size };
            for which in 0..2 {
                m.words[which * 24 + 16] = size as u64;
                m.words[which * 24 + 17] = (4096 + which * size) as u64;
            }
            m
        }
        pub fn base(&mut self) -> (*const u8, usize) {
            (self.words.as_mut_ptr().cast(), self.words.len() * 8)
        }
        fn put(&mut self, which: Which, offset: u64, bytes: &[u8]) {
            let at = 4096 + which as usize * self.size + (offset as usize & (self.size - 1));
            for (i, chunk) in bytes.chunks(8).enumerate() {
                self.words[at / 8 + i] = u64::from_le_bytes(chunk.try_into().unwrap());
            }
        }
        /// Writes a record; a filler first where it would wrap.
        pub fn push(&mut self, which: Which, kind: u16, seq: u64, body: &[u8]) {
            let mut body = body.to_vec();
            body.resize(body.len().div_ceil(16) * 16, 0);
            let len = (HEADER + body.len()) as u32;
            let head = self.words[which as usize * 24];
            let room = self.size as u64 - (head & (self.size as u64 - 1));
            if room < u64::from(len) {
                self.raw(which, room as u32, kind::PAD, 0, &[]);
            }
            self.raw(which, len, kind, seq, &body);
        }
        pub fn raw(&mut self, which: Which, len: u32, kind: u16, seq: u64, body: &[u8]) {
            let head = self.words[which as usize * 24];
            let mut bytes = len.to_le_bytes().to_vec();
            bytes.extend(kind.to_le_bytes());
            bytes.extend(7u16.to_le_bytes());
            bytes.extend(seq.to_le_bytes());
            bytes.extend(body);
            bytes.truncate(len as usize);
            self.put(which, head, &bytes);
            self.words[which as usize * 24] = head + u64::from(len);
        }
        pub fn tail(&self, which: Which) -> u64 {
            self.words[which as usize * 24 + 8]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Memory;
    use super::*;

    fn ring(m: &mut Memory) -> Ring {
        let (base, len) = m.base();
        unsafe { Ring::new(base, len, Which::Data, 3) }.unwrap()
    }

    #[test]
    fn records_come_in_order_and_fillers_do_not() {
        let mut m = Memory::new(256);
        let mut r = ring(&mut m);
        assert!(r.take().unwrap().is_none());
        for seq in 1..100u64 {
            m.push(Which::Data, kind::TEXT, seq, &seq.to_le_bytes().repeat(1 + seq as usize % 4));
            let rec = r.take().unwrap().expect("a record");
            assert_eq!((rec.kind, rec.probe, rec.seq, rec.cpu), (kind::TEXT, 7, seq, 3));
            let body = seq.to_le_bytes().repeat(1 + seq as usize % 4);
            assert_eq!(rec.body()[..body.len()], body);
            r.release();
        }
        assert_eq!(m.tail(Which::Data), r.tail);
    }

    #[test]
    fn a_record_that_was_given_back_keeps_its_number() {
        let mut m = Memory::new(256);
        let mut r = ring(&mut m);
        m.push(Which::Data, kind::PAD, 1, &[0; 16]);
        assert_eq!(r.front().unwrap(), Some(1));
        assert_eq!(r.take().unwrap().unwrap().kind, kind::PAD);
    }

    #[test]
    fn damaged_lengths_are_refused() {
        for len in [0u32, 8, 24, 64] {
            let mut m = Memory::new(256);
            let mut r = ring(&mut m);
            m.raw(Which::Data, 32, kind::TEXT, 1, &[0; 16]);
            let words = m.base().0 as *mut u64;
            unsafe { words.add(512).write(u64::from(len)) };
            assert!(matches!(r.take(), Err(RingError::Damaged { cpu: 3, at: 0 })), "{len}");
        }
    }

    #[test]
    fn a_head_beyond_the_ring_is_refused() {
        let mut m = Memory::new(256);
        let mut r = ring(&mut m);
        unsafe { (m.base().0 as *mut u64).write(272) };
        assert!(r.take().is_err());
    }

    #[test]
    fn a_mapping_that_is_too_small_is_refused() {
        let mut m = Memory::new(256);
        let (base, len) = m.base();
        assert!(unsafe { Ring::new(base, len - 8, Which::Control, 0) }.is_err());
        assert!(unsafe { Ring::new(base, 100, Which::Data, 0) }.is_err());
    }
}
