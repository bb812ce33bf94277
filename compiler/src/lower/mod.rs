//! The typed program to registers, lock plan and action costs.
//!
//! In: [`Program`]. Out: an [`Image`], or diagnostics of stage
//! [`Translate`](crate::diag::Stage::Translate). For each function and handler:
//! statements and expressions to instructions over virtual registers
//! ([`ir`]; `stmt`, `loops`, `foreach`, `expr`, `cond`, `maps`, `stats`,
//! `calls`, `print`), then [`liveness`], [`regalloc`], [`emit`]. Whole-program
//! facts come first: [`effects`] (what is touched), [`locks`] (how globals are
//! kept, what handlers take), [`cost`] (actions). Never looks at the traced
//! machine; never optimizes what `-u` should show.

mod calls;
mod cond;
mod cost;
mod effects;
mod emit;
mod expr;
pub(crate) mod fold;
mod foreach;
mod fun;
mod fuse;
mod ir;
mod lines;
mod liveness;
mod locks;
mod loops;
mod maps;
mod print;
mod regalloc;
mod stats;
mod stmt;

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

use crate::bytecode::{
    Class, Function, Global as ImageGlobal, Hist, Image, Probe as ImageProbe, Ret, ValueType, EXHAUSTED,
};
use crate::diag::{Diagnostics, SourceMap, Span};
use crate::types::hir::{
    self, ArrayValue, Expr, ExprKind, GlobalKind, Place, Program, StatSpec, Stmt, StmtKind, Ty,
};
use effects::{Effects, Touch};
use fun::{bank_of, Cx, Fun, Next};
use ir::{Bank, Ins};
use std::collections::{HashMap, HashSet};
use stp_vm::isa::{Helper, Op, CAP_ALL_PROCS, CAP_GURU};

/// Lowers a program; `None` when something can't be said in an image (the diagnostics say what).
pub fn lower(program: &Program, map: &SourceMap, diags: &mut Diagnostics) -> Option<Image> {
    let before = diags.errors();
    let image = Lowering::new(program, map, diags).run();
    (diags.errors() == before).then_some(image)
}

struct Lowering<'p> {
    cx: Cx<'p>,
    /// Of each handler with its condition; and of the handler alone.
    touches: Vec<Touch>,
    own: Vec<Touch>,
    /// Place in the image of each function that is called.
    index: Vec<Option<u32>>,
}

impl<'p> Lowering<'p> {
    fn new(program: &'p Program, map: &'p SourceMap, diags: &'p mut Diagnostics) -> Self {
        let effects = Effects::of(program);
        let own: Vec<Touch> = program.probes.iter().map(|p| effects.of_stmts(&p.body)).collect();
        let touches: Vec<Touch> = program
            .probes
            .iter()
            .map(|p| {
                let mut t = Touch::default();
                t.stmts(&p.body);
                p.condition.iter().for_each(|c| t.expr(c));
                effects.close(t)
            })
            .collect();
        let per_cpu = locks::per_cpu(program, &touches);
        let classes = program
            .globals
            .iter()
            .zip(per_cpu)
            .map(|(g, per_cpu)| class(&g.kind, per_cpu, program.limits.maxmapentries))
            .collect();
        let cx = Cx {
            program,
            effects,
            costs: cost::Costs::of(program),
            classes,
            pools: Default::default(),
            lines: lines::Lines::new(map),
            diags,
            caps: 0,
            captures: uses_groups(program),
        };
        let mut index = vec![None; program.functions.len()];
        for (n, f) in called(program).into_iter().enumerate() {
            index[f as usize] = Some(n as u32);
        }
        Self { cx, touches, own, index }
    }

    fn run(mut self) -> Image {
        let program = self.cx.program;
        let mut image = Image::new(program.name.clone());
        image.limits = program.limits.clone();
        let mut names = Names::default();
        for (g, class) in program.globals.iter().zip(&self.cx.classes) {
            image.globals.push(ImageGlobal { name: names.unique(&g.name), class: class.clone() });
        }
        let mut names = Names::default();
        let mut ids: Vec<(u32, usize)> =
            self.index.iter().enumerate().filter_map(|(f, n)| Some(((*n)?, f))).collect();
        ids.sort_unstable();
        for (_, f) in ids {
            let name = names.unique(&program.functions[f].name);
            let function = self.function(f, name);
            image.functions.push(function);
        }
        self.probes(&mut image);
        for f in &mut image.functions {
            self.number_calls(f);
        }
        let Cx { pools, lines, caps, .. } = self.cx;
        pools.store(&mut image);
        (image.files, image.places, image.source) = (lines.files, lines.places, lines.source);
        let elsewhere = |p: &hir::Probe| {
            !matches!(
                p.at,
                Place::Begin { .. }
                    | Place::End { .. }
                    | Place::Error { .. }
                    | Place::Never
                    | Place::Timer { .. }
            )
        };
        let unlimited = program.limits.suppress_time != 0;
        image.caps = caps
            | if program.probes.iter().any(elsewhere) { CAP_ALL_PROCS } else { 0 }
            | if unlimited { CAP_GURU } else { 0 };
        image.canonical();
        image
    }

    /// Handlers and conditions, each once.
    fn probes(&mut self, image: &mut Image) {
        let program = self.cx.program;
        let mut handlers = Shared::default();
        let mut conditions = Shared::default();
        let mut made: Vec<(u32, Option<u32>)> = Vec::new();
        let mut costs = Vec::new();
        for (n, p) in program.probes.iter().enumerate() {
            let condition = p.condition.as_ref().map(|c| {
                let f = self.condition(c, p.span);
                conditions.add(f, "cond")
            });
            let (f, cost) = self.handler(n);
            made.push((handlers.add(f, "probe"), condition));
            costs.push(cost);
        }
        let first_condition = image.functions.len() as u32;
        image.functions.append(&mut conditions.list);
        let first_handler = image.functions.len() as u32;
        image.functions.append(&mut handlers.list);
        for (n, p) in program.probes.iter().enumerate() {
            image.probes.push(ImageProbe {
                at: p.at.clone(),
                function: first_handler + made[n].0,
                condition: made[n].1.map(|c| first_condition + c),
                pp: p.pp.clone(),
                pn: p.pn.clone(),
                label: p.label.clone(),
                optional: p.optional,
                one_of: p.one_of.clone(),
                locks: locks::lock_set(&self.touches[n], &self.cx.classes),
                cost: costs[n],
            });
        }
    }

    fn handler(&mut self, n: usize) -> (Function, Option<u32>) {
        let program = self.cx.program;
        let p = &program.probes[n];
        let cost = self.cx.costs.stmts(&p.body);
        let limits = &program.limits;
        let limit = match p.at {
            Place::Begin { .. } | Place::End { .. } | Place::Error { .. } | Place::Timer { .. } => {
                limits.maxaction_int
            }
            _ => limits.maxaction,
        };
        let limited = limits.suppress_time == 0;
        let lock = !self.own[n].globals.is_empty();
        let mut f = Fun::new(&mut self.cx);
        f.declare(&p.locals);
        f.lock_pending = lock;
        match cost {
            // More than it may ever do: fails before its first statement, as SystemTap's handlers do.
            Some(c) if limited && i64::from(c) > i64::from(limit) => {
                f.charging = true;
                f.charge(c);
                f.charging = false;
            }
            Some(_) => {}
            None => {
                f.charging = limited;
                let first = f.stretch(&p.body).saturating_add(1);
                f.charge(first);
            }
        }
        f.stmts(&p.body, true, false);
        f.emit(Ins::new(Op::Ret));
        let body = std::mem::take(&mut f.body);
        let made = Function { handler: true, ..self.finish(body, p.span, &p.label) };
        (made, cost)
    }

    fn condition(&mut self, c: &Expr, span: Span) -> Function {
        let locked = !self.cx.effects.of_expr(c).globals.is_empty();
        let mut f = Fun::new(&mut self.cx);
        let r = f.int_reg();
        f.body.pinned.push((Bank::Int, r, 0));
        f.ret = Some((Bank::Int, r));
        f.ret(Some(c));
        let body = std::mem::take(&mut f.body);
        Function { ret: Ret::Int, locked, ..self.finish(body, span, "the condition of a probe") }
    }

    fn function(&mut self, id: usize, name: String) -> Function {
        let program = self.cx.program;
        let source = &program.functions[id];
        let mut chain = vec![source];
        while let Some(next) = chain.last().and_then(|f| f.next_overload) {
            if chain.len() > program.functions.len() {
                break;
            }
            chain.push(&program.functions[next.0 as usize]);
        }
        let charging =
            self.cx.costs.function(hir::FunctionId(id as u32)).is_none() && program.limits.suppress_time == 0;
        let locked = !self.cx.effects.functions[id].globals.is_empty();
        let mut f = Fun::new(&mut self.cx);
        f.declare(&source.locals);
        let params: Vec<_> = f.locals[..source.params as usize].to_vec();
        let mut seen = [0u8; 2];
        for (v, ty) in &params {
            let bank = bank_of(*ty);
            f.body.pinned.push((bank, *v, seen[bank as usize]));
            f.body.params.push((bank, *v));
            seen[bank as usize] = seen[bank as usize].saturating_add(1);
        }
        f.ret = source.ret.map(|ty| {
            let bank = bank_of(ty);
            let r = f.body.new_reg(bank);
            f.body.pinned.push((bank, r, 0));
            (bank, r)
        });
        f.charging = charging;
        overloads(&mut f, &chain, &params);
        let body = std::mem::take(&mut f.body);
        Function {
            name,
            locked,
            params: params
                .iter()
                .map(|(_, ty)| if *ty == Ty::Long { ValueType::Int } else { ValueType::Str })
                .collect(),
            ret: match source.ret {
                None => Ret::None,
                Some(Ty::Long) => Ret::Int,
                Some(Ty::Str) => Ret::Str,
            },
            ..self.finish(body, source.span, &source.name)
        }
    }

    /// Registers and machine words; name, flags and signature are the caller's.
    fn finish(&mut self, mut body: ir::Body, span: Span, what: &str) -> Function {
        fuse::fuse(&mut body);
        let ranges = liveness::analyze(&mut body);
        let places = match regalloc::allocate(&body, &ranges) {
            Ok(p) => p,
            Err(regalloc::TooMany { bank }) => {
                let (kind, hint) = match bank {
                    Bank::Int => ("numbers", "variables"),
                    Bank::Str => ("strings", "string variables"),
                };
                self.cx.error(
                    "too-many-registers",
                    format!(
                        "{what} needs more than 256 {kind} at the same time; use fewer {hint} or split it"
                    ),
                    span,
                );
                return Function::default();
            }
        };
        let mut out = match emit::emit(&body, &places) {
            Ok(e) => e,
            Err(emit::TooFar) => {
                self.cx.error("jump-too-far", format!("{what} is too long: split it"), span);
                return Function::default();
            }
        };
        for (pc, slot) in out.slices {
            self.cx.slice_slot(&mut out.code[pc as usize], slot);
        }
        let params = |bank: Bank| body.params.iter().filter(|p| p.0 == bank).count() as u16;
        Function {
            // `itnew` names a register for the limit even where it has none.
            nregs: places.size[0].max(params(Bank::Int)).max(u16::from(body.niters > 0)),
            nstrs: places.size[1].max(params(Bank::Str)),
            naggs: body.naggs,
            niters: body.niters,
            code: out.code,
            tries: out.tries,
            lines: out.lines,
            ..Function::default()
        }
    }

    /// Calls name functions of the program; make them name those of the image.
    fn number_calls(&self, f: &mut Function) {
        for word in &mut f.code {
            if let Some(mut insn) = stp_vm::isa::Insn::decode(*word).filter(|i| i.op == Op::Call) {
                insn.imm = self.index[insn.imm as usize].unwrap_or(0) as i32;
                *word = insn.encode();
            }
        }
    }
}

impl Cx<'_> {
    /// Puts the string slot of the slice keys into the specification of an `itnew`.
    fn slice_slot(&mut self, word: &mut u64, slot: u8) {
        let Some(mut insn) = stp_vm::isa::Insn::decode(*word) else { return };
        insn.imm = self.pools.iterator_with_slot(insn.imm, slot);
        *word = insn.encode();
    }
}

/// The bodies of a function and of the overloads that `next` goes on to, each
/// with the arguments as the caller gave them.
fn overloads(f: &mut Fun, chain: &[&hir::Function], params: &[(ir::V, Ty)]) {
    let (last, before) = match chain.split_last() {
        Some(x) => x,
        None => return,
    };
    let changed = |n: usize| before.iter().any(|g| assigns_local(&g.body, hir::LocalId(n as u32)));
    let uses_next = before.iter().chain([last]).any(|g| has_next(&g.body));
    // Arguments that an overload changes are kept for those behind it.
    let kept: Vec<(ir::V, Ty)> = params
        .iter()
        .enumerate()
        .map(|(n, (v, ty))| {
            if !uses_next || !changed(n) {
                return (*v, *ty);
            }
            let copy = f.body.new_reg(bank_of(*ty));
            f.move_to(*ty, copy, *v);
            (copy, *ty)
        })
        .collect();
    for (n, g) in chain.iter().enumerate() {
        let label = f.label();
        f.next = Next::Label(label);
        if n > 0 {
            f.declare(&g.locals);
            for (to, (from, ty)) in kept.iter().enumerate() {
                let v = f.locals[to].0;
                f.move_to(*ty, v, *from);
            }
        }
        let first = f.stretch(&g.body);
        f.charge(first);
        f.stmts(&g.body, true, false);
        if f.reachable {
            f.ret(None);
        }
        if !f.is_used(label) {
            return;
        }
        f.bind(label);
    }
    let s = f.str_reg();
    f.load_str(s, &EXHAUSTED.into());
    f.op(Op::Err, s, 0, 0);
}

fn has_next(list: &[Stmt]) -> bool {
    list.iter().any(|s| match &s.kind {
        StmtKind::Next => true,
        StmtKind::Block(b) => has_next(b),
        StmtKind::If { then, els, .. } => has_next(then) || has_next(els),
        StmtKind::Loop { body, .. } | StmtKind::ForeachBucket { body, .. } => has_next(body),
        StmtKind::Foreach(f) => has_next(&f.body),
        StmtKind::Try { body, handler, .. } => has_next(body) || has_next(handler),
        _ => false,
    })
}

/// May the statements change the local?
fn assigns_local(list: &[Stmt], l: hir::LocalId) -> bool {
    let mut yes = false;
    cost::each_expr(list, &mut |e| yes |= fold::assigns(e, l));
    yes || list.iter().any(|s| match &s.kind {
        StmtKind::DeleteLocal(x) => *x == l,
        StmtKind::Block(b) => assigns_local(b, l),
        StmtKind::If { then, els, .. } => assigns_local(then, l) || assigns_local(els, l),
        StmtKind::Loop { body, .. } => assigns_local(body, l),
        StmtKind::ForeachBucket { bucket, value, body, .. } => {
            *bucket == l || *value == Some(l) || assigns_local(body, l)
        }
        StmtKind::Foreach(f) => {
            f.keys.contains(&Some(l))
                || f.value == Some(hir::ForeachValue::Local(l))
                || assigns_local(&f.body, l)
        }
        StmtKind::Try { body, var, handler } => {
            *var == Some(l) || assigns_local(body, l) || assigns_local(handler, l)
        }
        _ => false,
    })
}

/// Functions that handlers can get to, in the order of the program. Overloads
/// that only `next` leads to are part of the one before.
fn called(program: &Program) -> Vec<u32> {
    let mut seen = HashSet::new();
    let mut wait = Vec::new();
    for p in &program.probes {
        cost::each_call(&p.body, &mut |f| wait.push(f.0));
        if let Some(c) = &p.condition {
            let list = [Stmt { kind: StmtKind::Expr(c.clone()), span: c.span }];
            cost::each_call(&list, &mut |f| wait.push(f.0));
        }
    }
    while let Some(f) = wait.pop() {
        if !seen.insert(f) {
            continue;
        }
        let mut at = Some(f);
        while let Some(n) = at {
            cost::each_call(&program.functions[n as usize].body, &mut |f| wait.push(f.0));
            at = program.functions[n as usize].next_overload.map(|f| f.0).filter(|n| *n != f);
        }
    }
    let mut list: Vec<u32> = seen.into_iter().collect();
    list.sort_unstable();
    list
}

/// Does the program look at the groups of a match?
fn uses_groups(program: &Program) -> bool {
    let mut yes = false;
    let mut look = |e: &Expr| {
        cost::each_subexpr(e, &mut |e| {
            yes |= matches!(e.kind, ExprKind::Helper { helper: Helper::Matched | Helper::Ngroups, .. });
        });
    };
    program.functions.iter().for_each(|f| cost::each_expr(&f.body, &mut look));
    program.probes.iter().for_each(|p| cost::each_expr(&p.body, &mut look));
    yes
}

fn class(kind: &GlobalKind, per_cpu: bool, default_size: i32) -> Class {
    let ty = |t: &Ty| if *t == Ty::Long { ValueType::Int } else { ValueType::Str };
    match kind {
        GlobalKind::Long { init } if per_cpu => Class::PerCpu { init: *init },
        GlobalKind::Long { init } => Class::Int { init: *init },
        GlobalKind::Str { init } => Class::Str { init: init.clone() },
        GlobalKind::Stat(s) => Class::Stat { hist: hist(s), variance: s.variance, minmax: s.minmax },
        GlobalKind::Array { keys, value, size, wrap } => {
            let keys = keys.iter().map(ty).collect();
            let (sized, size, wrap) = (size.is_some(), size.unwrap_or(default_size.max(1) as u32), *wrap);
            match value {
                ArrayValue::Long => Class::Map { keys, value: ValueType::Int, size, sized, wrap },
                ArrayValue::Str => Class::Map { keys, value: ValueType::Str, size, sized, wrap },
                ArrayValue::Stat(s) => Class::StatMap {
                    keys,
                    size,
                    sized,
                    wrap,
                    hist: hist(s),
                    variance: s.variance,
                    minmax: s.minmax,
                },
            }
        }
    }
}

fn hist(s: &StatSpec) -> Hist {
    match s.hist {
        None => Hist::None,
        Some(hir::Hist::Log) => Hist::Log,
        Some(hir::Hist::Linear { lo, hi, step }) => Hist::Linear { lo, hi, step },
    }
}

/// Names that are taken; a name that comes again gets a number.
#[derive(Default)]
struct Names {
    taken: HashMap<String, u32>,
}

impl Names {
    fn unique(&mut self, name: &str) -> String {
        let n = self.taken.entry(name.to_string()).or_default();
        *n += 1;
        if *n == 1 {
            name.to_string()
        } else {
            // Script names have no dot.
            format!("{name}.{n}")
        }
    }
}

/// Functions of which equal ones are kept once.
#[derive(Default)]
struct Shared {
    list: Vec<Function>,
    index: HashMap<Vec<u64>, Vec<u32>>,
}

impl Shared {
    fn add(&mut self, mut f: Function, name: &str) -> u32 {
        let same = self.index.entry(f.code.clone()).or_default();
        let equal = |n: &&u32| {
            let g = &self.list[**n as usize];
            Function { name: String::new(), ..g.clone() } == f
        };
        if let Some(n) = same.iter().find(equal) {
            return *n;
        }
        let n = self.list.len() as u32;
        f.name = format!("{name}.{n}");
        same.push(n);
        self.list.push(f);
        n
    }
}
