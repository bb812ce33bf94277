//! The typed program: what `types` makes and `lower` reads.
//!
//! Everything is resolved: names are ids, aliases and macros are gone, each
//! probe has exactly one place, target variables have become loads. Every
//! expression has one of two types.

use crate::bytes::Bytes;
use crate::diag::Span;
pub use crate::syntax::ast::{AggOp, BinaryOp, FormatFlags, FormatNumber, Sort};
use stp_vm::isa::{Helper, Limits};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GlobalId(pub u32);
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);
/// Local of the function or handler at hand; parameters come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ty {
    Long,
    Str,
}

#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    pub globals: Vec<Global>,
    pub functions: Vec<Function>,
    pub probes: Vec<Probe>,
    pub limits: Limits,
    /// `-g`
    pub guru: bool,
    /// `--skip-badvars`: a load from a bad address gives 0.
    pub skip_badvars: bool,
}

#[derive(Clone, Debug)]
pub struct Global {
    pub name: String,
    pub kind: GlobalKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum GlobalKind {
    Long { init: i64 },
    Str { init: Bytes },
    Stat(StatSpec),
    Array { keys: Vec<Ty>, value: ArrayValue, size: Option<u32>, wrap: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub enum ArrayValue {
    Long,
    Str,
    Stat(StatSpec),
}

/// What a statistics variable must keep: the union of what scripts ask of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatSpec {
    pub hist: Option<Hist>,
    /// `Some(bit shift)` where `@variance` is used.
    pub variance: Option<u8>,
    pub minmax: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hist {
    Log,
    Linear { lo: i64, hi: i64, step: i64 },
}

#[derive(Clone, Debug)]
pub struct Local {
    pub name: String,
    pub ty: Ty,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub params: u32,
    /// Parameters, then locals.
    pub locals: Vec<Local>,
    pub ret: Option<Ty>,
    pub body: Vec<Stmt>,
    pub span: Span,
    /// Next overload, tried when this one says `next`.
    pub next_overload: Option<FunctionId>,
}

#[derive(Clone, Debug)]
pub struct Probe {
    pub at: Place,
    pub locals: Vec<Local>,
    pub body: Vec<Stmt>,
    /// Over globals only; the handler runs when it is non-zero.
    pub condition: Option<Expr>,
    /// Text of `pp()`: the place as resolved, `kernel.function("vfs_read@fs/read_write.c:450").call`.
    pub pp: String,
    /// Text of `pn()`: as the script wrote it.
    pub pn: String,
    /// For error messages: `probe begin`.
    pub label: String,
    /// How the script's point became this place, outermost alias last: `mine = begin <- mine`.
    pub derivation: String,
    pub optional: bool,
    /// The text of a point that has several places, of which this is one: the kernel may refuse it if
    /// it takes another.
    pub one_of: Option<String>,
    pub span: Span,
}

/// How often a performance event fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Period {
    /// At every so many of them.
    Events(u64),
    /// So many times in a second.
    Hz(u64),
}

/// Where a handler is attached. Addresses are looked up by the loader on the
/// machine that runs it; names here are symbols.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Place {
    Begin {
        priority: i64,
    },
    End {
        priority: i64,
    },
    Error {
        priority: i64,
    },
    Never,
    Timer {
        ns: u64,
        random_ns: u64,
    },
    /// `timer.profile` (`hz` None: every tick), `timer.profile.freq.hz(n)`.
    Profile {
        hz: Option<u64>,
    },
    /// `perf.type(n).config(n)`: at every `period`-th event, or so often in a second.
    Perf {
        event: u32,
        config: u64,
        period: Period,
    },
    /// `kernel.data(…)`: access to `length` bytes (1, 2, 4 or 8) at a variable or an address.
    Data {
        symbol: Option<String>,
        /// `None`: the kernel itself.
        module: Option<String>,
        address: u64,
        length: u8,
        write_only: bool,
    },
    /// An instruction, so far behind a symbol. `module` None: the kernel itself. `entry`: the first
    /// of a function, which has another name where its own is not the only one.
    Function {
        symbol: String,
        module: Option<String>,
        offset: u64,
        entry: bool,
        absolute: Option<u64>,
    },
    /// Returns of the function that begins there.
    Return {
        symbol: String,
        module: Option<String>,
        offset: u64,
        maxactive: Option<u32>,
    },
    Tracepoint {
        name: String,
        args: u8,
    },
    /// `nr` None: every system call.
    SyscallEnter {
        nr: Option<u32>,
        compat: bool,
    },
    SyscallExit {
        nr: Option<u32>,
        compat: bool,
    },
    /// A file below `/proc/systemtap/SESSION`, when it is read or written. `size`: bytes of the
    /// buffer of a reader, 0 for STP_PROCFS_BUFSIZE.
    Procfs {
        path: String,
        write: bool,
        size: u32,
        umask: u16,
    },
    /// A packet passes a hook of a protocol family (numbers of the kernel's).
    Netfilter {
        family: u8,
        hook: u8,
        priority: i32,
    },
    /// Standard input of the loader, at each byte or at each line.
    Input {
        line: bool,
    },
}

#[derive(Clone, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum StmtKind {
    Block(Vec<Stmt>),
    /// Value not used.
    Expr(Expr),
    If {
        cond: Expr,
        then: Vec<Stmt>,
        els: Vec<Stmt>,
    },
    /// Every loop: `while` has neither init nor step, `do … while` tests last.
    Loop {
        init: Option<Expr>,
        cond: Option<Expr>,
        step: Option<Expr>,
        body: Vec<Stmt>,
        test_last: bool,
    },
    Foreach(Box<Foreach>),
    /// `foreach (n = b in @hist_log(x))`: `bucket` gets the number of each, `value` what it held
    /// when the loop began.
    ForeachBucket {
        bucket: LocalId,
        value: Option<LocalId>,
        stat: StatRef,
        limit: Option<Expr>,
        sort: Option<Sort>,
        body: Vec<Stmt>,
    },
    Break,
    Continue,
    Next,
    Return(Option<Expr>),
    /// `delete` of a scalar (set to 0, "" or empty), an array, or an element (by slice where a key is `None`).
    DeleteGlobal(GlobalId),
    DeleteElement {
        array: GlobalId,
        keys: Vec<Option<Expr>>,
    },
    DeleteLocal(LocalId),
    Try {
        body: Vec<Stmt>,
        var: Option<LocalId>,
        handler: Vec<Stmt>,
    },
}

#[derive(Clone, Debug)]
pub struct Foreach {
    pub array: GlobalId,
    /// One per key; `None` where a slice fixes it to a value that nobody reads.
    pub keys: Vec<Option<LocalId>>,
    /// `v = …`; over a map of statistics `v` is the entry itself: `StatRef::Current`.
    pub value: Option<ForeachValue>,
    /// One per key; `Some` must be equal.
    pub slice: Vec<Option<Expr>>,
    pub sort: Option<(SortBy, Sort)>,
    pub limit: Option<Expr>,
    pub body: Vec<Stmt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeachValue {
    Local(LocalId),
    /// Names the loop for `StatRef::Current`.
    Stat(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortBy {
    Key(u8),
    Value,
    Agg(AggOp),
}

/// The statistics that `@count(…)` and family look at.
#[derive(Clone, Debug)]
pub enum StatRef {
    Scalar(GlobalId),
    Element {
        array: GlobalId,
        keys: Vec<Expr>,
    },
    /// Entry of the enclosing `foreach` of that name, over that array.
    Current {
        array: GlobalId,
        id: u32,
    },
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    pub ty: Ty,
    /// Names the place in run-time errors.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Number(i64),
    String(Bytes),
    Local(LocalId),
    Global(GlobalId),
    Element {
        array: GlobalId,
        keys: Vec<Expr>,
    },
    /// `keys` with `None` for `*`.
    In {
        array: GlobalId,
        keys: Vec<Option<Expr>>,
    },
    Neg(Box<Expr>),
    Inv(Box<Expr>),
    Not(Box<Expr>),
    /// Arithmetic, shifts, bit operations on longs; comparisons on both types; `Concat` on strings.
    /// `And` and `Or` are short cut and give 0 or 1.
    Binary {
        op: BinaryOp,
        lhs: Box<Expr>,
        rhs: Box<Expr>,
    },
    Ternary {
        cond: Box<Expr>,
        then: Box<Expr>,
        els: Box<Expr>,
    },
    /// Value: what was stored.
    Assign {
        op: Option<BinaryOp>,
        target: LValue,
        value: Box<Expr>,
    },
    StatAdd {
        target: StatTarget,
        value: Box<Expr>,
    },
    IncDec {
        increment: bool,
        prefix: bool,
        target: LValue,
    },
    Call {
        function: FunctionId,
        args: Vec<Expr>,
    },
    Helper {
        helper: Helper,
        args: Vec<Expr>,
    },
    Agg {
        op: AggOp,
        stat: StatRef,
    },
    /// `@hist_log(x)[i]`
    Bucket {
        stat: StatRef,
        index: Box<Expr>,
    },
    /// `error(text)`: ends the handler, or goes to the nearest `catch`. Has no value.
    Error(Box<Expr>),
    /// A text, or another where it cannot be had because of an error on the way.
    Rescue {
        text: Box<Expr>,
        instead: Bytes,
    },
    /// A histogram as text; also allowed as the only argument of `print`/`println`.
    HistText {
        stat: StatRef,
    },
    /// Prints (value 0) or, for `to_string`, gives the text.
    Print(Box<Print>),
    Regex {
        subject: Box<Expr>,
        pattern: Bytes,
        negated: bool,
    },
    /// Raw argument of the probed function or event, low `bits` bits of it.
    ProbeArg {
        n: u8,
        bits: u8,
        signed: bool,
    },
    /// Raw return value, low `bits` bits.
    ReturnValue {
        bits: u8,
        signed: bool,
    },
    /// Address of something static on the traced machine.
    Address(SymbolRef),
    /// Machine register by DWARF number.
    Register {
        n: u8,
    },
    /// What the register held when the function around the place was entered. On the way from the
    /// target to the binder only, which has a probe at the entry keep it (`bind_entered`).
    EntryRegister {
        n: u8,
    },
    /// Memory at `addr` + `offset`.
    Load {
        addr: Box<Expr>,
        offset: i64,
        size: u8,
        signed: bool,
        space: Space,
    },
    /// Bit field: `bits` bits from bit `shift` of the loaded value.
    BitField {
        value: Box<Expr>,
        shift: u8,
        bits: u8,
        signed: bool,
    },
    Store {
        addr: Box<Expr>,
        offset: i64,
        size: u8,
        space: Space,
        value: Box<Expr>,
    },
}

/// A place that is known by a symbol: so many bytes behind it. Who runs the program looks it up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct SymbolRef {
    pub symbol: String,
    /// `None`: the kernel itself.
    pub module: Option<String>,
    pub offset: i64,
    /// A variable's name, not a function's.
    pub data: bool,
}

impl SymbolRef {
    /// The symbol's own place, as whoever knows addresses is asked for it.
    pub fn place(&self) -> Place {
        let (symbol, module) = (self.symbol.clone(), self.module.clone());
        if self.data {
            Place::Data { symbol: Some(symbol), module, address: 0, length: 1, write_only: false }
        } else {
            Place::Function { symbol, module, offset: 0, entry: true, absolute: None }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    Kernel,
    User,
}

#[derive(Clone, Debug)]
pub enum LValue {
    Local(LocalId),
    Global(GlobalId),
    Element { array: GlobalId, keys: Vec<Expr> },
}

#[derive(Clone, Debug)]
pub enum StatTarget {
    Scalar(GlobalId),
    Element { array: GlobalId, keys: Vec<Expr> },
}

#[derive(Clone, Debug)]
pub struct Print {
    pub to_string: bool,
    pub pieces: Vec<Piece>,
    /// In the order of the conversions, dynamic widths included.
    pub args: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    Text(Bytes),
    Conv {
        /// `d i u x X o p c s b m M`
        letter: char,
        flags: FormatFlags,
        width: FormatNumber,
        precision: FormatNumber,
        size: u8,
    },
}
