//! The assembler: reads what [`super::listing`] writes, and what people write
//! for tests of the machine.
//!
//! In: text, one statement a line; `#` begins a comment. Out: an image, its
//! pools filled in order of use. It checks names and syntax; whether the code
//! is sound is the verifier's affair, so that tests can write unsound code.

mod cursor;
mod parts;

use super::image::*;
use super::listing::{target, CAPS};
use super::pools::Pools;
use crate::bytes::Bytes;
use cursor::Cursor;
use parts::{address, class, dfa, format_items, function_head, hex};
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
                    one_of: None,
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
            "one_of" => probe.one_of = Some(c.text()?),
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
            Imm::K if c.eat("&") => {
                let a = address(c)?;
                self.pools.address(&a)
            }
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
