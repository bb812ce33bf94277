//! One function or handler while it is lowered: what all subjects (`expr`,
//! `cond`, `stmt`, `loops`, …) share. Emits instructions over virtual
//! registers; does not decide what to emit.

use super::cost::Costs;
use super::effects::Effects;
use super::ir::{Bank, Body, Ins, NONE, V};
use super::lines::Lines;
use crate::bytecode::pools::Pools;
use crate::bytecode::{Class, ValueType};
use crate::bytes::Bytes;
use crate::diag::{Diagnostic, Diagnostics, Span, Stage};
use crate::types::hir::*;
use stp_vm::isa::Op;

/// Aggregate slots and iterators of a frame.
pub const SLOTS_MAX: u8 = 16;

/// What the functions of a program share while they are lowered.
pub struct Cx<'p> {
    pub program: &'p Program,
    pub effects: Effects,
    pub costs: Costs,
    /// How each global is kept.
    pub classes: Vec<Class>,
    pub pools: Pools,
    pub lines: Lines<'p>,
    pub diags: &'p mut Diagnostics,
    pub caps: u32,
    /// Does any part of the program ask for the groups of a match?
    pub captures: bool,
}

impl Cx<'_> {
    pub fn error(&mut self, code: &'static str, message: String, span: Span) {
        self.diags.push(Diagnostic::error(Stage::Translate, code, message).at(span));
    }
}

/// Where `break` and `continue` go.
#[derive(Clone, Copy)]
pub struct LoopLabels {
    pub brk: u32,
    pub cont: u32,
}

/// What `next` does.
#[derive(Clone, Copy, PartialEq)]
pub enum Next {
    /// Leaves the handler.
    Leave,
    /// Goes to the next overload, or to the error that there is none.
    Label(u32),
}

/// An aggregate that was loaded in this statement.
pub struct CachedAgg {
    pub key: String,
    pub array: u32,
    pub slot: u8,
}

/// A loop over an array whose body does not change the variables of the keys.
pub struct Walk {
    pub array: GlobalId,
    pub keys: Vec<LocalId>,
    pub it: u8,
}

pub struct Fun<'c, 'p> {
    pub cx: &'c mut Cx<'p>,
    pub body: Body,
    /// Register of each local, and its type.
    pub locals: Vec<(V, Ty)>,
    pub ret: Option<(Bank, V)>,
    pub next: Next,
    pub loops: Vec<LoopLabels>,
    /// Place that instructions are given.
    pub place: u32,
    pub reachable: bool,
    label_used: Vec<bool>,
    /// Is the lock set still to be taken before the first touch?
    pub lock_pending: bool,
    /// Are actions charged here?
    pub charging: bool,
    pub agg_base: u8,
    pub agg_next: u8,
    pub agg_cache: Vec<CachedAgg>,
    pub iter_depth: u8,
    /// Iterator of each enclosing `foreach` that gives its entry to `StatRef::Current`.
    pub current: Vec<(u32, u8)>,
    /// Enclosing loops whose entry is also what `array[keys]` names.
    pub walks: Vec<Walk>,
}

impl<'c, 'p> Fun<'c, 'p> {
    pub fn new(cx: &'c mut Cx<'p>) -> Self {
        Self {
            cx,
            body: Body::default(),
            locals: Vec::new(),
            ret: None,
            next: Next::Leave,
            loops: Vec::new(),
            place: NONE,
            reachable: true,
            label_used: Vec::new(),
            lock_pending: false,
            charging: false,
            agg_base: 0,
            agg_next: 0,
            agg_cache: Vec::new(),
            iter_depth: 0,
            current: Vec::new(),
            walks: Vec::new(),
        }
    }

    // -- registers -------------------------------------------------------

    pub fn int_reg(&mut self) -> V {
        self.body.new_reg(Bank::Int)
    }
    pub fn str_reg(&mut self) -> V {
        self.body.new_reg(Bank::Str)
    }
    pub fn local(&self, l: LocalId) -> (V, Ty) {
        self.locals[l.0 as usize]
    }
    /// Registers for a list of locals.
    pub fn declare(&mut self, locals: &[Local]) {
        self.locals = locals.iter().map(|l| (self.body.new_reg(bank_of(l.ty)), l.ty)).collect();
    }

    // -- code --------------------------------------------------------------

    pub fn at(&mut self, span: Span) {
        self.place = self.cx.lines.place(span);
    }

    pub fn emit(&mut self, mut ins: Ins) {
        if !self.reachable {
            return;
        }
        ins.place = self.place;
        if ins.label != NONE {
            self.label_used[ins.label as usize] = true;
        }
        self.reachable = !ins.ends();
        self.body.code.push(ins);
    }
    pub fn op(&mut self, op: Op, a: u32, b: u32, c: u32) {
        self.emit(Ins::abc(op, a, b, c));
    }
    pub fn op_imm(&mut self, op: Op, a: u32, b: u32, imm: i32) {
        self.emit(Ins::abi(op, a, b, imm));
    }
    pub fn jump(&mut self, op: Op, a: u32, b: u32, label: u32) {
        self.emit(Ins::jump(op, a, b, label));
    }
    pub fn jump_imm(&mut self, op: Op, a: u32, imm: i32, label: u32) {
        self.emit(Ins { imm, ..Ins::jump(op, a, 0, label) });
    }

    pub fn label(&mut self) -> u32 {
        self.label_used.push(false);
        self.body.new_label()
    }
    /// The label stands here; code behind it is reached when something jumps to it.
    pub fn bind(&mut self, label: u32) {
        self.body.labels[label as usize] = self.body.code.len() as u32;
        self.reachable |= self.label_used[label as usize];
        self.agg_forget();
    }
    /// A label that is jumped to from below.
    pub fn bind_top(&mut self) -> u32 {
        let l = self.label();
        self.body.labels[l as usize] = self.body.code.len() as u32;
        self.agg_forget();
        l
    }
    pub fn is_used(&self, label: u32) -> bool {
        self.label_used[label as usize]
    }

    // -- constants -----------------------------------------------------------

    pub fn load_int(&mut self, d: V, k: i64) {
        match i32::try_from(k) {
            Ok(imm) => self.op_imm(Op::Ldi, d, 0, imm),
            Err(_) => {
                let n = self.cx.pools.constant(k);
                self.op_imm(Op::Ldk, d, 0, n);
            }
        }
    }
    pub fn int_const(&mut self, k: i64) -> V {
        let d = self.int_reg();
        self.load_int(d, k);
        d
    }
    /// String constants are cut as strings are everywhere.
    pub fn load_str(&mut self, d: V, s: &Bytes) {
        let most = (self.cx.program.limits.maxstringlen.max(1) - 1) as usize;
        let n = match s.get(..most) {
            Some(cut) if cut.len() < s.len() => self.cx.pools.string(&Bytes(cut.to_vec())),
            _ => self.cx.pools.string(s),
        };
        self.op_imm(Op::Sldk, d, 0, n);
    }

    // -- globals -------------------------------------------------------------

    pub fn global_ty(&self, g: GlobalId) -> Ty {
        match &self.cx.classes[g.0 as usize] {
            Class::Str { .. } => Ty::Str,
            _ => Ty::Long,
        }
    }
    /// Type of an array's values; `None` for statistics.
    pub fn value_ty(&self, g: GlobalId) -> Option<Ty> {
        match &self.cx.classes[g.0 as usize] {
            Class::Map { value: ValueType::Int, .. } => Some(Ty::Long),
            Class::Map { value: ValueType::Str, .. } => Some(Ty::Str),
            _ => None,
        }
    }

    pub fn iterator(&mut self, span: Span) -> u8 {
        let n = self.iter_depth;
        if n >= SLOTS_MAX {
            self.cx.error(
                "foreach-depth",
                format!("more than {SLOTS_MAX} loops over arrays inside each other"),
                span,
            );
            return 0;
        }
        self.iter_depth += 1;
        self.body.niters = self.body.niters.max(self.iter_depth);
        n
    }

    // -- locks and charges -----------------------------------------------------

    /// Takes the lock set here, if that is still to be done.
    pub fn lock_now(&mut self) {
        if self.lock_pending {
            self.emit(Ins::new(Op::Lock));
            self.lock_pending = false;
        }
    }

    /// Charges actions before what follows.
    pub fn charge(&mut self, mut n: u32) {
        while self.charging && n > 0 {
            let part = n.min(65535);
            self.op_imm(Op::Charge, 0, 0, part as i32);
            n -= part;
        }
    }
}

pub fn bank_of(ty: Ty) -> Bank {
    match ty {
        Ty::Long => Bank::Int,
        Ty::Str => Bank::Str,
    }
}
