//! Types of globals, locals and functions; from resolved names to the typed
//! program. The passes in order, each a file: `bind` (names to ids), `check`
//! (what needs all bodies), `privilege` (what the caller may not do), `elide` (what has no use, and what can't be reached), `infer` (types),
//! `unread` (globals shown at the end), `finish` (the program). In: a
//! [`World`]. Out: a [`Program`](hir::Program), or diagnostics; as many of
//! them as one run can find.

mod absent;
mod autocast;
pub mod bind;
mod bind_call;
mod bind_entered;
mod bind_expr;
mod bind_global;
mod bind_loop;
mod bind_packet;
mod bind_target;
mod bind_value;
mod check;
mod elide;
mod finish;
mod helper_params;
pub mod hir;
pub mod infer;
pub mod limits;
pub mod listing;
pub mod model;
pub mod print;
mod privilege;
pub mod table;
#[cfg(test)]
mod tests;
mod unread;
pub mod walk;

use crate::resolve::points;
use crate::resolve::world::World;
use bind::Binder;
use hir::Program;
use model::Model;

/// Pass 2 over parsed scripts. `None` when there were errors.
pub fn analyze(world: &mut World<'_>, name: String) -> Option<Program> {
    let limits = limits::limits(world.options, world.diags);
    limits::unknown_settings(world);
    let mut model = bind_all(world);
    check::foreach_calls(world, &model);
    check::guru_calls(world, &model);
    privilege::check(world, &model);
    if model.probes.is_empty() && !world.diags.has_errors() {
        world.diags.push(finish::no_probes());
    }
    if world.diags.has_errors() {
        // Contradictions in types are worth telling in the same run.
        infer::infer(&mut model, world.map, world.diags);
        return None;
    }
    elide::elide(world, &mut model);
    if model.probes.is_empty() {
        world.diags.push(finish::no_probes());
        return None;
    }
    infer::infer(&mut model, world.map, world.diags);
    elide::dead_branches(world, &mut model);
    if model.probes.is_empty() && !world.diags.has_errors() {
        world.diags.push(finish::no_probes());
        return None;
    }
    let live = elide::reachable(&model);
    if !world.options.hide_globals {
        unread::show_unread(&mut model, &live);
    }
    finish::finish(world, model, limits, name)
}

/// How often all may be bound: a type passes at least one variable in each round.
const MAX_ROUNDS: u32 = 16;

/// Binds all handlers, and again where types of pointers became known after their use (`autocast`).
fn bind_all(world: &mut World<'_>) -> Model {
    let mut messages = world.diags.list.clone();
    let mut handlers = Vec::new();
    let mut flow = autocast::Flow::default();
    for round in 1.. {
        let mut binder = Binder::new(world);
        binder.flow = flow;
        binder.embedded();
        for derived in handlers {
            binder.probe(derived);
        }
        // Binding a handler may bring in library files with probes of their own.
        while !binder.world.fresh.is_empty() {
            let unit = binder.world.fresh.remove(0);
            let before = binder.world.diags.list.len();
            let found = points::resolve_unit(binder.world, unit);
            messages.extend_from_slice(&binder.world.diags.list[before..]);
            for derived in found {
                binder.probe(derived);
            }
        }
        binder.keep_entered();
        let (model, rest) = (binder.model, binder.flow.next_round());
        match rest {
            Some(more) if round < MAX_ROUNDS => flow = more,
            _ => return model,
        }
        // those that save values for `@entry` are made by binding
        handlers = model.probes.into_iter().map(|p| p.derived).filter(|d| !d.pieces.is_empty()).collect();
        world.diags.list.clone_from(&messages);
    }
    unreachable!("rounds are bounded")
}
