//! What `resolve` asks of whoever knows the traced machine. The answers come
//! from `target` (BTF, DWARF, symbol tables); tests answer from a table. In:
//! probe points of the built-in kernel families and target variables as
//! written. Out: places, and expressions over raw arguments, registers and
//! memory. Nothing here knows aliases, script variables or types of scripts.

use crate::diag::{Diagnostic, Span};
use crate::syntax::ast;
use crate::types::hir;

/// A probe point of a family that only the traced machine can place. Patterns
/// may hold `*`, `?` and `[…]`; the answer to one may be many places.
#[derive(Clone, Debug, PartialEq)]
pub enum Query {
    /// `kernel.function(…)` and `module("m").function(…)` with a suffix.
    Function { module: Option<String>, spec: Spec, variant: Variant },
    /// `kernel.statement(…)`, `module("m").statement(…)`; `nearest`: the suffix of that name.
    Statement { module: Option<String>, spec: Spec, nearest: bool, absolute: bool },
    /// `kprobe.function("f")`, `kprobe.module("m").function("f")`: symbols only, no types.
    Kprobe { module: Option<String>, symbol: String, variant: Variant },
    /// `kprobe.statement(ADDRESS).absolute`.
    KprobeStatement { address: u64 },
    /// `kernel.trace("event")`, `kernel.trace("system:event")`, also as `kernel.tracepoint`.
    Tracepoint { pattern: String },
    /// `__syscall("name")` and `.return`, `.compat`, `.compat.return`: the raw gate that the
    /// syscall tapset stands on. `*` alone is every call through one place.
    Syscall { name: String, compat: bool, ret: bool },
}

/// What `function(…)` and `statement(…)` take.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// `f`, `f@file`, `f@file:line`, `f@file+offset`, with wildcards.
    Pattern(String),
    Address(u64),
}

/// Suffix of a function probe.
#[derive(Clone, Debug, PartialEq)]
pub enum Variant {
    /// None: entries, and instances inlined where debuginfo has them.
    Plain,
    Call,
    Inline,
    Exported,
    Return {
        maxactive: Option<u32>,
    },
    /// `.label("pattern")`
    Label(String),
    /// `.callee("pattern")`, `.callees` as `*`, `.callees(depth)`.
    Callee {
        pattern: String,
        depth: Option<u32>,
        which: Callees,
    },
}

/// Suffix of a callee probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callees {
    /// Calls, and functions that were inlined.
    All,
    Call,
    Return,
}

/// A way by which a place is reached, from the call that led to it outwards: where its return
/// address is, and which return addresses mean this way.
pub type Way = Vec<(ReturnAddress, Vec<hir::SymbolRef>)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnAddress {
    /// Of the function at whose entry or return the probe stands.
    Own,
    /// On the stack, so far above the stack pointer.
    Stack(i64),
}

/// What a `.callee` probe is besides its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Called {
    /// For `pn()` and `-l`: the caller's probe point with `.callee("…")`.
    pub pn: String,
    /// The handler runs where one of these fits; always where there is none.
    pub ways: Vec<Way>,
}

/// One place that a [`Query`] found.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetPlace {
    pub place: hir::Place,
    /// As `pp()` and `-l` name it: `kernel.function("vfs_read@fs/read_write.c:450").call`
    /// with debuginfo, `kernel.function("vfs_read").call` without.
    pub pp: String,
    /// Name of the function or event, for `probefunc()` and messages.
    pub name: String,
    /// The target's own key for `variable`, opaque to everyone else.
    pub handle: u32,
    /// The entry of the same function, for a return place: where `$param` and `@entry` are evaluated.
    pub entry: Option<Box<TargetPlace>>,
    pub called: Option<Box<Called>>,
}

/// The function around a place, for what must be known of its entry ([`hir::ExprKind::EntryRegister`]).
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its first instruction.
    pub entry: TargetPlace,
    /// The canonical frame address, at the place and at the entry: it tells one call of the function
    /// from all others that are under way.
    pub cfa: hir::Expr,
    pub cfa_at_entry: hir::Expr,
}

/// What a script does with a target variable.
#[derive(Clone, Debug)]
pub enum Access {
    Read,
    /// `&$x->y`
    AddressOf,
    /// The name of its C type as a string constant, where it is a pointer; an array is one to its
    /// elements. `address`: of a pointer to it. What `->` on a script's own variable needs.
    TypeOf {
        address: bool,
    },
    /// `$x->y = value` (guru mode only; the target says so where it is off).
    Write(Box<hir::Expr>),
}

/// Where the expression stands.
#[derive(Clone, Copy, Debug)]
pub struct PlaceContext<'a> {
    /// `None` in functions that no probe lent its context: only `@cast` and `@var` mean something there.
    pub at: Option<&'a TargetPlace>,
    /// `-g`, or a file of the library.
    pub guru: bool,
}

/// A variable as `-L` lists it: name and type as the source language writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVariable {
    /// With its `$`.
    pub name: String,
    pub ty: String,
}

/// Knowledge of the traced machine.
pub trait TargetVars {
    /// Places of a probe point, in the order of addresses. An empty list means that the family is
    /// served but nothing matches; `resolve` then says `no match` with [`Self::similar`] names. An
    /// error is for what cannot be answered at all (no symbol table, no such module).
    fn places(&self, query: &Query) -> Result<Vec<TargetPlace>, Diagnostic>;

    /// What of a query the answer takes on trust, in words, with what would let it be checked.
    fn unchecked(&self, query: &Query) -> Option<String>;

    /// Names near to one that did not match, the nearest first.
    fn similar(&self, query: &Query) -> Vec<String>;

    /// A target variable as an expression over the machine. `operands` are, in the order of the
    /// text, the value of `@cast` and each `[index]` of the path; they may be used any number of
    /// times (each is evaluated once). The type of the result is `Str` only for pretty printing.
    /// Errors say what there is instead: fields, parameters, the package with debuginfo.
    fn variable(
        &self,
        context: PlaceContext,
        var: &ast::TargetVar,
        operands: &[hir::Expr],
        access: Access,
    ) -> Result<hir::Expr, Diagnostic>;

    /// The function around a place inside of one; `None` where its frame is not known.
    fn frame(&self, at: &TargetPlace, span: Span) -> Option<Frame>;

    /// What `variable` could answer at a place, for `-L` and "did you mean".
    fn variables(&self, at: &TargetPlace) -> Vec<ListedVariable>;

    /// A constant of the kernel's headers, for `@const` (enumerators, known macros).
    fn constant(&self, name: &str) -> Option<i64>;
}
