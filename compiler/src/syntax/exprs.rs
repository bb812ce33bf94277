//! Expressions, with SystemTap's precedence.
//!
//! From loose to tight: assignment (right), `?:` (right), `||`, `&&`, `|`, `^`,
//! `&`, `in`, comparison and `=~`, shift, `.`, `+ -`, `* / %`, unary, postfix.
//! Unlike C's, all comparisons are of one level, and `.` stands between shift
//! and sum.

use super::ast::*;
use super::input::{deeper, need, op, Res, Toks, MAX_HEIGHT};
use super::literal;
use super::special;
use super::token::{Kw, Op, Tok, Token};
use super::version;
use nom::combinator::{map, opt};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use nom::Parser;

pub const OPERAND: &str = "expected literal string or number";

pub fn node(kind: ExprKind, t: Token) -> Expr {
    Expr { kind, span: t.span }
}

/// Any expression.
pub fn expr(i: Toks<'_>) -> Res<'_, Expr> {
    deeper(i, assignment)
}

fn assignment(i: Toks<'_>) -> Res<'_, Expr> {
    let (i, lhs) = ternary(i)?;
    let t = i.peek();
    let Tok::Op(o) = t.kind else { return Ok((i, lhs)) };
    let by = match o {
        Op::Assign | Op::StatAdd => None,
        Op::AddAssign => Some(BinaryOp::Add),
        Op::SubAssign => Some(BinaryOp::Sub),
        Op::MulAssign => Some(BinaryOp::Mul),
        Op::DivAssign => Some(BinaryOp::Div),
        Op::ModAssign => Some(BinaryOp::Mod),
        Op::AndAssign => Some(BinaryOp::BitAnd),
        Op::OrAssign => Some(BinaryOp::BitOr),
        Op::XorAssign => Some(BinaryOp::BitXor),
        Op::ShlAssign => Some(BinaryOp::Shl),
        Op::ShrAssign => Some(BinaryOp::Shr),
        Op::ConcatAssign => Some(BinaryOp::Concat),
        _ => return Ok((i, lhs)),
    };
    let (i, value) = expr(i.skip())?;
    let (target, value) = (Box::new(lhs), Box::new(value));
    let kind = match o {
        Op::StatAdd => ExprKind::StatAdd { target, value },
        _ => ExprKind::Assign { op: by, target, value },
    };
    Ok((i, node(kind, t)))
}

fn ternary(i: Toks<'_>) -> Res<'_, Expr> {
    let (i, cond) = climb(i, 0)?;
    if !i.is(Op::Question) {
        return Ok((i, cond));
    }
    let t = i.peek();
    let (i, then) = expr(i.skip())?;
    let (i, _) = need(Op::Colon, "expected ':'")(i)?;
    // Up to 3.3 the last operand took assignments along.
    let old = i.sh.cx.compatible.is_some_and(|v| version::compare(v, "3.3").is_le());
    let (i, els) = deeper(i, if old { assignment } else { ternary })?;
    let kind = ExprKind::Ternary { cond: Box::new(cond), then: Box::new(then), els: Box::new(els) };
    Ok((i, node(kind, t)))
}

/// Levels of what is no plain binary operator.
const IN: u8 = 10;
const COMPARISON: u8 = 12;
const OPERAND_LEVEL: u8 = 99;

/// The binary operators, and how tight each binds.
fn binary(t: Tok) -> Option<(u8, BinaryOp)> {
    let Tok::Op(o) = t else { return None };
    Some(match o {
        Op::OrOr => (0, BinaryOp::Or),
        Op::AndAnd => (2, BinaryOp::And),
        Op::Pipe => (4, BinaryOp::BitOr),
        Op::Caret => (6, BinaryOp::BitXor),
        Op::Amp => (8, BinaryOp::BitAnd),
        Op::EqEq => (COMPARISON, BinaryOp::Eq),
        Op::Ne => (COMPARISON, BinaryOp::Ne),
        Op::Lt => (COMPARISON, BinaryOp::Lt),
        Op::Le => (COMPARISON, BinaryOp::Le),
        Op::Gt => (COMPARISON, BinaryOp::Gt),
        Op::Ge => (COMPARISON, BinaryOp::Ge),
        Op::Shl => (14, BinaryOp::Shl),
        Op::Shr => (14, BinaryOp::Shr),
        Op::ShrU => (14, BinaryOp::ShrU),
        Op::Dot => (16, BinaryOp::Concat),
        Op::Plus => (18, BinaryOp::Add),
        Op::Minus => (18, BinaryOp::Sub),
        Op::Star => (20, BinaryOp::Mul),
        Op::Slash => (20, BinaryOp::Div),
        Op::Percent => (20, BinaryOp::Mod),
        _ => return None,
    })
}

/// Precedence climbing: an operand and the operators behind it that bind at
/// least as tight as `min`; all of them bind to the left.
fn climb(i: Toks<'_>, min: u8) -> Res<'_, Expr> {
    let sh = i.sh;
    let outer = sh.height.replace(0);
    // How tight the loosest operator so far binds: a tighter one can't follow.
    let (mut i, mut lhs, mut last) = if i.is(Op::LBracket) && min <= IN {
        let (i, e) = membership(i)?;
        (i, e, IN)
    } else {
        let (i, e) = unary(i)?;
        (i, e, OPERAND_LEVEL)
    };
    let mut height = sh.height.get();
    loop {
        let t = i.peek();
        match t.kind {
            Tok::Kw(Kw::In) if min <= IN && last > IN => {
                let (rest, array) = special::array(i.skip())?;
                i = rest;
                lhs = node(ExprKind::In { keys: vec![Some(lhs)], array: Box::new(array) }, t);
                last = IN;
            }
            Tok::Op(o @ (Op::Match | Op::NoMatch)) if min <= COMPARISON && last > COMPARISON => {
                let pattern_span = i.skip().peek().span;
                let (rest, pattern) = string_literal(i.skip(), "expected literal string")?;
                let (negated, subject) = (o == Op::NoMatch, Box::new(lhs));
                i = rest;
                lhs = node(ExprKind::Regex { negated, subject, pattern, pattern_span }, t);
                last = COMPARISON - 1;
            }
            kind => {
                let Some((level, o)) = binary(kind).filter(|(l, _)| *l >= min && *l <= last) else { break };
                sh.height.set(0);
                let (rest, rhs) = climb(i.skip(), level + 1)?;
                height = height.max(sh.height.get());
                i = rest;
                lhs = node(ExprKind::Binary { op: o, lhs: Box::new(lhs), rhs: Box::new(rhs) }, t);
                last = level;
            }
        }
        height += 1;
        if height > MAX_HEIGHT {
            return i.fail("expression-too-big", format!("expression too deep (limit {MAX_HEIGHT})"));
        }
    }
    sh.height.set(height.max(outer));
    Ok((i, lhs))
}

fn comparison(i: Toks<'_>) -> Res<'_, Expr> {
    climb(i, COMPARISON)
}

/// `[a, *] in arr`; also `[a]`, which is `a`.
fn membership(i: Toks<'_>) -> Res<'_, Expr> {
    let (i, mut keys) = deeper(i, key_list)?;
    if i.is_kw(Kw::In) {
        let t = i.peek();
        let (i, array) = special::array(i.skip())?;
        return Ok((i, node(ExprKind::In { keys, array: Box::new(array) }, t)));
    }
    match (keys.len(), keys.pop()) {
        (1, Some(Some(only))) => Ok((i, only)),
        (1, _) => i.fail("stray-wildcard", "unexpected '*' outside of an array index"),
        _ => i.fail("stray-list", "unexpected comma-separated expression list"),
    }
}

fn key_list(i: Toks<'_>) -> Res<'_, Vec<Option<Expr>>> {
    delimited(
        op(Op::LBracket),
        separated_list1(op(Op::Comma), or_star(comparison)),
        need(Op::RBracket, "expected ',' or ']'"),
    )
    .parse(i)
}

type Rule = for<'a> fn(Toks<'a>) -> Res<'a, Expr>;

/// `*` or what the rule says.
fn or_star<'a>(rule: Rule) -> impl Fn(Toks<'a>) -> Res<'a, Option<Expr>> {
    move |i| match i.kind() {
        Tok::Op(Op::Star) => Ok((i.skip(), None)),
        _ => map(rule, Some).parse(i),
    }
}

/// `[…]` behind an array's name.
#[inline(never)]
pub fn index_list(i: Toks<'_>) -> Res<'_, Vec<Option<Expr>>> {
    delimited(
        op(Op::LBracket),
        separated_list1(op(Op::Comma), or_star(expr)),
        need(Op::RBracket, "expected one of '] ,'"),
    )
    .parse(i)
}

fn unary(i: Toks<'_>) -> Res<'_, Expr> {
    let t = i.peek();
    let sign = match t.kind {
        Tok::Op(Op::Minus) => UnaryOp::Neg,
        Tok::Op(Op::Plus) => UnaryOp::Plus,
        Tok::Op(Op::Bang) => UnaryOp::Not,
        Tok::Op(Op::Tilde) => UnaryOp::Inv,
        Tok::Op(o @ (Op::Inc | Op::Dec)) => {
            let (i, target) = value(i.skip())?;
            let kind = ExprKind::IncDec { increment: o == Op::Inc, prefix: true, target: Box::new(target) };
            return Ok((i, node(kind, t)));
        }
        _ => return postfix(i),
    };
    let (i, arg) = deeper(i.skip(), unary)?;
    Ok((i, node(ExprKind::Unary { op: sign, arg: Box::new(arg) }, t)))
}

/// `x++`, `x--`
fn postfix(i: Toks<'_>) -> Res<'_, Expr> {
    let (i, target) = value(i)?;
    let t = i.peek();
    match t.kind {
        Tok::Op(o @ (Op::Inc | Op::Dec)) => {
            let kind = ExprKind::IncDec { increment: o == Op::Inc, prefix: false, target: Box::new(target) };
            Ok((i.skip(), node(kind, t)))
        }
        _ => Ok((i, target)),
    }
}

/// An operand with what hangs on it: `->field`, `[element]`, `$`, and `&` before it.
fn value(i: Toks<'_>) -> Res<'_, Expr> {
    if !i.is(Op::Amp) {
        return special::path(i, operand);
    }
    let t = i.peek();
    let (i, e) = special::path(i.skip(), operand)?;
    let target = match e.kind {
        ExprKind::Target(target) => target,
        _ => {
            let span = e.span;
            Box::new(TargetVar { base: TargetBase::Auto(Box::new(e)), path: Vec::new(), pretty: 0, span })
        }
    };
    Ok((i, node(ExprKind::AddressOf(target), t)))
}

fn operand(i: Toks<'_>) -> Res<'_, Expr> {
    let t = i.peek();
    match t.kind {
        Tok::Number => map(number, |n| node(ExprKind::Number(n), t)).parse(i),
        Tok::Str | Tok::RawStr => {
            map(|i| string_literal(i, OPERAND), |s| node(ExprKind::String(s), t)).parse(i)
        }
        Tok::Op(Op::LParen) => delimited(op(Op::LParen), expr, need(Op::RParen, "expected ')'")).parse(i),
        Tok::Ident => name(i),
        Tok::At | Tok::Op(Op::At) => special::at_operator(i),
        Tok::Embedded => {
            if i.sh.cx.user && !i.sh.cx.guru {
                return i.fail("embedded-c", "embedded expression code in unprivileged script; need stap -g");
            }
            Ok((i.skip(), node(ExprKind::EmbeddedC(t.span), t)))
        }
        _ => i.fail("expected-operand", OPERAND),
    }
}

/// Variable, element, call, `$target`, `print…`.
#[inline(never)]
fn name(i: Toks<'_>) -> Res<'_, Expr> {
    let t = i.peek();
    let text = i.text(t);
    if text.starts_with('$') {
        return special::target_name(i);
    }
    if let Some(print) = special::PrintName::of(text) {
        return special::print(i, print);
    }
    let rest = i.skip();
    match rest.kind() {
        Tok::Op(Op::LParen) => {
            let (i, args) = delimited(op(Op::LParen), arguments, need(Op::RParen, "expected one of ') ,'"))
                .parse(rest)?;
            let name = Ident { name: text.to_string(), span: t.span };
            Ok((i, node(ExprKind::Call { name, args }, t)))
        }
        Tok::Op(Op::LBracket) => {
            let (i, keys) = index_list(rest)?;
            let base = Box::new(node(ExprKind::Name(text.to_string()), t));
            Ok((i, node(ExprKind::Index { base, keys }, t)))
        }
        _ => Ok((rest, node(ExprKind::Name(text.to_string()), t))),
    }
}

/// None, or some with commas between.
fn arguments(i: Toks<'_>) -> Res<'_, Vec<Expr>> {
    if i.is(Op::RParen) {
        return Ok((i, Vec::new()));
    }
    separated_list1(op(Op::Comma), expr).parse(i)
}

/// A number token.
pub fn number(i: Toks<'_>) -> Res<'_, i64> {
    let t = i.peek();
    match t.kind {
        Tok::Number => match literal::number(i.bytes(t)) {
            Some(n) => Ok((i.skip(), n)),
            None => i.fail("bad-number", "number invalid or out of range"),
        },
        _ => i.fail("expected-number", "expected number"),
    }
}

/// A number with an optional minus.
pub fn signed_number(i: Toks<'_>) -> Res<'_, i64> {
    map((opt(op(Op::Minus)), number), |(minus, n)| if minus.is_some() { n.wrapping_neg() } else { n })
        .parse(i)
}

/// String tokens; those that stand side by side are one.
pub fn string_literal<'a>(i: Toks<'a>, message: &'static str) -> Res<'a, Bytes> {
    let mut out: Option<Vec<u8>> = None;
    let mut i = i;
    loop {
        let t = i.peek();
        let piece = match t.kind {
            Tok::Str => match literal::string(i.bytes(t)) {
                Ok(s) => s,
                Err(_) => return i.fail("bad-escape", "\\x without hexadecimal digits"),
            },
            Tok::RawStr => i.bytes(t).to_vec(),
            _ => break,
        };
        match &mut out {
            None => out = Some(piece),
            Some(all) => all.extend(piece),
        }
        i = i.skip();
    }
    match out {
        Some(s) => Ok((i, literal::until_nul(s))),
        None => i.fail("expected-string", message),
    }
}

/// `, "text"`
pub fn comma_string(i: Toks<'_>) -> Res<'_, Bytes> {
    preceded(op(Op::Comma), |i| string_literal(i, "expected string")).parse(i)
}

/// A literal: of a global's value, of a probe point's argument.
pub fn literal(i: Toks<'_>) -> Res<'_, Literal> {
    let rest = if i.is(Op::Minus) { i.skip() } else { i };
    match rest.kind() {
        Tok::Number => map(signed_number, Literal::Number).parse(i),
        Tok::Str | Tok::RawStr if !i.is(Op::Minus) => {
            map(|i| string_literal(i, OPERAND), Literal::String).parse(i)
        }
        _ => rest.fail("expected-literal", OPERAND),
    }
}
