//! What a tapset file defines, without parsing it.
//!
//! In: the text. Out: names. Forgiving and fast: it looks at words at brace
//! depth 0 only and takes both branches of conditions.

use super::lexer;
use super::token::{Kw, Op, Tok, Token};
use crate::diag::FileId;

/// What a tapset file defines.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outline {
    pub functions: Vec<String>,
    pub globals: Vec<String>,
    /// Names of aliases as written, arguments as `("x")`, without white space:
    /// `syscall.read`, `netdev.{get,set}_x`.
    pub aliases: Vec<String>,
    /// Macros that the file defines.
    pub macros: Vec<String>,
    /// Probes that are no aliases: the file runs code as soon as it is used.
    pub probes: usize,
}

/// Scans a tapset file for its definitions; no diagnostics.
pub fn outline(text: &[u8]) -> Outline {
    let tokens = lexer::lex(FileId(0), text, false).tokens;
    let mut out = Outline::default();
    let word =
        |t: &Token| String::from_utf8_lossy(&text[t.span.lo as usize..t.span.hi as usize]).into_owned();
    let mut i = 0;
    while let Some(t) = tokens.get(i) {
        i += 1;
        match t.kind {
            Tok::Op(Op::LBrace) => i = past_block(&tokens, i),
            Tok::Kw(Kw::Function) => {
                if let Some(n) = tokens.get(i).filter(|n| n.kind == Tok::Ident) {
                    out.functions.push(word(n));
                }
            }
            Tok::Kw(Kw::Global) => i = names(&tokens, i, |n| out.globals.push(word(n))),
            Tok::Kw(Kw::Private) => {
                // Before `function` and `global` there is no name, and that word says more.
                i = names(&tokens, i, |n| out.globals.push(word(n)));
            }
            Tok::Kw(Kw::Probe) => {
                let start = i;
                while let Some(t) = tokens.get(i) {
                    match t.kind {
                        Tok::Op(Op::Assign | Op::AddAssign) => {
                            out.aliases.push(tokens[start..i].iter().map(word).collect());
                            break;
                        }
                        Tok::Op(Op::Comma | Op::Question | Op::Bang)
                        | Tok::Kw(Kw::If | Kw::Probe)
                        | Tok::Eof => {
                            out.probes += 1;
                            break;
                        }
                        // A block; only behind a dot or first is it an alternation.
                        Tok::Op(Op::LBrace) if i > start && tokens[i - 1].kind != Tok::Op(Op::Dot) => {
                            out.probes += 1;
                            break;
                        }
                        Tok::Op(Op::LBrace) => i = past_block(&tokens, i + 1),
                        _ => i += 1,
                    }
                }
            }
            Tok::At if word(t) == "@define" => {
                if let Some(n) = tokens.get(i).filter(|n| n.kind == Tok::Ident) {
                    out.macros.push(word(n));
                    i = past_macro(&tokens, i + 1);
                }
            }
            _ => {}
        }
    }
    out
}

/// `a, b[10], c% = 5`: calls `found` for each name; where the list ends.
fn names(tokens: &[Token], mut i: usize, mut found: impl FnMut(&Token)) -> usize {
    loop {
        match tokens.get(i) {
            Some(t) if t.kind == Tok::Ident => found(t),
            _ => return i,
        }
        i += 1;
        loop {
            match tokens.get(i).map(|t| t.kind) {
                Some(
                    Tok::Op(Op::LBracket | Op::RBracket | Op::Percent | Op::Assign | Op::Minus)
                    | Tok::Number
                    | Tok::Str,
                ) => i += 1,
                Some(Tok::Op(Op::Comma)) => break i += 1,
                _ => return i,
            }
        }
    }
}

/// Behind the `}` that closes a `{` before `i`.
fn past_block(tokens: &[Token], mut i: usize) -> usize {
    let mut depth = 1;
    while let Some(t) = tokens.get(i) {
        i += 1;
        match t.kind {
            Tok::Op(Op::LBrace) => depth += 1,
            Tok::Op(Op::RBrace) => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// Behind the `%)` of a macro whose name was read.
fn past_macro(tokens: &[Token], mut i: usize) -> usize {
    let mut depth = 0;
    while let Some(t) = tokens.get(i) {
        i += 1;
        match t.kind {
            Tok::Op(Op::PpIf) => depth += 1,
            Tok::Op(Op::PpEnd) if depth <= 1 => break,
            Tok::Op(Op::PpEnd) => depth -= 1,
            _ => {}
        }
    }
    i
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_kind_of_definition() {
        let o = outline(
            br#"
@define m(a) %( %( 1 == 1 %? @a %) function not_me() {} %)
global g, h[10], i%[5], j = -5, k = "x" "y"
private l
private global n
function f:string(a:long) { probe = 5; if (a) { global } }
private function p() %{ function inner() { %}
probe syscall.read = kernel.function("x") ? { x = "}" } , { y }
probe netdev.{get,set} += foo { }
probe begin, end { }
probe timer.s(1) { }
%( arch == "x86_64" %? function q() {} %: function r() {} %)
"#,
        );
        assert_eq!(o.functions, ["f", "p", "q", "r"]);
        assert_eq!(o.globals, ["g", "h", "i", "j", "k", "l", "n"]);
        assert_eq!(o.aliases, ["syscall.read", "netdev.{get,set}"]);
        assert_eq!(o.macros, ["m"]);
        assert_eq!(o.probes, 2);
    }
}
