//! Registers and string slots for virtual ones. In: a [`Body`] and its live
//! stretches. Out: a place in the frame for each. Values that are not live at
//! the same time share a place; the lists of one instruction get consecutive
//! places; nothing that is needed after a `call` sits in or above its window,
//! because the callee's frame lies there.

use super::ir::{Bank, Body, BANKS, NONE};
use super::liveness::Ranges;
use stp_vm::isa::Op;

/// Most registers, and most string slots, of a frame.
const FRAME_MAX: u32 = 256;

/// The frame needs more places than an instruction can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    pub bank: Bank,
}

#[derive(Debug, Default)]
pub struct Allocation {
    /// Place of each virtual register; [`NONE`] where it is never live.
    pub of: [Vec<u32>; 2],
    /// Size of the frame.
    pub size: [u16; 2],
    /// Start of the windows of each `call`, by instruction.
    pub windows: Vec<(u32, [u8; 2])>,
}

/// What has to be placed in one piece.
#[derive(Clone, Copy)]
struct Unit {
    first: u32,
    n: u8,
    /// Where its life begins.
    start: u32,
}

struct Bankful<'a> {
    ranges: &'a [Vec<(u32, u32)>],
    place: Vec<u32>,
    /// Stretches in which each place is taken, ascending.
    taken: Vec<Vec<(u32, u32)>>,
    /// Another register that should share the place.
    hint: Vec<u32>,
}

impl Bankful<'_> {
    fn free_at(&self, place: u32, ranges: &[(u32, u32)]) -> bool {
        let Some(taken) = self.taken.get(place as usize) else { return true };
        ranges.iter().all(|(from, to)| {
            let n = taken.partition_point(|t| t.1 <= *from);
            taken.get(n).is_none_or(|t| t.0 >= *to)
        })
    }
    fn fits(&self, u: Unit, base: u32) -> bool {
        (0..u32::from(u.n)).all(|k| self.free_at(base + k, &self.ranges[(u.first + k) as usize]))
    }
    fn put(&mut self, u: Unit, base: u32) {
        for k in 0..u32::from(u.n) {
            let at = (base + k) as usize;
            if self.taken.len() <= at {
                self.taken.resize(at + 1, Vec::new());
            }
            for r in &self.ranges[(u.first + k) as usize] {
                take(&mut self.taken[at], *r);
            }
            self.place[(u.first + k) as usize] = base + k;
        }
    }
    /// The place that a register of the unit would like, as the unit's base.
    fn wish(&self, u: Unit) -> Option<u32> {
        (0..u32::from(u.n)).find_map(|k| {
            let other = self.hint[(u.first + k) as usize];
            let place = *self.place.get(other as usize)?;
            (place != NONE).then(|| place.checked_sub(k)).flatten()
        })
    }
    fn place_low(&mut self, u: Unit) -> Option<()> {
        let base = match self.wish(u) {
            Some(b) if self.fits(u, b) => b,
            _ => (0..FRAME_MAX).find(|b| self.fits(u, *b))?,
        };
        (base + u32::from(u.n) <= FRAME_MAX).then(|| self.put(u, base))
    }
    /// Lowest place above everything that is live across position `p`, members of the unit apart.
    fn floor(&self, u: Unit, p: u32) -> u32 {
        let mut floor = 0;
        for (v, place) in self.place.iter().enumerate() {
            if *place == NONE || *place < floor || (u.first..u.first + u32::from(u.n)).contains(&(v as u32)) {
                continue;
            }
            let list = &self.ranges[v];
            let n = list.partition_point(|r| r.1 <= p + 1);
            if list.get(n).is_some_and(|r| r.0 <= p) {
                floor = place + 1;
            }
        }
        floor
    }
    /// Places the window of a call at position `p` as low as can be.
    fn place_window(&mut self, u: Unit, p: u32) -> Option<u32> {
        let floor = self.floor(u, p);
        let base = (floor..FRAME_MAX + 1).find(|b| self.fits(u, *b))?;
        if base + u32::from(u.n) > FRAME_MAX || base > 255 {
            return None;
        }
        self.put(u, base);
        Some(base)
    }
}

/// Adds a stretch to those in which a place is taken, which stay apart from each other: a parameter
/// and the result of its function have one place, and both may be alive where an error leaves a `return`.
fn take(taken: &mut Vec<(u32, u32)>, (mut from, mut to): (u32, u32)) {
    let first = taken.partition_point(|t| t.1 < from);
    let last = taken.partition_point(|t| t.0 <= to);
    for t in taken.drain(first..last.max(first)) {
        (from, to) = (from.min(t.0), to.max(t.1));
    }
    taken.insert(first, (from, to));
}

/// Gives every live register a place.
pub fn allocate(body: &Body, ranges: &Ranges) -> Result<Allocation, TooMany> {
    let mut out = Allocation::default();
    let mut windows: Vec<(u32, [u8; 2])> = (0..body.code.len() as u32)
        .filter(|i| body.code[*i as usize].op == Op::Call)
        .map(|i| (i, [0; 2]))
        .collect();
    for bank in BANKS {
        let n = body.count[bank as usize] as usize;
        let mut b = Bankful {
            ranges: &ranges.of[bank as usize],
            place: vec![NONE; n],
            taken: Vec::new(),
            hint: hints(body, bank),
        };
        let fail = TooMany { bank };
        for (_, v, place) in body.pinned.iter().filter(|p| p.0 == bank) {
            b.put(Unit { first: *v, n: 1, start: 0 }, u32::from(*place));
        }
        let mut in_list = vec![false; n];
        let (mut units, mut calls) = (Vec::new(), Vec::new());
        for (i, ins) in body.code.iter().enumerate() {
            let (first, mut len) = ins.list(bank);
            if ins.result == Some(bank) {
                len = len.max(1);
            }
            if ins.op == Op::Call {
                calls.push((i as u32, Unit { first, n: len, start: 0 }));
            }
            let named = (first..first + u32::from(len)).any(|v| in_list[v as usize]);
            // A list of one may be any register, shared with other instructions.
            if len > 0 && (len > 1 || ins.op == Op::Call) && ins.op != Op::Ret && !named {
                in_list[first as usize..first as usize + usize::from(len)].fill(true);
                if ins.op != Op::Call {
                    let start = (first..first + u32::from(len)).filter_map(|v| b.start_of(v)).min();
                    units.push(Unit { first, n: len, start: start.unwrap_or(0) });
                }
            }
        }
        for v in 0..n as u32 {
            if let (false, NONE, Some(start)) = (in_list[v as usize], b.place[v as usize], b.start_of(v)) {
                units.push(Unit { first: v, n: 1, start });
            }
        }
        units.sort_by_key(|u| (u.start, u.first));
        for u in units {
            b.place_low(u).ok_or(fail)?;
        }
        // From the last to the first: the arguments of an outer call wait below the windows of those inside.
        for (i, u) in calls.into_iter().rev() {
            let base = b.place_window(u, 2 * i).ok_or(fail)?;
            if let Some(w) = windows.iter_mut().find(|w| w.0 == i) {
                w.1[bank as usize] = base as u8;
            }
        }
        let used = b.place.iter().filter(|p| **p != NONE).max().map_or(0, |p| p + 1);
        out.size[bank as usize] = used as u16;
        out.of[bank as usize] = b.place;
    }
    for (i, base) in &windows {
        let ins = &body.code[*i as usize];
        for bank in BANKS {
            // Even an empty window starts inside of the frame.
            let least = u16::from(base[bank as usize]) + u16::from(ins.list(bank).1);
            out.size[bank as usize] = out.size[bank as usize].max(least);
        }
    }
    out.windows = windows;
    Ok(out)
}

impl Bankful<'_> {
    fn start_of(&self, v: u32) -> Option<u32> {
        self.ranges[v as usize].first().map(|r| r.0)
    }
}

/// Registers that a move connects want the same place; so do a string and what is appended to it.
fn hints(body: &Body, bank: Bank) -> Vec<u32> {
    let mut hint = vec![NONE; body.count[bank as usize] as usize];
    for ins in &body.code {
        let connects = match bank {
            Bank::Int => matches!(ins.op, Op::Mov),
            Bank::Str => matches!(ins.op, Op::Smov | Op::Scat),
        };
        if connects {
            for (x, y) in [(ins.a, ins.b), (ins.b, ins.a)] {
                if hint[x as usize] == NONE {
                    hint[x as usize] = y;
                }
            }
        }
    }
    hint
}

#[cfg(test)]
mod tests {
    use super::take;

    #[test]
    fn stretches_that_overlap_become_one() {
        let mut t = Vec::new();
        for r in [(10, 20), (30, 40), (0, 5), (12, 14)] {
            take(&mut t, r);
        }
        assert_eq!(t, [(0, 5), (10, 20), (30, 40)]);
        take(&mut t, (4, 11));
        assert_eq!(t, [(0, 20), (30, 40)]);
        take(&mut t, (20, 30));
        assert_eq!(t, [(0, 40)]);
    }
}
