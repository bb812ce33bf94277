//! Which virtual register holds a value that is still needed, and where. In: a
//! [`Body`]. Out: per register the stretches of code in which it is live.
//! Removes instructions whose result nobody reads; gives values to registers
//! that could be read before they are written (script variables start as 0
//! and "").
//!
//! Positions: instruction `i` reads at `2i` and writes at `2i + 1`; a stretch
//! `(from, to)` holds `from` and not `to`.

use super::ir::{Access, Bank, Body, Ins, BANKS, NONE};
use stp_vm::isa::Op;

/// Live stretches per bank and register, ascending.
#[derive(Debug, Default)]
pub struct Ranges {
    pub of: [Vec<Vec<(u32, u32)>>; 2],
}

struct Block {
    from: u32,
    to: u32,
    next: Vec<usize>,
    /// Catch blocks that an error in here can reach.
    catches: Vec<usize>,
}

type Set = Vec<u64>;

fn has(s: &Set, n: usize) -> bool {
    s[n / 64] >> (n % 64) & 1 != 0
}
fn put(s: &mut Set, n: usize) {
    s[n / 64] |= 1 << (n % 64);
}
fn drop_bit(s: &mut Set, n: usize) {
    s[n / 64] &= !(1 << (n % 64));
}

struct Flow<'a> {
    body: &'a Body,
    blocks: Vec<Block>,
    live_in: Vec<Set>,
    words: usize,
}

impl<'a> Flow<'a> {
    fn new(body: &'a Body) -> Self {
        let n = body.code.len();
        let mut leader = vec![false; n + 1];
        leader[0] = true;
        for (i, ins) in body.code.iter().enumerate() {
            if ins.label != NONE {
                leader[body.labels[ins.label as usize] as usize] = true;
                leader[i + 1] = true;
            } else if ins.ends() {
                leader[i + 1] = true;
            }
        }
        for (from, to, catch) in &body.tries {
            for at in [*from, *to, body.labels[*catch as usize]] {
                leader[at as usize] = true;
            }
        }
        let starts: Vec<u32> = (0..n as u32).filter(|i| leader[*i as usize]).collect();
        let block_at = |at: u32| starts.partition_point(|s| *s <= at).saturating_sub(1);
        let mut blocks = Vec::with_capacity(starts.len());
        for (k, from) in starts.iter().enumerate() {
            let to = starts.get(k + 1).copied().unwrap_or(n as u32);
            let last = body.code[to as usize - 1];
            let mut next = Vec::new();
            if !last.ends() && (to as usize) < n {
                next.push(k + 1);
            }
            if last.label != NONE {
                next.push(block_at(body.labels[last.label as usize]));
            }
            let catches = body
                .tries
                .iter()
                .filter(|(f, t, _)| f <= from && to <= *t)
                .map(|(_, _, c)| block_at(body.labels[*c as usize]))
                .collect();
            blocks.push(Block { from: *from, to, next, catches });
        }
        let words = (body.count[0] + body.count[1]).div_ceil(64).max(1) as usize;
        let live_in = vec![vec![0; words]; blocks.len()];
        Self { body, blocks, live_in, words }
    }

    fn bit(&self, bank: Bank, v: u32) -> usize {
        match bank {
            Bank::Int => v as usize,
            Bank::Str => (self.body.count[0] + v) as usize,
        }
    }

    /// What is live behind the block's last instruction, and what stays live all through it.
    fn live_out(&self, b: usize) -> (Set, Set) {
        let mut out = vec![0; self.words];
        let mut kept = vec![0; self.words];
        for n in &self.blocks[b].next {
            or(&mut out, &self.live_in[*n]);
        }
        for n in &self.blocks[b].catches {
            or(&mut kept, &self.live_in[*n]);
        }
        or(&mut out, &kept);
        (out, kept)
    }

    fn solve(&mut self) {
        let mut changed = true;
        while changed {
            changed = false;
            for b in (0..self.blocks.len()).rev() {
                let (mut live, kept) = self.live_out(b);
                for i in (self.blocks[b].from..self.blocks[b].to).rev() {
                    self.step(&mut live, &kept, &self.body.code[i as usize]);
                }
                if live != self.live_in[b] {
                    self.live_in[b] = live;
                    changed = true;
                }
            }
        }
    }

    /// Backwards over one instruction.
    fn step(&self, live: &mut Set, kept: &Set, ins: &Ins) {
        ins.operands(|bank, v, access| {
            let n = self.bit(bank, v);
            if access == Access::Def && !has(kept, n) {
                drop_bit(live, n);
            }
        });
        ins.operands(|bank, v, access| {
            if access == Access::Use {
                put(live, self.bit(bank, v));
            }
        });
    }
}

fn or(a: &mut Set, b: &Set) {
    for (x, y) in a.iter_mut().zip(b) {
        *x |= y;
    }
}

/// Removes what has no effect, gives first values, and says what is live where.
pub fn analyze(body: &mut Body) -> Ranges {
    while remove_dead(body) {}
    give_first_values(body);
    ranges(body)
}

fn remove_dead(body: &mut Body) -> bool {
    let mut flow = Flow::new(body);
    flow.solve();
    let mut dead = vec![false; body.code.len()];
    let mut any = false;
    for b in 0..flow.blocks.len() {
        let (mut live, kept) = flow.live_out(b);
        for i in (flow.blocks[b].from..flow.blocks[b].to).rev() {
            let ins = &body.code[i as usize];
            if ins.removable() {
                let mut needed = false;
                ins.operands(|bank, v, access| {
                    needed |= access == Access::Def && has(&live, flow.bit(bank, v));
                });
                let to_itself = matches!(ins.op, Op::Mov | Op::Smov) && ins.a == ins.b;
                if !needed || to_itself {
                    dead[i as usize] = true;
                    any = true;
                    continue;
                }
            }
            flow.step(&mut live, &kept, ins);
        }
    }
    if any {
        remove(body, &dead);
    }
    any
}

/// Takes instructions out; labels and try blocks move along.
fn remove(body: &mut Body, dead: &[bool]) {
    let mut at = Vec::with_capacity(dead.len() + 1);
    let mut n = 0u32;
    for d in dead {
        at.push(n);
        n += u32::from(!d);
    }
    at.push(n);
    for l in body.labels.iter_mut().filter(|l| **l != NONE) {
        *l = at[*l as usize];
    }
    for (from, to, _) in &mut body.tries {
        *from = at[*from as usize];
        *to = at[*to as usize];
    }
    let mut i = 0;
    body.code.retain(|_| {
        i += 1;
        !dead[i - 1]
    });
}

fn give_first_values(body: &mut Body) {
    let mut flow = Flow::new(body);
    flow.solve();
    let mut first = Vec::new();
    for bank in BANKS {
        for v in 0..body.count[bank as usize] {
            if has(&flow.live_in[0], flow.bit(bank, v)) && !body.params.contains(&(bank, v)) {
                let op = if bank == Bank::Int { Op::Ldi } else { Op::Sldk };
                first.push(Ins { a: v, ..Ins::new(op) });
            }
        }
    }
    if !first.is_empty() {
        body.prepend(first);
    }
}

fn ranges(body: &Body) -> Ranges {
    let mut flow = Flow::new(body);
    flow.solve();
    let mut out = Ranges { of: BANKS.map(|bank| vec![Vec::new(); body.count[bank as usize] as usize]) };
    let total = (body.count[0] + body.count[1]) as usize;
    // Where the stretch that is open (going backwards) ends; 0: not live.
    let mut end = vec![0u32; total];
    for b in (0..flow.blocks.len()).rev() {
        let (live, kept) = flow.live_out(b);
        let (from, to) = (flow.blocks[b].from, flow.blocks[b].to);
        for (n, e) in end.iter_mut().enumerate() {
            *e = if has(&live, n) { 2 * to } else { 0 };
        }
        for i in (from..to).rev() {
            let ins = &body.code[i as usize];
            ins.operands(|bank, v, access| {
                let n = flow.bit(bank, v);
                if access == Access::Def {
                    let stop = end[n].max(2 * i + 2);
                    if has(&kept, n) {
                        end[n] = stop;
                    } else {
                        open(&mut out, bank, v, 2 * i + 1, stop);
                        end[n] = 0;
                    }
                }
            });
            ins.operands(|bank, v, access| {
                let n = flow.bit(bank, v);
                if access == Access::Use && end[n] == 0 {
                    end[n] = 2 * i + 1;
                }
            });
        }
        for bank in BANKS {
            for v in 0..body.count[bank as usize] {
                let n = flow.bit(bank, v);
                if end[n] != 0 {
                    open(&mut out, bank, v, 2 * from, end[n]);
                }
            }
        }
    }
    for list in out.of.iter_mut().flatten() {
        list.reverse();
    }
    out
}

/// Adds a stretch; stretches come from the end to the start of the code.
fn open(out: &mut Ranges, bank: Bank, v: u32, from: u32, to: u32) {
    let list = &mut out.of[bank as usize][v as usize];
    match list.last_mut() {
        Some(last) if last.0 <= to => last.0 = from.min(last.0),
        _ => list.push((from, to)),
    }
}
