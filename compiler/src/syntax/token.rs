//! Tokens: what the lexer makes, the preprocessor passes on and the parser reads.
//!
//! A token is a kind and a place; its text stays in the source map.

use crate::diag::{FileId, SourceMap, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Tok,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tok {
    /// `x`, `$x`, `$$x`, `x$`.
    Ident,
    /// `@x`: an operator or a macro.
    At,
    /// Digits and letters; what they are worth the parser finds out.
    Number,
    /// With its quotes and escapes.
    Str,
    /// The text itself is the value: `@1` and `@#`.
    RawStr,
    Kw(Kw),
    Op(Op),
    /// `%{ … %}`
    Embedded,
    /// `$1`, `@1`, `$#`, `@#`, until the preprocessor puts the argument in.
    Arg(Arg),
    /// Could not be read; already reported where it is used.
    Junk(Junk),
    Eof,
}

/// A reference to an argument of the script; its number stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    /// `$1`
    Plain,
    /// `@1`
    Quoted,
    /// `$#`
    Count,
    /// `@#`
    QuotedCount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    /// No closing quote on the line.
    String,
    /// No `%}`.
    Embedded,
    /// No such argument.
    Arg,
}

macro_rules! words {
    ($(#[$m:meta])* $name:ident { $($var:ident $text:literal),* $(,)? }) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($var),* }
        impl $name {
            pub fn of(text: &[u8]) -> Option<$name> {
                match text {
                    $($text => Some($name::$var),)*
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// Reserved words.
    Kw {
        Break b"break", Catch b"catch", Continue b"continue", Delete b"delete", Else b"else", For b"for",
        Foreach b"foreach", Function b"function", Global b"global", If b"if", In b"in", Limit b"limit",
        Long b"long", Next b"next", Private b"private", Probe b"probe", Return b"return", String b"string",
        Try b"try", While b"while",
    }
}

words! {
    /// Operators and punctuation, longest first where one begins another.
    Op {
        StatAdd b"<<<", ShrU b">>>", ShlAssign b"<<=", ShrAssign b">>=",
        Arrow b"->", Inc b"++", Dec b"--", AddAssign b"+=", SubAssign b"-=", MulAssign b"*=", DivAssign b"/=",
        ModAssign b"%=", AndAssign b"&=", OrAssign b"|=", XorAssign b"^=", ConcatAssign b".=", Shl b"<<", Shr b">>",
        Le b"<=", Ge b">=", EqEq b"==", Ne b"!=", AndAnd b"&&", OrOr b"||", Match b"=~", NoMatch b"!~",
        PpIf b"%(", PpThen b"%?", PpElse b"%:", PpEnd b"%)",
        LParen b"(", RParen b")", LBracket b"[", RBracket b"]", LBrace b"{", RBrace b"}", Comma b",", Semi b";",
        Colon b":", Question b"?", Dot b".", Assign b"=", Plus b"+", Minus b"-", Star b"*", Slash b"/", Percent b"%",
        Amp b"&", Pipe b"|", Caret b"^", Bang b"!", Tilde b"~", Lt b"<", Gt b">", At b"@",
        // Any other character: no operator of the language.
        Other b"",
    }
}

impl Token {
    /// How SystemTap names a token in its messages: `identifier 'x'`.
    pub fn describe(&self, map: &SourceMap) -> String {
        let text = String::from_utf8_lossy(map.slice(self.span));
        match self.kind {
            Tok::Ident => format!("identifier '{text}'"),
            Tok::At | Tok::Op(_) => format!("operator '{text}'"),
            Tok::Number => format!("number '{text}'"),
            Tok::Str => {
                let inner = text.strip_prefix('"').unwrap_or(&text);
                format!("string '{}'", inner.strip_suffix('"').unwrap_or(inner))
            }
            Tok::RawStr => format!("string '{text}'"),
            Tok::Kw(_) => "keyword".to_string(),
            Tok::Embedded => "embedded-code".to_string(),
            Tok::Arg(_) | Tok::Junk(_) => format!("junk '{}'", text.lines().next().unwrap_or("")),
            Tok::Eof => format!("{} EOF", map.get(map.resolve(self.span).file).name),
        }
    }
    pub fn eof(file: FileId, len: u32) -> Token {
        Token { kind: Tok::Eof, span: Span { file, lo: len, hi: len } }
    }
}
