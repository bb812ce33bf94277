//! The worst case of a probe, told before it is armed. In: an image. Out: for
//! each function without loops and recursion, what it can do at most. Every
//! instruction of such code runs once at most, so it is counted once: an upper
//! bound, not the longest path. Whether the code is sound is the verifier's affair.

use super::image::{Class, Conversion, FormatItem, Hist, Image, Number};
use super::signature::format_window;
use stp_vm::isa::{flag, Helper, Imm, Insn, Op};

/// Upper bounds for one run of a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worst {
    pub instructions: u64,
    /// Look-ups, insertions and deletions in maps.
    pub map_operations: u64,
    /// Bytes of records in the output ring, without what an error adds.
    pub output: u64,
    /// Bytes of registers and string slots, its own and of what it calls.
    pub scratch: u64,
}

/// Bytes of a record's head; records are multiples of it.
const HEAD: u64 = 16;
/// Pieces in which a speculation of 8192 bytes is committed (`core/spec.c`).
const COMMIT: u64 = 4 * (2048 + 2 * HEAD);

impl Image {
    /// The worst case of each function; `None` where something repeats.
    pub fn worst_cases(&self) -> Vec<Option<Worst>> {
        let mut state = vec![State::New; self.functions.len()];
        (0..state.len()).for_each(|n| self.visit(n, &mut state));
        let done = |s| match s {
            State::Done(w) => w,
            State::New | State::Open => None,
        };
        state.into_iter().map(done).collect()
    }

    /// Callees first; what is met again on its own path is recursive.
    fn visit(&self, n: usize, state: &mut [State]) {
        if !matches!(state[n], State::New) {
            return;
        }
        state[n] = State::Open;
        let f = &self.functions[n];
        let mut w = Some(Worst { scratch: self.frame(n), ..Worst::default() });
        let mut deepest = 0;
        for insn in f.insns() {
            let Some(insn) = insn.filter(|i| i.op.info().flags & flag::B == 0) else {
                w = None;
                break;
            };
            let Some(sum) = &mut w else { break };
            sum.instructions = sum.instructions.saturating_add(1);
            sum.map_operations =
                sum.map_operations.saturating_add(u64::from(matches!(insn.op.info().imm, Imm::M | Imm::Ms)));
            sum.output = sum.output.saturating_add(self.output_of(insn));
            if insn.op != Op::Call {
                continue;
            }
            let to = insn.imm as usize;
            if to < state.len() {
                self.visit(to, state);
            }
            let Some(State::Done(Some(callee))) = state.get(to) else {
                w = None;
                break;
            };
            sum.instructions = sum.instructions.saturating_add(callee.instructions);
            sum.map_operations = sum.map_operations.saturating_add(callee.map_operations);
            sum.output = sum.output.saturating_add(callee.output);
            deepest = deepest.max(callee.scratch);
        }
        if let Some(sum) = &mut w {
            sum.scratch = sum.scratch.saturating_add(deepest);
        }
        state[n] = State::Done(w);
    }

    /// Bytes of a string at most, without a terminator.
    fn string(&self) -> u64 {
        (self.limits.maxstringlen.max(1) - 1) as u64
    }

    fn frame(&self, n: usize) -> u64 {
        let f = &self.functions[n];
        u64::from(f.nregs) * 8 + u64::from(f.nstrs) * (self.string() + 1).next_multiple_of(8)
    }

    fn output_of(&self, insn: Insn) -> u64 {
        let blob = 4 + self.string().next_multiple_of(4);
        let text = record(8 + self.string() + 1);
        match insn.op {
            Op::Print => {
                let Some(items) = self.formats.get(insn.imm as usize) else { return 0 };
                let w = format_window(items);
                let dumps = items.iter().map(|i| dump(i, self.string())).sum::<u64>();
                record(8 + 8 * u64::from(w.ints) + blob * u64::from(w.strs) + dumps)
            }
            Op::Prhist => {
                let buckets = match self.globals.get(insn.imm as usize).map(|g| &g.class) {
                    Some(Class::Stat { hist, .. } | Class::StatMap { hist, .. }) => match hist {
                        Hist::None => 0,
                        _ => 128,
                    },
                    _ => 0,
                };
                record(8 + 48 + 8 * buckets)
            }
            Op::Helpv | Op::Helpi | Op::Helps => match insn.imm {
                h if h == Helper::Log as i32 || h == Helper::Warn as i32 => text,
                h if h == Helper::Commit as i32 => COMMIT,
                h if h == Helper::Exit as i32 || h == Helper::Abort as i32 => record(8),
                _ => 0,
            },
            _ => 0,
        }
    }
}

#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    Done(Option<Worst>),
}

/// A record with a body of so many bytes.
fn record(body: u64) -> u64 {
    HEAD + body.next_multiple_of(HEAD)
}

/// Bytes that `%m` and `%M` add to a record.
fn dump(item: &FormatItem, string: u64) -> u64 {
    match item {
        FormatItem::Value { conv: Conversion::Memory | Conversion::MemoryHex, precision, .. } => {
            let bytes = match precision {
                Number::None => 1,
                Number::Fixed(n) => (*n).max(0) as u64,
                Number::Dynamic => string,
            };
            4 + bytes.min(string).next_multiple_of(4)
        }
        _ => 0,
    }
}
