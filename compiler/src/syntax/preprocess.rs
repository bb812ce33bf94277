//! `%( condition %? tokens %: tokens %)`.
//!
//! In: tokens with macros expanded. Out: those that the conditions leave.
//! The rules are those of "PREPROCESSING" in stap(1).

use super::context::ParseContext;
use super::literal;
use super::macros::Macros;
use super::token::{Junk, Op, Tok, Token};
use super::version;
use crate::driver::Privilege;
use std::cmp::Ordering;

/// The language that scripts find here, where `--compatible` says nothing else.
pub const LANGUAGE_VERSION: &str = "5.6";

const OPERAND: &str = "expected 'arch', 'kernel_v', 'kernel_vr', 'systemtap_v',\n             \
                       'runtime', 'systemtap_privilege', 'CONFIG_...', or\n             \
                       comparison between strings or integers";

/// A message for the token where the condition went wrong; already told for what the lexer reports.
struct Wrong;

/// One `%( … %)` that is open.
struct Open {
    at: Token,
    taken: bool,
    has_else: bool,
}

/// All tokens that are left, `Eof` last.
pub fn run(m: &mut Macros<'_>) -> Vec<Token> {
    let mut out = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    loop {
        let t = m.next();
        match t.kind {
            Tok::Eof => {
                if let Some(first) = open.last() {
                    let at = first.at;
                    m.error("pp-unterminated", "incomplete conditional at end of file", at);
                }
                out.push(t);
                return out;
            }
            Tok::Op(Op::PpIf) => {
                let Ok(value) = condition(m, t) else {
                    skip(m, false);
                    continue;
                };
                if value {
                    open.push(Open { at: t, taken: true, has_else: false });
                    continue;
                }
                match skip(m, true).map(|end| end.kind) {
                    Some(Tok::Op(Op::PpElse)) => open.push(Open { at: t, taken: false, has_else: true }),
                    Some(_) => {}
                    None => m.error("pp-unterminated", "incomplete conditional at end of file", t),
                }
            }
            Tok::Op(Op::PpElse) => match open.last_mut() {
                Some(o) if o.has_else => {
                    m.error("pp-duplicate-else", "invalid conditional - duplicate '%:'", t);
                }
                Some(o) if o.taken => {
                    o.has_else = true;
                    let at = o.at;
                    open.pop();
                    match skip(m, true) {
                        Some(Token { kind: Tok::Op(Op::PpEnd), .. }) => {}
                        Some(other) => {
                            m.error("pp-duplicate-else", "invalid conditional - duplicate '%:'", other);
                            skip(m, false);
                        }
                        None => m.error("pp-unterminated", "incomplete conditional at end of file", at),
                    }
                }
                _ => m.error("pp-stray", "incomplete conditional - missing '%('", t),
            },
            Tok::Op(Op::PpEnd) => {
                if open.pop().is_none() {
                    m.error("pp-stray", "incomplete conditional - missing '%('", t);
                }
            }
            Tok::Op(Op::PpThen) => m.error("pp-stray", "incomplete conditional - missing '%('", t),
            _ => out.push(t),
        }
    }
}

/// Skips a branch: to the `%)` that ends it (or the `%:`, with `at_else`), which is read. `None` at the end.
fn skip(m: &mut Macros<'_>, at_else: bool) -> Option<Token> {
    let mut depth = 0;
    let before = std::mem::replace(&mut m.skipping, true);
    let end = loop {
        let t = m.next();
        match t.kind {
            Tok::Eof => break None,
            Tok::Op(Op::PpIf) => depth += 1,
            Tok::Op(Op::PpEnd) if depth == 0 => break Some(t),
            Tok::Op(Op::PpEnd) => depth -= 1,
            Tok::Op(Op::PpElse) if depth == 0 && at_else => break Some(t),
            _ => {}
        }
    };
    m.skipping = before;
    end
}

/// `a && b || c` up to and with `%?`.
fn condition(m: &mut Macros<'_>, open: Token) -> Result<bool, Wrong> {
    let mut any = false;
    let mut all = true;
    loop {
        all &= comparison(m, open)?;
        let t = m.next();
        match t.kind {
            Tok::Op(Op::AndAnd) => {}
            Tok::Op(Op::OrOr) => {
                any |= all;
                all = true;
            }
            Tok::Op(Op::PpThen) => return Ok(any || all),
            _ => {
                m.put_back(t);
                m.error("pp-then", "expected '%?' marker for conditional", open);
                return Err(Wrong);
            }
        }
    }
}

/// One comparison. Tokens are left at the place where it went wrong, so that `%)` is found again.
fn comparison(m: &mut Macros<'_>, open: Token) -> Result<bool, Wrong> {
    let left = m.next();
    let op = m.next();
    let right = m.next();
    let result = compare(m, open, left, op, right);
    if result.is_err() {
        // A marker among the three belongs to the conditional, not to the comparison.
        for t in [right, op, left] {
            m.put_back(t);
        }
    }
    result
}

fn compare(m: &mut Macros<'_>, open: Token, left: Token, op: Token, right: Token) -> Result<bool, Wrong> {
    if left.kind == Tok::Eof || op.kind == Tok::Eof || right.kind == Tok::Eof {
        return wrong(m, "incomplete condition after '%('", open);
    }
    for t in [left, op, right] {
        if let Tok::Junk(j) = t.kind {
            let message = junk_message(j, m.cx);
            return wrong(m, &message, t);
        }
    }
    let cx = m.cx;
    let word = m.text(left).to_string();
    m.asks_kernel |= matches!(left.kind, Tok::Ident)
        && (matches!(word.as_str(), "kernel_v" | "kernel_vr") || word.starts_with("CONFIG_"));
    match (left.kind, word.as_str()) {
        (Tok::Ident, "kernel_v" | "kernel_vr" | "systemtap_v") => {
            let value = match word.as_str() {
                "kernel_vr" => cx.kernel_release,
                "kernel_v" => cx.kernel_release.split('-').next().unwrap_or(""),
                _ => cx.compatible.unwrap_or(LANGUAGE_VERSION),
            };
            let want = string(m, right, "expected string literal")?;
            let Some(test) = order_test(op) else { return wrong(m, "expected comparison operator", op) };
            if version::is_wild(&want) {
                return match op.kind {
                    Tok::Op(Op::EqEq) => Ok(version::matches(&want, value)),
                    Tok::Op(Op::Ne) => Ok(!version::matches(&want, value)),
                    _ => wrong(m, "wildcard not allowed with order comparison operators", op),
                };
            }
            Ok(test(version::compare(value, &want)))
        }
        (Tok::Ident, "arch" | "runtime") => {
            let value = if word == "arch" { cx.arch } else { cx.runtime };
            let want = string(m, right, "expected string literal")?;
            equality(m, op, version::matches(&want, value))
        }
        (Tok::Ident, "systemtap_privilege") => {
            let value = match cx.privilege {
                Privilege::Stapdev => "stapdev",
                Privilege::Stapsys => "stapsys",
                Privilege::Stapusr => "stapusr",
            };
            let want = string(m, right, "expected string literal")?;
            equality(m, op, want == value)
        }
        (Tok::Ident, "guru_mode") => {
            let Tok::Number = right.kind else { return wrong(m, "expected number", right) };
            match literal::number(m.text(right).as_bytes()) {
                Some(n @ (0 | 1)) => equality(m, op, (n == 1) == cx.guru),
                _ => wrong(m, "expected 0 or 1", op),
            }
        }
        (Tok::Ident, name) if name.starts_with("CONFIG_") => {
            let value = (cx.config)(name).unwrap_or_default();
            match right.kind {
                Tok::Str | Tok::RawStr => {
                    let want = string(m, right, "expected string literal")?;
                    equality(m, op, version::matches(&want, &value))
                }
                Tok::Number => {
                    let Ok(value) = value.parse::<i64>() else {
                        return wrong(m, "Config option value not a number", left);
                    };
                    let want = number(m, right)?;
                    match order_test(op) {
                        Some(test) => Ok(test(value.cmp(&want))),
                        None => wrong(m, "expected comparison operator", op),
                    }
                }
                Tok::Ident if m.text(right).starts_with("CONFIG_") => {
                    let other = (cx.config)(m.text(right)).unwrap_or_default();
                    equality(m, op, value == other)
                }
                _ => wrong(
                    m,
                    "expected string, number literal or other CONFIG_... as right side operand",
                    right,
                ),
            }
        }
        (Tok::Str | Tok::RawStr, _) => {
            let a = string(m, left, OPERAND)?;
            let b = string(m, right, "expected string literal as right value")?;
            match order_test(op) {
                Some(test) => Ok(test(a.cmp(&b))),
                None => wrong(m, "expected comparison operator", op),
            }
        }
        (Tok::Number, _) => {
            let Some(test) = order_test(op) else { return wrong(m, "expected comparison operator", op) };
            let Tok::Number = right.kind else {
                return wrong(m, "expected number literal as right value", right);
            };
            let (a, b) = (number(m, left)?, number(m, right)?);
            Ok(test(a.cmp(&b)))
        }
        _ => wrong(m, OPERAND, left),
    }
}

fn wrong<T>(m: &mut Macros<'_>, message: &str, at: Token) -> Result<T, Wrong> {
    m.error("pp-condition", message, at);
    Err(Wrong)
}

fn string(m: &mut Macros<'_>, t: Token, message: &str) -> Result<String, Wrong> {
    match t.kind {
        Tok::RawStr => Ok(m.text(t).to_string()),
        Tok::Str => match literal::string(m.map.slice(t.span)) {
            Ok(s) => Ok(literal::until_nul(s).to_string_lossy()),
            Err(_) => wrong(m, "\\x without hexadecimal digits", t),
        },
        _ => wrong(m, message, t),
    }
}

fn number(m: &mut Macros<'_>, t: Token) -> Result<i64, Wrong> {
    match literal::number(m.text(t).as_bytes()) {
        Some(n) => Ok(n),
        None => wrong(m, "number invalid or out of range", t),
    }
}

fn equality(m: &mut Macros<'_>, op: Token, equal: bool) -> Result<bool, Wrong> {
    match op.kind {
        Tok::Op(Op::EqEq) => Ok(equal),
        Tok::Op(Op::Ne) => Ok(!equal),
        _ => wrong(m, "expected '==' or '!='", op),
    }
}

fn order_test(op: Token) -> Option<fn(Ordering) -> bool> {
    Some(match op.kind {
        Tok::Op(Op::EqEq) => Ordering::is_eq,
        Tok::Op(Op::Ne) => Ordering::is_ne,
        Tok::Op(Op::Lt) => Ordering::is_lt,
        Tok::Op(Op::Le) => Ordering::is_le,
        Tok::Op(Op::Gt) => Ordering::is_gt,
        Tok::Op(Op::Ge) => Ordering::is_ge,
        _ => return None,
    })
}

/// What SystemTap says of a token that it could not read.
pub fn junk_message(junk: Junk, cx: &ParseContext<'_>) -> String {
    match junk {
        Junk::String => "Could not find matching closing quote".to_string(),
        Junk::Embedded => "Could not find matching '%}' to close embedded function block".to_string(),
        Junk::Arg => format!("command line argument out of range [1-{}]", cx.args.len()),
    }
}
