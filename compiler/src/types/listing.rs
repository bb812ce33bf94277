//! What there is to probe and to call: `-l`, `-L`, `--dump-probe-types`,
//! `--dump-probe-aliases`, `--dump-functions`. In: a [`World`]. Out: lines in
//! SystemTap's form. Runs the same passes as a compilation, and keeps nothing.

use super::bind::Binder;
use super::elide::Uses;
use super::helper_params;
use super::hir::{FunctionId, LocalId};
use super::infer::infer;
use super::model::{FunctionSource, ProbeInfo};
use super::privilege;
use super::table::{Table, Tv, Type};
use crate::driver::Privilege;
use crate::resolve::builtin;
use crate::resolve::points::{self, point_shown};
use crate::resolve::world::World;
use std::collections::BTreeSet;
use stp_vm::isa::{Ret, CAP_GURU, CAP_USER_READ, HELPERS};

fn type_name(types: &Table, tv: Tv) -> &'static str {
    types.ty(tv).map_or("unknown", Type::name)
}

/// The points that the probes of the world's user scripts mean, one line each;
/// with `variables` also what a handler there can use: variables that the
/// aliases set, then target variables.
pub fn points(world: &mut World<'_>, variables: bool) -> Vec<String> {
    let mut binder = Binder::new(world);
    let mut lines = BTreeSet::new();
    let users: Vec<usize> = binder.world.user_units().collect();
    for unit in users {
        for derived in points::resolve_unit(binder.world, unit) {
            if variables {
                binder.probe(derived);
            } else {
                lines.insert(derived.pn);
            }
        }
    }
    if !variables {
        return lines.into_iter().collect();
    }
    let mut model = binder.model;
    // A variable that the target can't give is no fault of who asks for a list.
    let mut ignored = crate::diag::Diagnostics::default();
    infer(&mut model, world.map, &mut ignored);
    for probe in &model.probes {
        let mut line = probe.derived.pn.clone();
        for (name, tv) in set_by_aliases(probe) {
            line += &format!(" {name}:{}", type_name(&model.types, tv));
        }
        if let Some(at) = &probe.derived.target {
            for v in world.target.variables(at) {
                line += &format!(" {}:{}", v.name, v.ty);
            }
        }
        lines.insert(line);
    }
    lines.into_iter().collect()
}

fn set_by_aliases(probe: &ProbeInfo) -> Vec<(String, Tv)> {
    let uses = Uses::of(&probe.body);
    // Names with two underscores are the library's and ours.
    let shown =
        |n: usize, name: &str| uses.locals_written.contains(&LocalId(n as u32)) && !name.starts_with("__");
    let locals = probe.locals.iter().enumerate();
    locals.filter(|(n, l)| shown(*n, &l.name)).map(|(_, l)| (l.name.clone(), l.tv)).collect()
}

/// `--dump-probe-types`: the patterns of built-in points, with `--privilege=stapusr` those
/// that it allows.
pub fn probe_types(privilege: Privilege) -> Vec<String> {
    let allowed = |p: &[_]| privilege != Privilege::Stapusr || builtin::is_pattern_unprivileged(p);
    builtin::patterns()
        .iter()
        .filter(|p| allowed(p))
        .map(|p| builtin::pattern_text(p))
        .filter(|p| !p.starts_with("__"))
        .collect()
}

/// What is said of a function that takes these `CAP_*`: it is for guru mode, or members of stapusr
/// may call it, some for processes of their own only.
fn pragma(caps: u32) -> &'static str {
    match caps {
        0 => " [unprivileged]",
        CAP_USER_READ => " [myproc-unprivileged]",
        _ if caps & CAP_GURU != 0 => " [guru]",
        _ => "",
    }
}

/// `--dump-probe-aliases`: `syscall.read = …` of the library and the scripts, in order.
pub fn probe_aliases(world: &mut World<'_>) -> Vec<String> {
    load_all(world);
    let mut lines = BTreeSet::new();
    for unit in &world.units {
        for alias in &unit.script.aliases {
            let points: Vec<String> = alias.points.iter().map(|p| point_shown(world, p)).collect();
            for name in &alias.names {
                let sign = if alias.append { "+=" } else { "=" };
                lines.insert(format!("{} {sign} {}", point_shown(world, name), points.join(", ")));
            }
        }
    }
    lines.retain(|l| !l.starts_with('_'));
    lines.into_iter().collect()
}

/// `--dump-functions`: `substr:string (str:string, start:long, length:long) [unprivileged]`.
pub fn functions(world: &mut World<'_>) -> Vec<String> {
    load_all(world);
    let mut binder = Binder::new(world);
    for unit in 0..binder.world.units.len() {
        let script = binder.world.units[unit].script.clone();
        for (decl, f) in script.functions.iter().enumerate() {
            if !f.private && !f.name.name.starts_with('_') {
                binder.function(FunctionSource::Script { unit, decl });
            }
        }
    }
    let mut model = binder.model;
    let mut ignored = crate::diag::Diagnostics::default();
    infer(&mut model, world.map, &mut ignored);
    // what the compiler itself knows
    let mut lines = BTreeSet::from(["error:unknown (msg:string) [unprivileged]".to_owned()]);
    for (n, f) in model.functions.iter().enumerate() {
        let FunctionSource::Script { unit, decl } = f.source else { continue };
        let private = world.units[unit].script.functions[decl].private;
        if private || f.name.starts_with('_') {
            continue;
        }
        let params: Vec<String> = f
            .locals
            .iter()
            .take(f.params as usize)
            .map(|l| format!("{}:{}", l.name, type_name(&model.types, l.tv)))
            .collect();
        let pragma = pragma(privilege::caps(&model, FunctionId(n as u32)));
        let ret = type_name(&model.types, f.ret);
        lines.insert(format!("{}:{ret} ({}){pragma}", f.name, params.join(", ")));
    }
    for h in HELPERS.iter().filter(|h| !h.name.starts_with("__")) {
        let ret = match h.ret {
            Ret::I => "long",
            Ret::S => "string",
            Ret::V => "unknown",
        };
        let params: Vec<String> = h
            .args
            .bytes()
            .zip(helper_params::names(h.name))
            .map(|(a, name)| format!("{name}:{}", if a == b's' { "string" } else { "long" }))
            .collect();
        lines.insert(format!("{}:{ret} ({}){}", h.name, params.join(", "), pragma(h.caps)));
    }
    lines.into_iter().collect()
}

fn load_all(world: &mut World<'_>) {
    for file in 0..world.library.len() {
        world.load(file);
    }
}
