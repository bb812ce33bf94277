//! Variables of netfilter probes: the packet, its devices, the hook, and what
//! becomes of it. Part of `bind`. Addresses are numbers, for `@cast`.

use super::bind::{untyped, Binder, Scope};
use super::bind_target::Assignment;
use super::hir::{Expr, ExprKind, Place};
use crate::diag::Span;
use crate::syntax::ast::{TargetBase, TargetVar};
use stp_vm::isa::Helper;

/// Does the variable stand in a netfilter probe?
pub(super) fn is_one(var: &TargetVar, scope: &Scope) -> bool {
    matches!(var.base, TargetBase::Name(_)) && matches!(scope.at, Some(Place::Netfilter { .. }))
}

/// Where in the arguments of a hit it is (`core/vm.h`).
fn argument(name: &str) -> Option<i64> {
    ["$skb", "$in", "$out", "$hooknum"].iter().position(|n| *n == name).map(|n| n as i64)
}

impl Binder<'_, '_> {
    pub(super) fn packet_variable(&mut self, var: &TargetVar, address: bool, span: Span) -> Expr {
        let TargetBase::Name(name) = &var.base else { return self.poison(span) };
        let (helper, args) = match (argument(name), name.as_str()) {
            _ if address || !var.path.is_empty() || var.pretty > 0 => {
                let message = format!("netfilter variable {name} is a number; the types of what it points to are had by @cast({name}, \"struct sk_buff\") or \"struct net_device\"");
                self.world.error("netfilter-variable", message, span);
                return self.poison(span);
            }
            (Some(n), _) => (Helper::ProbeArg, vec![untyped(ExprKind::Number(n), span)]),
            (None, "$verdict") => (Helper::Verdict, Vec::new()),
            _ => {
                let message = format!(
                    "unsupported context variable {name}; there are $skb, $in, $out, $hooknum and $verdict"
                );
                self.world.error("netfilter-variable", message, span);
                return self.poison(span);
            }
        };
        untyped(ExprKind::Helper { helper, args }, span)
    }

    pub(super) fn assign_packet(&mut self, set: &Assignment, scope: &mut Scope) -> Expr {
        let Assignment { var, op, value, span } = *set;
        let value = self.expr(value, scope);
        let message = match &var.base {
            TargetBase::Name(n) if n != "$verdict" || !var.path.is_empty() => {
                "only $verdict can be set in a netfilter probe"
            }
            _ if op.is_some() => "$verdict can only be set by =",
            _ if !self.context_is_guru(scope.unit) => {
                "write to netfilter verdict requires guru mode; need stap -g"
            }
            _ => return untyped(ExprKind::Helper { helper: Helper::SetVerdict, args: vec![value] }, span),
        };
        self.world.error("netfilter-verdict", message, var.span);
        self.poison(span)
    }
}
