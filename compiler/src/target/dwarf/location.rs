//! Where a variable is: DWARF's expressions as formulas.
//!
//! In: the bytes of an expression, the place where it is asked for. Out: a
//! [`Location`], a formula over registers, memory and addresses of the file.
//! The expression's stack machine is run here once, with formulas on its stack,
//! so nothing of it is left for the probe. Reads no memory of the traced machine.

use super::load::{Elf, Reader};
use super::{Debuginfo, Die, DwarfError, Result, Unit, FILE_SHIFT};
use gimli::{AttributeValue, CfaRule, Expression, Operation, UnwindContext, UnwindSection};

/// A 64-bit number as the machine computes it at a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Formula {
    Const(i64),
    /// By DWARF number.
    Register(u8),
    /// What that register held when the function was entered.
    EntryRegister(u8),
    /// An address in the layout of the file: it moves with the section.
    Address(u64),
    /// So many bytes of memory, without sign.
    Deref(u8, Box<Formula>),
    Binary(Binary, Box<Formula>, Box<Formula>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    Add,
    Sub,
    Mul,
    /// Signed.
    Div,
    /// Unsigned.
    Mod,
    And,
    Or,
    Xor,
    Shl,
    /// Logical.
    Shr,
    /// Arithmetic.
    Sar,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// Where the value of a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In memory at that address.
    Memory(Formula),
    /// In a register, or only as the result of a formula.
    Value(Formula),
    /// Known bytes.
    Bytes(Vec<u8>),
    /// A pointer that was optimised away, to that variable and so many bytes further.
    PointerTo(Die, i64),
    /// In parts, with the bits of each.
    Pieces(Vec<(Location, u64)>),
    /// Nowhere at this address.
    Gone,
}

impl Formula {
    fn binary(op: Binary, a: Formula, b: Formula) -> Formula {
        match (op, a, b) {
            (Binary::Add, Formula::Const(x), Formula::Const(y)) => Formula::Const(x.wrapping_add(y)),
            (Binary::Add, Formula::Address(x), Formula::Const(y)) => {
                Formula::Address(x.wrapping_add(y as u64))
            }
            (Binary::Add, x, Formula::Const(0)) => x,
            // register + a + b
            (Binary::Add, Formula::Binary(Binary::Add, x, y), Formula::Const(z)) => match *y {
                Formula::Const(y) => Formula::binary(Binary::Add, *x, Formula::Const(y.wrapping_add(z))),
                y => Formula::Binary(
                    Binary::Add,
                    Box::new(Formula::Binary(Binary::Add, x, Box::new(y))),
                    Box::new(Formula::Const(z)),
                ),
            },
            (op, a, b) => Formula::Binary(op, Box::new(a), Box::new(b)),
        }
    }

    fn plus(self, n: i64) -> Formula {
        Formula::binary(Binary::Add, self, Formula::Const(n))
    }
}

/// Tables for the canonical frame address.
pub(super) struct Frames {
    debug: gimli::DebugFrame<Reader>,
    eh: gimli::EhFrame<Reader>,
    bases: gimli::BaseAddresses,
}

impl Frames {
    pub(super) fn load(elf: &Elf) -> Result<Self> {
        let section = |id| elf.section(id, false);
        let mut debug = gimli::DebugFrame::from(section(gimli::SectionId::DebugFrame)?);
        let mut eh = gimli::EhFrame::from(section(gimli::SectionId::EhFrame)?);
        debug.set_address_size(8);
        eh.set_address_size(8);
        let mut bases = gimli::BaseAddresses::default();
        // a relocated section counts from its own beginning, see `Elf::relocate`
        let of = |name: &str| elf.loaded.iter().find(|l| l.name == name).map_or(0, |l| l.address);
        bases = bases.set_eh_frame(if elf.relocatable() { 0 } else { of(".eh_frame") });
        if !elf.relocatable() {
            bases = bases.set_text(of(".text")).set_got(of(".got"));
        }
        Ok(Self { debug, eh, bases })
    }

    /// The canonical frame address at an instruction.
    pub(super) fn cfa(&self, pc: u64) -> Result<Option<Formula>> {
        Ok(match self.rule(&self.debug, pc) {
            Some(f) => Some(f),
            None => self.rule(&self.eh, pc),
        })
    }

    fn rule<S: UnwindSection<Reader>>(&self, section: &S, pc: u64) -> Option<Formula> {
        let mut context = UnwindContext::new();
        let row = section.unwind_info_for_address(&self.bases, &mut context, pc, S::cie_from_offset).ok()?;
        match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                Some(Formula::Register(u8::try_from(register.0).ok()?).plus(*offset))
            }
            // only in procedure linkage tables
            CfaRule::Expression(_) => None,
        }
    }
}

/// Where an expression is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    pub pc: u64,
    /// The function (not an inlined instance) that the address is in.
    pub function: Die,
}

/// Nested expressions (frame bases, entry values, called ones) go no deeper.
const MAX_NESTED: u32 = 8;
/// Steps of one expression: none that a compiler makes comes near.
const MAX_STEPS: u32 = 1000;

fn unsupported<T>(what: &str) -> Result<T> {
    Err(DwarfError::Damaged(format!("{what} in a location is not supported")))
}

impl Debuginfo {
    /// The canonical frame address at an instruction: the stack pointer before the function was called.
    pub fn frame_address(&self, pc: u64) -> Result<Option<Formula>> {
        self.frames.cfa(pc)
    }

    /// Where a variable or parameter is at a place.
    pub fn location(&self, variable: Die, at: At) -> Result<Location> {
        let mut die = variable;
        for _ in 0..super::MAX_CHAIN {
            let unit = self.unit_of(die)?;
            let entry = unit.entry(die)?;
            if let Some(v) = entry.attr_value(gimli::DW_AT_location)? {
                return self.located(&unit, v, at, 0);
            }
            if let Some(v) = entry.attr_value(gimli::DW_AT_const_value)? {
                return Ok(constant(&v));
            }
            let origin = match entry.attr_value(gimli::DW_AT_abstract_origin)? {
                Some(v) => Some(v),
                None => entry.attr_value(gimli::DW_AT_specification)?,
            };
            match origin.and_then(|v| unit.reference(&v)) {
                Some(d) => die = d,
                None => return Ok(Location::Gone),
            }
        }
        Ok(Location::Gone)
    }

    fn located(&self, unit: &Unit, v: AttributeValue<Reader>, at: At, depth: u32) -> Result<Location> {
        if let AttributeValue::Exprloc(x) = wrap(&v) {
            return self.evaluate(unit, x, at, depth);
        }
        let Some(mut list) = unit.dwarf.attr_locations(&unit.unit, v)? else { return Ok(Location::Gone) };
        while let Some(e) = list.next()? {
            if (e.range.begin..e.range.end).contains(&at.pc) {
                return self.evaluate(unit, e.data, at, depth);
            }
        }
        Ok(Location::Gone)
    }

    fn frame_base(&self, at: At, depth: u32) -> Result<Formula> {
        let unit = self.unit_of(at.function)?;
        let Some(v) = unit.entry(at.function)?.attr_value(gimli::DW_AT_frame_base)? else {
            return unsupported("a function without a frame base");
        };
        match self.located(&unit, v, at, depth + 1)? {
            Location::Memory(f) => Ok(f),
            // a register as the base means what it holds
            Location::Value(f) => Ok(f),
            _ => unsupported("a frame base in parts"),
        }
    }

    fn evaluate(&self, unit: &Unit, x: Expression<Reader>, at: At, depth: u32) -> Result<Location> {
        if depth > MAX_NESTED {
            return unsupported("an expression inside itself");
        }
        if x.0.is_empty() {
            return Ok(Location::Gone);
        }
        let mut stack: Vec<Formula> = Vec::new();
        let mut whole: Option<Location> = None;
        let mut pieces: Vec<(Location, u64)> = Vec::new();
        let mut ops = x.operations(unit.unit.encoding());
        let mut steps = 0;
        let pop = |stack: &mut Vec<Formula>| {
            stack.pop().ok_or_else(|| DwarfError::Damaged("a location takes from an empty stack".into()))
        };
        while let Some(op) = ops.next()? {
            steps += 1;
            if steps > MAX_STEPS {
                return unsupported("a loop");
            }
            let two = |stack: &mut Vec<Formula>, op: Binary| -> Result<()> {
                let (b, a) = (pop(stack)?, pop(stack)?);
                stack.push(Formula::binary(op, a, b));
                Ok(())
            };
            match op {
                Operation::Register { register } => {
                    let n = u8::try_from(register.0).map_err(|_| DwarfError::Damaged("register".into()))?;
                    whole = Some(Location::Value(Formula::Register(n)));
                }
                Operation::RegisterOffset { register, offset, .. } => {
                    let n = u8::try_from(register.0).map_err(|_| DwarfError::Damaged("register".into()))?;
                    stack.push(Formula::Register(n).plus(offset));
                }
                Operation::FrameOffset { offset } => {
                    let base = self.frame_base(at, depth)?;
                    stack.push(base.plus(offset));
                }
                Operation::CallFrameCFA => match self.frames.cfa(at.pc)? {
                    Some(f) => stack.push(f),
                    None => return unsupported("a frame without unwind information"),
                },
                Operation::Address { address } => stack.push(Formula::Address(address)),
                Operation::AddressIndex { index } => {
                    stack.push(Formula::Address(unit.dwarf.address(&unit.unit, index)?));
                }
                Operation::ConstantIndex { index } => {
                    stack.push(Formula::Const(unit.dwarf.address(&unit.unit, index)? as i64));
                }
                Operation::UnsignedConstant { value } => stack.push(Formula::Const(value as i64)),
                Operation::SignedConstant { value } => stack.push(Formula::Const(value)),
                Operation::PlusConstant { value } => {
                    let a = pop(&mut stack)?;
                    stack.push(a.plus(value as i64));
                }
                Operation::Deref { size, space: false, .. } => {
                    let a = pop(&mut stack)?;
                    stack.push(Formula::Deref(size, Box::new(a)));
                }
                Operation::Drop => drop(pop(&mut stack)?),
                Operation::Pick { index } => {
                    let n = stack.len().checked_sub(1 + usize::from(index));
                    match n.and_then(|n| stack.get(n)).cloned() {
                        Some(f) => stack.push(f),
                        None => return unsupported("a pick below the stack"),
                    }
                }
                Operation::Swap => {
                    let (b, a) = (pop(&mut stack)?, pop(&mut stack)?);
                    stack.extend([b, a]);
                }
                Operation::Rot => {
                    let (c, b, a) = (pop(&mut stack)?, pop(&mut stack)?, pop(&mut stack)?);
                    stack.extend([c, a, b]);
                }
                Operation::Neg => {
                    let a = pop(&mut stack)?;
                    stack.push(Formula::binary(Binary::Sub, Formula::Const(0), a));
                }
                Operation::Not => {
                    let a = pop(&mut stack)?;
                    stack.push(Formula::binary(Binary::Xor, a, Formula::Const(-1)));
                }
                Operation::Plus => two(&mut stack, Binary::Add)?,
                Operation::Minus => two(&mut stack, Binary::Sub)?,
                Operation::Mul => two(&mut stack, Binary::Mul)?,
                Operation::Div => two(&mut stack, Binary::Div)?,
                Operation::Mod => two(&mut stack, Binary::Mod)?,
                Operation::And => two(&mut stack, Binary::And)?,
                Operation::Or => two(&mut stack, Binary::Or)?,
                Operation::Xor => two(&mut stack, Binary::Xor)?,
                Operation::Shl => two(&mut stack, Binary::Shl)?,
                Operation::Shr => two(&mut stack, Binary::Shr)?,
                Operation::Shra => two(&mut stack, Binary::Sar)?,
                Operation::Eq => two(&mut stack, Binary::Eq)?,
                Operation::Ne => two(&mut stack, Binary::Ne)?,
                Operation::Lt => two(&mut stack, Binary::Lt)?,
                Operation::Le => two(&mut stack, Binary::Le)?,
                Operation::Gt => two(&mut stack, Binary::Gt)?,
                Operation::Ge => two(&mut stack, Binary::Ge)?,
                Operation::Nop => {}
                // types of the stack: values are kept in 64 bits, which holds all but floats
                Operation::TypedLiteral { value, .. } if value.len() <= 8 => {
                    let mut word = [0u8; 8];
                    word[..value.len()].copy_from_slice(value.slice());
                    stack.push(Formula::Const(i64::from_le_bytes(word)));
                }
                Operation::Convert { base_type } | Operation::Reinterpret { base_type } => {
                    let a = pop(&mut stack)?;
                    stack.push(converted(unit, a, base_type)?);
                }
                Operation::StackValue => {
                    let a = pop(&mut stack)?;
                    whole = Some(Location::Value(a));
                }
                Operation::ImplicitValue { data } => whole = Some(Location::Bytes(data.slice().to_vec())),
                Operation::ImplicitPointer { value, byte_offset } => {
                    let die = Die(unit.at.0 >> FILE_SHIFT << FILE_SHIFT | value.0 as u64);
                    whole = Some(Location::PointerTo(die, byte_offset));
                }
                Operation::EntryValue { expression } => {
                    let inner = self.evaluate(unit, Expression(expression), at, depth + 1)?;
                    match inner {
                        Location::Value(Formula::Register(n)) => stack.push(Formula::EntryRegister(n)),
                        _ => return unsupported("an entry value that is no register"),
                    }
                }
                Operation::Piece { size_in_bits, bit_offset } => {
                    if bit_offset.is_some_and(|o| o != 0) {
                        return unsupported("a piece from the middle of a register");
                    }
                    let part = match whole.take() {
                        Some(w) => w,
                        None => stack.pop().map_or(Location::Gone, Location::Memory),
                    };
                    pieces.push((part, size_in_bits));
                }
                Operation::Call { .. } => return unsupported("DW_OP_call"),
                Operation::TLS => return unsupported("thread-local storage"),
                _ => return unsupported("an operation of this compiler"),
            }
        }
        if !pieces.is_empty() {
            return Ok(Location::Pieces(pieces));
        }
        match whole {
            Some(w) => Ok(w),
            None => pop(&mut stack).map(Location::Memory),
        }
    }
}

/// The value as an integer type of the stack holds it.
fn converted(unit: &Unit, f: Formula, base: gimli::UnitOffset) -> Result<Formula> {
    // 0: the generic type, of the size of an address
    if base.0 == 0 {
        return Ok(f);
    }
    let e = unit.unit.entry(base)?;
    let size = e.attr(gimli::DW_AT_byte_size)?.and_then(|a| a.udata_value()).unwrap_or(8);
    let signed = match e.attr_value(gimli::DW_AT_encoding)? {
        Some(AttributeValue::Encoding(gimli::DW_ATE_float)) => return unsupported("a floating-point value"),
        Some(AttributeValue::Encoding(a)) => {
            matches!(a, gimli::DW_ATE_signed | gimli::DW_ATE_signed_char)
        }
        _ => false,
    };
    if !matches!(size, 1 | 2 | 4) {
        return Ok(f);
    }
    let bits = 64 - 8 * size as i64;
    let up = Formula::binary(Binary::Shl, f, Formula::Const(bits));
    Ok(Formula::binary(if signed { Binary::Sar } else { Binary::Shr }, up, Formula::Const(bits)))
}

/// `DW_AT_location` as a block is an expression too (DWARF 3).
fn wrap(v: &AttributeValue<Reader>) -> AttributeValue<Reader> {
    match v {
        AttributeValue::Block(b) => AttributeValue::Exprloc(Expression(*b)),
        v => *v,
    }
}

/// `DW_AT_const_value`
fn constant(v: &AttributeValue<Reader>) -> Location {
    if let AttributeValue::Block(b) = v {
        return Location::Bytes(b.slice().to_vec());
    }
    match v {
        AttributeValue::Sdata(n) => Location::Value(Formula::Const(*n)),
        v => match v.udata_value() {
            Some(n) => Location::Value(Formula::Const(n as i64)),
            None => Location::Gone,
        },
    }
}
