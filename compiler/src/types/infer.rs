//! Types: every use says what a variable must hold. In: a bound [`Model`].
//! Out: its type table filled, with a message for each contradiction that
//! shows both places. One walk, as uses are equalities that hold in any order.

use super::bind_expr::{stat_global, BY_TYPE};
use super::hir::{
    BinaryOp, Expr, ExprKind, ForeachValue, LValue, LocalId, Piece, Print, StatTarget, Stmt, StmtKind,
};
use super::model::{LocalInfo, Model};
use super::table::{Tv, Type};
use super::walk;
use crate::diag::{Diagnostic, Diagnostics, SourceMap, Span, Stage};
use crate::resolve::world::token;
use stp_vm::isa::Ret;

/// What is known of an expression's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    Known(Type),
    Var(Tv),
    /// Nothing: it has no value, and whoever uses it is told.
    Void,
    /// Wrong and reported.
    Any,
}

/// "type mismatch (string)", with the place where it was settled otherwise.
pub fn conflict(map: &SourceMap, now: Type, at: Span, was: Type, first: Span) -> Diagnostic {
    Diagnostic::error(Stage::Semantic, "type-mismatch", format!("type mismatch ({})", now.name()))
        .at(at)
        .token(token(map, at))
        .related(first, format!("type was first inferred here ({})", was.name()))
}

/// Walks a model.
pub struct Infer<'m> {
    pub model: &'m mut Model,
    pub map: &'m SourceMap,
    pub diags: &'m mut Diagnostics,
}

/// Infers the whole program.
pub fn infer(model: &mut Model, map: &SourceMap, diags: &mut Diagnostics) {
    // The walk reads bodies and writes types: bodies are out of the model meanwhile.
    let functions: Vec<Vec<Stmt>> = model.functions.iter_mut().map(|f| std::mem::take(&mut f.body)).collect();
    let probes = std::mem::take(&mut model.probes);
    let mut pass = Infer { model, map, diags };
    for (n, body) in functions.iter().enumerate() {
        let locals = pass.model.functions[n].locals.clone();
        let ret = pass.model.functions[n].ret;
        Body { pass: &mut pass, locals: &locals, ret: Some(ret) }.block(body);
    }
    for p in &probes {
        let mut body = Body { pass: &mut pass, locals: &p.locals, ret: None };
        if let Some(c) = &p.condition {
            body.want(c, Type::Long);
        }
        body.block(&p.body);
    }
    model.probes = probes;
    for (f, body) in model.functions.iter_mut().zip(functions) {
        f.body = body;
    }
}

/// The type of an expression as far as the table knows, without looking for contradictions.
pub fn node_of(model: &Model, locals: &[LocalInfo], e: &Expr) -> Node {
    if model.poison.contains(&e.span) {
        return Node::Any;
    }
    match &e.kind {
        ExprKind::String(_) | ExprKind::HistText { .. } => Node::Known(Type::Str),
        ExprKind::Local(l) => Node::Var(locals[l.0 as usize].tv),
        ExprKind::Global(g) => Node::Var(model.global(*g).value),
        ExprKind::Element { array, .. } => Node::Var(model.global(*array).value),
        ExprKind::Binary { op: BinaryOp::Concat, .. } => Node::Known(Type::Str),
        ExprKind::Ternary { then, els, .. } => match node_of(model, locals, then) {
            Node::Any => node_of(model, locals, els),
            Node::Var(tv) if model.types.ty(tv).is_none() => match node_of(model, locals, els) {
                Node::Any | Node::Void => Node::Var(tv),
                n => n,
            },
            n => n,
        },
        ExprKind::Assign { op: Some(BinaryOp::Concat), .. } => Node::Known(Type::Str),
        ExprKind::Assign { op: None, target, value } => match lvalue_tv(model, locals, target) {
            tv if model.types.ty(tv).is_some() => Node::Var(tv),
            tv => match node_of(model, locals, value) {
                Node::Known(t) => Node::Known(t),
                _ => Node::Var(tv),
            },
        },
        ExprKind::Call { function, .. } => Node::Var(model.function(*function).ret),
        ExprKind::Helper { helper, .. } => match helper.info().ret {
            Ret::I => Node::Known(Type::Long),
            Ret::S => Node::Known(Type::Str),
            Ret::V => Node::Void,
        },
        ExprKind::Error(_) => Node::Void,
        ExprKind::Print(p) if p.to_string => Node::Known(Type::Str),
        ExprKind::Rescue { .. } => Node::Known(Type::Str),
        ExprKind::Print(_) | ExprKind::StatAdd { .. } => Node::Void,
        _ => Node::Known(Type::Long),
    }
}

fn lvalue_tv(model: &Model, locals: &[LocalInfo], l: &LValue) -> Tv {
    match l {
        LValue::Local(l) => locals[l.0 as usize].tv,
        LValue::Global(g) => model.global(*g).value,
        LValue::Element { array, .. } => model.global(*array).value,
    }
}

/// A function or handler being walked.
struct Body<'p, 'm, 'l> {
    pass: &'p mut Infer<'m>,
    locals: &'l [LocalInfo],
    /// `None` in a probe.
    ret: Option<Tv>,
}

impl Body<'_, '_, '_> {
    fn node(&self, e: &Expr) -> Node {
        node_of(self.pass.model, self.locals, e)
    }

    fn report(&mut self, d: Diagnostic) {
        self.pass.diags.push(d);
    }

    /// Settles a variable for a use at `at`.
    fn settle(&mut self, tv: Tv, ty: Type, at: Span) {
        if let Err((was, first)) = self.pass.model.types.settle(tv, ty, at) {
            let d = conflict(self.pass.map, ty, at, was, first);
            self.report(d);
        }
    }

    fn mismatch(&mut self, want: Type, found: Type, at: Span) {
        let message = format!("type mismatch: expected {} but found {}", want.name(), found.name());
        let d = Diagnostic::error(Stage::Semantic, "type-mismatch", message)
            .at(at)
            .token(token(self.pass.map, at));
        self.report(d);
    }

    /// An expression that must be of a type.
    fn want(&mut self, e: &Expr, ty: Type) {
        self.expr(e);
        self.is(e, ty);
    }

    /// As `want`, for an expression that has been walked.
    fn is(&mut self, e: &Expr, ty: Type) {
        match self.node(e) {
            Node::Any => {}
            Node::Known(t) if t == ty => {}
            // Both arms are at fault separately; each says so itself.
            _ if matches!(e.kind, ExprKind::Ternary { .. }) => {
                if let ExprKind::Ternary { then, els, .. } = &e.kind {
                    self.is(then, ty);
                    self.is(els, ty);
                }
            }
            Node::Known(t) => self.mismatch(ty, t, e.span),
            Node::Void => self.no_value(e),
            Node::Var(tv) if self.pass.model.types.ty(tv) == Some(Type::Stats) => self.stats_as_value(e.span),
            Node::Var(tv) => self.settle(tv, ty, e.span),
        }
    }

    fn no_value(&mut self, e: &Expr) {
        let message = "unresolved type : this has no value";
        let d = Diagnostic::error(Stage::Semantic, "no-value", message)
            .at(e.span)
            .token(token(self.pass.map, e.span));
        self.report(d);
    }

    fn stats_as_value(&mut self, at: Span) {
        let d = Diagnostic::error(Stage::Semantic, "stats-value", "invalid type stats")
            .at(at)
            .token(token(self.pass.map, at))
            .help("statistics are read by an extractor: @count, @sum, @min, @max, @avg, @variance, @hist_log, @hist_linear");
        self.report(d);
    }

    /// An expression whose value is used, of whatever type.
    fn value(&mut self, e: &Expr) {
        self.expr(e);
        match self.node(e) {
            Node::Void => self.no_value(e),
            Node::Var(tv) if self.pass.model.types.ty(tv) == Some(Type::Stats) => self.stats_as_value(e.span),
            _ => {}
        }
    }

    /// Two walked expressions that must be of one type; `at` is what joins them.
    fn same(&mut self, a: &Expr, b: &Expr, at: Span) {
        match (self.node(a), self.node(b)) {
            (Node::Any, _) | (_, Node::Any) => {}
            (Node::Void, _) => self.no_value(a),
            (_, Node::Void) => self.no_value(b),
            (Node::Known(x), _) if !matches!(self.node(b), Node::Known(_)) => self.is(b, x),
            (_, Node::Known(y)) if !matches!(self.node(a), Node::Known(_)) => self.is(a, y),
            (Node::Known(x), Node::Known(y)) => self.disagree(x, y, at),
            (Node::Var(x), Node::Var(y)) => self.unite(x, y, at),
            _ => {}
        }
    }

    fn unite(&mut self, a: Tv, b: Tv, at: Span) {
        if let Err((x, y)) = self.pass.model.types.unite(a, b) {
            self.disagree(x, y, at);
        }
    }

    fn disagree(&mut self, a: Type, b: Type, at: Span) {
        if a == b {
            return;
        }
        let message =
            format!("type mismatch: left and right sides don't agree ({} vs {})", a.name(), b.name());
        let d = Diagnostic::error(Stage::Semantic, "type-mismatch", message)
            .at(at)
            .token(token(self.pass.map, at));
        self.report(d);
    }

    /// A walked expression that must be of the type of a variable.
    fn fits(&mut self, tv: Tv, e: &Expr) {
        match (self.node(e), self.pass.model.types.ty(tv)) {
            (Node::Any, _) => {}
            (Node::Void, _) => self.no_value(e),
            (Node::Known(t), None) => self.settle(tv, t, e.span),
            (_, Some(t)) => self.is(e, t),
            (Node::Var(x), None) => self.unite(x, tv, e.span),
        }
    }

    fn keys(&mut self, array: super::hir::GlobalId, keys: &[&Expr]) {
        let tvs = self.pass.model.global(array).keys.clone();
        for (tv, k) in tvs.into_iter().zip(keys) {
            self.value(k);
            self.fits(tv, k);
        }
    }

    /// Keys of which some are `*`.
    fn some_keys(&mut self, array: super::hir::GlobalId, keys: &[Option<Expr>]) {
        let tvs = self.pass.model.global(array).keys.clone();
        for (tv, k) in tvs.into_iter().zip(keys) {
            if let Some(k) = k {
                self.value(k);
                self.fits(tv, k);
            }
        }
    }

    fn lvalue(&mut self, l: &LValue) -> Tv {
        if let LValue::Element { array, keys } = l {
            self.keys(*array, &keys.iter().collect::<Vec<_>>());
        }
        lvalue_tv(self.pass.model, self.locals, l)
    }

    fn assign(&mut self, op: Option<BinaryOp>, target: &LValue, value: &Expr, at: Span) {
        let tv = self.lvalue(target);
        self.value(value);
        let at = self.target_span(at);
        match op {
            Some(BinaryOp::Concat) => {
                self.settle(tv, Type::Str, at);
                self.is(value, Type::Str);
            }
            Some(_) => {
                self.settle(tv, Type::Long, at);
                self.is(value, Type::Long);
            }
            None => match self.node(value) {
                Node::Known(t) => self.settle(tv, t, at),
                Node::Var(v) => match (self.pass.model.types.ty(tv), self.pass.model.types.ty(v)) {
                    (Some(Type::Stats), _) | (_, Some(Type::Stats)) => {
                        if let Some(t) = self.pass.model.types.ty(v).filter(|t| *t != Type::Stats) {
                            self.settle(tv, t, at);
                        }
                    }
                    (_, Some(t)) => {
                        self.settle(tv, t, at);
                    }
                    _ => self.unite(v, tv, at),
                },
                _ => {}
            },
        }
    }

    /// Where the left side of the operator at a span stands.
    fn target_span(&self, at: Span) -> Span {
        self.pass.model.left_sides.get(&at).copied().unwrap_or(at)
    }

    fn expr(&mut self, e: &Expr) {
        use Type::{Long, Stats, Str};
        match &e.kind {
            ExprKind::Element { array, keys } => self.keys(*array, &keys.iter().collect::<Vec<_>>()),
            ExprKind::In { array, keys } => self.some_keys(*array, keys),
            ExprKind::Neg(a) | ExprKind::Inv(a) | ExprKind::Not(a) => self.want(a, Long),
            ExprKind::Binary { op, lhs, rhs } => match op {
                BinaryOp::Concat => {
                    self.want(lhs, Str);
                    self.want(rhs, Str);
                }
                BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => {
                    self.value(lhs);
                    self.value(rhs);
                    self.same(lhs, rhs, e.span);
                }
                _ => {
                    self.want(lhs, Long);
                    self.want(rhs, Long);
                }
            },
            ExprKind::Ternary { cond, then, els } => {
                self.want(cond, Long);
                self.expr(then);
                self.expr(els);
                match (self.node(then), self.node(els)) {
                    (Node::Known(x), Node::Known(y)) if x != y => self.mismatch(x, y, els.span),
                    (Node::Void, Node::Void) => {}
                    _ => self.same(then, els, e.span),
                }
            }
            ExprKind::Assign { op, target, value } => self.assign(*op, target, value, e.span),
            ExprKind::StatAdd { target, value } => {
                let g = match target {
                    StatTarget::Scalar(g) => *g,
                    StatTarget::Element { array, keys } => {
                        self.keys(*array, &keys.iter().collect::<Vec<_>>());
                        *array
                    }
                };
                let tv = self.pass.model.global(g).value;
                let at = self.target_span(e.span);
                self.settle(tv, Stats, at);
                self.want(value, Long);
            }
            ExprKind::IncDec { target, .. } => {
                let tv = self.lvalue(target);
                let at = self.target_span(e.span);
                self.settle(tv, Long, at);
            }
            ExprKind::Call { function, args } => {
                let params: Vec<Tv> = self
                    .pass
                    .model
                    .function(*function)
                    .locals
                    .iter()
                    .map(|l| l.tv)
                    .take(args.len())
                    .collect();
                for (tv, a) in params.into_iter().zip(args) {
                    self.value(a);
                    self.fits(tv, a);
                }
            }
            ExprKind::Helper { helper, args } => {
                for (kind, a) in helper.info().args.bytes().zip(args) {
                    self.want(a, if kind == b's' { Str } else { Long });
                }
            }
            ExprKind::Error(text) | ExprKind::Rescue { text, .. } => self.want(text, Str),
            ExprKind::Agg { stat, .. } | ExprKind::HistText { stat } => self.stat(stat, e.span),
            ExprKind::Bucket { stat, index } => {
                self.stat(stat, e.span);
                self.want(index, Long);
            }
            ExprKind::Print(p) => self.print(p),
            ExprKind::Regex { subject, .. } => self.want(subject, Str),
            ExprKind::Load { addr, .. } => self.want(addr, Long),
            ExprKind::BitField { value, .. } => self.want(value, Long),
            ExprKind::Store { addr, value, .. } => {
                self.want(addr, Long);
                self.want(value, Long);
            }
            _ => walk::parts(e, &mut |p| self.expr(p)),
        }
    }

    fn stat(&mut self, stat: &super::hir::StatRef, at: Span) {
        let g = stat_global(stat);
        if let super::hir::StatRef::Element { array, keys } = stat {
            self.keys(*array, &keys.iter().collect::<Vec<_>>());
        }
        let tv = self.pass.model.global(g).value;
        self.settle(tv, Type::Stats, at);
    }

    fn print(&mut self, p: &Print) {
        let mut args = p.args.iter();
        for piece in &p.pieces {
            let Piece::Conv { letter, width, precision, .. } = piece else { continue };
            for n in [width, precision] {
                if *n == super::hir::FormatNumber::Dynamic {
                    if let Some(a) = args.next() {
                        self.want(a, Type::Long);
                    }
                }
            }
            let Some(a) = args.next() else { break };
            match *letter {
                BY_TYPE => self.value(a),
                's' => self.want(a, Type::Str),
                _ => self.want(a, Type::Long),
            }
        }
    }

    fn block(&mut self, body: &[Stmt]) {
        for s in body {
            self.stmt(s);
        }
    }

    fn stmt(&mut self, s: &Stmt) {
        match &s.kind {
            StmtKind::Block(b) => self.block(b),
            StmtKind::Expr(e) => self.expr(e),
            StmtKind::If { cond, then, els } => {
                self.want(cond, Type::Long);
                self.block(then);
                self.block(els);
            }
            StmtKind::Loop { init, cond, step, body, .. } => {
                if let Some(e) = init {
                    self.expr(e);
                }
                if let Some(e) = cond {
                    self.want(e, Type::Long);
                }
                self.block(body);
                if let Some(e) = step {
                    self.expr(e);
                }
            }
            StmtKind::Foreach(f) => {
                let tvs = self.pass.model.global(f.array).keys.clone();
                for (tv, key) in tvs.iter().zip(&f.keys) {
                    if let Some(l) = key {
                        self.local_is(*l, *tv);
                    }
                }
                self.some_keys(f.array, &f.slice);
                if let Some(ForeachValue::Local(l)) = f.value {
                    let tv = self.pass.model.global(f.array).value;
                    if self.pass.model.types.ty(tv) == Some(Type::Stats) {
                        self.stats_as_value(self.locals[l.0 as usize].span);
                    } else {
                        self.local_is(l, tv);
                    }
                }
                if let Some((super::hir::SortBy::Agg(_), _)) = f.sort {
                    let tv = self.pass.model.global(f.array).value;
                    self.settle(tv, Type::Stats, s.span);
                }
                if let Some(e) = &f.limit {
                    self.want(e, Type::Long);
                }
                self.block(&f.body);
            }
            StmtKind::ForeachBucket { bucket, value, stat, limit, body, .. } => {
                self.stat(stat, s.span);
                for l in [*bucket].iter().chain(value) {
                    let (tv, at) = (self.locals[l.0 as usize].tv, self.locals[l.0 as usize].span);
                    self.settle(tv, Type::Long, at);
                }
                if let Some(e) = limit {
                    self.want(e, Type::Long);
                }
                self.block(body);
            }
            StmtKind::Return(Some(e)) => {
                self.value(e);
                if let Some(ret) = self.ret {
                    self.fits(ret, e);
                }
            }
            StmtKind::DeleteElement { array, keys } => self.some_keys(*array, keys),
            StmtKind::Try { body, handler, .. } => {
                self.block(body);
                self.block(handler);
            }
            StmtKind::Break
            | StmtKind::Continue
            | StmtKind::Next
            | StmtKind::Return(None)
            | StmtKind::DeleteGlobal(_)
            | StmtKind::DeleteLocal(_) => {}
        }
    }

    /// A loop's variable takes what the array gives.
    fn local_is(&mut self, l: LocalId, tv: Tv) {
        let LocalInfo { tv: local, span, .. } = self.locals[l.0 as usize].clone();
        if let Err((was, now)) = self.pass.model.types.unite(tv, local) {
            let first = self.pass.model.types.get(local).map_or(span, |(_, s)| s);
            let d = conflict(self.pass.map, was, span, now, first);
            self.report(d);
        }
    }
}
