//! Globals that are written and never read are shown when the run ends, by
//! an end probe for each (stap(1), "VARIABLES"): `x=1`, `a["k",2]=7`,
//! `s @count=2 @min=5 @max=6 @sum=11 @avg=5`. In: an inferred [`Model`]. Out:
//! the probes for it.

use super::bind::untyped;
use super::elide::Uses;
use super::hir::{
    AggOp, Expr, ExprKind, Foreach, ForeachValue, FormatFlags, FormatNumber, GlobalId, LocalId, Piece, Place,
    Print, Sort, SortBy, StatRef, Stmt, StmtKind,
};
use super::model::{LocalInfo, Model, ProbeInfo};
use super::table::Type;
use crate::diag::Span;
use crate::resolve::points::Derived;
use std::collections::HashSet;

const AGGS: [(&str, AggOp); 5] = [
    ("@count", AggOp::Count),
    ("@min", AggOp::Min),
    ("@max", AggOp::Max),
    ("@sum", AggOp::Sum),
    ("@avg", AggOp::Avg),
];

/// Adds the probes that show what was only written.
pub fn show_unread(model: &mut Model, live: &HashSet<super::hir::FunctionId>) {
    let mut all = Uses::default();
    let bodies = model
        .functions
        .iter()
        .enumerate()
        .filter(|(n, _)| live.contains(&super::hir::FunctionId(*n as u32)))
        .map(|(_, f)| &f.body)
        .chain(model.probes.iter().map(|p| &p.body));
    for body in bodies {
        let u = Uses::of(body);
        all.globals_read.extend(u.globals_read);
        all.globals_written.extend(u.globals_written);
    }
    for c in model.probes.iter().filter_map(|p| p.condition.as_ref()) {
        all.add_value(c);
    }
    let mut shown: Vec<GlobalId> = all
        .globals_written
        .difference(&all.globals_read)
        .copied()
        .filter(|g| !model.global(*g).library)
        .collect();
    shown.sort_by_key(|g| (model.global(*g).unit, model.global(*g).span.lo));
    for g in shown {
        let probe = show(model, g);
        model.probes.extend(probe);
    }
}

/// Builds the body of one such probe.
struct Show {
    span: Span,
    pieces: Vec<Piece>,
    args: Vec<Expr>,
}

impl Show {
    fn text(&mut self, s: &str) {
        self.pieces.push(Piece::Text(s.into()));
    }
    fn conv(&mut self, letter: char, arg: Expr) {
        let none = FormatNumber::None;
        let flags = FormatFlags::default();
        self.pieces.push(Piece::Conv { letter, flags, width: none, precision: none, size: 0 });
        self.args.push(arg);
    }
    fn value(&mut self, string: bool, arg: Expr) {
        if string {
            self.text("\"");
            self.conv('s', arg);
            self.text("\"");
        } else {
            self.conv('d', arg);
        }
    }
    fn stmt(self) -> Stmt {
        let print = Print { to_string: false, pieces: self.pieces, args: self.args };
        let e = untyped(ExprKind::Print(Box::new(print)), self.span);
        Stmt { kind: StmtKind::Expr(e), span: self.span }
    }
}

fn show(model: &mut Model, g: GlobalId) -> Option<ProbeInfo> {
    let info = model.global(g).clone();
    let span = info.span;
    let ty = model.types.ty(info.value)?;
    let new = || Show { span, pieces: Vec::new(), args: Vec::new() };
    let mut locals: Vec<LocalInfo> = Vec::new();
    let stats = |show: &mut Show, stat: StatRef| {
        for (name, op) in AGGS {
            show.text(&format!(" {name}="));
            show.conv('d', untyped(ExprKind::Agg { op, stat: stat.clone() }, span));
        }
        show.text("\n");
    };
    let arity = info.arity.map_or(0, |(n, _)| n);
    let body = if arity == 0 {
        let mut s = new();
        s.text(&info.name);
        if ty == Type::Stats {
            model.globals[g.0 as usize].needs.minmax = true;
            stats(&mut s, StatRef::Scalar(g));
            // The other extractors have no value for an empty one.
            let mut empty = new();
            empty.text(&format!("{} @count=0\n", info.name));
            let cond = untyped(ExprKind::Agg { op: AggOp::Count, stat: StatRef::Scalar(g) }, span);
            Stmt { kind: StmtKind::If { cond, then: vec![s.stmt()], els: vec![empty.stmt()] }, span }
        } else {
            s.text("=");
            s.value(ty == Type::Str, untyped(ExprKind::Global(g), span));
            s.text("\n");
            s.stmt()
        }
    } else {
        let mut s = new();
        s.text(&format!("{}[", info.name));
        let mut keys = Vec::new();
        for (n, tv) in info.keys.iter().enumerate() {
            locals.push(LocalInfo { name: format!("__idx{n}"), span, tv: *tv });
            let key = untyped(ExprKind::Local(LocalId(n as u32)), span);
            if n > 0 {
                s.text(",");
            }
            s.value(model.types.ty(*tv)? == Type::Str, key.clone());
            keys.push(key);
        }
        s.text("]");
        let value = if ty == Type::Stats {
            model.globals[g.0 as usize].needs.minmax = true;
            stats(&mut s, StatRef::Element { array: g, keys });
            None
        } else {
            let l = LocalId(locals.len() as u32);
            locals.push(LocalInfo { name: "__val".into(), span, tv: info.value });
            s.text("=");
            s.value(ty == Type::Str, untyped(ExprKind::Local(l), span));
            s.text("\n");
            Some(ForeachValue::Local(l))
        };
        let foreach = Foreach {
            array: g,
            keys: (0..arity as u32).map(|n| Some(LocalId(n))).collect(),
            value,
            slice: vec![None; arity],
            sort: Some((SortBy::Value, Sort::Down)),
            limit: None,
            body: vec![s.stmt()],
        };
        Stmt { kind: StmtKind::Foreach(Box::new(foreach)), span }
    };
    let derived = Derived {
        at: Place::End { priority: 0 },
        target: None,
        pieces: Vec::new(),
        conditions: Vec::new(),
        pp: "end".into(),
        pn: "end".into(),
        derivation: "end".into(),
        optional: false,
        one_of: None,
        span,
        unit: info.unit,
    };
    Some(ProbeInfo { derived, locals, body: vec![body], condition: None })
}
