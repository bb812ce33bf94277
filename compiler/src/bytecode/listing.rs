//! The listing of an image: what `stap -p3` prints.
//!
//! In: an image. Out: text that reads like a listing and that [`super::asm`]
//! reads back: the canonical form of an image ([`Image::canonical`]) goes to
//! text and back unchanged. Pool entries stand where they are used.
//!
//! ```text
//! image "count"
//! limit MAXACTION 500
//! global n = percpu
//! global calls = map(int, str) -> int size 2048
//!
//! probe kernel.function("vfs_read")
//!     at {"Function":{…}}
//!     handler &probe.0
//!     locks %n add
//!     cost 1          # of 500
//!
//! handler probe.0 regs 1 strs 0
//!     | 3: probe kernel.function("vfs_read") { n++ }
//!     lock
//!     gaddi 1, %n     @3:43 identifier 'n'
//!     ret
//! ```

use super::image::*;
use super::worst::Worst;
use crate::bytes::Bytes;
use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use stp_vm::isa::{Field, Imm, Insn, Op, HELPERS, LIMITS};

impl Image {
    /// The listing. `comments` adds what the assembler skips: instruction numbers and worst cases.
    pub fn listing(&self, comments: bool) -> String {
        let mut image = self.clone();
        image.canonical();
        let worst = if comments { image.worst_cases() } else { Vec::new() };
        let mut w = Writer { image: &image, comments, worst, out: String::new() };
        w.header();
        for probe in &image.probes {
            w.probe(probe);
        }
        for function in &image.functions {
            w.function(function);
        }
        w.out
    }
}

/// Letters of the `IM_FL_*` bits, lowest first.
pub(super) const FLAG_LETTERS: [char; 5] = ['0', '+', ' ', '-', '#'];

/// An entry of the pool of integers: a number, or `&"symbol" "module" offset kind`.
fn constant_text(k: &Constant) -> String {
    match k {
        Constant::Number(k) => k.to_string(),
        Constant::Address(a) => {
            let module = a.module.as_deref().unwrap_or("");
            let kind = if a.data { "data" } else { "code" };
            format!("&{} {} {} {kind}", quoted(a.symbol.as_bytes()), quoted(module.as_bytes()), a.offset)
        }
    }
}

pub(super) fn quoted(text: &[u8]) -> String {
    format!("\"{}\"", Bytes(text.to_vec()))
}

struct Writer<'a> {
    image: &'a Image,
    comments: bool,
    /// Of each function, for the comments.
    worst: Vec<Option<Worst>>,
    out: String,
}

impl Writer<'_> {
    fn line(&mut self, text: impl AsRef<str>) {
        self.out += text.as_ref();
        self.out.push('\n');
    }

    fn header(&mut self) {
        let image = self.image;
        if self.comments {
            let words: usize = image.functions.iter().map(|f| f.code.len()).sum();
            self.line(format!(
                "# {} probes, {} functions, {words} instructions, {} globals",
                image.probes.len(),
                image.functions.iter().filter(|f| !f.handler).count(),
                image.globals.len()
            ));
        }
        self.line(format!("image {}", quoted(image.name.as_bytes())));
        if !image.target.is_empty() {
            let hex: String = image.target.iter().map(|b| format!("{b:02x}")).collect();
            self.line(format!("target 0x{hex}"));
        }
        let caps: Vec<&str> =
            CAPS.iter().filter(|(bit, _)| image.caps & bit != 0).map(|(_, name)| *name).collect();
        if !caps.is_empty() {
            self.line(format!("caps {}", caps.join(" ")));
        }
        let mut limits = image.limits.clone();
        for row in &LIMITS {
            match limits.field_mut(row.name) {
                Some(value) if *value != row.default => self.line(format!("limit {} {value}", row.name)),
                _ => {}
            }
        }
        for file in &image.files {
            self.line(format!("file {}", quoted(file.as_bytes())));
        }
        for (n, dfa) in image.dfas.iter().enumerate() {
            let words: Vec<String> = dfa.words.iter().map(|w| format!("{w:x}")).collect();
            self.line(format!(
                "dfa #{n} {} states {} groups {} flags {} words {}",
                quoted(&dfa.pattern),
                dfa.nstates,
                dfa.ngroups,
                dfa.flags,
                words.join(" ")
            ));
        }
        for global in &image.globals {
            self.line(format!("global {} = {}", quoted_name(&global.name), class(&global.class)));
        }
    }

    fn probe(&mut self, p: &Probe) {
        self.out.push('\n');
        self.line(format!("probe {}", p.pp.replace('\n', " ")));
        let place = serde_json::to_string(&p.at).unwrap_or_default();
        self.line(format!("    at {place}"));
        self.line(format!("    pp {}", quoted(p.pp.as_bytes())));
        self.line(format!("    pn {}", quoted(p.pn.as_bytes())));
        self.line(format!("    label {}", quoted(p.label.as_bytes())));
        self.line(format!("    handler {}", self.function_ref(p.function)));
        if let Some(c) = p.condition {
            self.line(format!("    condition {}", self.function_ref(c)));
        }
        if p.optional {
            self.line("    optional");
        }
        if let Some(point) = &p.one_of {
            self.line(format!("    one_of {}", quoted(point.as_bytes())));
        }
        for lock in &p.locks {
            let mode = match lock.mode {
                LockMode::Add => "add",
                LockMode::Read => "read",
                LockMode::Write => "write",
            };
            self.line(format!("    lock {} {mode}", self.global_ref(lock.global)));
        }
        if let Some(cost) = p.cost {
            let limits = &self.image.limits;
            use crate::types::hir::Place;
            let limit = match p.at {
                Place::Begin { .. } | Place::End { .. } | Place::Error { .. } | Place::Timer { .. } => {
                    limits.maxaction_int
                }
                _ => limits.maxaction,
            };
            let of = if self.comments { format!("          # of {limit}") } else { String::new() };
            self.line(format!("    cost {cost}{of}"));
        }
        if self.comments {
            let worst = self.worst.get(p.function as usize).copied().flatten();
            self.line(match worst {
                None => "    # no worst case: loops or recursion, ended by the limit of actions".to_string(),
                Some(w) => format!(
                    "    # at most: instructions {}, map operations {}, output {} bytes, scratch {} bytes",
                    w.instructions, w.map_operations, w.output, w.scratch
                ),
            });
        }
    }

    fn function_ref(&self, n: u32) -> String {
        match self.image.functions.get(n as usize) {
            Some(f) => format!("&{}", quoted_name(&f.name)),
            None => format!("&{n}"),
        }
    }

    fn global_ref(&self, n: u32) -> String {
        match self.image.globals.get(n as usize) {
            Some(g) => format!("%{}", quoted_name(&g.name)),
            None => format!("%{n}"),
        }
    }

    fn function(&mut self, f: &Function) {
        let mut head = if f.handler {
            format!("\nhandler {}", quoted_name(&f.name))
        } else {
            let params: Vec<&str> = f.params.iter().map(|t| value_type(*t)).collect();
            let ret = match f.ret {
                Ret::None => "",
                Ret::Int => " -> int",
                Ret::Str => " -> str",
            };
            format!("\nfunction {}({}){ret}", quoted_name(&f.name), params.join(", "))
        };
        let _ = write!(head, " regs {} strs {}", f.nregs, f.nstrs);
        for (name, n) in [("aggs", f.naggs), ("iters", f.niters)] {
            if n > 0 {
                let _ = write!(head, " {name} {n}");
            }
        }
        if f.locked {
            head += " locked";
        }
        self.line(head);

        let labels = labels(f);
        for t in &f.tries {
            let at = |pc: u32| format!("L{}", labels[&pc]);
            self.line(format!("    try {}..{} catch {}", at(t.from), at(t.to), at(t.target)));
        }
        let mut shown = HashSet::new();
        for (pc, word) in f.code.iter().enumerate() {
            let pc = pc as u32;
            let line = f.lines.iter().find(|l| l.pc == pc);
            let place = line.and_then(|l| self.image.places.get(l.place as usize));
            if let Some(p) = place {
                if shown.insert((p.file, p.line)) {
                    let text = self.image.source.iter().find(|s| (s.file, s.line) == (p.file, p.line));
                    if let Some(text) = text {
                        let at = file_line(p.file, p.line);
                        self.line(format!("    | {at}: {}", text.text));
                    }
                }
            }
            if let Some(label) = labels.get(&pc) {
                self.line(format!("L{label}:"));
            }
            let mut text = format!("    {}", self.insn(pc, *word, &labels));
            if line.is_some() {
                let pad = 40usize.saturating_sub(text.chars().count()).max(1);
                text += &" ".repeat(pad);
                text += &match place {
                    Some(p) => format!("@{}:{} {}", file_line(p.file, p.line), p.col, p.token),
                    None => "@-".to_string(),
                };
            }
            self.line(text);
        }
        if let Some(label) = labels.get(&(f.code.len() as u32)) {
            self.line(format!("L{label}:"));
        }
    }

    fn insn(&self, pc: u32, word: u64, labels: &BTreeMap<u32, usize>) -> String {
        let Some(i) = Insn::decode(word) else { return format!(".word 0x{word:016x}") };
        let info = i.op.info();
        let mut list: Vec<String> = Vec::new();
        let label = |to: Option<u32>| match to.and_then(|to| labels.get(&to)) {
            Some(n) => format!("L{n}"),
            None => "L?".to_string(),
        };
        let target = target(&i, pc);
        let window = super::window(self.image, i).unwrap_or_default();
        for (field, value) in [(info.a, i.a), (info.b, i.b), (info.c, i.c)] {
            list.push(match field {
                Field::None => continue,
                Field::Iw | Field::Ir | Field::Ix => format!("r{value}"),
                Field::Sw | Field::Sr | Field::Sx => format!("s{value}"),
                Field::Ib if window.ints == 0 && value == 0 => continue,
                Field::Ib => range('r', value, window.ints),
                Field::Sb if window.strs == 0 && value == 0 => continue,
                Field::Sb => range('s', value, window.strs),
                Field::Aw | Field::Ar => format!("a{value}"),
                Field::Tw | Field::Tr => format!("t{value}"),
                Field::N if matches!(i.op, Op::Gaddi | Op::Maddi) => (value as i8).to_string(),
                Field::N => value.to_string(),
                Field::J | Field::K => continue,
            });
        }
        let n = i.imm as usize;
        let missing = || format!("?{}", i.imm);
        list.extend(match info.imm {
            Imm::None => None,
            Imm::Lit => Some(i.imm.to_string()),
            Imm::K => Some(self.image.constants.get(n).map_or_else(missing, constant_text)),
            Imm::Str => Some(self.image.strings.get(n).map_or_else(missing, |s| quoted(s))),
            Imm::G | Imm::St | Imm::M | Imm::Ms => Some(self.global_ref(i.imm as u32)),
            Imm::Fn => Some(self.function_ref(i.imm as u32)),
            Imm::H => Some(HELPERS.get(n).map_or_else(missing, |h| h.name.to_string())),
            Imm::Fmt => Some(self.image.formats.get(n).map_or_else(missing, |f| format_text(f))),
            Imm::It => Some(self.image.iterators.get(n).map_or_else(missing, |it| self.iterator(it))),
            Imm::Dfa => Some(format!("#{}", i.imm)),
            Imm::Fj | Imm::Bj => Some(label(target)),
        });
        if info.b == Field::J || info.b == Field::K {
            list.push(label(target));
        }
        if list.is_empty() {
            info.mnemonic.to_string()
        } else {
            format!("{:<7} {}", info.mnemonic, list.join(", "))
        }
    }

    fn iterator(&self, it: &Iter) -> String {
        let mut out = format!("[{}", self.global_ref(it.map));
        match it.sort {
            IterSort::Insertion => {}
            IterSort::Key(n) => _ = write!(out, " key {n}"),
            IterSort::Value => out += " value",
            IterSort::Field(n) => _ = write!(out, " field {n}"),
        }
        if it.descending {
            out += " down";
        }
        if it.limited {
            out += " limit";
        }
        if it.slice != 0 || it.slice_s != 0 {
            let _ = write!(out, " slice {} s{}", it.slice, it.slice_s);
        }
        out + "]"
    }
}

/// Names of the capabilities in a listing.
pub(super) const CAPS: [(u32, &str); 4] = [
    (stp_vm::isa::CAP_KERNEL_READ, "kernel_read"),
    (stp_vm::isa::CAP_USER_READ, "user_read"),
    (stp_vm::isa::CAP_ALL_PROCS, "all_procs"),
    (stp_vm::isa::CAP_GURU, "guru"),
];

fn range(letter: char, first: u8, count: u8) -> String {
    match count {
        0 | 1 => format!("{letter}{first}"),
        n => format!("{letter}{first}..{letter}{}", u32::from(first) + u32::from(n) - 1),
    }
}

/// `3` in the first file, `1/3` in another.
fn file_line(file: u32, line: u32) -> String {
    if file == 0 {
        line.to_string()
    } else {
        format!("{file}/{line}")
    }
}

/// A name bare where it is one word, else quoted.
fn quoted_name(name: &str) -> String {
    let plain = !name.is_empty()
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.')
        && !name.as_bytes()[0].is_ascii_digit();
    if plain {
        name.to_string()
    } else {
        quoted(name.as_bytes())
    }
}

pub(super) fn value_type(t: ValueType) -> &'static str {
    match t {
        ValueType::Int => "int",
        ValueType::Str => "str",
    }
}

fn class(class: &Class) -> String {
    let map = |keys: &[ValueType], value: String, size: u32, sized: bool, wrap: bool| {
        let keys: Vec<&str> = keys.iter().map(|k| value_type(*k)).collect();
        let size = format!(" {} {size}", if sized { "sized" } else { "size" });
        format!("map({}) -> {value}{size}{}", keys.join(", "), if wrap { " wrap" } else { "" })
    };
    match class {
        Class::Int { init } => format!("int {init}"),
        Class::Str { init } => format!("str {}", quoted(init)),
        Class::PerCpu { init } => format!("percpu {init}"),
        Class::Stat { hist, variance, minmax } => stat(*hist, *variance, *minmax),
        Class::Map { keys, value, size, sized, wrap } => {
            map(keys, value_type(*value).to_string(), *size, *sized, *wrap)
        }
        Class::StatMap { keys, size, sized, wrap, hist, variance, minmax } => {
            map(keys, stat(*hist, *variance, *minmax), *size, *sized, *wrap)
        }
    }
}

fn stat(hist: Hist, variance: Option<u8>, minmax: bool) -> String {
    let mut out = "stat".to_string();
    if minmax {
        out += " minmax";
    }
    if let Some(shift) = variance {
        let _ = write!(out, " variance {shift}");
    }
    match hist {
        Hist::None => {}
        Hist::Log => out += " log",
        Hist::Linear { lo, hi, step } => _ = write!(out, " linear {lo} {hi} {step}"),
    }
    out
}

/// Where a jump goes, as a number in its function.
pub(super) fn target(i: &Insn, pc: u32) -> Option<u32> {
    let info = i.op.info();
    let offset = match (info.b, info.imm) {
        (Field::J, _) => i64::from(i.bc()),
        (Field::K, _) => -i64::from(i.bc()),
        (_, Imm::Fj | Imm::Bj) => i64::from(i.imm),
        _ => return None,
    };
    u32::try_from(i64::from(pc) + 1 + offset).ok()
}

/// Numbers of the labels of a function, by instruction.
fn labels(f: &Function) -> BTreeMap<u32, usize> {
    let jumps = f.insns().enumerate().filter_map(|(pc, i)| target(&i?, pc as u32));
    let tries = f.tries.iter().flat_map(|t| [t.from, t.to, t.target]);
    let mut all: BTreeMap<u32, usize> = jumps.chain(tries).map(|pc| (pc, 0)).collect();
    all.values_mut().enumerate().for_each(|(n, label)| *label = n + 1);
    all
}

/// The text of a format: `"n=%05d\n"`; `%:4b` has a size of 4 bytes.
pub(super) fn format_text(items: &[FormatItem]) -> String {
    let mut out: Vec<u8> = Vec::new();
    for item in items {
        match item {
            FormatItem::Text(text) => {
                for b in text.iter() {
                    out.push(*b);
                    if *b == b'%' {
                        out.push(b'%');
                    }
                }
            }
            FormatItem::Value { conv, flags, width, precision, size } => {
                let mut s = String::from("%");
                s.extend(
                    FLAG_LETTERS.iter().enumerate().filter(|(n, _)| flags >> n & 1 != 0).map(|(_, c)| *c),
                );
                s += &number("", *width);
                s += &number(".", *precision);
                if *size != 0 {
                    let _ = write!(s, ":{size}");
                }
                s.push(conv.letter());
                out.extend(s.bytes());
            }
        }
    }
    quoted(&out)
}

fn number(before: &str, n: Number) -> String {
    match n {
        Number::None => String::new(),
        Number::Fixed(n) => format!("{before}{n}"),
        Number::Dynamic => format!("{before}*"),
    }
}
