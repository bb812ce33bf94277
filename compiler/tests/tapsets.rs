//! The tapset library: every file parses without a word, and (where the types
//! of a kernel are at hand) every alias and every function compiles.

use std::path::{Path, PathBuf};
use stp_compiler::diag::{render, Diagnostics, Origin, Severity, SourceMap};
use stp_compiler::driver::{Compilation, Input, Options, Privilege};
use stp_compiler::syntax::{self, MacroTable, ParseContext};

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tapsets")
}

fn files() -> Vec<PathBuf> {
    let mut out: Vec<PathBuf> = std::fs::read_dir(library())
        .expect("tapsets")
        .map(|e| e.expect("entry").path())
        .filter(|p| p.extension().is_some_and(|e| e == "stp"))
        .collect();
    out.sort();
    assert!(out.len() > 10);
    out
}

/// What a library file is parsed with.
fn context(macros: &MacroTable) -> ParseContext<'_> {
    ParseContext {
        kernel_release: "6.1.0-56-cloud-amd64",
        arch: "x86_64",
        runtime: "kernel",
        guru: false,
        privilege: Privilege::Stapdev,
        compatible: None,
        args: &[],
        config: &|_| None,
        macros,
        user: false,
    }
}

/// The macros that all files share.
fn shared_macros(map: &mut SourceMap, diags: &mut Diagnostics) -> MacroTable {
    let (mut out, none) = (MacroTable::default(), MacroTable::default());
    for entry in std::fs::read_dir(library()).expect("tapsets") {
        let path = entry.expect("entry").path();
        if path.extension().is_some_and(|e| e == "stpm") {
            let text = std::fs::read(&path).expect("text");
            let file = map.add(path.display().to_string(), text, Origin::Library);
            syntax::parse_macros(map, file, &context(&none), &mut out, diags);
        }
    }
    out
}

#[test]
fn every_tapset_parses() {
    let mut said = Vec::new();
    for path in files() {
        let (mut map, mut diags) = (SourceMap::default(), Diagnostics::default());
        let macros = shared_macros(&mut map, &mut diags);
        let text = std::fs::read(&path).expect("text");
        let file = map.add(path.display().to_string(), text, Origin::Library);
        syntax::parse(&mut map, file, &context(&macros), &mut diags);
        said.extend(diags.list.iter().map(|d| render(&map, d, false)));
    }
    assert!(said.is_empty(), "{}", said.join("\n"));
}

/// Options for compiling against the library with the types of some kernel.
fn options() -> Options {
    Options { tapset_dirs: vec![library()], guru: true, unoptimized: true, ..Options::default() }
}

/// What pass 1 and 2 say to a script; empty if it is sound.
fn complaints(script: &str) -> String {
    let mut c = Compilation::new(options());
    let inputs = [Input { name: "<input>".into(), text: script.into() }];
    if c.parse(&inputs).and_then(|()| c.analyze()).is_ok() {
        return String::new();
    }
    let errors = c.diagnostics.list.iter().filter(|d| d.severity == Severity::Error);
    errors.map(|d| render(&c.sources, d, false)).collect()
}

/// Definitions in the library's texts: `function NAME:TYPE(…)` of those not private.
fn functions() -> Vec<(String, Vec<String>)> {
    let mut out = Vec::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).expect("text");
        for line in text.lines() {
            let Some(rest) = line.strip_prefix("function ") else { continue };
            let (head, tail) = rest.split_once('(').expect("parameters");
            let name = head.split(':').next().expect("name").trim().to_owned();
            let params = tail.split(')').next().expect("end");
            let types = params
                .split(',')
                .filter(|p| !p.trim().is_empty())
                .map(|p| p.split_once(':').map_or("long", |(_, t)| t.trim()).to_owned())
                .collect();
            out.push((name, types));
        }
    }
    out
}

/// The types of a kernel, for those tests that need one.
fn have_types() -> bool {
    Compilation::new(options()).target.kernel().btf().is_ok()
}

#[test]
fn every_function_compiles() {
    if !have_types() {
        return;
    }
    let mut said = String::new();
    for (name, params) in functions() {
        let args: Vec<&str> = params.iter().map(|t| if t == "string" { "\"x\"" } else { "1" }).collect();
        let script = format!("probe begin {{ {name}({}) }}", args.join(", "));
        let one = complaints(&script);
        // types of modules are there while they are loaded
        if !one.contains("while it is loaded") {
            said += &one;
        }
    }
    assert!(said.is_empty(), "{said}");
}

#[test]
fn every_alias_compiles() {
    if !have_types() {
        return;
    }
    let mut said = String::new();
    for path in files() {
        let text = std::fs::read(&path).expect("text");
        for alias in syntax::outline(&text).aliases {
            // the one parameter of an alias is a string
            let point = alias.replace("(path)", "(\"/usr/bin/env\")");
            let one = complaints(&format!("probe {point} {{ println(pp()) }}"));
            // a kernel need not have every place; what it has must type-check
            let absent = ["no match", "needs", "no probes found", "is not loaded", "while it is loaded"]
                .iter()
                .any(|w| one.contains(w));
            if !absent {
                said += &one;
            }
        }
    }
    assert!(said.is_empty(), "{said}");
}

#[test]
fn library_functions_that_write_are_for_guru_mode() {
    let calls = [
        "set_kernel_long(1, 2)",
        "set_kernel_string_n(1, 2, \"x\")",
        "set_user_int(1, 2)",
        "set_int_arg(1, 2)",
        "printk(1, \"x\")",
        "udelay(1)",
        "raise(9)",
        "panic(\"x\")",
        "dump_stack()",
    ];
    for call in calls {
        let told = |guru: bool| {
            let mut c = Compilation::new(Options { guru, ..options() });
            let script = format!("probe begin {{ {call} }}");
            let inputs = [Input { name: "<input>".into(), text: script.into() }];
            let good = c.parse(&inputs).and_then(|()| c.analyze()).is_ok();
            let codes: Vec<&str> = c.diagnostics.list.iter().map(|d| d.code).collect();
            (good, codes.contains(&"needs-guru"))
        };
        assert_eq!((told(true), told(false)), ((true, false), (false, true)), "{call}");
    }
}
