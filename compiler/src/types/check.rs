//! Rules that need all bodies at once: a loop must not change the array that
//! it walks through, not even in a function that it calls; what writes to the
//! kernel is for guru mode; a condition of a probe only looks. In: a bound
//! [`Model`]. Out: diagnostics.

use super::elide::{called_from, Uses};
use super::hir::{Expr, ExprKind, FunctionId, GlobalId, StmtKind};
use super::model::Model;
use super::walk;
use crate::diag::Span;
use crate::resolve::world::World;
use std::collections::{HashMap, HashSet};
use stp_vm::isa::CAP_GURU;

/// Calls in loops whose function, or what it calls, writes the loop's array.
pub fn foreach_calls(world: &mut World<'_>, model: &Model) {
    if model.guarded_calls.is_empty() {
        return;
    }
    let mut known: HashMap<FunctionId, HashSet<GlobalId>> = HashMap::new();
    for call in &model.guarded_calls {
        let written = known.entry(call.function).or_insert_with(|| writes(model, call.function));
        for array in call.arrays.iter().filter(|a| written.contains(a)) {
            let name = &model.global(*array).name;
            let message = format!("function call modifies var '{name}' during 'foreach' iteration");
            world.error("foreach-modified", message, call.span);
        }
    }
}

/// Globals that a function, or what it calls, writes or deletes from.
fn writes(model: &Model, from: FunctionId) -> HashSet<GlobalId> {
    let mut out = HashSet::new();
    for id in called_from(model, vec![from]) {
        let f = model.function(id);
        out.extend(Uses::of(&f.body).globals_written);
        walk::each_stmt(&f.body, &mut |s| {
            if let StmtKind::DeleteGlobal(g) | StmtKind::DeleteElement { array: g, .. } = &s.kind {
                out.insert(*g);
            }
        });
    }
    out
}

/// Calls in a user's script, without `-g`, of functions that write to memory or do worse.
pub fn guru_calls(world: &mut World<'_>, model: &Model) {
    if world.options.guru {
        return;
    }
    let mut seen = HashSet::new();
    let mut known = HashMap::new();
    let mut found = Vec::new();
    let of_functions = model.functions.iter().map(|f| &f.body);
    for body in model.probes.iter().map(|p| &p.body).chain(of_functions) {
        walk::each_expr(body, &mut |e| {
            if e.span.lo < e.span.hi
                && world.map.is_user(e.span)
                && is_guru(model, e, &mut known)
                && seen.insert(e.span)
            {
                found.push(e.span);
            }
        });
    }
    for span in found {
        world.error("needs-guru", "function may not be used unless -g is specified", span);
    }
}

/// Is it a call of a guru function, directly or through functions of the library?
fn is_guru(model: &Model, e: &Expr, known: &mut HashMap<FunctionId, bool>) -> bool {
    match &e.kind {
        ExprKind::Helper { helper, .. } => helper.info().caps & CAP_GURU != 0,
        ExprKind::Call { function, .. } => *known
            .entry(*function)
            .or_insert_with(|| super::privilege::caps(model, *function) & CAP_GURU != 0),
        _ => false,
    }
}

/// What a probe's condition does and must not: it is evaluated when no handler runs.
pub fn forbidden_in_condition(e: &Expr) -> Option<(&'static str, Span)> {
    let what = match &e.kind {
        ExprKind::Assign { .. }
        | ExprKind::IncDec { .. }
        | ExprKind::StatAdd { .. }
        | ExprKind::Store { .. } => "modify any variables",
        ExprKind::Call { .. }
        | ExprKind::Helper { .. }
        | ExprKind::Error(_)
        | ExprKind::Rescue { .. }
        | ExprKind::Print(_) => "reference function",
        _ => {
            let mut found = None;
            walk::parts(e, &mut |p| found = found.or_else(|| forbidden_in_condition(p)));
            return found;
        }
    };
    Some((what, e.span))
}
