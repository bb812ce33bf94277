//! Runs every script of a directory through the passes of the compiler and
//! compares what it says with a recorded run: `NAME.stp` with `NAME.rc` (exit
//! status, then `stage: compile` where it was refused) and `NAME.err`. The
//! directory is named by STPVM_ORACLE; without it there is nothing to do.

use std::path::Path;
use stp_compiler::diag::{render, Severity};
use stp_compiler::driver::{Compilation, Input, Options};

/// Options and arguments that a script's first lines ask for.
fn options(text: &str) -> Options {
    let mut o = Options::default();
    for line in text.lines().take(3) {
        if let Some(args) = line.strip_prefix("# args:") {
            // A first `--` only ends the options.
            o.args = words(args.trim().strip_prefix("-- ").unwrap_or(args));
        }
        let Some(opts) = line.strip_prefix("# opts:") else { continue };
        let mut it = words(opts).into_iter();
        while let Some(w) = it.next() {
            let pair = |s: &str| {
                let (a, b) = s.split_once('=').unwrap_or((s, "1"));
                (a.to_string(), b.to_string())
            };
            match w.as_str() {
                "-g" => o.guru = true,
                "-u" => o.unoptimized = true,
                "-w" => o.no_warnings = true,
                "-W" => o.warnings_are_errors = true,
                "--suppress-time-limits" => o.suppress_time_limits = true,
                "-G" => o.globals.push(pair(&it.next().unwrap_or_default())),
                d if d.starts_with("-D") => o.defines.push(pair(&d[2..])),
                _ => {}
            }
        }
    }
    o.tapset_dirs = std::env::var_os("STPVM_TAPSETS").map(Into::into).into_iter().collect();
    o
}

fn words(s: &str) -> Vec<String> {
    s.split_whitespace().map(|w| w.trim_matches('\'').to_string()).collect()
}

#[test]
fn a_directory_of_recorded_runs_is_refused_and_accepted_alike() {
    let Some(dir) = std::env::var_os("STPVM_ORACLE") else { return };
    let dir = Path::new(&dir);
    let only = std::env::var("STPVM_ONLY").unwrap_or_default();
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("the directory")
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.strip_suffix(".stp").map(str::to_string))
        .filter(|n| n.starts_with(&only))
        .collect();
    names.sort();
    let mut wrong = Vec::new();
    for name in &names {
        let text = std::fs::read(dir.join(format!("{name}.stp"))).expect("script");
        let rc = std::fs::read_to_string(dir.join(format!("{name}.rc"))).expect("rc");
        let err = std::fs::read_to_string(dir.join(format!("{name}.err"))).unwrap_or_default();
        let refused = rc.contains("stage: compile");
        let mut c = Compilation::new(options(&String::from_utf8_lossy(&text)));
        let input = Input { name: format!("{name}.stp"), text };
        let ok = c.parse(&[input]).is_ok() && c.analyze().is_ok() && c.translate().is_ok();
        let said: String = c.diagnostics.list.iter().map(|d| render(&c.sources, d, false)).collect();
        let warned = c.diagnostics.list.iter().any(|d| d.severity == Severity::Warning);
        let warning = err.contains("WARNING: Eliding")
            || err.contains("side-effect-free")
            || err.contains("never-assigned")
            || err.contains("elided");
        if ok == refused || warned != warning {
            wrong.push(format!(
                "==== {name}: refused {} (recorded {refused}), warned {warned} (recorded {warning})\n{said}",
                !ok
            ));
        } else if !only.is_empty() {
            println!("{name}: ok\n{said}");
        }
    }
    for w in &wrong {
        println!("{w}");
    }
    assert!(wrong.is_empty(), "{} of {} differ", wrong.len(), names.len());
}
