//! Calls of functions and helpers. A function's arguments are evaluated right
//! into the window that becomes its frame.

use super::fun::{bank_of, Fun};
use super::ir::{Bank, Ins, V};
use crate::diag::Span;
use crate::types::hir::*;
use stp_vm::isa::{Helper, Op, Ret};

impl Fun<'_, '_> {
    /// Calls a function; its result goes to `d`, of the bank given with it.
    pub fn call_to(&mut self, f: FunctionId, args: &[Expr], d: Option<(Bank, V)>, span: Span) {
        let callee = &self.cx.program.functions[f.0 as usize];
        let result = callee.ret.map(bank_of);
        let mut len = [0u8; 2];
        for a in args {
            len[bank_of(a.ty) as usize] += 1;
        }
        let mut first = [0; 2];
        for bank in [Bank::Int, Bank::Str] {
            let room = len[bank as usize].max(u8::from(result == Some(bank)));
            first[bank as usize] = self.body.new_run(bank, room);
        }
        let mut next = first;
        for a in args {
            let bank = bank_of(a.ty) as usize;
            self.value_to(a, next[bank]);
            next[bank] += 1;
        }
        self.at(span);
        self.emit(Ins {
            imm: f.0 as i32,
            ni: len[0],
            ns: len[1],
            result,
            ..Ins::abc(Op::Call, 0, first[0], first[1])
        });
        self.agg_forget();
        match (d, result) {
            (Some((want, d)), Some(bank)) if want == bank => {
                let ty = if bank == Bank::Int { Ty::Long } else { Ty::Str };
                self.move_to(ty, d, first[bank as usize]);
            }
            (Some((want, d)), _) => self.nothing(want, d),
            (None, _) => {}
        }
    }

    /// The value of what has none.
    pub fn nothing(&mut self, bank: Bank, d: V) {
        match bank {
            Bank::Int => self.load_int(d, 0),
            Bank::Str => self.load_str(d, &Default::default()),
        }
    }

    pub fn helper_to(&mut self, h: Helper, args: &[Expr], d: Option<(Bank, V)>, span: Span) {
        let info = h.info();
        self.cx.caps |= info.caps;
        let l = self.list(&args.iter().collect::<Vec<_>>(), &[]);
        let (op, bank) = match info.ret {
            Ret::I => (Op::Helpi, Some(Bank::Int)),
            Ret::S => (Op::Helps, Some(Bank::Str)),
            Ret::V => (Op::Helpv, None),
        };
        let a = match (bank, d) {
            (None, _) => 0,
            (Some(bank), Some((want, d))) if bank == want => d,
            (Some(bank), _) => self.body.new_reg(bank),
        };
        self.at(span);
        self.emit(Ins {
            imm: h as i32,
            ni: l.len[0],
            ns: l.len[1],
            ..Ins::abc(op, a, l.first[0], l.first[1])
        });
        match d {
            Some((want, d)) if bank != Some(want) => self.nothing(want, d),
            _ => {}
        }
    }
}
