//! `for`, `while`, `do`. A loop charges at its end, for the turn that was
//! made: one action, and the first stretch of its body where no other loop
//! stands in that. A comparison at the end is one instruction with the charge
//! and the jump.

use super::cond::swapped;
use super::fold;
use super::fun::{Fun, LoopLabels};
use super::ir::{Ins, NONE, V};
use crate::types::hir::*;
use stp_vm::isa::Op;

/// Most actions that a loop's own instruction can charge.
const LOOP_CHARGE_MAX: u32 = 255;

/// An operand of the comparison that closes a loop.
#[derive(Clone, Copy)]
enum Side {
    Reg(V),
    Const(i64),
}

impl Fun<'_, '_> {
    pub fn any_loop(
        &mut self,
        init: Option<&Expr>,
        cond: Option<&Expr>,
        step: Option<&Expr>,
        body: &[Stmt],
        test_last: bool,
    ) {
        if let Some(e) = init {
            self.at(e.span);
            self.effect(e);
        }
        let cond = match cond.map(|c| (c, fold::constant(c))) {
            None => None,
            Some((_, Some(k))) if k != 0 => None,
            Some((_, Some(_))) if !test_last => return,
            Some((c, _)) => Some(c),
        };
        let (cont, end) = (self.label(), self.label());
        // `a < b` with operands that are at hand: tested before the loop and at its end.
        let fused = cond.and_then(|c| self.fusable(c));
        let place = self.place;
        let first = init.zip(cond).and_then(|(i, c)| first_test(i, c));
        if let (Some(c), Some(_), false) = (cond, fused, test_last || first == Some(true)) {
            self.at(c.span);
            self.cond(c, end, false);
        }
        let fused = fused.map(|(a, b)| (self.side(a), self.side(b)));
        let top = self.bind_top();
        if let (Some(c), None, false) = (cond, fused, test_last) {
            self.at(c.span);
            self.cond(c, end, false);
            self.place = place;
        }
        let charge = self.turn(body, LoopLabels { brk: end, cont });
        self.bind(cont);
        self.agg_statement();
        if let Some(e) = step {
            // Errors of the limit name the last statement, not the step.
            let place = self.place;
            self.effect(e);
            self.place = place;
        }
        match (cond, fused) {
            (_, Some((a, b))) => self.emit(Ins { c: charge, ..Ins::jump(Op::Looplt, a, b, top) }),
            (Some(c), None) if test_last => {
                self.cond(c, end, false);
                self.close_loop(top, charge);
            }
            _ => self.close_loop(top, charge),
        }
        self.bind(end);
    }

    /// The jump back.
    pub fn close_loop(&mut self, top: u32, charge: u32) {
        self.emit(Ins::jump(Op::Loop, charge, 0, top));
    }

    /// The body of a loop. Gives what the instruction at its end charges.
    pub fn turn(&mut self, body: &[Stmt], labels: LoopLabels) -> u32 {
        let n = self.stretch(body);
        let at_end = !Self::stretch_loops(body) && n < LOOP_CHARGE_MAX;
        if !at_end {
            self.charge(n);
        }
        self.loops.push(labels);
        let (agg_base, agg_next) = (self.agg_base, self.agg_next);
        self.stmts(body, true, true);
        (self.agg_base, self.agg_next) = (agg_base, agg_next);
        self.loops.pop();
        if at_end {
            1 + n
        } else {
            1
        }
    }

    /// `a < b` or what can be written so, of variables and constants.
    fn fusable(&self, c: &Expr) -> Option<(Side, Side)> {
        let ExprKind::Binary { op, lhs, rhs } = &c.kind else { return None };
        if lhs.ty != Ty::Long {
            return None;
        }
        let (a, b) = (self.plain(lhs)?, self.plain(rhs)?);
        let (op, a, b) = match op {
            BinaryOp::Gt | BinaryOp::Ge => (swapped(*op), b, a),
            op => (*op, a, b),
        };
        match (op, a, b) {
            (BinaryOp::Lt, _, _) => Some((a, b)),
            (BinaryOp::Le, _, Side::Const(k)) => Some((a, Side::Const(k.checked_add(1)?))),
            (BinaryOp::Le, Side::Const(k), _) => Some((Side::Const(k.checked_sub(1)?), b)),
            _ => None,
        }
    }

    fn plain(&self, e: &Expr) -> Option<Side> {
        if let Some(k) = fold::constant(e) {
            return Some(Side::Const(k));
        }
        match &e.kind {
            ExprKind::Local(l) => Some(Side::Reg(self.local(*l).0)),
            _ => None,
        }
    }

    fn side(&mut self, s: Side) -> V {
        match s {
            Side::Reg(v) => v,
            Side::Const(k) => {
                let v = self.int_const(k);
                debug_assert_ne!(v, NONE);
                v
            }
        }
    }
}

/// What the condition says right after the initialisation, where that is
/// known: `for (i = 0; i < 10; …)`.
fn first_test(init: &Expr, cond: &Expr) -> Option<bool> {
    let ExprKind::Assign { op: None, target: LValue::Local(l), value } = &init.kind else { return None };
    let ExprKind::Binary { op, lhs, rhs } = &cond.kind else { return None };
    let value = fold::constant(value)?;
    let known = |e: &Expr| match &e.kind {
        ExprKind::Local(x) if x == l => Some(value),
        _ => fold::constant(e),
    };
    fold::binary(*op, known(lhs)?, known(rhs)?).map(|k| k != 0)
}
