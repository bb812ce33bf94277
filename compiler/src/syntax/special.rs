//! What begins with `@` or `$`, paths behind an operand, and `print…`.

use super::ast::*;
use super::exprs::{comma_string, expr, index_list, node, number, signed_number, string_literal};
use super::format;
use super::input::{deeper, need, op, Fault, Res, Toks};
use super::token::{Op, Tok};
use nom::combinator::{map, opt};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use nom::{Err, Parser};

const OPEN: &str = "expected '('";
const CLOSE: &str = "expected ')'";
const COMMA: &str = "expected ','";

/// `( rule )`
fn parens<'a, T>(
    rule: impl Parser<Toks<'a>, Output = T, Error = Fault>,
) -> impl Parser<Toks<'a>, Output = T, Error = Fault> {
    delimited(need(Op::LParen, OPEN), rule, need(Op::RParen, CLOSE))
}

/// `@count(x)` and everything else with an `@` that is no macro.
///
/// The operators that nest are functions of their own, kept out of line: this
/// one's frame would be the largest of the recursion.
pub fn at_operator(i: Toks<'_>) -> Res<'_, Expr> {
    let rest = i.skip();
    match i.text(i.peek()) {
        "@count" => aggregate(i, AggOp::Count),
        "@sum" => aggregate(i, AggOp::Sum),
        "@min" => aggregate(i, AggOp::Min),
        "@max" => aggregate(i, AggOp::Max),
        "@avg" => aggregate(i, AggOp::Avg),
        "@variance" => aggregate(i, AggOp::Variance),
        "@hist_log" | "@hist_linear" => {
            let (after, hist) = histogram(i)?;
            if !after.is(Op::LBracket) {
                let message = "base histogram operator where expression expected";
                return Err(Err::Failure(Fault { left: after.left(), ..i.fault("bare-histogram", message) }));
            }
            bucket(after, hist)
        }
        "@defined" => of_expr(i, ExprKind::Defined),
        "@entry" => of_expr(i, ExprKind::Entry),
        "@choose_defined" => choose(i),
        "@cast" => cast(i),
        "@kderef" | "@uderef" => deref(i),
        "@perf" => of_string(i, ExprKind::Perf),
        "@const" => {
            guru_only(i)?;
            of_string(i, ExprKind::Const)
        }
        "@probewrite" => {
            let (rest, name) = parens(identifier).parse(rest)?;
            Ok((rest, node(ExprKind::ProbeWrite(name), i.peek())))
        }
        text @ ("@kregister" | "@uregister") => {
            let user = text == "@uregister";
            if !user {
                guru_only(i)?;
            }
            let (rest, number) = parens(number).parse(rest)?;
            Ok((rest, node(ExprKind::Register { user, number }, i.peek())))
        }
        "@var" => variable(i),
        text => i.fail("unknown-operator", format!("unknown operator {text}")),
    }
}

#[inline(never)]
fn of_expr(i: Toks<'_>, make: fn(Box<Expr>) -> ExprKind) -> Res<'_, Expr> {
    let (rest, e) = parens(expr).parse(i.skip())?;
    Ok((rest, node(make(Box::new(e)), i.peek())))
}

#[inline(never)]
fn of_string(i: Toks<'_>, make: fn(String) -> ExprKind) -> Res<'_, Expr> {
    let (rest, s) = parens(|i| string_literal(i, "expected literal string")).parse(i.skip())?;
    Ok((rest, node(make(s.to_string_lossy()), i.peek())))
}

#[inline(never)]
fn choose(i: Toks<'_>) -> Res<'_, Expr> {
    let (rest, (a, _, b)) = parens((expr, need(Op::Comma, COMMA), expr)).parse(i.skip())?;
    Ok((rest, node(ExprKind::ChooseDefined(Box::new(a), Box::new(b)), i.peek())))
}

#[inline(never)]
fn deref(i: Toks<'_>) -> Res<'_, Expr> {
    let user = i.text(i.peek()) == "@uderef";
    if !user {
        guru_only(i)?;
    }
    let (rest, (size, _, e)) = parens((number, need(Op::Comma, COMMA), expr)).parse(i.skip())?;
    Ok((rest, node(ExprKind::Deref { user, size, address: Box::new(e) }, i.peek())))
}

#[inline(never)]
fn variable(i: Toks<'_>) -> Res<'_, Expr> {
    let name = |i| string_literal(i, "expected string");
    let (rest, (name, module)) = parens((name, opt(comma_string))).parse(i.skip())?;
    let module = module.map(|m| m.to_string_lossy());
    Ok((rest, target(TargetBase::Var { name: name.to_string_lossy(), module }, i.peek().span, 0)))
}

#[inline(never)]
fn cast(i: Toks<'_>) -> Res<'_, Expr> {
    let ty = preceded(need(Op::Comma, COMMA), |i| string_literal(i, "expected string"));
    let (rest, (value, ty, module)) = parens((expr, ty, opt(comma_string))).parse(i.skip())?;
    let module = module.map(|m| m.to_string_lossy());
    let base = TargetBase::Cast { value: Box::new(value), ty: ty.to_string_lossy(), module };
    Ok((rest, target(base, i.peek().span, 0)))
}

/// The operator that is next may be used in tapsets and by `-g` only.
fn guru_only(i: Toks<'_>) -> Result<(), Err<Fault>> {
    if i.sh.cx.user && !i.sh.cx.guru {
        let what = i.text(i.peek());
        let message = format!("using {what} operator not permitted; need stap -g");
        return Err(Err::Failure(i.fault("needs-guru", message)));
    }
    Ok(())
}

pub fn identifier(i: Toks<'_>) -> Res<'_, Ident> {
    let t = i.peek();
    match t.kind {
        Tok::Ident => Ok((i.skip(), Ident { name: i.text(t).to_string(), span: t.span })),
        _ => i.fail("expected-identifier", "expected identifier"),
    }
}

/// `(stat)`, `(stat, bits)` of `@variance`.
#[inline(never)]
fn aggregate(i: Toks<'_>, agg: AggOp) -> Res<'_, Expr> {
    let t = i.peek();
    let most = if agg == AggOp::Variance { 2 } else { 1 };
    let (i, _) = need(Op::LParen, OPEN)(i.skip())?;
    let (mut i, target) = expr(i)?;
    let mut params = Vec::new();
    while i.is(Op::Comma) {
        if params.len() + 1 == most {
            let plural = if most == 1 { "" } else { "s" };
            return i.fail("too-many-params", format!("not more than {most} parameter{plural} allowed"));
        }
        let (rest, n) = signed_number(i.skip())?;
        params.push(n);
        i = rest;
    }
    let (i, _) = need(Op::RParen, CLOSE)(i)?;
    Ok((i, node(ExprKind::Agg { op: agg, target: Box::new(target), params }, t)))
}

pub fn is_histogram(i: Toks<'_>) -> bool {
    i.kind() == Tok::At && matches!(i.text(i.peek()), "@hist_log" | "@hist_linear")
}

/// `@hist_log(x)`, `@hist_linear(x, lo, hi, step)`
#[inline(never)]
pub fn histogram(i: Toks<'_>) -> Res<'_, Expr> {
    let t = i.peek();
    let linear = i.text(t) == "@hist_linear";
    let (i, _) = need(Op::LParen, OPEN)(i.skip())?;
    let (i, target) = expr(i)?;
    let (i, kind) = if linear {
        let bound = || preceded(need(Op::Comma, COMMA), signed_number);
        map((bound(), bound(), bound()), |(lo, hi, step)| HistKind::Linear { lo, hi, step }).parse(i)?
    } else {
        (i, HistKind::Log)
    };
    let (i, _) = need(Op::RParen, CLOSE)(i)?;
    Ok((i, node(ExprKind::Hist { kind, target: Box::new(target) }, t)))
}

fn bucket(i: Toks<'_>, hist: Expr) -> Res<'_, Expr> {
    let span = hist.span;
    let (i, keys) = index_list(i)?;
    Ok((i, Expr { kind: ExprKind::Index { base: Box::new(hist), keys }, span }))
}

/// What `in` and `foreach` look into: an array's name or a histogram.
pub fn array(i: Toks<'_>) -> Res<'_, Expr> {
    let t = i.peek();
    if is_histogram(i) {
        return histogram(i);
    }
    match t.kind {
        Tok::Ident => Ok((i.skip(), node(ExprKind::Name(i.text(t).to_string()), t))),
        _ => i.fail("expected-array", "expected identifier or statistical operation"),
    }
}

fn target(base: TargetBase, span: crate::diag::Span, pretty: u8) -> Expr {
    let target = TargetVar { base, path: Vec::new(), pretty, span };
    Expr { kind: ExprKind::Target(Box::new(target)), span }
}

/// `name$`, `name$$`: the name and how many `$` are behind it; `None` for more than two.
fn split_pretty(text: &str) -> Option<(&str, u8)> {
    let name = text.trim_end_matches('$');
    match text.len() - name.len() {
        _ if name.is_empty() => Some((text, 0)),
        n @ 0..=2 => Some((name, n as u8)),
        _ => None,
    }
}

fn too_pretty<T>(i: Toks<'_>) -> Res<'_, T> {
    i.fail("pretty-depth", "at most two '$' stand behind a name: one for its members, two for theirs as well")
}

/// `$x`, `$$vars`, `$x$`
pub fn target_name(i: Toks<'_>) -> Res<'_, Expr> {
    let t = i.peek();
    let Some((name, pretty)) = split_pretty(i.text(t)) else {
        return too_pretty(i);
    };
    Ok((i.skip(), target(TargetBase::Name(name.to_string()), t.span, pretty)))
}

/// An operand and the steps behind it: `->field`, `[element]`, `$`, `$$`.
/// On anything but a target variable they make one of it: its type is that of the value.
pub fn path<'a>(i: Toks<'a>, operand: fn(Toks<'a>) -> Res<'a, Expr>) -> Res<'a, Expr> {
    let (mut i, mut e) = operand(i)?;
    let mut steps = 0;
    loop {
        let (rest, step, pretty) = match i.kind() {
            Tok::Op(Op::Arrow) => {
                let (rest, (field, pretty)) = field(i.skip())?;
                (rest, field.map(PathStep::Field), pretty)
            }
            Tok::Op(Op::LBracket) => {
                let (rest, at) =
                    delimited(op(Op::LBracket), expr, need(Op::RBracket, "expected ']'")).parse(i)?;
                (rest, Some(PathStep::Element(at)), 0)
            }
            Tok::Ident if matches!(i.text(i.peek()), "$" | "$$") => {
                (i.skip(), None, i.text(i.peek()).len() as u8)
            }
            _ => return Ok((i, e)),
        };
        e = match e.kind {
            ExprKind::Target(_) => e,
            _ => {
                let span = e.span;
                target(TargetBase::Auto(Box::new(e)), span, 0)
            }
        };
        if let ExprKind::Target(v) = &mut e.kind {
            if v.pretty != 0 {
                let message = "-> and [ are not accepted for a pretty-printing variable";
                return i.fail("pretty-path", message);
            }
            v.path.extend(step);
            v.pretty = pretty;
        }
        steps += 1;
        if steps > super::input::MAX_HEIGHT {
            return i.fail("expression-too-big", "too many steps in a path");
        }
        i = rest;
    }
}

/// The name behind `->`; `$` and `$$` alone are no field but pretty printing.
fn field(i: Toks<'_>) -> Res<'_, (Option<Ident>, u8)> {
    let t = i.peek();
    if !matches!(t.kind, Tok::Ident | Tok::Kw(_)) {
        return i.fail("expected-field", "expected identifier or keyword");
    }
    match i.text(t) {
        dollars @ ("$" | "$$") => Ok((i.skip(), (None, dollars.len() as u8))),
        text => {
            let Some((name, pretty)) = split_pretty(text) else {
                return too_pretty(i);
            };
            let ident = Ident { name: name.to_string(), span: t.span };
            Ok((i.skip(), (Some(ident), pretty)))
        }
    }
}

/// `print` and its family, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrintName {
    to_string: bool,
    newline: bool,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Plain,
    Delimited,
    Format,
    Char,
}

impl PrintName {
    pub fn of(text: &str) -> Option<PrintName> {
        if text == "print_char" {
            return Some(PrintName { to_string: false, newline: false, shape: Shape::Char });
        }
        let (to_string, text) = match text.strip_prefix("sprint") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("print")?),
        };
        let (newline, shape) = match text {
            "" => (false, Shape::Plain),
            "ln" => (true, Shape::Plain),
            "d" => (false, Shape::Delimited),
            "dln" => (true, Shape::Delimited),
            "f" => (false, Shape::Format),
            _ => return None,
        };
        Some(PrintName { to_string, newline, shape })
    }
}

pub fn print(i: Toks<'_>, name: PrintName) -> Res<'_, Expr> {
    let t = i.peek();
    let (i, _) = need(Op::LParen, OPEN)(i.skip())?;
    let (i, (kind, args)) = deeper(i, |i| print_args(i, name))?;
    let print = Print { kind, to_string: name.to_string, newline: name.newline, args };
    Ok((i, node(ExprKind::Print(Box::new(print)), t)))
}

/// What stands between the parentheses, and the closing one.
fn print_args(i: Toks<'_>, name: PrintName) -> Res<'_, (PrintKind, Vec<Expr>)> {
    let close = need(Op::RParen, "expected one of ', )'");
    let comma_args = |i| -> Res<'_, Vec<Expr>> {
        map(opt(preceded(op(Op::Comma), separated_list1(op(Op::Comma), expr))), Option::unwrap_or_default)
            .parse(i)
    };
    match name.shape {
        Shape::Plain if name.newline && i.is(Op::RParen) => Ok((i.skip(), (PrintKind::Plain, Vec::new()))),
        Shape::Plain if is_histogram(i) => {
            let (after, hist) = histogram(i)?;
            if after.is(Op::LBracket) {
                // A bucket of it, and an expression like any other.
                let (i, args) = separated_list1(op(Op::Comma), expr).parse(i)?;
                let (i, _) = close(i)?;
                return Ok((i, (PrintKind::Plain, args)));
            }
            let (i, _) = need(Op::RParen, CLOSE)(after)?;
            Ok((i, (PrintKind::Plain, vec![hist])))
        }
        Shape::Plain => {
            let (i, args) = separated_list1(op(Op::Comma), expr).parse(i)?;
            let (i, _) = close(i)?;
            Ok((i, (PrintKind::Plain, args)))
        }
        Shape::Char => {
            let (i, arg) = expr(i)?;
            let (i, _) = need(Op::RParen, CLOSE)(i)?;
            Ok((i, (PrintKind::Char, vec![arg])))
        }
        Shape::Delimited => {
            let (i, delimiter) = string_literal(i, "expected literal string")?;
            let (i, args) = comma_args(i)?;
            if args.len() < 2 && i.is(Op::RParen) {
                return i.fail("too-few-params", "expected ',': a delimiter goes between two or more values");
            }
            let (i, _) = close(i)?;
            Ok((i, (PrintKind::Delimited(delimiter), args)))
        }
        Shape::Format => {
            let (i, text) = string_literal(i, "expected literal string")?;
            let pieces = match format::parse(&text) {
                Ok(pieces) => pieces,
                Err(message) => return i.fail("bad-format", message),
            };
            let (i, args) = comma_args(i)?;
            let (i, _) = close(i)?;
            Ok((i, (PrintKind::Format(pieces), args)))
        }
    }
}
