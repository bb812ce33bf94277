//! `-p2`: the typed program as SystemTap lists it: globals with their types,
//! functions with their signatures, probes with how they were derived.

use super::hir::{ArrayValue, GlobalKind, Program, Ty};
use std::fmt::Write;

fn name(ty: Ty) -> &'static str {
    match ty {
        Ty::Long => "long",
        Ty::Str => "string",
    }
}

/// The listing; with `locals` also the variables of each probe, as `-v` adds them.
pub fn print(p: &Program, locals: bool) -> String {
    let mut out = String::new();
    if !p.globals.is_empty() {
        out += "# globals\n";
    }
    for g in &p.globals {
        let text = match &g.kind {
            GlobalKind::Long { init: 0 } => format!("{}:long", g.name),
            GlobalKind::Long { init } => format!("{}:long = {init}", g.name),
            GlobalKind::Str { init } if init.is_empty() => format!("{}:string", g.name),
            GlobalKind::Str { init } => format!("{}:string = \"{init}\"", g.name),
            GlobalKind::Stat(_) => format!("{}:stats", g.name),
            GlobalKind::Array { keys, value, size, wrap } => {
                let wrap = if *wrap { "%" } else { "" };
                let size = size.map_or(String::new(), |s| format!("[{s}]"));
                let value = match value {
                    ArrayValue::Long => "long",
                    ArrayValue::Str => "string",
                    ArrayValue::Stat(_) => "stats",
                };
                let keys: Vec<&str> = keys.iter().map(|k| name(*k)).collect();
                format!("{}{wrap}{size}:{value} [{}]", g.name, keys.join(", "))
            }
        };
        let _ = writeln!(out, "{text}");
    }
    if !p.functions.is_empty() {
        out += "# functions\n";
    }
    for f in &p.functions {
        let params: Vec<String> =
            f.locals.iter().take(f.params as usize).map(|l| format!("{}:{}", l.name, name(l.ty))).collect();
        let _ = writeln!(out, "{}:{} ({})", f.name, f.ret.map_or("unknown", name), params.join(", "));
    }
    if !p.probes.is_empty() {
        out += "# probes\n";
    }
    for probe in &p.probes {
        let _ = writeln!(out, "{} /* <- {} */", probe.pp, probe.derivation);
        if locals && !probe.locals.is_empty() {
            out += "  # locals\n";
            for l in &probe.locals {
                let _ = writeln!(out, "  {}:{}", l.name, name(l.ty));
            }
        }
    }
    out
}
