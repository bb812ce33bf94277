//! The parser's input: tokens as nom sees them, and how a rule refuses.
//!
//! A rule that could be another one's turn answers `Err::Error`; one that
//! knows that the script is wrong answers `Err::Failure` with the message.

use super::context::ParseContext;
use super::preprocess::junk_message;
use super::token::{Kw, Op, Tok, Token};
use crate::diag::{Diagnostic, Origin, SourceMap, Stage};
use nom::error::{ErrorKind, ParseError};
use nom::{IResult, Needed};
use std::cell::{Cell, RefCell};
use std::iter::{Copied, Enumerate};
use std::slice::Iter;

/// Blocks, parentheses and calls within each other.
pub const MAX_DEPTH: u32 = 200;
/// Height of the tree of one expression.
pub const MAX_HEIGHT: u32 = 1000;
/// Messages of one text; the rest would be noise.
const MAX_ERRORS: usize = 50;

/// What all rules share.
pub struct Shared<'a> {
    pub map: &'a SourceMap,
    pub cx: &'a ParseContext<'a>,
    pub errors: RefCell<Vec<Diagnostic>>,
    pub depth: Cell<u32>,
    pub height: Cell<u32>,
    /// Within a function: `return` is allowed.
    pub in_function: Cell<bool>,
}

impl Shared<'_> {
    pub fn report(&self, d: Diagnostic) {
        let mut errors = self.errors.borrow_mut();
        match errors.len().cmp(&MAX_ERRORS) {
            std::cmp::Ordering::Less => errors.push(d),
            std::cmp::Ordering::Equal => {
                errors.push(Diagnostic::error(Stage::Parse, "too-many-errors", "too many errors"));
            }
            std::cmp::Ordering::Greater => {}
        }
    }
}

/// The tokens that are left. The last one is always `Eof` and is never read past.
#[derive(Clone, Copy)]
pub struct Toks<'a> {
    toks: &'a [Token],
    pub sh: &'a Shared<'a>,
}

/// Why a rule does not hold.
#[derive(Debug)]
pub struct Fault {
    /// `None`: not this rule's turn, or already reported.
    pub diag: Option<Box<Diagnostic>>,
    /// Tokens that were left where it was found.
    pub left: usize,
}

pub type Res<'a, T> = IResult<Toks<'a>, T, Fault>;

impl<'a> ParseError<Toks<'a>> for Fault {
    fn from_error_kind(input: Toks<'a>, _: ErrorKind) -> Self {
        Fault { diag: None, left: input.toks.len() }
    }
    fn append(_: Toks<'a>, _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl<'a> Toks<'a> {
    /// `toks` must end in `Eof`.
    pub fn new(toks: &'a [Token], sh: &'a Shared<'a>) -> Self {
        debug_assert!(toks.last().is_some_and(|t| t.kind == Tok::Eof));
        Toks { toks, sh }
    }
    pub fn peek(self) -> Token {
        self.toks[0]
    }
    pub fn kind(self) -> Tok {
        self.toks[0].kind
    }
    /// Kind of the token `n` after the next.
    pub fn kind_at(self, n: usize) -> Tok {
        self.toks.get(n).map_or(Tok::Eof, |t| t.kind)
    }
    /// Past the next token, unless it is `Eof`.
    pub fn skip(self) -> Self {
        Toks { toks: if self.toks.len() > 1 { &self.toks[1..] } else { self.toks }, ..self }
    }
    pub fn left(self) -> usize {
        self.toks.len()
    }
    /// The place where `left` tokens were left; never before this one.
    pub fn forward_to(self, left: usize) -> Self {
        let n = left.clamp(1, self.toks.len());
        Toks { toks: &self.toks[self.toks.len() - n..], ..self }
    }
    pub fn bytes(self, t: Token) -> &'a [u8] {
        self.sh.map.slice(t.span)
    }
    /// Text of a word; words are ASCII.
    pub fn text(self, t: Token) -> &'a str {
        std::str::from_utf8(self.bytes(t)).unwrap_or("")
    }
    /// Did a macro bring the next token in?
    pub fn is_macro_s(self) -> bool {
        matches!(self.sh.map.get(self.peek().span.file).origin, Origin::Macro { .. })
    }
    pub fn is(self, op: Op) -> bool {
        self.kind() == Tok::Op(op)
    }
    pub fn is_kw(self, kw: Kw) -> bool {
        self.kind() == Tok::Kw(kw)
    }

    /// The message about the next token.
    pub fn fault(self, code: &'static str, message: impl Into<String>) -> Fault {
        self.fault_at(self.peek(), code, message)
    }
    /// The message about some token; what could not be read at all says so itself.
    pub fn fault_at(self, t: Token, code: &'static str, message: impl Into<String>) -> Fault {
        let d = match t.kind {
            Tok::Junk(j) => Diagnostic::error(Stage::Parse, "junk", junk_message(j, self.sh.cx)),
            _ => Diagnostic::error(Stage::Parse, code, message),
        };
        let d = d.at(t.span).token(t.describe(self.sh.map));
        Fault { diag: Some(Box::new(d)), left: self.toks.len() }
    }
    /// Refuses for good.
    pub fn fail<T>(self, code: &'static str, message: impl Into<String>) -> Res<'a, T> {
        Err(nom::Err::Failure(self.fault(code, message)))
    }
    pub fn fail_at<T>(self, t: Token, code: &'static str, message: impl Into<String>) -> Res<'a, T> {
        Err(nom::Err::Failure(self.fault_at(t, code, message)))
    }
    /// Another rule's turn.
    pub fn pass<T>(self) -> Res<'a, T> {
        Err(nom::Err::Error(Fault { diag: None, left: self.toks.len() }))
    }
}

/// Rule: this operator.
pub fn op<'a>(o: Op) -> impl Fn(Toks<'a>) -> Res<'a, Token> + Copy {
    move |i| if i.is(o) { Ok((i.skip(), i.peek())) } else { i.pass() }
}

/// Rule: this operator must be here. `message` as SystemTap's: `expected '('`.
pub fn need<'a>(o: Op, message: &'static str) -> impl Fn(Toks<'a>) -> Res<'a, Token> + Copy {
    move |i| if i.is(o) { Ok((i.skip(), i.peek())) } else { i.fail("expected-operator", message) }
}

/// Rule: this reserved word.
pub fn kw<'a>(k: Kw) -> impl Fn(Toks<'a>) -> Res<'a, Token> + Copy {
    move |i| if i.is_kw(k) { Ok((i.skip(), i.peek())) } else { i.pass() }
}

/// Runs a rule one level deeper; too many levels are an error, not a crash.
pub fn deeper<'a, T>(i: Toks<'a>, rule: impl FnOnce(Toks<'a>) -> Res<'a, T>) -> Res<'a, T> {
    let depth = i.sh.depth.get();
    if depth >= MAX_DEPTH {
        return i.fail("nested-too-deep", format!("nested too deep (limit {MAX_DEPTH})"));
    }
    i.sh.depth.set(depth + 1);
    let result = rule(i);
    i.sh.depth.set(depth);
    i.sh.height.set(i.sh.height.get() + 1);
    result
}

impl<'a> nom::Input for Toks<'a> {
    type Item = Token;
    type Iter = Copied<Iter<'a, Token>>;
    type IterIndices = Enumerate<Self::Iter>;

    /// `Eof` doesn't count: where it is next, the input is empty.
    fn input_len(&self) -> usize {
        self.toks.len() - 1
    }
    fn take(&self, n: usize) -> Self {
        Toks { toks: &self.toks[..n], ..*self }
    }
    fn take_from(&self, n: usize) -> Self {
        Toks { toks: &self.toks[n..], ..*self }
    }
    fn take_split(&self, n: usize) -> (Self, Self) {
        (self.take_from(n), self.take(n))
    }
    fn position<P: Fn(Token) -> bool>(&self, predicate: P) -> Option<usize> {
        self.toks.iter().position(|t| predicate(*t))
    }
    fn iter_elements(&self) -> Self::Iter {
        self.toks.iter().copied()
    }
    fn iter_indices(&self) -> Self::IterIndices {
        self.iter_elements().enumerate()
    }
    fn slice_index(&self, n: usize) -> Result<usize, Needed> {
        if n < self.toks.len() {
            Ok(n)
        } else {
            Err(Needed::new(n + 1 - self.toks.len()))
        }
    }
}
