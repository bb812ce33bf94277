//! A bound and inferred [`Model`] to a [`Program`]: each expression gets its
//! type, what is unused is left out, what has no type is reported.

use super::bind_expr::BY_TYPE;
use super::elide::Uses;
use super::hir::{
    AggOp, ArrayValue, Expr, ExprKind, Foreach, ForeachValue, Function, FunctionId, Global, GlobalId,
    GlobalKind, LValue, Local, LocalId, Piece, Probe, Program, SortBy, StatRef, StatSpec, StatTarget, Stmt,
    StmtKind, Ty,
};
use super::infer::{node_of, Node};
use super::model::{GlobalInfo, LocalInfo, Model, StatNeeds};
use super::table::{Tv, Type};
use super::walk;
use crate::bytes::Bytes;
use crate::diag::{Diagnostic, Stage};
use crate::resolve::world::World;
use crate::syntax::ast::Literal;
use std::collections::{HashMap, HashSet};
use stp_vm::isa::Limits;

/// Makes the program. `None` when something is wrong, which is reported then.
pub fn finish(world: &mut World<'_>, model: Model, limits: Limits, name: String) -> Option<Program> {
    let live = super::elide::reachable(&model);
    let mut f = Finish {
        world,
        model: &model,
        globals: HashMap::new(),
        functions: HashMap::new(),
        used: HashSet::new(),
        suppress_errors: limits.suppress_errors != 0,
    };
    let mut functions: Vec<FunctionId> = live.into_iter().collect();
    functions.sort_by_key(|id| id.0);
    f.functions = functions.iter().enumerate().map(|(n, id)| (*id, FunctionId(n as u32))).collect();
    f.number_globals(&functions);
    let globals = f.globals_out();
    let bodies: Vec<Function> = functions.iter().map(|id| f.function(*id)).collect();
    let probes: Vec<Probe> = (0..model.probes.len()).map(|n| f.probe(n)).collect();
    if f.world.diags.has_errors() {
        return None;
    }
    let options = &f.world.options;
    let (guru, skip_badvars) = (options.guru, options.skip_badvars);
    Some(Program { name, globals, functions: bodies, probes, limits, guru, skip_badvars })
}

struct Finish<'f, 'w> {
    world: &'f mut World<'w>,
    model: &'f Model,
    globals: HashMap<GlobalId, GlobalId>,
    functions: HashMap<FunctionId, FunctionId>,
    /// Globals that are read somewhere.
    used: HashSet<GlobalId>,
    suppress_errors: bool,
}

impl Finish<'_, '_> {
    /// Numbers of the globals that something refers to, in the order of the text.
    fn number_globals(&mut self, functions: &[FunctionId]) {
        let mut all = Uses::default();
        let mut mentioned: HashSet<GlobalId> = HashSet::new();
        let bodies = functions
            .iter()
            .map(|f| &self.model.function(*f).body)
            .chain(self.model.probes.iter().map(|p| &p.body));
        for body in bodies {
            let u = Uses::of(body);
            all.globals_read.extend(u.globals_read);
            all.globals_written.extend(u.globals_written);
            walk::each_stmt(body, &mut |s| {
                if let StmtKind::DeleteGlobal(g) | StmtKind::DeleteElement { array: g, .. } = &s.kind {
                    mentioned.insert(*g);
                }
            });
        }
        for c in self.model.probes.iter().filter_map(|p| p.condition.as_ref()) {
            all.add_value(c);
        }
        mentioned.extend(&all.globals_read);
        mentioned.extend(&all.globals_written);
        let mut order: Vec<GlobalId> = mentioned.into_iter().collect();
        let model = self.model;
        order.sort_by_key(|g| {
            let i = model.global(*g);
            (i.library, i.unit, i.span.lo, g.0)
        });
        self.globals = order.iter().enumerate().map(|(n, g)| (*g, GlobalId(n as u32))).collect();
        self.used = all.globals_read;
    }

    fn globals_out(&mut self) -> Vec<Global> {
        let mut order: Vec<(GlobalId, GlobalId)> = self.globals.iter().map(|(a, b)| (*b, *a)).collect();
        order.sort();
        order.into_iter().map(|(_, old)| self.global(old)).collect()
    }

    /// The message for what no use has given a type; silent after other errors, which are the cause.
    fn unresolved(&mut self, at: crate::diag::Span) {
        if !self.world.diags.has_errors() || self.only_unresolved() {
            let said =
                self.world.diags.list.iter().any(|d| d.code == "unresolved-type" && d.span == Some(at));
            if !said {
                self.world.error("unresolved-type", "unresolved type ", at);
            }
        }
    }

    fn only_unresolved(&self) -> bool {
        let errors = |d: &&Diagnostic| d.severity == crate::diag::Severity::Error;
        self.world.diags.list.iter().filter(errors).all(|d| d.code == "unresolved-type")
    }

    fn scalar(&mut self, tv: Tv, read: bool, at: crate::diag::Span) -> Ty {
        match self.model.types.ty(tv) {
            Some(Type::Str) => Ty::Str,
            Some(Type::Long) => Ty::Long,
            None if read => {
                self.unresolved(at);
                Ty::Long
            }
            Some(Type::Stats) | None => Ty::Long,
        }
    }

    fn global(&mut self, id: GlobalId) -> Global {
        let info: &GlobalInfo = self.model.global(id);
        let read = self.used.contains(&id);
        let kind = match info.arity {
            Some((n, first)) if n > 0 => {
                let keys = info.keys.iter().map(|tv| self.scalar(*tv, true, first)).collect();
                let value = match self.model.types.ty(info.value) {
                    Some(Type::Stats) => ArrayValue::Stat(spec(&info.needs)),
                    _ => match self.scalar(info.value, read, first) {
                        Ty::Long => ArrayValue::Long,
                        Ty::Str => ArrayValue::Str,
                    },
                };
                GlobalKind::Array { keys, value, size: self.size(info), wrap: info.wrap }
            }
            arity => {
                let at = arity.map_or(info.span, |(_, at)| at);
                match self.model.types.ty(info.value) {
                    Some(Type::Stats) => GlobalKind::Stat(spec(&info.needs)),
                    _ => match (self.scalar(info.value, read, at), &info.init, &info.given) {
                        (Ty::Long, _, Some(given)) => match super::limits::number(given) {
                            Some(init) => GlobalKind::Long { init },
                            None => {
                                let message =
                                    format!("-G {}={given}: the variable takes a number", info.name);
                                self.world.error("global-value", message, info.span);
                                GlobalKind::Long { init: 0 }
                            }
                        },
                        (Ty::Str, _, Some(given)) => GlobalKind::Str { init: given.as_str().into() },
                        (Ty::Long, Some(Literal::Number(n)), None) => GlobalKind::Long { init: *n },
                        (Ty::Str, Some(Literal::String(s)), None) => GlobalKind::Str { init: s.clone() },
                        (Ty::Long, ..) => GlobalKind::Long { init: 0 },
                        (Ty::Str, ..) => GlobalKind::Str { init: Bytes::default() },
                    },
                }
            }
        };
        Global { name: info.name.clone(), kind, span: info.span }
    }

    fn size(&mut self, info: &GlobalInfo) -> Option<u32> {
        let size = info.size?;
        match u32::try_from(size).ok().filter(|s| *s > 0 && *s <= 0x00ff_ffff) {
            Some(s) => Some(s),
            None => {
                self.world.error("array-size", "array size out of range", info.span);
                None
            }
        }
    }

    fn function(&mut self, id: FunctionId) -> Function {
        let info = self.model.function(id);
        let mut body = info.body.clone();
        let uses = Uses::of(&body);
        let mut b = Body::new(self, &info.locals, info.params, &uses);
        b.block(&mut body);
        let locals = b.out;
        let ret = match self.model.types.ty(info.ret) {
            Some(Type::Str) => Some(Ty::Str),
            Some(_) => Some(Ty::Long),
            None => None,
        };
        if ret.is_some() {
            let mut bare = Vec::new();
            walk::each_stmt(&body, &mut |s| {
                bare.extend(matches!(s.kind, StmtKind::Return(None)).then_some(s.span))
            });
            for span in bare {
                let message =
                    format!("'return' without a value in function '{}', which gives one", info.name);
                self.world.error("bare-return", message, span);
            }
        }
        Function {
            name: info.name.clone(),
            params: info.params,
            locals,
            ret,
            body,
            span: info.span,
            next_overload: info.next.and_then(|n| self.functions.get(&n).copied()),
        }
    }

    fn probe(&mut self, n: usize) -> Probe {
        let info = &self.model.probes[n];
        let mut body = info.body.clone();
        let uses = Uses::of(&body);
        let mut b = Body::new(self, &info.locals, 0, &uses);
        b.block(&mut body);
        if b.finish.suppress_errors {
            // `try { … } catch { next }` around the whole (stap(1), --suppress-handler-errors)
            let next = Stmt { kind: StmtKind::Next, span: info.derived.span };
            let kind = StmtKind::Try { body, var: None, handler: vec![next] };
            body = vec![Stmt { kind, span: info.derived.span }];
        }
        let mut condition = info.condition.clone();
        if let Some(c) = &mut condition {
            b.expr(c, true);
        }
        let locals = b.out;
        let d = &info.derived;
        Probe {
            at: d.at.clone(),
            locals,
            body,
            condition,
            pp: d.pp.clone(),
            pn: d.pn.clone(),
            label: format!("probe {}", d.pp),
            derivation: d.derivation.clone(),
            optional: d.optional,
            one_of: d.one_of.as_deref().map(str::to_string),
            span: d.span,
        }
    }
}

fn spec(needs: &StatNeeds) -> StatSpec {
    StatSpec {
        hist: needs.hist.map(|(h, _)| h),
        variance: needs.variance.map(|(b, _)| b),
        minmax: needs.minmax,
    }
}

/// One body: types of expressions, numbers of locals.
struct Body<'b, 'f, 'w> {
    finish: &'b mut Finish<'f, 'w>,
    locals: &'b [LocalInfo],
    uses: &'b Uses,
    /// Old number to new; locals that nothing mentions have none.
    numbers: HashMap<LocalId, LocalId>,
    out: Vec<Local>,
}

impl<'b, 'f, 'w> Body<'b, 'f, 'w> {
    fn new(finish: &'b mut Finish<'f, 'w>, locals: &'b [LocalInfo], params: u32, uses: &'b Uses) -> Self {
        let mut b = Body { finish, locals, uses, numbers: HashMap::new(), out: Vec::new() };
        for (n, l) in locals.iter().enumerate() {
            let id = LocalId(n as u32);
            let read = uses.locals_read.contains(&id);
            if read || uses.locals_written.contains(&id) || id.0 < params {
                if b.finish.model.types.ty(l.tv) == Some(Type::Stats) {
                    b.finish.world.error("stat-local", super::bind_expr::STAT_LOCAL, l.span);
                }
                let poisoned = b.finish.model.poison.contains(&l.span);
                let ty = b.finish.scalar(l.tv, read && !poisoned, l.span);
                b.numbers.insert(id, LocalId(b.out.len() as u32));
                b.out.push(Local { name: l.name.clone(), ty });
            }
        }
        b
    }

    fn local(&self, l: &mut LocalId) {
        *l = self.numbers.get(l).copied().unwrap_or(*l);
    }

    fn global(&self, g: &mut GlobalId) {
        *g = self.finish.globals.get(g).copied().unwrap_or(*g);
    }

    fn lvalue(&self, l: &mut LValue) {
        match l {
            LValue::Local(l) => self.local(l),
            LValue::Global(g) | LValue::Element { array: g, .. } => self.global(g),
        }
    }

    fn stat(&self, s: &mut StatRef) {
        let (StatRef::Scalar(g) | StatRef::Element { array: g, .. } | StatRef::Current { array: g, .. }) = s;
        self.global(g);
    }

    /// The type of an expression; `used`: somebody wants the value.
    fn ty(&mut self, e: &Expr, used: bool) -> Ty {
        let model = self.finish.model;
        match node_of(model, self.locals, e) {
            Node::Known(t) => {
                if t == Type::Str {
                    Ty::Str
                } else {
                    Ty::Long
                }
            }
            Node::Var(tv) => match model.types.ty(tv) {
                Some(Type::Str) => Ty::Str,
                Some(_) => Ty::Long,
                None => {
                    // Variables have been reported where they are declared.
                    let variable =
                        matches!(e.kind, ExprKind::Local(_) | ExprKind::Global(_) | ExprKind::Element { .. });
                    if used && !variable {
                        self.finish.unresolved(e.span);
                    }
                    Ty::Long
                }
            },
            Node::Void | Node::Any => Ty::Long,
        }
    }

    fn expr(&mut self, e: &mut Expr, used: bool) {
        e.ty = self.ty(e, used);
        walk::parts_mut(e, &mut |p| self.expr(p, true));
        match &mut e.kind {
            ExprKind::Local(l) => self.local(l),
            ExprKind::Global(g) | ExprKind::Element { array: g, .. } | ExprKind::In { array: g, .. } => {
                self.global(g)
            }
            ExprKind::Assign { target, .. } | ExprKind::IncDec { target, .. } => {
                self.lvalue(target);
                if let LValue::Element { .. } = target {
                    self.name_array(&mut e.span);
                }
            }
            ExprKind::StatAdd { target: StatTarget::Scalar(g), .. } => self.global(g),
            ExprKind::StatAdd { target: StatTarget::Element { array, .. }, .. } => {
                self.global(array);
                self.name_array(&mut e.span);
            }
            ExprKind::Call { function, .. } => {
                *function = self.finish.functions.get(function).copied().unwrap_or(*function);
            }
            ExprKind::Agg { stat, .. } | ExprKind::Bucket { stat, .. } | ExprKind::HistText { stat } => {
                self.stat(stat)
            }
            ExprKind::Print(p) => {
                let mut args = p.args.iter();
                for piece in &mut p.pieces {
                    let Piece::Conv { letter, width, precision, .. } = piece else { continue };
                    for n in [width, precision] {
                        if *n == super::hir::FormatNumber::Dynamic {
                            args.next();
                        }
                    }
                    let ty = args.next().map(|a| a.ty);
                    if *letter == BY_TYPE {
                        *letter = if ty == Some(Ty::Str) { 's' } else { 'd' };
                    }
                }
            }
            _ => {}
        }
    }

    /// What fails when the program stores an element is shown at the array's name, not at the operator.
    fn name_array(&self, at: &mut crate::diag::Span) {
        *at = self.finish.model.left_sides.get(at).copied().unwrap_or(*at);
    }

    fn block(&mut self, body: &mut [Stmt]) {
        for s in body {
            self.stmt(s);
        }
    }

    fn stmt(&mut self, s: &mut Stmt) {
        let is_expr = matches!(s.kind, StmtKind::Expr(_));
        if let StmtKind::Loop { init, cond, step, body, .. } = &mut s.kind {
            for (e, used) in [(init, false), (cond, true), (step, false)] {
                if let Some(e) = e {
                    self.expr(e, used);
                }
            }
            return self.block(body);
        }
        {
            let this = std::cell::RefCell::new(&mut *self);
            walk::stmt_parts_mut(s, &mut |e| this.borrow_mut().expr(e, !is_expr), &mut |b| {
                this.borrow_mut().block(b)
            });
        }
        match &mut s.kind {
            StmtKind::Foreach(f) => self.foreach(f),
            StmtKind::ForeachBucket { bucket, value, stat, .. } => {
                self.local(bucket);
                *value = value.filter(|v| self.uses.locals_read.contains(v));
                if let Some(v) = value {
                    self.local(v);
                }
                self.stat(stat);
            }
            StmtKind::DeleteGlobal(g) | StmtKind::DeleteElement { array: g, .. } => self.global(g),
            StmtKind::DeleteLocal(l) => self.local(l),
            StmtKind::Try { var, .. } => {
                *var = var.filter(|v| self.uses.locals_read.contains(v));
                if let Some(v) = var {
                    self.local(v);
                }
            }
            _ => {}
        }
    }

    fn foreach(&mut self, f: &mut Foreach) {
        let value = self.finish.model.types.ty(self.finish.model.global(f.array).value);
        self.global(&mut f.array);
        for k in &mut f.keys {
            *k = k.filter(|l| self.uses.locals_read.contains(l));
            if let Some(l) = k {
                self.local(l);
            }
        }
        f.value =
            f.value.filter(|v| !matches!(v, ForeachValue::Local(l) if !self.uses.locals_read.contains(l)));
        if let Some(ForeachValue::Local(l)) = &mut f.value {
            self.local(l);
        }
        if let Some((by @ SortBy::Value, _)) = &mut f.sort {
            if value == Some(Type::Stats) {
                *by = SortBy::Agg(AggOp::Count);
            }
        }
    }
}

/// Used by the driver for programs without probes.
pub fn no_probes() -> Diagnostic {
    Diagnostic::error(Stage::Semantic, "no-probes", "no probes found")
}
