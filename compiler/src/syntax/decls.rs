//! Declarations: what stands outermost in a script.

use super::ast::*;
use super::exprs::literal;
use super::exprs::number;
use super::input::{kw, need, op, Fault, Res, Toks};
use super::points::points;
use super::special::identifier;
use super::stmts::block;
use super::token::{Kw, Op, Tok, Token};
use nom::branch::alt;
use nom::combinator::{map, opt, value};
use nom::sequence::preceded;
use nom::{Err, Parser};
use std::collections::HashSet;

const TOP: &str = "expected 'probe', 'global', 'private', 'function', or '%{'";

/// A whole text. Faults are reported; what could be read is returned.
pub fn script(mut i: Toks<'_>) -> Script {
    let mut out = Script::default();
    let mut globals = HashSet::new();
    while i.kind() != Tok::Eof {
        let start = i.left();
        match declaration(i, &mut out, &mut globals) {
            Ok((rest, ())) => i = rest,
            Err(Err::Failure(fault) | Err::Error(fault)) => {
                i = i.forward_to(fault.left);
                if let Some(d) = fault.diag {
                    i.sh.report(*d);
                }
                i.sh.depth.set(0);
                // The token at fault may itself begin a declaration, but progress must be made.
                if i.left() == start && i.kind() != Tok::Eof {
                    i = i.skip();
                }
                while !matches!(
                    i.kind(),
                    Tok::Eof | Tok::Kw(Kw::Probe | Kw::Function | Kw::Global | Kw::Private)
                ) {
                    i = i.skip();
                }
            }
            Err(Err::Incomplete(_)) => break,
        }
    }
    out
}

fn declaration<'a>(i: Toks<'a>, out: &mut Script, globals: &mut HashSet<String>) -> Res<'a, ()> {
    let t = i.peek();
    match t.kind {
        Tok::Kw(Kw::Probe) => {
            i.sh.in_function.set(false);
            probe(i, out)
        }
        Tok::Kw(Kw::Global) => global(i.skip(), false, out, globals),
        Tok::Kw(Kw::Function) => function(i, false, out),
        Tok::Kw(Kw::Private) => {
            let i = i.skip();
            match i.kind() {
                Tok::Kw(Kw::Function) => function(i, true, out),
                Tok::Kw(Kw::Global) => global(i.skip(), true, out, globals),
                Tok::Ident => global(i, true, out, globals),
                _ => i.fail("expected-declaration", eof_or(i, "expected 'function' or identifier")),
            }
        }
        Tok::Embedded => {
            embedded_allowed(i)?;
            out.embedded.push(t.span);
            Ok((i.skip(), ()))
        }
        _ => i.fail("expected-declaration", TOP),
    }
}

/// SystemTap's word where the text ends within a declaration.
fn eof_or<'m>(i: Toks<'_>, message: &'m str) -> &'m str {
    if i.kind() == Tok::Eof {
        "unexpected end-of-file"
    } else {
        message
    }
}

fn embedded_allowed(i: Toks<'_>) -> Result<(), Err<Fault>> {
    if i.sh.cx.user && !i.sh.cx.guru {
        let message = "embedded code in unprivileged script; need stap -g";
        return Err(Err::Failure(i.fault("embedded-c", message)));
    }
    Ok(())
}

fn declared_name(i: Toks<'_>) -> Res<'_, Ident> {
    if i.kind() == Tok::Eof {
        return i.fail("unexpected-eof", "unexpected end-of-file");
    }
    identifier(i)
}

/// `a, b[10], c% = …`
fn global<'a>(mut i: Toks<'a>, private: bool, out: &mut Script, names: &mut HashSet<String>) -> Res<'a, ()> {
    loop {
        let at = i;
        let (rest, name) = declared_name(i)?;
        if !names.insert(name.name.clone()) {
            return at.fail("duplicate-global", "duplicate global name");
        }
        let (rest, wrap) = map(opt(op(Op::Percent)), |w| w.is_some()).parse(rest)?;
        let (rest, size) = if rest.is(Op::LBracket) { map(size, Some).parse(rest)? } else { (rest, None) };
        let (rest, init) = if rest.is(Op::Assign) {
            if size.is_some() {
                return rest.fail("array-init", "only scalar globals can be initialized");
            }
            map(literal, Some).parse(rest.skip())?
        } else {
            (rest, None)
        };
        out.globals.push(GlobalDecl { name, private, size, wrap, init });
        i = rest;
        if i.is(Op::Comma) {
            i = i.skip();
            continue;
        }
        return Ok((if i.is(Op::Semi) { i.skip() } else { i }, ()));
    }
}

/// `[N]`
fn size(i: Toks<'_>) -> Res<'_, i64> {
    let at = i.skip();
    if at.kind() == Tok::Eof {
        return at.fail("unexpected-eof", "unexpected end-of-file");
    }
    let (i, n) = preceded(op(Op::LBracket), super::exprs::signed_number).parse(i)?;
    if i.kind() == Tok::Eof {
        return i.fail("unexpected-eof", "unexpected end-of-file");
    }
    let (rest, _) = need(Op::RBracket, "expected ']'")(i)?;
    if !(1..=i32::MAX as i64).contains(&n) {
        return Err(Err::Failure(Fault {
            left: rest.left(),
            ..at.fault("array-size", "array size out of range")
        }));
    }
    Ok((rest, n))
}

/// `:long`, `:string`
fn type_name(i: Toks<'_>) -> Res<'_, TypeName> {
    let (i, _) = op(Op::Colon)(i)?;
    let rule = alt((value(TypeName::Long, kw(Kw::Long)), value(TypeName::String, kw(Kw::String))));
    let (i, ty) = opt(rule).parse(i)?;
    match ty {
        Some(ty) => Ok((i, ty)),
        None => i.fail("expected-type", "expected 'string' or 'long'"),
    }
}

fn function<'a>(i: Toks<'a>, private: bool, out: &mut Script) -> Res<'a, ()> {
    let start = i.peek();
    let (i, name) = declared_name(i.skip())?;
    let (i, ret) = opt(type_name).parse(i)?;
    if i.kind() == Tok::Eof {
        return i.fail("unexpected-eof", "unexpected end-of-file");
    }
    let (i, params) = params(i)?;
    let (i, priority) = opt(preceded(op(Op::Colon), priority)).parse(i)?;
    let (i, body) = if i.kind() == Tok::Embedded {
        embedded_allowed(i)?;
        (i.skip(), FunctionBody::EmbeddedC(i.peek().span))
    } else {
        i.sh.in_function.set(true);
        let result = block(i);
        i.sh.in_function.set(false);
        let (i, body) = result?;
        (i, FunctionBody::Script(body))
    };
    out.functions.push(FunctionDecl { name, private, params, ret, priority, body, span: start.span });
    Ok((i, ()))
}

/// `(a, b:long)`; a comma may stand behind the last.
fn params(i: Toks<'_>) -> Res<'_, Vec<Param>> {
    let (mut i, _) = need(Op::LParen, "expected '('")(i)?;
    let mut out: Vec<Param> = Vec::new();
    while !i.is(Op::RParen) {
        let at = i;
        let (rest, name) = identifier(i)?;
        if out.iter().any(|p| p.name.name == name.name) {
            return at.fail("duplicate-param", "duplicate parameter names");
        }
        let (rest, ty) = opt(type_name).parse(rest)?;
        out.push(Param { name, ty });
        i = match rest.kind() {
            Tok::Op(Op::Comma) => rest.skip(),
            Tok::Op(Op::RParen) => rest,
            _ => return rest.fail("expected-operator", "expected ',' or ')'"),
        };
    }
    Ok((i.skip(), out))
}

fn priority(i: Toks<'_>) -> Res<'_, i64> {
    let minus = i.is(Op::Minus);
    let at = if minus { i.skip() } else { i };
    let (rest, n) = match at.kind() {
        Tok::Number => number(at)?,
        Tok::Str | Tok::RawStr => return at.fail("expected-number", "expected literal number"),
        _ => return at.fail("expected-number", "expected literal string or number"),
    };
    if minus || n <= 0 {
        return at.fail("bad-priority", "specified priority must be > 0");
    }
    Ok((rest, n))
}

/// `probe points {…}`, `probe name = points {…}, {…}`, `probe name += points {…}`
fn probe<'a>(i: Toks<'a>, out: &mut Script) -> Res<'a, ()> {
    let start = i.peek();
    let first = i.skip();
    let (i, list) = points(first)?;
    let append = match i.kind() {
        Tok::Op(Op::LBrace) => {
            no_params(first, &list)?;
            let (i, body) = block(i)?;
            out.probes.push(ProbeDecl { points: list, body, span: start.span });
            return Ok((i, ()));
        }
        Tok::Op(Op::Assign) => false,
        Tok::Op(Op::AddAssign) => true,
        _ => return i.fail("after-points", "expected one of ', { } = +='"),
    };
    // the library names one alias for several families by alternation; scripts may not
    if list.len() != 1 && i.sh.cx.user {
        return i.fail("alias-names", "expected probe point specifier");
    }
    if list.iter().any(|p| p.optional || p.sufficient) {
        let message = "probe point alias name cannot be optional nor sufficient";
        return i.fail_at(first.peek(), "alias-suffix", message);
    }
    let (i, points) = points(i.skip())?;
    if !i.is(Op::LBrace) {
        return i.fail("after-points", "expected one of ', { } = +='");
    }
    let (i, body) = block(i)?;
    if append && i.is(Op::Comma) {
        let message = "Combined prologue and epilogue cannot be defined with '+='";
        return i.fail("alias-epilogue", message);
    }
    let (i, second) = if i.is(Op::Comma) { map(block, Some).parse(i.skip())? } else { (i, None) };
    out.aliases.push(AliasDecl { names: list, points, append, body, second, span: start.span });
    Ok((i, ()))
}

/// Only the points of an alias may refer to its parameters.
fn no_params(at: Toks<'_>, points: &[ProbePoint]) -> Result<(), Err<Fault>> {
    for c in points.iter().flat_map(|p| &p.components) {
        if let Some(ComponentArg::Param(name)) = &c.arg {
            let t = Token { kind: Tok::Ident, span: name.span };
            let fault = at.fault_at(t, "expected-literal", super::exprs::OPERAND);
            return Err(Err::Failure(fault));
        }
    }
    Ok(())
}
