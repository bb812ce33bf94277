//! Types of globals, locals and functions; from resolved names to the typed
//! program. The passes in order, each a file: `bind` (names to ids), `check`
//! (what needs all bodies), `privilege` (what the caller may not do), `elide` (what has no use), `infer` (types),
//! `unread` (globals shown at the end), `finish` (the program). In: a
//! [`World`]. Out: a [`Program`](hir::Program), or diagnostics; as many of
//! them as one run can find.

pub mod bind;
mod bind_expr;
mod bind_loop;
mod bind_packet;
mod bind_target;
mod bind_value;
mod check;
mod elide;
mod finish;
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

/// Pass 2 over parsed scripts. `None` when there were errors.
pub fn analyze(world: &mut World<'_>, name: String) -> Option<Program> {
    let limits = limits::limits(world.options, world.diags);
    let mut binder = Binder::new(world);
    binder.embedded();
    // Binding a handler may bring in library files with probes of their own.
    while !binder.world.fresh.is_empty() {
        let unit = binder.world.fresh.remove(0);
        for derived in points::resolve_unit(binder.world, unit) {
            binder.probe(derived);
        }
    }
    let mut model = binder.model;
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
    let live = elide::reachable(&model);
    if !world.options.hide_globals {
        unread::show_unread(&mut model, &live);
    }
    finish::finish(world, model, limits, name)
}
