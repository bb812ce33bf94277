//! The assembler: reads what [`super::listing`] writes, and what people write
//! for tests of the machine.
//!
//! In: text, one statement a line; `#` begins a comment. Out: an image, its
//! pools filled in order of use. It checks names and syntax; whether the code
//! is sound is the verifier's affair, so that tests can write unsound code.

use super::image::*;
use super::listing::{target, CAPS, FLAG_LETTERS};
use super::pools::Pools;
use crate::bytes::Bytes;
use std::collections::HashMap;
use stp_vm::isa::{Field, Imm, Insn, Op, HELPERS, LIMITS, OPS};

/// A line that the assembler can't read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct AsmError {
    /// From 1.
    pub line: usize,
    pub what: String,
}

/// Text to an image.
///
/// # Errors
/// The first line that is wrong, and what was expected there.
pub fn assemble(text: &str) -> Result<Image, AsmError> {
    let mut a = Assembler { image: Image::new(""), ..Assembler::default() };
    for (number, line) in text.lines().enumerate() {
        a.declare(line).map_err(|what| AsmError { line: number + 1, what })?;
    }
    for (number, line) in text.lines().enumerate() {
        a.statement(line).map_err(|what| AsmError { line: number + 1, what })?;
    }
    let end = text.lines().count();
    a.finish_function().map_err(|what| AsmError { line: end, what })?;
    for (probe, line) in &a.open {
        if !probe.has_handler {
            return Err(AsmError { line: *line, what: "this probe has no handler".into() });
        }
    }
    a.image.source.sort_by_key(|s| (s.file, s.line));
    a.image.source.dedup_by_key(|s| (s.file, s.line));
    a.pools.store(&mut a.image);
    Ok(a.image)
}

#[derive(Default)]
struct OpenProbe {
    has_handler: bool,
}

#[derive(Default)]
struct Assembler {
    image: Image,
    pools: Pools,
    globals: HashMap<String, u32>,
    functions: HashMap<String, u32>,
    places: HashMap<CodePlace, u32>,
    /// Probes seen in the second pass, with the lines that they begin on.
    open: Vec<(OpenProbe, usize)>,
    lines_seen: usize,
    current: Current,
    next_function: usize,
    labels: HashMap<String, u32>,
    fixups: Vec<(usize, String)>,
    tries: Vec<[String; 3]>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Current {
    #[default]
    Header,
    Probe,
    Function(usize),
}

type Step<T> = Result<T, String>;

impl Assembler {
    /// First pass: names of globals and functions, with their signatures.
    fn declare(&mut self, line: &str) -> Step<()> {
        let mut c = Cursor::new(line);
        match c.word() {
            "global" => {
                let name = c.name()?;
                c.expect("=")?;
                let class = class(&mut c)?;
                c.end()?;
                let n = self.image.globals.len() as u32;
                if self.globals.insert(name.clone(), n).is_some() {
                    return Err(format!("global {name} is there twice"));
                }
                self.image.globals.push(Global { name, class });
            }
            word @ ("function" | "handler") if !line.starts_with([' ', '\t']) => {
                let f = function_head(&mut c, word == "handler")?;
                let n = self.image.functions.len() as u32;
                if self.functions.insert(f.name.clone(), n).is_some() {
                    return Err(format!("function {} is there twice", f.name));
                }
                self.image.functions.push(f);
            }
            _ => {}
        }
        Ok(())
    }

    fn statement(&mut self, line: &str) -> Step<()> {
        self.lines_seen += 1;
        let mut c = Cursor::new(line);
        if c.at_end() {
            return Ok(());
        }
        if !line.starts_with([' ', '\t']) && !line.trim_end().ends_with(':') {
            self.finish_function()?;
            return self.top(&mut c, line);
        }
        match self.current {
            Current::Header => Err("expected image, limit, global, probe, handler or function".into()),
            Current::Probe => self.probe_line(&mut c, line),
            Current::Function(n) => self.function_line(&mut c, n, line),
        }
    }

    fn top(&mut self, c: &mut Cursor<'_>, line: &str) -> Step<()> {
        match c.word() {
            "image" => self.image.name = c.text()?,
            "target" => self.image.target = hex(c.word())?,
            "caps" => {
                while !c.at_end() {
                    let word = c.word();
                    let cap = CAPS.iter().find(|(_, name)| *name == word);
                    self.image.caps |= cap.ok_or_else(|| format!("unknown capability {word}"))?.0;
                }
            }
            "limit" => {
                let name = c.word();
                let value = c.number()?;
                let row = LIMITS.iter().find(|l| l.name == name);
                match (row, self.image.limits.field_mut(name)) {
                    (Some(row), Some(field))
                        if (i64::from(row.lowest)..=i64::from(row.highest)).contains(&value) =>
                    {
                        *field = value as i32;
                    }
                    (Some(row), _) => {
                        return Err(format!("{name} is between {} and {}", row.lowest, row.highest));
                    }
                    _ => return Err(format!("unknown limit {name}")),
                }
            }
            "file" => {
                let file = c.text()?;
                self.image.files.push(file);
            }
            "dfa" => {
                let dfa = dfa(c)?;
                self.image.dfas.push(dfa);
            }
            "global" => return Ok(()),
            "handler" | "function" => {
                self.current = Current::Function(self.next_function);
                self.next_function += 1;
                return Ok(());
            }
            "probe" => {
                self.current = Current::Probe;
                self.open.push((OpenProbe::default(), self.lines_seen));
                let pp = line["probe".len()..].trim().to_string();
                self.image.probes.push(Probe {
                    at: crate::types::hir::Place::Never,
                    function: 0,
                    condition: None,
                    pn: pp.clone(),
                    label: format!("probe {pp}"),
                    pp,
                    optional: false,
                    locks: Vec::new(),
                    cost: None,
                });
                return Ok(());
            }
            word => return Err(format!("unknown word {word}")),
        }
        c.end()
    }

    fn probe_line(&mut self, c: &mut Cursor<'_>, line: &str) -> Step<()> {
        let word = c.word();
        let function = match word {
            "handler" | "condition" => Some(self.function_ref(c)?),
            _ => None,
        };
        let lock = match word {
            "lock" => {
                let global = self.global_ref(c)?;
                let mode = match c.word() {
                    "add" => LockMode::Add,
                    "read" => LockMode::Read,
                    "write" => LockMode::Write,
                    other => return Err(format!("lock mode is add, read or write, not {other}")),
                };
                Some(Lock { global, mode })
            }
            _ => None,
        };
        let Some(probe) = self.image.probes.last_mut() else { return Err("no probe".into()) };
        match word {
            "at" => {
                let json = line.trim_start().strip_prefix("at").unwrap_or_default().trim();
                probe.at = serde_json::from_str(json).map_err(|e| format!("place: {e}"))?;
                return Ok(());
            }
            "pp" => probe.pp = c.text()?,
            "pn" => probe.pn = c.text()?,
            "label" => probe.label = c.text()?,
            "handler" => {
                probe.function = function.unwrap_or_default();
                if let Some((open, _)) = self.open.last_mut() {
                    open.has_handler = true;
                }
            }
            "condition" => probe.condition = function,
            "optional" => probe.optional = true,
            "lock" => probe.locks.extend(lock),
            "cost" => probe.cost = Some(c.number()?.try_into().map_err(|_| "cost out of range")?),
            other => return Err(format!("unknown word {other} in a probe")),
        }
        c.end()
    }

    fn function_ref(&self, c: &mut Cursor<'_>) -> Step<u32> {
        c.expect("&")?;
        if let Some(n) = c.plain_number() {
            return Ok(n);
        }
        let name = c.name()?;
        self.functions.get(&name).copied().ok_or_else(|| format!("unknown function {name}"))
    }

    fn global_ref(&self, c: &mut Cursor<'_>) -> Step<u32> {
        c.expect("%")?;
        if let Some(n) = c.plain_number() {
            return Ok(n);
        }
        let name = c.name()?;
        self.globals.get(&name).copied().ok_or_else(|| format!("unknown global {name}"))
    }

    fn function_line(&mut self, c: &mut Cursor<'_>, n: usize, line: &str) -> Step<()> {
        if c.eat("|") {
            let (file, number) = c.file_line()?;
            let text = line.split_once(": ").map_or("", |(_, t)| t).to_string();
            self.image.source.push(SourceLine { file, line: number, text });
            return Ok(());
        }
        let pc = self.image.functions[n].code.len() as u32;
        let first = c.word().to_string();
        if c.eat(":") {
            if self.labels.insert(first.clone(), pc).is_some() {
                return Err(format!("label {first} is there twice"));
            }
            return c.end();
        }
        if first == "try" {
            let from = c.word().to_string();
            c.expect("..")?;
            let to = c.word().to_string();
            if c.word() != "catch" {
                return Err("expected catch".into());
            }
            self.tries.push([from, to, c.word().to_string()]);
            return c.end();
        }
        if first == ".word" {
            let word = c.word().trim_start_matches("0x");
            let word = u64::from_str_radix(word, 16).map_err(|e| e.to_string())?;
            self.image.functions[n].code.push(word);
        } else {
            let word = self.insn(c, &first)?;
            self.image.functions[n].code.push(word.encode());
        }
        if c.eat("@") {
            let place = self.place(c)?;
            self.image.functions[n].lines.push(Line { pc, place });
            return Ok(());
        }
        c.end()
    }

    fn place(&mut self, c: &mut Cursor<'_>) -> Step<u32> {
        if c.eat("-") {
            return Ok(Line::NOWHERE);
        }
        let (file, line) = c.file_line()?;
        let col = c.number()? as u32;
        let place = CodePlace { token: c.rest().trim().to_string(), file, line, col };
        let next = self.image.places.len() as u32;
        Ok(*self.places.entry(place.clone()).or_insert_with(|| {
            self.image.places.push(place);
            next
        }))
    }

    fn insn(&mut self, c: &mut Cursor<'_>, mnemonic: &str) -> Step<Insn> {
        let Some(info) = OPS.iter().find(|o| o.mnemonic == mnemonic) else {
            return Err(format!("unknown instruction {mnemonic}"));
        };
        let mut i = Insn { op: info.op, a: 0, b: 0, c: 0, imm: 0 };
        let mut first = true;
        let mut fields = [0u8; 3];
        for (value, field) in fields.iter_mut().zip([info.a, info.b, info.c]) {
            let letter = match field {
                Field::None | Field::J | Field::K => continue,
                Field::Ib | Field::Sb => {
                    let letter = if field == Field::Ib { 'r' } else { 's' };
                    let mut ahead = c.clone();
                    if !first && !ahead.eat(",") {
                        continue;
                    }
                    let Some(n) = ahead.register(letter) else { continue };
                    ahead.range_end(letter)?;
                    *c = ahead;
                    *value = n;
                    first = false;
                    continue;
                }
                Field::Iw | Field::Ir | Field::Ix => 'r',
                Field::Sw | Field::Sr | Field::Sx => 's',
                Field::Aw | Field::Ar => 'a',
                Field::Tw | Field::Tr => 't',
                Field::N => '#',
            };
            c.comma(&mut first)?;
            *value = if letter == '#' {
                let n = c.number()?;
                u8::try_from(n)
                    .or_else(|_| i8::try_from(n).map(|n| n as u8))
                    .map_err(|_| "number out of range")?
            } else {
                c.register(letter).ok_or_else(|| format!("expected a register {letter}N"))?
            };
        }
        [i.a, i.b, i.c] = fields;
        if info.imm != Imm::None {
            c.comma(&mut first)?;
            i.imm = self.immediate(c, info.op, info.imm)?;
        }
        if info.b == Field::J || info.b == Field::K {
            c.comma(&mut first)?;
            self.fixup(c);
        }
        Ok(i)
    }

    fn fixup(&mut self, c: &mut Cursor<'_>) {
        let Current::Function(n) = self.current else { return };
        self.fixups.push((self.image.functions[n].code.len(), c.word().to_string()));
    }

    fn immediate(&mut self, c: &mut Cursor<'_>, op: Op, imm: Imm) -> Step<i32> {
        if c.eat("?") {
            return i32::try_from(c.number()?).map_err(|_| "number out of range".into());
        }
        Ok(match imm {
            Imm::None => 0,
            Imm::Lit => i32::try_from(c.number()?).map_err(|_| "number does not fit 32 bits; use ldk")?,
            Imm::K => self.pools.constant(c.number()?),
            Imm::Str => self.pools.string(&Bytes(c.bytes()?)),
            Imm::G | Imm::St | Imm::M | Imm::Ms => self.global_ref(c)? as i32,
            Imm::Fn => self.function_ref(c)? as i32,
            Imm::H => {
                let name = c.word();
                let n = HELPERS.iter().position(|h| h.name == name);
                n.ok_or_else(|| format!("unknown helper {name}"))? as i32
            }
            Imm::Fmt if matches!(op, Op::Print | Op::Sprint) => {
                let items = format_items(&c.bytes()?)?;
                self.pools.format(&items)
            }
            Imm::Fmt => c.number()? as i32,
            Imm::It => {
                let it = self.iterator(c)?;
                self.pools.iterator(&it)
            }
            Imm::Dfa => {
                c.expect("#")?;
                let n = c.number()?;
                match usize::try_from(n).ok().and_then(|n| self.image.dfas.get(n)) {
                    Some(dfa) => self.pools.dfa(&dfa.clone()),
                    None => return Err(format!("no dfa #{n}")),
                }
            }
            Imm::Fj | Imm::Bj => {
                self.fixup(c);
                0
            }
        })
    }

    fn iterator(&mut self, c: &mut Cursor<'_>) -> Step<Iter> {
        c.expect("[")?;
        let map = self.global_ref(c)?;
        let mut it =
            Iter { map, sort: IterSort::Insertion, descending: false, limited: false, slice: 0, slice_s: 0 };
        while !c.eat("]") {
            match c.word() {
                "key" => it.sort = IterSort::Key(c.small()?),
                "value" => it.sort = IterSort::Value,
                "field" => it.sort = IterSort::Field(c.small()?),
                "down" => it.descending = true,
                "limit" => it.limited = true,
                "slice" => {
                    it.slice = c.number()?.try_into().map_err(|_| "slice mask out of range")?;
                    it.slice_s = c.register('s').ok_or("expected a slot sN")?;
                }
                other => return Err(format!("unknown word {other} in an iterator")),
            }
        }
        Ok(it)
    }

    /// Jumps and catch blocks of the function that ends here.
    fn finish_function(&mut self) -> Step<()> {
        let Current::Function(n) = self.current else { return Ok(()) };
        self.current = Current::Header;
        let labels = std::mem::take(&mut self.labels);
        let find = |name: &str| labels.get(name).copied().ok_or_else(|| format!("unknown label {name}"));
        let f = &mut self.image.functions[n];
        for (pc, label) in self.fixups.drain(..) {
            let to = find(&label)?;
            let Some(mut i) = Insn::decode(f.code[pc]) else { continue };
            let offset = i64::from(to) - pc as i64 - 1;
            let short =
                |n: i64| u16::try_from(n).map_err(|_| format!("{label} is too far or on the wrong side"));
            match i.op.info().b {
                Field::J => [i.b, i.c] = short(offset)?.to_le_bytes(),
                Field::K => [i.b, i.c] = short(-offset)?.to_le_bytes(),
                _ => i.imm = offset as i32,
            }
            debug_assert_eq!(target(&i, pc as u32), Some(to));
            f.code[pc] = i.encode();
        }
        for [from, to, catch] in self.tries.drain(..) {
            f.tries.push(Try { from: find(&from)?, to: find(&to)?, target: find(&catch)? });
        }
        Ok(())
    }
}

fn value_type(word: &str) -> Step<ValueType> {
    match word {
        "int" => Ok(ValueType::Int),
        "str" => Ok(ValueType::Str),
        other => Err(format!("expected int or str, not {other}")),
    }
}

fn types(c: &mut Cursor<'_>) -> Step<Vec<ValueType>> {
    c.expect("(")?;
    let mut list = Vec::new();
    while !c.eat(")") {
        if !list.is_empty() {
            c.expect(",")?;
        }
        list.push(value_type(c.word())?);
    }
    Ok(list)
}

fn function_head(c: &mut Cursor<'_>, handler: bool) -> Step<Function> {
    let mut f = Function { name: c.name()?, handler, ..Function::default() };
    if !handler {
        f.params = types(c)?;
        if c.eat("->") {
            f.ret = match value_type(c.word())? {
                ValueType::Int => Ret::Int,
                ValueType::Str => Ret::Str,
            };
        }
    }
    while !c.at_end() {
        match c.word() {
            "regs" => f.nregs = c.number()?.try_into().map_err(|_| "regs out of range")?,
            "strs" => f.nstrs = c.number()?.try_into().map_err(|_| "strs out of range")?,
            "aggs" => f.naggs = c.small()?,
            "iters" => f.niters = c.small()?,
            "locked" => f.locked = true,
            other => return Err(format!("unknown word {other} in a function's head")),
        }
    }
    Ok(f)
}

struct Stat {
    hist: Hist,
    variance: Option<u8>,
    minmax: bool,
}

/// After the word `stat`.
fn stat(c: &mut Cursor<'_>) -> Step<Stat> {
    let mut s = Stat { hist: Hist::None, variance: None, minmax: false };
    loop {
        let mut ahead = c.clone();
        match ahead.word() {
            "minmax" => s.minmax = true,
            "variance" => s.variance = Some(ahead.small()?),
            "log" => s.hist = Hist::Log,
            "linear" => {
                let (lo, hi, step) = (ahead.number()?, ahead.number()?, ahead.number()?);
                s.hist = Hist::Linear { lo, hi, step };
            }
            _ => return Ok(s),
        }
        *c = ahead;
    }
}

fn class(c: &mut Cursor<'_>) -> Step<Class> {
    match c.word() {
        "int" => Ok(Class::Int { init: c.number()? }),
        "percpu" => Ok(Class::PerCpu { init: c.number()? }),
        "str" => Ok(Class::Str { init: Bytes(c.bytes()?) }),
        "stat" => {
            let Stat { hist, variance, minmax } = stat(c)?;
            Ok(Class::Stat { hist, variance, minmax })
        }
        "map" => {
            let keys = types(c)?;
            c.expect("->")?;
            let word = c.word().to_string();
            let stat = if word == "stat" { Some(stat(c)?) } else { None };
            let sized = match c.word() {
                "sized" => true,
                "size" => false,
                other => return Err(format!("expected size or sized, not {other}")),
            };
            let size = c.number()?.try_into().map_err(|_| "size out of range")?;
            let wrap = !c.at_end() && c.word() == "wrap";
            Ok(match stat {
                Some(Stat { hist, variance, minmax }) => {
                    Class::StatMap { keys, size, sized, wrap, hist, variance, minmax }
                }
                None => Class::Map { keys, value: value_type(&word)?, size, sized, wrap },
            })
        }
        other => Err(format!("unknown class {other}")),
    }
}

fn dfa(c: &mut Cursor<'_>) -> Step<Dfa> {
    c.expect("#")?;
    c.number()?;
    let mut dfa = Dfa { pattern: Bytes(c.bytes()?), ..Dfa::default() };
    while !c.at_end() {
        match c.word() {
            "states" => dfa.nstates = c.number()?.try_into().map_err(|_| "states out of range")?,
            "groups" => dfa.ngroups = c.number()?.try_into().map_err(|_| "groups out of range")?,
            "flags" => dfa.flags = c.number()?.try_into().map_err(|_| "flags out of range")?,
            "words" => {
                while !c.at_end() {
                    dfa.words.push(u32::from_str_radix(c.word(), 16).map_err(|e| e.to_string())?);
                }
            }
            other => return Err(format!("unknown word {other} in a dfa")),
        }
    }
    Ok(dfa)
}

fn hex(word: &str) -> Step<Vec<u8>> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    if digits.len() % 2 != 0 || !digits.is_ascii() {
        return Err("expected pairs of hex digits".into());
    }
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).map_err(|e| e.to_string()))
        .collect()
}

/// The text of a format, as [`super::listing`] writes it.
fn format_items(text: &[u8]) -> Step<Vec<FormatItem>> {
    let mut items = Vec::new();
    let mut literal: Vec<u8> = Vec::new();
    let mut rest = text;
    while let Some((b, tail)) = rest.split_first() {
        rest = tail;
        if *b != b'%' || rest.first() == Some(&b'%') {
            literal.push(*b);
            rest = if *b == b'%' { &rest[1..] } else { rest };
            continue;
        }
        if !literal.is_empty() {
            items.push(FormatItem::Text(Bytes(std::mem::take(&mut literal))));
        }
        let mut take = |want: &dyn Fn(u8) -> bool| {
            let n = rest.iter().take_while(|b| want(**b)).count();
            let (head, tail) = rest.split_at(n);
            rest = tail;
            String::from_utf8_lossy(head).into_owned()
        };
        let mut flags = 0;
        for c in take(&|b| FLAG_LETTERS.contains(&(b as char))).chars() {
            flags |= FLAG_LETTERS.iter().position(|f| *f == c).map_or(0, |n| 1 << n);
        }
        let digits = |b: u8| b.is_ascii_digit() || b == b'*';
        let number = |s: &str| match s {
            "" => Ok(Number::None),
            "*" => Ok(Number::Dynamic),
            s => s.parse().map(Number::Fixed).map_err(|e| format!("{s}: {e}")),
        };
        let width = number(&take(&digits))?;
        let dot = take(&|b| b == b'.');
        let digits_after = take(&digits);
        let precision = if dot.is_empty() { Number::None } else { number(&digits_after)? };
        let colon = take(&|b| b == b':');
        let size = take(&|b| b.is_ascii_digit() && !colon.is_empty()).parse().unwrap_or(0);
        let letter = rest.first().map(|b| *b as char).and_then(Conversion::from_letter);
        let conv = letter.ok_or("unknown conversion")?;
        rest = &rest[1..];
        items.push(FormatItem::Value { conv, flags, width, precision, size });
    }
    if !literal.is_empty() {
        items.push(FormatItem::Text(Bytes(literal)));
    }
    Ok(items)
}

/// A place in a line.
#[derive(Clone)]
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn new(line: &'a str) -> Self {
        Self { rest: line }
    }
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }
    fn at_end(&mut self) -> bool {
        self.skip();
        // `#3` is a dfa, `# text` a comment.
        let comment = self.rest.starts_with('#') && !self.rest[1..].starts_with(|c: char| c.is_ascii_digit());
        self.rest.is_empty() || comment
    }
    fn end(&mut self) -> Step<()> {
        if self.at_end() {
            Ok(())
        } else {
            Err(format!("unexpected {}", self.rest))
        }
    }
    fn rest(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }
    fn eat(&mut self, what: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
    fn expect(&mut self, what: &str) -> Step<()> {
        if self.eat(what) {
            Ok(())
        } else {
            Err(format!("expected {what} before {:?}", self.rest))
        }
    }
    fn comma(&mut self, first: &mut bool) -> Step<()> {
        if std::mem::replace(first, false) {
            Ok(())
        } else {
            self.expect(",")
        }
    }
    /// Letters, digits, `_`, and dots that stand before one of them.
    fn word(&mut self) -> &'a str {
        self.skip();
        let bytes = self.rest.as_bytes();
        let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let mut n = 0;
        while part(bytes.get(n)) || (bytes.get(n) == Some(&b'.') && part(bytes.get(n + 1))) {
            n += 1;
        }
        let (word, rest) = self.rest.split_at(n);
        self.rest = rest;
        word
    }
    fn name(&mut self) -> Step<String> {
        self.skip();
        if self.rest.starts_with('"') {
            return self.text();
        }
        match self.word() {
            "" => Err(format!("expected a name before {:?}", self.rest)),
            word => Ok(word.to_string()),
        }
    }
    fn plain_number(&mut self) -> Option<u32> {
        let mut ahead = self.clone();
        let n = ahead.word().parse().ok()?;
        *self = ahead;
        Some(n)
    }
    fn number(&mut self) -> Step<i64> {
        let negative = self.eat("-");
        let word = self.word();
        let text = if negative { format!("-{word}") } else { word.to_string() };
        text.parse().map_err(|_| format!("expected a number, not {text:?}"))
    }
    fn small(&mut self) -> Step<u8> {
        self.number()?.try_into().map_err(|_| "number out of range".into())
    }
    fn register(&mut self, letter: char) -> Option<u8> {
        let mut ahead = self.clone();
        let n = ahead.word().strip_prefix(letter)?.parse().ok()?;
        *self = ahead;
        Some(n)
    }
    /// `..r4` after `r2`: shown for people, the callee says how many there are.
    fn range_end(&mut self, letter: char) -> Step<()> {
        if self.eat("..") && self.register(letter).is_none() {
            return Err(format!("expected a register {letter}N after .."));
        }
        Ok(())
    }
    /// `3:` or `1/3:`; the file is 0 where it is not named.
    fn file_line(&mut self) -> Step<(u32, u32)> {
        let first = self.number()?;
        let pair = if self.eat("/") { (first, self.number()?) } else { (0, first) };
        self.expect(":")?;
        match (u32::try_from(pair.0), u32::try_from(pair.1)) {
            (Ok(file), Ok(line)) => Ok((file, line)),
            _ => Err("line out of range".into()),
        }
    }
    fn text(&mut self) -> Step<String> {
        String::from_utf8(self.bytes()?).map_err(|e| e.to_string())
    }
    /// A quoted string, escapes as in [`Bytes`]' text.
    fn bytes(&mut self) -> Step<Vec<u8>> {
        self.expect("\"")?;
        let bytes = self.rest.as_bytes();
        let (mut out, mut n) = (Vec::new(), 0);
        loop {
            match bytes.get(n) {
                None => return Err("unterminated string".into()),
                Some(b'"') => break,
                Some(b'\\') => {
                    let octal: String = bytes[n + 1..]
                        .iter()
                        .take(3)
                        .map(|b| *b as char)
                        .take_while(char::is_ascii_digit)
                        .collect();
                    let (byte, len) = match bytes.get(n + 1) {
                        Some(b'n') => (b'\n', 1),
                        Some(b't') => (b'\t', 1),
                        Some(b'r') => (b'\r', 1),
                        Some(b'"') => (b'"', 1),
                        Some(b'\\') => (b'\\', 1),
                        _ => {
                            let byte = u8::from_str_radix(&octal, 8).map_err(|_| "unknown escape")?;
                            (byte, octal.len())
                        }
                    };
                    out.push(byte);
                    n += 1 + len;
                }
                Some(b) => {
                    out.push(*b);
                    n += 1;
                }
            }
        }
        self.rest = &self.rest[n + 1..];
        Ok(out)
    }
}
