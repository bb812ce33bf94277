//! Instructions over virtual registers: what the statements are lowered to
//! before `regalloc` gives registers and `emit` makes machine words.
//!
//! Integers and strings have a numbering each (a [`Bank`]). An argument list
//! (`Ib`, `Sb` of `ops.def`) is a run of virtual registers with consecutive
//! numbers, which `regalloc` keeps together.

use stp_vm::isa::{flag, Field, Op, HELPERS};

/// A virtual register, a label, or another small number of an instruction.
pub type V = u32;
/// No register, no label, no place.
pub const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bank {
    Int = 0,
    Str = 1,
}

pub const BANKS: [Bank; 2] = [Bank::Int, Bank::Str];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ins {
    pub op: Op,
    /// Virtual registers or numbers, as the opcode's row says.
    pub a: u32,
    pub b: u32,
    pub c: u32,
    pub imm: i32,
    /// Where it jumps.
    pub label: u32,
    /// Lengths of the lists that start at the integer and the string list field.
    pub ni: u8,
    pub ns: u8,
    /// `call`: the bank of the result, which is left at the start of the list.
    pub result: Option<Bank>,
    /// `itnew`: first string of the slice keys; `itnext` looks at them again.
    pub slice_s: u32,
    /// Index into the places, or [`NONE`].
    pub place: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Use,
    Def,
}

impl Ins {
    pub fn new(op: Op) -> Self {
        Self {
            op,
            a: 0,
            b: 0,
            c: 0,
            imm: 0,
            label: NONE,
            ni: 0,
            ns: 0,
            result: None,
            slice_s: 0,
            place: NONE,
        }
    }
    pub fn abc(op: Op, a: u32, b: u32, c: u32) -> Self {
        Self { a, b, c, ..Self::new(op) }
    }
    pub fn abi(op: Op, a: u32, b: u32, imm: i32) -> Self {
        Self { a, b, imm, ..Self::new(op) }
    }
    pub fn jump(op: Op, a: u32, b: u32, label: u32) -> Self {
        Self { a, b, label, ..Self::new(op) }
    }

    /// First register of the integer list.
    pub fn int_list(&self) -> u32 {
        match self.op {
            Op::Itnew => self.c,
            _ => self.b,
        }
    }
    /// First slot of the string list.
    pub fn str_list(&self) -> u32 {
        match self.op {
            Op::Itnew | Op::Itnext => self.slice_s,
            _ => self.c,
        }
    }
    pub fn list(&self, bank: Bank) -> (u32, u8) {
        match bank {
            Bank::Int => (self.int_list(), self.ni),
            Bank::Str => (self.str_list(), self.ns),
        }
    }

    /// Calls `f` for each register that it reads or writes; reads first.
    pub fn operands(&self, mut f: impl FnMut(Bank, V, Access)) {
        let info = self.op.info();
        let fields = [(info.a, self.a), (info.b, self.b), (info.c, self.c)];
        for (kind, v) in fields {
            match kind {
                Field::Ir | Field::Ix if v != NONE => f(Bank::Int, v, Access::Use),
                Field::Sr | Field::Sx if v != NONE => f(Bank::Str, v, Access::Use),
                _ => {}
            }
        }
        // `ret` has its result as a list of one.
        for bank in BANKS {
            let (first, n) = self.list(bank);
            for k in 0..u32::from(n) {
                f(bank, first + k, Access::Use);
            }
        }
        for (kind, v) in fields {
            match kind {
                Field::Iw | Field::Ix => f(Bank::Int, v, Access::Def),
                Field::Sw | Field::Sx => f(Bank::Str, v, Access::Def),
                _ => {}
            }
        }
        if let Some(bank) = self.result {
            f(bank, self.list(bank).0, Access::Def);
        }
    }

    /// May it be left out when nobody reads what it writes?
    pub fn removable(&self) -> bool {
        match self.op {
            Op::Helpi | Op::Helps => HELPERS.get(self.imm as usize).is_some_and(|h| h.pure && !h.may_fail),
            Op::Catch | Op::Lock | Op::Unlock | Op::Call => false,
            op => {
                op.info().flags & (flag::F | flag::J | flag::B | flag::E | flag::W | flag::C | flag::O) == 0
                    && matches!(op.info().a, Field::Iw | Field::Sw)
            }
        }
    }
    /// Does the path end here?
    pub fn ends(&self) -> bool {
        self.op.info().flags & flag::E != 0
    }
    /// May it raise an error that a `catch` takes?
    pub fn fails(&self) -> bool {
        self.op.info().flags & flag::F != 0
    }
}

/// A function or handler while it is being made.
#[derive(Debug, Default)]
pub struct Body {
    pub code: Vec<Ins>,
    /// Virtual registers of each bank.
    pub count: [u32; 2],
    /// Instruction that each label stands before; [`NONE`] while it is not bound.
    pub labels: Vec<u32>,
    /// Registers with a fixed place: parameters and the result.
    pub pinned: Vec<(Bank, V, u8)>,
    /// Parameters have a value from the start.
    pub params: Vec<(Bank, V)>,
    /// Code range and label of each catch block, innermost first.
    pub tries: Vec<(u32, u32, u32)>,
    pub naggs: u8,
    pub niters: u8,
}

impl Body {
    pub fn new_reg(&mut self, bank: Bank) -> V {
        self.count[bank as usize] += 1;
        self.count[bank as usize] - 1
    }
    /// `n` registers with consecutive numbers.
    pub fn new_run(&mut self, bank: Bank, n: u8) -> V {
        self.count[bank as usize] += u32::from(n);
        self.count[bank as usize] - u32::from(n)
    }
    pub fn new_label(&mut self) -> u32 {
        self.labels.push(NONE);
        self.labels.len() as u32 - 1
    }
    /// Puts instructions before all others.
    pub fn prepend(&mut self, first: Vec<Ins>) {
        let n = first.len() as u32;
        self.code.splice(0..0, first);
        for l in &mut self.labels {
            if *l != NONE {
                *l += n;
            }
        }
        for (from, to, _) in &mut self.tries {
            *from += n;
            *to += n;
        }
    }
}
