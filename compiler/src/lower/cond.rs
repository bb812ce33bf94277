//! Conditions: compare and branch in one instruction, `&&` and `||` as jumps.

use super::fold;
use super::fun::Fun;
use super::ir::V;
use super::locks;
use crate::types::hir::*;
use stp_vm::isa::Op;

impl Fun<'_, '_> {
    /// Jumps to `to` when the truth of `e` is `when`; else goes on.
    pub fn cond(&mut self, e: &Expr, to: u32, when: bool) {
        if let Some(k) = fold::constant(e) {
            if (k != 0) == when {
                self.jump(Op::Jmp, 0, 0, to);
            }
            return;
        }
        match &e.kind {
            ExprKind::Not(x) => self.cond(x, to, !when),
            ExprKind::Binary { op: op @ (BinaryOp::And | BinaryOp::Or), lhs, rhs } => {
                let both = *op == BinaryOp::And;
                if both != when {
                    // The first operand can decide for the jump.
                    self.cond(lhs, to, when);
                    self.lock_for(rhs);
                    self.cond(rhs, to, when);
                } else {
                    let skip = self.label();
                    self.cond(lhs, skip, !when);
                    self.lock_for(rhs);
                    self.cond(rhs, to, when);
                    self.bind(skip);
                }
            }
            ExprKind::Binary { op, lhs, rhs } if is_comparison(*op) && lhs.ty == Ty::Long => {
                self.branch_ints(*op, lhs, rhs, to, when);
            }
            ExprKind::Binary { op: op @ (BinaryOp::Eq | BinaryOp::Ne), lhs, rhs } if lhs.ty == Ty::Str => {
                let a = self.value_kept(lhs, &[rhs]);
                let b = self.str(rhs);
                let equal = (*op == BinaryOp::Eq) == when;
                self.jump(if equal { Op::Jseq } else { Op::Jsne }, a, b, to);
            }
            _ => {
                let v = self.int(e);
                self.jump_imm(if when { Op::Jnei } else { Op::Jeqi }, v, 0, to);
            }
        }
    }

    /// A lock that was put off until the second operand of `&&` or `||`.
    fn lock_for(&mut self, rhs: &Expr) {
        if self.lock_pending && locks::needs_lock(&self.cx.effects.of_expr(rhs)) {
            self.lock_now();
        }
    }

    fn branch_ints(&mut self, op: BinaryOp, lhs: &Expr, rhs: &Expr, to: u32, when: bool) {
        let op = if when { op } else { opposite(op) };
        if let Some((j, imm)) = fold::constant(rhs).and_then(|k| jump_with(op, k)) {
            let a = self.int(lhs);
            return self.jump_imm(j, a, imm, to);
        }
        if let Some((j, imm)) = fold::constant(lhs).and_then(|k| jump_with(swapped(op), k)) {
            let b = self.int(rhs);
            return self.jump_imm(j, b, imm, to);
        }
        let a = self.value_kept(lhs, &[rhs]);
        let b = self.int(rhs);
        self.branch(op, a, b, to);
    }

    /// Jumps when `a op b` holds.
    pub fn branch(&mut self, op: BinaryOp, a: V, b: V, to: u32) {
        let (j, a, b) = match op {
            BinaryOp::Ne => (Op::Jne, a, b),
            BinaryOp::Lt => (Op::Jlt, a, b),
            BinaryOp::Le => (Op::Jle, a, b),
            BinaryOp::Gt => (Op::Jlt, b, a),
            BinaryOp::Ge => (Op::Jle, b, a),
            _ => (Op::Jeq, a, b),
        };
        self.jump(j, a, b, to);
    }

    /// The truth of a condition as 0 or 1.
    pub fn truth(&mut self, e: &Expr, d: V) {
        if let ExprKind::Not(x) = &e.kind {
            // Of a comparison: the opposite one.
            if let ExprKind::Binary { op, lhs, rhs } = &x.kind {
                if is_comparison(*op) && lhs.ty == Ty::Long {
                    let a = self.value_kept(lhs, &[rhs]);
                    let b = self.int(rhs);
                    return self.arith(opposite(*op), d, a, b);
                }
            }
        }
        let (no, end) = (self.label(), self.label());
        self.cond(e, no, false);
        self.load_int(d, 1);
        self.jump(Op::Jmp, 0, 0, end);
        self.bind(no);
        self.load_int(d, 0);
        self.bind(end);
    }
}

pub fn is_comparison(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge)
}

/// The comparison that holds when `op` does not.
fn opposite(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Eq => BinaryOp::Ne,
        BinaryOp::Ne => BinaryOp::Eq,
        BinaryOp::Lt => BinaryOp::Ge,
        BinaryOp::Le => BinaryOp::Gt,
        BinaryOp::Gt => BinaryOp::Le,
        BinaryOp::Ge => BinaryOp::Lt,
        op => op,
    }
}

/// The comparison with the operands in the other order.
pub fn swapped(op: BinaryOp) -> BinaryOp {
    match op {
        BinaryOp::Lt => BinaryOp::Gt,
        BinaryOp::Le => BinaryOp::Ge,
        BinaryOp::Gt => BinaryOp::Lt,
        BinaryOp::Ge => BinaryOp::Le,
        op => op,
    }
}

/// Jump on comparing a register with a number.
fn jump_with(op: BinaryOp, k: i64) -> Option<(Op, i32)> {
    let imm = i32::try_from(k).ok()?;
    Some(match op {
        BinaryOp::Eq => (Op::Jeqi, imm),
        BinaryOp::Ne => (Op::Jnei, imm),
        BinaryOp::Lt => (Op::Jlti, imm),
        BinaryOp::Le => (Op::Jlei, imm),
        BinaryOp::Gt => (Op::Jgti, imm),
        BinaryOp::Ge => (Op::Jgei, imm),
        _ => return None,
    })
}
