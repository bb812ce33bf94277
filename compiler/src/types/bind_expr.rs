//! Expressions: names become ids, calls find their functions, prints get
//! their pieces. Part of `bind`.

use super::bind::{untyped, Binder, Scope};
use super::bind_target::Assignment;
use super::hir::{
    AggOp, BinaryOp, Expr, ExprKind, FormatFlags, FormatNumber, FunctionId, GlobalId, Hist, LValue, LocalId,
    Piece, Print, StatRef, StatTarget,
};
use super::model::{FunctionInfo, FunctionSource, LocalInfo};
use super::table::Type;
use crate::diag::{Diagnostic, Span, Stage};
use crate::regex;
use crate::resolve::names::{similar, similar_note};
use crate::resolve::target_api::Access;
use crate::resolve::world::UnitId;
use crate::syntax::ast::{self, FormatPiece, HistKind, Literal, PrintKind, UnaryOp};
use stp_vm::isa::{Helper, Ret, HELPERS};

/// Letter of a conversion that follows the type of its argument.
pub const BY_TYPE: char = '?';

/// SystemTap's word for statistics in a local.
pub const STAT_LOCAL: &str = "stat locals not supported, missing global declaration? ";

/// What a call calls.
enum Callee {
    Script(FunctionId),
    Helper(Helper),
    /// `error()`
    Error,
}

impl Binder<'_, '_> {
    /// Stands for what could not be bound and was reported.
    pub(super) fn poison(&mut self, span: Span) -> Expr {
        self.model.poison.insert(span);
        untyped(ExprKind::Number(0), span)
    }

    pub(super) fn expr(&mut self, e: &ast::Expr, scope: &mut Scope) -> Expr {
        let span = e.span;
        let kind = match &e.kind {
            ast::ExprKind::Number(n) => ExprKind::Number(*n),
            ast::ExprKind::String(s) => ExprKind::String(s.clone()),
            ast::ExprKind::Name(name) => return self.name(name, span, scope),
            ast::ExprKind::Index { base, keys } => {
                if let ast::ExprKind::Hist { .. } = base.kind {
                    return self.bucket(base, keys, span, scope);
                }
                if keys.iter().any(Option::is_none) {
                    self.world.error("wildcard-index", "wildcard not allowed in array index", base.span);
                    return self.poison(span);
                }
                if let Some(var) = self.indexed_pointer(base, keys, span, scope) {
                    return self.target_var(&var, Access::Read, scope);
                }
                let keys: Vec<Expr> = self.keys(keys, scope).into_iter().flatten().collect();
                match self.array(base, keys.len(), scope) {
                    Some(array) => ExprKind::Element { array, keys },
                    None => return self.poison(span),
                }
            }
            ast::ExprKind::Call { name, args } => return self.call(name, args, scope),
            ast::ExprKind::Unary { op, arg } => {
                let arg = Box::new(self.expr(arg, scope));
                match op {
                    UnaryOp::Neg => ExprKind::Neg(arg),
                    UnaryOp::Not => ExprKind::Not(arg),
                    UnaryOp::Inv => ExprKind::Inv(arg),
                    // `+x` is x, and must be a number: x - 0 says both.
                    UnaryOp::Plus => {
                        let zero = Box::new(untyped(ExprKind::Number(0), span));
                        ExprKind::Binary { op: BinaryOp::Sub, lhs: arg, rhs: zero }
                    }
                }
            }
            ast::ExprKind::Binary { op, lhs, rhs } => {
                if *op == BinaryOp::ShrU {
                    // SystemTap reads it and then does not know it.
                    let d = Diagnostic::error(Stage::Semantic, "operator", "unsupported binary operator >>>")
                        .at(span)
                        .token(self.world.token(span))
                        .help("mask the result of >> for a shift without sign");
                    self.world.diags.push(d);
                    return self.poison(span);
                }
                let fixed = super::bind_target::is_static(lhs);
                let lhs = self.expr(lhs, scope);
                // What `@defined` rules out need not make sense.
                if let (true, Some(v)) = (fixed, super::bind_target::value(&lhs)) {
                    match op {
                        BinaryOp::And if v == 0 => return untyped(ExprKind::Number(0), span),
                        BinaryOp::Or if v != 0 => return untyped(ExprKind::Number(1), span),
                        _ => {}
                    }
                }
                let rhs = self.expr(rhs, scope);
                ExprKind::Binary { op: *op, lhs: Box::new(lhs), rhs: Box::new(rhs) }
            }
            ast::ExprKind::In { keys, array } => {
                let keys = self.keys(keys, scope);
                match self.array(array, keys.len(), scope) {
                    Some(array) => ExprKind::In { array, keys },
                    None => return self.poison(span),
                }
            }
            ast::ExprKind::Regex { negated, subject, pattern, pattern_span } => {
                if let Err(e) = regex::check(pattern) {
                    self.world.error("bad-regex", e.to_string(), *pattern_span);
                }
                ExprKind::Regex {
                    subject: Box::new(self.expr(subject, scope)),
                    pattern: pattern.clone(),
                    negated: *negated,
                }
            }
            ast::ExprKind::Ternary { cond, then, els } => {
                let fixed = super::bind_target::is_static(cond);
                let cond = self.expr(cond, scope);
                if let (true, Some(v)) = (fixed, super::bind_target::value(&cond)) {
                    return self.expr(if v != 0 { then } else { els }, scope);
                }
                let then = Box::new(self.expr(then, scope));
                let els = Box::new(self.expr(els, scope));
                ExprKind::Ternary { cond: Box::new(cond), then, els }
            }
            ast::ExprKind::Assign { op, target, value } => {
                if let ast::ExprKind::Target(var) = &target.kind {
                    return self.assign_target(&Assignment { var, op: *op, value, span }, scope);
                }
                if let ast::ExprKind::Index { base, keys } = &target.kind {
                    if let Some(var) = self.indexed_pointer(base, keys, target.span, scope) {
                        return self.assign_target(&Assignment { var: &var, op: *op, value, span }, scope);
                    }
                }
                let left = target;
                let Some(target) = self.lvalue(left, span, scope) else {
                    self.expr(value, scope);
                    return self.poison(span);
                };
                let bound = Box::new(self.expr(value, scope));
                if op.is_none() {
                    self.note_assignment(&target, left, value, scope);
                }
                ExprKind::Assign { op: *op, target, value: bound }
            }
            ast::ExprKind::StatAdd { target, value } => {
                let target = self.stat_target(target, span, scope);
                let value = Box::new(self.expr(value, scope));
                match target {
                    Some(target) => ExprKind::StatAdd { target, value },
                    None => return self.poison(span),
                }
            }
            ast::ExprKind::IncDec { increment, prefix, target } => {
                if let ast::ExprKind::Target(var) = &target.kind {
                    let one = ast::Expr { kind: ast::ExprKind::Number(1), span };
                    let op = if *increment { BinaryOp::Add } else { BinaryOp::Sub };
                    return self.assign_target(&Assignment { var, op: Some(op), value: &one, span }, scope);
                }
                match self.lvalue(target, span, scope) {
                    Some(target) => ExprKind::IncDec { increment: *increment, prefix: *prefix, target },
                    None => return self.poison(span),
                }
            }
            ast::ExprKind::Agg { op, target, params } => {
                let Some(stat) = self.stat(target, scope) else { return self.poison(span) };
                let shift = params.first().copied();
                self.needs(stat_global(&stat), *op, shift, span);
                ExprKind::Agg { op: *op, stat }
            }
            ast::ExprKind::Hist { .. } => match self.histogram(e, scope) {
                Some(stat) => ExprKind::HistText { stat },
                None => return self.poison(span),
            },
            ast::ExprKind::Print(p) => return self.print(p, span, scope),
            ast::ExprKind::EmbeddedC(at) => {
                self.embedded_c(*at);
                return self.poison(span);
            }
            ast::ExprKind::Target(_)
            | ast::ExprKind::AddressOf(_)
            | ast::ExprKind::Defined(_)
            | ast::ExprKind::ChooseDefined(..)
            | ast::ExprKind::Entry(_)
            | ast::ExprKind::ProbeWrite(_)
            | ast::ExprKind::Const(_)
            | ast::ExprKind::Perf(_)
            | ast::ExprKind::Deref { .. }
            | ast::ExprKind::Register { .. } => return self.target_expr(e, scope),
        };
        untyped(kind, span)
    }

    fn name(&mut self, name: &str, span: Span, scope: &mut Scope) -> Expr {
        if let Some(l) = scope.names.get(name) {
            return untyped(ExprKind::Local(*l), span);
        }
        if let Some(l) = scope.params.get(name) {
            return untyped(
                match l {
                    Literal::Number(n) => ExprKind::Number(*n),
                    Literal::String(s) => ExprKind::String(s.clone()),
                },
                span,
            );
        }
        if let Some(g) = self.global(name, scope) {
            if !self.use_global(g, 0, span) {
                return self.poison(span);
            }
            return untyped(ExprKind::Global(g), span);
        }
        let l = self.local(name, span, scope);
        untyped(ExprKind::Local(l), span)
    }

    /// What may stand left of `=` and take `++`. `at`: the operator.
    fn lvalue(&mut self, e: &ast::Expr, at: Span, scope: &mut Scope) -> Option<LValue> {
        if !matches!(e.kind, ast::ExprKind::Name(_) | ast::ExprKind::Index { .. }) {
            let d = Diagnostic::error(Stage::Semantic, "lvalue", "Expecting lvalue for assignment")
                .at(at)
                .token(self.world.token(at))
                .related(e.span, "this can't be assigned to");
            self.world.diags.push(d);
            return None;
        }
        let bound = self.expr(e, scope);
        let name = if let ast::ExprKind::Index { base, .. } = &e.kind { base.span } else { e.span };
        self.model.left_sides.insert(at, name);
        match bound.kind {
            ExprKind::Local(l) => Some(LValue::Local(l)),
            ExprKind::Global(g) => {
                self.written(g, e.span, scope);
                Some(LValue::Global(g))
            }
            ExprKind::Element { array, keys } => {
                self.written(array, e.span, scope);
                Some(LValue::Element { array, keys })
            }
            _ if self.model.poison.contains(&bound.span) => None,
            _ => {
                self.world.error("lvalue", "Expecting lvalue for assignment", at);
                None
            }
        }
    }

    // ---- statistics ----------------------------------------------------

    fn stat_target(&mut self, e: &ast::Expr, at: Span, scope: &mut Scope) -> Option<StatTarget> {
        match self.lvalue(e, at, scope)? {
            LValue::Local(_) => {
                self.stat_local(e.span);
                None
            }
            LValue::Global(g) => Some(StatTarget::Scalar(g)),
            LValue::Element { array, keys } => Some(StatTarget::Element { array, keys }),
        }
    }

    fn stat_local(&mut self, span: Span) {
        let d = Diagnostic::error(Stage::Semantic, "stat-local", STAT_LOCAL)
            .at(span)
            .token(self.world.token(span))
            .help("statistics are globals; in a loop over an array of them, name the element: @count(a[k])");
        self.world.diags.push(d);
    }

    /// What an extractor looks at.
    fn stat(&mut self, e: &ast::Expr, scope: &mut Scope) -> Option<StatRef> {
        let bound = self.expr(e, scope);
        match bound.kind {
            ExprKind::Global(g) => Some(StatRef::Scalar(g)),
            ExprKind::Element { array, keys } => Some(StatRef::Element { array, keys }),
            ExprKind::Local(_) => {
                self.stat_local(e.span);
                None
            }
            _ if self.model.poison.contains(&bound.span) => None,
            _ => {
                self.world.error("stat-operand", "an extractor takes a statistics variable", e.span);
                None
            }
        }
    }

    /// Notes what an extractor asks of a statistics variable.
    pub(super) fn needs(&mut self, g: GlobalId, op: AggOp, shift: Option<i64>, span: Span) {
        let info = &mut self.model.globals[g.0 as usize];
        match op {
            AggOp::Min | AggOp::Max => info.needs.minmax = true,
            AggOp::Variance => {
                let shift = shift.unwrap_or(0);
                let Some(bits) = u8::try_from(shift).ok().filter(|b| *b <= 62) else {
                    self.world.error("variance-shift", "bit shift of @variance out of range (0, 62)", span);
                    return;
                };
                // One shift serves them all; none is no wish.
                match info.needs.variance {
                    Some((b, first)) if b != bits && b != 0 && bits != 0 => {
                        let d = Diagnostic::error(
                            Stage::Semantic,
                            "variance-shifts",
                            format!("conflicting bit shifts declared (previously {b})"),
                        )
                        .at(span)
                        .token(self.world.token(span))
                        .related(first, "the other is here");
                        self.world.diags.push(d);
                    }
                    Some((b, _)) if b >= bits => {}
                    _ => info.needs.variance = Some((bits, span)),
                }
            }
            _ => {}
        }
    }

    /// `@hist_log(x)`, `@hist_linear(x, …)`: one kind for a variable.
    pub(super) fn histogram(&mut self, e: &ast::Expr, scope: &mut Scope) -> Option<StatRef> {
        let ast::ExprKind::Hist { kind, target } = &e.kind else { return None };
        let stat = self.stat(target, scope)?;
        let hist = match *kind {
            HistKind::Log => Hist::Log,
            HistKind::Linear { lo, hi, step } => Hist::Linear { lo, hi, step },
        };
        let info = &mut self.model.globals[stat_global(&stat).0 as usize];
        match info.needs.hist {
            Some((h, first)) if h != hist => {
                let message = format!("multiple histogram types declared on '{}'", info.name);
                let d = Diagnostic::error(Stage::Semantic, "histogram-types", message)
                    .at(e.span)
                    .token(self.world.token(e.span))
                    .related(first, "the other is here");
                self.world.diags.push(d);
                None
            }
            _ => {
                info.needs.hist = Some((hist, e.span));
                Some(stat)
            }
        }
    }

    fn bucket(
        &mut self,
        base: &ast::Expr,
        keys: &[Option<ast::Expr>],
        span: Span,
        scope: &mut Scope,
    ) -> Expr {
        let stat = self.histogram(base, scope);
        let [Some(index)] = keys else {
            self.world.error("bucket-arity", "a histogram has one index, the number of the bucket", span);
            return self.poison(span);
        };
        let index = Box::new(self.expr(index, scope));
        match stat {
            Some(stat) => untyped(ExprKind::Bucket { stat, index }, base.span),
            None => self.poison(span),
        }
    }

    // ---- calls ---------------------------------------------------------

    fn call(&mut self, name: &ast::Ident, args: &[ast::Expr], scope: &mut Scope) -> Expr {
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

    // ---- printing ------------------------------------------------------

    fn print(&mut self, p: &ast::Print, span: Span, scope: &mut Scope) -> Expr {
        let args: Vec<Expr> = p.args.iter().map(|a| self.expr(a, scope)).collect();
        let conv = |letter| Piece::Conv {
            letter,
            flags: FormatFlags::default(),
            width: FormatNumber::None,
            precision: FormatNumber::None,
            size: 0,
        };
        let mut pieces = Vec::new();
        match &p.kind {
            PrintKind::Plain => pieces.extend(args.iter().map(|_| conv(BY_TYPE))),
            PrintKind::Char => pieces.extend(args.iter().map(|_| conv('c'))),
            PrintKind::Delimited(by) => {
                for n in 0..args.len() {
                    if n > 0 {
                        pieces.push(Piece::Text(by.clone()));
                    }
                    pieces.push(conv(BY_TYPE));
                }
            }
            PrintKind::Format(format) => {
                let mut takes = 0;
                for f in format {
                    pieces.push(match f {
                        FormatPiece::Text(t) => Piece::Text(t.clone()),
                        FormatPiece::Conv(c) => {
                            let star = |n: &FormatNumber| usize::from(*n == FormatNumber::Dynamic);
                            takes += 1 + star(&c.width) + star(&c.precision);
                            if c.letter == 'b' && !matches!(c.size, 1 | 2 | 4 | 8) {
                                let message = format!("%b writes 1, 2, 4 or 8 bytes, not {}", c.size);
                                self.world.error("print-size", message, span);
                            }
                            Piece::Conv {
                                letter: c.letter,
                                flags: c.flags,
                                width: c.width,
                                precision: c.precision,
                                size: c.size,
                            }
                        }
                    });
                }
                if takes != args.len() {
                    let (word, n) = (if args.len() > takes { "too many" } else { "not enough" }, args.len());
                    self.world.error(
                        "print-args",
                        format!("Wrong number of args to formatted print operator: {word} ({n} for {takes})"),
                        span,
                    );
                    return self.poison(span);
                }
            }
        }
        // A histogram ends its last line itself.
        let histogram =
            !p.to_string && matches!(args.as_slice(), [Expr { kind: ExprKind::HistText { .. }, .. }]);
        if p.newline && !histogram {
            pieces.push(Piece::Text("\n".into()));
        }
        untyped(ExprKind::Print(Box::new(Print { to_string: p.to_string, pieces, args })), span)
    }
}

/// The global behind a statistic.
pub fn stat_global(stat: &StatRef) -> GlobalId {
    match stat {
        StatRef::Scalar(g) | StatRef::Element { array: g, .. } | StatRef::Current { array: g, .. } => *g,
    }
}
