//! C types of what scripts keep in their own variables, so that `->` and
//! `[]` may stand behind them (stap(1), TYPECASTING). Part of `bind`.
//!
//! In: assignments, calls, returns and loops as they are bound. Out: for an
//! expression the type of the pointer that it is, if that is known. Types flow
//! from target variables, `@cast`, `@var` and the functions that give the
//! current task to locals, globals, elements and keys of arrays, parameters and
//! results. The first type that reaches a variable stays.
//!
//! A use may be bound before the assignment that tells its type. Then all is
//! bound once more with what was found, until nothing is found any more
//! (`types::analyze`). A script without such a use is bound once, and nothing
//! is noted.

use super::bind::{Binder, Scope};
use super::hir::{Expr, ExprKind, GlobalId, LValue, LocalId, Ty};
use super::model::FunctionSource;
use crate::resolve::target_api::{Access, PlaceContext, TargetPlace};
use crate::resolve::world::UnitId;
use crate::syntax::ast::{self, PathStep, TargetBase, TargetVar};
use std::collections::HashMap;
use stp_vm::isa::Helper;

/// How deep expressions are looked into.
const MAX_DEPTH: u32 = 40;

/// The type of a pointer, as `@cast` takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pointee {
    pub ty: String,
    pub module: Option<String>,
    /// The place whose types know it.
    pub at: Option<TargetPlace>,
}

/// The body that a local belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Handlers, in the order in which they are bound.
    Probe(usize),
    Function(FunctionSource),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Local(Owner, String),
    /// A global, or the elements of an array.
    Global(UnitId, String),
    Key(UnitId, String, usize),
    Result(FunctionSource),
}

/// What is known of the script's variables.
#[derive(Debug, Default)]
pub struct Flow {
    known: HashMap<Holder, Pointee>,
    /// Types are noted: somebody asked for one.
    on: bool,
    grew: bool,
    /// A type was asked for and not known.
    missing: bool,
}

impl Flow {
    /// What the next round starts from, if it may know more than this one.
    pub fn next_round(self) -> Option<Flow> {
        (self.missing && (self.grew || !self.on)).then_some(Flow {
            known: self.known,
            on: true,
            ..Flow::default()
        })
    }
}

impl Binder<'_, '_> {
    fn note(&mut self, holder: Holder, ty: Pointee) {
        if let std::collections::hash_map::Entry::Vacant(v) = self.flow.known.entry(holder) {
            v.insert(ty);
            self.flow.grew = true;
        }
    }

    fn local_holder(&self, l: LocalId, scope: &Scope) -> Holder {
        Holder::Local(scope.owner.clone(), scope.locals[l.0 as usize].name.clone())
    }

    fn global_holder(&self, g: GlobalId) -> Holder {
        let info = self.model.global(g);
        Holder::Global(info.unit, info.name.clone())
    }

    fn key_holder(&self, g: GlobalId, n: usize) -> Holder {
        let info = self.model.global(g);
        Holder::Key(info.unit, info.name.clone(), n)
    }

    /// `target = value` is bound; `left` is the target as written.
    pub(super) fn note_assignment(
        &mut self,
        target: &LValue,
        left: &ast::Expr,
        value: &ast::Expr,
        scope: &mut Scope,
    ) {
        if !self.flow.on {
            return;
        }
        if let (LValue::Element { array, .. }, ast::ExprKind::Index { keys, .. }) = (target, &left.kind) {
            for (n, key) in keys.iter().enumerate() {
                if let Some(ty) = key.as_ref().and_then(|k| self.pointee(k, scope, MAX_DEPTH)) {
                    self.note(self.key_holder(*array, n), ty);
                }
            }
        }
        let Some(ty) = self.pointee(value, scope, MAX_DEPTH) else { return };
        let holder = match target {
            LValue::Local(l) => self.local_holder(*l, scope),
            LValue::Global(g) | LValue::Element { array: g, .. } => self.global_holder(*g),
        };
        self.note(holder, ty);
    }

    pub(super) fn note_return(&mut self, value: &ast::Expr, scope: &mut Scope) {
        let Owner::Function(source) = scope.owner.clone() else { return };
        if self.flow.on {
            if let Some(ty) = self.pointee(value, scope, MAX_DEPTH) {
                self.note(Holder::Result(source), ty);
            }
        }
    }

    pub(super) fn note_call(
        &mut self,
        function: super::hir::FunctionId,
        args: &[ast::Expr],
        scope: &mut Scope,
    ) {
        if !self.flow.on {
            return;
        }
        for (n, arg) in args.iter().enumerate() {
            let Some(ty) = self.pointee(arg, scope, MAX_DEPTH) else { continue };
            let info = self.model.function(function);
            let holder = Holder::Local(Owner::Function(info.source.clone()), info.locals[n].name.clone());
            self.note(holder, ty);
        }
    }

    /// A loop sets a variable to the elements (`key`: to the keys of that number) of an array.
    pub(super) fn note_loop(&mut self, array: GlobalId, key: Option<usize>, name: &str, scope: &Scope) {
        if !self.flow.on {
            return;
        }
        let from = match key {
            Some(n) => self.key_holder(array, n),
            None => self.global_holder(array),
        };
        let Some(ty) = self.flow.known.get(&from).cloned() else { return };
        let to = match (scope.names.contains_key(name), self.global(name, scope)) {
            (false, Some(g)) => self.global_holder(g),
            _ => Holder::Local(scope.owner.clone(), name.to_string()),
        };
        self.note(to, ty);
    }

    /// The same variable with its type spelled out, where it is `(…)->field`.
    pub(super) fn cast_of(
        &mut self,
        var: &TargetVar,
        scope: &mut Scope,
    ) -> Option<(TargetVar, Option<TargetPlace>)> {
        let TargetBase::Auto(value) = &var.base else { return None };
        let Some(p) = self.pointee(value, scope, MAX_DEPTH) else {
            self.flow.missing = true;
            return None;
        };
        let base = TargetBase::Cast { value: value.clone(), ty: p.ty, module: p.module };
        Some((TargetVar { base, ..var.clone() }, p.at))
    }

    /// `name[index]` where the name is a local that holds a pointer.
    pub(super) fn indexed_pointer(
        &mut self,
        base: &ast::Expr,
        keys: &[Option<ast::Expr>],
        span: crate::diag::Span,
        scope: &Scope,
    ) -> Option<TargetVar> {
        let (ast::ExprKind::Name(name), [Some(index)]) = (&base.kind, keys) else { return None };
        scope.names.contains_key(name).then(|| TargetVar {
            base: TargetBase::Auto(Box::new(base.clone())),
            path: vec![PathStep::Element(index.clone())],
            pretty: 0,
            span,
        })
    }

    /// The type of the pointer that an expression is.
    fn pointee(&mut self, e: &ast::Expr, scope: &mut Scope, depth: u32) -> Option<Pointee> {
        let depth = depth.checked_sub(1)?;
        match &e.kind {
            ast::ExprKind::Target(var) => self.type_of(var, false, scope, depth),
            ast::ExprKind::AddressOf(var) => self.type_of(var, true, scope, depth),
            ast::ExprKind::Name(name) => {
                let holder = if scope.names.contains_key(name) {
                    Holder::Local(scope.owner.clone(), name.clone())
                } else {
                    let g = self.global(name, scope)?;
                    self.global_holder(g)
                };
                self.flow.known.get(&holder).cloned()
            }
            ast::ExprKind::Index { base, keys } => {
                if let Some(var) = self.indexed_pointer(base, keys, e.span, scope) {
                    return self.type_of(&var, false, scope, depth);
                }
                let ast::ExprKind::Name(name) = &base.kind else { return None };
                let g = self.global(name, scope)?;
                self.flow.known.get(&self.global_holder(g)).cloned()
            }
            ast::ExprKind::Call { name, args } => {
                match self.first_candidate(&name.name, args.len(), scope.unit)? {
                    FunctionSource::Helper(Helper::TaskCurrent | Helper::Pid2task) => Some(Pointee {
                        ty: "struct task_struct".into(),
                        module: Some("kernel".into()),
                        at: None,
                    }),
                    source => self.flow.known.get(&Holder::Result(source)).cloned(),
                }
            }
            ast::ExprKind::Ternary { then, els, .. } | ast::ExprKind::ChooseDefined(then, els) => {
                self.pointee(then, scope, depth).or_else(|| self.pointee(els, scope, depth))
            }
            ast::ExprKind::Assign { op: None, value, .. } => self.pointee(value, scope, depth),
            ast::ExprKind::Entry(inner) => {
                let entry = scope.target.as_ref()?.entry.as_deref().cloned();
                let was = std::mem::replace(&mut scope.target, entry);
                let found = self.pointee(inner, scope, depth);
                scope.target = was;
                found
            }
            _ => None,
        }
    }

    fn type_of(&mut self, var: &TargetVar, address: bool, scope: &mut Scope, depth: u32) -> Option<Pointee> {
        if var.pretty > 0 || matches!(&var.base, TargetBase::Name(n) if n.starts_with("$$")) {
            return None;
        }
        let mut at = scope.target.clone();
        let mut typed = None;
        if let TargetBase::Auto(value) = &var.base {
            let p = self.pointee(value, scope, depth)?;
            if var.path.is_empty() && !address {
                return Some(p);
            }
            at = p.at;
            let base = TargetBase::Cast { value: value.clone(), ty: p.ty, module: p.module };
            typed = Some(TargetVar { base, ..var.clone() });
        }
        let var = typed.as_ref().unwrap_or(var);
        let module = match &var.base {
            TargetBase::Cast { module, .. } => module.clone(),
            _ => None,
        };
        // which number it is does not change the type
        let operands = usize::from(matches!(var.base, TargetBase::Cast { .. }))
            + var.path.iter().filter(|s| matches!(s, PathStep::Element(_))).count();
        let zero = Expr { kind: ExprKind::Number(0), ty: Ty::Long, span: var.span };
        let context = PlaceContext { at: at.as_ref(), guru: false };
        let answer = self
            .world
            .target
            .variable(context, var, &vec![zero; operands], Access::TypeOf { address })
            .ok()?;
        let ExprKind::String(ty) = answer.kind else { return None };
        let ty = String::from_utf8(ty.as_ref().to_vec()).ok()?;
        Some(Pointee { ty, module, at })
    }
}
