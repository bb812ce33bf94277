//! What a function or handler touches: globals, and the world outside. In:
//! typed statements. Out: per function and per handler the globals with how
//! they are touched, whether anything is sent out, and which functions are
//! called. `locks` makes lock sets of it, and decides which counters are kept
//! per CPU.

use crate::types::hir::*;
use std::collections::BTreeMap;

/// How a global is touched; bits.
pub const READ: u8 = 1;
pub const WRITE: u8 = 2;
/// Added to, and the sum is not looked at.
pub const ADD: u8 = 4;

/// Of a function, a handler or a part of one; without what callees do until [`Effects::close`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Touch {
    pub globals: BTreeMap<u32, u8>,
    /// Output, errors, the end of the run: what can't be undone.
    pub outward: bool,
    pub calls: Vec<u32>,
}

impl Touch {
    fn global(&mut self, g: GlobalId, how: u8) {
        *self.globals.entry(g.0).or_default() |= how;
    }
    fn merge(&mut self, other: &Touch) -> bool {
        let before =
            (self.globals.values().map(|b| u32::from(*b)).sum::<u32>(), self.globals.len(), self.outward);
        for (g, how) in &other.globals {
            *self.globals.entry(*g).or_default() |= how;
        }
        self.outward |= other.outward;
        before
            != (self.globals.values().map(|b| u32::from(*b)).sum::<u32>(), self.globals.len(), self.outward)
    }

    pub fn stmts(&mut self, list: &[Stmt]) {
        list.iter().for_each(|s| self.stmt(s));
    }

    pub fn stmt(&mut self, s: &Stmt) {
        match &s.kind {
            StmtKind::Block(b) => self.stmts(b),
            StmtKind::Expr(e) => self.unused(e),
            StmtKind::If { cond, then, els } => {
                self.expr(cond);
                self.stmts(then);
                self.stmts(els);
            }
            StmtKind::Loop { init, cond, step, body, .. } => {
                init.iter().chain(step).for_each(|e| self.unused(e));
                cond.iter().for_each(|e| self.expr(e));
                self.stmts(body);
            }
            StmtKind::Foreach(f) => {
                // A sorted walk changes the order of the array.
                self.global(f.array, if f.sort.is_some() { READ | WRITE } else { READ });
                f.slice.iter().flatten().chain(&f.limit).for_each(|e| self.expr(e));
                self.stmts(&f.body);
            }
            StmtKind::ForeachBucket { stat, limit, body, .. } => {
                self.stat(stat);
                limit.iter().for_each(|e| self.expr(e));
                self.stmts(body);
            }
            StmtKind::Return(Some(e)) => self.expr(e),
            StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Next
            | StmtKind::Return(None)
            | StmtKind::DeleteLocal(_) => {}
            StmtKind::DeleteGlobal(g) => self.global(*g, WRITE),
            StmtKind::DeleteElement { array, keys } => {
                self.global(*array, if keys.iter().all(Option::is_some) { WRITE } else { READ | WRITE });
                keys.iter().flatten().for_each(|e| self.expr(e));
            }
            StmtKind::Try { body, handler, .. } => {
                self.stmts(body);
                self.stmts(handler);
            }
        }
    }

    /// An expression whose value nobody looks at.
    pub fn unused(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::IncDec { target: LValue::Global(g), .. } => self.global(*g, ADD),
            ExprKind::Assign {
                op: Some(BinaryOp::Add | BinaryOp::Sub),
                target: LValue::Global(g),
                value,
            } => {
                self.global(*g, ADD);
                self.expr(value);
            }
            ExprKind::Assign { op: None, target: LValue::Global(g), value } => {
                self.global(*g, WRITE);
                self.expr(value);
            }
            _ => self.expr(e),
        }
    }

    pub fn expr(&mut self, e: &Expr) {
        match &e.kind {
            ExprKind::Number(_)
            | ExprKind::String(_)
            | ExprKind::Local(_)
            | ExprKind::ProbeArg { .. }
            | ExprKind::ReturnValue { .. }
            | ExprKind::Address(_)
            | ExprKind::EntryRegister { .. }
            | ExprKind::Register { .. } => {}
            ExprKind::Global(g) => self.global(*g, READ),
            ExprKind::Element { array, keys } => {
                self.global(*array, READ);
                keys.iter().for_each(|k| self.expr(k));
            }
            ExprKind::In { array, keys } => {
                self.global(*array, READ);
                keys.iter().flatten().for_each(|k| self.expr(k));
            }
            ExprKind::Neg(x) | ExprKind::Inv(x) | ExprKind::Not(x) => self.expr(x),
            ExprKind::Binary { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            ExprKind::Ternary { cond, then, els } => {
                self.expr(cond);
                self.expr(then);
                self.expr(els);
            }
            ExprKind::Assign { op, target, value } => {
                self.lvalue(target, if op.is_some() { READ | WRITE } else { WRITE });
                self.expr(value);
            }
            ExprKind::IncDec { target, .. } => self.lvalue(target, READ | WRITE),
            ExprKind::StatAdd { target, value } => {
                match target {
                    StatTarget::Scalar(g) => self.global(*g, ADD),
                    StatTarget::Element { array, keys } => {
                        self.global(*array, ADD);
                        keys.iter().for_each(|k| self.expr(k));
                    }
                }
                self.expr(value);
            }
            ExprKind::Call { function, args } => {
                self.calls.push(function.0);
                args.iter().for_each(|a| self.expr(a));
            }
            ExprKind::Helper { helper, args } => {
                self.outward |= !helper.info().pure;
                args.iter().for_each(|a| self.expr(a));
            }
            ExprKind::Agg { stat, .. } | ExprKind::HistText { stat } => self.stat(stat),
            ExprKind::Bucket { stat, index } => {
                self.stat(stat);
                self.expr(index);
            }
            ExprKind::Error(x) => {
                self.outward = true;
                self.expr(x);
            }
            ExprKind::Print(p) => {
                self.outward |= !p.to_string;
                p.args.iter().for_each(|a| self.expr(a));
            }
            ExprKind::Regex { subject, .. } => self.expr(subject),
            ExprKind::Load { addr, .. } => self.expr(addr),
            ExprKind::BitField { value, .. } => self.expr(value),
            ExprKind::Rescue { text, .. } => self.expr(text),
            ExprKind::Store { addr, value, .. } => {
                self.outward = true;
                self.expr(addr);
                self.expr(value);
            }
        }
    }

    fn lvalue(&mut self, l: &LValue, how: u8) {
        match l {
            LValue::Local(_) => {}
            LValue::Global(g) => self.global(*g, how),
            LValue::Element { array, keys } => {
                self.global(*array, how);
                keys.iter().for_each(|k| self.expr(k));
            }
        }
    }

    fn stat(&mut self, s: &StatRef) {
        match s {
            StatRef::Scalar(g) | StatRef::Current { array: g, .. } => self.global(*g, READ),
            StatRef::Element { array, keys } => {
                self.global(*array, READ);
                keys.iter().for_each(|k| self.expr(k));
            }
        }
    }
}

/// Effects of all functions, callees included.
#[derive(Debug, Default)]
pub struct Effects {
    pub functions: Vec<Touch>,
}

impl Effects {
    pub fn of(program: &Program) -> Self {
        let mut functions: Vec<Touch> = program
            .functions
            .iter()
            .map(|f| {
                let mut t = Touch::default();
                t.stmts(&f.body);
                // An overload that says `next` goes on in the next one.
                t.calls.extend(f.next_overload.map(|n| n.0));
                // So does one that runs out of overloads: it raises an error.
                t.calls.sort_unstable();
                t.calls.dedup();
                t
            })
            .collect();
        let mut changed = true;
        while changed {
            changed = false;
            for n in 0..functions.len() {
                for k in 0..functions[n].calls.len() {
                    let callee = functions[n].calls[k] as usize;
                    if callee != n && callee < functions.len() {
                        let from = functions[callee].clone();
                        changed |= functions[n].merge(&from);
                    }
                }
            }
        }
        Self { functions }
    }

    /// Adds what the callees do.
    pub fn close(&self, mut t: Touch) -> Touch {
        for c in std::mem::take(&mut t.calls) {
            if let Some(f) = self.functions.get(c as usize) {
                t.merge(f);
            }
        }
        t
    }
    pub fn of_stmts(&self, list: &[Stmt]) -> Touch {
        let mut t = Touch::default();
        t.stmts(list);
        self.close(t)
    }
    pub fn of_expr(&self, e: &Expr) -> Touch {
        let mut t = Touch::default();
        t.expr(e);
        self.close(t)
    }
    pub fn of_stmt(&self, s: &Stmt) -> Touch {
        let mut t = Touch::default();
        t.stmt(s);
        self.close(t)
    }
}
