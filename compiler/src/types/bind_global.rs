//! Globals: what a name means as one, what it is used as. Part of `bind`.

use super::bind::{Binder, Scope};
use super::hir::GlobalId;
use super::model::{GlobalInfo, StatNeeds};
use super::table::Type;
use crate::diag::{Diagnostic, Span, Stage};
use crate::resolve::world::UnitId;
use crate::syntax::ast::Literal;

/// Keys that an array may have.
pub const MAX_KEYS: usize = 9;

impl Binder<'_, '_> {
    /// The global that a name means: one of its own file, a user's, the library's. The functions of
    /// the library do not see the users': their locals may have any name. Its aliases do, as the
    /// variables of an alias are the probe's.
    pub(super) fn global(&mut self, name: &str, scope: &Scope) -> Option<GlobalId> {
        let unit = scope.unit;
        let closed = scope.function.is_some() && self.world.units[unit].library;
        let key = (unit, closed, name.to_string());
        if let Some(known) = self.global_names.get(&key) {
            return *known;
        }
        let own = self.declared(name, unit, true);
        let found = own.or_else(|| {
            let users: Vec<UnitId> = self.world.user_units().filter(|_| !closed).collect();
            users.into_iter().find_map(|u| self.declared(name, u, false))
        });
        let found = found.or_else(|| {
            let files = self.world.library.globals(name).to_vec();
            files.into_iter().find_map(|f| {
                let u = self.world.load(f)?;
                self.declared(name, u, false)
            })
        });
        self.global_names.insert(key, found);
        found
    }

    fn declared(&mut self, name: &str, unit: UnitId, private: bool) -> Option<GlobalId> {
        let script = self.world.units[unit].script.clone();
        let n = script.globals.iter().position(|g| g.name.name == name && (private || !g.private))?;
        if let Some(id) = self.globals.get(&(unit, n)) {
            return Some(*id);
        }
        self.world.touch(unit);
        let g = &script.globals[n];
        let value = self.model.types.fresh();
        let arity = g.init.is_some().then_some((0, g.name.span));
        let id = self.add_global(GlobalInfo {
            name: g.name.name.clone(),
            span: g.name.span,
            unit,
            library: self.world.units[unit].library,
            size: g.size,
            wrap: g.wrap,
            init: g.init.clone(),
            given: self.world.options.globals.iter().rev().find(|(n, _)| *n == name).map(|(_, v)| v.clone()),
            arity,
            keys: Vec::new(),
            value,
            needs: StatNeeds::default(),
        });
        if let Some(init) = &g.init {
            let ty = if matches!(init, Literal::Number(_)) { Type::Long } else { Type::Str };
            // A fresh variable takes any type.
            let _ = self.model.types.settle(value, ty, g.name.span);
        }
        self.globals.insert((unit, n), id);
        Some(id)
    }

    pub(super) fn add_global(&mut self, info: GlobalInfo) -> GlobalId {
        self.model.globals.push(info);
        GlobalId(self.model.globals.len() as u32 - 1)
    }

    /// A global is used with that many keys.
    pub(super) fn use_global(&mut self, id: GlobalId, keys: usize, span: Span) -> bool {
        let g = &mut self.model.globals[id.0 as usize];
        match g.arity {
            None => {
                g.arity = Some((keys, span));
                let sized = g.size.is_some() || g.wrap;
                let (name, declared) = (g.name.clone(), g.span);
                let tvs = (0..keys).map(|_| self.model.types.fresh()).collect();
                self.model.globals[id.0 as usize].keys = tvs;
                if keys == 0 && sized {
                    let d = Diagnostic::error(
                        Stage::Semantic,
                        "arity",
                        format!("inconsistent arity: '{name}' is declared as an array"),
                    )
                    .at(span)
                    .token(self.world.token(span))
                    .related(declared, "declared here");
                    self.world.diags.push(d);
                    return false;
                }
                if keys > MAX_KEYS {
                    self.world.error(
                        "too-many-keys",
                        format!("array '{name}' has {keys} keys, at most {MAX_KEYS} are possible"),
                        span,
                    );
                    return false;
                }
                true
            }
            Some((n, _)) if n == keys => true,
            Some((n, first)) => {
                let d = Diagnostic::error(
                    Stage::Semantic,
                    "arity",
                    format!("inconsistent arity ({n} vs {keys})"),
                )
                .at(span)
                .token(self.world.token(span))
                .related(first, format!("arity {n} first inferred here"));
                self.world.diags.push(d);
                false
            }
        }
    }

    /// A global changes: not while a loop walks through it.
    pub(super) fn written(&mut self, g: GlobalId, span: Span, scope: &Scope) {
        if scope.walked.contains(&g) {
            let name = self.model.global(g).name.clone();
            self.world.error(
                "foreach-modified",
                format!("variable '{name}' modified during 'foreach' iteration"),
                span,
            );
        }
    }
}
