//! Arrays: keys, reading, writing, `in`, `delete`.

use super::fold;
use super::fun::{bank_of, Fun};
use super::ir::{Bank, Ins, V};
use crate::bytecode::{Class, Iter, IterSort, ValueType};
use crate::diag::Span;
use crate::types::hir::*;
use stp_vm::isa::Op;

/// Argument lists: first register and length per bank.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lists {
    pub first: [V; 2],
    pub len: [u8; 2],
}

impl Fun<'_, '_> {
    /// Evaluates a list of expressions into argument lists. `later` is what
    /// the same instruction evaluates afterwards.
    pub fn list(&mut self, exprs: &[&Expr], later: &[&Expr]) -> Lists {
        let mut l = Lists::default();
        for e in exprs {
            l.len[bank_of(e.ty) as usize] += 1;
        }
        let mut next = [0u32; 2];
        for bank in [Bank::Int, Bank::Str] {
            if l.len[bank as usize] > 1 {
                l.first[bank as usize] = self.body.new_run(bank, l.len[bank as usize]);
                next[bank as usize] = l.first[bank as usize];
            }
        }
        for (i, e) in exprs.iter().enumerate() {
            let bank = bank_of(e.ty) as usize;
            if l.len[bank] > 1 {
                self.value_to(e, next[bank]);
                next[bank] += 1;
            } else {
                // A list of one may be the variable itself.
                let rest: Vec<&Expr> = exprs[i + 1..].iter().chain(later).copied().collect();
                l.first[bank] = self.value_kept(e, &rest);
            }
        }
        l
    }

    pub fn keys(&mut self, keys: &[Expr], later: &[&Expr]) -> Lists {
        self.list(&keys.iter().collect::<Vec<_>>(), later)
    }

    /// An instruction on an element; `a` is its value.
    pub fn keyed(&mut self, op: Op, a: V, array: GlobalId, keys: Lists) {
        self.emit(Ins {
            imm: array.0 as i32,
            ni: keys.len[0],
            ns: keys.len[1],
            ..Ins::abc(op, a, keys.first[0], keys.first[1])
        });
    }

    pub fn element_to(&mut self, array: GlobalId, keys: &[Expr], ty: Ty, d: V, span: Span) {
        if let Some(it) = self.walked(array, keys) {
            self.at(span);
            return self.op(if ty == Ty::Long { Op::Itval } else { Op::Itvals }, d, u32::from(it), 0);
        }
        let keys = self.keys(keys, &[]);
        self.at(span);
        self.keyed(if ty == Ty::Long { Op::Mget } else { Op::Mgets }, d, array, keys);
    }

    pub fn assign_element(
        &mut self,
        array: GlobalId,
        keys: &[Expr],
        op: Option<BinaryOp>,
        value: &Expr,
        span: Span,
    ) -> V {
        let keys = self.keys(keys, &[value]);
        if self.value_ty(array) == Some(Ty::Str) {
            let v = self.str(value);
            let v = match op {
                None => v,
                Some(_) => {
                    let t = self.str_reg();
                    self.keyed(Op::Mgets, t, array, keys);
                    self.op(Op::Scat, t, t, v);
                    t
                }
            };
            self.at(span);
            self.keyed(Op::Msets, v, array, keys);
            return v;
        }
        match op {
            None => {
                let v = self.int(value);
                self.at(span);
                self.keyed(Op::Mset, v, array, keys);
                v
            }
            Some(op @ (BinaryOp::Add | BinaryOp::Sub)) => {
                // `madd` leaves the sum in the register: never the variable's own.
                let v = self.int_reg();
                match (op, fold::constant(value)) {
                    (BinaryOp::Sub, Some(k)) => self.load_int(v, k.wrapping_neg()),
                    (BinaryOp::Sub, None) => {
                        let x = self.int(value);
                        self.op(Op::Neg, v, x, 0);
                    }
                    _ => self.int_to(value, v),
                }
                self.at(span);
                self.keyed(Op::Madd, v, array, keys);
                v
            }
            Some(op) => {
                let v = fold::constant(value).is_none().then(|| self.int(value));
                let (t, r) = (self.int_reg(), self.int_reg());
                self.at(span);
                self.keyed(Op::Mget, t, array, keys);
                self.at(value.span);
                match v {
                    Some(v) => self.arith(op, r, t, v),
                    None => self.update(op, r, t, value, span),
                }
                self.at(span);
                self.keyed(Op::Mset, r, array, keys);
                r
            }
        }
    }

    /// `[keys] in array`; a key that is `None` may be anything.
    pub fn contains(&mut self, array: GlobalId, keys: &[Option<Expr>], d: V, span: Span) {
        if keys.iter().all(Option::is_some) {
            let keys = self.list(&keys.iter().flatten().collect::<Vec<_>>(), &[]);
            self.at(span);
            return self.keyed(Op::Mhas, d, array, keys);
        }
        let found = self.int_reg();
        let slice = self.slice(keys, &[]);
        self.load_int(found, 0);
        let it = self.iterator(span);
        self.at(span);
        self.walk(it, array, slice_mask(keys), slice, IterSort::Insertion, false, None);
        let end = self.label();
        self.step(it, slice, end);
        self.load_int(found, 1);
        self.bind(end);
        self.iter_depth -= 1;
        self.move_to(Ty::Long, d, found);
    }

    /// Starts an iterator.
    #[allow(clippy::too_many_arguments)]
    pub fn walk(
        &mut self,
        it: u8,
        array: GlobalId,
        slice: u16,
        keys: Lists,
        sort: IterSort,
        descending: bool,
        limit: Option<V>,
    ) {
        // The string slot of the slice is put in when registers are known.
        let spec = Iter { map: array.0, sort, descending, limited: limit.is_some(), slice, slice_s: 0 };
        let imm = self.cx.pools.iterator(&spec);
        self.emit(Ins {
            imm,
            ni: keys.len[0],
            ns: keys.len[1],
            slice_s: keys.first[1],
            ..Ins::abc(Op::Itnew, u32::from(it), limit.unwrap_or(super::ir::NONE), keys.first[0])
        });
    }

    /// Keys of a slice. The machine looks at the strings of them in each turn,
    /// so they are never a variable's own slot.
    pub fn slice(&mut self, keys: &[Option<Expr>], later: &[&Expr]) -> Lists {
        let given: Vec<&Expr> = keys.iter().flatten().collect();
        let mut l = self.list(&given, later);
        if l.len[Bank::Str as usize] == 1 && given.iter().any(|e| e.ty == Ty::Str && fold::alias(e).is_some())
        {
            let own = self.str_reg();
            self.move_to(Ty::Str, own, l.first[Bank::Str as usize]);
            l.first[Bank::Str as usize] = own;
        }
        l
    }

    /// Steps on, or leaves the loop. `slice`: the keys that the walk began with.
    pub fn step(&mut self, it: u8, slice: Lists, end: u32) {
        let (ns, slice_s) = (slice.len[Bank::Str as usize], slice.first[Bank::Str as usize]);
        self.emit(Ins { ns, slice_s, ..Ins::jump(Op::Itnext, u32::from(it), 0, end) });
    }

    pub fn delete_global(&mut self, g: GlobalId, span: Span) {
        self.at(span);
        let n = g.0 as i32;
        match self.cx.classes[g.0 as usize] {
            Class::Int { .. } | Class::PerCpu { .. } => {
                let v = self.int_const(0);
                self.op_imm(Op::Gset, v, 0, n);
            }
            Class::Str { .. } => {
                let v = self.str_reg();
                self.load_str(v, &Default::default());
                self.op_imm(Op::Gsets, v, 0, n);
            }
            Class::Stat { .. } => self.op_imm(Op::Sclr, 0, 0, n),
            Class::Map { .. } | Class::StatMap { .. } => self.op_imm(Op::Mclr, 0, 0, n),
        }
    }

    pub fn delete_element(&mut self, array: GlobalId, keys: &[Option<Expr>], span: Span) {
        if keys.iter().all(Option::is_none) {
            return self.delete_global(array, span);
        }
        if keys.iter().all(Option::is_some) {
            let keys = self.list(&keys.iter().flatten().collect::<Vec<_>>(), &[]);
            self.at(span);
            return self.keyed(Op::Mdel, 0, array, keys);
        }
        // A slice: every entry that it holds. The machine lets the entry at
        // which an iterator stands be deleted.
        let slice = self.slice(keys, &[]);
        let it = self.iterator(span);
        self.at(span);
        self.walk(it, array, slice_mask(keys), slice, IterSort::Insertion, false, None);
        let (top, end) = (self.bind_top(), self.label());
        self.step(it, slice, end);
        let types: Vec<ValueType> = self.cx.classes[array.0 as usize].keys().to_vec();
        let mut l = Lists::default();
        for t in &types {
            l.len[*t as usize] += 1;
        }
        for bank in [Bank::Int, Bank::Str] {
            l.first[bank as usize] = self.body.new_run(bank, l.len[bank as usize]);
        }
        let mut next = l.first;
        for (k, t) in types.iter().enumerate() {
            let op = if *t == ValueType::Int { Op::Itkey } else { Op::Itkeys };
            self.op(op, next[*t as usize], u32::from(it), k as u32);
            next[*t as usize] += 1;
        }
        self.keyed(Op::Mdel, 0, array, l);
        self.emit(Ins { a: 1, ..Ins::jump(Op::Loop, 1, 0, top) });
        self.bind(end);
        self.iter_depth -= 1;
    }
}

/// Bit n: key n is given.
pub fn slice_mask(keys: &[Option<Expr>]) -> u16 {
    keys.iter().enumerate().filter(|(_, k)| k.is_some()).fold(0, |m, (i, _)| m | 1 << i)
}
