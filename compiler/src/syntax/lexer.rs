//! Text to tokens, on nom.
//!
//! In: the bytes of one file. Out: all its tokens, ending in `Eof`. What can't
//! be read becomes a junk token, so lexing itself never fails: a branch of
//! `%( … %)` that is not taken may hold anything.

use super::token::{Arg, Junk, Kw, Op, Tok, Token};
use crate::diag::{FileId, Span};
use nom::branch::alt;
use nom::bytes::complete::{tag, take_till, take_until, take_while, take_while1};
use nom::character::complete::{anychar, char, one_of};
use nom::combinator::{opt, recognize, rest, value};
use nom::multi::many0_count;
use nom::sequence::{pair, preceded, terminated};
use nom::{IResult, Parser};

type In<'a> = &'a [u8];
type Lex<'a, T> = IResult<In<'a>, T, ()>;

/// What lexing found beside the tokens.
#[derive(Debug)]
pub struct Lexed {
    pub tokens: Vec<Token>,
    /// `/*` without `*/`: SystemTap takes it for a comment to the end.
    pub open_comment: Option<Span>,
}

/// Tokens of a text. `args`: `$1`, `@1`, `$#`, `@#` are arguments of the script (user scripts only).
pub fn lex(file: FileId, text: &[u8], args: bool) -> Lexed {
    let mut tokens = Vec::with_capacity(text.len() / 3 + 1);
    let mut open_comment = None;
    let mut at = text;
    let pos = |s: In| (text.len() - s.len()) as u32;
    loop {
        let (after, open) = blank(at);
        if let Some(open) = open {
            open_comment = Some(Span { file, lo: pos(open), hi: pos(open) + 2 });
        }
        let Ok((next, kind)) = token(after, args) else { break };
        tokens.push(Token { kind, span: Span { file, lo: pos(after), hi: pos(next) } });
        at = next;
    }
    tokens.push(Token::eof(file, text.len() as u32));
    Lexed { tokens, open_comment }
}

/// Skips white space and comments; also where a comment begins that has no end.
fn blank(mut s: In) -> (In, Option<In>) {
    loop {
        s = match s {
            [b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c', ..] => {
                let n = s.iter().position(|b| !b.is_ascii_whitespace() && *b != b'\x0b');
                &s[n.unwrap_or(s.len())..]
            }
            [b'#', ..] | [b'/', b'/', ..] => line_end(s).map_or(&s[s.len()..], |(s, _)| s),
            [b'/', b'*', body @ ..] => match block_end(body) {
                Ok((s, _)) => s,
                Err(_) => return (&s[s.len()..], Some(s)),
            },
            _ => return (s, None),
        }
    }
}

fn line_end(s: In) -> Lex<In> {
    take_till(|b| b == b'\n')(s)
}

fn block_end(s: In) -> Lex<In> {
    terminated(take_until("*/"), tag("*/")).parse(s)
}

fn token(s: In, args: bool) -> Lex<Tok> {
    match s.first() {
        Some(b'$') if args => alt((argument, identifier)).parse(s),
        Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$') => identifier(s),
        Some(b'0'..=b'9') => number(s),
        Some(b'"') => string(s),
        Some(b'@') if args => alt((argument, at_word, operator)).parse(s),
        Some(b'@') => alt((at_word, operator)).parse(s),
        Some(b'%') => alt((embedded, operator)).parse(s),
        _ => operator(s),
    }
}

fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'$'
}

fn identifier(s: In) -> Lex<Tok> {
    let (s, word) = take_while1(is_word)(s)?;
    Ok((s, Kw::of(word).map_or(Tok::Ident, Tok::Kw)))
}

/// Letters are taken along: `12abc` is one bad number, as in SystemTap.
fn number(s: In) -> Lex<Tok> {
    value(Tok::Number, take_while1(|b: u8| b.is_ascii_alphanumeric())).parse(s)
}

fn string(s: In) -> Lex<Tok> {
    let piece = alt((
        recognize(take_while1(|b| b != b'"' && b != b'\\' && b != b'\n')),
        recognize(pair(char('\\'), anychar)),
    ));
    let mut body = preceded(char('"'), many0_count(piece));
    let (after, _) = body.parse(s)?;
    let (after, end) = opt(char('"')).parse(after)?;
    Ok((after, if end.is_some() { Tok::Str } else { Tok::Junk(Junk::String) }))
}

/// `$1 @1 $# @#`
fn argument(s: In) -> Lex<Tok> {
    let (s, sign) = one_of("$@").parse(s)?;
    let quoted = sign == '@';
    let digits =
        value(if quoted { Arg::Quoted } else { Arg::Plain }, take_while1(|b: u8| b.is_ascii_digit()));
    let count = value(if quoted { Arg::QuotedCount } else { Arg::Count }, char('#'));
    let (s, arg) = alt((digits, count)).parse(s)?;
    Ok((s, Tok::Arg(arg)))
}

/// `@word`
fn at_word(s: In) -> Lex<Tok> {
    let word = preceded(
        char('@'),
        pair(take_while1(|b: u8| is_word(b) && !b.is_ascii_digit()), take_while(is_word)),
    );
    value(Tok::At, word).parse(s)
}

/// `%{ … %}`
fn embedded(s: In) -> Lex<Tok> {
    let closed = value(Tok::Embedded, terminated(take_until("%}"), tag("%}")));
    let open = value(Tok::Junk(Junk::Embedded), rest);
    preceded(tag("%{"), alt((closed, open))).parse(s)
}

fn operator(s: In) -> Lex<Tok> {
    for n in [3, 2, 1] {
        if let Some(op) = s.get(..n).and_then(Op::of) {
            return Ok((&s[n..], Tok::Op(op)));
        }
    }
    // A whole character of UTF-8, so that messages show it.
    let n = match s.first() {
        None => return Err(nom::Err::Error(())),
        Some(0xc2..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xf4) => 4,
        Some(_) => 1,
    };
    let n = if s.get(..n).is_some_and(|c| std::str::from_utf8(c).is_ok()) { n } else { 1 };
    Ok((&s[n..], Tok::Op(Op::Other)))
}
