//! Variables from debuginfo.
//!
//! In: a place that debuginfo describes, a name. Out: the value, for `walk` to
//! follow. Formulas over registers and memory become expressions here; what has
//! no place at the probe is told to be optimised out.

use super::walk::{type_trouble, At, Value, ARGUMENTS, STACK_POINTER};
use super::{long, nearest, KernelTarget};
use crate::diag::{Diagnostic, FileId, Span};
use crate::resolve::target_api::{Frame, ListedVariable};
use crate::syntax::ast::BinaryOp;
use crate::target::ctype::{self, CType, Scalar, TypeRef, TypeSource};
use crate::target::dwarf::location::{At as PlaceInCode, Binary, Formula, Location};
use crate::target::dwarf::scope::{Scope, Variable, VariableKind};
use crate::target::dwarf::types::Types;
use crate::target::dwarf::DwarfError;
use crate::types::hir::{Expr, ExprKind, Space, SymbolRef};
use stp_vm::isa::Helper;

/// A place as debuginfo knows it.
#[derive(Debug)]
pub struct DebugPlace {
    pub types: Types,
    pub scope: Scope,
    /// The function is named so in messages.
    pub name: String,
    pub module: Option<String>,
    /// At the first instruction of the function: its arguments are in their registers.
    pub entry: bool,
    pub returns: bool,
}

impl DebugPlace {
    /// Can a probe at the function's entry keep something for this place?
    fn framed(&self) -> Result<bool, Diagnostic> {
        let info = &self.types.info;
        let at = self.scope.at;
        let entry = info.entry_of(at.function).map_err(debug_trouble)?;
        let known = entry.is_some_and(|f| info.anchor(f.pc).is_some());
        Ok(known && info.frame_address(at.pc).map_err(debug_trouble)?.is_some())
    }
}

/// Debuginfo that is not sound.
pub fn debug_trouble(e: DwarfError) -> Diagnostic {
    Diagnostic::error(crate::diag::Stage::Semantic, "debuginfo", e.to_string())
}

/// Why a variable has no value.
enum Missing {
    Gone,
    OnlyAtEntry,
    Other(Diagnostic),
}

impl From<Diagnostic> for Missing {
    fn from(d: Diagnostic) -> Self {
        Self::Other(d)
    }
}

impl KernelTarget {
    /// A variable of the place, or of its file.
    pub(super) fn debug_value<'p>(
        &self,
        place: &'p DebugPlace,
        name: &str,
        span: Span,
    ) -> Result<Value<'p>, Diagnostic> {
        let info = &place.types.info;
        let known = place.scope.variables.iter().find(|v| v.name == name).cloned();
        let found = match known {
            Some(v) => Some(v),
            None => info.global(name, None, Some(place.scope.die)).map_err(debug_trouble)?,
        };
        let Some(v) = found else { return Err(self.debug_unknown(place, name)) };
        self.value_of(place, &v, span).map_err(|m| self.missing(place, name, m))
    }

    fn missing(&self, place: &DebugPlace, name: &str, why: Missing) -> Diagnostic {
        let text = match why {
            Missing::Other(d) => return d,
            Missing::Gone => "the compiler optimised it out, it has no value here",
            Missing::OnlyAtEntry => {
                "it has a value only where the function is entered: use the function's entry, or @entry"
            }
        };
        let d = self.error("optimised-out", format!("unable to read '${name}' of {}: {text}", place.name));
        let there = self.listed_names(place);
        let d = d.token(format!("identifier '${name}'"));
        match there.is_empty() {
            true => d,
            false => d.help(format!("variables with a value here: {}", there.join(" "))),
        }
    }

    /// Parameters and locals that have a value, with their `$`.
    fn listed_names(&self, place: &DebugPlace) -> Vec<String> {
        self.debug_variables(place).into_iter().map(|v| v.name).collect()
    }

    fn debug_unknown(&self, place: &DebugPlace, name: &str) -> Diagnostic {
        let known = self.listed_names(place);
        let near = nearest(&format!("${name}"), known.iter().map(String::as_str), 5);
        let shown = match (known.is_empty(), near.is_empty()) {
            (true, _) => "it has none here".to_owned(),
            (_, true) => format!("alternatives: {}", known.join(" ")),
            _ => format!("alternatives: {}", near.join(" ")),
        };
        self.error("unknown-variable", format!("unable to find local '{name}' at {} ({shown})", place.name))
            .token(format!("identifier '${name}'"))
    }

    /// `$x:type` of what has a value at the place: the result, parameters, locals.
    pub(super) fn debug_variables(&self, place: &DebugPlace) -> Vec<ListedVariable> {
        let listed = |name: &str, ty| ListedVariable {
            name: format!("${name}"),
            ty: ctype::type_name(&place.types, ty),
        };
        let mut out = Vec::new();
        if place.returns && place.scope.returns.0 != 0 {
            out.push(listed("return", place.scope.returns));
        }
        let span = Span { file: FileId(0), lo: 0, hi: 0 };
        for v in &place.scope.variables {
            if !(place.returns && v.kind == VariableKind::Local) && self.value_of(place, v, span).is_ok() {
                out.push(listed(&v.name, v.ty));
            }
        }
        out
    }

    /// Values of the parameters and locals, as `$$vars` wants them: `None` for what has none.
    pub(super) fn debug_values<'p>(
        &self,
        place: &'p DebugPlace,
        wanted: &[VariableKind],
        span: Span,
    ) -> Vec<(&'p str, Option<Value<'p>>)> {
        let of = |v: &'p Variable| (v.name.as_str(), self.value_of(place, v, span).ok());
        place.scope.variables.iter().filter(|v| wanted.contains(&v.kind)).map(of).collect()
    }

    fn value_of<'p>(&self, place: &'p DebugPlace, v: &Variable, span: Span) -> Result<Value<'p>, Missing> {
        let at = place.types.info.location(v.die, place.scope.at).map_err(debug_trouble)?;
        let at = self.placed(place, at, v.ty, span)?;
        Ok(Value { src: &place.types, at, ty: v.ty, space: Space::Kernel, span })
    }

    fn placed(&self, place: &DebugPlace, at: Location, ty: TypeRef, span: Span) -> Result<At, Missing> {
        let shape = ctype::strip(&place.types, ty).map_err(type_trouble)?.1;
        let whole = matches!(shape, CType::Record { .. } | CType::Array { .. });
        Ok(match at {
            Location::Gone => return Err(Missing::Gone),
            Location::Memory(f) => {
                let (f, offset) = split(f);
                At::Memory { base: Box::new(self.formula(place, &f, span)?), offset }
            }
            Location::Value(f) => {
                let e = self.formula(place, &f, span)?;
                if whole {
                    At::Words { words: vec![Some(e)], bit: 0 }
                } else {
                    At::Value(narrowed(&place.types, e, ty)?)
                }
            }
            Location::Bytes(bytes) => {
                let words: Vec<Option<Expr>> = bytes
                    .chunks(8)
                    .map(|c| {
                        let mut w = [0; 8];
                        w[..c.len()].copy_from_slice(c);
                        Some(long(ExprKind::Number(i64::from_le_bytes(w)), span))
                    })
                    .collect();
                self.words(place, words, whole, ty)?
            }
            Location::PointerTo(die, offset) => {
                let to = place.types.info.location(die, place.scope.at).map_err(debug_trouble)?;
                match self.placed(place, to, TypeRef(0), span)? {
                    At::Memory { base, offset: o } => {
                        let by = long(ExprKind::Number(o.wrapping_add(offset)), span);
                        At::Value(binary(BinaryOp::Add, *base, by))
                    }
                    // what it points to is in no memory
                    _ => return Err(Missing::Gone),
                }
            }
            Location::Pieces(pieces) => {
                let mut words: Vec<Option<Expr>> = Vec::new();
                let mut bit = 0u64;
                for (part, bits) in pieces {
                    let value = match part {
                        Location::Gone => None,
                        Location::Memory(f) => Some(self.loaded(place, &f, bits, span)?),
                        Location::Value(f) => Some(self.formula(place, &f, span)?),
                        Location::Bytes(b) => {
                            let mut w = [0; 8];
                            let n = b.len().min(8);
                            w[..n].copy_from_slice(&b[..n]);
                            Some(long(ExprKind::Number(i64::from_le_bytes(w)), span))
                        }
                        Location::PointerTo(..) | Location::Pieces(_) => return Err(Missing::Gone),
                    };
                    put_piece(&mut words, value, bit, bits, span)?;
                    bit = bit.saturating_add(bits);
                }
                // a part that is gone makes the words with it unknown
                self.words(place, words, whole, ty)?
            }
        })
    }

    fn words(
        &self,
        place: &DebugPlace,
        words: Vec<Option<Expr>>,
        whole: bool,
        ty: TypeRef,
    ) -> Result<At, Missing> {
        if words.iter().all(Option::is_none) {
            return Err(Missing::Gone);
        }
        if whole {
            return Ok(At::Words { words, bit: 0 });
        }
        match words.into_iter().next().flatten() {
            Some(w) => Ok(At::Value(narrowed(&place.types, w, ty)?)),
            None => Err(Missing::Gone),
        }
    }

    fn loaded(&self, place: &DebugPlace, f: &Formula, bits: u64, span: Span) -> Result<Expr, Missing> {
        let size = match bits {
            8 | 16 | 32 | 64 => (bits / 8) as u8,
            _ => return Err(Missing::Gone),
        };
        let addr = Box::new(self.formula(place, f, span)?);
        Ok(long(ExprKind::Load { addr, offset: 0, size, signed: false, space: Space::Kernel }, span))
    }

    fn formula(&self, place: &DebugPlace, f: &Formula, span: Span) -> Result<Expr, Missing> {
        let argument = |n: &u8| ARGUMENTS.iter().position(|a| a == n);
        let kind = match f {
            Formula::Const(n) => ExprKind::Number(*n),
            // cheaper than all registers, and kept for returns
            Formula::Register(n) | Formula::EntryRegister(n) if place.entry && argument(n).is_some() => {
                let n = argument(n).unwrap_or(0) as u8;
                ExprKind::ProbeArg { n, bits: 64, signed: false }
            }
            Formula::EntryRegister(n) if !place.entry && *n < 17 => match place.framed()? {
                true => ExprKind::EntryRegister { n: *n },
                false => return Err(Missing::OnlyAtEntry),
            },
            Formula::Register(n) | Formula::EntryRegister(n) if *n < 17 => ExprKind::Register { n: *n },
            Formula::Register(_) | Formula::EntryRegister(_) => return Err(Missing::Gone),
            Formula::Address(a) => return self.static_address(place, *a, span),
            Formula::Deref(size, f) => {
                let addr = Box::new(self.formula(place, f, span)?);
                ExprKind::Load { addr, offset: 0, size: *size, signed: false, space: Space::Kernel }
            }
            Formula::Binary(op, a, b) => {
                let (a, b) = (self.formula(place, a, span)?, self.formula(place, b, span)?);
                return Ok(binary(operator(*op), a, b));
            }
        };
        Ok(long(kind, span))
    }

    /// What tells the call of the function that a place is in.
    pub(super) fn debug_frame(&self, place: &DebugPlace, span: Span) -> Option<Frame> {
        let info = &place.types.info;
        let cfa = info.frame_address(place.scope.at.pc).ok()??;
        let function = info.entry_of(place.scope.at.function).ok()??;
        let entry = self.debug_entry_of(place.module.as_deref(), info, &function)?;
        let own = ExprKind::Register { n: STACK_POINTER };
        let word = long(ExprKind::Number(8), span);
        Some(Frame {
            entry,
            cfa: self.formula(place, &cfa, span).ok()?,
            // above the return address, which is all that is on the stack by then
            cfa_at_entry: binary(BinaryOp::Add, long(own, span), word),
        })
    }

    /// The address, on the traced machine, of something that has one in the file.
    fn static_address(&self, place: &DebugPlace, address: u64, span: Span) -> Result<Expr, Missing> {
        let info = &place.types.info;
        let Some(anchor) = info.data_anchor(address) else {
            return Err(Missing::Other(self.error(
                "static-variable",
                format!("no symbol of {} leads to a static variable", info.path().display()),
            )));
        };
        let module = place.module.as_deref().map(crate::target::debugfiles::module_name);
        let symbol = SymbolRef {
            symbol: anchor.symbol.to_owned(),
            module,
            offset: anchor.offset,
            data: !anchor.is_function,
        };
        let address = long(ExprKind::Address(symbol), span);
        Ok(match anchor.section.contains("percpu") {
            true => per_cpu(address),
            false => address,
        })
    }

    /// `@var("name@file", "module")`, also without file or module.
    pub(super) fn debug_global<'p>(
        &self,
        at: Option<&'p DebugPlace>,
        place: &'p mut Option<DebugPlace>,
        name: &str,
        module: Option<&str>,
        span: Span,
    ) -> Option<Result<Value<'p>, Diagnostic>> {
        let (name, file) = match name.split_once('@') {
            Some((n, f)) => (n, Some(f)),
            None => (name, None),
        };
        if let (Some(at), None, None) = (at, file, module) {
            return Some(self.debug_value(at, name, span));
        }
        let of_kernel = |m: &str| m == "kernel" || m == "vmlinux";
        let module = match (module, at) {
            (Some(m), _) => Some(m.to_owned()).filter(|m| !of_kernel(m)),
            (None, Some(at)) => at.module.clone(),
            (None, None) => None,
        };
        let info = self.debuginfo(module.as_deref())?;
        let home = at.filter(|a| std::rc::Rc::ptr_eq(&a.types.info, &info)).map(|a| a.scope.die);
        let found = match info.global(name, file, home) {
            Ok(f) => f?,
            Err(e) => return Some(Err(debug_trouble(e))),
        };
        let types = Types { info, home: Some(found.die), kernel: self.kernel.btf().ok() };
        let at = PlaceInCode { pc: 0, function: found.die };
        let scope = Scope { die: found.die, at, variables: Vec::new(), returns: TypeRef(0) };
        let own = DebugPlace { types, scope, name: name.to_owned(), module, entry: false, returns: false };
        let place = place.insert(own);
        Some(self.value_of(place, &found, span).map_err(|m| self.missing(place, name, m)))
    }
}

/// The address, on the processor that runs the handler, of a variable that each has its own of: what
/// the symbol table has of it is only the distance from the beginning of a processor's area.
pub fn per_cpu(symbol: Expr) -> Expr {
    let span = symbol.span;
    let areas = SymbolRef { symbol: "__per_cpu_offset".into(), module: None, offset: 0, data: true };
    let cpu = long(ExprKind::Helper { helper: Helper::Cpu, args: Vec::new() }, span);
    let at = binary(BinaryOp::Shl, cpu, long(ExprKind::Number(3), span));
    let addr = Box::new(binary(BinaryOp::Add, at, long(ExprKind::Address(areas), span)));
    let area = ExprKind::Load { addr, offset: 0, size: 8, signed: false, space: Space::Kernel };
    binary(BinaryOp::Add, long(area, span), symbol)
}

/// The constant at the end of a sum, apart.
fn split(f: Formula) -> (Formula, i64) {
    match f {
        Formula::Binary(Binary::Add, a, b) => match *b {
            Formula::Const(n) => (*a, n),
            b => (Formula::Binary(Binary::Add, a, Box::new(b)), 0),
        },
        f => (f, 0),
    }
}

fn operator(op: Binary) -> BinaryOp {
    match op {
        Binary::Add => BinaryOp::Add,
        Binary::Sub => BinaryOp::Sub,
        Binary::Mul => BinaryOp::Mul,
        Binary::Div => BinaryOp::Div,
        Binary::Mod => BinaryOp::Mod,
        Binary::And => BinaryOp::BitAnd,
        Binary::Or => BinaryOp::BitOr,
        Binary::Xor => BinaryOp::BitXor,
        Binary::Shl => BinaryOp::Shl,
        Binary::Shr => BinaryOp::ShrU,
        Binary::Sar => BinaryOp::Shr,
        Binary::Eq => BinaryOp::Eq,
        Binary::Ne => BinaryOp::Ne,
        Binary::Lt => BinaryOp::Lt,
        Binary::Le => BinaryOp::Le,
        Binary::Gt => BinaryOp::Gt,
        Binary::Ge => BinaryOp::Ge,
    }
}

fn binary(op: BinaryOp, lhs: Expr, rhs: Expr) -> Expr {
    let span = lhs.span;
    if let (BinaryOp::Add, ExprKind::Number(0)) = (op, &rhs.kind) {
        return lhs;
    }
    long(ExprKind::Binary { op, lhs: Box::new(lhs), rhs: Box::new(rhs) }, span)
}

/// Puts the low bits of a value into words, from that bit on.
fn put_piece(
    words: &mut Vec<Option<Expr>>,
    value: Option<Expr>,
    bit: u64,
    bits: u64,
    span: Span,
) -> Result<(), Missing> {
    let (n, shift) = ((bit / 64) as usize, bit % 64);
    if shift + bits > 64 || n > 64 || bits == 0 {
        return Err(Missing::Gone);
    }
    if words.len() <= n {
        words.resize(n + 1, Some(long(ExprKind::Number(0), span)));
    }
    let Some(before) = words[n].take() else { return Ok(()) };
    let Some(value) = value else { return Ok(()) };
    if bits == 64 {
        words[n] = Some(value);
        return Ok(());
    }
    let kind = ExprKind::BitField { value: Box::new(value), shift: 0, bits: bits as u8, signed: false };
    let low = long(kind, span);
    let up = match shift {
        0 => low,
        s => binary(BinaryOp::Shl, low, long(ExprKind::Number(s as i64), span)),
    };
    words[n] = Some(match before.kind {
        ExprKind::Number(0) => up,
        _ => binary(BinaryOp::BitOr, before, up),
    });
    Ok(())
}

/// A register's bits as a value of the type.
fn narrowed(src: &dyn TypeSource, e: Expr, ty: TypeRef) -> Result<Expr, Diagnostic> {
    let Some(Scalar::Int { size, signed }) = ctype::scalar(src, ty).map_err(type_trouble)? else {
        return Ok(e);
    };
    if size >= 8 {
        return Ok(e);
    }
    let span = e.span;
    Ok(match e.kind {
        ExprKind::ProbeArg { n, bits: 64, .. } => {
            long(ExprKind::ProbeArg { n, bits: size * 8, signed }, span)
        }
        ExprKind::Number(n) => {
            let by = 64 - 8 * u32::from(size);
            let up = n << by;
            let n = if signed { up >> by } else { (up as u64 >> by) as i64 };
            long(ExprKind::Number(n), span)
        }
        _ => {
            let kind = ExprKind::BitField { value: Box::new(e), shift: 0, bits: size * 8, signed };
            long(kind, span)
        }
    })
}
