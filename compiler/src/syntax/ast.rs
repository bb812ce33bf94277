//! The script as it was written: what the parser makes and `resolve` reads.
//!
//! Every node has a span. Nothing here is typed or resolved; names are as
//! written. Macros and `%( … %)` are gone (they work on tokens).

pub use crate::bytes::Bytes;
use crate::diag::Span;

/// One parsed text: a user script or a tapset file.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub globals: Vec<GlobalDecl>,
    pub functions: Vec<FunctionDecl>,
    pub probes: Vec<ProbeDecl>,
    pub aliases: Vec<AliasDecl>,
    /// Top-level `%{ … %}`: refused by `resolve` with a word on what to use.
    pub embedded: Vec<Span>,
    /// Which arguments of the script (`$1` first) the text refers to.
    pub used_args: Vec<bool>,
    /// A `%( … %)` looked at the release or the configuration of the kernel.
    pub asks_kernel: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

/// A type that a script may write: `:long`, `:string`, `:stats` is refused by the parser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TypeName {
    Long,
    String,
}

/// `global a, b[10] = …, c%[N]`: one variable of it.
#[derive(Clone, Debug)]
pub struct GlobalDecl {
    pub name: Ident,
    pub private: bool,
    /// `[N]`; `Some` makes it an array.
    pub size: Option<i64>,
    /// `%`: a full array drops its oldest entry.
    pub wrap: bool,
    pub init: Option<Literal>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Number(i64),
    String(Bytes),
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: Ident,
    pub ty: Option<TypeName>,
}

#[derive(Clone, Debug)]
pub struct FunctionDecl {
    pub name: Ident,
    pub private: bool,
    pub params: Vec<Param>,
    pub ret: Option<TypeName>,
    /// `:N` after the signature; lower is tried first. Default 1 for user scripts.
    pub priority: Option<i64>,
    pub body: FunctionBody,
    pub span: Span,
}

// One for each function: a box would save nothing worth having.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum FunctionBody {
    Script(Stmt),
    /// `%{ … %}`: refused by `resolve` with a word on what to use.
    EmbeddedC(Span),
}

#[derive(Clone, Debug)]
pub struct ProbeDecl {
    pub points: Vec<ProbePoint>,
    pub body: Stmt,
    pub span: Span,
}

/// `probe NAME = POINTS { prologue }, { epilogue }` (`+=`: `append`).
#[derive(Clone, Debug)]
pub struct AliasDecl {
    /// The names that it defines (usually one).
    pub names: Vec<ProbePoint>,
    pub points: Vec<ProbePoint>,
    /// `+=`: the body runs after the user's, as an epilogue.
    pub append: bool,
    pub body: Stmt,
    /// Second block of `= … {…}, {…}`.
    pub second: Option<Stmt>,
    pub span: Span,
}

/// `a.b("x").c?`; components of `{a,b}` alternation are expanded by the parser
/// into several points that share `group`.
#[derive(Clone, Debug)]
pub struct ProbePoint {
    pub components: Vec<Component>,
    /// `?`
    pub optional: bool,
    /// `!`
    pub sufficient: bool,
    /// `if (expr)`
    pub condition: Option<Expr>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct Component {
    /// May hold `*`, `**`, `?` wildcards.
    pub name: Ident,
    pub arg: Option<ComponentArg>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ComponentArg {
    Literal(Literal),
    /// An identifier: a parameter in an alias definition (`probe a.b(x) = …`).
    Param(Ident),
}

#[derive(Clone, Debug)]
pub struct Stmt {
    pub kind: StmtKind,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum StmtKind {
    Block(Vec<Stmt>),
    /// `;`
    Null,
    Expr(Expr),
    If {
        cond: Expr,
        then: Box<Stmt>,
        els: Option<Box<Stmt>>,
    },
    While {
        cond: Expr,
        body: Box<Stmt>,
    },
    DoWhile {
        body: Box<Stmt>,
        cond: Expr,
    },
    For {
        init: Option<Expr>,
        cond: Option<Expr>,
        step: Option<Expr>,
        body: Box<Stmt>,
    },
    Foreach(Box<Foreach>),
    Break,
    Continue,
    Next,
    Return(Option<Expr>),
    Delete(Expr),
    Try {
        body: Box<Stmt>,
        var: Option<Ident>,
        handler: Box<Stmt>,
    },
}

/// `foreach (v = [a+, b] in arr[x, *] limit n) body`
#[derive(Clone, Debug)]
pub struct Foreach {
    /// `v =`
    pub value: Option<(Ident, Option<Sort>)>,
    /// The keys as written; one for the form without brackets.
    pub keys: Vec<(Ident, Option<Sort>)>,
    pub array: Expr,
    /// `[x, *]` after the array; `None` in it is `*`.
    pub slice: Option<Vec<Option<Expr>>>,
    /// Sort on the array itself: `in arr+`, `in arr @sum-`, `@count(arr)`-like suffixes.
    pub array_sort: Option<(Option<AggOp>, Sort)>,
    pub limit: Option<Expr>,
    pub body: Stmt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Up,
    Down,
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: ExprKind,
    /// Of the token that SystemTap names in messages: the operator of an
    /// operation, the name of a call, the identifier itself.
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum ExprKind {
    Number(i64),
    String(Bytes),
    /// A local, a global, a parameter.
    Name(String),
    /// `a[k, …]`; `None` is `*` (in `delete a[x,*]` and `[x,*] in a`).
    Index {
        base: Box<Expr>,
        keys: Vec<Option<Expr>>,
    },
    Call {
        name: Ident,
        args: Vec<Expr>,
    },
    Unary {
        op: UnaryOp,
        arg: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        lhs: Box<Expr>,
        rhs: Box<Expr>,
    },
    /// `[a, b] in arr` or `a in arr`.
    In {
        keys: Vec<Option<Expr>>,
        array: Box<Expr>,
    },
    /// `=~` and `!~`; the pattern is a literal.
    Regex {
        negated: bool,
        subject: Box<Expr>,
        pattern: Bytes,
        pattern_span: Span,
    },
    Ternary {
        cond: Box<Expr>,
        then: Box<Expr>,
        els: Box<Expr>,
    },
    /// `op` is `None` for `=`; the operator otherwise, `Some(BinaryOp::Concat)` for `.=`.
    Assign {
        op: Option<BinaryOp>,
        target: Box<Expr>,
        value: Box<Expr>,
    },
    /// `target <<< value`
    StatAdd {
        target: Box<Expr>,
        value: Box<Expr>,
    },
    IncDec {
        increment: bool,
        prefix: bool,
        target: Box<Expr>,
    },
    /// `@count(x)` and family; `params` as in `@variance(x, 3)`.
    Agg {
        op: AggOp,
        target: Box<Expr>,
        params: Vec<i64>,
    },
    /// `@hist_log(x)`, `@hist_linear(x, lo, hi, step)`; indexed by `Index` for a bucket.
    Hist {
        kind: HistKind,
        target: Box<Expr>,
    },
    /// `print(…)` and family, `sprint(…)` and family.
    Print(Box<Print>),
    /// `$name` with what follows, `@var`, `@cast`, `$$vars`.
    Target(Box<TargetVar>),
    /// `&$x…`
    AddressOf(Box<TargetVar>),
    /// `@defined(expr)`
    Defined(Box<Expr>),
    /// `@choose_defined(a, b)`
    ChooseDefined(Box<Expr>, Box<Expr>),
    /// `@entry(expr)`
    Entry(Box<Expr>),
    /// `@probewrite(name)`
    ProbeWrite(Ident),
    /// `@const("text")`
    Const(String),
    /// `@perf("name")`
    Perf(String),
    /// `@kderef(size, address)`, `@uderef(…)` (`user`).
    Deref {
        user: bool,
        size: i64,
        address: Box<Expr>,
    },
    /// `@kregister(n)`, `@uregister(n)` (`user`): by DWARF number.
    Register {
        user: bool,
        number: i64,
    },
    /// `%{ … %}` as a value: refused by `resolve`.
    EmbeddedC(Span),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    Neg,
    Plus,
    /// `!`
    Not,
    /// `~`
    Inv,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    /// `.`
    Concat,
    Shl,
    Shr,
    /// `>>>`
    ShrU,
    BitAnd,
    BitOr,
    BitXor,
    /// `&&`
    And,
    /// `||`
    Or,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AggOp {
    Count,
    Sum,
    Min,
    Max,
    Avg,
    Variance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistKind {
    Log,
    Linear { lo: i64, hi: i64, step: i64 },
}

/// `print println printd printdln printf` and their `sprint…` twins.
#[derive(Clone, Debug)]
pub struct Print {
    pub kind: PrintKind,
    /// `sprint…`: the text is the value.
    pub to_string: bool,
    pub newline: bool,
    pub args: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum PrintKind {
    /// Arguments one after the other.
    Plain,
    /// Between them this.
    Delimited(Bytes),
    /// `printf`: the format, its conversions parsed.
    Format(Vec<FormatPiece>),
    /// `print_char`-like single byte.
    Char,
}

/// A piece of a format; source: printf in stapfuncs and the language reference.
#[derive(Clone, Debug, PartialEq)]
pub enum FormatPiece {
    Text(Bytes),
    Conv(Conversion),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// One of `d i u x X o p c s b m M` (with the size of `b m M` in `size`).
    pub letter: char,
    pub flags: FormatFlags,
    pub width: FormatNumber,
    pub precision: FormatNumber,
    /// `l`, `ll`: ignored by the language; for `%b` the bytes: 1, 2, 4, 8.
    pub size: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FormatFlags {
    pub zero: bool,
    pub plus: bool,
    pub space: bool,
    pub left: bool,
    pub alt: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FormatNumber {
    None,
    Fixed(i32),
    /// `*`
    Dynamic,
}

/// `$name`, `$$name`, `@var("name@file", "module")`, `@cast(p, "type", "module")`,
/// followed by fields, elements and `$` or `$$`.
#[derive(Clone, Debug)]
pub struct TargetVar {
    pub base: TargetBase,
    pub path: Vec<PathStep>,
    /// `$x$` = 1, `$x$$` = 2: pretty printing.
    pub pretty: u8,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub enum TargetBase {
    /// `$name`, with the `$` (so `$$vars` is "$$vars").
    Name(String),
    /// `@var("name", "module")`
    Var { name: String, module: Option<String> },
    /// `@cast(expr, "type", "module")`
    Cast { value: Box<Expr>, ty: String, module: Option<String> },
    /// A script expression with `->` or `$` behind it: `foo->bar`, `task_current()->tgid`.
    /// Its type follows from where its value came from.
    Auto(Box<Expr>),
}

#[derive(Clone, Debug)]
pub enum PathStep {
    Field(Ident),
    Element(Expr),
}
