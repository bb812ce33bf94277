//! From a variable along `->field`, `[index]` and `&` to an expression.
//!
//! In: where a value is and its type. Out: the expression that reads it, or
//! its address. A step through a pointer becomes a load; steps inside a
//! structure only add to an offset.

use super::{long, nearest};
use crate::diag::{Diagnostic, Span, Stage};
use crate::syntax::ast::{BinaryOp, Ident, PathStep};
use crate::target::ctype::{self, CType, Field, Scalar, TypeError, TypeRef, TypeSource};
use crate::types::hir::{Expr, ExprKind, Space};
use stp_vm::isa::Helper;

/// A value that is known by its place.
#[derive(Clone, Debug)]
pub struct Value<'a> {
    pub src: &'a dyn TypeSource,
    pub at: At,
    pub ty: TypeRef,
    pub space: Space,
    /// Names it in messages.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum At {
    /// The value itself, as the language sees it (64 bits, sign extended as its type says).
    Value(Expr),
    /// In memory.
    Memory { base: Box<Expr>, offset: i64 },
    /// A structure in registers, as raw words; from this bit on. `None`: the compiler keeps no value of
    /// that word.
    Words { words: Vec<Option<Expr>>, bit: u64 },
    /// A bit field of a byte-addressed place.
    Bits { base: Box<Expr>, offset: i64, shift: u8, bits: u8 },
}

fn semantic(code: &'static str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(Stage::Semantic, code, message)
}

/// Type information that is not sound, or types that are not known here.
pub fn type_trouble(e: TypeError) -> Diagnostic {
    semantic("type-information", e.to_string())
}

impl<'a> Value<'a> {
    fn with(&self, at: At, ty: TypeRef) -> Self {
        Self { at, ty, ..self.clone() }
    }

    pub fn name(&self) -> String {
        ctype::type_name(self.src, self.ty)
    }

    /// The type as a pointer: an array is one to its elements, a structure stands for its address.
    pub fn name_of_pointer(&self) -> Result<String, Diagnostic> {
        match ctype::strip(self.src, self.ty).map_err(type_trouble)?.1 {
            CType::Pointer(_) => Ok(self.name()),
            CType::Array { elem, .. } => Ok(format!("{}*", ctype::type_name(self.src, elem))),
            CType::Record { .. } | CType::Forward { .. } => Ok(format!("{}*", self.name())),
            _ => Err(semantic("not-a-struct", format!("'{}' is no pointer", self.name()))),
        }
    }

    /// Follows a path; `operands` are the values of its indexes, in order.
    pub fn follow(mut self, path: &[PathStep], operands: &[Expr]) -> Result<Self, Diagnostic> {
        let mut operands = operands.iter();
        for step in path {
            self = match step {
                PathStep::Field(name) => self.field(name)?,
                PathStep::Element(index) => {
                    let Some(value) = operands.next() else {
                        return Err(semantic("target-index", "an index has no value").at(index.span));
                    };
                    self.element(value)?
                }
            };
        }
        Ok(self)
    }

    /// What a pointer points to.
    pub fn deref(&self, to: TypeRef) -> Result<Self, Diagnostic> {
        let base = Box::new(self.read()?);
        Ok(self.with(At::Memory { base, offset: 0 }, to))
    }

    fn field(self, name: &Ident) -> Result<Self, Diagnostic> {
        let mut here = self;
        // `->` means both here: a pointer is followed, a structure is entered
        let (record, shape) = loop {
            let (ty, shape) = ctype::strip(here.src, here.ty).map_err(type_trouble)?;
            match shape {
                CType::Pointer(to) => here = here.deref(to)?,
                CType::Array { elem, .. } if matches!(here.at, At::Memory { .. }) => here.ty = elem,
                CType::Forward { kind, name: tag } => match here.src.complete(kind, tag) {
                    Some((src, ty)) => (here.src, here.ty) = (src, ty),
                    None => break (ty, shape),
                },
                other => break (ty, other),
            }
        };
        match shape {
            CType::Record { .. } => {}
            CType::Forward { kind, name: tag } => {
                return Err(semantic(
                    "incomplete-type",
                    format!("'{} {tag}' is only declared in the kernel's type information", kind.word()),
                )
                .at(name.span))
            }
            _ => {
                return Err(semantic(
                    "not-a-struct",
                    format!("invalid access '->{}' vs. '{}'", name.name, here.name()),
                )
                .at(name.span))
            }
        }
        let Some(field) = ctype::find_field(here.src, record, &name.name).map_err(type_trouble)? else {
            return Err(here.no_member(record, name));
        };
        here.member(field)
    }

    fn no_member(&self, record: TypeRef, name: &Ident) -> Diagnostic {
        let all = ctype::field_names(self.src, record).unwrap_or_default();
        let near = nearest(&name.name, all.iter().map(String::as_str), 5);
        let shown = if near.is_empty() { all.iter().take(40).cloned().collect() } else { near };
        semantic(
            "no-such-member",
            format!(
                "unable to find member '{}' for {} (alternatives: {})",
                name.name,
                ctype::type_name(self.src, record),
                shown.join(" ")
            ),
        )
        .at(name.span)
        .token(format!("operator '->{}'", name.name))
    }

    /// A member of the structure that this value is.
    pub fn member(&self, field: Field) -> Result<Self, Diagnostic> {
        let at = match &self.at {
            At::Memory { base, offset } => {
                let at = i64::try_from(field.bit_offset / 8).ok().and_then(|o| offset.checked_add(o));
                let Some(at) = at else { return Err(out_of_range()) };
                if field.bit_size == 0 {
                    At::Memory { base: base.clone(), offset: at }
                } else {
                    let bits = u8::try_from(field.bit_size).map_err(|_| out_of_range())?;
                    At::Bits { base: base.clone(), offset: at, shift: (field.bit_offset % 8) as u8, bits }
                }
            }
            At::Words { words, bit } => {
                let bit = bit.checked_add(field.bit_offset).ok_or_else(out_of_range)?;
                if field.bit_size != 0 {
                    let bits = u8::try_from(field.bit_size).map_err(|_| out_of_range())?;
                    let signed = self.signed(field.ty)?;
                    At::Value(self.word_bits(words, bit, bits, signed)?)
                } else {
                    At::Words { words: words.clone(), bit }
                }
            }
            At::Value(_) | At::Bits { .. } => {
                return Err(semantic("not-a-struct", format!("'{}' has no members", self.name())))
            }
        };
        Ok(self.with(at, field.ty))
    }

    /// Element of an array, or of what a pointer points to.
    pub fn element(&self, index: &Expr) -> Result<Self, Diagnostic> {
        let (_, shape) = ctype::strip(self.src, self.ty).map_err(type_trouble)?;
        let (place, elem) = match shape {
            CType::Pointer(to) => (self.deref(to)?.at, to),
            CType::Array { elem, .. } => (self.at.clone(), elem),
            _ => {
                return Err(semantic(
                    "not-an-array",
                    format!("cannot index values of type '{}'", self.name()),
                )
                .at(index.span))
            }
        };
        let At::Memory { base, offset } = place else {
            return Err(semantic("not-an-array", "an array that is not in memory").at(index.span));
        };
        // void and functions count as bytes, as gcc has it
        let size = ctype::size_of(self.src, elem).map_err(type_trouble)?.max(1);
        let size = i64::try_from(size).map_err(|_| out_of_range())?;
        let at = match index.kind {
            ExprKind::Number(n) => match n.checked_mul(size).and_then(|o| offset.checked_add(o)) {
                Some(offset) => At::Memory { base, offset },
                None => return Err(out_of_range().at(index.span)),
            },
            _ => {
                let scaled = if size == 1 {
                    index.clone()
                } else {
                    binary(BinaryOp::Mul, index.clone(), long(ExprKind::Number(size), index.span))
                };
                At::Memory { base: Box::new(binary(BinaryOp::Add, *base, scaled)), offset }
            }
        };
        Ok(self.with(at, elem))
    }

    fn signed(&self, ty: TypeRef) -> Result<bool, Diagnostic> {
        Ok(matches!(
            ctype::scalar(self.src, ty).map_err(type_trouble)?,
            Some(Scalar::Int { signed: true, .. })
        ))
    }

    /// Bits of raw register words.
    fn word_bits(
        &self,
        words: &[Option<Expr>],
        bit: u64,
        bits: u8,
        signed: bool,
    ) -> Result<Expr, Diagnostic> {
        let word = usize::try_from(bit / 64).ok().and_then(|n| words.get(n)).ok_or_else(out_of_range)?;
        let Some(word) = word else { return Err(word_gone()) };
        let shift = (bit % 64) as u8;
        if u32::from(shift) + u32::from(bits) > 64 {
            return Err(out_of_range());
        }
        if shift == 0 && bits == 64 {
            return Ok(word.clone());
        }
        let kind = ExprKind::BitField { value: Box::new(word.clone()), shift, bits, signed };
        Ok(long(kind, self.span))
    }

    /// The value as a number. An array is its address, as in C.
    pub fn read(&self) -> Result<Expr, Diagnostic> {
        let scalar = ctype::scalar(self.src, self.ty).map_err(type_trouble)?;
        let (size, signed) = match scalar {
            Some(Scalar::Int { size, signed }) => (size, signed),
            Some(Scalar::Pointer { .. }) => (8, false),
            None => return self.read_other(),
        };
        match &self.at {
            At::Value(e) => Ok(e.clone()),
            At::Memory { base, offset } => Ok(self.load(base, *offset, size, signed)),
            At::Words { words, bit } => self.word_bits(words, *bit, size * 8, signed),
            At::Bits { base, offset, shift, bits } => {
                // the smallest aligned-by-byte load that covers the field; never past the field's own unit
                let need = u32::from(*shift) + u32::from(*bits);
                if need > 64 {
                    return Err(semantic("bit-field", "a bit field over more than 8 bytes"));
                }
                let size = need.div_ceil(8).next_power_of_two() as u8;
                let value = Box::new(self.load(base, *offset, size, false));
                Ok(long(ExprKind::BitField { value, shift: *shift, bits: *bits, signed }, self.span))
            }
        }
    }

    fn read_other(&self) -> Result<Expr, Diagnostic> {
        let (_, shape) = ctype::strip(self.src, self.ty).map_err(type_trouble)?;
        match (&shape, &self.at) {
            (CType::Array { .. } | CType::Function, At::Memory { .. }) => self.address(),
            (CType::Record { .. }, _) => Err(semantic(
                "struct-value",
                format!("'{}' is no number: name a member of it, or take its address with &", self.name()),
            )),
            _ => Err(semantic("no-value", format!("a value of type '{}' cannot be read", self.name()))),
        }
    }

    fn load(&self, base: &Expr, offset: i64, size: u8, signed: bool) -> Expr {
        let kind = ExprKind::Load { addr: Box::new(base.clone()), offset, size, signed, space: self.space };
        long(kind, self.span)
    }

    /// Where it is.
    pub fn address(&self) -> Result<Expr, Diagnostic> {
        match &self.at {
            At::Memory { base, offset: 0 } => Ok((**base).clone()),
            At::Memory { base, offset } => {
                Ok(binary(BinaryOp::Add, (**base).clone(), long(ExprKind::Number(*offset), self.span)))
            }
            At::Bits { .. } => Err(semantic("no-address", "cannot take the address of a bit field")),
            At::Value(_) | At::Words { .. } => {
                Err(semantic("no-address", "cannot take the address of a value in a register"))
            }
        }
    }

    /// A store to it.
    pub fn write(&self, value: Expr) -> Result<Expr, Diagnostic> {
        let scalar = ctype::scalar(self.src, self.ty).map_err(type_trouble)?;
        let size = match scalar {
            Some(Scalar::Int { size, .. }) => size,
            Some(Scalar::Pointer { .. }) => 8,
            None => {
                return Err(semantic("no-value", format!("a value of type '{}' cannot be set", self.name())))
            }
        };
        match &self.at {
            At::Memory { base, offset } => {
                let kind = ExprKind::Store {
                    addr: base.clone(),
                    offset: *offset,
                    size,
                    space: self.space,
                    value: Box::new(value),
                };
                Ok(long(kind, self.span))
            }
            At::Bits { base, offset, shift, bits } => {
                let need = u32::from(*shift) + u32::from(*bits);
                if need > 64 {
                    return Err(semantic("bit-field", "a bit field over more than 8 bytes"));
                }
                let size = need.div_ceil(8).next_power_of_two() as u8;
                let old = self.load(base, *offset, size, false);
                let value = Box::new(self.put_bits(old, value, *shift, *bits));
                let addr = base.clone();
                Ok(long(ExprKind::Store { addr, offset: *offset, size, space: self.space, value }, self.span))
            }
            At::Words { words, bit } => {
                let n = usize::try_from(bit / 64).ok();
                let word = n.and_then(|n| words.get(n)).ok_or_else(out_of_range)?;
                let Some(word) = word else { return Err(word_gone()) };
                let (shift, bits) = ((bit % 64) as u8, size * 8);
                if u32::from(shift) + u32::from(bits) > 64 {
                    return Err(out_of_range());
                }
                let n = register_of(word).ok_or_else(not_writable)?;
                Ok(self.set_register(n, self.put_bits(word.clone(), value, shift, bits)))
            }
            At::Value(e) => {
                let n = register_of(e).ok_or_else(not_writable)?;
                let signed = matches!(scalar, Some(Scalar::Int { signed: true, .. }));
                // the whole register, as code that reads a value of the type expects it
                let value = match size {
                    8 => value,
                    _ => {
                        let value = Box::new(value);
                        long(ExprKind::BitField { value, shift: 0, bits: size * 8, signed }, self.span)
                    }
                };
                Ok(self.set_register(n, value))
            }
        }
    }

    fn set_register(&self, n: u8, value: Expr) -> Expr {
        let args = vec![long(ExprKind::Number(n.into()), self.span), value];
        long(ExprKind::Helper { helper: Helper::SetRegister, args }, self.span)
    }

    /// The old value with some of its bits those of another.
    fn put_bits(&self, old: Expr, new: Expr, shift: u8, bits: u8) -> Expr {
        if bits >= 64 {
            return new;
        }
        let number = |n: i64| long(ExprKind::Number(n), self.span);
        let mask = ((1i64 << bits) - 1) << shift;
        let new = binary(BinaryOp::Shl, new, number(shift.into()));
        let new = binary(BinaryOp::BitAnd, new, number(mask));
        binary(BinaryOp::BitOr, binary(BinaryOp::BitAnd, old, number(!mask)), new)
    }
}

/// DWARF numbers of the argument registers, in the order of the arguments (psABI x86-64, fig. 3.36).
pub const ARGUMENTS: [u8; 6] = [5, 4, 1, 2, 8, 9];

/// DWARF number of the stack pointer.
pub const STACK_POINTER: u8 = 7;

/// The register (DWARF number) that an expression reads, if it is nothing else.
fn register_of(e: &Expr) -> Option<u8> {
    match &e.kind {
        ExprKind::ProbeArg { n, .. } => ARGUMENTS.get(usize::from(*n)).copied(),
        ExprKind::Register { n } => Some(*n),
        // rax
        ExprKind::ReturnValue { .. } => Some(0),
        ExprKind::BitField { value, shift: 0, .. } => register_of(value),
        _ => None,
    }
}

/// Code of the error for what the compiler keeps no value of.
pub const OPTIMISED_OUT: &str = "optimised-out";

fn word_gone() -> Diagnostic {
    semantic(OPTIMISED_OUT, "the compiler optimised this part of the structure out, it has no value here")
}

fn not_writable() -> Diagnostic {
    semantic("write-value", "the compiler keeps no place for this value that could be written")
}

fn out_of_range() -> Diagnostic {
    semantic("type-information", "an offset that no machine has")
}

fn binary(op: BinaryOp, lhs: Expr, rhs: Expr) -> Expr {
    let span = lhs.span;
    long(ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, span)
}
