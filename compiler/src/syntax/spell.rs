//! How the words of the language are written: operators, literals, types,
//! conversions. In: pieces of the AST. Out: their text. Layout is `print`'s.

use super::ast::*;
use std::fmt::{self, Display, Formatter};

/// A string with its quotes.
pub(super) struct Quoted<'a>(pub(super) &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", Bytes(self.0.to_vec()))
    }
}

pub(super) fn quoted(s: &str) -> Quoted<'_> {
    Quoted(s.as_bytes())
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Number(n) => write!(f, "{n}"),
            Literal::String(s) => write!(f, "{}", Quoted(s)),
        }
    }
}

impl Sort {
    pub(super) fn sign(self) -> char {
        match self {
            Sort::Up => '+',
            Sort::Down => '-',
        }
    }
}

impl AggOp {
    /// The operator as written: `@count`.
    pub fn text(self) -> &'static str {
        match self {
            AggOp::Count => "@count",
            AggOp::Sum => "@sum",
            AggOp::Min => "@min",
            AggOp::Max => "@max",
            AggOp::Avg => "@avg",
            AggOp::Variance => "@variance",
        }
    }
}

impl UnaryOp {
    pub fn text(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Plus => "+",
            UnaryOp::Not => "!",
            UnaryOp::Inv => "~",
        }
    }
}

impl BinaryOp {
    /// The operator as written.
    pub fn text(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Mod => "%",
            BinaryOp::Concat => ".",
            BinaryOp::Shl => "<<",
            BinaryOp::Shr => ">>",
            BinaryOp::ShrU => ">>>",
            BinaryOp::BitAnd => "&",
            BinaryOp::BitOr => "|",
            BinaryOp::BitXor => "^",
            BinaryOp::And => "&&",
            BinaryOp::Or => "||",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
        }
    }
}

impl TypeName {
    pub fn text(self) -> &'static str {
        match self {
            TypeName::Long => "long",
            TypeName::String => "string",
        }
    }
}

impl Print {
    /// Name of the function: `sprintdln`.
    pub fn name(&self) -> String {
        let kind = match self.kind {
            PrintKind::Plain => "",
            PrintKind::Delimited(_) => "d",
            PrintKind::Format(_) => "f",
            PrintKind::Char => "_char",
        };
        let s = if self.to_string { "s" } else { "" };
        let ln = if self.newline { "ln" } else { "" };
        format!("{s}print{kind}{ln}")
    }
}

/// The text of a format, `%%` and all.
pub fn format(pieces: &[FormatPiece]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            FormatPiece::Text(t) => {
                for b in t.iter() {
                    out.push(*b);
                    if *b == b'%' {
                        out.push(b'%');
                    }
                }
            }
            FormatPiece::Conv(c) => out.extend(c.to_string().into_bytes()),
        }
    }
    out
}

impl Display for Conversion {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let number = |n: FormatNumber| match n {
            FormatNumber::None => String::new(),
            FormatNumber::Fixed(n) => n.to_string(),
            FormatNumber::Dynamic => "*".to_string(),
        };
        let flags = [
            (self.flags.left, "-"),
            (self.flags.plus, "+"),
            (self.flags.space, " "),
            (self.flags.alt, "#"),
            (self.flags.zero, "0"),
        ];
        f.write_str("%")?;
        for (_, flag) in flags.iter().filter(|(set, _)| *set) {
            f.write_str(flag)?;
        }
        f.write_str(&number(self.width))?;
        if self.precision != FormatNumber::None {
            write!(f, ".{}", number(self.precision))?;
        }
        write!(f, "{}", self.letter)
    }
}
