//! Macros: `@define`, invocations, arguments of the script.
//!
//! In: the tokens of a file. Out: one token after another with every macro
//! expanded and `$1`/`@1` put in. Conditions are not looked at here; they are
//! the next layer (`preprocess`). In a branch that this skips nothing is defined
//! and nothing expanded: the manual says otherwise, SystemTap does it so.

use super::context::{MacroDef, MacroTable, ParseContext};
use super::token::{Arg, Junk, Op, Tok, Token};
use crate::diag::{Diagnostic, Diagnostics, FileId, Origin, SourceMap, Span, Stage};
use std::collections::HashMap;
use std::sync::Arc;

/// Macros within macros; a recursive one ends here.
const MAX_NESTING: usize = 100;
/// Tokens that a file may grow to by macros.
const MAX_TOKENS: usize = 500_000;

/// Operators of the language that a macro may hide, with a warning.
pub const BUILTINS: &[&str] = &[
    "avg",
    "cast",
    "const",
    "count",
    "defined",
    "define",
    "entry",
    "hist_linear",
    "hist_log",
    "kderef",
    "kregister",
    "max",
    "min",
    "perf",
    "probewrite",
    "sum",
    "uderef",
    "uregister",
    "var",
    "variance",
];

/// Tokens given for a parameter, and the parameters that these see.
type Value = (Arc<[Token]>, Option<Arc<Env>>);

/// What the parameters of an invocation stand for.
#[derive(Debug)]
struct Env {
    names: Arc<[String]>,
    values: Vec<Value>,
}

impl Env {
    fn get(&self, name: &str) -> Option<&Value> {
        self.names.iter().rposition(|n| n == name).and_then(|i| self.values.get(i))
    }
}

/// A sequence of tokens that is being read.
struct Frame {
    tokens: Arc<[Token]>,
    pos: usize,
    env: Option<Arc<Env>>,
    /// The invocation, and the files of the tokens with their expansions, where this is no file itself.
    at: Option<Span>,
    files: Vec<(FileId, FileId)>,
}

pub struct Macros<'a> {
    pub map: &'a mut SourceMap,
    pub cx: &'a ParseContext<'a>,
    pub diags: &'a mut Diagnostics,
    /// Macros of this file.
    pub local: HashMap<String, MacroDef>,
    /// Set by the layer above while it skips a branch: macros are tokens like others there.
    pub skipping: bool,
    /// Set by the layer above where a condition looks at the kernel.
    pub asks_kernel: bool,
    stack: Vec<Frame>,
    /// Tokens put back.
    back: Vec<Token>,
    served: usize,
    used_args: Vec<bool>,
    file: FileId,
}

impl<'a> Macros<'a> {
    pub fn new(
        map: &'a mut SourceMap,
        file: FileId,
        tokens: Vec<Token>,
        cx: &'a ParseContext<'a>,
        diags: &'a mut Diagnostics,
    ) -> Self {
        let bottom = Frame { tokens: tokens.into(), pos: 0, env: None, at: None, files: Vec::new() };
        Macros {
            map,
            cx,
            diags,
            local: HashMap::new(),
            skipping: false,
            asks_kernel: false,
            stack: vec![bottom],
            back: Vec::new(),
            served: 0,
            used_args: vec![false; cx.args.len()],
            file,
        }
    }

    pub fn error(&mut self, code: &'static str, message: impl Into<String>, at: Token) {
        let token = at.describe(self.map);
        self.diags.push(Diagnostic::error(Stage::Parse, code, message).at(at.span).token(token));
    }

    pub fn text(&self, t: Token) -> &str {
        std::str::from_utf8(self.map.slice(t.span)).unwrap_or("")
    }

    /// Gives a token back to be read next.
    pub fn put_back(&mut self, t: Token) {
        self.back.push(t);
    }

    /// Which arguments of the script were referred to.
    pub fn used_args(&self) -> &[bool] {
        &self.used_args
    }

    /// Next token with macros and arguments in place; `Eof` at the end, for ever.
    pub fn next(&mut self) -> Token {
        loop {
            if let Some(t) = self.back.pop() {
                return t;
            }
            let (t, env) = self.raw();
            self.served += 1;
            if self.served == MAX_TOKENS {
                self.error("macro-too-big", "macros expand to too many tokens", t);
            }
            if self.served >= MAX_TOKENS {
                self.stack.truncate(1);
                let all = self.stack[0].tokens.len();
                self.stack[0].pos = all - 1;
                return self.raw().0;
            }
            match t.kind {
                Tok::Arg(arg) => match self.argument(t, arg) {
                    Some(t) => return t,
                    None => continue,
                },
                Tok::At if !self.skipping => {
                    let name = self.text(t)[1..].to_string();
                    if let Some((tokens, env)) = env.as_ref().and_then(|e| e.get(&name)).cloned() {
                        self.push(t, tokens, env);
                    } else if name == "define" {
                        self.define(t);
                    } else if let Some(def) = self.lookup(&name) {
                        self.invoke(t, &name, def);
                    } else {
                        return t;
                    }
                }
                _ => return t,
            }
        }
    }

    fn lookup(&self, name: &str) -> Option<MacroDef> {
        let table: &MacroTable = self.cx.macros;
        self.local.get(name).or_else(|| table.defs.get(name)).cloned()
    }

    /// Next token as it stands, and the parameters that it sees.
    fn raw(&mut self) -> (Token, Option<Arc<Env>>) {
        loop {
            let bottom = self.stack.len() == 1;
            let Some(frame) = self.stack.last_mut() else {
                return (Token::eof(self.file, 0), None);
            };
            let Some(&t) = frame.tokens.get(frame.pos) else {
                self.stack.pop();
                continue;
            };
            if t.kind == Tok::Eof {
                if bottom {
                    return (t, None);
                }
                self.stack.pop();
                continue;
            }
            frame.pos += 1;
            let mut t = t;
            if let Some(at) = frame.at {
                let known = frame.files.iter().find(|(from, _)| *from == t.span.file);
                t.span.file = match known {
                    Some((_, to)) => *to,
                    None => {
                        let to = self.map.add_expansion(t.span.file, at);
                        frame.files.push((t.span.file, to));
                        to
                    }
                };
            }
            return (t, frame.env.clone());
        }
    }

    fn push(&mut self, at: Token, tokens: Arc<[Token]>, env: Option<Arc<Env>>) {
        if self.stack.len() > MAX_NESTING {
            self.error("macro-recursion", "macros are nested too deep; does one invoke itself?", at);
            self.stack.truncate(1);
            return;
        }
        self.stack.push(Frame { tokens, pos: 0, env, at: Some(at.span), files: Vec::new() });
    }

    /// `$1` is read as if its text stood there; `@1` is a string.
    fn argument(&mut self, t: Token, arg: Arg) -> Option<Token> {
        let origin = Origin::Argument { at: t.span };
        let (kind, text) = match arg {
            Arg::Count | Arg::QuotedCount => {
                let kind = if arg == Arg::Count { Tok::Number } else { Tok::RawStr };
                (kind, self.cx.args.len().to_string())
            }
            Arg::Plain | Arg::Quoted => {
                let n = self.text(t)[1..].parse::<usize>().unwrap_or(0);
                let Some(text) = n.checked_sub(1).and_then(|n| self.cx.args.get(n)) else {
                    return Some(Token { kind: Tok::Junk(Junk::Arg), ..t });
                };
                self.used_args[n - 1] = true;
                (Tok::RawStr, text.clone())
            }
        };
        let name = self.map.get(t.span.file).name.clone();
        let file = self.map.add(name, text, origin);
        let hi = self.map.get(file).text.len() as u32;
        if arg != Arg::Plain {
            return Some(Token { kind, span: Span { file, lo: 0, hi } });
        }
        let text = self.map.get(file).text.clone();
        // No arguments in arguments.
        let lexed = super::lexer::lex(file, &text, false);
        if self.stack.len() > MAX_NESTING {
            return Some(Token { kind: Tok::Junk(Junk::Arg), ..t });
        }
        self.stack.push(Frame {
            tokens: lexed.tokens.into(),
            pos: 0,
            env: None,
            at: None,
            files: Vec::new(),
        });
        None
    }

    /// `@define name %( body %)`, `@define name(a, b) %( body %)`; `@define` itself is read.
    fn define(&mut self, define: Token) {
        if self.stack.len() > 1 {
            return self.error("macro-define-inside", "'@define' forbidden inside macro body", define);
        }
        let (name, _) = self.raw();
        if name.kind != Tok::Ident {
            self.error("macro-name", "expected identifier", name);
            return self.resync(name);
        }
        let text = self.text(name).to_string();
        let mut params = Vec::new();
        let (mut t, _) = self.raw();
        if t.kind == Tok::Op(Op::LParen) {
            loop {
                let (param, _) = self.raw();
                if param.kind != Tok::Ident {
                    self.error("macro-param", "expected identifier", param);
                    return self.resync(param);
                }
                params.push(self.text(param).to_string());
                let (sep, _) = self.raw();
                match sep.kind {
                    Tok::Op(Op::Comma) => {}
                    Tok::Op(Op::RParen) => break,
                    _ => {
                        self.error("macro-param", "expected ',' or ')'", sep);
                        return self.resync(sep);
                    }
                }
            }
            t = self.raw().0;
            if t.kind != Tok::Op(Op::PpIf) {
                self.error("macro-body", "expected '%('", t);
                return self.resync(t);
            }
        } else if t.kind != Tok::Op(Op::PpIf) {
            self.error("macro-body", "expected '%(' or '('", t);
            return self.resync(t);
        }
        let mut body = Vec::new();
        let mut depth = 1;
        loop {
            let (t, _) = self.raw();
            match t.kind {
                Tok::Eof => {
                    return self.error(
                        "macro-unterminated",
                        "incomplete macro definition - missing '%)'",
                        name,
                    )
                }
                Tok::Op(Op::PpIf) => depth += 1,
                Tok::Op(Op::PpEnd) => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            body.push(t);
        }
        if let Some(first) = self.local.get(&text) {
            let first = first.span;
            let token = name.describe(self.map);
            let message = format!("attempt to redefine macro '@{text}' in the same file");
            let also = format!("macro '@{text}' first defined here");
            self.diags.push(
                Diagnostic::error(Stage::Parse, "macro-redefined", message)
                    .at(name.span)
                    .token(token)
                    .related(first, also),
            );
            return;
        }
        if BUILTINS.contains(&text.as_str()) {
            let message = format!("macro redefines built-in operator '@{text}'");
            let token = name.describe(self.map);
            self.diags.push(
                Diagnostic::warning(Stage::Parse, "macro-hides-builtin", message).at(name.span).token(token),
            );
        }
        let def = MacroDef { params: params.into(), body: body.into(), span: name.span };
        self.local.insert(text, def);
    }

    /// After a bad definition: past its body, where it has one, so that one fault is one message.
    fn resync(&mut self, mut t: Token) {
        let mut depth = 0;
        for _ in 0..1000 {
            match t.kind {
                Tok::Eof | Tok::Kw(_) if depth == 0 => break,
                Tok::Eof => break,
                Tok::Op(Op::PpIf) => depth += 1,
                Tok::Op(Op::PpEnd) => {
                    depth -= 1;
                    if depth <= 0 {
                        return;
                    }
                }
                _ => {}
            }
            t = self.raw().0;
        }
        if t.kind != Tok::Eof {
            self.put_back(t);
        }
    }

    fn invoke(&mut self, at: Token, name: &str, def: MacroDef) {
        if def.params.is_empty() {
            return self.push(at, def.body, None);
        }
        let many = def.params.len();
        let plural = if many == 1 { "" } else { "s" };
        let (open, env) = self.raw();
        if open.kind != Tok::Op(Op::LParen) {
            self.error(
                "macro-call",
                format!("expected '(' in invocation of macro '@{name}' taking {many} parameter{plural}"),
                open,
            );
            if open.kind != Tok::Eof {
                self.put_back(open);
            }
            return;
        }
        let mut values = Vec::with_capacity(many);
        let mut value = Vec::new();
        let mut depth = 0;
        let mut too_many = false;
        loop {
            let (t, _) = self.raw();
            match t.kind {
                Tok::Eof => {
                    return self.error("macro-call", "could not find end of macro invocation", at);
                }
                Tok::Op(Op::LParen | Op::LBracket) => depth += 1,
                Tok::Op(Op::RParen) if depth == 0 => {
                    values.push((std::mem::take(&mut value).into(), env.clone()));
                    if values.len() < many {
                        let message = format!("too few parameters for macro '@{name}' (expected {many})");
                        return self.error("macro-call", message, t);
                    }
                    break;
                }
                Tok::Op(Op::RParen | Op::RBracket) => depth -= 1,
                Tok::Op(Op::Comma) if depth == 0 => {
                    values.push((std::mem::take(&mut value).into(), env.clone()));
                    if values.len() == many && !too_many {
                        too_many = true;
                        let message = format!("too many parameters for macro '@{name}' (expected {many})");
                        self.error("macro-call", message, t);
                    }
                    continue;
                }
                _ => {}
            }
            value.push(t);
        }
        if !too_many {
            let env = Env { names: def.params, values };
            self.push(at, def.body, Some(Arc::new(env)));
        }
    }
}
