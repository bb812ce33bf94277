//! How many registers and string slots an instruction takes from its argument
//! lists (fields `Ib` and `Sb`): said by its callee, its map or its format.

use super::image::{Class, Conversion, FormatItem, Image, Number, Ret, ValueType};
use stp_vm::isa::{Helper, Imm, Insn, Op, HELPERS};

/// Lengths of the argument lists of one instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub ints: u8,
    pub strs: u8,
}

/// The argument lists of an instruction; `None` where what it names does not exist.
pub fn window(image: &Image, insn: Insn) -> Option<Window> {
    let n = usize::try_from(insn.imm).ok();
    Some(match insn.op.info().imm {
        Imm::Fn => {
            let f = image.functions.get(n?)?;
            let (ints, strs) = f.param_counts();
            match f.ret {
                Ret::Int => Window { ints: ints.max(1), strs },
                Ret::Str => Window { ints, strs: strs.max(1) },
                Ret::None => Window { ints, strs },
            }
        }
        Imm::H => helper_window(HELPERS.get(n?)?.helper),
        Imm::Fmt if matches!(insn.op, Op::Print | Op::Sprint) => format_window(image.formats.get(n?)?),
        Imm::M | Imm::Ms => match insn.op {
            Op::Mclr => Window::default(),
            _ => key_window(image.globals.get(n?)?.class.keys()),
        },
        Imm::It => {
            let it = image.iterators.get(n?)?;
            slice_window(&image.globals.get(it.map as usize)?.class, it.slice)
        }
        _ => Window::default(),
    })
}

pub fn helper_window(h: Helper) -> Window {
    let args = h.info().args.bytes();
    let strs = args.clone().filter(|b| *b == b's').count() as u8;
    Window { ints: args.count() as u8 - strs, strs }
}

pub fn key_window(keys: &[ValueType]) -> Window {
    let strs = keys.iter().filter(|k| **k == ValueType::Str).count() as u8;
    Window { ints: keys.len() as u8 - strs, strs }
}

pub fn slice_window(class: &Class, slice: u16) -> Window {
    let fixed: Vec<ValueType> =
        class.keys().iter().enumerate().filter(|(i, _)| slice >> i & 1 != 0).map(|(_, k)| *k).collect();
    key_window(&fixed)
}

pub fn format_window(items: &[FormatItem]) -> Window {
    let mut w = Window::default();
    for item in items {
        let FormatItem::Value { conv, width, precision, .. } = item else { continue };
        for n in [width, precision] {
            w.ints = w.ints.saturating_add(u8::from(*n == Number::Dynamic));
        }
        match conv {
            Conversion::Str => w.strs = w.strs.saturating_add(1),
            _ => w.ints = w.ints.saturating_add(1),
        }
    }
    w
}
