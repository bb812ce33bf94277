//! Rules that need all bodies at once: a loop must not change the array that
//! it walks through, not even in a function that it calls. In: a bound
//! [`Model`]. Out: diagnostics.

use super::elide::Uses;
use super::hir::{FunctionId, GlobalId, StmtKind};
use super::model::Model;
use super::walk;
use crate::resolve::world::World;
use std::collections::{HashMap, HashSet};

/// Calls in loops whose function, or what it calls, writes the loop's array.
pub fn foreach_calls(world: &mut World<'_>, model: &Model) {
    if model.guarded_calls.is_empty() {
        return;
    }
    let mut known: HashMap<FunctionId, HashSet<GlobalId>> = HashMap::new();
    for call in &model.guarded_calls {
        let written = known.entry(call.function).or_insert_with(|| writes(model, call.function));
        for array in call.arrays.iter().filter(|a| written.contains(a)) {
            let name = &model.global(*array).name;
            let message = format!("function call modifies var '{name}' during 'foreach' iteration");
            world.error("foreach-modified", message, call.span);
        }
    }
}

/// Globals that a function, or what it calls, writes or deletes from.
fn writes(model: &Model, from: FunctionId) -> HashSet<GlobalId> {
    let mut out = HashSet::new();
    let mut seen = HashSet::new();
    let mut todo = vec![from];
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        let f = model.function(id);
        let uses = Uses::of(&f.body);
        out.extend(uses.globals_written);
        walk::each_stmt(&f.body, &mut |s| {
            if let StmtKind::DeleteGlobal(g) | StmtKind::DeleteElement { array: g, .. } = &s.kind {
                out.insert(*g);
            }
        });
        todo.extend(uses.calls);
        todo.extend(f.next);
    }
    out
}
