//! Expressions: to a register (`int`, `str`), into a given one (`int_to`,
//! `str_to`), or for their effect only (`effect`). Operands are evaluated from
//! left to right. A target register is written by the last instruction only,
//! so an expression may read the variable that it is assigned to.

use super::fold;
use super::fun::{bank_of, Fun};
use super::ir::{Bank, Ins, V};
use crate::diag::Span;
use crate::types::hir::*;
use stp_vm::isa::{Op, CAP_GURU, CAP_KERNEL_READ, CAP_USER_READ};

impl Fun<'_, '_> {
    /// A register that holds the value; it may be that of a variable, so it is only read.
    pub fn int(&mut self, e: &Expr) -> V {
        if let Some(k) = fold::constant(e) {
            return self.int_const(k);
        }
        match &e.kind {
            ExprKind::Local(l) => self.local(*l).0,
            ExprKind::Assign { op, target, value } => self.assign(*op, target, value, true, e.span),
            ExprKind::IncDec { increment, prefix, target } => {
                self.inc_dec(*increment, *prefix, target, true, e.span)
            }
            _ => {
                let d = self.int_reg();
                self.int_to(e, d);
                d
            }
        }
    }

    /// A slot that holds the value; only read.
    pub fn str(&mut self, e: &Expr) -> V {
        match &e.kind {
            ExprKind::Local(l) => self.local(*l).0,
            ExprKind::Assign { op, target, value } => self.assign(*op, target, value, true, e.span),
            _ => {
                let d = self.str_reg();
                self.str_to(e, d);
                d
            }
        }
    }

    pub fn value(&mut self, e: &Expr) -> V {
        match e.ty {
            Ty::Long => self.int(e),
            Ty::Str => self.str(e),
        }
    }

    pub fn value_to(&mut self, e: &Expr, d: V) {
        match e.ty {
            Ty::Long => self.int_to(e, d),
            Ty::Str => self.str_to(e, d),
        }
    }

    /// The value in a register that no later evaluation of `rest` changes.
    pub fn value_kept(&mut self, e: &Expr, rest: &[&Expr]) -> V {
        let v = self.value(e);
        match fold::alias(e) {
            Some(l) if rest.iter().any(|r| fold::assigns(r, l)) => {
                let d = self.body.new_reg(bank_of(e.ty));
                self.move_to(e.ty, d, v);
                d
            }
            _ => v,
        }
    }

    pub fn move_to(&mut self, ty: Ty, d: V, v: V) {
        if d != v {
            self.op(if ty == Ty::Long { Op::Mov } else { Op::Smov }, d, v, 0);
        }
    }

    pub fn int_to(&mut self, e: &Expr, d: V) {
        if let Some(k) = fold::constant(e) {
            return self.load_int(d, k);
        }
        match &e.kind {
            ExprKind::Number(k) => self.load_int(d, *k),
            ExprKind::Local(_) | ExprKind::Assign { .. } | ExprKind::IncDec { .. } => {
                let v = self.int(e);
                self.move_to(Ty::Long, d, v);
            }
            ExprKind::Global(g) => {
                self.at(e.span);
                self.op_imm(Op::Gget, d, 0, g.0 as i32);
            }
            ExprKind::Element { array, keys } => self.element_to(*array, keys, Ty::Long, d, e.span),
            ExprKind::In { array, keys } => self.contains(*array, keys, d, e.span),
            ExprKind::Neg(x) => self.unary(Op::Neg, x, d),
            ExprKind::Inv(x) => self.unary(Op::Inv, x, d),
            ExprKind::Not(_) | ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, .. } => self.truth(e, d),
            ExprKind::Binary { op, lhs, rhs } => self.binary(*op, lhs, rhs, d, e),
            ExprKind::Ternary { cond, then, els } => self.ternary(cond, then, els, d),
            ExprKind::StatAdd { target, value } => {
                self.stat_add(target, value, e.span);
                self.load_int(d, 0);
            }
            ExprKind::Call { function, args } => self.call_to(*function, args, Some((Bank::Int, d)), e.span),
            ExprKind::Helper { helper, args } => self.helper_to(*helper, args, Some((Bank::Int, d)), e.span),
            ExprKind::Agg { op, stat } => self.agg_to(*op, stat, d, e.span),
            ExprKind::Bucket { stat, index } => self.bucket_to(stat, index, d, e.span),
            ExprKind::Error(_) | ExprKind::Print(_) | ExprKind::Rescue { .. } => {
                self.effect(e);
                self.load_int(d, 0);
            }
            ExprKind::Regex { subject, pattern, negated } => {
                self.regex_to(subject, pattern, *negated, d, e.span);
            }
            ExprKind::ProbeArg { n, bits, signed } => {
                self.op_imm(Op::Arg, d, 0, i32::from(*n));
                self.extend(d, *bits, *signed);
            }
            ExprKind::ReturnValue { bits, signed } => {
                self.op(Op::Retv, d, 0, 0);
                self.extend(d, *bits, *signed);
            }
            ExprKind::Address(a) => {
                let n = self.cx.pools.address(a);
                self.op_imm(Op::Ldk, d, 0, n);
            }
            // the binder has left none
            ExprKind::EntryRegister { .. } => self.load_int(d, 0),
            ExprKind::Register { n } => {
                self.at(e.span);
                self.op_imm(Op::Reg, d, 0, i32::from(*n));
            }
            ExprKind::Load { addr, offset, size, signed, space } => {
                let (base, offset) = self.address(addr, *offset);
                let op = match space {
                    Space::Kernel => Op::Ldm,
                    Space::User => Op::Ldu,
                };
                self.cx.caps |= if op == Op::Ldm { CAP_KERNEL_READ } else { CAP_USER_READ };
                let c = u32::from(*size)
                    | u32::from(*signed && *size < 8) << 4
                    | u32::from(self.cx.program.skip_badvars) << 5;
                self.at(e.span);
                self.emit(Ins { imm: offset, ..Ins::abc(op, d, base, c) });
            }
            ExprKind::BitField { value, shift, bits, signed } => {
                let v = self.int(value);
                let t = if *shift > 0 {
                    let t = self.int_reg();
                    self.op_imm(Op::Shrui, t, v, i32::from(*shift));
                    t
                } else {
                    v
                };
                match bits {
                    0 => self.load_int(d, 0),
                    64.. => self.move_to(Ty::Long, d, t),
                    n => self.op(if *signed { Op::Sext } else { Op::Zext }, d, t, u32::from(*n)),
                }
            }
            ExprKind::Store { addr, offset, size, space, value } => {
                let (base, offset) = self.address(addr, *offset);
                let v = self.int(value);
                self.cx.caps |= CAP_GURU;
                let op = match space {
                    Space::Kernel => Op::Stm,
                    Space::User => Op::Stu,
                };
                self.at(e.span);
                self.emit(Ins { imm: offset, ..Ins::abc(op, v, base, u32::from(*size)) });
                self.move_to(Ty::Long, d, v);
            }
            // Of the other type: `types` lets none of these through.
            ExprKind::String(_) | ExprKind::HistText { .. } => self.load_int(d, 0),
        }
    }

    pub fn str_to(&mut self, e: &Expr, d: V) {
        if let Some(s) = fold::text(e) {
            return self.load_str(d, &s);
        }
        match &e.kind {
            ExprKind::Local(_) | ExprKind::Assign { .. } => {
                let v = self.str(e);
                self.move_to(Ty::Str, d, v);
            }
            ExprKind::Global(g) => {
                self.at(e.span);
                self.op_imm(Op::Ggets, d, 0, g.0 as i32);
            }
            ExprKind::Element { array, keys } => self.element_to(*array, keys, Ty::Str, d, e.span),
            ExprKind::Binary { lhs, rhs, .. } => {
                let a = self.value_kept(lhs, &[rhs]);
                let b = self.str(rhs);
                self.op(Op::Scat, d, a, b);
            }
            ExprKind::Ternary { cond, then, els } => self.ternary(cond, then, els, d),
            ExprKind::Call { function, args } => self.call_to(*function, args, Some((Bank::Str, d)), e.span),
            ExprKind::Helper { helper, args } => self.helper_to(*helper, args, Some((Bank::Str, d)), e.span),
            ExprKind::HistText { stat } => self.hist_text_to(stat, d, e.span),
            ExprKind::Print(p) if p.to_string => self.sprint_to(p, d, e.span),
            ExprKind::Rescue { text, instead } => self.rescue(text, instead, d),
            _ => {
                self.effect(e);
                self.load_str(d, &Default::default());
            }
        }
    }

    /// Evaluates for the effect; what has none is left out.
    pub fn effect(&mut self, e: &Expr) {
        match &e.kind {
            _ if fold::is_pure(e) => {}
            ExprKind::Assign { op, target, value } => {
                self.assign(*op, target, value, false, e.span);
            }
            ExprKind::IncDec { increment, prefix, target } => {
                self.inc_dec(*increment, *prefix, target, false, e.span);
            }
            ExprKind::StatAdd { target, value } => self.stat_add(target, value, e.span),
            ExprKind::Call { function, args } => self.call_to(*function, args, None, e.span),
            ExprKind::Helper { helper, args } => self.helper_to(*helper, args, None, e.span),
            ExprKind::Print(p) if !p.to_string => self.print(p, e.span),
            ExprKind::Error(text) => {
                let s = self.str(text);
                self.at(e.span);
                self.op(Op::Err, s, 0, 0);
            }
            ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, .. } | ExprKind::Not(_) => {
                let end = self.label();
                self.cond(e, end, true);
                self.bind(end);
            }
            ExprKind::Ternary { cond, then, els } => {
                let (no, end) = (self.label(), self.label());
                self.cond(cond, no, false);
                self.effect(then);
                self.jump(Op::Jmp, 0, 0, end);
                self.bind(no);
                self.effect(els);
                self.bind(end);
            }
            _ => {
                self.value(e);
            }
        }
    }

    fn unary(&mut self, op: Op, x: &Expr, d: V) {
        let v = self.int(x);
        self.op(op, d, v, 0);
    }

    /// Address as register and offset that fits the instruction.
    fn address(&mut self, addr: &Expr, offset: i64) -> (V, i32) {
        let base = self.int(addr);
        match i32::try_from(offset) {
            Ok(imm) => (base, imm),
            Err(_) => {
                let (k, t) = (self.int_const(offset), self.int_reg());
                self.op(Op::Add, t, base, k);
                (t, 0)
            }
        }
    }

    fn extend(&mut self, d: V, bits: u8, signed: bool) {
        if (1..64).contains(&bits) {
            self.op(if signed { Op::Sext } else { Op::Zext }, d, d, u32::from(bits));
        }
    }

    fn ternary(&mut self, cond: &Expr, then: &Expr, els: &Expr, d: V) {
        if let Some(k) = fold::constant(cond) {
            return self.value_to(if k != 0 { then } else { els }, d);
        }
        let (no, end) = (self.label(), self.label());
        self.cond(cond, no, false);
        self.value_to(then, d);
        self.jump(Op::Jmp, 0, 0, end);
        self.bind(no);
        self.value_to(els, d);
        self.bind(end);
    }

    /// As `try` and `catch` around the one text.
    fn rescue(&mut self, text: &Expr, instead: &crate::bytes::Bytes, d: V) {
        self.caught(|s| s.str_to(text, d), None, |s| s.load_str(d, instead));
    }

    fn binary(&mut self, op: BinaryOp, lhs: &Expr, rhs: &Expr, d: V, e: &Expr) {
        if lhs.ty == Ty::Str {
            return self.compare_strings(op, lhs, rhs, d);
        }
        if let Some(k) = fold::constant(rhs) {
            if let Some((op, imm)) = with_immediate(op, k) {
                let a = self.int(lhs);
                return match (op, imm) {
                    (Op::Addi | Op::Shli | Op::Shri | Op::Shrui, 0) | (Op::Muli, 1) => {
                        self.move_to(Ty::Long, d, a);
                    }
                    _ => self.op_imm(op, d, a, imm),
                };
            }
        }
        let commutes = matches!(
            op,
            BinaryOp::Add | BinaryOp::Mul | BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor
        );
        if let (true, Some(k)) = (commutes, fold::constant(lhs)) {
            if let Some((op, imm)) = with_immediate(op, k) {
                let b = self.int(rhs);
                return self.op_imm(op, d, b, imm);
            }
        }
        let a = self.value_kept(lhs, &[rhs]);
        let b = self.int(rhs);
        self.at(e.span);
        self.arith(op, d, a, b);
    }

    /// One operation on registers.
    pub fn arith(&mut self, op: BinaryOp, d: V, a: V, b: V) {
        let (op, a, b) = match op {
            BinaryOp::Add => (Op::Add, a, b),
            BinaryOp::Sub => (Op::Sub, a, b),
            BinaryOp::Mul => (Op::Mul, a, b),
            BinaryOp::Div => (Op::Div, a, b),
            BinaryOp::Mod => (Op::Mod, a, b),
            BinaryOp::Shl => (Op::Shl, a, b),
            BinaryOp::Shr => (Op::Shr, a, b),
            BinaryOp::ShrU => (Op::Shru, a, b),
            BinaryOp::BitAnd | BinaryOp::And => (Op::And, a, b),
            BinaryOp::BitOr | BinaryOp::Or => (Op::Or, a, b),
            BinaryOp::BitXor => (Op::Xor, a, b),
            BinaryOp::Eq | BinaryOp::Concat => (Op::Eq, a, b),
            BinaryOp::Ne => (Op::Ne, a, b),
            BinaryOp::Lt => (Op::Lt, a, b),
            BinaryOp::Le => (Op::Le, a, b),
            BinaryOp::Gt => (Op::Lt, b, a),
            BinaryOp::Ge => (Op::Le, b, a),
        };
        self.op(op, d, a, b);
    }

    fn compare_strings(&mut self, op: BinaryOp, lhs: &Expr, rhs: &Expr, d: V) {
        let a = self.value_kept(lhs, &[rhs]);
        let b = self.str(rhs);
        let (op, a, b) = match op {
            BinaryOp::Ne => (Op::Sne, a, b),
            BinaryOp::Lt => (Op::Slt, a, b),
            BinaryOp::Le => (Op::Sle, a, b),
            BinaryOp::Gt => (Op::Slt, b, a),
            BinaryOp::Ge => (Op::Sle, b, a),
            _ => (Op::Seq, a, b),
        };
        self.op(op, d, a, b);
    }

    // -- assignments -------------------------------------------------------------

    /// Gives the register of the value that was stored; without meaning where `used` is false.
    pub fn assign(
        &mut self,
        op: Option<BinaryOp>,
        target: &LValue,
        value: &Expr,
        used: bool,
        span: Span,
    ) -> V {
        match target {
            LValue::Local(l) => {
                let (x, ty) = self.local(*l);
                match op {
                    None => self.value_to(value, x),
                    Some(BinaryOp::Concat) => {
                        let v = self.str(value);
                        self.op(Op::Scat, x, x, v);
                    }
                    Some(op) => self.update(op, x, x, value, span),
                }
                debug_assert_eq!(ty, value.ty);
                self.agg_forget();
                x
            }
            LValue::Global(g) => self.assign_global(*g, op, value, used, span),
            LValue::Element { array, keys } => self.assign_element(*array, keys, op, value, span),
        }
    }

    /// `d = x op value`
    pub fn update(&mut self, op: BinaryOp, d: V, x: V, value: &Expr, span: Span) {
        if let Some((op, imm)) = fold::constant(value).and_then(|k| with_immediate(op, k)) {
            return self.op_imm(op, d, x, imm);
        }
        let v = self.int(value);
        self.at(if matches!(op, BinaryOp::Div | BinaryOp::Mod) { value.span } else { span });
        self.arith(op, d, x, v);
    }

    fn assign_global(
        &mut self,
        g: GlobalId,
        op: Option<BinaryOp>,
        value: &Expr,
        used: bool,
        span: Span,
    ) -> V {
        let n = g.0 as i32;
        if self.global_ty(g) == Ty::Str {
            let v = self.str(value);
            let v = match op {
                None => v,
                Some(_) => {
                    let t = self.str_reg();
                    self.op_imm(Op::Ggets, t, 0, n);
                    self.op(Op::Scat, t, t, v);
                    t
                }
            };
            self.at(span);
            self.op_imm(Op::Gsets, v, 0, n);
            return v;
        }
        match op {
            None => {
                let v = self.int(value);
                self.at(span);
                self.op_imm(Op::Gset, v, 0, n);
                v
            }
            Some(op @ (BinaryOp::Add | BinaryOp::Sub)) if !used => {
                let delta =
                    fold::constant(value).map(|k| if op == BinaryOp::Sub { k.wrapping_neg() } else { k });
                match delta {
                    Some(k) => self.global_add(g, k),
                    None => {
                        let mut v = self.int(value);
                        if op == BinaryOp::Sub {
                            let t = self.int_reg();
                            self.op(Op::Neg, t, v, 0);
                            v = t;
                        }
                        self.at(span);
                        self.op_imm(Op::Gadd, v, 0, n);
                    }
                }
                0
            }
            Some(op) => {
                let v = fold::constant(value).is_none().then(|| self.int(value));
                let t = self.int_reg();
                let r = self.int_reg();
                self.at(span);
                self.op_imm(Op::Gget, t, 0, n);
                self.at(value.span);
                match v {
                    Some(v) => self.arith(op, r, t, v),
                    None => self.update(op, r, t, value, span),
                }
                self.op_imm(Op::Gset, r, 0, n);
                r
            }
        }
    }

    pub fn global_add(&mut self, g: GlobalId, k: i64) {
        match i8::try_from(k) {
            Ok(imm) => self.op_imm(Op::Gaddi, u32::from(imm as u8), 0, g.0 as i32),
            Err(_) => {
                let v = self.int_const(k);
                self.op_imm(Op::Gadd, v, 0, g.0 as i32);
            }
        }
    }

    pub fn inc_dec(&mut self, increment: bool, prefix: bool, target: &LValue, used: bool, span: Span) -> V {
        let k = if increment { 1 } else { -1 };
        match target {
            LValue::Local(l) => {
                let x = self.local(*l).0;
                self.agg_forget();
                if prefix || !used {
                    self.op_imm(Op::Addi, x, x, k);
                    return x;
                }
                let old = self.int_reg();
                self.op(Op::Mov, old, x, 0);
                self.op_imm(Op::Addi, x, x, k);
                old
            }
            LValue::Global(g) if !used => {
                self.at(span);
                self.global_add(*g, i64::from(k));
                0
            }
            LValue::Global(g) => {
                let (old, new) = (self.int_reg(), self.int_reg());
                self.at(span);
                self.op_imm(Op::Gget, old, 0, g.0 as i32);
                self.op_imm(Op::Addi, new, old, k);
                self.op_imm(Op::Gset, new, 0, g.0 as i32);
                if prefix {
                    new
                } else {
                    old
                }
            }
            LValue::Element { array, keys } => {
                let keys = self.keys(keys, &[]);
                let new = self.int_const(i64::from(k));
                self.at(span);
                self.keyed(Op::Madd, new, *array, keys);
                if prefix || !used {
                    return new;
                }
                let old = self.int_reg();
                self.op_imm(Op::Addi, old, new, -k);
                old
            }
        }
    }
}

/// The form of an operation that takes its right operand from the instruction.
pub fn with_immediate(op: BinaryOp, k: i64) -> Option<(Op, i32)> {
    let imm = i32::try_from(k).ok();
    Some(match op {
        BinaryOp::Add => (Op::Addi, imm?),
        BinaryOp::Sub => (Op::Addi, i32::try_from(k.checked_neg()?).ok()?),
        BinaryOp::Mul => (Op::Muli, imm?),
        BinaryOp::BitAnd => (Op::Andi, imm?),
        BinaryOp::BitOr => (Op::Ori, imm?),
        BinaryOp::BitXor => (Op::Xori, imm?),
        BinaryOp::Shl => (Op::Shli, (k & 63) as i32),
        BinaryOp::Shr => (Op::Shri, (k & 63) as i32),
        BinaryOp::ShrU => (Op::Shrui, (k & 63) as i32),
        _ => return None,
    })
}
