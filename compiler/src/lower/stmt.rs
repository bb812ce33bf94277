//! Statements, `try`, and where charges and the lock stand between them.

use super::cost::{has_loop, may_jump};
use super::fold;
use super::fun::{Fun, LoopLabels, Next};
use super::ir::{Bank, Ins};
use super::locks::{self, Where};
use crate::types::hir::*;
use stp_vm::isa::Op;

impl Fun<'_, '_> {
    /// Statements in a row. `charged`: the first stretch (up to the first
    /// statement that may jump away) is paid for. `after`: is anything behind
    /// the list touched that needs the lock?
    pub fn stmts(&mut self, list: &[Stmt], mut charged: bool, after: bool) {
        for (i, s) in list.iter().enumerate() {
            if !self.reachable {
                return;
            }
            if !charged {
                let n = self.stretch(&list[i..]);
                self.charge(n);
                charged = true;
            }
            let mut rest = after;
            if self.lock_pending {
                rest |= locks::needs_lock(&self.cx.effects.of_stmts(&list[i + 1..]));
                if locks::place(&self.cx.effects, s, rest) == Where::Before {
                    self.lock_now();
                }
            }
            self.stmt(s, rest);
            if self.charging && may_jump(s) {
                charged = false;
            }
        }
    }

    /// What the first stretch of a list charges.
    pub fn stretch(&self, list: &[Stmt]) -> u32 {
        let mut n = 0u32;
        if !self.charging {
            return 0;
        }
        for s in list {
            n = n.saturating_add(match &s.kind {
                StmtKind::Block(b) => self.stretch(b),
                StmtKind::If { then, els, .. } => {
                    self.cx.costs.own(s).saturating_add(self.stretch(then).min(self.stretch(els)))
                }
                _ => self.cx.costs.own(s),
            });
            if may_jump(s) {
                break;
            }
        }
        n
    }

    /// Has the first stretch of a list a loop in it?
    pub fn stretch_loops(list: &[Stmt]) -> bool {
        let n = list.iter().position(may_jump).map_or(list.len(), |n| n + 1);
        list[..n].iter().any(has_loop)
    }

    fn stmt(&mut self, s: &Stmt, after: bool) {
        self.agg_statement();
        match &s.kind {
            StmtKind::Block(b) => self.stmts(b, true, after),
            StmtKind::Expr(e) => {
                self.at(e.span);
                self.effect(e);
                // Errors of the limit name the statement by its first word.
                self.at(s.span);
            }
            StmtKind::If { cond, then, els } => self.if_else(cond, then, els, after),
            StmtKind::Loop { init, cond, step, body, test_last } => {
                self.at(s.span);
                self.any_loop(init.as_ref(), cond.as_ref(), step.as_ref(), body, *test_last);
            }
            StmtKind::Foreach(f) => self.foreach(f, s.span),
            StmtKind::ForeachBucket { bucket, value, stat, limit, sort, body } => {
                self.foreach_bucket((*bucket, *value), stat, limit.as_ref(), *sort, body, s.span);
            }
            StmtKind::Break => {
                if let Some(LoopLabels { brk, .. }) = self.loops.last().copied() {
                    self.jump(Op::Jmp, 0, 0, brk);
                }
            }
            StmtKind::Continue => {
                if let Some(LoopLabels { cont, .. }) = self.loops.last().copied() {
                    self.jump(Op::Jmp, 0, 0, cont);
                }
            }
            StmtKind::Next => {
                self.at(s.span);
                match self.next {
                    Next::Leave => self.emit(Ins::new(Op::Ret)),
                    Next::Label(l) => self.jump(Op::Jmp, 0, 0, l),
                }
            }
            StmtKind::Return(value) => {
                self.at(s.span);
                self.ret(value.as_ref());
            }
            StmtKind::DeleteGlobal(g) => self.delete_global(*g, s.span),
            StmtKind::DeleteElement { array, keys } => self.delete_element(*array, keys, s.span),
            StmtKind::DeleteLocal(l) => {
                let (v, ty) = self.local(*l);
                match ty {
                    Ty::Long => self.load_int(v, 0),
                    Ty::Str => self.load_str(v, &Default::default()),
                }
            }
            StmtKind::Try { body, var, handler } => self.try_catch(body, *var, handler),
        }
    }

    fn if_else(&mut self, cond: &Expr, then: &[Stmt], els: &[Stmt], after: bool) {
        let paid = self.stretch(then).min(self.stretch(els));
        let branch = |me: &mut Self, list: &[Stmt]| {
            let n = me.stretch(list) - paid;
            me.charge(n);
            me.stmts(list, true, after);
        };
        if let Some(k) = fold::constant(cond) {
            return branch(self, if k != 0 { then } else { els });
        }
        if then.is_empty() && els.is_empty() {
            return self.effect(cond);
        }
        let pending = self.lock_pending;
        let end = self.label();
        if then.is_empty() {
            self.cond(cond, end, true);
            // An operand of the condition may have locked, but not on every path to here.
            self.lock_pending = pending;
            branch(self, els);
        } else if els.is_empty() {
            self.cond(cond, end, false);
            branch(self, then);
        } else {
            let no = self.label();
            self.cond(cond, no, false);
            branch(self, then);
            self.jump(Op::Jmp, 0, 0, end);
            self.bind(no);
            // On this path nothing has locked yet.
            self.lock_pending = pending;
            branch(self, els);
        }
        self.bind(end);
        // Some path may have come without it: a second `lock` does nothing where it is held.
        self.lock_pending = pending;
    }

    /// Leaves the function with a result.
    pub fn ret(&mut self, value: Option<&Expr>) {
        match (value, self.ret) {
            (Some(e), Some((bank, r))) => {
                let v = self.value(e);
                self.move_to(if bank == Bank::Int { Ty::Long } else { Ty::Str }, r, v);
            }
            (Some(e), None) => self.effect(e),
            (None, Some((bank, r))) => self.nothing(bank, r),
            (None, None) => {}
        }
        let mut ins = Ins::new(Op::Ret);
        match self.ret {
            Some((Bank::Int, r)) => (ins.b, ins.ni) = (r, 1),
            Some((Bank::Str, r)) => (ins.c, ins.ns) = (r, 1),
            None => {}
        }
        self.emit(ins);
    }

    fn try_catch(&mut self, body: &[Stmt], var: Option<LocalId>, handler: &[Stmt]) {
        let tried = |s: &mut Self| {
            let (agg_base, iter_depth) = (s.agg_base, s.iter_depth);
            s.stmts(body, false, true);
            (s.agg_base, s.iter_depth) = (agg_base, iter_depth);
        };
        self.caught(tried, var, |s| s.stmts(handler, false, true));
    }

    /// Code, and what runs where it fails, with the message in `var`; nothing of that if it can't.
    pub fn caught(
        &mut self,
        tried: impl FnOnce(&mut Self),
        var: Option<LocalId>,
        handler: impl FnOnce(&mut Self),
    ) {
        let (catch, end) = (self.label(), self.label());
        let from = self.body.code.len() as u32;
        tried(self);
        let to = self.body.code.len() as u32;
        if !self.body.code[from as usize..].iter().any(Ins::fails) {
            return;
        }
        self.jump(Op::Jmp, 0, 0, end);
        self.body.tries.push((from, to, catch));
        self.bind(catch);
        self.reachable = true;
        let message = match var {
            Some(l) => self.local(l).0,
            None => self.str_reg(),
        };
        self.op(Op::Catch, message, 0, 0);
        handler(self);
        self.bind(end);
    }
}
