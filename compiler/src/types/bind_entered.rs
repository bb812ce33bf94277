//! Registers as they were when the function around a probe's place was entered
//! (`DW_OP_entry_value`). In: expressions of the target with such registers in
//! them. Out: locals in their place, statements that fetch them when the handler
//! begins, and one probe at the entry of each function that keeps them.
//!
//! What is kept goes by thread and canonical frame address, which is the same all
//! through a call and that of no other call under way: nothing has to be counted
//! or thrown away when the function returns. The arrays wrap. A handler whose
//! call was entered before the probes were armed has nothing to say and is left,
//! as that of a return probe with `@entry` is.

use super::bind::{untyped, Binder, Scope};
use super::hir::{Expr, ExprKind, GlobalId, LValue, LocalId, Stmt, StmtKind};
use super::model::ProbeInfo;
use super::walk;
use crate::diag::Span;
use crate::resolve::points::Derived;
use crate::resolve::target_api::TargetPlace;
use crate::resolve::target_var::ARGUMENTS;
use stp_vm::isa::Helper;

/// A function at whose entry registers are kept.
pub struct Keeper {
    entry: TargetPlace,
    cfa: Expr,
    /// The first probe that asked.
    derived: Derived,
    /// Registers and where they are kept.
    kept: Vec<(u8, GlobalId)>,
}

impl Binder<'_, '_> {
    /// Puts locals in the place of registers at the entry.
    pub(super) fn entered(&mut self, e: &mut Expr, scope: &mut Scope) {
        if let ExprKind::EntryRegister { n } = e.kind {
            let known = scope.entered.iter().find(|(r, _)| *r == n).map(|(_, l)| *l);
            let local = known.unwrap_or_else(|| {
                let l = self.temporary("__entered", e.span, scope);
                scope.entered.push((n, l));
                l
            });
            e.kind = ExprKind::Local(local);
        }
        walk::parts_mut(e, &mut |p| self.entered(p, scope));
    }

    /// The statements that fetch what was kept for the call that a handler runs in.
    pub(super) fn entered_values(
        &mut self,
        derived: &Derived,
        entered: Vec<(u8, LocalId)>,
        scope: &mut Scope,
    ) -> Vec<Stmt> {
        let span = derived.span;
        let frame = derived.target.as_ref().and_then(|t| self.world.target.frame(t, span));
        let Some(frame) = frame else { return Vec::new() };
        let known = self.keepers.iter().position(|k| k.entry.place == frame.entry.place);
        let keeper = known.unwrap_or_else(|| {
            let (entry, cfa) = (frame.entry, frame.cfa_at_entry);
            self.keepers.push(Keeper { entry, cfa, derived: derived.clone(), kept: Vec::new() });
            self.keepers.len() - 1
        });
        let at = self.temporary("__frame", span, scope);
        let mut fetch = vec![set(at, frame.cfa, span)];
        for (n, into) in entered {
            let known = self.keepers[keeper].kept.iter().find(|(r, _)| *r == n).map(|(_, a)| *a);
            let array = known.unwrap_or_else(|| {
                let array = self.hidden_array(&format!("__entered_{keeper}_{n}"), 2, span, derived.unit);
                self.model.globals[array.0 as usize].wrap = true;
                self.keepers[keeper].kept.push((n, array));
                array
            });
            let cond = untyped(ExprKind::In { array, keys: key(at, span).map(Some).into() }, span);
            let next = Stmt { kind: StmtKind::Next, span };
            fetch.push(Stmt { kind: StmtKind::If { cond, then: Vec::new(), els: vec![next] }, span });
            fetch.push(set(
                into,
                untyped(ExprKind::Element { array, keys: key(at, span).into() }, span),
                span,
            ));
        }
        fetch
    }

    /// The probes at the entries of functions.
    pub(super) fn keep_entered(&mut self) {
        for k in std::mem::take(&mut self.keepers) {
            let span = k.derived.span;
            let mut scope = Scope::at(k.derived.unit, Some(k.entry.clone()));
            let at = self.temporary("__frame", span, &mut scope);
            let mut body = vec![set(at, k.cfa, span)];
            for (n, array) in k.kept {
                let value = match ARGUMENTS.iter().position(|a| *a == n) {
                    Some(n) => ExprKind::ProbeArg { n: n as u8, bits: 64, signed: false },
                    None => ExprKind::Register { n },
                };
                // a new entry each time, so that a full array drops the call that was entered first
                let keys = key(at, span).map(Some).into();
                body.push(Stmt { kind: StmtKind::DeleteElement { array, keys }, span });
                let target = LValue::Element { array, keys: key(at, span).into() };
                let value = Box::new(untyped(value, span));
                let kind = ExprKind::Assign { op: None, target, value };
                body.push(Stmt { kind: StmtKind::Expr(untyped(kind, span)), span });
            }
            let derived = Derived {
                at: k.entry.place.clone(),
                pp: k.entry.pp.clone(),
                pn: k.entry.pp.clone(),
                target: Some(k.entry),
                pieces: Vec::new(),
                conditions: Vec::new(),
                ..k.derived
            };
            self.model.probes.push(ProbeInfo { derived, locals: scope.locals, body, condition: None });
        }
    }
}

/// The thread, and the call.
fn key(frame: LocalId, span: Span) -> [Expr; 2] {
    let tid = untyped(ExprKind::Helper { helper: Helper::Tid, args: Vec::new() }, span);
    [untyped(ExprKind::Local(frame), span), tid]
}

fn set(l: LocalId, value: Expr, span: Span) -> Stmt {
    let kind = ExprKind::Assign { op: None, target: LValue::Local(l), value: Box::new(value) };
    Stmt { kind: StmtKind::Expr(untyped(kind, span)), span }
}
