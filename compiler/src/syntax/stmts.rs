//! Statements.
//!
//! A block goes on after a fault: the statement at fault is left out, the
//! message kept, and reading begins again at the next statement.

use super::ast::*;
use super::exprs::{expr, index_list};
use super::input::{deeper, kw, need, op, Fault, Res, Toks};
use super::special::{array, identifier};
use super::token::{Kw, Op, Tok, Token};
use nom::combinator::{map, opt};
use nom::sequence::{delimited, preceded, terminated};
use nom::{Err, Parser};

const OPEN: &str = "expected '('";
const CLOSE: &str = "expected ')'";

fn made(kind: StmtKind, t: Token) -> Stmt {
    Stmt { kind, span: t.span }
}

/// `{ … }`
pub fn block(i: Toks<'_>) -> Res<'_, Stmt> {
    let t = i.peek();
    let (mut i, _) = need(Op::LBrace, "expected '{'")(i)?;
    let mut list = Vec::new();
    loop {
        if i.is(Op::RBrace) {
            return Ok((i.skip(), made(StmtKind::Block(list), t)));
        }
        match statement(i) {
            Ok((rest, s)) => {
                list.push(s);
                i = rest;
            }
            Err(Err::Failure(fault)) => i = recover(i, fault)?,
            Err(other) => return Err(other),
        }
    }
}

/// Notes a fault and finds the next statement of this block; fails where the block can't go on.
fn recover<'a>(from: Toks<'a>, fault: Fault) -> Result<Toks<'a>, Err<Fault>> {
    let mut i = from.forward_to(fault.left);
    let given_up = fault.diag.is_none();
    if let Some(d) = fault.diag {
        i.sh.report(*d);
    }
    let stop = |i: Toks<'a>| Err::Failure(Fault { diag: None, left: i.left() });
    let mut depth = 0u32;
    loop {
        match i.kind() {
            Tok::Eof => return Err(stop(i)),
            Tok::Kw(Kw::Probe | Kw::Function | Kw::Global | Kw::Private) => return Err(stop(i)),
            Tok::Junk(_) if given_up => return Err(stop(i)),
            Tok::Op(Op::LBrace) => depth += 1,
            Tok::Op(Op::RBrace) if depth == 0 => return Ok(i),
            Tok::Op(Op::RBrace) => {
                depth -= 1;
                if depth == 0 {
                    return Ok(i.skip());
                }
            }
            // One that a macro brought in may stand in the middle of what surrounds it.
            Tok::Op(Op::Semi) if depth == 0 && !i.is_macro_s() => return Ok(i.skip()),
            _ => {}
        }
        i = i.skip();
    }
}

/// One statement, with the `;` that ends it.
pub fn statement(i: Toks<'_>) -> Res<'_, Stmt> {
    deeper(i, one)
}

fn one(i: Toks<'_>) -> Res<'_, Stmt> {
    let t = i.peek();
    match t.kind {
        Tok::Op(Op::Semi) => Ok((i.skip(), made(StmtKind::Null, t))),
        Tok::Op(Op::LBrace) => block(i),
        Tok::Kw(Kw::If) => if_statement(i),
        Tok::Kw(Kw::While) => {
            let (i, (cond, body)) = (in_parens, statement).parse(i.skip())?;
            Ok((i, made(StmtKind::While { cond, body: Box::new(body) }, t)))
        }
        Tok::Kw(Kw::For) => for_statement(i),
        Tok::Kw(Kw::Foreach) => foreach(i),
        Tok::Kw(Kw::Try) => try_statement(i),
        Tok::Kw(Kw::Break) => ended(i.skip(), made(StmtKind::Break, t)),
        Tok::Kw(Kw::Continue) => ended(i.skip(), made(StmtKind::Continue, t)),
        Tok::Kw(Kw::Next) => ended(i.skip(), made(StmtKind::Next, t)),
        Tok::Kw(Kw::Return) => return_statement(i),
        Tok::Kw(Kw::Delete) => {
            let (i, e) = expr(i.skip())?;
            ended(i, made(StmtKind::Delete(e), t))
        }
        Tok::Kw(_) | Tok::Eof => i.fail("expected-statement", "expected statement"),
        Tok::Ident if is_do(i) => do_while(i),
        _ => {
            let (i, e) = expr(i)?;
            ended(i, made(StmtKind::Expr(e), t))
        }
    }
}

/// Takes along a `;`.
fn ended<'a>(i: Toks<'a>, s: Stmt) -> Res<'a, Stmt> {
    Ok((if i.is(Op::Semi) { i.skip() } else { i }, s))
}

fn in_parens(i: Toks<'_>) -> Res<'_, Expr> {
    delimited(need(Op::LParen, OPEN), expr, need(Op::RParen, CLOSE)).parse(i)
}

fn if_statement(i: Toks<'_>) -> Res<'_, Stmt> {
    let t = i.peek();
    let mut rule = (preceded(kw(Kw::If), in_parens), statement, opt(preceded(kw(Kw::Else), statement)));
    let (i, (cond, then, els)) = rule.parse(i)?;
    Ok((i, made(StmtKind::If { cond, then: Box::new(then), els: els.map(Box::new) }, t)))
}

fn for_statement(i: Toks<'_>) -> Res<'_, Stmt> {
    let t = i.peek();
    let (i, _) = need(Op::LParen, OPEN)(i.skip())?;
    let (i, init) = part(Op::Semi)(i)?;
    let (i, _) = need(Op::Semi, "expected ';'")(i)?;
    let (i, cond) = part(Op::Semi)(i)?;
    let (i, _) = need(Op::Semi, "expected ';'")(i)?;
    let (i, step) = part(Op::RParen)(i)?;
    let (i, _) = need(Op::RParen, CLOSE)(i)?;
    let (i, body) = statement(i)?;
    Ok((i, made(StmtKind::For { init, cond, step, body: Box::new(body) }, t)))
}

/// An expression, or nothing where `end` follows.
fn part<'a>(end: Op) -> impl Fn(Toks<'a>) -> Res<'a, Option<Expr>> {
    move |i| if i.is(end) { Ok((i, None)) } else { map(expr, Some).parse(i) }
}

/// `+` or `-` behind a name; at most one in a `foreach`.
fn sort<'a>(i: Toks<'a>, seen: &mut bool) -> Res<'a, Option<Sort>> {
    let sort = match i.kind() {
        Tok::Op(Op::Plus) => Sort::Up,
        Tok::Op(Op::Minus) => Sort::Down,
        _ => return Ok((i, None)),
    };
    if std::mem::replace(seen, true) {
        return i.fail("two-sorts", "multiple sort directives");
    }
    Ok((i.skip(), Some(sort)))
}

fn foreach(i: Toks<'_>) -> Res<'_, Stmt> {
    let t = i.peek();
    let mut sorted = false;
    let (mut i, _) = need(Op::LParen, OPEN)(i.skip())?;
    let mut value = None;
    let mut keys = Vec::new();
    if i.is(Op::LBracket) {
        i = key_names(i, &mut keys, &mut sorted)?;
    } else {
        let (rest, name) = identifier(i)?;
        let (rest, order) = sort(rest, &mut sorted)?;
        i = rest;
        if i.is(Op::Assign) {
            value = Some((name, order));
            i = i.skip();
            if i.is(Op::LBracket) {
                i = key_names(i, &mut keys, &mut sorted)?;
            } else {
                let (rest, name) = identifier(i)?;
                let (rest, order) = sort(rest, &mut sorted)?;
                keys.push((name, order));
                i = rest;
            }
        } else {
            keys.push((name, order));
        }
    }
    if !i.is_kw(Kw::In) {
        return i.fail("expected-in", "expected 'in'");
    }
    let (i, array) = array(i.skip())?;
    let (i, slice) = if i.is(Op::LBracket) { map(index_list, Some).parse(i)? } else { (i, None) };
    let (i, array_sort) = array_sort(i, &mut sorted)?;
    let (i, limit) = opt(preceded(kw(Kw::Limit), expr)).parse(i)?;
    let (i, _) = need(Op::RParen, CLOSE)(i)?;
    let (i, body) = statement(i)?;
    let all = Foreach { value, keys, array, slice, array_sort, limit, body };
    Ok((i, made(StmtKind::Foreach(Box::new(all)), t)))
}

/// `[a+, b]`
fn key_names<'a>(
    i: Toks<'a>,
    keys: &mut Vec<(Ident, Option<Sort>)>,
    sorted: &mut bool,
) -> Result<Toks<'a>, Err<Fault>> {
    let mut i = i.skip();
    loop {
        let (rest, name) = identifier(i)?;
        let (rest, order) = sort(rest, sorted)?;
        keys.push((name, order));
        i = rest;
        match i.kind() {
            Tok::Op(Op::Comma) => i = i.skip(),
            Tok::Op(Op::RBracket) => return Ok(i.skip()),
            _ => return Err(Err::Failure(i.fault("expected-operator", "expected ',' or ']'"))),
        }
    }
}

/// `+`, `-`, `@sum +`
fn array_sort<'a>(i: Toks<'a>, sorted: &mut bool) -> Res<'a, Option<(Option<AggOp>, Sort)>> {
    if i.kind() != Tok::At {
        return map(|i| sort(i, sorted), |s| s.map(|s| (None, s))).parse(i);
    }
    let agg = match i.text(i.peek()) {
        "@count" => AggOp::Count,
        "@sum" => AggOp::Sum,
        "@min" => AggOp::Min,
        "@max" => AggOp::Max,
        "@avg" => AggOp::Avg,
        "@variance" => AggOp::Variance,
        _ => return i.fail("sort-operator", "expected statistical operation"),
    };
    let (i, order) = sort(i.skip(), sorted)?;
    match order {
        Some(order) => Ok((i, Some((Some(agg), order)))),
        None => i.fail("expected-sort", "expected sort directive"),
    }
}

fn try_statement(i: Toks<'_>) -> Res<'_, Stmt> {
    let t = i.peek();
    let (i, body) = block(i.skip())?;
    if !i.is_kw(Kw::Catch) {
        return i.fail("expected-catch", "expected 'catch'");
    }
    let var = delimited(op(Op::LParen), identifier, need(Op::RParen, CLOSE));
    let (i, (var, handler)) = (opt(var), block).parse(i.skip())?;
    Ok((i, made(StmtKind::Try { body: Box::new(body), var, handler: Box::new(handler) }, t)))
}

fn return_statement(i: Toks<'_>) -> Res<'_, Stmt> {
    let t = i.peek();
    if !i.sh.in_function.get() {
        return i.fail("return-outside-function", "found 'return' not in function context");
    }
    let i = i.skip();
    if matches!(i.kind(), Tok::Op(Op::Semi | Op::RBrace)) {
        return ended(i, made(StmtKind::Return(None), t));
    }
    let (i, e) = expr(i)?;
    ended(i, made(StmtKind::Return(Some(e)), t))
}

/// `do` is no reserved word: it begins a loop where a statement follows, and is a name elsewhere.
fn is_do(i: Toks<'_>) -> bool {
    i.text(i.peek()) == "do"
        && matches!(i.kind_at(1), Tok::Op(Op::LBrace | Op::Semi) | Tok::Ident | Tok::Kw(_))
}

/// `do … while (…)`, an extension: SystemTap reads a variable, a block and an endless loop.
fn do_while(i: Toks<'_>) -> Res<'_, Stmt> {
    let t = i.peek();
    let (i, body) = statement(i.skip())?;
    if !i.is_kw(Kw::While) {
        return i.fail("expected-while", "expected 'while' of 'do'");
    }
    let (i, cond) = terminated(in_parens, opt(op(Op::Semi))).parse(i.skip())?;
    // Always a block, so that printing it is no riddle.
    let body = match body.kind {
        StmtKind::Block(_) => body,
        _ => Stmt { span: body.span, kind: StmtKind::Block(vec![body]) },
    };
    Ok((i, made(StmtKind::DoWhile { body: Box::new(body), cond }, t)))
}
