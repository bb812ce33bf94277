//! Calls: which functions a name may mean, and which of them is tried first.
//! Part of `bind`.

use super::bind::{untyped, Binder, Scope};
use super::hir::{Expr, ExprKind, FunctionId, LocalId};
use super::model::{FunctionInfo, FunctionSource, LocalInfo};
use super::table::Type;
use crate::diag::{Diagnostic, Span, Stage};
use crate::resolve::names::{similar, similar_note};
use crate::resolve::world::UnitId;
use crate::syntax::ast;
use stp_vm::isa::{Helper, Ret, HELPERS};

/// What a call calls.
enum Callee {
    Script(FunctionId),
    Helper(Helper),
    /// `error()`
    Error,
}

impl Binder<'_, '_> {
    pub(super) fn call(&mut self, name: &ast::Ident, args: &[ast::Expr], scope: &mut Scope) -> Expr {
        let span = name.span;
        let bound: Vec<Expr> = args.iter().map(|a| self.expr(a, scope)).collect();
        let kind = match self.callee(&name.name, args.len(), span, scope.unit) {
            None => return self.poison(span),
            Some(Callee::Helper(helper)) => ExprKind::Helper { helper, args: bound },
            Some(Callee::Error) => match bound.into_iter().next() {
                Some(text) => ExprKind::Error(Box::new(text)),
                None => return self.poison(span),
            },
            Some(Callee::Script(function)) => {
                self.called(function, span, scope);
                self.note_call(function, args, scope);
                ExprKind::Call { function, args: bound }
            }
        };
        untyped(kind, span)
    }

    /// Functions of that name in the order in which they are tried: by
    /// priority, then as written; the machine's own come last.
    fn candidates(&mut self, name: &str, unit: UnitId) -> Vec<FunctionSource> {
        let library = self.world.units[unit].library;
        // What the library keeps to itself is not a script's to replace.
        let internal = library && name.starts_with("__");
        let mut units = vec![unit];
        if !internal {
            units.extend(self.world.user_units().filter(|u| *u != unit));
        }
        let files = self.world.library.functions(name).to_vec();
        for f in files {
            if let Some(u) = self.world.load(f) {
                units.push(u);
            }
        }
        if internal {
            units.extend(self.world.user_units());
        }
        let mut found: Vec<(i64, FunctionSource)> = Vec::new();
        for u in units {
            let of = &self.world.units[u];
            for (decl, f) in of.script.functions.iter().enumerate() {
                let visible = f.name.name == name && (u == unit || !f.private);
                let source = FunctionSource::Script { unit: u, decl };
                if visible && !found.iter().any(|(_, s)| *s == source) {
                    found.push((f.priority.unwrap_or(i64::from(of.library)), source));
                }
            }
        }
        // Neither is what is private to the file that calls it.
        let kept = |b: &Self, s: &FunctionSource| match s {
            FunctionSource::Script { unit: u, decl } if !internal => {
                *u == unit && b.world.units[unit].script.functions[*decl].private
            }
            _ => internal && b.in_library(s),
        };
        if library && found.iter().any(|(_, s)| kept(self, s)) {
            found.retain(|(_, s)| kept(self, s));
        }
        found.sort_by_key(|(p, _)| *p);
        let mut found: Vec<FunctionSource> = found.into_iter().map(|(_, s)| s).collect();
        if library || !name.starts_with("__") {
            found.extend(HELPERS.iter().filter(|h| h.name == name).map(|h| FunctionSource::Helper(h.helper)));
        }
        found
    }

    fn in_library(&self, s: &FunctionSource) -> bool {
        match s {
            FunctionSource::Script { unit, .. } => self.world.units[*unit].library,
            FunctionSource::Helper(_) => true,
        }
    }

    fn arity(&self, s: &FunctionSource) -> usize {
        match s {
            FunctionSource::Script { unit, decl } => {
                self.world.units[*unit].script.functions[*decl].params.len()
            }
            FunctionSource::Helper(h) => h.info().args.len(),
        }
    }

    /// What a call of that name tries first.
    pub(super) fn first_candidate(
        &mut self,
        name: &str,
        arity: usize,
        unit: UnitId,
    ) -> Option<FunctionSource> {
        self.candidates(name, unit).into_iter().find(|s| self.arity(s) == arity)
    }

    fn callee(&mut self, name: &str, arity: usize, span: Span, unit: UnitId) -> Option<Callee> {
        let all = self.candidates(name, unit);
        if name == "error" && arity == 1 && all.is_empty() {
            return Some(Callee::Error);
        }
        let mut chain: Vec<FunctionSource> = all.iter().filter(|s| self.arity(s) == arity).cloned().collect();
        if chain.is_empty() {
            self.no_function(name, &all, span, unit);
            return None;
        }
        match chain.remove(0) {
            FunctionSource::Helper(h) => Some(Callee::Helper(h)),
            first => Some(Callee::Script(self.function_id(first, chain))),
        }
    }

    fn no_function(&mut self, name: &str, others: &[FunctionSource], span: Span, unit: UnitId) {
        if let Some(first) = others.first() {
            let n = self.arity(first);
            let s = if n == 1 { "" } else { "s" };
            let message = format!("arity mismatch found (function '{name}' takes {n} arg{s})");
            let mut d = Diagnostic::error(Stage::Semantic, "function-arity", message)
                .at(span)
                .token(self.world.token(span));
            if let FunctionSource::Script { unit, decl } = first {
                let at = self.world.units[*unit].script.functions[*decl].name.span;
                d = d.related(at, "it is declared here");
            }
            self.world.diags.push(d);
            return;
        }
        if let Some(what) = super::absent::tells_of(name) {
            let message = format!("function {name} is not there yet: nothing here tells of {what}");
            let d = Diagnostic::error(Stage::Semantic, "function-of-programs", message)
                .at(span)
                .token(self.world.token(span))
                .help(
                    "backtrace() tells of the kernel's stack, uaddr() where the program left for the kernel",
                );
            self.world.diags.push(d);
            return;
        }
        let mut known: Vec<String> = vec!["error".into()];
        for (u, of) in self.world.units.iter().enumerate() {
            known.extend(
                of.script.functions.iter().filter(|f| u == unit || !f.private).map(|f| f.name.name.clone()),
            );
        }
        known.extend(self.world.library.function_names().map(String::from));
        known.extend(HELPERS.iter().map(|h| h.name.to_string()));
        known.retain(|k| !k.starts_with("__") || name.starts_with('_'));
        let near = similar(name, known.iter().map(String::as_str));
        let message = format!("unresolved function {name}{}", similar_note(&near));
        self.world.error("unknown-function", message, span);
    }

    /// A helper as the last of a chain: a function that calls it.
    pub(super) fn helper_function(&mut self, helper: Helper) -> FunctionInfo {
        let info = helper.info();
        // Nobody sees it: a helper can't fail at a place in a script of its own.
        let span = Span { file: crate::diag::FileId(0), lo: 0, hi: 0 };
        let mut locals = Vec::new();
        let mut args = Vec::new();
        for (n, kind) in info.args.bytes().enumerate() {
            let tv = self.model.types.fresh();
            let _ = self.model.types.settle(tv, if kind == b's' { Type::Str } else { Type::Long }, span);
            locals.push(LocalInfo { name: format!("a{n}"), span, tv });
            args.push(untyped(ExprKind::Local(LocalId(n as u32)), span));
        }
        let ret = self.model.types.fresh();
        let call = untyped(ExprKind::Helper { helper, args }, span);
        let kind = match info.ret {
            Ret::V => super::hir::StmtKind::Expr(call),
            r => {
                let _ = self.model.types.settle(ret, if r == Ret::S { Type::Str } else { Type::Long }, span);
                super::hir::StmtKind::Return(Some(call))
            }
        };
        FunctionInfo {
            name: info.name.to_string(),
            span,
            source: FunctionSource::Helper(helper),
            params: locals.len() as u32,
            locals,
            ret,
            body: vec![super::hir::Stmt { kind, span }],
            rest: Vec::new(),
            next: None,
        }
    }
}
