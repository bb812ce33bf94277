//! Makes the Rust side of the tables `core/*.def` (module `isa`) and builds
//! the hosted machine (`core/` and `user/`) with the `cc` crate.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// One macro row: the macro's name and its arguments, comments removed.
struct Row {
    macro_name: String,
    args: Vec<String>,
}

fn rows(path: &Path) -> Vec<Row> {
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).expect("table");
    let mut rows = Vec::new();
    for line in text.lines() {
        let Some(open) = line.find('(') else { continue };
        let name = &line[..open];
        let is_row = matches!(name, "OP" | "OPCOLD" | "HELPER" | "LIMIT" | "RULE");
        if !is_row || !line.trim_end().ends_with(')') {
            continue;
        }
        let body = line.trim_end();
        rows.push(Row { macro_name: name.to_string(), args: split_args(&body[open + 1..body.len() - 1]) });
    }
    rows
}

/// Splits at commas outside of string literals.
fn split_args(s: &str) -> Vec<String> {
    let (mut out, mut cur, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for ch in s.chars() {
        match ch {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                out.push(cur.trim().to_string());
                cur.clear();
                continue;
            }
            _ => {}
        }
        cur.push(ch);
    }
    out.push(cur.trim().to_string());
    out
}

fn camel(name: &str) -> String {
    name.split('_').map(|w| w[..1].to_uppercase() + &w[1..].to_lowercase()).collect()
}

/// The checksum of POSIX `cksum`, which Kbuild computes with the tool itself.
fn cksum(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: u8| {
        (0..8).fold(crc ^ (u32::from(byte) << 24), |c, _| {
            if c & 0x8000_0000 != 0 {
                (c << 1) ^ 0x04c1_1db7
            } else {
                c << 1
            }
        })
    };
    let mut crc = bytes.iter().fold(0, |c, b| step(c, *b));
    let mut len = bytes.len();
    while len != 0 {
        crc = step(crc, len as u8);
        len >>= 8;
    }
    !crc
}

fn main() {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let core = root.join("core");
    let out = PathBuf::from(env::var("OUT_DIR").unwrap());
    let mut rs = String::new();

    let ops = rows(&core.join("ops.def"));
    let helpers = rows(&core.join("helpers.def"));
    let limits = rows(&core.join("limits.def"));

    // Kbuild makes the same number: cat ops.def helpers.def limits.def image.h | cksum
    let mut all = Vec::new();
    for name in ["ops.def", "helpers.def", "limits.def", "image.h"] {
        all.extend(fs::read(core.join(name)).unwrap());
    }
    let hash = u64::from(cksum(&all)) << 32 | all.len() as u64;
    writeln!(rs, "/// Fingerprint of the tables; an image carries the one that it was made for.\npub const ISA_HASH: u64 = {hash:#x};").unwrap();
    fs::write(out.join("isa_hash.h"), format!("#define STPVM_ISA_HASH {hash:#x}ull\n")).unwrap();

    // Opcodes
    let mut hot = 0;
    rs += "/// Operation code; documented in `core/ops.def`.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n#[repr(u8)]\npub enum Op {\n";
    for (n, row) in ops.iter().enumerate() {
        hot += usize::from(row.macro_name == "OP");
        writeln!(
            rs,
            "    /// `{}`: {}\n    {} = {n},",
            row.args[1].trim_matches('"'),
            doc(&row.args[7]),
            camel(&row.args[0])
        )
        .unwrap();
    }
    writeln!(rs, "}}\n/// Opcodes below this are in the interpreter's first switch.\npub const HOT_OPS: usize = {hot};").unwrap();
    writeln!(rs, "/// All opcodes, by number.\npub const OPS: [OpInfo; {}] = [", ops.len()).unwrap();
    for row in &ops {
        let a = &row.args;
        writeln!(
            rs,
            "    OpInfo {{ op: Op::{}, mnemonic: {}, a: Field::{}, b: Field::{}, c: Field::{}, imm: Imm::{}, flags: {}, doc: {} }},",
            camel(&a[0]), a[1], field(&a[2]), field(&a[3]), field(&a[4]), imm(&a[5]), flags(&a[6]), a[7]
        )
        .unwrap();
    }
    rs += "];\n";

    // Helpers
    rs += "/// Built-in function of the machine; documented in `core/helpers.def`.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n#[repr(u16)]\npub enum Helper {\n";
    for (n, row) in helpers.iter().enumerate() {
        writeln!(
            rs,
            "    /// `{}`: {}\n    {} = {n},",
            row.args[1].trim_matches('"'),
            doc(&row.args[7]),
            camel(&row.args[0])
        )
        .unwrap();
    }
    writeln!(rs, "}}\n/// All helpers, by number.\npub const HELPERS: [HelperInfo; {}] = [", helpers.len())
        .unwrap();
    for row in &helpers {
        let a = &row.args;
        let caps = a[4].replace("CAP_", "crate::isa::CAP_");
        let has = |w: &str| a[6].contains(w);
        writeln!(
            rs,
            "    HelperInfo {{ helper: Helper::{}, name: {}, ret: Ret::{}, args: {}, caps: {caps}, cost: {}, sleepy: {}, pure: {}, may_fail: {}, doc: {} }},",
            camel(&a[0]), a[1], a[2], a[3], a[5], has("SLEEPY"), has("PURE"), has("MAYFAIL"), a[7]
        )
        .unwrap();
    }
    rs += "];\n";

    // Limits
    rs += "/// The limits of an image, in the order of `core/limits.def`.\n#[repr(C)]\n#[derive(Clone, Debug, PartialEq, Eq)]\npub struct Limits {\n";
    for row in &limits {
        writeln!(
            rs,
            "    /// {}: {}\n    pub {}: i32,",
            row.args[1].trim_matches('"'),
            doc(&row.args[5]),
            row.args[0]
        )
        .unwrap();
    }
    rs += "}\nimpl Default for Limits {\n    fn default() -> Self {\n        Self {\n";
    for row in &limits {
        writeln!(rs, "            {}: {},", row.args[0], row.args[2]).unwrap();
    }
    rs += "        }\n    }\n}\nimpl Limits {\n    /// The field that `-D NAME` sets; `None` where there is no such limit.\n    pub fn field_mut(&mut self, name: &str) -> Option<&mut i32> {\n        Some(match name {\n";
    for row in &limits {
        writeln!(rs, "            {} => &mut self.{},", row.args[1], row.args[0]).unwrap();
    }
    rs += "            _ => return None,\n        })\n    }\n}\n";
    writeln!(
        rs,
        "/// Names, defaults and ranges of the limits.\npub const LIMITS: [LimitInfo; {}] = [",
        limits.len()
    )
    .unwrap();
    for row in &limits {
        let a = &row.args;
        writeln!(
            rs,
            "    LimitInfo {{ field: \"{}\", name: {}, default: {}, lowest: {}, highest: {}, doc: {} }},",
            a[0], a[1], a[2], a[3], a[4], a[5]
        )
        .unwrap();
    }
    rs += "];\n";

    // Rules of the verifier
    let rules = rows(&core.join("rules.def"));
    rs += "/// Rule of the verifier; `core/rules.def` says what each is for.\n#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]\n#[repr(u32)]\npub enum Rule {\n";
    for (n, row) in rules.iter().enumerate() {
        writeln!(rs, "    /// {}\n    {} = {n},", doc(&row.args[1]), camel(&row.args[0])).unwrap();
    }
    writeln!(
        rs,
        "}}\n/// All rules: number, name, what is checked, what it buys.\npub const RULES: [(Rule, &str, &str, &str); {}] = [",
        rules.len()
    )
    .unwrap();
    for row in &rules {
        let a = &row.args;
        writeln!(rs, "    (Rule::{}, \"{}\", {}, {}),", camel(&a[0]), a[0], a[1], a[2]).unwrap();
    }
    rs += "];\n";
    fs::write(out.join("isa.rs"), rs).unwrap();

    build_core(&root, &out);
}

/// Compiles the hosted machine. `STPVM_SANITIZE=1` builds it under ASan and
/// UBSan, with the checks of `core/check.h`; `STPVM_CHECK=1` with those only.
fn build_core(root: &Path, out: &Path) {
    println!("cargo:rerun-if-env-changed=STPVM_SANITIZE");
    println!("cargo:rerun-if-env-changed=STPVM_CHECK");
    let mut sources = Vec::new();
    for dir in ["core", "user"] {
        println!("cargo:rerun-if-changed={}", root.join(dir).display());
        let Ok(entries) = fs::read_dir(root.join(dir)) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            println!("cargo:rerun-if-changed={}", path.display());
            if path.extension().is_some_and(|e| e == "c") {
                sources.push(path);
            }
        }
    }
    sources.sort();
    if sources.is_empty() {
        return;
    }
    let mut build = cc::Build::new();
    build
        .files(&sources)
        .include(root.join("core"))
        .include(out)
        .std("gnu11")
        .opt_level(2)
        .flag("-Wall")
        .flag("-Wextra")
        .flag("-Wno-unused-parameter")
        .flag("-Werror")
        .flag("-fno-strict-aliasing");
    let sanitize = env::var_os("STPVM_SANITIZE").is_some();
    if sanitize || env::var_os("STPVM_CHECK").is_some() {
        build.define("STPVM_CHECK", None);
    }
    if sanitize {
        build.flag("-fsanitize=address,undefined").flag("-fno-omit-frame-pointer").flag("-g");
        build.flag("-fno-sanitize-recover=undefined");
        // rustc links without the compiler's default libraries, so the run-time
        // parts of both are named here
        for lib in ["asan", "ubsan"] {
            let file = format!("-print-file-name=lib{lib}.so");
            let found = build.get_compiler().to_command().arg(file).output().expect("C compiler");
            let path = PathBuf::from(String::from_utf8_lossy(&found.stdout).trim());
            println!("cargo:rustc-link-search=native={}", path.parent().unwrap().display());
            println!("cargo:rustc-link-lib=dylib={lib}");
        }
    }
    build.compile("stpvm_core");
}

fn doc(quoted: &str) -> String {
    quoted.trim_matches('"').replace("\\\"", "\"").replace('[', "\\[").replace('<', "\\<")
}

fn field(f: &str) -> &str {
    if f == "_" {
        "None"
    } else {
        f
    }
}

fn imm(f: &str) -> String {
    match f {
        "_" => "None".into(),
        "i" => "Lit".into(),
        other => camel(other),
    }
}

fn flags(f: &str) -> String {
    if f == "0" {
        return "0".into();
    }
    f.split('|').map(|x| format!("flag::{}", x.trim())).collect::<Vec<_>>().join(" | ")
}
