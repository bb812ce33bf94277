//! What the compiler says to scripts that are wrong, or odd. `refused/NAME.stp`
//! names in its first line the codes of the diagnostics that it must raise
//! (`# says: arity`), and may give options in the second; `NAME.txt` is what
//! people see. STPVM_BLESS=1 writes the texts anew, to be read before they are kept.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use stp_compiler::diag::{render, Severity};
use stp_compiler::driver::{Compilation, Input, Options, Privilege};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refused")
}

fn scripts() -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = std::fs::read_dir(directory())
        .expect("tests/refused")
        .flatten()
        .filter_map(|e| {
            let name = e.file_name().to_str()?.strip_suffix(".stp")?.to_string();
            Some((name, std::fs::read_to_string(e.path()).ok()?))
        })
        .collect();
    out.sort();
    out
}

fn said_codes(text: &str) -> BTreeSet<String> {
    let first = text.lines().next().unwrap_or("");
    first.strip_prefix("# says:").expect("a line of codes").split_whitespace().map(str::to_string).collect()
}

fn options(text: &str) -> Options {
    let mut o = Options::default();
    let line = text.lines().nth(1).and_then(|l| l.strip_prefix("# opts:")).unwrap_or("");
    let mut words = line.split_whitespace();
    while let Some(w) = words.next() {
        let pair = |s: &str| {
            let (a, b) = s.split_once('=').unwrap_or((s, "1"));
            (a.to_string(), b.to_string())
        };
        match w {
            "-g" => o.guru = true,
            "--skip-badvars" => o.skip_badvars = true,
            "--privilege=stapusr" => o.privilege = Privilege::Stapusr,
            "-G" => o.globals.push(pair(words.next().expect("a setting"))),
            d => {
                o.defines.push(pair(d.strip_prefix("-D").expect("-g, -G, --privilege, --skip-badvars or -D")))
            }
        }
    }
    o
}

#[test]
fn each_script_is_told_what_its_first_line_says() {
    let mut wrong = Vec::new();
    for (name, text) in scripts() {
        let mut c = Compilation::new(options(&text));
        let input = Input { name: format!("{name}.stp"), text: text.clone().into_bytes() };
        let ok = c.parse(&[input]).is_ok() && c.analyze().is_ok();
        let codes: BTreeSet<String> = c.diagnostics.list.iter().map(|d| d.code.to_string()).collect();
        let said: String = c.diagnostics.list.iter().map(|d| render(&c.sources, d, false)).collect();
        let errors = c.diagnostics.list.iter().any(|d| d.severity == Severity::Error);
        let expected = said_codes(&text);
        if codes != expected || ok == errors || ok != name.starts_with("warns_") {
            wrong.push(format!("{name}: expected {expected:?}, was told {codes:?}\n{said}"));
        }
        let file = directory().join(format!("{name}.txt"));
        if std::env::var_os("STPVM_BLESS").is_some() {
            std::fs::write(&file, &said).expect("write");
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        if kept != said {
            wrong.push(format!("{name}: expected the text\n{kept}\nbut it was\n{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Codes that the sources of `resolve` and `types` give to diagnostics.
fn codes_in_sources() -> BTreeSet<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut out = BTreeSet::new();
    for dir in ["resolve", "types"] {
        for entry in std::fs::read_dir(src.join(dir)).expect("sources").flatten() {
            let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
            for call in ["Stage::Semantic,", "error(", "warning(", "failure(world,", "bad("] {
                for (at, _) in text.match_indices(call) {
                    let rest = &text[at + call.len()..];
                    let until = rest.find(';').map_or(rest, |n| &rest[..n]);
                    // The code is the first literal of the call.
                    let Some(literal) = until.split('"').nth(1) else { continue };
                    let is_code =
                        literal.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && literal.len() > 3;
                    if is_code && !literal.contains(' ') {
                        out.insert(literal.to_string());
                    }
                }
            }
        }
    }
    out
}

#[test]
fn every_diagnostic_of_analysis_has_a_script_that_raises_it() {
    // Those need a kernel that has the function asked for, or has none, or is without debuginfo.
    let elsewhere = ["no-match", "captured-at-entry", "unchecked-file"];
    let raised: BTreeSet<String> = scripts().iter().flat_map(|(_, text)| said_codes(text)).collect();
    let missing: Vec<String> = codes_in_sources()
        .into_iter()
        .filter(|c| !raised.contains(c) && !elsewhere.contains(&c.as_str()))
        .collect();
    assert!(missing.is_empty(), "no script raises {missing:?}");
}
