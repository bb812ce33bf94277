//! Machine words of a [`Body`]: registers put in, jumps resolved. Leaves out
//! what has become empty (moves to themselves, jumps to the next instruction)
//! and shortens jumps to jumps.

use super::ir::{Bank, Body, Ins, NONE};
use super::regalloc::Allocation;
use crate::bytecode::{Line, Try};
use stp_vm::isa::{Field, Imm, Insn, Op};

/// Code of a function, ready for the image.
#[derive(Debug, Default)]
pub struct Emitted {
    pub code: Vec<u64>,
    pub tries: Vec<Try>,
    pub lines: Vec<Line>,
    /// Per `itnew` word: the first string slot of its slice keys.
    pub slices: Vec<(u32, u8)>,
}

/// A jump goes farther than its field can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFar;

struct Emitter<'a> {
    body: &'a Body,
    places: &'a Allocation,
    /// Word of each instruction; of one that is left out, the next one's.
    at: Vec<u32>,
    gone: Vec<bool>,
    /// Ends of loops that also step their variable, in place of the `addi` before them.
    stepping: Vec<bool>,
}

/// Makes the words.
pub fn emit(body: &Body, places: &Allocation) -> Result<Emitted, TooFar> {
    let n = body.code.len();
    let mut e = Emitter { body, places, at: Vec::new(), gone: vec![false; n], stepping: vec![false; n] };
    e.fuse_steps();
    e.leave_out();
    let mut out = Emitted::default();
    let mut place = NONE;
    for (i, ins) in body.code.iter().enumerate() {
        if e.gone[i] {
            continue;
        }
        let pc = out.code.len() as u32;
        if ins.place != place {
            place = ins.place;
            out.lines.push(Line { pc, place: if place == NONE { Line::NOWHERE } else { place } });
        }
        if ins.op == Op::Itnew {
            out.slices.push((pc, if ins.ns > 0 { e.slot(ins.slice_s) } else { 0 }));
        }
        out.code.push(e.word(i, ins, pc)?);
    }
    for (from, to, catch) in &body.tries {
        let (from, to) = (e.at[*from as usize], e.at[*to as usize]);
        if from < to {
            out.tries.push(Try { from, to, target: e.target(*catch) });
        }
    }
    Ok(out)
}

impl Emitter<'_> {
    fn place(&self, bank: Bank, v: u32) -> u32 {
        match self.places.of[bank as usize].get(v as usize) {
            Some(p) if *p != NONE => *p,
            _ => 0,
        }
    }
    fn slot(&self, v: u32) -> u8 {
        self.place(Bank::Str, v) as u8
    }

    /// The instruction that a jump to `label` really arrives at.
    fn destination(&self, label: u32) -> usize {
        let mut i = self.body.labels[label as usize] as usize;
        // A chain of jumps; bounded, lest they go in a circle.
        for _ in 0..64 {
            while i + 1 < self.body.code.len() && self.gone[i] {
                i += 1;
            }
            match self.body.code[i] {
                Ins { op: Op::Jmp, label: next, .. } if self.body.labels[next as usize] as usize > i => {
                    i = self.body.labels[next as usize] as usize;
                }
                _ => break,
            }
        }
        i
    }
    fn target(&self, label: u32) -> u32 {
        self.at[self.body.labels[label as usize] as usize]
    }

    /// `addi i, i, 1` and then `looplt i, …`: one instruction.
    fn fuse_steps(&mut self) {
        for i in 1..self.body.code.len() {
            let (step, end) = (&self.body.code[i - 1], &self.body.code[i]);
            if step.op != Op::Addi || step.imm != 1 || end.op != Op::Looplt {
                continue;
            }
            let p = |v| self.place(Bank::Int, v);
            let same = p(step.a) == p(step.b) && p(step.a) == p(end.a) && p(step.a) != p(end.b);
            // Nothing may jump between the two, no try block begin or end there.
            let at = i as u32;
            let joined = !self.body.labels.contains(&at)
                && !self.body.tries.iter().any(|(from, to, _)| *from == at || *to == at);
            if same && joined {
                self.gone[i - 1] = true;
                self.stepping[i] = true;
            }
        }
    }

    fn leave_out(&mut self) {
        let code = &self.body.code;
        for (i, ins) in code.iter().enumerate() {
            let bank = match ins.op {
                Op::Mov => Bank::Int,
                Op::Smov => Bank::Str,
                _ => continue,
            };
            self.gone[i] = self.place(bank, ins.a) == self.place(bank, ins.b);
        }
        loop {
            let mut any = false;
            for (i, ins) in code.iter().enumerate() {
                if ins.op == Op::Jmp && !self.gone[i] {
                    let mut to = self.destination(ins.label);
                    while to > i + 1 && self.gone[to - 1] {
                        to -= 1;
                    }
                    if to == i + 1 {
                        self.gone[i] = true;
                        any = true;
                    }
                }
            }
            if !any {
                break;
            }
        }
        // A try block that has become empty: nothing arrives at its catch.
        for (from, to, catch) in &self.body.tries {
            if self.gone[*from as usize..*to as usize].iter().all(|gone| *gone) {
                self.gone[self.body.labels[*catch as usize] as usize] = true;
            }
        }
        let mut n = 0;
        for gone in &self.gone {
            self.at.push(n);
            n += u32::from(!gone);
        }
        self.at.push(n);
    }

    fn word(&self, i: usize, ins: &Ins, pc: u32) -> Result<u64, TooFar> {
        let op = if self.stepping[i] { Op::Inclt } else { ins.op };
        let info = op.info();
        let field = |kind: Field, v: u32| -> u8 {
            match kind {
                Field::None | Field::J | Field::K => 0,
                Field::Iw | Field::Ir | Field::Ix if v == NONE => 0,
                Field::Iw | Field::Ir | Field::Ix => self.place(Bank::Int, v) as u8,
                Field::Sw | Field::Sr | Field::Sx => self.slot(v),
                Field::Ib if ins.ni > 0 => self.place(Bank::Int, v) as u8,
                Field::Sb if ins.ns > 0 => self.slot(v),
                Field::Ib | Field::Sb => 0,
                Field::Aw | Field::Ar | Field::Tw | Field::Tr | Field::N => v as u8,
            }
        };
        let mut w = Insn {
            op,
            a: field(info.a, ins.a),
            b: field(info.b, ins.b),
            c: field(info.c, ins.c),
            imm: ins.imm,
        };
        if ins.op == Op::Jmp {
            let to = self.destination(ins.label);
            if self.body.code[to].op == Op::Ret {
                return Ok(Insn { op: Op::Ret, a: 0, b: 0, c: 0, imm: 0 }.encode());
            }
        }
        if ins.op == Op::Call {
            if let Some((_, base)) = self.places.windows.iter().find(|w| w.0 == i as u32) {
                [w.b, w.c] = *base;
            }
        }
        if ins.label != NONE {
            let back = matches!(info.imm, Imm::Bj) || info.b == Field::K;
            let to = if back { self.target(ins.label) } else { self.at[self.destination(ins.label)] };
            let distance = i64::from(to) - i64::from(pc) - 1;
            if info.b == Field::J || info.b == Field::K {
                let n = u16::try_from(distance.abs()).map_err(|_| TooFar)?;
                [w.b, w.c] = n.to_le_bytes();
            } else {
                w.imm = i32::try_from(distance).map_err(|_| TooFar)?;
            }
        }
        Ok(w.encode())
    }
}
