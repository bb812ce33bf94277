//! Going through a program of [`hir`]: the parts of an expression and of a
//! statement, in the order in which they are evaluated. Knows nothing of what
//! they mean; every pass over the typed program stands on it.

use super::hir::{Expr, ExprKind, LValue, StatRef, StatTarget, Stmt, StmtKind};

macro_rules! walker {
    ($parts:ident, $stmt_parts:ident, $lvalue:ident, $stat:ident, $target:ident, [$($m:tt)?], $iter:ident) => {
        fn $lvalue(l: &$($m)? LValue, f: &mut dyn FnMut(&$($m)? Expr)) {
            if let LValue::Element { keys, .. } = l {
                keys.$iter().for_each(f);
            }
        }
        fn $stat(s: &$($m)? StatRef, f: &mut dyn FnMut(&$($m)? Expr)) {
            if let StatRef::Element { keys, .. } = s {
                keys.$iter().for_each(f);
            }
        }
        fn $target(s: &$($m)? StatTarget, f: &mut dyn FnMut(&$($m)? Expr)) {
            if let StatTarget::Element { keys, .. } = s {
                keys.$iter().for_each(f);
            }
        }
        /// The direct parts of an expression.
        pub fn $parts(e: &$($m)? Expr, f: &mut dyn FnMut(&$($m)? Expr)) {
            match &$($m)? e.kind {
                ExprKind::Number(_)
                | ExprKind::String(_)
                | ExprKind::Local(_)
                | ExprKind::Global(_)
                | ExprKind::ProbeArg { .. }
                | ExprKind::ReturnValue { .. }
                | ExprKind::Address(_)
                | ExprKind::EntryRegister { .. }
                | ExprKind::Register { .. } => {}
                ExprKind::Element { keys, .. } => keys.$iter().for_each(f),
                ExprKind::In { keys, .. } => keys.$iter().flatten().for_each(f),
                ExprKind::Neg(a) | ExprKind::Inv(a) | ExprKind::Not(a) | ExprKind::Error(a) => f(a),
                ExprKind::Binary { lhs, rhs, .. } => {
                    f(lhs);
                    f(rhs);
                }
                ExprKind::Ternary { cond, then, els } => {
                    f(cond);
                    f(then);
                    f(els);
                }
                ExprKind::Assign { target, value, .. } => {
                    $lvalue(target, f);
                    f(value);
                }
                ExprKind::StatAdd { target, value } => {
                    $target(target, f);
                    f(value);
                }
                ExprKind::IncDec { target, .. } => $lvalue(target, f),
                ExprKind::Call { args, .. } | ExprKind::Helper { args, .. } => args.$iter().for_each(f),
                ExprKind::Agg { stat, .. } | ExprKind::HistText { stat } => $stat(stat, f),
                ExprKind::Bucket { stat, index } => {
                    $stat(stat, f);
                    f(index);
                }
                ExprKind::Print(p) => p.args.$iter().for_each(f),
                ExprKind::Regex { subject, .. } => f(subject),
                ExprKind::Load { addr, .. } => f(addr),
                ExprKind::BitField { value, .. } => f(value),
                ExprKind::Rescue { text, .. } => f(text),
                ExprKind::Store { addr, value, .. } => {
                    f(addr);
                    f(value);
                }
            }
        }
        /// The expressions of a statement, then its statements. The value of
        /// `StmtKind::Expr`, of a loop's start and of its step is not used.
        pub fn $stmt_parts(
            s: &$($m)? Stmt,
            f: &mut dyn FnMut(&$($m)? Expr),
            g: &mut dyn FnMut(&$($m)? Vec<Stmt>),
        ) {
            match &$($m)? s.kind {
                StmtKind::Break
                | StmtKind::Continue
                | StmtKind::Next
                | StmtKind::DeleteGlobal(_)
                | StmtKind::DeleteLocal(_) => {}
                StmtKind::Block(b) => g(b),
                StmtKind::Expr(e) => f(e),
                StmtKind::If { cond, then, els } => {
                    f(cond);
                    g(then);
                    g(els);
                }
                StmtKind::Loop { init, cond, step, body, .. } => {
                    init.$iter().for_each(&mut *f);
                    cond.$iter().for_each(&mut *f);
                    g(body);
                    step.$iter().for_each(f);
                }
                StmtKind::Foreach(l) => {
                    l.slice.$iter().flatten().for_each(&mut *f);
                    l.limit.$iter().for_each(f);
                    g(&$($m)? l.body);
                }
                StmtKind::ForeachBucket { stat, limit, body, .. } => {
                    $stat(stat, f);
                    limit.$iter().for_each(f);
                    g(body);
                }
                StmtKind::Return(e) => e.$iter().for_each(f),
                StmtKind::DeleteElement { keys, .. } => keys.$iter().flatten().for_each(f),
                StmtKind::Try { body, handler, .. } => {
                    g(body);
                    g(handler);
                }
            }
        }
    };
}

walker!(parts, stmt_parts, lvalue, stat, target, [], iter);
walker!(parts_mut, stmt_parts_mut, lvalue_mut, stat_mut, target_mut, [mut], iter_mut);

/// Every expression below a list of statements, outer ones first.
pub fn each_expr(body: &[Stmt], f: &mut dyn FnMut(&Expr)) {
    fn down(e: &Expr, f: &mut dyn FnMut(&Expr)) {
        f(e);
        parts(e, &mut |p| down(p, f));
    }
    for s in body {
        // Both closures need `f`, one at a time.
        let f = std::cell::RefCell::new(&mut *f);
        stmt_parts(s, &mut |e| down(e, *f.borrow_mut()), &mut |b| each_expr(b, *f.borrow_mut()));
    }
}

/// Every statement below a list, outer ones first.
pub fn each_stmt(body: &[Stmt], f: &mut dyn FnMut(&Stmt)) {
    for s in body {
        f(s);
        stmt_parts(s, &mut |_| {}, &mut |b| each_stmt(b, f));
    }
}
