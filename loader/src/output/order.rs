//! Global order: records of all rings by sequence number. The machine counts
//! without gaps, so the reader waits for the next number; a number that does
//! not come within [`PATIENCE`] is given up. In: rings. Out: a callback per
//! record. Prints nothing.

use super::ring::{kind, Record, Ring, RingError, Which};
use std::time::{Duration, Instant};

/// How long one number may be missing while later ones are there. A handler
/// of a begin probe may be interrupted between taking its number and writing.
pub const PATIENCE: Duration = Duration::from_millis(250);

/// All rings of a session, read as one stream.
pub struct Stream {
    rings: Vec<Ring>,
    next: u64,
    waiting_since: Option<Instant>,
    /// Numbers that were given up.
    pub missing: u64,
}

impl Stream {
    /// # Safety
    /// As [`Ring::new`], for each mapping (start, length); one per CPU.
    pub unsafe fn new(mappings: &[(*const u8, usize)]) -> Result<Stream, RingError> {
        let mut rings = Vec::with_capacity(mappings.len() * 2);
        for (cpu, (base, len)) in mappings.iter().enumerate() {
            for which in [Which::Data, Which::Control] {
                // SAFETY: the caller's word.
                rings.push(unsafe { Ring::new(*base, *len, which, cpu) }?);
            }
        }
        Ok(Stream { rings, next: 1, waiting_since: None, missing: 0 })
    }

    /// Gives every record whose turn it is to `each`. With `last`, the machine has stopped: gaps
    /// can't fill any more and are passed over. Says whether later records wait for a missing one.
    pub fn drain(&mut self, last: bool, mut each: impl FnMut(Record<'_>)) -> Result<bool, RingError> {
        let waits = loop {
            let mut first: Option<(usize, u64)> = None;
            for (i, ring) in self.rings.iter_mut().enumerate() {
                if let Some(seq) = ring.front()? {
                    if first.is_none_or(|(_, least)| seq < least) {
                        first = Some((i, seq));
                    }
                }
            }
            let Some((i, seq)) = first else {
                self.waiting_since = None;
                break false;
            };
            if seq > self.next {
                let since = *self.waiting_since.get_or_insert_with(Instant::now);
                if !last && since.elapsed() < PATIENCE {
                    break true;
                }
                self.missing += seq - self.next;
            }
            self.waiting_since = None;
            self.run_of(i, seq, &mut each)?;
        };
        for ring in &mut self.rings {
            ring.release();
        }
        Ok(waits)
    }

    /// Throws away what there is. For a reader that has met damage: the machine may wait for room.
    pub fn skip(&mut self) {
        self.rings.iter_mut().for_each(Ring::skip);
    }

    /// Takes records from one ring as long as their numbers follow each other.
    fn run_of(&mut self, i: usize, first: u64, each: &mut impl FnMut(Record<'_>)) -> Result<(), RingError> {
        let ring = &mut self.rings[i];
        let mut seq = first;
        loop {
            if let Some(rec) = ring.take()? {
                if rec.kind != kind::PAD {
                    each(rec);
                }
            }
            // A number below `next` is one that was given up and came after all.
            self.next = self.next.max(seq + 1);
            // A long run must not starve the machine of room.
            if ring.held() > ring.size() / 4 {
                ring.release();
            }
            match ring.front()? {
                Some(n) if n == self.next => seq = n,
                _ => return Ok(()),
            }
        }
    }

    /// Records that found no room, over all rings.
    pub fn lost(&self) -> u64 {
        self.rings.iter().map(Ring::lost).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring::testing::Memory;
    use super::*;

    fn stream(memories: &mut [Memory]) -> Stream {
        let maps: Vec<_> = memories.iter_mut().map(Memory::base).collect();
        unsafe { Stream::new(&maps) }.unwrap()
    }
    fn seqs(s: &mut Stream, last: bool) -> (Vec<u64>, bool) {
        let mut got = Vec::new();
        let waits = s.drain(last, |r| got.push(r.seq)).unwrap();
        (got, waits)
    }

    #[test]
    fn records_of_all_rings_come_in_one_order() {
        let mut m = [Memory::new(4096), Memory::new(4096), Memory::new(4096)];
        // A fixed shuffle of who writes which number, into data and control rings.
        for seq in 1..=300u64 {
            let cpu = ((seq * 2_654_435_761) >> 7) as usize % 3;
            let which = if seq % 7 == 0 { Which::Control } else { Which::Data };
            if seq % 50 == 0 {
                m[cpu].push(which, kind::PAD, seq, &[]);
            } else {
                m[cpu].push(which, kind::TEXT, seq, b"x");
            }
        }
        let mut s = stream(&mut m);
        let (got, waits) = seqs(&mut s, false);
        assert_eq!(got, (1..=300).filter(|n| n % 50 != 0).collect::<Vec<_>>());
        assert!(!waits);
        assert_eq!(s.missing, 0);
    }

    #[test]
    fn a_missing_number_holds_back_what_follows_until_it_comes() {
        let mut m = [Memory::new(1024), Memory::new(1024)];
        m[0].push(Which::Data, kind::TEXT, 1, b"");
        m[0].push(Which::Data, kind::TEXT, 3, b"");
        let mut s = stream(&mut m);
        assert_eq!(seqs(&mut s, false), (vec![1], true));
        m[1].push(Which::Data, kind::TEXT, 2, b"");
        assert_eq!(seqs(&mut s, false), (vec![2, 3], false));
        assert_eq!(s.missing, 0);
    }

    #[test]
    fn at_the_end_gaps_are_passed_over_and_counted() {
        let mut m = [Memory::new(1024)];
        m[0].push(Which::Data, kind::TEXT, 2, b"");
        m[0].push(Which::Data, kind::TEXT, 5, b"");
        let mut s = stream(&mut m);
        assert_eq!(seqs(&mut s, true), (vec![2, 5], false));
        assert_eq!(s.missing, 3);
    }

    #[test]
    fn a_number_that_never_comes_is_given_up() {
        let mut m = [Memory::new(1024), Memory::new(1024)];
        m[0].push(Which::Data, kind::TEXT, 2, b"");
        let mut s = stream(&mut m);
        assert_eq!(seqs(&mut s, false), (vec![], true));
        s.waiting_since = Some(Instant::now() - PATIENCE);
        assert_eq!(seqs(&mut s, false), (vec![2], false));
        // It comes late: better out of order than not at all.
        m[1].push(Which::Data, kind::TEXT, 1, b"");
        m[1].push(Which::Data, kind::TEXT, 3, b"");
        assert_eq!(seqs(&mut s, false), (vec![1, 3], false));
    }

    #[test]
    fn the_machine_gets_its_room_back() {
        let mut m = [Memory::new(256)];
        let mut s = stream(&mut m);
        for seq in 1..=50 {
            m[0].push(Which::Data, kind::TEXT, seq, &[0; 40]);
            assert_eq!(seqs(&mut s, false).0, [seq]);
        }
        assert!(m[0].tail(Which::Data) >= 50 * 64 - 64);
    }
}
