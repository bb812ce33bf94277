//! What a unit has of code: functions, instances inlined into them, labels.
//! And where these are over all units, by pattern.
//!
//! In: units, patterns. Out: [`Instance`]s in the order of addresses. One walk
//! through a unit notes all; variables and types are left for those who ask.

use super::{Debuginfo, Die, Entry, Result, Unit};
use crate::target::dwarf::lines::path_fits;
use crate::target::dwarf::types::NameKind;
use crate::target::glob;
use gimli::AttributeValue;
use std::collections::{BTreeSet, HashMap};

/// A function as a unit describes it.
#[derive(Clone, Debug)]
pub(super) struct Sub {
    pub die: Die,
    /// What it is an instance or the definition of.
    pub origin: Option<Die>,
    pub name: &'static str,
    pub ranges: Vec<(u64, u64)>,
    /// First instruction; `None`: no code of its own.
    pub entry: Option<u64>,
}

/// Something at an address inside a function.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    pub die: Die,
    /// Of an inlined instance: its function.
    pub origin: Option<Die>,
    /// Of a label.
    pub name: &'static str,
    pub pc: u64,
    /// Index of the function in [`Code::subs`].
    pub within: usize,
    /// The inlined instance or function that it stands in.
    pub parent: Die,
}

/// A call that the compiler noted.
#[derive(Clone, Debug)]
pub(super) struct CallSite {
    /// `None`: a jump in the place of a call.
    pub returns_to: Option<u64>,
    /// The function as the caller's unit knows it.
    pub to: Die,
    /// The inlined instance or function that it stands in.
    pub parent: Die,
}

/// What one walk through a unit finds.
#[derive(Clone, Debug, Default)]
pub(super) struct Code {
    pub subs: Vec<Sub>,
    pub inlined: Vec<Inside>,
    pub labels: Vec<Inside>,
    pub calls: Vec<CallSite>,
}

/// A place in code that has a name: a function, an inlined instance of one, a label in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub name: String,
    /// The entry whose variables are in scope: function or inlined instance.
    pub die: Die,
    pub pc: u64,
    pub inlined: bool,
    /// Where it is declared: path as the unit's file table has it, and line.
    pub file: String,
    pub line: u64,
    pub label: Option<String>,
}

/// The address at which an entry with code begins.
pub(super) fn entry_pc(unit: &Unit, e: &Entry, ranges: &[(u64, u64)]) -> Option<u64> {
    let first = ranges.first().map(|r| r.0);
    match e.attr_value(gimli::DW_AT_entry_pc).ok()? {
        // DWARF 5: an offset from the base address
        Some(v @ (AttributeValue::Addr(_) | AttributeValue::DebugAddrIndex(_))) => unit.address(v).or(first),
        Some(v) => {
            let base = e.attr_value(gimli::DW_AT_low_pc).ok().flatten().and_then(|v| unit.address(v));
            v.udata_value().and_then(|o| base.or(first)?.checked_add(o)).or(first)
        }
        None => first,
    }
    .filter(|_| first.is_some())
}

impl Unit {
    pub(super) fn code(&self) -> &Code {
        self.code.get_or_init(|| {
            let mut code = Code::default();
            // what a damaged unit has before the damage is kept
            let _ = self.walk(&mut code);
            let named: HashMap<Die, &'static str> =
                code.subs.iter().filter(|s| !s.name.is_empty()).map(|s| (s.die, s.name)).collect();
            for s in &mut code.subs {
                if let (true, Some(o)) = (s.name.is_empty(), s.origin) {
                    s.name = named.get(&o).copied().unwrap_or("");
                }
            }
            code
        })
    }

    fn walk(&self, code: &mut Code) -> Result<()> {
        let mut cursor = self.unit.entries();
        let mut depth = 0isize;
        // functions around the cursor, and instances inlined into them: depth, index, entry
        let mut around: Vec<(isize, usize, Die)> = Vec::new();
        while let Some((delta, e)) = cursor.next_dfs()? {
            depth += delta;
            while around.last().is_some_and(|(d, ..)| *d >= depth) {
                around.pop();
            }
            let origin =
                |name| -> Result<Option<Die>> { Ok(e.attr_value(name)?.and_then(|v| self.reference(&v))) };
            let within = around.last().map(|a| a.1);
            let parent = around.last().map_or(self.at, |a| a.2);
            match e.tag() {
                gimli::DW_TAG_subprogram => {
                    if e.attr(gimli::DW_AT_declaration)?.is_some() {
                        continue;
                    }
                    let ranges = self.ranges(e);
                    let entry = entry_pc(self, e, &ranges);
                    let from = match origin(gimli::DW_AT_abstract_origin)? {
                        Some(o) => Some(o),
                        None => origin(gimli::DW_AT_specification)?,
                    };
                    let name = e.attr_value(gimli::DW_AT_name)?.and_then(|v| self.string(v)).unwrap_or("");
                    around.push((depth, code.subs.len(), self.die(e.offset())));
                    code.subs.push(Sub { die: self.die(e.offset()), origin: from, name, ranges, entry });
                }
                gimli::DW_TAG_inlined_subroutine => {
                    let (Some(within), Some(of)) = (within, origin(gimli::DW_AT_abstract_origin)?) else {
                        continue;
                    };
                    let die = self.die(e.offset());
                    if let Some(pc) = entry_pc(self, e, &self.ranges(e)) {
                        code.inlined.push(Inside { die, origin: Some(of), name: "", pc, within, parent });
                    }
                    around.push((depth, within, die));
                }
                gimli::DW_TAG_call_site | gimli::DW_TAG_GNU_call_site => {
                    let to = match origin(gimli::DW_AT_call_origin)? {
                        Some(o) => Some(o),
                        None => origin(gimli::DW_AT_abstract_origin)?,
                    };
                    // through a pointer: nobody knows to where
                    let (Some(to), true) = (to, within.is_some()) else { continue };
                    let jump = e.attr(gimli::DW_AT_call_tail_call)?.is_some()
                        || e.attr(gimli::DW_AT_GNU_tail_call)?.is_some();
                    let after = match e.attr_value(gimli::DW_AT_call_return_pc)? {
                        Some(v) => Some(v),
                        // before DWARF 5
                        None => e.attr_value(gimli::DW_AT_low_pc)?,
                    };
                    let returns_to = after.filter(|_| !jump).and_then(|v| self.address(v));
                    code.calls.push(CallSite { returns_to, to, parent });
                }
                gimli::DW_TAG_label => {
                    let low = e.attr_value(gimli::DW_AT_low_pc)?.and_then(|v| self.address(v));
                    let (Some(within), Some(pc)) = (within, low) else { continue };
                    let of = origin(gimli::DW_AT_abstract_origin)?;
                    let name = match (e.attr_value(gimli::DW_AT_name)?, of) {
                        (Some(v), _) => self.string(v),
                        (None, Some(o)) => {
                            self.entry(o)?.attr_value(gimli::DW_AT_name)?.and_then(|v| self.string(v))
                        }
                        (None, None) => None,
                    };
                    let die = self.die(e.offset());
                    code.labels.push(Inside {
                        die,
                        origin: of,
                        name: name.unwrap_or(""),
                        pc,
                        within,
                        parent,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Debuginfo {
    /// Where an entry, or what it is an instance of, is declared.
    pub fn declared(&self, die: Die) -> Result<(String, u64)> {
        let line = self.attribute(die, gimli::DW_AT_decl_line)?.and_then(|(_, v)| v.udata_value());
        let file = match self.attribute(die, gimli::DW_AT_decl_file)? {
            Some((unit, v)) => {
                let number = match v {
                    AttributeValue::FileIndex(n) => Some(n),
                    v => v.udata_value(),
                };
                number.map_or(String::new(), |n| unit.file_path(n))
            }
            None => String::new(),
        };
        Ok((file, line.unwrap_or(0)))
    }

    pub(super) fn instance(&self, die: Die, pc: u64, inlined: bool) -> Result<Instance> {
        let (file, line) = self.declared(die)?;
        let name = self.name_of(die)?.to_owned();
        Ok(Instance { name, die, pc, inlined, file, line, label: None })
    }

    /// Instances in one unit of functions whose name matches.
    fn instances_in(&self, unit: &Unit, pattern: &str, out: &mut Vec<Instance>) -> Result<()> {
        let code = unit.code();
        let mut names: HashMap<Die, bool> = HashMap::new();
        let mut matches = |die: Die, name: &'static str| -> Result<bool> {
            if let Some(known) = names.get(&die) {
                return Ok(*known);
            }
            let name = if name.is_empty() { self.name_of(die)? } else { name };
            let fits = glob::matches(pattern, name);
            names.insert(die, fits);
            Ok(fits)
        };
        for s in &code.subs {
            if let (Some(pc), true) = (s.entry, matches(s.die, s.name)?) {
                out.push(self.instance(s.die, pc, false)?);
            }
        }
        for i in &code.inlined {
            if let (Some(o), true) = (i.origin, matches(i.origin.unwrap_or(i.die), "")?) {
                let mut one = self.instance(i.die, i.pc, true)?;
                // the instance has the place of its function
                (one.file, one.line) = self.declared(o)?;
                out.push(one);
            }
        }
        Ok(())
    }

    /// Functions with code and inlined instances, by name or pattern, by address.
    pub fn instances(&self, pattern: &str) -> Result<Vec<Instance>> {
        self.instances_of(pattern, None)
    }

    /// The same; where a file is named that is no header, only the units made from such a file are
    /// looked into.
    pub fn instances_of(&self, pattern: &str, file: Option<&str>) -> Result<Vec<Instance>> {
        let source = file.filter(|f| f.ends_with(".c") || f.ends_with(".S"));
        let mut out = Vec::new();
        if !glob::is_pattern(pattern) {
            if let Some(found) = self.quickly(pattern)? {
                return Ok(found);
            }
        }
        let mut seen = BTreeSet::new();
        for die in self.indexed(NameKind::Function, pattern) {
            let unit = self.unit_of(die)?;
            if seen.insert(unit.at) && source.is_none_or(|f| path_fits(f, unit.name())) {
                self.instances_in(&unit, pattern, &mut out)?;
            }
        }
        out.sort_by_key(|i| (i.pc, i.inlined, i.die));
        out.dedup();
        Ok(out)
    }

    /// Where the symbol table leads to the unit, and the function is of the unit's own file (so that
    /// no other unit has a copy or an instance), there is no need to know all units.
    fn quickly(&self, name: &str) -> Result<Option<Vec<Instance>>> {
        let named = |s: &&super::ElfSymbol| s.is_function && s.name.split('.').next() == Some(name);
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for s in self.symbols().iter().filter(named) {
            let Some(unit) = self.unit_at(s.address)? else { return Ok(None) };
            if seen.insert(unit.at) {
                self.instances_in(&unit, name, &mut out)?;
            }
        }
        let header = |i: &Instance| i.file.ends_with(".h") || i.file.is_empty();
        if out.is_empty() || out.iter().any(header) {
            return Ok(None);
        }
        out.sort_by_key(|i| (i.pc, i.inlined, i.die));
        out.dedup();
        Ok(Some(out))
    }

    /// Can other files call it?
    pub fn is_external(&self, function: &Instance) -> Result<bool> {
        Ok(matches!(
            self.attribute(function.die, gimli::DW_AT_external)?,
            Some((_, AttributeValue::Flag(true)))
        ))
    }

    /// The function (its own code) that holds an address; inlined instances are looked into only by
    /// [`super::scope`].
    pub fn function_at(&self, pc: u64) -> Result<Option<Instance>> {
        let Some(unit) = self.unit_at(pc)? else { return Ok(None) };
        let code = unit.code();
        let holds = |s: &&Sub| s.ranges.iter().any(|r| (r.0..r.1).contains(&pc));
        match code.subs.iter().filter(|s| s.entry.is_some()).find(holds) {
            Some(s) => self.instance(s.die, s.entry.unwrap_or(pc), false).map(Some),
            None => Ok(None),
        }
    }

    /// A function with code of its own, at its first instruction.
    pub fn entry_of(&self, function: Die) -> Result<Option<Instance>> {
        let unit = self.unit_of(function)?;
        let entry = unit.code().subs.iter().find(|s| s.die == function).and_then(|s| s.entry);
        entry.map(|pc| self.instance(function, pc, false)).transpose()
    }

    /// Labels that match, in the functions given.
    pub fn labels(&self, functions: &[Instance], pattern: &str) -> Result<Vec<Instance>> {
        let mut out = Vec::new();
        for f in functions {
            let unit = self.unit_of(f.die)?;
            let code = unit.code();
            for l in &code.labels {
                // a label of what was inlined there is another function's
                let of = l.parent == f.die;
                if of && !l.name.is_empty() && glob::matches(pattern, l.name) {
                    let (_, line) = self.declared(l.die)?;
                    let label = Some(l.name.to_owned());
                    out.push(Instance { pc: l.pc, line, label, ..f.clone() });
                }
            }
        }
        Ok(out)
    }
}
