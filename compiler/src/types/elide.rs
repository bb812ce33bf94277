//! What nobody needs is taken out, with SystemTap's warnings: assignments to
//! locals that are never read, expressions without effect, probes that are
//! left empty. In and out: a bound [`Model`]. Also says which variables are
//! read or written where, for those warnings and for `unread`.

use super::hir::{Expr, ExprKind, ForeachValue, FunctionId, GlobalId, LValue, LocalId, Stmt, StmtKind};
use super::hir::{StatRef, StatTarget};
use super::model::{LocalInfo, Model};
use super::walk;
use crate::diag::Span;
use crate::lower::fold::constant;
use crate::resolve::world::World;
use std::collections::HashSet;

/// Which variables a body reads and writes.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    pub locals_read: HashSet<LocalId>,
    pub locals_written: HashSet<LocalId>,
    pub globals_read: HashSet<GlobalId>,
    pub globals_written: HashSet<GlobalId>,
    pub calls: HashSet<FunctionId>,
}

impl Uses {
    /// Of a body. A value that is computed from a global and only stored back
    /// (`n++` as a statement) is no read of it.
    pub fn of(body: &[Stmt]) -> Self {
        let mut u = Uses::default();
        u.block(body);
        u
    }

    /// Of an expression whose value is used.
    pub fn add_value(&mut self, e: &Expr) {
        self.expr(e, true);
    }

    fn block(&mut self, body: &[Stmt]) {
        for s in body {
            self.stmt(s);
        }
    }

    fn stmt(&mut self, s: &Stmt) {
        match &s.kind {
            StmtKind::Expr(e) => self.expr(e, false),
            StmtKind::Loop { init, cond, step, body, .. } => {
                for (e, used) in [(init, false), (cond, true), (step, false)] {
                    if let Some(e) = e {
                        self.expr(e, used);
                    }
                }
                self.block(body);
            }
            _ => {
                match &s.kind {
                    StmtKind::Foreach(f) => {
                        self.globals_read.insert(f.array);
                        self.locals_written.extend(f.keys.iter().flatten());
                        if let Some(ForeachValue::Local(l)) = f.value {
                            self.locals_written.insert(l);
                        }
                    }
                    StmtKind::ForeachBucket { bucket, value, stat, .. } => {
                        self.locals_written.extend([*bucket].iter().chain(value));
                        self.stat(stat);
                    }
                    StmtKind::DeleteLocal(l) => {
                        self.locals_written.insert(*l);
                    }
                    // A variable that is only ever emptied is as good as never written.
                    StmtKind::DeleteGlobal(_) | StmtKind::DeleteElement { .. } => {}
                    StmtKind::Try { var: Some(l), .. } => {
                        self.locals_written.insert(*l);
                    }
                    _ => {}
                }
                let this = std::cell::RefCell::new(&mut *self);
                walk::stmt_parts(s, &mut |e| this.borrow_mut().expr(e, true), &mut |b| {
                    this.borrow_mut().block(b)
                });
            }
        }
    }

    fn stat(&mut self, s: &StatRef) {
        self.globals_read.insert(super::bind_expr::stat_global(s));
    }

    fn lvalue(&mut self, l: &LValue, read: bool, compound: bool) {
        match l {
            LValue::Local(l) => {
                self.locals_written.insert(*l);
                if read || compound {
                    self.locals_read.insert(*l);
                }
            }
            LValue::Global(g) | LValue::Element { array: g, .. } => {
                self.globals_written.insert(*g);
                if read {
                    self.globals_read.insert(*g);
                }
            }
        }
    }

    fn expr(&mut self, e: &Expr, used: bool) {
        match &e.kind {
            ExprKind::Local(l) => {
                self.locals_read.insert(*l);
            }
            ExprKind::Global(g) | ExprKind::Element { array: g, .. } | ExprKind::In { array: g, .. } => {
                self.globals_read.insert(*g);
            }
            // What is stored is the value: the variable itself is not looked at.
            ExprKind::Assign { op, target, .. } => self.lvalue(target, used && op.is_some(), op.is_some()),
            ExprKind::IncDec { target, .. } => self.lvalue(target, used, true),
            ExprKind::StatAdd {
                target: StatTarget::Scalar(g) | StatTarget::Element { array: g, .. },
                ..
            } => {
                self.globals_written.insert(*g);
            }
            ExprKind::Call { function, .. } => {
                self.calls.insert(*function);
            }
            ExprKind::Agg { stat, .. } | ExprKind::Bucket { stat, .. } | ExprKind::HistText { stat } => {
                self.stat(stat)
            }
            _ => {}
        }
        walk::parts(e, &mut |p| self.expr(p, true));
    }
}

/// Functions that do nothing but give a value.
fn pure_functions(model: &Model) -> HashSet<FunctionId> {
    let mut pure: HashSet<FunctionId> = (0..model.functions.len() as u32).map(FunctionId).collect();
    loop {
        let before = pure.len();
        for (n, f) in model.functions.iter().enumerate() {
            let id = FunctionId(n as u32);
            if pure.contains(&id) && (f.next.is_some() || !f.body.iter().all(|s| pure_stmt(s, &pure))) {
                pure.remove(&id);
            }
        }
        if pure.len() == before {
            return pure;
        }
    }
}

fn pure_stmt(s: &Stmt, pure: &HashSet<FunctionId>) -> bool {
    match s.kind {
        StmtKind::DeleteGlobal(_) | StmtKind::DeleteElement { .. } | StmtKind::Next => return false,
        _ => {}
    }
    let ok = std::cell::Cell::new(true);
    walk::stmt_parts(s, &mut |e| ok.set(ok.get() && pure_expr(e, pure, true)), &mut |b| {
        ok.set(ok.get() && b.iter().all(|s| pure_stmt(s, pure)))
    });
    ok.get()
}

/// Has an expression no effect? `locals`: those are the business of the function that is left anyway.
fn pure_expr(e: &Expr, pure: &HashSet<FunctionId>, locals: bool) -> bool {
    let here = match &e.kind {
        ExprKind::Assign { target: LValue::Local(_), .. } | ExprKind::IncDec { target: LValue::Local(_), .. } => locals,
        ExprKind::Assign { .. }
        | ExprKind::IncDec { .. }
        | ExprKind::StatAdd { .. }
        | ExprKind::Error(_)
        | ExprKind::Store { .. }
        // What matched() says afterwards is an effect.
        | ExprKind::Regex { .. } => false,
        ExprKind::Call { function, .. } => pure.contains(function),
        ExprKind::Helper { helper, .. } => helper.info().pure,
        ExprKind::Print(p) => p.to_string,
        _ => true,
    };
    let mut all = here;
    walk::parts(e, &mut |p| all = all && pure_expr(p, pure, locals));
    all
}

/// A warning to be: where, and about what.
type Note = (Span, String);

/// Takes out of all bodies what has no use.
pub fn elide(world: &mut World<'_>, model: &mut Model) {
    warn_never_assigned(world, model);
    if world.options.unoptimized {
        return;
    }
    // such as asmlinkage(): scripts are told to call it
    let noops: HashSet<FunctionId> = (0..model.functions.len() as u32)
        .map(FunctionId)
        .filter(|f| is_empty(&model.function(*f).body) && !world.map.is_user(model.function(*f).span))
        .collect();
    let (assignments, expressions) = sweep(model, &noops);
    let mut said = HashSet::new();
    for (span, what) in assignments {
        if said.insert((span, what.clone())) && world.map.is_user(span) {
            world.warning("elided-assignment", format!("Eliding assignment to '{what}'"), span);
        }
    }
    for (span, _) in expressions {
        if said.insert((span, String::new())) && world.map.is_user(span) {
            world.warning("elided-expression", "Eliding side-effect-free expression ", span);
        }
    }
    for f in &model.functions {
        let script = matches!(f.source, super::model::FunctionSource::Script { .. });
        if script && is_empty(&f.body) && world.map.is_user(f.span) {
            world.warning("elided-function", format!("side-effect-free function '{}'", f.name), f.span);
        }
    }
    elide_empty(world, model);
}

/// Takes out what conditions that are constants rule out, and what has no use then. Comes after
/// types are known: what is ruled out says what its variables are, as with SystemTap.
pub fn dead_branches(world: &mut World<'_>, model: &mut Model) {
    if world.options.unoptimized {
        return;
    }
    let mut changed = false;
    for body in
        model.functions.iter_mut().map(|f| &mut f.body).chain(model.probes.iter_mut().map(|p| &mut p.body))
    {
        prune(body, &mut changed);
    }
    if changed {
        sweep(model, &HashSet::new());
        elide_empty(world, model);
    }
}

fn prune(body: &mut [Stmt], changed: &mut bool) {
    for s in body {
        let kept = match &mut s.kind {
            StmtKind::If { cond, then, els } => {
                constant(cond).map(|v| StmtKind::Block(std::mem::take(if v != 0 { then } else { els })))
            }
            StmtKind::Loop { init, cond: Some(cond), test_last: false, .. } if constant(cond) == Some(0) => {
                Some(init.take().map_or(StmtKind::Block(Vec::new()), StmtKind::Expr))
            }
            _ => None,
        };
        if let Some(kind) = kept {
            s.kind = kind;
            *changed = true;
        }
        walk::stmt_parts_mut(s, &mut |_| {}, &mut |b| prune(b, changed));
    }
}

/// Takes out of all bodies what has no effect; gives the assignments and expressions that it was.
/// Calls of `noops` are taken out without a word.
fn sweep(model: &mut Model, noops: &HashSet<FunctionId>) -> (Vec<Note>, Vec<Note>) {
    let mut assignments: Vec<Note> = Vec::new();
    let mut expressions: Vec<Note> = Vec::new();
    loop {
        let pure = pure_functions(model);
        let mut changed = false;
        let mut bodies: Vec<(&mut Vec<Stmt>, &[LocalInfo])> = Vec::new();
        bodies.extend(model.functions.iter_mut().map(|f| (&mut f.body, f.locals.as_slice())));
        bodies.extend(model.probes.iter_mut().map(|p| (&mut p.body, p.locals.as_slice())));
        for (body, locals) in bodies {
            let uses = Uses::of(body);
            let mut pass = Pass {
                unread: |l: LocalId| !uses.locals_read.contains(&l),
                locals,
                pure: &pure,
                left: &model.left_sides,
                noops,
                assignments: &mut assignments,
                expressions: &mut expressions,
                changed: false,
            };
            pass.block(body);
            changed |= pass.changed;
        }
        if !changed {
            return (assignments, expressions);
        }
    }
}

/// Probes of which nothing is left.
fn elide_empty(world: &mut World<'_>, model: &mut Model) {
    let mut said = HashSet::new();
    let (mut kept, empty): (Vec<_>, Vec<_>) =
        std::mem::take(&mut model.probes).into_iter().partition(|p| !is_empty(&p.body));
    for p in &empty {
        let d = &p.derived;
        if said.insert((d.span, d.pp.clone())) && world.map.is_user(d.span) {
            world.warning("elided-probe", format!("Probe '{}' has been elided", d.pp), d.span);
        }
    }
    std::mem::swap(&mut model.probes, &mut kept);
}

fn is_empty(body: &[Stmt]) -> bool {
    body.iter().all(|s| matches!(&s.kind, StmtKind::Block(b) if is_empty(b)))
}

/// Functions that some probe calls, directly or not.
pub fn reachable(model: &Model) -> HashSet<FunctionId> {
    let mut roots: Vec<FunctionId> = Vec::new();
    for p in &model.probes {
        let mut uses = Uses::of(&p.body);
        if let Some(c) = &p.condition {
            uses.add_value(c);
        }
        roots.extend(uses.calls);
    }
    called_from(model, roots)
}

/// Those functions, and all that they call or hand on to by `next`.
pub fn called_from(model: &Model, mut todo: Vec<FunctionId>) -> HashSet<FunctionId> {
    let mut seen = HashSet::new();
    while let Some(id) = todo.pop() {
        if seen.insert(id) {
            let f = model.function(id);
            todo.extend(Uses::of(&f.body).calls);
            todo.extend(f.next);
        }
    }
    seen
}

/// Variables that are read and never given a value.
fn warn_never_assigned(world: &mut World<'_>, model: &Model) {
    let mut read = HashSet::new();
    let mut written = HashSet::new();
    let mut locals: Vec<(Span, String)> = Vec::new();
    let bodies = model
        .functions
        .iter()
        .map(|f| (&f.body, &f.locals, f.params))
        .chain(model.probes.iter().map(|p| (&p.body, &p.locals, 0)));
    for (body, names, params) in bodies {
        let u = Uses::of(body);
        read.extend(u.globals_read);
        written.extend(u.globals_written);
        for l in u.locals_read.difference(&u.locals_written).filter(|l| l.0 >= params) {
            let info = &names[l.0 as usize];
            locals.push((info.span, info.name.clone()));
        }
    }
    for p in &model.probes {
        if let Some(c) = &p.condition {
            let mut u = Uses::default();
            u.add_value(c);
            read.extend(u.globals_read);
        }
    }
    locals.sort_by_key(|(s, _)| (s.file, s.lo));
    locals.dedup();
    for (n, g) in model.globals.iter().enumerate() {
        let id = GlobalId(n as u32);
        if read.contains(&id) && !written.contains(&id) && g.init.is_none() && g.given.is_none() && !g.library
        {
            let message = format!("never-assigned global variable '{}'", g.name);
            world.warning("never-assigned", message, g.span);
        }
    }
    for (span, name) in locals {
        if world.map.is_user(span) && !model.poison.contains(&span) {
            world.warning("never-assigned", format!("never-assigned local variable '{name}'"), span);
        }
    }
}

struct Pass<'p, F: Fn(LocalId) -> bool> {
    unread: F,
    locals: &'p [LocalInfo],
    pure: &'p HashSet<FunctionId>,
    left: &'p std::collections::HashMap<Span, Span>,
    noops: &'p HashSet<FunctionId>,
    assignments: &'p mut Vec<Note>,
    expressions: &'p mut Vec<Note>,
    changed: bool,
}

impl<F: Fn(LocalId) -> bool> Pass<'_, F> {
    fn block(&mut self, body: &mut Vec<Stmt>) {
        for s in body.iter_mut() {
            self.stmt(s);
        }
        let before = body.len();
        body.retain(|s| !self.is_idle(s));
        self.changed |= body.len() != before;
    }

    /// A statement without effect, noted for a warning.
    fn is_idle(&mut self, s: &Stmt) -> bool {
        match &s.kind {
            StmtKind::Block(b) => b.is_empty(),
            StmtKind::If { cond, then, els } => {
                then.is_empty() && els.is_empty() && pure_expr(cond, self.pure, false)
            }
            StmtKind::Expr(e) if pure_expr(e, self.pure, false) => {
                let noop =
                    matches!(&e.kind, ExprKind::Call { function, .. } if self.noops.contains(function));
                if !noop {
                    // told where the statement begins, whatever is left of it
                    self.expressions.push((s.span, String::new()));
                }
                true
            }
            _ => false,
        }
    }

    fn stmt(&mut self, s: &mut Stmt) {
        let this = std::cell::RefCell::new(&mut *self);
        walk::stmt_parts_mut(s, &mut |e| this.borrow_mut().expr(e), &mut |b| this.borrow_mut().block(b));
    }

    fn expr(&mut self, e: &mut Expr) {
        walk::parts_mut(e, &mut |p| self.expr(p));
        let ExprKind::Assign { op: None, target: LValue::Local(l), value } = &mut e.kind else { return };
        if (self.unread)(*l) {
            self.assignments.push((e.span, self.locals[l.0 as usize].name.clone()));
            let at = self.left.get(&e.span).copied();
            *e = std::mem::replace(value, super::bind::untyped(ExprKind::Number(0), e.span));
            // The warning about what is left names the variable, as SystemTap's does.
            if let (Some(at), ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Local(_)) = (at, &e.kind)
            {
                e.span = at;
            }
            self.changed = true;
        }
    }
}
