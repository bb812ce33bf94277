//! Pools of an image: equal entries are kept once. The canonical order of a
//! pool is that of first use in the code, functions in their order; the
//! listing relies on it, because it writes pool entries where they are used.

use super::image::{Constant, Dfa, FormatItem, Image, Iter};
use crate::bytes::Bytes;
use crate::types::hir::SymbolRef;
use std::collections::HashMap;
use std::hash::Hash;
use stp_vm::isa::{Imm, Insn};

/// Entries with numbers, each kept once.
#[derive(Debug)]
struct Pool<T> {
    list: Vec<T>,
    index: HashMap<T, u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { list: Vec::new(), index: HashMap::new() }
    }
}

impl<T: Clone + Eq + Hash> Pool<T> {
    fn add(&mut self, value: &T) -> i32 {
        if let Some(n) = self.index.get(value) {
            return *n as i32;
        }
        let n = self.list.len() as u32;
        self.list.push(value.clone());
        self.index.insert(value.clone(), n);
        n as i32
    }
}

/// The pools of an image while it is made.
#[derive(Debug)]
pub struct Pools {
    constants: Pool<Constant>,
    strings: Pool<Bytes>,
    formats: Pool<Vec<FormatItem>>,
    iterators: Pool<Iter>,
    dfas: Pool<Dfa>,
}

impl Default for Pools {
    fn default() -> Self {
        let mut p = Self {
            constants: Pool::default(),
            strings: Pool::default(),
            formats: Pool::default(),
            iterators: Pool::default(),
            dfas: Pool::default(),
        };
        p.strings.add(&Bytes::default());
        p
    }
}

impl Pools {
    pub fn constant(&mut self, k: i64) -> i32 {
        self.constants.add(&Constant::Number(k))
    }
    pub fn address(&mut self, a: &SymbolRef) -> i32 {
        self.constants.add(&Constant::Address(a.clone()))
    }
    pub fn string(&mut self, s: &Bytes) -> i32 {
        self.strings.add(s)
    }
    pub fn format(&mut self, f: &Vec<FormatItem>) -> i32 {
        self.formats.add(f)
    }
    pub fn iterator(&mut self, i: &Iter) -> i32 {
        self.iterators.add(i)
    }
    /// The same specification with another slot for its slice keys.
    pub fn iterator_with_slot(&mut self, n: i32, slice_s: u8) -> i32 {
        match self.iterators.list.get(n as usize) {
            Some(i) => {
                let i = Iter { slice_s, ..i.clone() };
                self.iterators.add(&i)
            }
            None => n,
        }
    }
    pub fn dfa(&mut self, d: &Dfa) -> i32 {
        self.dfas.add(d)
    }
    /// Puts the pools into the image that was made with them.
    pub fn store(self, image: &mut Image) {
        image.constants = self.constants.list;
        image.strings = self.strings.list;
        image.formats = self.formats.list;
        image.iterators = self.iterators.list;
        image.dfas = self.dfas.list;
    }
}

impl Image {
    /// Brings the pools into their canonical order and drops what no code uses.
    /// Instructions that name no entry stay as they are.
    pub fn canonical(&mut self) {
        let mut pools = Pools::default();
        let mut functions = std::mem::take(&mut self.functions);
        for word in functions.iter_mut().flat_map(|f| f.code.iter_mut()) {
            let Some(mut insn) = Insn::decode(*word) else { continue };
            let n = insn.imm as usize;
            let moved = match insn.op.info().imm {
                Imm::K => self.constants.get(n).map(|k| pools.constants.add(k)),
                Imm::Str => self.strings.get(n).map(|s| pools.string(s)),
                Imm::Fmt => self.formats.get(n).map(|f| pools.format(f)),
                Imm::It => self.iterators.get(n).map(|i| pools.iterator(i)),
                Imm::Dfa => self.dfas.get(n).map(|d| pools.dfa(d)),
                _ => None,
            };
            if let Some(imm) = moved {
                insn.imm = imm;
                *word = insn.encode();
            }
        }
        self.functions = functions;
        pools.store(self);
        self.canonical_places();
    }

    /// The same for files, places and source lines.
    fn canonical_places(&mut self) {
        let mut places = Pool::default();
        let mut files: Pool<String> = Pool::default();
        let old_files = std::mem::take(&mut self.files);
        let file_name = |n: u32| old_files.get(n as usize).cloned().unwrap_or_default();
        for f in &mut self.functions {
            for line in &mut f.lines {
                if let Some(p) = self.places.get(line.place as usize) {
                    let mut p = p.clone();
                    p.file = files.add(&file_name(p.file)) as u32;
                    line.place = places.add(&p) as u32;
                }
            }
        }
        self.source.retain_mut(|s| {
            let known = files.index.get(&file_name(s.file)).copied();
            s.file = known.unwrap_or(0);
            known.is_some()
        });
        let used: std::collections::HashSet<(u32, u32)> =
            places.list.iter().map(|p: &super::image::CodePlace| (p.file, p.line)).collect();
        self.source.retain(|s| used.contains(&(s.file, s.line)));
        self.source.sort_by_key(|s| (s.file, s.line));
        self.source.dedup_by_key(|s| (s.file, s.line));
        self.places = places.list;
        self.files = files.list;
    }
}
