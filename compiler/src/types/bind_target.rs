//! What the traced machine has a say in: `$x`, `@cast`, `@var`, `@defined`,
//! `@entry`, `@const`, raw memory and registers. Part of `bind`; the answers
//! are the target's.

use super::bind::{untyped, Binder, Scope};
use super::hir::{BinaryOp, Expr, ExprKind, LValue, LocalId, Space, Stmt, StmtKind, SymbolRef, Ty};
use super::model::{GlobalInfo, ProbeInfo, StatNeeds};
use super::walk;
use super::{bind_packet, bind_value};
use crate::diag::{Diagnostic, Severity, Span, Stage};
use crate::resolve::builtin;
use crate::resolve::points::Derived;
use crate::resolve::target_api::{Access, PlaceContext, ReturnAddress, Way};
use crate::resolve::world::{Body, UnitId};
use crate::syntax::ast::{self, PathStep, TargetBase, TargetVar, UnaryOp};
use stp_vm::isa::Helper;

/// `$x = value`, or with an operator `$x += value`.
pub(super) struct Assignment<'e> {
    pub var: &'e TargetVar,
    pub op: Option<BinaryOp>,
    pub value: &'e ast::Expr,
    pub span: Span,
}

/// Is the value of an expression known once target variables are? What such a
/// condition rules out is not looked at, so that it may name what is not there.
pub fn is_static(e: &ast::Expr) -> bool {
    match &e.kind {
        ast::ExprKind::Defined(_) | ast::ExprKind::ProbeWrite(_) => true,
        ast::ExprKind::Unary { op: UnaryOp::Not, arg } => is_static(arg),
        ast::ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, lhs, rhs } => {
            is_static(lhs) || is_static(rhs)
        }
        ast::ExprKind::Binary { op: BinaryOp::Eq | BinaryOp::Ne, lhs, rhs } => {
            let number = |e: &ast::Expr| matches!(e.kind, ast::ExprKind::Number(_));
            (is_static(lhs) && number(rhs)) || (number(lhs) && is_static(rhs))
        }
        _ => false,
    }
}

/// The number that a bound static condition is; `None` where it takes a run to know.
pub fn value(e: &Expr) -> Option<i64> {
    match &e.kind {
        ExprKind::Number(n) => Some(*n),
        ExprKind::Not(a) => value(a).map(|v| i64::from(v == 0)),
        ExprKind::Binary { op, lhs, rhs } => {
            let (l, r) = (value(lhs), value(rhs));
            match op {
                BinaryOp::And if l == Some(0) || r == Some(0) => Some(0),
                BinaryOp::And => Some(i64::from(l? != 0 && r? != 0)),
                BinaryOp::Or if l.is_some_and(|v| v != 0) => Some(1),
                BinaryOp::Or => Some(i64::from(l? != 0 || r? != 0)),
                BinaryOp::Eq => Some(i64::from(l? == r?)),
                BinaryOp::Ne => Some(i64::from(l? != r?)),
                _ => None,
            }
        }
        _ => None,
    }
}

impl Binder<'_, '_> {
    /// Expressions of the kinds in this file.
    pub(super) fn target_expr(&mut self, e: &ast::Expr, scope: &mut Scope) -> Expr {
        let span = e.span;
        match &e.kind {
            ast::ExprKind::Target(var) | ast::ExprKind::AddressOf(var) if bind_value::is_one(var, scope) => {
                self.read_value(var, matches!(e.kind, ast::ExprKind::AddressOf(_)), span, scope)
            }
            ast::ExprKind::Target(var) | ast::ExprKind::AddressOf(var) if bind_packet::is_one(var, scope) => {
                self.packet_variable(var, matches!(e.kind, ast::ExprKind::AddressOf(_)), span)
            }
            ast::ExprKind::Target(var) => self.snapshot(e, var, Access::Read, scope),
            ast::ExprKind::AddressOf(var) => self.snapshot(e, var, Access::AddressOf, scope),
            ast::ExprKind::Defined(inner) => {
                let defined = self.is_defined(inner, scope);
                untyped(ExprKind::Number(i64::from(defined)), span)
            }
            ast::ExprKind::ChooseDefined(a, b) => {
                let pick = if self.is_defined(a, scope) { a } else { b };
                self.expr(pick, scope)
            }
            ast::ExprKind::Entry(inner) => self.entry(inner, span, scope),
            ast::ExprKind::ProbeWrite(_) if !scope.in_alias => {
                let d = Diagnostic::error(Stage::Semantic, "probewrite-place", "unexpected @probewrite")
                    .at(span)
                    .token(self.world.token(span))
                    .help("it stands in the prologue or epilogue of an alias, and asks about the probe that uses it");
                self.world.diags.push(d);
                self.poison(span)
            }
            ast::ExprKind::ProbeWrite(name) => {
                let written = self.is_written(&name.name, scope);
                untyped(ExprKind::Number(i64::from(written)), span)
            }
            ast::ExprKind::Const(name) => match self.world.target.constant(name) {
                Some(n) => untyped(ExprKind::Number(n), span),
                None => {
                    let d = Diagnostic::error(
                        Stage::Semantic,
                        "unknown-constant",
                        format!("unresolved constant '{name}'"),
                    )
                    .at(span)
                    .token(self.world.token(span))
                    .help("enumerators of the kernel's types are known, preprocessor macros are not");
                    self.world.diags.push(d);
                    self.poison(span)
                }
            },
            ast::ExprKind::Perf(_) => {
                self.world.error("perf-counter", builtin::COUNTERS, span);
                self.poison(span)
            }
            ast::ExprKind::Deref { user, size, address } => {
                let address = self.expr(address, scope);
                let Some(size) = u8::try_from(*size).ok().filter(|s| [1, 2, 4, 8].contains(s)) else {
                    self.world.error("deref-size", "size of the access must be 1, 2, 4 or 8", span);
                    return self.poison(span);
                };
                let space = if *user { Space::User } else { Space::Kernel };
                untyped(
                    ExprKind::Load { addr: Box::new(address), offset: 0, size, signed: true, space },
                    span,
                )
            }
            ast::ExprKind::Register { number, .. } => match u8::try_from(*number).ok().filter(|n| *n < 17) {
                Some(n) => untyped(ExprKind::Register { n }, span),
                None => {
                    self.world.error(
                        "register-number",
                        format!("no register has the DWARF number {number}"),
                        span,
                    );
                    self.poison(span)
                }
            },
            _ => self.poison(span),
        }
    }

    /// Would an expression be accepted here? Nothing of the try remains.
    fn is_defined(&mut self, e: &ast::Expr, scope: &mut Scope) -> bool {
        let before = std::mem::take(&mut self.world.diags.list);
        let calls = self.model.guarded_calls.len();
        let (entries, entered) = (scope.entry.len(), scope.entered.len());
        self.trying += 1;
        self.expr(e, scope);
        self.trying -= 1;
        self.model.guarded_calls.truncate(calls);
        scope.entry.truncate(entries);
        scope.entered.truncate(entered);
        let tried = std::mem::replace(&mut self.world.diags.list, before);
        // Whether there is a function is no question: SystemTap refuses those that are not there.
        let missing = tried.iter().filter(|d| d.code == "unknown-function" && d.severity == Severity::Error);
        let missing: Vec<Diagnostic> = missing.cloned().collect();
        self.world.diags.list.extend(missing);
        !tried.iter().any(|d| d.severity == Severity::Error)
    }

    /// Does the handler that the user wrote assign to a variable of that name?
    fn is_written(&mut self, name: &str, scope: &Scope) -> bool {
        let Some((unit, Body::Probe(n))) = scope.own_body else { return false };
        let script = self.world.units[unit].script.clone();
        assigns(&script.probes[n].body, name)
    }

    pub(super) fn context_is_guru(&self, unit: UnitId) -> bool {
        self.world.options.guru || self.world.units[unit].library
    }

    /// A target variable; at a return what it was when the function was entered (stapprobes, MORE ON
    /// RETURN PROBES). Arguments in registers are kept by the machine; what takes a look at memory
    /// is computed at the entry, as `@entry` would.
    fn snapshot(&mut self, e: &ast::Expr, var: &TargetVar, access: Access, scope: &mut Scope) -> Expr {
        let value = self.target_var(var, access, scope);
        let TargetBase::Name(name) = &var.base else { return value };
        let returns = scope.target.as_ref().is_some_and(|t| t.entry.is_some());
        // the library says @entry where it means that: what of it a script does not use costs nothing
        let library = self.world.units[scope.unit].library;
        if !returns || library || matches!(name.as_str(), "$return" | "$$return") {
            return value;
        }
        let text = String::from_utf8_lossy(self.world.map.slice(e.span)).into_owned();
        let message = format!("confusing usage, value is captured as @entry({text}) in .return probe");
        self.world.warning("captured-at-entry", message, e.span);
        // an index that a script computes is known at the return only
        let fixed = |s: &PathStep| match s {
            PathStep::Element(e) => matches!(e.kind, ast::ExprKind::Number(_)),
            PathStep::Field(_) => true,
        };
        if reads_machine(&value) && var.path.iter().all(fixed) {
            return self.entry(e, e.span, scope);
        }
        value
    }

    /// A target variable. Operands (indexes, the value of a cast) are shown to
    /// the target as locals of their own, and put in where it has used them.
    pub(super) fn target_var(&mut self, var: &TargetVar, access: Access, scope: &mut Scope) -> Expr {
        let mut operands: Vec<Expr> = Vec::new();
        let mut values: Vec<(LocalId, Expr)> = Vec::new();
        let mut asts: Vec<&ast::Expr> = Vec::new();
        if let TargetBase::Cast { value, .. } | TargetBase::Auto(value) = &var.base {
            asts.push(value);
        }
        for step in &var.path {
            if let PathStep::Element(e) = step {
                asts.push(e);
            }
        }
        for e in asts {
            let bound = self.expr(e, scope);
            if matches!(bound.kind, ExprKind::Number(_)) {
                operands.push(bound);
            } else {
                let t = self.temporary("__operand", e.span, scope);
                operands.push(Expr { kind: ExprKind::Local(t), ty: Ty::Long, span: e.span });
                values.push((t, bound));
            }
        }
        let guru = self.context_is_guru(scope.unit);
        let cast = self.cast_of(var, scope);
        let (var, at) = match &cast {
            Some((v, at)) => (v, at.as_ref()),
            None => (var, scope.target.as_ref()),
        };
        let context = PlaceContext { at, guru };
        let replaceable =
            matches!(access, Access::Read) && matches!(var.base, TargetBase::Name(_)) && var.pretty == 0;
        match self.world.target.variable(context, var, &operands, access) {
            Ok(mut e) => {
                self.entered(&mut e, scope);
                for (t, value) in values {
                    place_operand(&mut e, t, value);
                }
                e
            }
            Err(mut d) => {
                let at = *d.span.get_or_insert(var.span);
                if d.token.is_none() {
                    d.token = Some(self.world.token(at));
                }
                if self.world.options.skip_badvars && self.trying == 0 && replaceable {
                    d.severity = Severity::Warning;
                    d.code = "variable-skipped";
                    d.message += "; 0 stands for it (--skip-badvars)";
                    if !self.world.options.no_warnings {
                        self.world.diags.push(d);
                    }
                    return untyped(ExprKind::Number(0), var.span);
                }
                self.world.diags.push(d);
                self.poison(var.span)
            }
        }
    }

    pub(super) fn assign_target(&mut self, set: &Assignment, scope: &mut Scope) -> Expr {
        let Assignment { var, op, value, span } = *set;
        if bind_value::is_one(var, scope) {
            return self.assign_value(set, scope);
        }
        if bind_packet::is_one(var, scope) {
            return self.assign_packet(set, scope);
        }
        let mut new = self.expr(value, scope);
        if let Some(op) = op {
            let old = self.target_var(var, Access::Read, scope);
            new = untyped(ExprKind::Binary { op, lhs: Box::new(old), rhs: Box::new(new) }, span);
        }
        // Shown as a local for the same reason as operands: it is evaluated once, by us.
        let t = self.temporary("__value", span, scope);
        let shown = Expr { kind: ExprKind::Local(t), ty: Ty::Long, span };
        let mut e = self.target_var(var, Access::Write(Box::new(shown)), scope);
        place_operand(&mut e, t, new);
        e
    }

    /// `@entry(expr)`: computed when the function is entered, kept until it returns.
    fn entry(&mut self, e: &ast::Expr, span: Span, scope: &mut Scope) -> Expr {
        if scope.target.as_ref().is_none_or(|t| t.entry.is_none()) {
            self.world.error("entry-outside-return", "@entry is only valid in .return probes", span);
            return self.poison(span);
        }
        let t = self.temporary("__entry", span, scope);
        scope.entry.push((e.clone(), t));
        untyped(ExprKind::Local(t), span)
    }

    /// The probe that computes what `@entry` asks for, and the statements that
    /// fetch it. Calls of one thread nest, so values are kept by thread, by
    /// depth, in an array for each.
    pub(super) fn entry_values(
        &mut self,
        derived: &Derived,
        entry: Vec<(ast::Expr, LocalId)>,
        scope: &mut Scope,
    ) -> (Option<ProbeInfo>, Vec<Stmt>) {
        let Some(place) = derived.target.as_ref().and_then(|t| t.entry.clone()) else {
            return (None, Vec::new());
        };
        let span = derived.span;
        let depths = self.hidden_array("__entry_depth", 2, span, derived.unit);
        let number = |n: i64| untyped(ExprKind::Number(n), span);
        let tid = || untyped(ExprKind::Helper { helper: Helper::Tid, args: Vec::new() }, span);
        let probe = self.model.probes.len() as i64;
        let mut at_entry = Scope::at(derived.unit, Some((*place).clone()));
        let depth_in = self.temporary("__depth", span, &mut at_entry);
        let depth_out = self.temporary("__depth", span, scope);
        let local = |l| untyped(ExprKind::Local(l), span);
        let set = |l, value| {
            let kind = ExprKind::Assign { op: None, target: LValue::Local(l), value: Box::new(value) };
            Stmt { kind: StmtKind::Expr(untyped(kind, span)), span }
        };
        let counter = LValue::Element { array: depths, keys: vec![tid(), number(probe)] };
        let mut save = vec![set(
            depth_in,
            untyped(ExprKind::IncDec { increment: true, prefix: true, target: counter }, span),
        )];
        let deep = untyped(ExprKind::Element { array: depths, keys: vec![tid(), number(probe)] }, span);
        let mut fetch = vec![set(depth_out, deep)];
        // A return whose entry went by before the probe was armed has nothing to say.
        fetch.push(Stmt {
            kind: StmtKind::If {
                cond: local(depth_out),
                then: Vec::new(),
                els: vec![Stmt { kind: StmtKind::Next, span }],
            },
            span,
        });
        for (slot, (e, into)) in entry.into_iter().enumerate() {
            let kept = self.hidden_array(&format!("__entry_{probe}_{slot}"), 2, span, derived.unit);
            let value = self.expr(&e, &mut at_entry);
            let target = LValue::Element { array: kept, keys: vec![tid(), local(depth_in)] };
            let kind = ExprKind::Assign { op: None, target, value: Box::new(value) };
            save.push(Stmt { kind: StmtKind::Expr(untyped(kind, span)), span });
            let keys = vec![tid(), local(depth_out)];
            fetch.push(set(into, untyped(ExprKind::Element { array: kept, keys: keys.clone() }, span)));
            let keys = keys.into_iter().map(Some).collect();
            fetch.push(Stmt { kind: StmtKind::DeleteElement { array: kept, keys }, span });
        }
        let one = untyped(
            ExprKind::Binary { op: BinaryOp::Gt, lhs: Box::new(local(depth_out)), rhs: Box::new(number(1)) },
            span,
        );
        let counter = LValue::Element { array: depths, keys: vec![tid(), number(probe)] };
        let down = untyped(ExprKind::IncDec { increment: false, prefix: true, target: counter }, span);
        let keys = vec![Some(tid()), Some(number(probe))];
        fetch.push(Stmt {
            kind: StmtKind::If {
                cond: one,
                then: vec![Stmt { kind: StmtKind::Expr(down), span }],
                els: vec![Stmt { kind: StmtKind::DeleteElement { array: depths, keys }, span }],
            },
            span,
        });
        let saved = Derived {
            at: place.place.clone(),
            pp: place.pp.clone(),
            pn: place.pp.clone(),
            target: Some(*place),
            pieces: Vec::new(),
            conditions: Vec::new(),
            derivation: derived.derivation.clone(),
            ..derived.clone()
        };
        (Some(ProbeInfo { derived: saved, locals: at_entry.locals, body: save, condition: None }), fetch)
    }

    /// An array that no script sees; the same one for the same name.
    pub(super) fn hidden_array(
        &mut self,
        name: &str,
        keys: usize,
        span: Span,
        unit: UnitId,
    ) -> super::hir::GlobalId {
        if let Some(n) = self.model.globals.iter().position(|g| g.name == name && g.library) {
            return super::hir::GlobalId(n as u32);
        }
        let tvs = (0..keys).map(|_| self.model.types.fresh()).collect();
        let value = self.model.types.fresh();
        self.add_global(GlobalInfo {
            name: name.to_string(),
            span,
            unit,
            library: true,
            size: None,
            wrap: false,
            init: None,
            given: None,
            arity: Some((keys, span)),
            keys: tvs,
            value,
            needs: StatNeeds::default(),
        })
    }
}

/// DWARF number of the stack pointer on x86_64.
const STACK_POINTER: u8 = 7;

/// Leaves the handler where the place was reached by none of the ways.
pub(super) fn only_by(ways: &[Way], span: Span) -> Option<Stmt> {
    let binary = |op, lhs: Expr, rhs: Expr| {
        untyped(ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, span)
    };
    let is_one_of = |at: ReturnAddress, known: &[SymbolRef]| -> Option<Expr> {
        let here = match at {
            ReturnAddress::Own => ExprKind::Helper { helper: Helper::CallerAddr, args: Vec::new() },
            ReturnAddress::Stack(offset) => {
                let addr = Box::new(untyped(ExprKind::Register { n: STACK_POINTER }, span));
                ExprKind::Load { addr, offset, size: 8, signed: false, space: Space::Kernel }
            }
        };
        let equal = |r: &SymbolRef| {
            let address = untyped(ExprKind::Address(r.clone()), span);
            binary(BinaryOp::Eq, untyped(here.clone(), span), address)
        };
        known.iter().map(equal).reduce(|a, b| binary(BinaryOp::Or, a, b))
    };
    let fits = |way: &Way| -> Option<Expr> {
        let steps = way.iter().filter_map(|(at, known)| is_one_of(*at, known));
        steps.reduce(|a, b| binary(BinaryOp::And, a, b))
    };
    let any = ways.iter().filter_map(fits).reduce(|a, b| binary(BinaryOp::Or, a, b))?;
    let next = Stmt { kind: StmtKind::Next, span };
    Some(Stmt { kind: StmtKind::If { cond: any, then: Vec::new(), els: vec![next] }, span })
}

/// Does the value depend on memory, or on registers that change while a function runs?
fn reads_machine(e: &Expr) -> bool {
    let own = matches!(e.kind, ExprKind::Load { .. } | ExprKind::Register { .. } | ExprKind::Helper { .. });
    let mut found = own;
    walk::parts(e, &mut |p| found = found || reads_machine(p));
    found
}

/// Puts `value` where `e` reads the local `t`: in place if that is once, else
/// kept in `t` by the first read.
fn place_operand(e: &mut Expr, t: LocalId, value: Expr) {
    fn count(e: &Expr, t: LocalId) -> usize {
        let mut n = usize::from(matches!(e.kind, ExprKind::Local(l) if l == t));
        walk::parts(e, &mut |p| n += count(p, t));
        n
    }
    fn put(e: &mut Expr, t: LocalId, value: &mut Option<Expr>) {
        if matches!(e.kind, ExprKind::Local(l) if l == t) {
            if let Some(v) = value.take() {
                *e = v;
            }
            return;
        }
        walk::parts_mut(e, &mut |p| put(p, t, value));
    }
    let mut value = Some(if count(e, t) > 1 {
        let span = value.span;
        untyped(ExprKind::Assign { op: None, target: LValue::Local(t), value: Box::new(value) }, span)
    } else {
        value
    });
    put(e, t, &mut value);
}

/// Is there an assignment to the variable in a statement?
fn assigns(s: &ast::Stmt, name: &str) -> bool {
    use ast::StmtKind as S;
    let in_expr = |e: &ast::Expr| expr_assigns(e, name);
    match &s.kind {
        S::Block(list) => list.iter().any(|s| assigns(s, name)),
        S::Expr(e) | S::Delete(e) => in_expr(e),
        S::If { cond, then, els } => {
            in_expr(cond) || assigns(then, name) || els.as_ref().is_some_and(|e| assigns(e, name))
        }
        S::While { cond, body } | S::DoWhile { body, cond } => in_expr(cond) || assigns(body, name),
        S::For { init, cond, step, body } => {
            [init, cond, step].into_iter().flatten().any(in_expr) || assigns(body, name)
        }
        S::Foreach(f) => f.keys.iter().chain(&f.value).any(|(k, _)| k.name == name) || assigns(&f.body, name),
        S::Try { body, var, handler } => {
            assigns(body, name) || assigns(handler, name) || var.as_ref().is_some_and(|v| v.name == name)
        }
        S::Return(e) => e.as_ref().is_some_and(in_expr),
        S::Null | S::Break | S::Continue | S::Next => false,
    }
}

fn expr_assigns(e: &ast::Expr, name: &str) -> bool {
    use ast::ExprKind as E;
    let names = |t: &ast::Expr| match &t.kind {
        E::Name(n) => n == name,
        E::Target(v) => matches!(&v.base, TargetBase::Name(n) if n == name),
        _ => false,
    };
    let any = |list: &[ast::Expr]| list.iter().any(|e| expr_assigns(e, name));
    match &e.kind {
        E::Assign { target, value, .. } => {
            names(target) || expr_assigns(target, name) || expr_assigns(value, name)
        }
        E::IncDec { target, .. } => names(target),
        E::StatAdd { value, .. } => expr_assigns(value, name),
        E::Call { args, .. } => any(args),
        E::Print(p) => any(&p.args),
        E::Unary { arg, .. } => expr_assigns(arg, name),
        E::Binary { lhs, rhs, .. } => expr_assigns(lhs, name) || expr_assigns(rhs, name),
        E::Ternary { cond, then, els } => [cond, then, els].into_iter().any(|e| expr_assigns(e, name)),
        E::Index { keys, .. } | E::In { keys, .. } => keys.iter().flatten().any(|e| expr_assigns(e, name)),
        E::Regex { subject, .. } => expr_assigns(subject, name),
        _ => false,
    }
}
