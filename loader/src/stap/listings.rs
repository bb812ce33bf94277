//! What `-p2` prints: the typed program in a form for people, after
//! SystemTap's (globals, functions and probes with their types).

use std::fmt::Write;
use stp_compiler::types::hir::{ArrayValue, Function, Global, GlobalKind, Local, Program, Ty};

fn ty(t: Ty) -> &'static str {
    match t {
        Ty::Long => "long",
        Ty::Str => "string",
    }
}

fn global(g: &Global) -> String {
    match &g.kind {
        GlobalKind::Long { .. } => format!("{}:long", g.name),
        GlobalKind::Str { .. } => format!("{}:string", g.name),
        GlobalKind::Stat(_) => format!("{}:stats", g.name),
        GlobalKind::Array { keys, value, size, wrap } => {
            let keys: Vec<_> = keys.iter().map(|k| ty(*k)).collect();
            let value = match value {
                ArrayValue::Long => "long",
                ArrayValue::Str => "string",
                ArrayValue::Stat(_) => "stats",
            };
            let size = size.map_or(String::new(), |n| format!("[{n}]"));
            let wrap = if *wrap { "%" } else { "" };
            format!("{}{wrap}{size}:{value} [{}]", g.name, keys.join(", "))
        }
    }
}

fn variables(locals: &[Local]) -> String {
    locals.iter().map(|l| format!("{}:{}", l.name, ty(l.ty))).collect::<Vec<_>>().join(", ")
}

fn function(f: &Function) -> String {
    let (params, locals) = f.locals.split_at((f.params as usize).min(f.locals.len()));
    let mut out = format!("{}:{} ({})\n", f.name, f.ret.map_or("unknown", ty), variables(params));
    if !locals.is_empty() {
        let _ = writeln!(out, "  # locals\n  {}", variables(locals));
    }
    out
}

/// The whole program.
pub fn program(p: &Program) -> String {
    let mut out = String::new();
    if !p.globals.is_empty() {
        out += "# globals\n";
        p.globals.iter().for_each(|g| out += &(global(g) + "\n"));
    }
    if !p.functions.is_empty() {
        out += "# functions\n";
        p.functions.iter().for_each(|f| out += &function(f));
    }
    out += "# probes\n";
    for probe in &p.probes {
        let _ = writeln!(out, "{} /* <- {} */", probe.pp, probe.pn);
        if !probe.locals.is_empty() {
            let _ = writeln!(out, "  # locals\n  {}", variables(&probe.locals));
        }
    }
    out
}
