//! AST to text: `stap -p1`.
//!
//! Laid out as SystemTap prints a parse tree: globals, aliases, probes,
//! functions; every operand in parentheses. Unlike there the text says
//! everything (types, `private`, priorities, epilogues), so that it is a script
//! again: parsing it gives the same tree, unless the parentheses nest deeper than
//! a script's may.

use super::ast::*;
use super::spell::{self, quoted, Quoted};
use crate::diag::{FileId, SourceMap, Span};
use std::fmt::{self, Write};

/// The whole script. `map` holds the embedded C.
pub fn script(map: &SourceMap, s: &Script) -> String {
    let mut p = Printer { map, out: String::new() };
    // Writing to a String does not fail.
    let _ = p.script(s);
    p.out
}

/// What `stap -p1` prints: all scripts, each under its file's name.
pub fn tree_dump(map: &SourceMap, scripts: &[(FileId, Script)]) -> String {
    let mut out = "# parse tree dump\n".to_string();
    for (file, s) in scripts {
        out += &format!("# file {}\n{}\n", map.get(*file).name, script(map, s));
    }
    out
}

/// One expression, as in `stap -p1`.
pub fn expression(map: &SourceMap, e: &Expr) -> String {
    let mut p = Printer { map, out: String::new() };
    let _ = p.expr(e);
    p.out
}

/// A probe point as written: `a.b("x")?`; its condition too.
pub fn point(map: &SourceMap, point: &ProbePoint) -> String {
    let mut p = Printer { map, out: String::new() };
    let _ = p.point(point);
    p.out
}

struct Printer<'a> {
    map: &'a SourceMap,
    out: String,
}

impl Printer<'_> {
    fn script(&mut self, s: &Script) -> fmt::Result {
        for span in &s.embedded {
            self.embedded(*span)?;
            self.out.push('\n');
        }
        for g in &s.globals {
            let private = if g.private { "private " } else { "" };
            write!(self.out, "{private}global {}{}", g.name.name, if g.wrap { "%" } else { "" })?;
            if let Some(n) = g.size {
                write!(self.out, "[{n}]")?;
            }
            if let Some(init) = &g.init {
                write!(self.out, " = {init}")?;
            }
            self.out.push('\n');
        }
        for a in &s.aliases {
            self.out += "probe ";
            self.points(&a.names, ", ")?;
            self.out += if a.append { " += " } else { " = " };
            self.points(&a.points, ", ")?;
            self.statement(&a.body)?;
            if let Some(second) = &a.second {
                self.out.truncate(self.out.trim_end().len());
                self.out += ", ";
                self.statement(second)?;
            }
        }
        for p in &s.probes {
            self.out += "probe ";
            self.points(&p.points, ",")?;
            self.statement(&p.body)?;
        }
        for f in &s.functions {
            self.function(f)?;
        }
        Ok(())
    }

    fn function(&mut self, f: &FunctionDecl) -> fmt::Result {
        write!(self.out, "{}function {}", if f.private { "private " } else { "" }, f.name.name)?;
        if let Some(ty) = f.ret {
            write!(self.out, ":{}", ty.text())?;
        }
        self.out += " (";
        for (n, p) in f.params.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(self.out, "{comma}{}", p.name.name)?;
            if let Some(ty) = p.ty {
                write!(self.out, ":{}", ty.text())?;
            }
        }
        self.out.push(')');
        if let Some(n) = f.priority {
            write!(self.out, ":{n}")?;
        }
        self.out.push('\n');
        match &f.body {
            FunctionBody::Script(s) => self.statement(s),
            FunctionBody::EmbeddedC(span) => {
                self.embedded(*span)?;
                self.out.push('\n');
                Ok(())
            }
        }
    }

    fn embedded(&mut self, span: Span) -> fmt::Result {
        write!(self.out, "{}", String::from_utf8_lossy(self.map.slice(span)))
    }

    fn points(&mut self, points: &[ProbePoint], comma: &str) -> fmt::Result {
        for (n, p) in points.iter().enumerate() {
            if n > 0 {
                self.out += comma;
            }
            self.point(p)?;
        }
        Ok(())
    }

    fn point(&mut self, p: &ProbePoint) -> fmt::Result {
        for (n, c) in p.components.iter().enumerate() {
            if n > 0 {
                self.out.push('.');
            }
            self.out += &c.name.name;
            match &c.arg {
                Some(ComponentArg::Literal(l)) => write!(self.out, "({l})")?,
                Some(ComponentArg::Param(name)) => write!(self.out, "({})", name.name)?,
                None => {}
            }
        }
        if p.optional {
            self.out.push('?');
        }
        if p.sufficient {
            self.out.push('!');
        }
        if let Some(c) = &p.condition {
            self.out += " if (";
            self.expr(c)?;
            self.out.push(')');
        }
        Ok(())
    }

    /// A statement and the end of its line.
    fn statement(&mut self, s: &Stmt) -> fmt::Result {
        match &s.kind {
            StmtKind::Block(list) => {
                self.out += "{\n";
                for s in list {
                    self.statement(s)?;
                }
                self.out += "}\n";
                return Ok(());
            }
            StmtKind::Null => {}
            // As a statement the bare word would begin a loop.
            StmtKind::Expr(Expr { kind: ExprKind::Name(name), .. }) if name == "do" => self.out += "(do)",
            StmtKind::Expr(e) => self.expr(e)?,
            StmtKind::If { cond, then, els } => {
                self.head("if", cond)?;
                self.statement(then)?;
                if let Some(els) = els {
                    self.out += "else ";
                    self.statement(els)?;
                }
                return Ok(());
            }
            StmtKind::While { cond, body } => {
                self.head("while", cond)?;
                return self.statement(body);
            }
            StmtKind::DoWhile { body, cond } => {
                self.out += "do ";
                self.statement(body)?;
                self.head("while", cond)?;
                self.out.truncate(self.out.trim_end().len());
            }
            StmtKind::For { init, cond, step, body } => {
                self.out += "for (";
                self.option(init.as_ref())?;
                self.out += "; ";
                self.option(cond.as_ref())?;
                self.out += "; ";
                self.option(step.as_ref())?;
                self.out += ") ";
                return self.statement(body);
            }
            StmtKind::Foreach(f) => return self.foreach(f),
            StmtKind::Break => self.out += "break",
            StmtKind::Continue => self.out += "continue",
            StmtKind::Next => self.out += "next",
            StmtKind::Return(None) => self.out += "return",
            StmtKind::Return(Some(e)) => {
                self.out += "return ";
                self.expr(e)?;
            }
            StmtKind::Delete(e) => {
                self.out += "delete ";
                self.expr(e)?;
            }
            StmtKind::Try { body, var, handler } => {
                self.out += "try ";
                self.statement(body)?;
                self.out += "catch ";
                if let Some(var) = var {
                    write!(self.out, "({}) ", var.name)?;
                }
                return self.statement(handler);
            }
        }
        self.out += ";\n";
        Ok(())
    }

    fn head(&mut self, word: &str, cond: &Expr) -> fmt::Result {
        write!(self.out, "{word} (")?;
        self.expr(cond)?;
        self.out += ") ";
        Ok(())
    }

    fn foreach(&mut self, f: &Foreach) -> fmt::Result {
        let sign = |s: &Option<Sort>| s.map(|s| s.sign().to_string()).unwrap_or_default();
        self.out += "foreach (";
        if let Some((name, sort)) = &f.value {
            write!(self.out, "{}{} = ", name.name, sign(sort))?;
        }
        self.out.push('[');
        for (n, (name, sort)) in f.keys.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(self.out, "{comma}{}{}", name.name, sign(sort))?;
        }
        self.out += "] in ";
        self.expr(&f.array)?;
        if let Some(keys) = &f.slice {
            self.keys(keys, false)?;
        }
        if let Some((agg, sort)) = f.array_sort {
            if let Some(agg) = agg {
                write!(self.out, " {}", agg.text())?;
            }
            self.out.push(sort.sign());
        }
        if let Some(limit) = &f.limit {
            self.out += " limit ";
            self.expr(limit)?;
        }
        self.out += ") ";
        self.statement(&f.body)
    }

    fn option(&mut self, e: Option<&Expr>) -> fmt::Result {
        match e {
            Some(e) => self.expr(e),
            None => Ok(()),
        }
    }

    /// `[a, *]`. In front of `in` what binds looser than a comparison needs parentheses.
    fn keys(&mut self, keys: &[Option<Expr>], before_in: bool) -> fmt::Result {
        self.out.push('[');
        for (n, key) in keys.iter().enumerate() {
            if n > 0 {
                self.out += ", ";
            }
            match key {
                None => self.out.push('*'),
                Some(e) if before_in && is_loose(e) => self.operand(e)?,
                Some(e) => self.expr(e)?,
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn list(&mut self, args: &[Expr]) -> fmt::Result {
        for (n, e) in args.iter().enumerate() {
            if n > 0 {
                self.out += ", ";
            }
            self.expr(e)?;
        }
        Ok(())
    }

    fn operand(&mut self, e: &Expr) -> fmt::Result {
        self.out.push('(');
        self.expr(e)?;
        self.out.push(')');
        Ok(())
    }

    fn infix(&mut self, lhs: &Expr, op: &str, rhs: &Expr) -> fmt::Result {
        self.operand(lhs)?;
        write!(self.out, " {op} ")?;
        self.operand(rhs)
    }

    /// `@name(arg)`
    fn at(&mut self, name: &str, arg: &Expr) -> fmt::Result {
        write!(self.out, "@{name}(")?;
        self.expr(arg)?;
        self.out.push(')');
        Ok(())
    }

    fn expr(&mut self, e: &Expr) -> fmt::Result {
        match &e.kind {
            // Values past 2^63 were written without a minus.
            ExprKind::Number(n) => write!(self.out, "{}", *n as u64),
            ExprKind::String(s) => write!(self.out, "{}", Quoted(s)),
            ExprKind::Name(name) => write!(self.out, "{name}"),
            ExprKind::Index { base, keys } => {
                self.expr(base)?;
                self.keys(keys, false)
            }
            ExprKind::Call { name, args } => {
                write!(self.out, "{}(", name.name)?;
                self.list(args)?;
                self.out.push(')');
                Ok(())
            }
            ExprKind::Unary { op, arg } => {
                self.out += op.text();
                self.operand(arg)
            }
            ExprKind::Binary { op, lhs, rhs } => self.infix(lhs, op.text(), rhs),
            ExprKind::In { keys, array } => {
                self.keys(keys, true)?;
                self.out += " in ";
                self.expr(array)
            }
            ExprKind::Regex { negated, subject, pattern, .. } => {
                self.operand(subject)?;
                let op = if *negated { "!~" } else { "=~" };
                write!(self.out, " {op} {}", Quoted(pattern))
            }
            ExprKind::Ternary { cond, then, els } => {
                self.operand(cond)?;
                self.out.push('?');
                self.operand(then)?;
                self.out.push(':');
                self.operand(els)
            }
            ExprKind::Assign { op, target, value } => {
                let op = format!("{}=", op.map_or("", BinaryOp::text));
                self.infix(target, &op, value)
            }
            ExprKind::StatAdd { target, value } => self.infix(target, "<<<", value),
            ExprKind::IncDec { increment, prefix, target } => {
                let op = if *increment { "++" } else { "--" };
                if *prefix {
                    self.out += op;
                }
                self.operand(target)?;
                if !prefix {
                    self.out += op;
                }
                Ok(())
            }
            ExprKind::Agg { op, target, params } => {
                write!(self.out, "{}(", op.text())?;
                self.expr(target)?;
                for p in params {
                    write!(self.out, ", {p}")?;
                }
                self.out.push(')');
                Ok(())
            }
            ExprKind::Hist { kind, target } => match kind {
                HistKind::Log => self.at("hist_log", target),
                HistKind::Linear { lo, hi, step } => {
                    self.out += "@hist_linear(";
                    self.expr(target)?;
                    write!(self.out, ", {lo}, {hi}, {step})")
                }
            },
            ExprKind::Print(p) => self.print(p),
            ExprKind::Target(t) => self.target(t),
            ExprKind::AddressOf(t) => {
                self.out.push('&');
                self.target(t)
            }
            ExprKind::Defined(e) => self.at("defined", e),
            ExprKind::Entry(e) => self.at("entry", e),
            ExprKind::ChooseDefined(a, b) => {
                self.out += "@choose_defined(";
                self.expr(a)?;
                self.out += ", ";
                self.expr(b)?;
                self.out.push(')');
                Ok(())
            }
            ExprKind::ProbeWrite(name) => write!(self.out, "@probewrite({})", name.name),
            ExprKind::Const(s) => write!(self.out, "@const({})", quoted(s)),
            ExprKind::Perf(s) => write!(self.out, "@perf({})", quoted(s)),
            ExprKind::Deref { user, size, address } => {
                write!(self.out, "@{}deref({}, ", if *user { 'u' } else { 'k' }, *size as u64)?;
                self.expr(address)?;
                self.out.push(')');
                Ok(())
            }
            ExprKind::Register { user, number } => {
                write!(self.out, "@{}register({})", if *user { 'u' } else { 'k' }, *number as u64)
            }
            ExprKind::EmbeddedC(span) => self.embedded(*span),
        }
    }

    fn print(&mut self, p: &Print) -> fmt::Result {
        write!(self.out, "{}(", p.name())?;
        let first = match &p.kind {
            PrintKind::Delimited(d) => Some(d.0.clone()),
            PrintKind::Format(pieces) => Some(spell::format(pieces)),
            PrintKind::Plain | PrintKind::Char => None,
        };
        if let Some(text) = first {
            write!(self.out, "{}", Quoted(&text))?;
            if !p.args.is_empty() {
                self.out += ", ";
            }
        }
        self.list(&p.args)?;
        self.out.push(')');
        Ok(())
    }

    fn target(&mut self, t: &TargetVar) -> fmt::Result {
        let module = |m: &Option<String>| m.as_ref().map(|m| format!(", {}", quoted(m))).unwrap_or_default();
        match &t.base {
            TargetBase::Name(name) => self.out += name,
            TargetBase::Var { name, module: m } => write!(self.out, "@var({}{})", quoted(name), module(m))?,
            TargetBase::Cast { value, ty, module: m } => {
                self.out += "@cast(";
                self.expr(value)?;
                write!(self.out, ", {}{})", quoted(ty), module(m))?;
            }
            TargetBase::Auto(e) => self.operand(e)?,
        }
        for step in &t.path {
            match step {
                PathStep::Field(name) => write!(self.out, "->{}", name.name)?,
                PathStep::Element(e) => {
                    self.out.push('[');
                    self.expr(e)?;
                    self.out.push(']');
                }
            }
        }
        match t.pretty {
            0 => {}
            n => write!(self.out, "->{}", &"$$"[..n.min(2) as usize])?,
        }
        Ok(())
    }
}

/// Binds looser than a comparison.
fn is_loose(e: &Expr) -> bool {
    match &e.kind {
        ExprKind::Binary { op, .. } => {
            matches!(op, BinaryOp::And | BinaryOp::Or | BinaryOp::BitAnd | BinaryOp::BitOr | BinaryOp::BitXor)
        }
        ExprKind::Ternary { .. }
        | ExprKind::Assign { .. }
        | ExprKind::StatAdd { .. }
        | ExprKind::In { .. } => true,
        _ => false,
    }
}
