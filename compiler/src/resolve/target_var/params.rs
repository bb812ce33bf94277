//! Where the parameters of a function stand when it is entered.
//!
//! In: a signature. Out: for each parameter the argument registers or the
//! place on the stack that hold it, by the System V calling convention of
//! x86_64 (psABI 3.2.3): integers and pointers take the next of six registers,
//! structures of up to 16 bytes one or two, everything larger is on the stack.

use crate::target::ctype::{self, CType, Signature, TypeError, TypeSource};

/// Place of a value at the entry of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// Argument registers `first`, `first + 1`, … (`count` of 1 or 2).
    Registers { first: u8, count: u8 },
    /// At this many bytes above the return address.
    Stack { offset: u64 },
    /// In a vector register: not to be had.
    Vector,
}

const REGISTERS: u8 = 6;

/// The place of each parameter, in order.
pub fn locate<S: TypeSource + ?Sized>(src: &S, sig: &Signature) -> Result<Vec<Location>, TypeError> {
    let mut register = 0u8;
    // a result that is too large for registers is written where a hidden first argument says
    if matches!(ctype::strip(src, sig.ret)?.1, CType::Record { size, .. } if size > 16) {
        register += 1;
    }
    let mut stack = 8u64;
    let mut out = Vec::with_capacity(sig.params.len());
    for p in &sig.params {
        let size = ctype::size_of(src, p.ty)?;
        let words = match ctype::strip(src, p.ty)?.1 {
            CType::Float { .. } => {
                out.push(Location::Vector);
                continue;
            }
            CType::Record { size, .. } if size <= 16 => size.div_ceil(8),
            CType::Record { .. } => 0,
            CType::Int { size, .. } => size.div_ceil(8),
            _ => 1,
        };
        let words = u8::try_from(words).unwrap_or(0);
        if (1..=2).contains(&words) && register + words <= REGISTERS {
            out.push(Location::Registers { first: register, count: words });
            register += words;
        } else {
            out.push(Location::Stack { offset: stack });
            stack = stack.saturating_add(size.max(1).next_multiple_of(8));
        }
    }
    Ok(out)
}
