//! Loops through arrays and histograms, and the variables that loops set.
//! Part of `bind`.

use super::bind::{stmt, untyped, Binder, Scope};
use super::bind_expr::stat_global;
use super::hir::{
    Expr, ExprKind, Foreach, ForeachValue, GlobalId, Hist, LValue, LocalId, Sort, SortBy, StatRef, Stmt,
    StmtKind,
};
use super::model::{GlobalInfo, StatNeeds};
use crate::diag::Span;
use crate::syntax::ast;

/// Buckets of `@hist_log` (`stat.h`).
const LOG_BUCKETS: i64 = 128;

impl Binder<'_, '_> {
    /// The body of a loop in which that array must stay as it is.
    fn in_walk(&mut self, array: Option<GlobalId>, body: &ast::Stmt, scope: &mut Scope) -> Vec<Stmt> {
        let walked = scope.walked.len();
        scope.walked.extend(array);
        let body = self.in_loop(body, scope);
        scope.walked.truncate(walked);
        body
    }

    pub(super) fn in_loop(&mut self, body: &ast::Stmt, scope: &mut Scope) -> Vec<Stmt> {
        scope.loops += 1;
        let body = self.stmt(body, scope);
        scope.loops -= 1;
        body
    }

    /// The local that a loop sets for a name; for a global of that name, one
    /// of its own and the statement that copies it.
    pub(super) fn loop_variable(&mut self, name: &ast::Ident, scope: &mut Scope) -> (LocalId, Option<Stmt>) {
        if !scope.names.contains_key(&name.name) {
            if let Some(g) = self.global(&name.name, scope) {
                self.use_global(g, 0, name.span);
                self.written(g, name.span, scope);
                let local = self.temporary(&name.name, name.span, scope);
                let value = Box::new(untyped(ExprKind::Local(local), name.span));
                let copy = ExprKind::Assign { op: None, target: LValue::Global(g), value };
                return (local, Some(stmt(StmtKind::Expr(untyped(copy, name.span)), name.span)));
            }
        }
        (self.local(&name.name, name.span, scope), None)
    }

    pub(super) fn foreach(&mut self, f: &ast::Foreach, span: Span, scope: &mut Scope) -> Vec<Stmt> {
        let limit = f.limit.as_ref().map(|e| self.expr(e, scope));
        if let ast::ExprKind::Hist { .. } = &f.array.kind {
            return self.foreach_bucket(f, limit, span, scope);
        }
        let slice = match &f.slice {
            Some(s) => self.keys(s, scope),
            None => f.keys.iter().map(|_| None).collect(),
        };
        if let (Some(s), n) = (&f.slice, f.keys.len()) {
            if s.len() != n {
                let message = format!("unequal number of keys ({n}) and of slice indexes ({})", s.len());
                self.world.error("slice-arity", message, f.array.span);
                return Vec::new();
            }
        }
        let Some(array) = self.array(&f.array, f.keys.len(), scope) else {
            // The names are what the loop would have made them.
            for (k, _) in f.keys.iter().chain(&f.value) {
                let l = self.local(&k.name, k.span, scope);
                self.model.poison.insert(scope.locals[l.0 as usize].span);
            }
            self.in_loop(&f.body, scope);
            return Vec::new();
        };
        let mut copies = Vec::new();
        let mut sort = None;
        let mut keys = Vec::new();
        for (n, (k, s)) in f.keys.iter().enumerate() {
            self.note_loop(array, Some(n), &k.name, scope);
            let (local, copy) = self.loop_variable(k, scope);
            copies.extend(copy);
            keys.push(Some(local));
            if let Some(s) = s {
                sort = Some((SortBy::Key(n as u8), *s));
            }
        }
        let mut value = None;
        if let Some((v, s)) = &f.value {
            self.note_loop(array, None, &v.name, scope);
            let (local, copy) = self.loop_variable(v, scope);
            copies.extend(copy);
            value = Some(ForeachValue::Local(local));
            if let Some(s) = s {
                sort = Some((SortBy::Value, *s));
            }
        }
        if let Some((agg, s)) = &f.array_sort {
            sort = Some((agg.map_or(SortBy::Value, SortBy::Agg), *s));
            if let Some(agg) = agg {
                self.needs(array, *agg, None, f.array.span);
            }
        }
        let mut body = copies;
        body.extend(self.in_walk(Some(array), &f.body, scope));
        vec![stmt(
            StmtKind::Foreach(Box::new(Foreach { array, keys, value, slice, sort, limit, body })),
            span,
        )]
    }

    fn foreach_bucket(
        &mut self,
        f: &ast::Foreach,
        limit: Option<Expr>,
        span: Span,
        scope: &mut Scope,
    ) -> Vec<Stmt> {
        if f.keys.len() != 1 || f.slice.is_some() {
            let message = "a histogram has one key, the number of the bucket";
            self.world.error("bucket-arity", message, f.array.span);
            return Vec::new();
        }
        let Some(stat) = self.histogram(&f.array, scope) else { return Vec::new() };
        let (k, sort) = &f.keys[0];
        let by_count = f.value.as_ref().and_then(|(_, sort)| *sort).or(f.array_sort.map(|(_, s)| s));
        if let Some(by_count) = by_count {
            return self.foreach_bucket_by_count(f, stat, by_count, limit, span, scope);
        }
        let (bucket, copy) = self.loop_variable(k, scope);
        let sort = *sort;
        let mut body: Vec<Stmt> = copy.into_iter().collect();
        let mut value = None;
        if let Some((v, _)) = &f.value {
            let (local, copy) = self.loop_variable(v, scope);
            value = Some(local);
            body.extend(copy);
        }
        body.extend(self.in_walk(array_of(&stat), &f.body, scope));
        vec![stmt(StmtKind::ForeachBucket { bucket, value, stat, limit, sort, body }, span)]
    }

    /// A loop that takes the buckets in the order of what they hold: the counts are copied into an
    /// array of its own, and the loop is one through that. Equal ones stay in the order of buckets.
    fn foreach_bucket_by_count(
        &mut self,
        f: &ast::Foreach,
        stat: StatRef,
        sort: Sort,
        limit: Option<Expr>,
        span: Span,
        scope: &mut Scope,
    ) -> Vec<Stmt> {
        let array = self.bucket_counts(&stat, span, scope);
        let (n, count) = (self.temporary("__bucket", span, scope), self.temporary("__count", span, scope));
        let target = LValue::Element { array, keys: vec![untyped(ExprKind::Local(n), span)] };
        let value = Box::new(untyped(ExprKind::Local(count), f.array.span));
        let set = stmt(StmtKind::Expr(untyped(ExprKind::Assign { op: None, target, value }, span)), span);
        let of_stat = array_of(&stat);
        let fill = StmtKind::ForeachBucket {
            bucket: n,
            value: Some(count),
            stat,
            limit: None,
            sort: None,
            body: vec![set],
        };

        let (bucket, copy) = self.loop_variable(&f.keys[0].0, scope);
        let mut body: Vec<Stmt> = copy.into_iter().collect();
        let mut value = None;
        if let Some((v, _)) = &f.value {
            let (local, copy) = self.loop_variable(v, scope);
            body.extend(copy);
            value = Some(ForeachValue::Local(local));
        }
        body.extend(self.in_walk(of_stat, &f.body, scope));
        let (keys, slice) = (vec![Some(bucket)], vec![None]);
        let sort = Some((SortBy::Value, sort));
        let walk = StmtKind::Foreach(Box::new(Foreach { array, keys, value, slice, sort, limit, body }));
        vec![stmt(StmtKind::DeleteGlobal(array), span), stmt(fill, span), stmt(walk, span)]
    }

    /// An array with room for the count of each bucket; no name of the script reaches it.
    fn bucket_counts(&mut self, stat: &StatRef, span: Span, scope: &Scope) -> GlobalId {
        let buckets = match self.model.global(stat_global(stat)).needs.hist {
            // Those below and above the range count too.
            Some((Hist::Linear { lo, hi, step }, _)) if step > 0 => hi.saturating_sub(lo).max(0) / step + 3,
            _ => LOG_BUCKETS,
        };
        let (key, value) = (self.model.types.fresh(), self.model.types.fresh());
        self.add_global(GlobalInfo {
            name: "__bucket_counts".into(),
            span,
            unit: scope.unit,
            library: true,
            size: Some(buckets),
            wrap: false,
            init: None,
            given: None,
            arity: Some((1, span)),
            keys: vec![key],
            value,
            needs: StatNeeds::default(),
        })
    }
}

/// The array in which the statistics are, if they are in one: it stays as it is in a loop through
/// their histogram.
fn array_of(stat: &StatRef) -> Option<GlobalId> {
    match stat {
        StatRef::Scalar(_) => None,
        StatRef::Element { array, .. } | StatRef::Current { array, .. } => Some(*array),
    }
}
