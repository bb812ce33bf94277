//! A program on its way to [`hir`]: names are ids already, types are still
//! variables. Expressions are those of `hir`; their `ty` means nothing before
//! `finish` has filled it in.

use super::hir::{Expr, FunctionId, GlobalId, Hist, Stmt};
use super::table::{Table, Tv};
use crate::diag::Span;
use crate::resolve::points::Derived;
use crate::resolve::world::UnitId;
use crate::syntax::ast::Literal;
use std::collections::{HashMap, HashSet};
use stp_vm::isa::Helper;

/// A variable of a function or handler.
#[derive(Clone, Debug)]
pub struct LocalInfo {
    pub name: String,
    /// Where it occurs first.
    pub span: Span,
    pub tv: Tv,
}

/// What is asked of a statistics variable.
#[derive(Clone, Debug, Default)]
pub struct StatNeeds {
    pub hist: Option<(Hist, Span)>,
    pub variance: Option<(u8, Span)>,
    pub minmax: bool,
}

#[derive(Clone, Debug)]
pub struct GlobalInfo {
    pub name: String,
    pub span: Span,
    pub unit: UnitId,
    pub library: bool,
    pub size: Option<i64>,
    pub wrap: bool,
    pub init: Option<Literal>,
    /// What `-G` says that it starts with.
    pub given: Option<String>,
    /// Number of keys, 0 for a scalar, and where that was seen first.
    pub arity: Option<(usize, Span)>,
    pub keys: Vec<Tv>,
    pub value: Tv,
    pub needs: StatNeeds,
}

/// What a function is made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FunctionSource {
    /// Function `decl` of the unit.
    Script { unit: UnitId, decl: usize },
    /// An intrinsic as the last of a chain of overloads.
    Helper(Helper),
}

#[derive(Clone, Debug)]
pub struct FunctionInfo {
    pub name: String,
    pub span: Span,
    pub source: FunctionSource,
    pub params: u32,
    pub locals: Vec<LocalInfo>,
    pub ret: Tv,
    pub body: Vec<Stmt>,
    /// Those of its name and arity that come after it.
    pub rest: Vec<FunctionSource>,
    pub next: Option<FunctionId>,
}

#[derive(Clone, Debug)]
pub struct ProbeInfo {
    pub derived: Derived,
    pub locals: Vec<LocalInfo>,
    pub body: Vec<Stmt>,
    pub condition: Option<Expr>,
}

/// A call inside a `foreach` over `arrays`.
#[derive(Clone, Debug)]
pub struct GuardedCall {
    pub function: FunctionId,
    pub arrays: Vec<GlobalId>,
    pub span: Span,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub globals: Vec<GlobalInfo>,
    pub functions: Vec<FunctionInfo>,
    pub probes: Vec<ProbeInfo>,
    pub types: Table,
    /// Expressions that stand for something wrong, already reported: any type will do.
    pub poison: HashSet<Span>,
    /// By the operator of an assignment: where its left side stands.
    pub left_sides: HashMap<Span, Span>,
    pub guarded_calls: Vec<GuardedCall>,
}

impl Model {
    pub fn global(&self, id: GlobalId) -> &GlobalInfo {
        &self.globals[id.0 as usize]
    }
    pub fn function(&self, id: FunctionId) -> &FunctionInfo {
        &self.functions[id.0 as usize]
    }
}
