//! The structures of an [`Image`]. Made by `lower` and by the assembler, read
//! by the file form, the flat form and the listing. Holds no addresses of any
//! machine: probes have a [`Place`].

use crate::bytes::Bytes;
use crate::types::hir::{Place, SymbolRef};
use serde::{Deserialize, Serialize};
use stp_vm::isa::{Insn, Limits, LIMITS};

/// Message of a function whose last overload passes on with `next`.
pub const EXHAUSTED: &str = "all functions exhausted";

/// A compiled script.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Image {
    /// Of the session and its files.
    pub name: String,
    /// [Identity](crate::target::kernel::Kernel::identity) of the kernel that it was compiled for;
    /// empty where it fits any.
    #[serde(skip)]
    pub target: Vec<u8>,
    /// `CAP_*` that it needs.
    pub caps: u32,
    #[serde(with = "limits_by_name")]
    pub limits: Limits,
    /// Functions and conditions, then handlers. Names are unique.
    pub functions: Vec<Function>,
    pub probes: Vec<Probe>,
    /// Names are unique.
    pub globals: Vec<Global>,
    /// Integers that fit no immediate, and addresses.
    pub constants: Vec<Constant>,
    /// `[0]` is the empty string.
    pub strings: Vec<Bytes>,
    pub formats: Vec<Vec<FormatItem>>,
    pub iterators: Vec<Iter>,
    pub dfas: Vec<Dfa>,
    /// Names of the source files.
    pub files: Vec<String>,
    /// Places in the source that code came from; [`Line`] points here.
    pub places: Vec<CodePlace>,
    /// Source lines shown beside the code, in the order of (file, line).
    pub source: Vec<SourceLine>,
}

/// An integer of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Constant {
    Number(i64),
    /// Looked up on the machine that runs the program.
    Address(SymbolRef),
}

/// A function, a probe's condition, or a handler.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    pub name: String,
    pub handler: bool,
    /// Touches globals: runs under the lock set of the handler that calls it.
    pub locked: bool,
    pub nregs: u16,
    pub nstrs: u16,
    pub naggs: u8,
    pub niters: u8,
    /// Parameters, in the order of the script.
    pub params: Vec<ValueType>,
    pub ret: Ret,
    /// Machine words.
    pub code: Vec<u64>,
    /// Catch blocks, innermost first.
    pub tries: Vec<Try>,
    pub lines: Vec<Line>,
}

impl Function {
    /// How many integer parameters, how many string parameters.
    pub fn param_counts(&self) -> (u8, u8) {
        let strs = self.params.iter().filter(|t| **t == ValueType::Str).count();
        ((self.params.len() - strs) as u8, strs as u8)
    }
    /// The place in the source of an instruction.
    pub fn line_at(&self, pc: u32) -> Option<u32> {
        let n = self.lines.partition_point(|l| l.pc <= pc);
        self.lines[..n].last().map(|l| l.place).filter(|p| *p != Line::NOWHERE)
    }
    /// Instructions; `None` in place of unknown opcodes.
    pub fn insns(&self) -> impl Iterator<Item = Option<Insn>> + '_ {
        self.code.iter().map(|w| Insn::decode(*w))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Ret {
    #[default]
    None,
    Int,
    Str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ValueType {
    Int,
    Str,
}

/// An error in `from..to` goes to `target`; all count instructions in the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Try {
    pub from: u32,
    pub to: u32,
    pub target: u32,
}

/// From instruction `pc` on, the source is `places[place]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Line {
    pub pc: u32,
    pub place: u32,
}

impl Line {
    /// In `place`: code that comes from no place.
    pub const NOWHERE: u32 = u32::MAX;
}

/// A token of the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodePlace {
    /// As messages name it: `identifier 'n'`.
    pub token: String,
    /// Index into `files`.
    pub file: u32,
    /// From 1.
    pub line: u32,
    /// From 1, in bytes.
    pub col: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLine {
    pub file: u32,
    pub line: u32,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub at: Place,
    /// Index of the handler; probes with equal handlers share one.
    pub function: u32,
    /// Function that must give non-zero for the handler to run.
    pub condition: Option<u32>,
    /// Text of `pp()`.
    pub pp: String,
    /// Text of `pn()`.
    pub pn: String,
    /// For error messages: `probe begin`.
    pub label: String,
    pub optional: bool,
    /// The point of several places that this is one of: not all of them need to be there.
    pub one_of: Option<String>,
    /// In the order of the globals, each once.
    pub locks: Vec<Lock>,
    /// Worst case in actions; `None`: not bounded by structure.
    pub cost: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lock {
    pub global: u32,
    pub mode: LockMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LockMode {
    /// This CPU's part only.
    Add,
    Read,
    Write,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Global {
    pub name: String,
    pub class: Class,
}

/// What a global is and how it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Class {
    /// One integer, guarded by its lock.
    Int {
        init: i64,
    },
    Str {
        init: Bytes,
    },
    /// An integer that handlers only add to: kept per CPU.
    PerCpu {
        init: i64,
    },
    Stat {
        hist: Hist,
        /// `Some(bit shift)`: `@variance` is asked for.
        variance: Option<u8>,
        minmax: bool,
    },
    Map {
        keys: Vec<ValueType>,
        value: ValueType,
        size: u32,
        /// The script gave the size: an overflow names it.
        sized: bool,
        wrap: bool,
    },
    StatMap {
        keys: Vec<ValueType>,
        size: u32,
        sized: bool,
        wrap: bool,
        hist: Hist,
        variance: Option<u8>,
        minmax: bool,
    },
}

impl Class {
    /// Key types of a map, none for scalars.
    pub fn keys(&self) -> &[ValueType] {
        match self {
            Class::Map { keys, .. } | Class::StatMap { keys, .. } => keys,
            _ => &[],
        }
    }
    /// Is it kept per CPU?
    pub fn per_cpu(&self) -> bool {
        matches!(self, Class::PerCpu { .. } | Class::Stat { .. } | Class::StatMap { .. })
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Hist {
    #[default]
    None,
    Log,
    Linear {
        lo: i64,
        hi: i64,
        step: i64,
    },
}

/// A piece of a format.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FormatItem {
    Text(Bytes),
    Value {
        conv: Conversion,
        /// `IM_FL_*`
        flags: u8,
        width: Number,
        precision: Number,
        /// Bytes of `%b %m %M`, else 0.
        size: u8,
    },
}

/// Conversions of a format; the numbers are `IM_C_*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Conversion {
    Decimal = 1,
    Unsigned,
    Hex,
    HexUpper,
    Octal,
    Pointer,
    Char,
    Str,
    Binary,
    Memory,
    MemoryHex,
    /// An address that the loader prints as a kernel symbol.
    Symbol,
}

impl Conversion {
    /// All, with their letters in the text of a format.
    pub const ALL: [(Conversion, char); 12] = [
        (Conversion::Decimal, 'd'),
        (Conversion::Unsigned, 'u'),
        (Conversion::Hex, 'x'),
        (Conversion::HexUpper, 'X'),
        (Conversion::Octal, 'o'),
        (Conversion::Pointer, 'p'),
        (Conversion::Char, 'c'),
        (Conversion::Str, 's'),
        (Conversion::Binary, 'b'),
        (Conversion::Memory, 'm'),
        (Conversion::MemoryHex, 'M'),
        (Conversion::Symbol, 'P'),
    ];
    pub fn letter(self) -> char {
        Self::ALL.iter().find(|(c, _)| *c == self).map_or('?', |(_, l)| *l)
    }
    /// `i` is `d`.
    pub fn from_letter(letter: char) -> Option<Self> {
        let letter = if letter == 'i' { 'd' } else { letter };
        Self::ALL.iter().find(|(_, l)| *l == letter).map(|(c, _)| *c)
    }
}

/// Width or precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Number {
    #[default]
    None,
    Fixed(i32),
    /// An integer argument before the value.
    Dynamic,
}

/// How a `foreach` walks a map.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Iter {
    /// Index of the global.
    pub map: u32,
    pub sort: IterSort,
    pub descending: bool,
    pub limited: bool,
    /// Bit n: key n must be equal to a slice key.
    pub slice: u16,
    /// First string slot of the slice keys.
    pub slice_s: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IterSort {
    #[default]
    Insertion,
    Key(u8),
    Value,
    /// Field as in `agget`.
    Field(u8),
}

/// A regular expression as tables; the words are described in `vm-kmod/core/regex.h`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dfa {
    /// The expression, for the listing.
    pub pattern: Bytes,
    pub nstates: u16,
    pub ngroups: u16,
    pub flags: u32,
    pub words: Vec<u32>,
}

impl Image {
    /// An image with the empty string in its place and nothing else.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), strings: vec![Bytes::default()], ..Self::default() }
    }

    /// Does it hold a distance from a symbol, or an address? Those are of one kernel; names are not.
    pub fn holds_places(&self) -> bool {
        let probe = |at: &Place| match at {
            Place::Function { offset, absolute, .. } => *offset != 0 || absolute.is_some(),
            Place::Return { offset, .. } => *offset != 0,
            Place::Data { symbol, .. } => symbol.is_none(),
            _ => false,
        };
        self.probes.iter().any(|p| probe(&p.at))
            || self.constants.iter().any(|c| matches!(c, Constant::Address(a) if a.offset != 0))
    }

    /// The function that holds an instruction of the flat image, and its number there.
    pub fn find_pc(&self, pc: u32) -> Option<(&Function, u32)> {
        let mut rest = pc;
        for f in &self.functions {
            let n = f.code.len() as u32;
            if rest < n {
                return Some((f, rest));
            }
            rest -= n;
        }
        None
    }

    /// Text of the place of an instruction of the flat image: `identifier 'n' at F.stp:3:42`.
    pub fn place_of_pc(&self, pc: u32) -> Option<String> {
        let (f, local) = self.find_pc(pc)?;
        self.place_text(f.line_at(local)?)
    }

    /// Text of a place: `identifier 'n' at F.stp:3:42`.
    pub fn place_text(&self, place: u32) -> Option<String> {
        let p = self.places.get(place as usize)?;
        let file = self.files.get(p.file as usize).map_or("?", |f| f.as_str());
        Some(format!("{} at {file}:{}:{}", p.token, p.line, p.col))
    }

    /// The message of a run-time error as SystemTap prints it, without `ERROR: `: `pc` of the
    /// instruction that failed, then those of its callers, then the probe.
    /// The message may hold any bytes.
    pub fn error_text(&self, message: &[u8], pc: u32, callers: &[u32], probe: Option<u32>) -> Vec<u8> {
        let mut out = String::new();
        // That the last overload passed on is the caller's trouble, and shown there.
        let (pc, callers) = match callers {
            [caller, rest @ ..] if message == EXHAUSTED.as_bytes() => (*caller, rest),
            _ => (pc, callers),
        };
        if let Some(place) = self.place_of_pc(pc) {
            out += &format!(" near {place}");
            for caller in callers.iter().filter_map(|pc| self.place_of_pc(*pc)) {
                out += &format!(" (called from {caller})");
            }
            if let Some(p) = probe.and_then(|n| self.probes.get(n as usize)) {
                out += &format!(" in {}", p.label);
            }
        }
        [message, out.as_bytes()].concat()
    }
}

/// Limits travel by name, so that a field added later does not shift the others.
mod limits_by_name {
    use super::{Limits, LIMITS};
    use serde::{de, Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(limits: &Limits, s: S) -> Result<S::Ok, S::Error> {
        let mut limits = limits.clone();
        let list: Vec<(&str, i32)> =
            LIMITS.iter().filter_map(|l| Some((l.name, *limits.field_mut(l.name)?))).collect();
        list.serialize(s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Limits, D::Error> {
        let mut limits = Limits::default();
        for (name, value) in Vec::<(String, i32)>::deserialize(d)? {
            let row = LIMITS.iter().find(|l| l.name == name);
            match (row, limits.field_mut(&name)) {
                (Some(row), Some(field)) if (row.lowest..=row.highest).contains(&value) => *field = value,
                _ => return Err(de::Error::custom(format!("limit {name} = {value}"))),
            }
        }
        Ok(limits)
    }
}
