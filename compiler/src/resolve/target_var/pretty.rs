//! Values as text: `$$parms`, `$$return`, `$x$` and `$x$$`.
//!
//! In: values with their types. Out: one `sprintf` in the form of SystemTap:
//! `name=0x1f`, structures as `{.a=1, .b={...}, .c=[...]}`, of arrays the first
//! element, text in quotes. `$` goes one level into structures, `$$` into all that
//! is inside. A text with a part that cannot be read when the handler runs is `ERROR`.
//! What is long is cut with `...`: a print has a bounded number of arguments.

use super::long;
use super::walk::{type_trouble, Value, OPTIMISED_OUT};
use crate::diag::{Diagnostic, Span};
use crate::syntax::ast::BinaryOp;
use crate::target::ctype::{self, CType, Field, RecordKind};
use crate::types::hir::{Expr, ExprKind, FormatFlags, FormatNumber, Piece, Print, Ty};
use stp_vm::isa::Helper;

/// Most values in one text.
const MOST_VALUES: usize = 24;
/// Most bytes shown of a string.
const MOST_BYTES: i64 = 64;

/// Format pieces and their arguments, as they grow.
struct Text {
    pieces: Vec<Piece>,
    args: Vec<Expr>,
    literal: String,
    span: Span,
}

impl Text {
    fn new(span: Span) -> Self {
        Self { pieces: Vec::new(), args: Vec::new(), literal: String::new(), span }
    }
    fn say(&mut self, s: &str) {
        self.literal.push_str(s);
    }
    fn full(&self) -> bool {
        self.args.len() >= MOST_VALUES
    }
    fn conv(&mut self, letter: char, alt: bool, value: Expr) {
        self.flush();
        let flags = FormatFlags { alt, ..FormatFlags::default() };
        let (width, precision) = (FormatNumber::None, FormatNumber::None);
        self.pieces.push(Piece::Conv { letter, flags, width, precision, size: 8 });
        self.args.push(value);
    }
    fn add(&mut self, other: Text) {
        for piece in other.pieces {
            match piece {
                Piece::Text(t) => self.say(t.as_str().unwrap_or("")),
                conv => {
                    self.flush();
                    self.pieces.push(conv);
                }
            }
        }
        self.say(&other.literal);
        self.args.extend(other.args);
    }
    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.pieces.push(Piece::Text(std::mem::take(&mut self.literal).into()));
        }
    }
    /// Does it read memory, so that it can fail?
    fn may_fail(&self) -> bool {
        fn reads(e: &Expr) -> bool {
            let mut found = matches!(e.kind, ExprKind::Load { .. });
            crate::types::walk::parts(e, &mut |p| found = found || reads(p));
            found
        }
        self.args.iter().any(reads)
    }
    /// The text, `ERROR` in its place where a part cannot be read.
    fn rescued(self) -> Expr {
        let (span, fails) = (self.span, self.may_fail());
        let text = self.into_expr();
        if !fails {
            return text;
        }
        let kind = ExprKind::Rescue { text: Box::new(text), instead: "ERROR".into() };
        Expr { kind, ty: Ty::Str, span }
    }
    fn into_expr(mut self) -> Expr {
        self.flush();
        let print = Print { to_string: true, pieces: self.pieces, args: self.args };
        Expr { kind: ExprKind::Print(Box::new(print)), ty: Ty::Str, span: self.span }
    }
}

/// `a=0x1 b=0x2`, with structures taken apart where `depth` is not 0.
/// A value that is `None` has no place there and reads `?`.
pub fn list(named: &[(&str, Option<Value>)], depth: u8, span: Span) -> Expr {
    let mut text = Text::new(span);
    for (n, (name, value)) in named.iter().enumerate() {
        text.say(if n == 0 { "" } else { " " });
        text.say(name);
        text.say("=");
        let done = match value {
            None => false,
            Some(v) if depth == 0 => plain(&mut text, v).is_ok(),
            Some(v) => {
                let mut own = Text::new(span);
                let done = shown(&mut own, v, depth, true).is_ok();
                match (done, own.may_fail()) {
                    (false, _) => {}
                    (_, true) => text.conv('s', false, own.rescued()),
                    _ => text.add(own),
                }
                done
            }
        };
        if !done {
            text.say("?");
        }
    }
    text.into_expr()
}

/// `a=0x1 b=0x2` of plain numbers.
pub fn numbers(named: &[(&str, Expr)], span: Span) -> Expr {
    let mut text = Text::new(span);
    for (n, (name, value)) in named.iter().enumerate() {
        text.say(if n == 0 { "" } else { " " });
        text.say(name);
        text.say("=");
        text.conv('x', true, value.clone());
    }
    text.into_expr()
}

/// `$x$`, `$x$$`
pub fn one(value: &Value, depth: u8) -> Result<Expr, Diagnostic> {
    let mut text = Text::new(value.span);
    shown(&mut text, value, depth, true)?;
    Ok(text.rescued())
}

fn plain(text: &mut Text, value: &Value) -> Result<(), Diagnostic> {
    match ctype::strip(value.src, value.ty).map_err(type_trouble)?.1 {
        CType::Record { .. } => text.say("{...}"),
        _ => {
            let v = value.read()?;
            text.conv('x', true, v);
        }
    }
    Ok(())
}

/// `top`: a pointer to a structure is followed.
fn shown(text: &mut Text, value: &Value, depth: u8, top: bool) -> Result<(), Diagnostic> {
    if text.full() {
        text.say("...");
        return Ok(());
    }
    let (_, shape) = ctype::strip(value.src, value.ty).map_err(type_trouble)?;
    match shape {
        CType::Int { is_char: true, .. } => {
            let v = value.read()?;
            text.say("'");
            text.conv('c', true, v);
            text.say("'");
        }
        CType::Int { signed, .. } | CType::Enum { signed, .. } => {
            let v = value.read()?;
            text.conv(if signed { 'd' } else { 'u' }, false, v);
        }
        CType::Pointer(to) => {
            let target = ctype::strip(value.src, to).map_err(type_trouble)?.1;
            match target {
                CType::Int { is_char: true, .. } => quoted_anywhere(text, value.read()?),
                CType::Record { .. } if top => shown(text, &value.deref(to)?, depth, false)?,
                _ => {
                    let v = value.read()?;
                    text.conv('p', false, v);
                }
            }
        }
        CType::Array { .. } if depth == 0 && !top => text.say("[...]"),
        CType::Array { elem, count } => array(text, value, elem, count, depth)?,
        CType::Record { .. } if depth == 0 => text.say("{...}"),
        CType::Record { .. } => record(text, value, depth)?,
        _ => text.say("?"),
    }
    Ok(())
}

fn quoted(text: &mut Text, address: Expr, most: i64) {
    text.conv('s', false, quoted_by(Helper::KstrQuoted, address, most));
}

/// Of a pointer: where it leads says whose memory it is. The kernel's is the upper half.
fn quoted_anywhere(text: &mut Text, address: Expr) {
    let span = address.span;
    let (lhs, rhs) = (Box::new(address.clone()), Box::new(long(ExprKind::Number(0), span)));
    let cond = Box::new(long(ExprKind::Binary { op: BinaryOp::Lt, lhs, rhs }, span));
    let then = Box::new(quoted_by(Helper::KstrQuoted, address.clone(), MOST_BYTES));
    let els = Box::new(quoted_by(Helper::UstrQuoted, address, MOST_BYTES));
    text.conv('s', false, Expr { kind: ExprKind::Ternary { cond, then, els }, ty: Ty::Str, span });
}

fn quoted_by(helper: Helper, address: Expr, most: i64) -> Expr {
    let span = address.span;
    let most = long(ExprKind::Number(most), span);
    let args = vec![address, most.clone(), most];
    Expr { kind: ExprKind::Helper { helper, args }, ty: Ty::Str, span }
}

fn array(
    text: &mut Text,
    value: &Value,
    elem: ctype::TypeRef,
    count: u64,
    depth: u8,
) -> Result<(), Diagnostic> {
    let (_, shape) = ctype::strip(value.src, elem).map_err(type_trouble)?;
    if matches!(shape, CType::Int { is_char: true, .. }) && value.address().is_ok() {
        quoted(text, value.address()?, i64::try_from(count).unwrap_or(MOST_BYTES).clamp(1, MOST_BYTES));
        return Ok(());
    }
    // the first of all, through arrays of arrays
    let (mut first, mut ty, mut many) = (value.clone(), elem, count > 1);
    let zero = long(ExprKind::Number(0), value.span);
    loop {
        first = first.element(&zero)?;
        match ctype::strip(first.src, ty).map_err(type_trouble)?.1 {
            CType::Array { elem, count } => (ty, many) = (elem, many || count > 1),
            _ => break,
        }
    }
    text.say("[");
    if count > 0 {
        shown(text, &first, depth.saturating_sub(1), false)?;
    }
    text.say(if many { ", ...]" } else { "]" });
    Ok(())
}

fn record(text: &mut Text, value: &Value, depth: u8) -> Result<(), Diagnostic> {
    text.say("{");
    let members = value.src.members(ctype::strip(value.src, value.ty).map_err(type_trouble)?.0);
    for (n, m) in members.map_err(type_trouble)?.iter().enumerate() {
        text.say(if n == 0 { "" } else { ", " });
        if text.full() {
            text.say("...");
            break;
        }
        if m.name.is_empty() {
            let shape = ctype::strip(value.src, m.ty).map_err(type_trouble)?.1;
            let union = matches!(shape, CType::Record { kind: RecordKind::Union, .. });
            text.say(if union { "<union>=" } else { "<class>=" });
        } else {
            text.say(".");
            text.say(m.name);
            text.say("=");
        }
        let field = Field { ty: m.ty, bit_offset: m.bit_offset, bit_size: m.bit_size };
        // `$$` has no end but that of the text
        let depth = if depth > 1 { depth } else { depth - 1 };
        match shown(text, &value.member(field)?, depth, false) {
            Err(d) if d.code == OPTIMISED_OUT => text.say("?"),
            done => done?,
        }
    }
    text.say("}");
    Ok(())
}
