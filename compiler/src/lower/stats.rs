//! Statistics: `<<<`, `@count` and family, histograms. What one statement
//! asks of the same statistics twice is merged over the CPUs once.

use super::fun::{CachedAgg, Fun, SLOTS_MAX};
use super::ir::{Bank, Ins, V};
use crate::diag::Span;
use crate::types::hir::*;
use stp_vm::isa::Op;

impl Fun<'_, '_> {
    pub fn stat_add(&mut self, target: &StatTarget, value: &Expr, span: Span) {
        match target {
            StatTarget::Scalar(g) => {
                let v = self.int(value);
                self.at(span);
                self.op_imm(Op::Sadd, v, 0, g.0 as i32);
                self.agg_drop(g.0);
            }
            StatTarget::Element { array, keys } => {
                let keys = self.keys(keys, &[value]);
                let v = self.int(value);
                self.at(span);
                self.keyed(Op::Msadd, v, *array, keys);
                self.agg_drop(array.0);
            }
        }
    }

    /// Forgets what was loaded: control may come from elsewhere, or others have run.
    pub fn agg_forget(&mut self) {
        self.agg_cache.clear();
    }
    fn agg_drop(&mut self, array: u32) {
        self.agg_cache.retain(|c| c.array != array);
    }
    /// A new statement: its slots are free again.
    pub fn agg_statement(&mut self) {
        self.agg_cache.clear();
        self.agg_next = self.agg_base;
    }

    fn agg_slot(&mut self) -> u8 {
        if self.agg_next >= SLOTS_MAX {
            // More in one statement than there are: start again, forgetting the first.
            self.agg_cache.clear();
            self.agg_next = self.agg_base;
        }
        let slot = self.agg_next;
        self.agg_next += 1;
        self.body.naggs = self.body.naggs.max(self.agg_next);
        slot
    }

    /// The slot that holds the statistics.
    pub fn agg(&mut self, stat: &StatRef, span: Span) -> u8 {
        let key = same_key(stat);
        if let Some(hit) = self.agg_cache.iter().find(|c| key.as_ref() == Some(&c.key)) {
            return hit.slot;
        }
        let array = global_of(stat).0;
        match stat {
            StatRef::Scalar(g) => {
                let slot = self.agg_slot();
                self.at(span);
                self.op_imm(Op::Agld, u32::from(slot), 0, g.0 as i32);
                self.agg_keep(key, array, slot)
            }
            StatRef::Element { keys, .. } => {
                if let Some(it) = self.walked(global_of(stat), keys) {
                    let slot = self.agg_slot();
                    self.at(span);
                    self.op(Op::Agldt, u32::from(slot), u32::from(it), 0);
                    return self.agg_keep(key, array, slot);
                }
                let keys = self.keys(keys, &[]);
                let slot = self.agg_slot();
                self.at(span);
                self.emit(Ins {
                    imm: array as i32,
                    ni: keys.len[0],
                    ns: keys.len[1],
                    ..Ins::abc(Op::Agldm, u32::from(slot), keys.first[0], keys.first[1])
                });
                self.agg_keep(key, array, slot)
            }
            StatRef::Current { id, .. } => {
                let slot = self.agg_slot();
                let it = self.current.iter().rev().find(|(n, _)| n == id).map_or(0, |(_, it)| *it);
                self.at(span);
                self.op(Op::Agldt, u32::from(slot), u32::from(it), 0);
                self.agg_keep(key, array, slot)
            }
        }
    }

    fn agg_keep(&mut self, key: Option<String>, array: u32, slot: u8) -> u8 {
        if let Some(key) = key {
            self.agg_cache.push(CachedAgg { key, array, slot });
        }
        slot
    }

    pub fn agg_to(&mut self, op: AggOp, stat: &StatRef, d: V, span: Span) {
        let slot = self.agg(stat, span);
        self.at(span);
        self.op(Op::Agget, d, u32::from(slot), u32::from(agg_field(op)));
    }

    pub fn bucket_to(&mut self, stat: &StatRef, index: &Expr, d: V, span: Span) {
        let n = self.int(index);
        let slot = self.agg(stat, span);
        self.at(span);
        self.op(Op::Agbkt, d, u32::from(slot), n);
    }

    pub fn print_hist(&mut self, stat: &StatRef, span: Span) {
        let slot = self.agg(stat, span);
        self.at(span);
        self.emit(Ins { imm: global_of(stat).0 as i32, ..Ins::abc(Op::Prhist, 0, u32::from(slot), 0) });
    }

    pub fn hist_text_to(&mut self, stat: &StatRef, d: V, span: Span) {
        let slot = self.agg(stat, span);
        self.at(span);
        self.emit(Ins { imm: global_of(stat).0 as i32, ..Ins::abc(Op::Sphist, d, u32::from(slot), 0) });
    }

    pub fn regex_to(&mut self, subject: &Expr, pattern: &[u8], negated: bool, d: V, span: Span) {
        let s = self.str(subject);
        let tables = match crate::regex::compile(pattern, self.cx.captures) {
            Ok(t) => t,
            Err(e) => {
                self.cx.error("bad-regex", e.to_string(), span);
                return;
            }
        };
        let dfa = crate::bytecode::Dfa {
            pattern: pattern.to_vec().into(),
            nstates: tables.states.min(usize::from(u16::MAX)) as u16,
            ngroups: tables.groups.min(usize::from(u16::MAX)) as u16,
            flags: 0,
            words: tables.words,
        };
        let imm = self.cx.pools.dfa(&dfa);
        let r = self.body.new_reg(Bank::Int);
        self.at(span);
        self.op_imm(Op::Rxm, r, s, imm);
        if negated {
            self.op_imm(Op::Xori, d, r, 1);
        } else {
            self.move_to(Ty::Long, d, r);
        }
    }
}

pub fn global_of(s: &StatRef) -> GlobalId {
    match s {
        StatRef::Scalar(g) | StatRef::Current { array: g, .. } | StatRef::Element { array: g, .. } => *g,
    }
}

/// Field of an aggregate as `agget` numbers them.
pub fn agg_field(op: AggOp) -> u8 {
    match op {
        AggOp::Count => 0,
        AggOp::Sum => 1,
        AggOp::Min => 2,
        AggOp::Max => 3,
        AggOp::Avg => 4,
        AggOp::Variance => 5,
    }
}

/// Equal texts name the same statistics within a statement; `None` where keys are not plain.
fn same_key(s: &StatRef) -> Option<String> {
    Some(match s {
        StatRef::Scalar(g) => format!("{}", g.0),
        StatRef::Current { id, .. } => format!("current {id}"),
        StatRef::Element { array, keys } => {
            let mut out = format!("{}", array.0);
            for k in keys {
                match &k.kind {
                    ExprKind::Number(n) => out += &format!(",{n}"),
                    ExprKind::String(s) => out += &format!(",{s:?}"),
                    // Forgotten when the variable is assigned.
                    ExprKind::Local(l) => out += &format!(",local {}", l.0),
                    _ => return None,
                }
            }
            out
        }
    })
}
