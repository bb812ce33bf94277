//! Probe points.
//!
//! `{a,b}` is expanded here: one point for each alternative.

use super::ast::*;
use super::exprs::{expr, literal};
use super::input::{deeper, need, op, Res, Toks};
use super::token::{Kw, Op, Tok, Token};
use nom::combinator::{map, opt};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded};
use nom::Parser;

/// Points that one `{a,b}.{c,d}…` may stand for.
const MAX_POINTS: usize = 10_000;

/// A point without its suffix, and whether one of its parts had a `?` or `!`.
struct Bare {
    components: Vec<Component>,
    condition: Option<Expr>,
    flags: (bool, bool),
}

/// `a.b?, c.d!, e if (f)`
pub fn points(i: Toks<'_>) -> Res<'_, Vec<ProbePoint>> {
    map(separated_list1(op(Op::Comma), point), |lists| lists.into_iter().flatten().collect()).parse(i)
}

fn point(i: Toks<'_>) -> Res<'_, Vec<ProbePoint>> {
    let t = i.peek();
    let (i, bare) = with_suffix(i)?;
    let points = bare.into_iter().map(|b| {
        let span = b.components.first().map_or(t.span, |c| c.name.span);
        let (optional, sufficient) = b.flags;
        ProbePoint { components: b.components, optional, sufficient, condition: b.condition, span }
    });
    Ok((i, points.collect()))
}

/// Components, then `?`, `!`, `if (…)`.
fn with_suffix(i: Toks<'_>) -> Res<'_, Vec<Bare>> {
    let (i, mut all) = deeper(i, sequence)?;
    let mark = i.peek();
    let (i, flags) = match mark.kind {
        Tok::Op(Op::Question) => (i.skip(), (true, false)),
        Tok::Op(Op::Bang) => (i.skip(), (false, true)),
        _ => (i, (false, false)),
    };
    if flags != (false, false) {
        // what stands in braces may have had its own
        if all.iter().any(|b| b.flags != (false, false)) {
            return i.fail_at(mark, "suffix-respecified", "'?' or '!' respecified");
        }
        all.iter_mut().for_each(|b| b.flags = flags);
    }
    if !i.is_kw(Kw::If) {
        return Ok((i, all));
    }
    let (i, condition) = preceded(need(Op::LParen, "expected '('"), expr).parse(i.skip())?;
    let end = i.peek();
    let (i, _) = need(Op::RParen, "expected ')'")(i)?;
    if all.iter().any(|b| b.condition.is_some()) {
        return i.fail_at(end, "condition-respecified", "condition respecified");
    }
    all.iter_mut().for_each(|b| b.condition = Some(condition.clone()));
    Ok((i, all))
}

/// `x.y.z`, each part a component or `{…}`.
fn sequence(i: Toks<'_>) -> Res<'_, Vec<Bare>> {
    let start = i.peek();
    let (mut i, mut all) = part(i)?;
    while i.is(Op::Dot) {
        if all.iter().any(|b| b.flags != (false, false) || b.condition.is_some()) {
            let message = "'?', '!' or condition must only be specified in suffix";
            return i.fail_at(start, "suffix-inside", message);
        }
        let (rest, next) = part(i.skip())?;
        if all.len() * next.len() > MAX_POINTS {
            return i.fail("too-many-points", format!("more than {MAX_POINTS} probe points by alternation"));
        }
        all = all
            .iter()
            .flat_map(|head| {
                next.iter().map(|tail| Bare {
                    components: head.components.iter().chain(&tail.components).cloned().collect(),
                    condition: tail.condition.clone(),
                    flags: tail.flags,
                })
            })
            .collect();
        i = rest;
    }
    Ok((i, all))
}

fn part(i: Toks<'_>) -> Res<'_, Vec<Bare>> {
    if i.is(Op::LBrace) {
        let end = need(Op::RBrace, "expected '}'");
        let list = separated_list1(op(Op::Comma), with_suffix);
        return map(delimited(op(Op::LBrace), list, end), |l| l.into_iter().flatten().collect()).parse(i);
    }
    map(component, |c| vec![Bare { components: vec![c], condition: None, flags: (false, false) }]).parse(i)
}

/// `name`, `na*me("arg")`
fn component(i: Toks<'_>) -> Res<'_, Component> {
    let (i, name) = name(i)?;
    let arg = delimited(op(Op::LParen), argument, need(Op::RParen, "expected ')'"));
    let (i, arg) = opt(arg).parse(i)?;
    Ok((i, Component { name, arg }))
}

fn argument(i: Toks<'_>) -> Res<'_, ComponentArg> {
    let t = i.peek();
    if t.kind == Tok::Ident && !i.text(t).starts_with('$') {
        let name = Ident { name: i.text(t).to_string(), span: t.span };
        return Ok((i.skip(), ComponentArg::Param(name)));
    }
    map(literal, ComponentArg::Literal).parse(i)
}

fn is_piece(t: Token) -> bool {
    matches!(t.kind, Tok::Ident | Tok::Kw(_) | Tok::Op(Op::Star))
}

/// A name with its wildcards: words and stars without space between them.
fn name(i: Toks<'_>) -> Res<'_, Ident> {
    let first = i.peek();
    if !is_piece(first) {
        return i.fail("expected-component", "expected identifier or '*' or '{'");
    }
    let mut name = i.text(first).to_string();
    let mut last = first;
    let mut i = i.skip();
    loop {
        let t = i.peek();
        let glued = t.span.file != last.span.file || t.span.lo == last.span.hi;
        // Two words side by side are glued only by a star.
        let star = t.kind == Tok::Op(Op::Star) || last.kind == Tok::Op(Op::Star);
        if !is_piece(t) || !glued || !star {
            return Ok((i, Ident { name, span: first.span.to(last.span) }));
        }
        name.push_str(i.text(t));
        last = t;
        i = i.skip();
    }
}
