//! Actions: statements, as SystemTap counts them against MAXACTION.
//!
//! A handler whose worst case is bounded is checked once: where that is more
//! than the limit it fails before its first statement, and where it is not,
//! nothing is charged. Otherwise straight stretches charge before they run
//! and loops charge one action and their first stretch for each turn, after
//! it. This file counts; `stmt` and `loops` place the charges.

use crate::types::hir::*;

/// Worst case of functions; `None`: loops or recursion.
#[derive(Debug, Default)]
pub struct Costs {
    functions: Vec<Option<u32>>,
}

impl Costs {
    pub fn of(program: &Program) -> Self {
        let mut c = Costs { functions: vec![None; program.functions.len()] };
        let mut state = vec![0u8; program.functions.len()];
        for n in 0..program.functions.len() {
            c.visit(program, n, &mut state);
        }
        c
    }

    /// Callees first; what is met again on its own path is recursive and stays `None`.
    fn visit(&mut self, program: &Program, n: usize, state: &mut [u8]) {
        if state[n] != 0 {
            return;
        }
        state[n] = 1;
        let mut calls = Vec::new();
        each_call(&program.functions[n].body, &mut |f| calls.push(f.0 as usize));
        calls.extend(program.functions[n].next_overload.map(|f| f.0 as usize));
        let mut bounded = true;
        for callee in calls {
            if callee < state.len() {
                self.visit(program, callee, state);
                bounded &= state[callee] == 2;
            }
        }
        let own = self.stmts(&program.functions[n].body);
        let next = match program.functions[n].next_overload {
            Some(f) => self.functions.get(f.0 as usize).copied().flatten(),
            None => Some(0),
        };
        self.functions[n] = own.zip(next).filter(|_| bounded).map(|(a, b)| a.saturating_add(b));
        state[n] = 2;
    }

    pub fn function(&self, f: FunctionId) -> Option<u32> {
        self.functions.get(f.0 as usize).copied().flatten()
    }

    /// Worst case of a list of statements; `None` where it has no bound.
    pub fn stmts(&self, list: &[Stmt]) -> Option<u32> {
        list.iter().try_fold(0u32, |n, s| Some(n.saturating_add(self.stmt(s)?)))
    }

    fn stmt(&self, s: &Stmt) -> Option<u32> {
        let of = |e: &Expr| self.calls_of(&[e]);
        Some(match &s.kind {
            StmtKind::Block(b) => self.stmts(b)?,
            StmtKind::Expr(e) | StmtKind::Return(Some(e)) => of(e)?.saturating_add(1),
            StmtKind::If { cond, then, els } => {
                let branches = self.stmts(then)?.max(self.stmts(els)?);
                of(cond)?.saturating_add(branches).saturating_add(1)
            }
            StmtKind::Loop { .. } | StmtKind::Foreach(_) | StmtKind::ForeachBucket { .. } => return None,
            StmtKind::Try { body, handler, .. } => {
                self.stmts(body)?.saturating_add(self.stmts(handler)?).saturating_add(1)
            }
            StmtKind::DeleteElement { keys, .. } => {
                // A slice is a loop over the array.
                if keys.iter().any(Option::is_none) && keys.iter().any(Option::is_some) {
                    return None;
                }
                self.calls_of(&keys.iter().flatten().collect::<Vec<_>>())?.saturating_add(1)
            }
            _ => 1,
        })
    }

    /// Worst case of the functions that expressions call.
    fn calls_of(&self, list: &[&Expr]) -> Option<u32> {
        let mut n = Some(0u32);
        for e in list {
            each_call_expr(e, &mut |f| n = n.zip(self.function(f)).map(|(a, b)| a.saturating_add(b)));
        }
        n
    }

    /// What a statement charges in a handler without a bound: itself and the
    /// bounded functions that it calls (the others charge for themselves), but
    /// not the branches and bodies inside of it.
    pub fn own(&self, s: &Stmt) -> u32 {
        let mut n = 0u32;
        let mut add = |e: &Expr| {
            each_call_expr(e, &mut |f| n = n.saturating_add(self.function(f).unwrap_or(0)));
        };
        match &s.kind {
            StmtKind::Block(_) => return 0,
            StmtKind::Expr(e) | StmtKind::Return(Some(e)) => add(e),
            StmtKind::If { cond, .. } => add(cond),
            StmtKind::Loop { init, .. } => {
                init.iter().for_each(&mut add);
                return n.saturating_add(1 + u32::from(init.is_some()));
            }
            StmtKind::Foreach(f) => f.slice.iter().flatten().chain(&f.limit).for_each(add),
            StmtKind::ForeachBucket { limit, .. } => limit.iter().for_each(add),
            StmtKind::DeleteElement { keys, .. } => keys.iter().flatten().for_each(add),
            _ => {}
        }
        n.saturating_add(1)
    }
}

/// Can control leave the statement other than to the one behind it?
pub fn may_jump(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Break | StmtKind::Continue | StmtKind::Next | StmtKind::Return(_) => true,
        StmtKind::Block(b) => b.iter().any(may_jump),
        StmtKind::If { then, els, .. } => then.iter().chain(els).any(may_jump),
        StmtKind::Try { body, handler, .. } => body.iter().chain(handler).any(may_jump),
        StmtKind::Loop { body, .. } | StmtKind::ForeachBucket { body, .. } => body.iter().any(may_leave),
        StmtKind::Foreach(f) => f.body.iter().any(may_leave),
        _ => false,
    }
}

/// The same for what stands in a loop, whose own `break` and `continue` stay inside.
fn may_leave(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Next | StmtKind::Return(_) => true,
        StmtKind::Block(b) => b.iter().any(may_leave),
        StmtKind::If { then, els, .. } => then.iter().chain(els).any(may_leave),
        StmtKind::Try { body, handler, .. } => body.iter().chain(handler).any(may_leave),
        StmtKind::Loop { body, .. } | StmtKind::ForeachBucket { body, .. } => body.iter().any(may_leave),
        StmtKind::Foreach(f) => f.body.iter().any(may_leave),
        _ => false,
    }
}

/// Is there a loop in it?
pub fn has_loop(s: &Stmt) -> bool {
    match &s.kind {
        StmtKind::Loop { .. } | StmtKind::Foreach(_) | StmtKind::ForeachBucket { .. } => true,
        StmtKind::Block(b) => b.iter().any(has_loop),
        StmtKind::If { then, els, .. } => then.iter().chain(els).any(has_loop),
        StmtKind::Try { body, handler, .. } => body.iter().chain(handler).any(has_loop),
        _ => false,
    }
}

/// Calls `f` for every function call in the statements.
pub fn each_call(list: &[Stmt], f: &mut dyn FnMut(FunctionId)) {
    each_expr(list, &mut |e| each_call_expr(e, f));
}

fn each_call_expr(e: &Expr, f: &mut dyn FnMut(FunctionId)) {
    each_subexpr(e, &mut |e| {
        if let ExprKind::Call { function, .. } = &e.kind {
            f(*function);
        }
    });
}

/// Calls `f` for the expressions of the statements, not for those inside of them.
pub fn each_expr(list: &[Stmt], f: &mut dyn FnMut(&Expr)) {
    for s in list {
        match &s.kind {
            StmtKind::Block(b) => each_expr(b, f),
            StmtKind::Expr(e) | StmtKind::Return(Some(e)) => f(e),
            StmtKind::If { cond, then, els } => {
                f(cond);
                each_expr(then, f);
                each_expr(els, f);
            }
            StmtKind::Loop { init, cond, step, body, .. } => {
                init.iter().chain(cond).chain(step).for_each(&mut *f);
                each_expr(body, f);
            }
            StmtKind::Foreach(x) => {
                x.slice.iter().flatten().chain(&x.limit).for_each(&mut *f);
                each_expr(&x.body, f);
            }
            StmtKind::ForeachBucket { stat, limit, body, .. } => {
                stat_keys(stat).iter().chain(limit).for_each(&mut *f);
                each_expr(body, f);
            }
            StmtKind::DeleteElement { keys, .. } => keys.iter().flatten().for_each(&mut *f),
            StmtKind::Try { body, handler, .. } => {
                each_expr(body, f);
                each_expr(handler, f);
            }
            _ => {}
        }
    }
}

fn stat_keys(s: &StatRef) -> &[Expr] {
    match s {
        StatRef::Element { keys, .. } => keys,
        _ => &[],
    }
}

/// Calls `f` for an expression and all inside of it.
pub fn each_subexpr(e: &Expr, f: &mut dyn FnMut(&Expr)) {
    f(e);
    let mut list = |l: &[Expr]| l.iter().for_each(|e| each_subexpr(e, f));
    match &e.kind {
        ExprKind::Element { keys, .. } => list(keys),
        ExprKind::In { keys, .. } => keys.iter().flatten().for_each(|e| each_subexpr(e, f)),
        ExprKind::Neg(x) | ExprKind::Inv(x) | ExprKind::Not(x) | ExprKind::Error(x) => each_subexpr(x, f),
        ExprKind::Binary { lhs, rhs, .. } => {
            each_subexpr(lhs, f);
            each_subexpr(rhs, f);
        }
        ExprKind::Ternary { cond, then, els } => {
            each_subexpr(cond, f);
            each_subexpr(then, f);
            each_subexpr(els, f);
        }
        ExprKind::Assign { target, value, .. } => {
            if let LValue::Element { keys, .. } = target {
                list(keys);
            }
            each_subexpr(value, f);
        }
        ExprKind::IncDec { target: LValue::Element { keys, .. }, .. } => list(keys),
        ExprKind::StatAdd { target, value } => {
            if let StatTarget::Element { keys, .. } = target {
                list(keys);
            }
            each_subexpr(value, f);
        }
        ExprKind::Call { args, .. } | ExprKind::Helper { args, .. } => list(args),
        ExprKind::Agg { stat, .. } | ExprKind::HistText { stat } => list(stat_keys(stat)),
        ExprKind::Bucket { stat, index } => {
            list(stat_keys(stat));
            each_subexpr(index, f);
        }
        ExprKind::Print(p) => list(&p.args),
        ExprKind::Regex { subject: x, .. }
        | ExprKind::Load { addr: x, .. }
        | ExprKind::Rescue { text: x, .. }
        | ExprKind::BitField { value: x, .. } => each_subexpr(x, f),
        ExprKind::Store { addr, value, .. } => {
            each_subexpr(addr, f);
            each_subexpr(value, f);
        }
        ExprKind::Number(_)
        | ExprKind::String(_)
        | ExprKind::Local(_)
        | ExprKind::Global(_)
        | ExprKind::IncDec { .. }
        | ExprKind::ProbeArg { .. }
        | ExprKind::ReturnValue { .. }
        | ExprKind::Address(_)
        | ExprKind::EntryRegister { .. }
        | ExprKind::Register { .. } => {}
    }
}
