//! Statements and declarations: names become ids. In: the blocks that run at
//! each place, and the functions that they call, transitively. Out: a
//! [`Model`]. Reports unknown functions, wrong numbers of keys and arguments,
//! and what stands where it may not. Types come later (`infer`).

use super::autocast::{Flow, Owner};
use super::bind_entered::Keeper;
use super::hir::{Expr, ExprKind, FunctionId, GlobalId, LocalId, Place, Stmt, StmtKind, Ty};
use super::model::{FunctionInfo, FunctionSource, GuardedCall, LocalInfo, Model, ProbeInfo};
use super::table::Type;
use crate::diag::{Diagnostic, Span, Stage};
use crate::resolve::points::{Derived, Params};
use crate::resolve::target_api::TargetPlace;
use crate::resolve::world::{Unit, UnitId, World};
use crate::syntax::ast::{self, FunctionBody, TypeName};
use std::collections::{HashMap, HashSet};

pub struct Binder<'w, 'a> {
    pub world: &'w mut World<'a>,
    pub model: Model,
    pub(super) globals: HashMap<(UnitId, usize), GlobalId>,
    /// What a name means as a global to a unit.
    pub(super) global_names: HashMap<(UnitId, bool, String), Option<GlobalId>>,
    pub(super) functions: HashMap<FunctionSource, FunctionId>,
    /// Functions whose bodies are still to be bound.
    queue: Vec<FunctionId>,
    /// Files that a procfs probe answers the readers of.
    pub(super) read_files: HashSet<String>,
    /// Within how many `@defined` and `@choose_defined`: there `--skip-badvars` replaces nothing.
    pub(super) trying: u32,
    /// C types of the script's variables.
    pub(super) flow: Flow,
    /// Handlers bound so far.
    handlers: usize,
    /// Functions at whose entry registers are kept (`bind_entered`).
    pub(super) keepers: Vec<Keeper>,
}

/// The function or handler at hand.
pub struct Scope {
    pub unit: UnitId,
    pub locals: Vec<LocalInfo>,
    pub names: HashMap<String, LocalId>,
    /// Parameters of the alias whose block is read.
    pub params: Params,
    pub function: Option<FunctionId>,
    /// Whose locals these are.
    pub(super) owner: Owner,
    pub target: Option<TargetPlace>,
    /// Where the handler runs; `None` in functions.
    pub(super) at: Option<Place>,
    /// A block of an alias is read: `@probewrite` may stand here.
    pub in_alias: bool,
    /// Blocks of the probe with their units, for `@probewrite`.
    pub own_body: Option<(UnitId, crate::resolve::world::Body)>,
    /// Nesting of loops, for `break` and `continue`.
    pub(super) loops: u32,
    /// Arrays that enclosing loops walk through.
    pub(super) walked: Vec<GlobalId>,
    /// What must be computed at the entry of the function of a return probe.
    pub(super) entry: Vec<(ast::Expr, LocalId)>,
    /// Registers that are asked for as they were when the function around was entered.
    pub(super) entered: Vec<(u8, LocalId)>,
}

impl Scope {
    /// A handler of our own making at a place.
    pub(super) fn at(unit: UnitId, target: Option<TargetPlace>) -> Self {
        Scope { target, ..Scope::new(unit) }
    }
    fn new(unit: UnitId) -> Self {
        Scope {
            unit,
            locals: Vec::new(),
            names: HashMap::new(),
            params: Params::default(),
            function: None,
            owner: Owner::Probe(usize::MAX),
            target: None,
            at: None,
            in_alias: false,
            own_body: None,
            loops: 0,
            walked: Vec::new(),
            entry: Vec::new(),
            entered: Vec::new(),
        }
    }
}

/// An expression whose type `finish` fills in.
pub fn untyped(kind: ExprKind, span: Span) -> Expr {
    Expr { kind, ty: Ty::Long, span }
}

pub(super) fn stmt(kind: StmtKind, span: Span) -> Stmt {
    Stmt { kind, span }
}

impl<'w, 'a> Binder<'w, 'a> {
    pub fn new(world: &'w mut World<'a>) -> Self {
        Binder {
            world,
            model: Model::default(),
            globals: HashMap::new(),
            global_names: HashMap::new(),
            functions: HashMap::new(),
            queue: Vec::new(),
            read_files: HashSet::new(),
            trying: 0,
            flow: Flow::default(),
            handlers: 0,
            keepers: Vec::new(),
        }
    }

    /// Top-level embedded C of the user's scripts is refused.
    pub fn embedded(&mut self) {
        let users: Vec<UnitId> = self.world.user_units().collect();
        for u in users {
            let script = self.world.units[u].script.clone();
            for span in &script.embedded {
                self.embedded_c(*span);
            }
        }
    }

    /// Binds a handler, and what it calls.
    pub fn probe(&mut self, derived: Derived) {
        let mut scope = Scope::new(derived.unit);
        scope.owner = Owner::Probe(self.handlers);
        self.handlers += 1;
        scope.target = derived.target.clone();
        scope.at = Some(derived.at.clone());
        self.one_reader(&derived);
        scope.own_body = derived
            .pieces
            .iter()
            .find(|p| p.unit == derived.unit && matches!(p.body, crate::resolve::world::Body::Probe(_)))
            .map(|p| (p.unit, p.body));
        let condition = self.condition(&derived, &mut scope);
        let mut body = Vec::new();
        for piece in &derived.pieces {
            scope.unit = piece.unit;
            scope.params = piece.params.clone();
            scope.in_alias = !matches!(piece.body, crate::resolve::world::Body::Probe(_));
            let script = self.world.units[piece.unit].script.clone();
            let unit = Unit { script, ..self.world.units[piece.unit].clone() };
            if let Some(block) = unit.block(piece.body) {
                let s = self.stmt(block, &mut scope);
                body.extend(s);
            }
        }
        let called = derived.target.as_ref().and_then(|t| t.called.as_ref());
        if let Some(called) = called.filter(|_| !super::limits::any_caller(self.world.options)) {
            body.splice(0..0, super::bind_target::only_by(&called.ways, derived.span));
        }
        let entry = std::mem::take(&mut scope.entry);
        if !entry.is_empty() {
            let (saved, prologue) = self.entry_values(&derived, entry, &mut scope);
            self.model.probes.extend(saved);
            body.splice(0..0, prologue);
        }
        let entered = std::mem::take(&mut scope.entered);
        if !entered.is_empty() {
            let fetch = self.entered_values(&derived, entered, &mut scope);
            body.splice(0..0, fetch);
        }
        self.model.probes.push(ProbeInfo { derived, locals: scope.locals, body, condition });
        self.drain();
    }

    /// Binds a function that nothing calls, for listings.
    pub fn function(&mut self, source: FunctionSource) {
        self.function_id(source, Vec::new());
        self.drain();
    }

    /// Binds functions until none is left that something calls.
    fn drain(&mut self) {
        while let Some(id) = self.queue.pop() {
            self.function_body(id);
        }
    }

    fn condition(&mut self, derived: &Derived, scope: &mut Scope) -> Option<Expr> {
        let mut all: Option<Expr> = None;
        for c in &derived.conditions {
            scope.unit = c.unit;
            let before = scope.locals.len();
            let e = self.expr(&c.expr, scope);
            if let Some(l) = scope.locals.get(before) {
                let message = format!("probe condition must not reference undeclared global '{}'", l.name);
                let span = l.span;
                self.world.error("probe-condition", message, span);
                continue;
            }
            if let Some((what, span)) = super::check::forbidden_in_condition(&e) {
                self.world.error("probe-condition", format!("probe condition must not {what}"), span);
                continue;
            }
            all = Some(match all {
                None => e,
                Some(first) => {
                    let span = e.span;
                    let kind =
                        ExprKind::Binary { op: ast::BinaryOp::And, lhs: Box::new(first), rhs: Box::new(e) };
                    untyped(kind, span)
                }
            });
        }
        scope.locals.clear();
        scope.names.clear();
        all
    }

    // ---- globals -------------------------------------------------------

    // ---- functions -----------------------------------------------------

    /// The id of a function, its body to be bound in its turn.
    pub(super) fn function_id(&mut self, source: FunctionSource, rest: Vec<FunctionSource>) -> FunctionId {
        if let Some(id) = self.functions.get(&source) {
            return *id;
        }
        let id = FunctionId(self.model.functions.len() as u32);
        self.functions.insert(source.clone(), id);
        let mut info = match &source {
            FunctionSource::Script { unit, decl } => {
                self.world.touch(*unit);
                let script = self.world.units[*unit].script.clone();
                let f = &script.functions[*decl];
                let ret = self.model.types.fresh();
                self.declare(ret, f.ret, f.name.span);
                let mut locals = Vec::new();
                for p in &f.params {
                    let tv = self.model.types.fresh();
                    self.declare(tv, p.ty, p.name.span);
                    locals.push(LocalInfo { name: p.name.name.clone(), span: p.name.span, tv });
                }
                FunctionInfo {
                    name: f.name.name.clone(),
                    span: f.name.span,
                    source: source.clone(),
                    params: f.params.len() as u32,
                    locals,
                    ret,
                    body: Vec::new(),
                    rest: Vec::new(),
                    next: None,
                }
            }
            FunctionSource::Helper(h) => self.helper_function(*h),
        };
        info.rest = rest;
        self.model.functions.push(info);
        self.queue.push(id);
        id
    }

    fn declare(&mut self, tv: super::table::Tv, ty: Option<TypeName>, at: Span) {
        if let Some(ty) = ty {
            let ty = if ty == TypeName::Long { Type::Long } else { Type::Str };
            // A fresh variable takes any type.
            let _ = self.model.types.settle(tv, ty, at);
        }
    }

    fn function_body(&mut self, id: FunctionId) {
        let FunctionSource::Script { unit, decl } = self.model.function(id).source else { return };
        let script = self.world.units[unit].script.clone();
        let f = &script.functions[decl];
        let mut scope = Scope::new(unit);
        scope.function = Some(id);
        scope.owner = Owner::Function(self.model.function(id).source.clone());
        scope.locals = self.model.function(id).locals.clone();
        scope.names =
            scope.locals.iter().enumerate().map(|(n, l)| (l.name.clone(), LocalId(n as u32))).collect();
        let body = match &f.body {
            FunctionBody::Script(s) => self.stmt(s, &mut scope),
            FunctionBody::EmbeddedC(span) => {
                self.embedded_c(*span);
                Vec::new()
            }
        };
        let info = &mut self.model.functions[id.0 as usize];
        info.locals = scope.locals;
        info.body = body;
    }

    pub(super) fn embedded_c(&mut self, span: Span) {
        let d = Diagnostic::error(Stage::Semantic, "embedded-c", "embedded C code can't be run: no C is compiled here, with -g neither")
            .at(span)
            .token("embedded-code")
            .help("write it in the script language: @cast(…)->field, @kderef and kernel_*() read kernel memory, with -g set_kernel_*() and assignments to $variables write it");
        self.world.diags.push(d);
    }

    /// `next` in a function: what comes after it in the chain.
    fn next_overload(&mut self, id: FunctionId) {
        let info = self.model.function(id);
        if info.next.is_some() || info.rest.is_empty() {
            return;
        }
        let mut rest = info.rest.clone();
        let first = rest.remove(0);
        let next = self.function_id(first, rest);
        self.model.functions[id.0 as usize].next = Some(next);
        // All of a chain take and give the same types.
        let (a, b) = (self.model.function(id).clone(), self.model.function(next).clone());
        let pairs = a.locals.iter().zip(&b.locals).take(a.params as usize).map(|(x, y)| (x.tv, y.tv));
        for (x, y) in pairs.chain([(a.ret, b.ret)]) {
            if let Err((s, t)) = self.model.types.unite(x, y) {
                let d = Diagnostic::error(
                    Stage::Semantic,
                    "overload-types",
                    format!("overloads of '{}' have different types ({} vs {})", a.name, s.name(), t.name()),
                )
                .at(b.span)
                .token(self.world.token(b.span))
                .related(a.span, "the other is here");
                self.world.diags.push(d);
            }
        }
    }

    // ---- statements ----------------------------------------------------

    pub(super) fn stmt(&mut self, s: &ast::Stmt, scope: &mut Scope) -> Vec<Stmt> {
        let one = |kind| vec![stmt(kind, s.span)];
        match &s.kind {
            ast::StmtKind::Null => Vec::new(),
            ast::StmtKind::Block(list) => {
                let body: Vec<Stmt> = list.iter().flat_map(|s| self.stmt(s, scope)).collect();
                one(StmtKind::Block(body))
            }
            ast::StmtKind::Expr(e) => {
                let e = self.expr(e, scope);
                one(StmtKind::Expr(e))
            }
            ast::StmtKind::If { cond, then, els } => {
                let fixed = super::bind_target::is_static(cond);
                let cond = self.expr(cond, scope);
                if let (true, Some(v)) = (fixed, super::bind_target::value(&cond)) {
                    return match (v != 0, els) {
                        (true, _) => self.stmt(then, scope),
                        (false, Some(els)) => self.stmt(els, scope),
                        (false, None) => Vec::new(),
                    };
                }
                let then = self.stmt(then, scope);
                let els = els.as_ref().map_or(Vec::new(), |e| self.stmt(e, scope));
                one(StmtKind::If { cond, then, els })
            }
            ast::StmtKind::While { cond, body } => {
                let cond = self.expr(cond, scope);
                let body = self.in_loop(body, scope);
                one(StmtKind::Loop { init: None, cond: Some(cond), step: None, body, test_last: false })
            }
            ast::StmtKind::DoWhile { body, cond } => {
                let body = self.in_loop(body, scope);
                let cond = self.expr(cond, scope);
                one(StmtKind::Loop { init: None, cond: Some(cond), step: None, body, test_last: true })
            }
            ast::StmtKind::For { init, cond, step, body } => {
                let init = init.as_ref().map(|e| self.expr(e, scope));
                let cond = cond.as_ref().map(|e| self.expr(e, scope));
                let step = step.as_ref().map(|e| self.expr(e, scope));
                let body = self.in_loop(body, scope);
                one(StmtKind::Loop { init, cond, step, body, test_last: false })
            }
            ast::StmtKind::Foreach(f) => self.foreach(f, s.span, scope),
            ast::StmtKind::Break | ast::StmtKind::Continue => {
                let (word, kind) = match s.kind {
                    ast::StmtKind::Break => ("break", StmtKind::Break),
                    _ => ("continue", StmtKind::Continue),
                };
                if scope.loops == 0 {
                    self.world.error("outside-loop", format!("cannot '{word}' outside loop"), s.span);
                    return Vec::new();
                }
                one(kind)
            }
            ast::StmtKind::Next => {
                if let Some(f) = scope.function {
                    self.next_overload(f);
                }
                one(StmtKind::Next)
            }
            ast::StmtKind::Return(value) => {
                // The parser refuses it in a handler.
                if scope.function.is_none() {
                    return one(StmtKind::Next);
                }
                let bound = value.as_ref().map(|e| self.expr(e, scope));
                if let Some(e) = value {
                    self.note_return(e, scope);
                }
                one(StmtKind::Return(bound))
            }
            ast::StmtKind::Delete(e) => self.delete(e, s.span, scope),
            ast::StmtKind::Try { body, var, handler } => {
                let body = self.stmt(body, scope);
                let (var, global) = match var {
                    None => (None, None),
                    Some(v) => {
                        let (local, global) = self.loop_variable(v, scope);
                        let tv = scope.locals[local.0 as usize].tv;
                        if let Err((was, first)) = self.model.types.settle(tv, Type::Str, v.span) {
                            let d = super::infer::conflict(self.world.map, Type::Str, v.span, was, first);
                            self.world.diags.push(d);
                        }
                        (Some(local), global)
                    }
                };
                let mut caught: Vec<Stmt> = global.into_iter().collect();
                caught.extend(self.stmt(handler, scope));
                one(StmtKind::Try { body, var, handler: caught })
            }
        }
    }

    /// The local of that name, made where it is not there yet.
    pub(super) fn local(&mut self, name: &str, span: Span, scope: &mut Scope) -> LocalId {
        if let Some(id) = scope.names.get(name) {
            return *id;
        }
        let id = self.temporary(name, span, scope);
        scope.names.insert(name.to_string(), id);
        id
    }

    /// A local that no name in the script means.
    pub(super) fn temporary(&mut self, name: &str, span: Span, scope: &mut Scope) -> LocalId {
        let tv = self.model.types.fresh();
        scope.locals.push(LocalInfo { name: name.to_string(), span, tv });
        LocalId(scope.locals.len() as u32 - 1)
    }

    /// A call under way in loops: whether it changes their arrays is known when all bodies are.
    pub(super) fn called(&mut self, function: FunctionId, span: Span, scope: &Scope) {
        if !scope.walked.is_empty() {
            self.model.guarded_calls.push(GuardedCall { function, arrays: scope.walked.clone(), span });
        }
    }

    fn delete(&mut self, e: &ast::Expr, span: Span, scope: &mut Scope) -> Vec<Stmt> {
        let one = |kind| vec![stmt(kind, span)];
        match &e.kind {
            ast::ExprKind::Name(name) => {
                let local = scope.names.get(name).copied();
                let params = scope.function.map_or(0, |f| self.model.function(f).params);
                if let Some(l) = local.filter(|l| l.0 >= params) {
                    return one(StmtKind::DeleteLocal(l));
                }
                let global = if local.is_some() { None } else { self.global(name, scope) };
                match global {
                    Some(g) => {
                        self.written(g, e.span, scope);
                        one(StmtKind::DeleteGlobal(g))
                    }
                    // Neither a parameter nor what was never set before can be emptied.
                    None => {
                        let message = "unresolved array in delete statement";
                        let d = Diagnostic::error(Stage::Semantic, "delete-unresolved", message)
                            .at(e.span)
                            .token(self.world.token(e.span))
                            .help("what can be deleted is a global variable, an element of one, and a local variable that was set before");
                        self.world.diags.push(d);
                        Vec::new()
                    }
                }
            }
            ast::ExprKind::Index { base, keys } => {
                let keys = self.keys(keys, scope);
                match self.array(base, keys.len(), scope) {
                    Some(array) => {
                        self.written(array, base.span, scope);
                        one(StmtKind::DeleteElement { array, keys })
                    }
                    None => Vec::new(),
                }
            }
            _ => {
                self.world.error("delete-operand", "invalid operand of delete expression", e.span);
                Vec::new()
            }
        }
    }

    /// Keys with `*` as `None`.
    pub(super) fn keys(&mut self, keys: &[Option<ast::Expr>], scope: &mut Scope) -> Vec<Option<Expr>> {
        keys.iter().map(|k| k.as_ref().map(|k| self.expr(k, scope))).collect()
    }

    /// The global array that an expression names.
    pub(super) fn array(&mut self, base: &ast::Expr, keys: usize, scope: &mut Scope) -> Option<GlobalId> {
        let ast::ExprKind::Name(name) = &base.kind else {
            self.world.error("not-an-array", "only a global array can be indexed", base.span);
            return None;
        };
        let global = if scope.names.contains_key(name) { None } else { self.global(name, scope) };
        match global {
            Some(g) => self.use_global(g, keys, base.span).then_some(g),
            None => {
                let message =
                    format!("unresolved arity-{keys} global array {name}, missing global declaration?");
                self.world.error("unresolved-array", message, base.span);
                None
            }
        }
    }
}
