//! `foreach` over arrays and over the buckets of histograms.

use super::assigns_local;
use super::fun::{Fun, LoopLabels, Walk, SLOTS_MAX};
use super::ir::Ins;
use super::maps::slice_mask;
use super::stats::agg_field;
use crate::bytecode::IterSort;
use crate::diag::Span;
use crate::types::hir::*;
use stp_vm::isa::Op;

impl Fun<'_, '_> {
    pub fn foreach(&mut self, f: &Foreach, span: Span) {
        let slice = self.slice(&f.slice, &f.limit.iter().collect::<Vec<_>>());
        let limit = f.limit.as_ref().map(|e| self.int(e));
        let (sort, descending) = match f.sort {
            None => (IterSort::Insertion, false),
            Some((by, dir)) => {
                let sort = match by {
                    SortBy::Key(k) => IterSort::Key(k),
                    SortBy::Value if self.value_ty(f.array).is_none() => {
                        IterSort::Field(agg_field(AggOp::Count))
                    }
                    SortBy::Value => IterSort::Value,
                    SortBy::Agg(op) => IterSort::Field(agg_field(op)),
                };
                (sort, dir == Sort::Down)
            }
        };
        let it = self.iterator(span);
        self.at(span);
        self.walk(it, f.array, slice_mask(&f.slice), slice, sort, descending, limit);
        let top = self.bind_top();
        let (cont, end) = (self.label(), self.label());
        self.step(it, slice, end);
        for (k, local) in f.keys.iter().enumerate() {
            let Some(l) = local else { continue };
            let (v, ty) = self.local(*l);
            let op = if ty == Ty::Long { Op::Itkey } else { Op::Itkeys };
            self.op(op, v, u32::from(it), k as u32);
        }
        match f.value {
            Some(ForeachValue::Local(l)) => {
                let (v, ty) = self.local(l);
                self.op(if ty == Ty::Long { Op::Itval } else { Op::Itvals }, v, u32::from(it), 0);
            }
            Some(ForeachValue::Stat(id)) => self.current.push((id, it)),
            None => {}
        }
        let keys: Option<Vec<LocalId>> = f.keys.iter().copied().collect();
        let keys = keys.filter(|keys| {
            let distinct = keys.iter().enumerate().all(|(i, k)| !keys[..i].contains(k));
            distinct && !keys.iter().any(|k| assigns_local(&f.body, *k))
        });
        let walks = self.walks.len();
        self.walks.extend(keys.map(|keys| Walk { array: f.array, keys, it }));
        let charge = self.turn(&f.body, LoopLabels { brk: end, cont });
        self.walks.truncate(walks);
        if matches!(f.value, Some(ForeachValue::Stat(_))) {
            self.current.pop();
        }
        self.bind(cont);
        self.close_loop(top, charge);
        self.bind(end);
        self.iter_depth = it;
    }

    /// The iterator that stands at `array[keys]` already: no need to look it up.
    /// An array can't be changed while it is walked.
    pub fn walked(&self, array: GlobalId, keys: &[Expr]) -> Option<u8> {
        let same = |w: &&Walk| {
            w.array == array
                && w.keys.len() == keys.len()
                && w.keys.iter().zip(keys).all(|(l, k)| matches!(&k.kind, ExprKind::Local(x) if x == l))
        };
        self.walks.iter().rev().find(same).map(|w| w.it)
    }

    /// `bucket` gets the number of each bucket, `value` its count in the statistics as they were
    /// at the beginning: those stay in their slot through the loop.
    pub fn foreach_bucket(
        &mut self,
        (bucket, value): (LocalId, Option<LocalId>),
        stat: &StatRef,
        limit: Option<&Expr>,
        sort: Option<Sort>,
        body: &[Stmt],
        span: Span,
    ) {
        let slot = self.agg(stat, span);
        let (n, i, stop) = (self.int_reg(), self.int_reg(), self.int_reg());
        self.at(span);
        self.op(Op::Agnbkt, n, u32::from(slot), 0);
        self.op(Op::Mov, stop, n, 0);
        if let Some(e) = limit {
            let v = self.int(e);
            let all = self.label();
            self.branch(BinaryOp::Ge, v, n, all);
            self.op(Op::Mov, stop, v, 0);
            self.bind(all);
        }
        let (cont, end) = (self.label(), self.label());
        self.load_int(i, 0);
        self.branch(BinaryOp::Ge, i, stop, end);
        let top = self.bind_top();
        let v = self.local(bucket).0;
        if sort == Some(Sort::Down) {
            let t = self.int_reg();
            self.op(Op::Sub, t, n, i);
            self.op_imm(Op::Addi, v, t, -1);
        } else {
            self.op(Op::Mov, v, i, 0);
        }
        let agg_base = self.agg_base;
        if let Some(l) = value {
            let count = self.local(l).0;
            self.op(Op::Agbkt, count, u32::from(slot), v);
            self.agg_base = slot + 1;
            if self.agg_base >= SLOTS_MAX {
                self.cx.error("nested-too-deep", "loops through histograms are nested too deep".into(), span);
                self.agg_base = agg_base;
            }
        }
        let charge = self.turn(body, LoopLabels { brk: end, cont });
        self.agg_base = agg_base;
        self.bind(cont);
        self.op_imm(Op::Addi, i, i, 1);
        self.emit(Ins { c: charge, ..Ins::jump(Op::Looplt, i, stop, top) });
        self.bind(end);
    }
}
