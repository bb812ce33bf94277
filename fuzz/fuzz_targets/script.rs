//! Scripts: whatever the bytes are, the compiler says yes or no. What it parses
//! prints and parses again, but where the printed parentheses nest too deep; what
//! it translates the verifier accepts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use stp_compiler::bytecode::{Class, Hist, Image};
use stp_compiler::diag::{render, Diagnostics, Origin, SourceMap};
use stp_compiler::driver::{Compilation, Input, Options, Privilege};
use stp_compiler::syntax::{outline, parse, print, MacroTable, ParseContext};
use stp_fuzz::flatten;

/// The printed tree, or the codes of the errors.
fn parses(text: &[u8], args: &[String]) -> Result<String, Vec<&'static str>> {
    let macros = MacroTable::default();
    let cx = ParseContext {
        kernel_release: "6.1.0",
        arch: "x86_64",
        runtime: "kernel",
        guru: true,
        privilege: Privilege::Stapdev,
        compatible: None,
        args,
        config: &|_| None,
        macros: &macros,
        user: true,
    };
    let (mut map, mut diags) = (SourceMap::default(), Diagnostics::default());
    let file = map.add("F", text, Origin::User);
    let script = parse(&mut map, file, &cx, &mut diags);
    let _ = diags.list.iter().map(|d| render(&map, d, false)).count();
    let printed = print::script(&map, &script);
    if diags.has_errors() {
        return Err(diags.list.iter().map(|d| d.code).collect());
    }
    Ok(printed)
}

/// Linear histograms may have an impossible shape, which is found out at load.
fn sound(image: &Image) -> bool {
    !image.globals.iter().any(|g| match &g.class {
        Class::Stat { hist, .. } | Class::StatMap { hist, .. } => matches!(hist, Hist::Linear { .. }),
        _ => false,
    })
}

fuzz_target!(|text: &[u8]| {
    let args = ["7".to_string(), "b c".to_string()];
    outline(text);
    if let Ok(printed) = parses(text, &args) {
        if let Err(codes) = parses(printed.as_bytes(), &[]) {
            assert!(codes.contains(&"nested-too-deep"), "{codes:?} {printed}");
        }
    }
    let options = Options {
        sysroot: Some(PathBuf::from("/nonexistent")),
        kernel_release: Some("6.1.0".into()),
        args: args.to_vec(),
        guru: true,
        ..Options::default()
    };
    let mut c = Compilation::new(options);
    let input = Input { name: "F".into(), text: text.to_vec() };
    if c.parse(&[input]).is_err() || c.analyze().is_err() || c.translate().is_err() {
        return;
    }
    let image = c.image.take().expect("a translated image");
    if let (Some(flat), true) = (flatten(&image), sound(&image)) {
        if let Err(e) = stp_vm::verify(&flat, 15) {
            panic!("{e}\n{}", image.listing(true));
        }
    }
});
