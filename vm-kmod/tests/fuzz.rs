//! Random and mutated images: each is refused, or runs to its end within its
//! limits. A short run with a fixed seed by default; a long one with
//! `STPVM_FUZZ_SECONDS=3600` (and `STPVM_FUZZ_SEED`), best under
//! `STPVM_SANITIZE=1`, where the interpreter also asserts what the verifier proved.
mod common;
use common::{exercise, help, i, ibc, Image, ADD, ALL_CAPS, INT, LOCK, READ, RET, STAT, STR, WRITE};
use std::time::Instant;
use stp_vm::flat::{Dfa, FmtItem, Header, Iter, Sect, SECTIONS};
use stp_vm::isa::{flag, Field, Helper, Imm, Insn, Op, Ret, HELPERS, LIMITS, OPS, RULES};
use stp_vm::Machine;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n.max(1)
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
    /// Numbers of the kind that breaks things.
    fn number(&mut self) -> i64 {
        match self.below(6) {
            0 => 0,
            1 => *self.pick(&[-1, 1, i64::MIN, i64::MAX, 0x1000, 0x1_0000]),
            2 => self.below(10) as i64,
            3 => -(self.below(1000) as i64),
            4 => self.below(1 << 20) as i64,
            _ => self.next() as i64,
        }
    }
}

/// KiB for a session: enough for the programs made here, little to clear for each.
const MEMORY: i32 = 2 << 10;

/// Tables of everything that instructions can refer to.
fn tables(r: &mut Rng) -> Image {
    let mut im = Image::new();
    im.limits.maxaction = 200;
    im.limits.maxaction_int = 200;
    im.limits.maxnesting = 5;
    im.limits.maxstringlen = *r.pick(&[16, 64, 300]);
    im.limits.maxmemory = MEMORY;
    im.limits.maxtrylock = 10;
    im.limits.trylockdelay = 1;
    im.limits.hist_elision = r.below(4) as i32 - 1;
    im.limits.hist_width = *r.pick(&[1, 20, 50]);
    im.limits.maxspeculation = 3;
    for s in ["a", "some text", "%d \u{e9}\n", "0123456789abcdef0123456789"] {
        im.str(s);
    }
    im.int(5);
    im.string("init");
    im.percpu();
    im.stat();
    im.stat();
    im.map(&[INT], INT, 4);
    im.map(&[STR], INT, 8);
    im.map(&[INT, STR], STR, 8);
    im.map(&[INT], STAT, 5);
    im.map(&[STR, INT, STR], STAT, 3);
    im.map(&[STR], STR, 2);
    for g in &mut im.globals {
        g.flags = r.below(4) as u8;
        if g.ty == STAT {
            g.hist = r.below(3) as u8;
            (g.lo, g.hi, g.step) = (-10, 100, 7);
            g.bit_shift = r.below(63) as u8;
            g.stat_ops = r.below(4) as u16;
        }
    }
    for f in ["", "x\n", "%d", "%s", "%d %s|%x %s\n", "%c%p%o"] {
        im.fmt(f);
    }
    let item = |conv, flags, width, prec| FmtItem { conv, flags, width, prec, size: 4, pad: 0, str: 0 };
    let any = |r: &mut Rng| *r.pick(&[0, 1, 7, 30, i32::MIN, 1000, -5]);
    for _ in 0..4 {
        let items: Vec<FmtItem> = (0..3)
            .map(|_| item(r.below(13) as u8, r.below(32) as u8, any(r), *r.pick(&[-1, 0, 3, i32::MIN, 600])))
            .collect();
        im.fmt_items(&items);
    }
    for v in [0, -1, i64::MIN, i64::MAX, 0x1000] {
        im.konst(v);
    }
    for map in 5..11u16 {
        let g = &im.globals[map as usize];
        let (keys, stat) = (g.nkeys, g.ty == STAT);
        let sort = r.below(4) as u8;
        let sort = if sort >= 2 { 2 + u8::from(stat) } else { sort };
        im.iter(Iter {
            map,
            sort,
            desc: r.below(2) as u8,
            key: r.below(u64::from(if sort == 3 { 6 } else { keys })) as u8,
            has_limit: r.below(2) as u8,
            slice: if r.one_in(2) { r.below(1 << keys) as u16 } else { 0 },
            slice_s: r.below(4) as u8,
            ..Iter::default()
        });
    }
    for _ in 0..3 {
        let w = regex(r);
        im.dfas.push(Dfa { first: im.dfadata.len() as u32, count: w.len() as u32, ..Dfa::default() });
        im.dfadata.extend(w);
    }
    im
}

/// One of `n` items of a state; now and then what is none.
fn item_of(r: &mut Rng, n: u32) -> u32 {
    if r.one_in(100) {
        r.number() as u32
    } else {
        r.below(u64::from(n)) as u32
    }
}

/// A table of a random tagged DFA (`core/regex.h` draws it) that the machine takes.
fn regex(r: &mut Rng) -> Vec<u32> {
    const NONE: u32 = !0;
    loop {
        let tags = *r.pick(&[0, 2, 4]);
        let (states, classes) = (1 + r.below(5), 1 + r.below(3));
        let items: Vec<u32> = (0..states).map(|_| 1 + r.below(3) as u32).collect();
        let start = r.below(states);
        let most = items.iter().copied().max().unwrap_or(0);
        let mut w = vec![states as u32, classes as u32, tags, start as u32, most, 0];
        // the classes of bytes: bands of some width
        let (width, shift) = (1 + r.below(70), r.below(256));
        let class = |byte: u64| ((byte + shift) / width % classes) as u8;
        for n in 0..64 {
            w.push(u32::from_le_bytes(std::array::from_fn(|k| class(4 * n + k as u64))));
        }
        for n in &items {
            w.push(*n);
            for often in [4, 2] {
                w.push(if r.one_in(often) { item_of(r, *n) } else { NONE });
                w.push(r.below(1 << tags) as u32);
            }
        }
        let table = w.len();
        w.extend(vec![0; (states * classes) as usize]);
        let transition = |w: &mut Vec<u32>, r: &mut Rng, from: u32, to: u64| {
            let at = w.len() as u32;
            w.push(to as u32);
            for _ in 0..items[to as usize] {
                let fresh = from == 0 || r.one_in(3);
                w.push(if fresh { NONE } else { item_of(r, from) });
                w.push(r.below(1 << tags) as u32);
            }
            at
        };
        transition(&mut w, r, 0, start);
        for state in 0..states {
            for class in 0..classes {
                if !r.one_in(4) {
                    let to = r.below(states);
                    let at = transition(&mut w, r, items[state as usize], to);
                    w[table + (state * classes + class) as usize] = at;
                }
            }
        }
        w[5] = w.len() as u32;
        if stp_vm::regex::find(&w, b"").is_ok() {
            return w;
        }
    }
}

/// Frames of the fuzzer's functions: r0..r14 and s0..s14 are always assigned,
/// r15 and s15 are the window of calls.
const LAST: u8 = 15;

fn operand(r: &mut Rng, f: Field) -> u8 {
    match f {
        Field::None => 0,
        Field::Iw | Field::Ir | Field::Ix | Field::Sw | Field::Sr | Field::Sx => {
            // the first of a call's window as well, which is lost behind it
            let last = u64::from(LAST) + u64::from(r.one_in(4));
            r.below(last) as u8
        }
        Field::Ib | Field::Sb => r.below(8) as u8,
        Field::Aw | Field::Ar | Field::Tw | Field::Tr => r.below(4) as u8,
        Field::N => *r.pick(&[0, 1, 1, 2, 4, 5, 8, 17, 64]),
        Field::J | Field::K => 0,
    }
}

/// Of a backward jump: now and then nothing, which the verifier must see.
fn charge(r: &mut Rng) -> u8 {
    if r.one_in(30) {
        0
    } else {
        1 + r.below(3) as u8
    }
}

/// A random instruction for place `pc` of a body that starts at `start` and
/// ends before `end`.
fn instruction(r: &mut Rng, im: &Image, pc: usize, start: usize, end: usize) -> Vec<Insn> {
    let info = r.pick(&OPS);
    let mut x = i(info.op, operand(r, info.a), operand(r, info.b), operand(r, info.c), 0);
    let globals = |class: &[u8]| -> Vec<i32> {
        (0..im.globals.len() as i32).filter(|g| class.contains(&im.globals[*g as usize].cls)).collect()
    };
    x.imm = match info.imm {
        Imm::None => 0,
        Imm::Lit if matches!(info.op, Op::Arg) => r.below(12) as i32,
        Imm::Lit if matches!(info.op, Op::Charge) => 1 + r.below(5) as i32,
        Imm::Lit if matches!(info.op, Op::Reg) => r.below(20) as i32,
        Imm::Lit => r.number() as i32,
        Imm::K => r.below(5) as i32,
        Imm::Str => r.below(im.strs.len() as u64) as i32,
        Imm::G => *r.pick(&globals(match info.op {
            Op::Ggets | Op::Gsets => &[1],
            _ => &[0, 2],
        })),
        Imm::St => *r.pick(&globals(&[3])),
        Imm::M => {
            let all = globals(&[4, 5]);
            let fits = |g: &&i32| match info.op {
                Op::Mhas | Op::Mdel | Op::Mclr => true,
                Op::Mgets | Op::Msets => im.globals[**g as usize].ty == STR,
                _ => im.globals[**g as usize].ty == INT,
            };
            *r.pick(&all.iter().filter(fits).copied().collect::<Vec<_>>())
        }
        Imm::Ms => *r.pick(&globals(&[5])),
        Imm::Fn => 0,
        Imm::H => {
            let want = match info.op {
                Op::Helpi => Ret::I,
                Op::Helps => Ret::S,
                _ => Ret::V,
            };
            let all: Vec<usize> = (0..HELPERS.len()).filter(|n| HELPERS[*n].ret == want).collect();
            *r.pick(&all) as i32
        }
        Imm::Fmt => r.below(im.fmts.len() as u64) as i32,
        Imm::It => r.below(im.iters.len() as u64) as i32,
        Imm::Dfa => r.below(im.dfas.len() as u64) as i32,
        Imm::Fj => r.below((end - pc) as u64) as i32,
        Imm::Bj => -1 - r.below((pc - start + 1) as u64) as i32,
    };
    match info.op {
        // a path that has given the locks back, and one that has not
        Op::Unlock if r.one_in(2) => {
            let (a, b) = (operand(r, Field::Ir), operand(r, Field::Ir));
            return vec![i(Op::Jeq, a, b, 0, 1), x];
        }
        Op::Unlock | Op::Catch | Op::Ret if !r.one_in(20) => x = i(Op::Addi, 0, 0, 0, 1),
        Op::Sext | Op::Zext => x.c = 1 + r.below(64) as u8,
        Op::Ldm | Op::Ldu => x.c = *r.pick(&[1, 2, 4, 8]) | *r.pick(&[0, 16, 32, 48]),
        Op::Stm | Op::Stu => x.c = *r.pick(&[1, 2, 4, 8]),
        Op::Agget => x.c = r.below(6) as u8,
        Op::Prhist | Op::Sphist => {
            let shapes: Vec<i32> =
                (0..im.globals.len() as i32).filter(|g| im.globals[*g as usize].hist != 0).collect();
            if shapes.is_empty() {
                return vec![i(Op::Addi, 2, 2, 0, 1)];
            }
            x.imm = *r.pick(&shapes);
            if info.op == Op::Prhist {
                x.a = 0;
            }
        }
        Op::Loop => x.a = charge(r),
        Op::Looplt | Op::Inclt => x.c = charge(r),
        Op::Looplti => {
            let k = 1 + r.below((pc - start + 1) as u64) as u16;
            x = ibc(Op::Looplti, x.a, k, r.below(30) as i32);
        }
        Op::Call => {
            let callees: Vec<i32> = (0..im.funcs.len() as i32).collect();
            if callees.is_empty() {
                return vec![i(Op::Addi, 1, 1, 0, 1)];
            }
            x = i(Op::Call, 0, LAST, LAST, *r.pick(&callees));
            return vec![i(Op::Ldi, LAST, 0, 0, 3), i(Op::Sldk, LAST, 0, 0, 1), x];
        }
        op if op.info().b == Field::J => {
            let by = r.below((end - pc) as u64) as u16;
            (x.b, x.c) = (by as u8, (by >> 8) as u8);
        }
        _ => (),
    }
    vec![x]
}

fn body(r: &mut Rng, im: &mut Image, locked: bool) -> Vec<Insn> {
    let mut code = if locked { Vec::new() } else { vec![LOCK] };
    for n in 0..=LAST {
        code.push(i(Op::Ldi, n, 0, 0, r.number() as i32));
        code.push(i(Op::Sldk, n, 0, 0, r.below(5) as i32));
    }
    for n in 0..4 {
        code.push(i(Op::Agld, n, 0, 0, 3 + (n & 1) as i32));
        code.push(i(Op::Itnew, n, 0, 1, r.below(6) as i32));
    }
    let (start, len) = (code.len(), 1 + r.below(30) as usize);
    let end = start + len;
    while code.len() < end {
        let more = instruction(r, im, code.len(), start, end);
        code.extend(more);
    }
    code.push(RET);
    code
}

fn try_blocks(r: &mut Rng, im: &mut Image, at: u32, start: u32) {
    // the catch block is two words behind the RET
    let n = im.funcs[at as usize].ncode;
    im.code.extend([i(Op::Catch, 0, 0, 0, 0).encode(), RET.encode()]);
    im.funcs[at as usize].ncode += 2;
    im.funcs[at as usize].try_first = im.tries.len() as u32;
    let from = start + r.below(u64::from(n - start)) as u32;
    let to = from + 1 + r.below(u64::from(n - from)) as u32;
    im.try_block(from, to, n);
}

/// A program that has a good chance to be accepted.
fn program(r: &mut Rng) -> Image {
    let mut im = tables(r);
    let prologue = 2 * (u32::from(LAST) + 1) + 8;
    for _ in 0..r.below(4) {
        let code = body(r, &mut im, true);
        let ret = r.below(3) as u8;
        let n = im.callee(r.below(2) as u8, r.below(2) as u8, ret, &code);
        im.funcs[n as usize].flags = 2;
        if r.one_in(3) {
            try_blocks(r, &mut im, n as u32, prologue);
        }
    }
    for p in 0..1 + r.below(3) {
        let code = body(r, &mut im, false);
        let mut all: Vec<(u16, u16)> = Vec::new();
        for g in 0..im.globals.len() as u16 {
            let mode = if r.one_in(40) { *r.pick(&[READ, ADD]) } else { WRITE };
            if p == 0 || g != 3 || r.one_in(2) {
                all.push((g, mode));
            }
        }
        let f = im.func(&code);
        im.funcs[f as usize].flags = 1;
        if r.one_in(3) {
            try_blocks(r, &mut im, f, prologue + 1);
        }
        let n = im.probe_of(f, &all);
        im.probes[n as usize].kind = r.below(12) as u16;
        im.probes[n as usize].flags = r.below(2) as u16;
    }
    im
}

/// Fixed programs with one of everything, to mutate.
fn seeds() -> Vec<Vec<u8>> {
    let mut im = Image::new();
    let (g, m, s) = (im.int(0), im.map(&[INT, STR], INT, 8), im.map(&[STR], STAT, 4));
    im.globals[2].hist = 1;
    let (f, k) = (im.fmt("%d %s\n"), im.str("key"));
    let it = im.iter(Iter { map: 1, sort: 2, has_limit: 1, ..Iter::default() });
    im.callee(1, 1, 1, &[i(Op::Addi, 0, 0, 0, 1), i(Op::Call, 0, 3, 3, 0), RET]);
    im.funcs[0].ni = 0;
    im.funcs[0].ns = 0;
    im.code[0] = i(Op::Ldi, 0, 0, 0, 7).encode();
    im.probe(
        &[
            LOCK,
            i(Op::Ldi, 0, 0, 0, 3),
            i(Op::Sldk, 0, 0, 0, k),
            i(Op::Mset, 0, 0, 0, m),
            i(Op::Msadd, 0, 0, 0, s),
            i(Op::Agldm, 0, 0, 0, s),
            i(Op::Prhist, 0, 0, 0, s),
            i(Op::Gadd, 0, 0, 0, g),
            i(Op::Itnew, 0, 0, 0, it),
            i(Op::Itnext, 0, 1, 0, 4),
            i(Op::Itkey, 1, 0, 0, 0),
            i(Op::Itkeys, 1, 0, 1, 0),
            i(Op::Print, 0, 1, 1, f),
            i(Op::Loop, 1, 0, 0, -5),
            i(Op::Call, 0, 4, 4, 0),
            i(Op::Sprint, 2, 0, 0, f),
            help(Op::Helpi, 2, 0, 2, Helper::Strlen),
            ibc(Op::Looplti, 2, 2, 5),
            RET,
            i(Op::Catch, 3, 0, 0, 0),
            RET,
        ],
        &[(0, WRITE), (1, WRITE), (2, WRITE)],
    );
    im.try_block(3, 18, 19);
    im.limits.maxaction = 200;
    im.limits.maxaction_int = 200;
    im.limits.maxmemory = MEMORY;
    let mut all = vec![im.flat()];
    let mut r = Rng(77);
    while all.len() < 40 {
        let flat = program(&mut r).flat();
        if stp_vm::verify(&flat, ALL_CAPS).is_ok() {
            all.push(flat);
        }
    }
    all
}

/// Bytes of an element of each section, to mutate one that is not at its start too.
const ELEMENTS: [usize; SECTIONS] = [8, 32, 64, 72, 8, 8, 1, 16, 16, 4, 12, 16, 16, 4];

/// A byte of the image: of any section, the small ones as often as the code.
fn place(r: &mut Rng, flat: &[u8]) -> usize {
    let n = r.below(SECTIONS as u64 + 3) as usize;
    let n = if n < SECTIONS { n } else { 0 }; // but most often of the code
    let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|k| flat[at + k])) as usize;
    let at = std::mem::offset_of!(Header, sect) + n * size_of::<Sect>();
    let (off, count) = (word(at), word(at + 4));
    let len = count.saturating_mul(ELEMENTS[n]);
    if len == 0 || off + len > flat.len() {
        return r.below(flat.len() as u64) as usize;
    }
    off + r.below(len as u64) as usize
}

fn mutate(r: &mut Rng, flat: &mut [u8]) {
    let head = size_of::<Header>();
    // the limits stay: a handler that may run for minutes proves nothing
    let limits = head - (LIMITS.len() * 4).next_multiple_of(8);
    let keep = flat[limits..head].to_vec();
    for _ in 0..1 + r.below(3) {
        let at = if r.one_in(20) { 32 + r.below(limits as u64 - 32) as usize } else { place(r, flat) };
        match r.below(6) {
            0 => flat[at] = r.next() as u8,
            1 => flat[at] ^= 1 << r.below(8),
            2 => flat[at] = *r.pick(&[0, 1, 0xff, 0x7f, 0x80, 15, 16, 17]),
            // beside the border of what is allowed
            3 => flat[at] = flat[at].wrapping_add(1),
            4 => flat[at] = flat[at].wrapping_sub(1),
            _ => {
                let from = place(r, flat);
                let n = 8.min(flat.len() - at.max(from));
                flat.copy_within(from..from + n, at);
            }
        }
    }
    flat[limits..head].copy_from_slice(&keep);
}

#[derive(Default, Debug)]
struct Tally {
    images: u64,
    accepted: u64,
    runs: u64,
    errors: u64,
    /// By rule.
    refused: [u64; RULES.len()],
}

/// Refused, or every probe runs to its end.
fn try_image(r: &mut Rng, flat: &[u8], t: &mut Tally) {
    t.images += 1;
    match exercise(flat, &mut || r.number() as u64) {
        Err(f) => t.refused[f.rule as usize] += 1,
        Ok(runs) => {
            t.accepted += 1;
            t.runs += runs.runs;
            t.errors += runs.errors;
        }
    }
}

#[test]
fn images_are_refused_or_run_to_their_end() {
    let env = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let seconds = env("STPVM_FUZZ_SECONDS");
    let mut r = Rng(env("STPVM_FUZZ_SEED").unwrap_or(0x5eed) | 1);
    let mut seeds = seeds();
    // for other fuzzers to begin with
    if let Some(dir) = std::env::var_os("STPVM_FUZZ_SEEDS") {
        for (n, flat) in seeds.iter().enumerate() {
            std::fs::write(std::path::Path::new(&dir).join(format!("seed{n}")), flat).expect("a directory");
        }
        return;
    }
    let start = Instant::now();
    let mut made = Tally::default();
    let mut mutated = Tally::default();
    for n in 0u64.. {
        match seconds {
            Some(s) if n % 64 == 0 && start.elapsed().as_secs() >= s => break,
            None if n == 3000 => break,
            _ => (),
        }
        if n % 4 == 0 {
            let flat = program(&mut r).flat();
            let good = made.accepted;
            try_image(&mut r, &flat, &mut made);
            // in a long run, new ones to mutate; the first is the one of everything
            if made.accepted > good && r.one_in(20) {
                let which = 1 + r.below(seeds.len() as u64 - 1) as usize;
                seeds[which] = flat;
            }
        } else {
            let which = r.below(seeds.len() as u64) as usize;
            let mut flat = seeds[which].clone();
            mutate(&mut r, &mut flat);
            try_image(&mut r, &flat, &mut mutated);
        }
        if n % 1_000_000 == 999_999 {
            eprintln!("{made:?} {mutated:?}");
        }
    }
    eprintln!("made {made:?}, mutated {mutated:?}, {:?}", start.elapsed());
    // the generators must reach the interpreter, or this test says nothing
    assert!(made.accepted * 20 > made.images, "{made:?}");
    assert!(mutated.accepted * 20 > mutated.images, "{mutated:?}");
    let checks = option_env!("STPVM_SANITIZE").or(option_env!("STPVM_CHECK")).is_some();
    assert_eq!(Machine::checked_instructions() > 0, checks, "is the interpreter instrumented?");
    let info = OPS.iter().filter(|o| o.flags & flag::F != 0).count();
    assert!(info > 0 && made.errors > 0);
}
