//! The manual's reference pages, made from the tables.
//!
//! In: `isa`. Out: Markdown. `cargo run -p stp-vm --example reference` writes
//! `docs/reference.md`; a test keeps the page and the tables equal.

use crate::isa::{flag, Field, HelperInfo, Imm, OpInfo, Ret, HELPERS, HOT_OPS, LIMITS, OPS, RULES};
use std::fmt::Write as _;

/// The page: instructions, built-in functions, limits, rules of the verifier.
pub fn page() -> String {
    let mut out = String::from(
        "# Reference\n\n\
         Made from `vm-kmod/core/*.def` by `cargo run -p stp-vm --example reference`.\n\n\
         ## Instructions\n\n\
         `r` are integer registers, `s` string slots, `a` aggregate slots, `t` iterators; \
         [bytecode.md](bytecode.md) says how a word is laid out. Those before the line \
         are in the interpreter's first switch. Flags: F may raise an error, C charges actions, \
         G reads and W writes globals, O emits output.\n\n\
         | instruction | operands | flags | meaning |\n| --- | --- | --- | --- |\n",
    );
    for (n, op) in OPS.iter().enumerate() {
        if n == HOT_OPS {
            out += "| | | | |\n";
        }
        let _ = writeln!(
            out,
            "| `{}` | {} | {} | {} |",
            op.mnemonic,
            operands(op),
            flags(op.flags),
            escape(op.doc)
        );
    }
    out += "\n## Built-in functions\n\n\
            Scripts call those without a leading `__` by name; the others are for tapsets.\n\n\
            | function | gives | meaning |\n| --- | --- | --- |\n";
    for h in &HELPERS {
        let _ = writeln!(out, "| `{}` | {} | {} |", signature(h), result(h.ret), escape(h.doc));
    }
    out += "\n## Limits\n\nWhat `-D NAME=VALUE` sets; none needs a rebuild.\n\n\
            | name | default | range | meaning |\n| --- | --- | --- | --- |\n";
    for l in &LIMITS {
        let _ = writeln!(
            out,
            "| `{}` | {} | {} to {} | {} |",
            l.name,
            l.default,
            l.lowest,
            l.highest,
            escape(l.doc)
        );
    }
    out += "\n## Rules of the verifier\n\nAn image that breaks one is refused, before any memory is taken for it.\n\n\
            | rule | what is checked | what it buys |\n| --- | --- | --- |\n";
    for (_, name, checked, buys) in &RULES {
        let _ = writeln!(out, "| {name} | {} | {} |", escape(checked), escape(buys));
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn flags(bits: u16) -> String {
    [(flag::F, 'F'), (flag::C, 'C'), (flag::G, 'G'), (flag::W, 'W'), (flag::O, 'O')]
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, letter)| *letter)
        .collect()
}

fn operands(op: &OpInfo) -> String {
    let mut list = Vec::new();
    for (name, field) in [("a", op.a), ("b", op.b), ("c", op.c)] {
        let text = match field {
            Field::None => continue,
            Field::Iw | Field::Ir | Field::Ix => format!("r[{name}]"),
            Field::Sw | Field::Sr | Field::Sx => format!("s[{name}]"),
            Field::Ib => format!("r[{name}].."),
            Field::Sb => format!("s[{name}].."),
            Field::Aw | Field::Ar => format!("a[{name}]"),
            Field::Tw | Field::Tr => format!("t[{name}]"),
            Field::N => name.to_string(),
            Field::J | Field::K if name == "c" => continue,
            Field::J => "+bc".to_string(),
            Field::K => "-bc".to_string(),
        };
        list.push(text);
    }
    list.extend(
        match op.imm {
            Imm::None => None,
            Imm::Lit => Some("imm"),
            Imm::K => Some("constant"),
            Imm::Str => Some("string"),
            Imm::G => Some("global"),
            Imm::St => Some("statistics"),
            Imm::M => Some("map"),
            Imm::Ms => Some("map of statistics"),
            Imm::Fn => Some("function"),
            Imm::H => Some("helper"),
            Imm::Fmt => Some("format"),
            Imm::It => Some("iterator"),
            Imm::Dfa => Some("expression"),
            Imm::Fj => Some("+imm"),
            Imm::Bj => Some("-imm"),
        }
        .map(String::from),
    );
    list.join(", ")
}

fn signature(h: &HelperInfo) -> String {
    let args: Vec<&str> = h.args.bytes().map(|b| if b == b's' { "string" } else { "long" }).collect();
    format!("{}({})", h.name, args.join(", "))
}

fn result(ret: Ret) -> &'static str {
    match ret {
        Ret::I => "long",
        Ret::S => "string",
        Ret::V => "",
    }
}
