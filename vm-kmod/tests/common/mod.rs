//! A tiny builder of flat images, and ways to run them: what the tests, the
//! bench and the fuzzer of the machine write their programs with.
#![allow(dead_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use stp_vm::flat::{
    Dfa, Fmt, FmtItem, Func, Global, Header, Iter, Lock, Probe, Sect, Str, Try, ABI, MAGIC, SECTIONS,
};
use stp_vm::isa::{Helper, Insn, Limits, Op, ISA_HASH};
use stp_vm::{Hit, Machine, Outcome};

pub const ALL_CAPS: u32 = 15;

pub const INT: u8 = 1;
pub const STR: u8 = 2;
pub const STAT: u8 = 3;

pub const READ: u16 = 1;
pub const WRITE: u16 = 2;
pub const ADD: u16 = 3;

pub const RET: Insn = Insn { op: Op::Ret, a: 0, b: 0, c: 0, imm: 0 };
pub const LOCK: Insn = Insn { op: Op::Lock, a: 0, b: 0, c: 0, imm: 0 };

/// An instruction.
pub fn i(op: Op, a: u8, b: u8, c: u8, imm: i32) -> Insn {
    Insn { op, a, b, c, imm }
}

/// One with b and c as one number.
pub fn ibc(op: Op, a: u8, bc: u16, imm: i32) -> Insn {
    Insn { op, a, b: bc as u8, c: (bc >> 8) as u8, imm }
}

pub fn help(op: Op, a: u8, b: u8, c: u8, h: Helper) -> Insn {
    i(op, a, b, c, h as i32)
}

#[derive(Clone, Default)]
pub struct Image {
    pub limits: Limits,
    pub caps: u32,
    pub code: Vec<u64>,
    pub funcs: Vec<Func>,
    pub probes: Vec<Probe>,
    pub globals: Vec<Global>,
    pub consts: Vec<i64>,
    pub strs: Vec<Str>,
    pub bytes: Vec<u8>,
    pub fmts: Vec<Fmt>,
    pub items: Vec<FmtItem>,
    pub locks: Vec<Lock>,
    pub tries: Vec<Try>,
    pub iters: Vec<Iter>,
    pub dfas: Vec<Dfa>,
    pub dfadata: Vec<u32>,
}

fn bytes_of<T: Copy>(v: &[T]) -> &[u8] {
    // SAFETY: plain old data without padding that matters.
    unsafe { std::slice::from_raw_parts(v.as_ptr().cast(), std::mem::size_of_val(v)) }
}

impl Image {
    pub fn new() -> Image {
        let mut im = Image { caps: ALL_CAPS, ..Image::default() };
        im.str("");
        im
    }

    pub fn str(&mut self, s: &str) -> i32 {
        self.strb(s.as_bytes())
    }

    pub fn strb(&mut self, s: &[u8]) -> i32 {
        let off = self.bytes.len() as u32;
        self.bytes.extend_from_slice(s);
        self.bytes.push(0);
        self.strs.push(Str { off, len: s.len() as u32 });
        self.strs.len() as i32 - 1
    }

    /// A function with a frame of 16 registers, 16 strings, 4 aggregates, 4 iterators.
    pub fn func(&mut self, code: &[Insn]) -> u32 {
        self.func_words(&code.iter().map(|i| i.encode()).collect::<Vec<_>>())
    }

    pub fn func_words(&mut self, code: &[u64]) -> u32 {
        self.funcs.push(Func {
            code: self.code.len() as u32,
            ncode: code.len() as u32,
            nregs: 16,
            nstrs: 16,
            naggs: 4,
            niters: 4,
            try_first: self.tries.len() as u32,
            ..Func::default()
        });
        self.code.extend(code);
        self.funcs.len() as u32 - 1
    }

    pub fn callee(&mut self, ni: u8, ns: u8, ret: u8, code: &[Insn]) -> i32 {
        let n = self.func(code);
        let f = &mut self.funcs[n as usize];
        (f.ni, f.ns, f.ret) = (ni, ns, ret);
        n as i32
    }

    /// A begin probe with that handler and lock set.
    pub fn probe(&mut self, code: &[Insn], locks: &[(u16, u16)]) -> u32 {
        let func = self.func(code);
        self.funcs[func as usize].flags = 1;
        self.probe_of(func, locks)
    }

    pub fn probe_of(&mut self, func: u32, locks: &[(u16, u16)]) -> u32 {
        let lock_first = self.locks.len() as u32;
        self.locks.extend(locks.iter().map(|&(global, mode)| Lock { global, mode }));
        self.probes.push(Probe {
            func,
            lock_first,
            lock_count: locks.len() as u32,
            cond: !0,
            ..Probe::default()
        });
        self.probes.len() as u32 - 1
    }

    fn global(&mut self, g: Global) -> i32 {
        self.globals.push(g);
        self.globals.len() as i32 - 1
    }

    pub fn int(&mut self, init: i64) -> i32 {
        self.global(Global { cls: 0, ty: INT, init_int: init, ..Global::default() })
    }

    pub fn string(&mut self, init: &str) -> i32 {
        let init_str = self.str(init) as u32;
        self.global(Global { cls: 1, ty: STR, init_str, ..Global::default() })
    }

    pub fn percpu(&mut self) -> i32 {
        self.global(Global { cls: 2, ty: INT, ..Global::default() })
    }

    pub fn stat(&mut self) -> i32 {
        self.global(Global { cls: 3, ty: STAT, stat_ops: 3, ..Global::default() })
    }

    pub fn map(&mut self, keys: &[u8], value: u8, size: u32) -> i32 {
        let mut g = Global { cls: 4, ty: value, size, flags: 2, ..Global::default() };
        if value == STAT {
            g.cls = 5;
            g.stat_ops = 3;
        }
        g.nkeys = keys.len() as u8;
        g.keys[..keys.len()].copy_from_slice(keys);
        self.global(g)
    }

    /// A format from text: `%d`, `%s`, `%x` ... without flags; the rest literal.
    pub fn fmt(&mut self, text: &str) -> i32 {
        let mut items = Vec::new();
        let mut lit = String::new();
        let mut chars = text.chars();
        while let Some(ch) = chars.next() {
            if ch != '%' {
                lit.push(ch);
                continue;
            }
            if !lit.is_empty() {
                items.push(FmtItem { conv: 0, str: self.str(&lit) as u32, ..none() });
                lit.clear();
            }
            let conv = match chars.next() {
                Some('d') => 1,
                Some('u') => 2,
                Some('x') => 3,
                Some('X') => 4,
                Some('o') => 5,
                Some('p') => 6,
                Some('c') => 7,
                Some('s') => 8,
                other => panic!("conversion {other:?}"),
            };
            items.push(FmtItem { conv, ..none() });
        }
        if !lit.is_empty() {
            items.push(FmtItem { conv: 0, str: self.str(&lit) as u32, ..none() });
        }
        self.fmt_items(&items)
    }

    pub fn fmt_items(&mut self, items: &[FmtItem]) -> i32 {
        let dynamic = |v: i32| u8::from(v == i32::MIN);
        let (mut ni, mut ns) = (0, 0);
        for m in items.iter().filter(|m| m.conv != 0) {
            ni += dynamic(m.width) + dynamic(m.prec) + u8::from(m.conv != 8);
            ns += u8::from(m.conv == 8);
        }
        let first = self.items.len() as u32;
        self.items.extend(items);
        self.fmts.push(Fmt { first, count: items.len() as u32, ni, ns, ..Fmt::default() });
        self.fmts.len() as i32 - 1
    }

    pub fn konst(&mut self, v: i64) -> i32 {
        self.consts.push(v);
        self.consts.len() as i32 - 1
    }

    /// The last function gets a try block.
    pub fn try_block(&mut self, from: u32, to: u32, target: u32) {
        self.tries.push(Try { from, to, target });
        self.funcs.last_mut().unwrap().try_count += 1;
    }

    pub fn iter(&mut self, it: Iter) -> i32 {
        self.iters.push(it);
        self.iters.len() as i32 - 1
    }

    pub fn flat(&self) -> Vec<u8> {
        let parts: [(&[u8], usize); SECTIONS] = [
            (bytes_of(&self.code), self.code.len()),
            (bytes_of(&self.funcs), self.funcs.len()),
            (bytes_of(&self.probes), self.probes.len()),
            (bytes_of(&self.globals), self.globals.len()),
            (bytes_of(&self.consts), self.consts.len()),
            (bytes_of(&self.strs), self.strs.len()),
            (&self.bytes, self.bytes.len()),
            (bytes_of(&self.fmts), self.fmts.len()),
            (bytes_of(&self.items), self.items.len()),
            (bytes_of(&self.locks), self.locks.len()),
            (bytes_of(&self.tries), self.tries.len()),
            (bytes_of(&self.iters), self.iters.len()),
            (bytes_of(&self.dfas), self.dfas.len()),
            (bytes_of(&self.dfadata), self.dfadata.len()),
        ];
        let head = std::mem::size_of::<Header>();
        let mut off = head.next_multiple_of(8);
        let mut sect = [Sect::default(); SECTIONS];
        for (s, (bytes, count)) in sect.iter_mut().zip(&parts) {
            *s = Sect { off: off as u32, count: *count as u32 };
            off = (off + bytes.len()).next_multiple_of(8);
        }
        let h = Header {
            magic: MAGIC,
            abi: ABI,
            header_size: head as u16,
            total_size: off as u32,
            caps: self.caps,
            isa_hash: ISA_HASH,
            name: 0,
            pad: 0,
            sect,
            limits: self.limits.clone(),
        };
        let mut out = vec![0u8; off];
        // SAFETY: Header is plain old data.
        out[..head]
            .copy_from_slice(unsafe { std::slice::from_raw_parts(std::ptr::from_ref(&h).cast(), head) });
        for (s, (bytes, _)) in sect.iter().zip(&parts) {
            out[s.off as usize..s.off as usize + bytes.len()].copy_from_slice(bytes);
        }
        out
    }

    pub fn machine(&self, ncpus: u32) -> Machine {
        Machine::load(&self.flat(), ALL_CAPS, ncpus).unwrap_or_else(|f| panic!("refused: {f}"))
    }

    /// Runs every probe once, in order; gives back what was printed.
    pub fn run(&self) -> String {
        let m = self.machine(1);
        for p in 0..self.probes.len() as u32 {
            m.run(0, p, &Hit::default());
        }
        text(&m)
    }
}

fn none() -> FmtItem {
    FmtItem { prec: -1, ..FmtItem::default() }
}

/// Everything that was printed, with `ERROR: ...` lines for script errors.
pub fn text(m: &Machine) -> String {
    let mut out = String::new();
    for r in m.drain_all() {
        match r.error() {
            Some(e) => out += &format!("ERROR: {}\n", String::from_utf8_lossy(&e.text)),
            None => out += &String::from_utf8_lossy(&m.program().render(&r, None)),
        }
    }
    out
}

pub fn run_one(m: &Machine, probe: u32) -> Outcome {
    m.run(0, probe, &Hit::default())
}

/// Runs `probe(cpu)` `n` times on each CPU, one thread for each; how many ran to the end.
pub fn storm(m: &Machine, n: u32, probe: impl Fn(u32, u32) -> (u32, Hit) + Sync) -> u64 {
    let done = AtomicU64::new(0);
    std::thread::scope(|s| {
        for cpu in 0..m.ncpus() {
            let (done, probe) = (&done, &probe);
            s.spawn(move || {
                for k in 0..n {
                    let (p, hit) = probe(cpu, k);
                    match m.run(cpu, p, &hit) {
                        Outcome::Ok => {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Outcome::SkippedLock => (),
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    done.into_inner()
}

/// What became of the handlers of an image.
#[derive(Clone, Copy, Debug, Default)]
pub struct Runs {
    pub runs: u64,
    /// Those that ended in a script error.
    pub errors: u64,
}

/// Loads an image from anywhere. It is refused, or each probe runs to its end on both of two CPUs,
/// with arguments that `number` gives, and what it printed can be rendered. The image's own limits
/// say how long that may take.
pub fn exercise(flat: &[u8], number: &mut dyn FnMut() -> u64) -> Result<Runs, stp_vm::Fault> {
    let program = std::sync::Arc::new(stp_vm::Program::load(flat, ALL_CAPS)?);
    let mut runs = Runs::default();
    let Ok(mut m) = Machine::new(program, 2, 8192, 4096) else { return Ok(runs) };
    m.map(0x1000, b"kernel memory\0", false, true);
    m.map(0x1000, b"user \xc3\xa9 memory\0", true, true);
    m.set_seed(1);
    m.set_clock(1, 2, 3);
    for round in 0..3 {
        for probe in 0..m.program().probes() {
            let args = (0..number() % 13).map(|_| number()).collect();
            let regs = (number() & 1 == 0).then_some([7; 17]);
            let hit = Hit { args, regs, flags: (number() & 7) as u32, ..Hit::default() };
            let start = std::time::Instant::now();
            let outcome = m.run(round & 1, probe, &hit);
            assert!(start.elapsed().as_secs() < 20, "a handler did not end in time");
            runs.runs += 1;
            runs.errors += u64::from(outcome == Outcome::Error);
        }
        for rec in m.drain_all() {
            m.program().render(&rec, None);
        }
    }
    Ok(runs)
}
