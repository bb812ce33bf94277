//! Expressions: names become ids, prints get their pieces. Part of `bind`.

use super::bind::{untyped, Binder, Scope};
use super::bind_target::Assignment;
use super::hir::{
    AggOp, BinaryOp, Expr, ExprKind, FormatFlags, FormatNumber, GlobalId, Hist, LValue, Piece, Print,
    StatRef, StatTarget,
};
use crate::diag::{Diagnostic, Span, Stage};
use crate::regex;
use crate::resolve::target_api::Access;
use crate::syntax::ast::{self, FormatPiece, HistKind, Literal, PrintKind, UnaryOp};

/// Letter of a conversion that follows the type of its argument.
pub const BY_TYPE: char = '?';

/// SystemTap's word for statistics in a local.
pub const STAT_LOCAL: &str = "stat locals not supported, missing global declaration? ";

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
