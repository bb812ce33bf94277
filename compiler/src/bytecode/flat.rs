//! The flat form: what a machine loads (`vm-kmod/core/image.h`). In: an image
//! and an answer to "where is this place on the machine at hand". Out: bytes.
//! Checks only that its own counts fit; whether the code is sound is the
//! verifier's affair.

use super::image::{
    Class, Constant, FormatItem, Function, Global, Hist, Image, IterSort, LockMode, Number, Ret, ValueType,
};
use super::signature::format_window;
use crate::types::hir::Place;
use std::collections::HashMap;
use stp_vm::flat::{self, Section, SECTIONS};
use stp_vm::isa::{Helper, Op, ISA_HASH};

/// Where a probe is on the machine that will run it; fields as `im_kind` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResolvedPlace {
    /// `stp_vm::flat::kind::*`
    pub kind: u16,
    pub addr: u64,
    pub arg: i64,
    pub arg2: i64,
    /// What is attached to: symbol or event.
    pub name: String,
}

/// An image has no flat form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlatError<E> {
    #[error("{0}")]
    Place(E),
    #[error("script is too large: {0}")]
    TooLarge(&'static str),
}

/// DWARF numbers of the registers that ftrace keeps where it is not asked for all
/// (`vm-kmod/kernel/arch.c`).
const KEPT_BY_FTRACE: [usize; 10] = [0, 1, 2, 4, 5, 6, 7, 8, 9, 16];

const LIMIT_BYTES: usize = 64 << 20;

struct Flattener<'a> {
    image: &'a Image,
    sections: [Vec<u8>; SECTIONS],
    counts: [u32; SECTIONS],
    /// Names, added behind the image's own strings.
    names: HashMap<&'a str, u32>,
}

impl<'a> Flattener<'a> {
    fn put<T: flat::Plain>(&mut self, section: Section, value: T) {
        let s = section as usize;
        self.sections[s].extend_from_slice(flat::bytes_of(&value));
        self.counts[s] += 1;
    }
    fn count(&self, section: Section) -> u32 {
        self.counts[section as usize]
    }
    fn string(&mut self, bytes: &[u8]) -> u32 {
        let off = self.count(Section::Bytes);
        let all = &mut self.sections[Section::Bytes as usize];
        all.extend_from_slice(bytes);
        all.push(0);
        self.counts[Section::Bytes as usize] = all.len() as u32;
        let n = self.count(Section::Str);
        self.put(Section::Str, flat::Str { off, len: bytes.len() as u32 });
        n
    }
    fn name(&mut self, name: &'a str) -> u32 {
        if let Some(n) = self.names.get(name) {
            return *n;
        }
        let n = self.string(name.as_bytes());
        self.names.insert(name, n);
        n
    }

    fn function(&mut self, f: &'a Function) {
        let (ni, ns) = f.param_counts();
        let (code, try_first) = (self.count(Section::Code), self.count(Section::Try));
        for word in &f.code {
            self.put(Section::Code, *word);
        }
        for t in &f.tries {
            self.put(Section::Try, flat::Try { from: t.from, to: t.to, target: t.target });
        }
        let name = self.name(&f.name);
        self.put(
            Section::Func,
            flat::Func {
                code,
                ncode: f.code.len() as u32,
                nregs: f.nregs,
                nstrs: f.nstrs,
                naggs: f.naggs,
                niters: f.niters,
                ni,
                ns,
                ret: match f.ret {
                    Ret::None => 0,
                    Ret::Int => 1,
                    Ret::Str => 2,
                },
                flags: bit(f.handler, flat::F_HANDLER) | bit(f.locked, flat::F_LOCKED),
                pad: 0,
                name,
                try_first,
                try_count: f.tries.len() as u32,
            },
        );
    }

    fn global(&mut self, g: &'a Global) {
        let mut out = flat::Global { name: self.name(&g.name), ..flat::Global::default() };
        let set_keys = |out: &mut flat::Global, keys: &[ValueType], size: u32, sized: bool, wrap: bool| {
            out.nkeys = keys.len().min(out.keys.len()) as u8;
            for (to, key) in out.keys.iter_mut().zip(keys) {
                *to = value_type(*key);
            }
            out.size = size;
            out.flags = bit(wrap, flat::GF_WRAP) | bit(sized, flat::GF_SIZED);
        };
        let set_stat = |out: &mut flat::Global, hist: Hist, variance: Option<u8>, minmax: bool| {
            out.ty = flat::T_STAT;
            out.bit_shift = variance.unwrap_or(0);
            out.stat_ops = bit(minmax, flat::SO_MINMAX) | bit(variance.is_some(), flat::SO_VARIANCE);
            match hist {
                Hist::None => {}
                Hist::Log => out.hist = flat::H_LOG,
                Hist::Linear { lo, hi, step } => {
                    out.hist = flat::H_LINEAR;
                    (out.lo, out.hi, out.step) = (lo, hi, step);
                }
            }
        };
        match &g.class {
            Class::Int { init } => (out.cls, out.ty, out.init_int) = (flat::G_INT, flat::T_INT, *init),
            Class::PerCpu { init } => (out.cls, out.ty, out.init_int) = (flat::G_PERCPU, flat::T_INT, *init),
            Class::Str { init } => {
                out.init_str = self.string(init);
                (out.cls, out.ty) = (flat::G_STR, flat::T_STR);
            }
            Class::Stat { hist, variance, minmax } => {
                out.cls = flat::G_STAT;
                set_stat(&mut out, *hist, *variance, *minmax);
            }
            Class::Map { keys, value, size, sized, wrap } => {
                (out.cls, out.ty) = (flat::G_MAP, value_type(*value));
                set_keys(&mut out, keys, *size, *sized, *wrap);
            }
            Class::StatMap { keys, size, sized, wrap, hist, variance, minmax } => {
                out.cls = flat::G_STATMAP;
                set_keys(&mut out, keys, *size, *sized, *wrap);
                set_stat(&mut out, *hist, *variance, *minmax);
            }
        }
        self.put(Section::Global, out);
    }

    fn format(&mut self, items: &'a [FormatItem]) {
        let w = format_window(items);
        let first = self.count(Section::FmtItem);
        for item in items {
            let out = match item {
                FormatItem::Text(t) => flat::FmtItem { str: self.string(t), prec: -1, ..Default::default() },
                FormatItem::Value { conv, flags, width, precision, size } => flat::FmtItem {
                    conv: *conv as u8,
                    flags: *flags,
                    size: *size,
                    width: number(*width, 0),
                    prec: number(*precision, -1),
                    ..Default::default()
                },
            };
            self.put(Section::FmtItem, out);
        }
        let fmt =
            flat::Fmt { first, count: items.len() as u32, ni: w.ints, ns: w.strs, ..Default::default() };
        self.put(Section::Fmt, fmt);
    }

    fn probe<E>(
        &mut self,
        n: usize,
        resolve: &mut dyn FnMut(&Place) -> Result<ResolvedPlace, E>,
    ) -> Result<(), FlatError<E>> {
        let p = &self.image.probes[n];
        let at = resolve(&p.at).map_err(FlatError::Place)?;
        let lock_first = self.count(Section::Lock);
        for l in &p.locks {
            let mode = match l.mode {
                LockMode::Read => flat::L_READ,
                LockMode::Write => flat::L_WRITE,
                LockMode::Add => flat::L_ADD,
            };
            self.put(Section::Lock, flat::Lock { global: l.global as u16, mode });
        }
        let mut flags = bit(p.optional || p.one_of.is_some(), flat::P_OPTIONAL);
        match p.at {
            Place::Begin { .. } | Place::End { .. } | Place::Error { .. } => flags |= flat::P_INTERRUPTIBLE,
            Place::Timer { .. } => flags |= flat::P_MAXINT,
            Place::Return { .. } | Place::SyscallExit { .. } => flags |= flat::P_RETURN,
            _ => {}
        }
        if matches!(p.at, Place::Return { .. }) && self.reads_arguments(p.function) {
            flags |= flat::P_ENTRY_ARGS;
        }
        // ftrace keeps the registers of arguments only
        let every = at.kind == flat::kind::FENTRY && at.arg == 0 && self.reads_registers(p.function);
        let arg = if every { flat::AT_REGS } else { at.arg };
        let name = self.string(at.name.as_bytes());
        let (pp, pn) = (self.name(&p.pp), self.name(&p.pn));
        self.put(
            Section::Probe,
            flat::Probe {
                func: p.function,
                kind: at.kind,
                flags,
                addr: at.addr,
                arg,
                arg2: at.arg2,
                name,
                pp,
                pn,
                lock_first,
                lock_count: p.locks.len() as u32,
                cost: p.cost.unwrap_or(0),
                cond: p.condition.unwrap_or(u32::MAX),
                pad: 0,
            },
        );
        Ok(())
    }

    /// Whether the handler, or a function that it calls, reads raw arguments.
    fn reads_arguments(&self, handler: u32) -> bool {
        self.reaches(handler, |op, imm| {
            op == Op::Arg as u8 || (op == Op::Helpi as u8 && imm == Helper::ProbeArg as usize)
        })
    }

    /// Whether the handler, or a function that it calls, asks for machine registers that ftrace does
    /// not keep, or for such as are known only when it runs.
    fn reads_registers(&self, handler: u32) -> bool {
        self.reaches(handler, |op, imm| {
            (op == Op::Reg as u8 && !KEPT_BY_FTRACE.contains(&imm))
                || (op == Op::Helpi as u8 && imm == Helper::Register as usize)
        })
    }

    /// Whether an instruction of the handler, or of a function that it calls, is such a one.
    fn reaches(&self, handler: u32, such: impl Fn(u8, usize) -> bool) -> bool {
        let mut seen = vec![handler as usize];
        let mut next = 0;
        while let Some(f) = seen.get(next).and_then(|n| self.image.functions.get(*n)) {
            next += 1;
            for word in &f.code {
                let (op, imm) = (*word as u8, (*word >> 32) as usize);
                if such(op, imm) {
                    return true;
                }
                if op == Op::Call as u8 && !seen.contains(&imm) {
                    seen.push(imm);
                }
            }
        }
        false
    }

    fn check<E>(&self) -> Result<(), FlatError<E>> {
        let i = self.image;
        if i.globals.len() > 0xffff || i.probes.len() >= 0xffff {
            return Err(FlatError::TooLarge("more than 65535 globals or probes"));
        }
        let bytes: usize = i.strings.iter().map(|s| s.len() + 1).sum::<usize>()
            + i.functions.iter().map(|f| f.code.len() * 8).sum::<usize>()
            + i.dfas.iter().map(|d| d.words.len() * 4).sum::<usize>();
        if bytes > LIMIT_BYTES {
            return Err(FlatError::TooLarge("code and strings"));
        }
        Ok(())
    }
}

impl Image {
    /// The flat form; `resolve` says where each probe's place is.
    pub fn flatten<E>(
        &self,
        resolve: &mut dyn FnMut(&Place) -> Result<ResolvedPlace, E>,
    ) -> Result<Vec<u8>, FlatError<E>> {
        let mut f = Flattener {
            image: self,
            sections: Default::default(),
            counts: [0; SECTIONS],
            names: HashMap::new(),
        };
        f.check()?;
        for s in &self.strings {
            f.string(s);
        }
        if self.strings.is_empty() {
            f.string(b"");
        }
        for k in &self.constants {
            let k = match k {
                Constant::Number(k) => *k,
                Constant::Address(a) => {
                    let at = resolve(&a.place()).map_err(FlatError::Place)?;
                    (at.addr as i64).wrapping_add(a.offset)
                }
            };
            f.put(Section::Const, k);
        }
        for g in &self.globals {
            f.global(g);
        }
        for items in &self.formats {
            f.format(items);
        }
        for it in &self.iterators {
            let (sort, key) = match it.sort {
                IterSort::Insertion => (0, 0),
                IterSort::Key(k) => (1, k),
                IterSort::Value => (2, 0),
                IterSort::Field(k) => (3, k),
            };
            let out = flat::Iter {
                map: it.map as u16,
                sort,
                desc: u8::from(it.descending),
                key,
                has_limit: u8::from(it.limited),
                slice: it.slice,
                slice_s: it.slice_s,
                pad: [0; 7],
            };
            f.put(Section::Iter, out);
        }
        for d in &self.dfas {
            let first = f.count(Section::DfaData);
            for w in &d.words {
                f.put(Section::DfaData, *w);
            }
            let count = d.words.len() as u32;
            let (nstates, ngroups, flags) = (d.nstates, d.ngroups, d.flags);
            f.put(Section::Dfa, flat::Dfa { first, count, nstates, ngroups, flags });
        }
        for func in &self.functions {
            f.function(func);
        }
        for n in 0..self.probes.len() {
            f.probe(n, resolve)?;
        }
        let name = f.name(&self.name);
        let mut header = flat::Header {
            magic: flat::MAGIC,
            abi: flat::ABI,
            header_size: size_of::<flat::Header>() as u16,
            total_size: 0,
            caps: self.caps,
            isa_hash: ISA_HASH,
            name,
            pad: 0,
            sect: Default::default(),
            limits: self.limits.clone(),
        };
        let mut at = size_of::<flat::Header>().next_multiple_of(8);
        for (sect, (bytes, count)) in header.sect.iter_mut().zip(f.sections.iter().zip(f.counts)) {
            *sect = flat::Sect { off: at as u32, count };
            at = (at + bytes.len()).next_multiple_of(8);
            if at > LIMIT_BYTES {
                return Err(FlatError::TooLarge("its tables"));
            }
        }
        header.total_size = at as u32;
        let mut out = Vec::with_capacity(at);
        out.extend_from_slice(&header.to_bytes());
        for (sect, bytes) in header.sect.iter().zip(&f.sections) {
            out.resize(sect.off as usize, 0);
            out.extend_from_slice(bytes);
        }
        out.resize(at, 0);
        Ok(out)
    }
}

/// The flag where it is set, else nothing.
fn bit<T: Default>(set: bool, flag: T) -> T {
    if set {
        flag
    } else {
        T::default()
    }
}

fn value_type(t: ValueType) -> u8 {
    match t {
        ValueType::Int => flat::T_INT,
        ValueType::Str => flat::T_STR,
    }
}

fn number(n: Number, none: i32) -> i32 {
    match n {
        Number::None => none,
        Number::Fixed(n) => n,
        Number::Dynamic => flat::DYN,
    }
}
