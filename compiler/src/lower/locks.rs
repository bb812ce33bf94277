//! The lock plan: how globals are kept, and what each handler takes.
//!
//! A handler takes all that it and its callees touch, in the order of the
//! globals, by one `lock`, as late as it can: before the first touch or the
//! first thing that can't be undone (a handler that gets no lock is skipped
//! whole). Where only one branch of a filter touches anything, the other
//! takes nothing. Nothing shared: no lock.

use super::effects::{Effects, Touch, ADD, READ, WRITE};
use crate::bytecode::{Class, Lock, LockMode};
use crate::types::hir::*;

/// Does a handler of that place run seldom (or alone)?
fn seldom(at: &Place) -> bool {
    matches!(
        at,
        Place::Begin { .. } | Place::End { .. } | Place::Error { .. } | Place::Never | Place::Timer { .. }
    )
}

/// Globals that are kept per CPU: integers that the handlers which run often
/// only add to. Reads and sets elsewhere take every CPU's lock.
pub fn per_cpu(program: &Program, touches: &[Touch]) -> Vec<bool> {
    let mut often = vec![0u8; program.globals.len()];
    for (p, t) in program.probes.iter().zip(touches) {
        if !seldom(&p.at) {
            for (g, how) in &t.globals {
                often[*g as usize] |= how;
            }
        }
    }
    let only_added = |(g, how): (&Global, u8)| matches!(g.kind, GlobalKind::Long { .. }) && how == ADD;
    program.globals.iter().zip(often).map(only_added).collect()
}

/// The lock set of a handler; `touch` has the callees' and the condition's in it.
pub fn lock_set(touch: &Touch, classes: &[Class]) -> Vec<Lock> {
    touch
        .globals
        .iter()
        .map(|(g, how)| {
            let shared = !classes[*g as usize].per_cpu();
            let mode = match *how {
                READ => LockMode::Read,
                ADD if !shared => LockMode::Add,
                how if how & (WRITE | ADD) != 0 && (shared || how & WRITE != 0) => LockMode::Write,
                _ => LockMode::Read,
            };
            Lock { global: *g, mode }
        })
        .collect()
}

/// Where the `lock` of a handler goes, seen from one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// Not yet: the statement touches nothing.
    Later,
    Before,
    /// Into the branches that need it.
    Inside,
}

/// Decides for a statement of a handler that has not locked yet. `after`: is
/// anything behind it touched, wherever control goes on?
pub fn place(effects: &Effects, s: &Stmt, after: bool) -> Where {
    let touches = |list: &[Stmt]| needs_lock(&effects.of_stmts(list));
    match &s.kind {
        _ if !needs_lock(&effects.of_stmt(s)) => Where::Later,
        StmtKind::Block(_) => Where::Inside,
        StmtKind::If { cond, then, els } => {
            let leaves = |list: &[Stmt]| !touches(list) || !falls_through(list);
            if (after && !(leaves(then) && leaves(els))) || first_operand_touches(effects, cond) {
                Where::Before
            } else {
                Where::Inside
            }
        }
        _ => Where::Before,
    }
}

/// Must the lock be held for it (or, for what goes outward, be had)?
pub fn needs_lock(t: &Touch) -> bool {
    !t.globals.is_empty() || t.outward
}

/// Is the part of a condition that is always evaluated touching anything?
fn first_operand_touches(effects: &Effects, cond: &Expr) -> bool {
    match &cond.kind {
        ExprKind::Binary { op: BinaryOp::And, lhs, .. } => first_operand_touches(effects, lhs),
        _ => needs_lock(&effects.of_expr(cond)),
    }
}

/// Can control come out at the end of the list?
fn falls_through(list: &[Stmt]) -> bool {
    !list.iter().any(|s| match &s.kind {
        StmtKind::Next | StmtKind::Return(_) | StmtKind::Break | StmtKind::Continue => true,
        StmtKind::Block(b) => !falls_through(b),
        StmtKind::If { then, els, .. } => !falls_through(then) && !falls_through(els),
        StmtKind::Expr(e) => matches!(e.kind, ExprKind::Error(_)),
        _ => false,
    })
}
