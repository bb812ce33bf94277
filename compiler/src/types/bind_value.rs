//! `$value` of procfs and input probes: a text that the handler gives to a
//! reader of the file, or gets from a writer. Part of `bind`. SystemTap's words.

use super::bind::{untyped, Binder, Scope};
use super::bind_target::Assignment;
use super::hir::{BinaryOp, Expr, ExprKind, Place};
use crate::diag::Span;
use crate::resolve::points::Derived;
use crate::syntax::ast::{TargetBase, TargetVar};
use stp_vm::isa::Helper;

/// Does the variable stand in a probe whose only variable is `$value`?
pub(super) fn is_one(var: &TargetVar, scope: &Scope) -> bool {
    matches!(var.base, TargetBase::Name(_))
        && matches!(scope.at, Some(Place::Procfs { .. } | Place::Input { .. }))
}

/// Does the file's reader trigger the probe? It sets `$value`, the others read it.
fn is_read(scope: &Scope) -> bool {
    matches!(scope.at, Some(Place::Procfs { write: false, .. }))
}

impl Binder<'_, '_> {
    /// A reader gets one answer, so there is one probe for each file that is read.
    pub(super) fn one_reader(&mut self, derived: &Derived) {
        if let Place::Procfs { path, write: false, .. } = &derived.at {
            if !self.read_files.insert(path.clone()) {
                let message = format!("only one read procfs probe can exist for procfs path \"{path}\"");
                self.world.error("procfs-readers", message, derived.span);
            }
        }
    }

    pub(super) fn read_value(&mut self, var: &TargetVar, address: bool, span: Span, scope: &Scope) -> Expr {
        let message = wrong_value(var).or(match () {
            _ if address => Some("cannot take address of procfs variable"),
            _ if is_read(scope) => Some("procfs $value variable cannot be read in a procfs read probe"),
            _ => None,
        });
        if let Some(message) = message {
            self.world.error("procfs-value", message, span);
            return self.poison(span);
        }
        untyped(ExprKind::Helper { helper: Helper::Value, args: Vec::new() }, span)
    }

    pub(super) fn assign_value(&mut self, set: &Assignment, scope: &mut Scope) -> Expr {
        let Assignment { var, op, value, span } = *set;
        let message = wrong_value(var).or(match op {
            _ if !is_read(scope) => Some("procfs $value variable is read-only in a procfs write probe"),
            None | Some(BinaryOp::Concat) => None,
            Some(_) => Some("a procfs $value variable can only be set by = and .="),
        });
        let text = self.expr(value, scope);
        if let Some(message) = message {
            self.world.error("procfs-value", message, var.span);
            return self.poison(span);
        }
        let helper = if op.is_some() { Helper::AddValue } else { Helper::SetValue };
        untyped(ExprKind::Helper { helper, args: vec![text] }, span)
    }
}

/// What is wrong with the way in which `$value` is written.
fn wrong_value(var: &TargetVar) -> Option<&'static str> {
    match &var.base {
        TargetBase::Name(n) if n != "$value" => {
            Some("invalid target symbol for procfs probe, $value expected")
        }
        _ if !var.path.is_empty() => Some("procfs variable '$value' may not be used as a structure"),
        _ if var.pretty > 0 => Some("procfs variable '$value' may not be pretty-printed"),
        _ => None,
    }
}
