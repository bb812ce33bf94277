//! `print` and its family. A constant argument becomes part of the format's
//! text; a histogram that is printed alone has an instruction of its own.

use super::fold;
use super::fun::Fun;
use super::ir::{Ins, V};
use crate::bytecode::{Conversion, FormatItem, Number};
use crate::bytes::Bytes;
use crate::diag::Span;
use crate::types::hir::*;
use stp_vm::flat::{FL_ALT, FL_LEFT, FL_PLUS, FL_SPACE, FL_ZERO};
use stp_vm::isa::{Op, CAP_KERNEL_READ};

impl Fun<'_, '_> {
    pub fn print(&mut self, p: &Print, span: Span) {
        if let [Expr { kind: ExprKind::HistText { stat }, .. }] = p.args.as_slice() {
            match p.pieces.as_slice() {
                [Piece::Conv { letter: 's', .. }] => return self.print_hist(stat, span),
                // A histogram ends in an empty line; `println` adds none.
                [Piece::Conv { letter: 's', .. }, Piece::Text(t)] if *t == "\n" => {
                    return self.print_hist(stat, span);
                }
                _ => {}
            }
        }
        let (items, args) = self.format(p);
        let l = self.list(&args, &[]);
        if items.is_empty() {
            return;
        }
        let imm = self.cx.pools.format(&items);
        self.at(span);
        self.emit(Ins { imm, ni: l.len[0], ns: l.len[1], ..Ins::abc(Op::Print, 0, l.first[0], l.first[1]) });
    }

    pub fn sprint_to(&mut self, p: &Print, d: V, span: Span) {
        let (items, args) = self.format(p);
        match items.as_slice() {
            [] => return self.load_str(d, &Bytes::default()),
            [FormatItem::Text(t)] => {
                let t = t.clone();
                return self.load_str(d, &t);
            }
            // The value is the string itself.
            [FormatItem::Value {
                conv: Conversion::Str,
                width: Number::None,
                precision: Number::None,
                flags: 0,
                ..
            }] => return self.str_to(args[0], d),
            _ => {}
        }
        let l = self.list(&args, &[]);
        let imm = self.cx.pools.format(&items);
        self.at(span);
        self.emit(Ins { imm, ni: l.len[0], ns: l.len[1], ..Ins::abc(Op::Sprint, d, l.first[0], l.first[1]) });
    }

    /// Format and the arguments that are left.
    fn format<'e>(&mut self, p: &'e Print) -> (Vec<FormatItem>, Vec<&'e Expr>) {
        let mut items = Vec::with_capacity(p.pieces.len());
        let mut args = Vec::with_capacity(p.args.len());
        let mut rest = p.args.iter();
        for piece in &p.pieces {
            match piece {
                Piece::Text(t) => add_text(&mut items, t),
                Piece::Conv { letter, flags, width, precision, size } => {
                    let Some(conv) = Conversion::from_letter(*letter) else { continue };
                    let mut number = |n: &FormatNumber| match n {
                        FormatNumber::None => Number::None,
                        FormatNumber::Fixed(n) => Number::Fixed(*n),
                        FormatNumber::Dynamic => {
                            args.extend(rest.next());
                            Number::Dynamic
                        }
                    };
                    let (width, precision) = (number(width), number(precision));
                    let Some(arg) = rest.next() else { continue };
                    let flags = [
                        (flags.zero, FL_ZERO),
                        (flags.plus, FL_PLUS),
                        (flags.space, FL_SPACE),
                        (flags.left, FL_LEFT),
                        (flags.alt, FL_ALT),
                    ]
                    .iter()
                    .filter(|(set, _)| *set)
                    .fold(0, |all, (_, bit)| all | bit);
                    if flags == 0 && width == Number::None && precision == Number::None {
                        if let Some(t) = constant_text(conv, arg) {
                            add_text(&mut items, &t);
                            continue;
                        }
                    }
                    if matches!(conv, Conversion::Memory | Conversion::MemoryHex) {
                        self.cx.caps |= CAP_KERNEL_READ;
                    }
                    items.push(FormatItem::Value { conv, flags, width, precision, size: *size });
                    args.push(arg);
                }
            }
        }
        (items, args)
    }
}

fn constant_text(conv: Conversion, arg: &Expr) -> Option<Bytes> {
    match conv {
        Conversion::Str => fold::text(arg),
        Conversion::Decimal => fold::constant(arg).map(|n| Bytes::from(n.to_string())),
        _ => None,
    }
}

fn add_text(items: &mut Vec<FormatItem>, t: &Bytes) {
    match items.last_mut() {
        _ if t.is_empty() => {}
        Some(FormatItem::Text(last)) => last.0.extend_from_slice(t),
        _ => items.push(FormatItem::Text(t.clone())),
    }
}
