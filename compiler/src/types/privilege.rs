//! What `--privilege=stapusr` forbids beside probe points: memory of the
//! kernel, writing, and functions that need either (stap(1), "UNPRIVILEGED
//! USERS"). In: a bound [`Model`]. Out: diagnostics. The module checks the
//! caller again; here the script's author is told before.

use super::elide::{called_from, reachable};
use super::hir::{Expr, ExprKind, FunctionId, Piece, Space};
use super::model::Model;
use super::walk;
use crate::driver::Privilege;
use crate::resolve::world::World;
use stp_vm::isa::{CAP_GURU, CAP_KERNEL_READ, CAP_USER_READ};

/// Reports each use in code that probes can reach.
pub fn check(world: &mut World<'_>, model: &Model) {
    if world.options.privilege != Privilege::Stapusr {
        return;
    }
    let mut live: Vec<_> = reachable(model).into_iter().collect();
    live.sort_by_key(|f| f.0);
    let functions = live.iter().map(|f| &model.function(*f).body);
    let mut found = Vec::new();
    for body in model.probes.iter().map(|p| &p.body).chain(functions) {
        walk::each_expr(body, &mut |e| found.extend(forbidden(e).map(|what| (what, e.span))));
    }
    for (what, span) in found {
        let message = format!("{what} may not be used when --privilege=stapusr is specified");
        world.error("privilege", message, span);
    }
}

fn shows_kernel_memory(p: &Piece) -> bool {
    matches!(p, Piece::Conv { letter: 'm' | 'M', flags, .. } if !flags.alt)
}

/// The `CAP_*` that evaluating it takes, without what it calls.
fn own_caps(e: &Expr) -> u32 {
    match &e.kind {
        ExprKind::Helper { helper, .. } => helper.info().caps,
        ExprKind::Load { space: Space::Kernel, .. } => CAP_KERNEL_READ,
        ExprKind::Load { space: Space::User, .. } => CAP_USER_READ,
        ExprKind::Print(p) if p.pieces.iter().any(shows_kernel_memory) => CAP_KERNEL_READ,
        ExprKind::Store { .. } => CAP_GURU,
        _ => 0,
    }
}

/// The `CAP_*` that a function takes, with all that it calls.
pub fn caps(model: &Model, function: FunctionId) -> u32 {
    let mut caps = 0;
    for id in called_from(model, vec![function]) {
        walk::each_expr(&model.function(id).body, &mut |e| caps |= own_caps(e));
    }
    caps
}

fn forbidden(e: &Expr) -> Option<&'static str> {
    match &e.kind {
        ExprKind::Helper { helper, .. } if helper.info().caps & (CAP_KERNEL_READ | CAP_GURU) != 0 => {
            Some("function")
        }
        ExprKind::Load { space: Space::Kernel, .. } => Some("kernel memory"),
        // `%m` without `#`
        ExprKind::Print(p) if p.pieces.iter().any(shows_kernel_memory) => Some("kernel memory"),
        ExprKind::Store { .. } => Some("writing to memory"),
        _ => None,
    }
}
