//! The machine in this process: load an image, run its handlers, read what
//! they wrote. The unsafe blocks are calls into `core/` and `user/`; the C side
//! never keeps a pointer that it is given, but for the host and the rings,
//! which live as long as the machine.

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int, c_void, CStr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use crate::flat::{Header, Probe};
use crate::isa::{Helper, Rule, RULES};

/// Why an image was refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}{}", self.place())]
pub struct Fault {
    /// Negative errno.
    pub error: i32,
    /// Rule that it breaks, by number; see [`Fault::rule`].
    pub rule: u32,
    /// Function in which it is, if in code.
    pub func: Option<u32>,
    /// Instruction of that function.
    pub pc: Option<u32>,
    pub text: String,
}

impl Fault {
    /// The rule that the image breaks.
    pub fn rule(&self) -> Rule {
        RULES.get(self.rule as usize).map_or(Rule::Container, |r| r.0)
    }

    fn place(&self) -> String {
        let rule = self.rule();
        match (self.func, self.pc) {
            (Some(f), Some(pc)) => format!(" (function {f}, instruction {pc}, rule {rule:?})"),
            (Some(f), None) => format!(" (function {f}, rule {rule:?})"),
            _ => format!(" (rule {rule:?})"),
        }
    }
}

/// What became of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// A script error ended it; a record of type [`rec::ERROR`] says which.
    Error,
    /// A lock was not had within MAXTRYLOCK tries.
    SkippedLock,
    /// The probe's condition is false.
    SkippedCond,
    /// Another handler runs on that CPU.
    SkippedBusy,
}

/// Types of records; see `core/record.h`.
pub mod rec {
    pub const PAD: u16 = 0;
    pub const PRINT: u16 = 1;
    pub const TEXT: u16 = 2;
    pub const HIST: u16 = 3;
    pub const WARN: u16 = 4;
    pub const ERROR: u16 = 5;
    pub const EXIT: u16 = 6;
    pub const NOTE: u16 = 7;
}

/// Where a probe hit.
#[derive(Clone, Debug, Default)]
pub struct Hit {
    /// Raw arguments; those that are not given read as 0.
    pub args: Vec<u64>,
    /// Registers in DWARF order, if the place has them.
    pub regs: Option<[u64; 17]>,
    pub retval: u64,
    pub addr: u64,
    pub caller: u64,
    /// `HIT_*`.
    pub flags: u32,
    /// System call number; `None` gives -1.
    pub sysnr: Option<i64>,
}

/// User code was interrupted.
pub const HIT_USER: u32 = 1;
/// A return probe.
pub const HIT_RETURN: u32 = 2;
/// A 32-bit task's system call.
pub const HIT_COMPAT: u32 = 4;

/// Memory of a session, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub image: u64,
    pub globals: u64,
    pub contexts: u64,
    pub rings: u64,
}

#[repr(C)]
struct CFault {
    error: i32,
    rule: u32,
    func: u32,
    pc: u32,
    text: [c_char; 160],
}

#[repr(C)]
struct CHit {
    args: *const u64,
    argmap: *const u8,
    regs: *mut c_void,
    retval: u64,
    addr: u64,
    caller: u64,
    nargs: u32,
    flags: u32,
    sysnr: i64,
    host: *mut c_void,
}

const TEXT: usize = 256;

#[repr(C)]
struct CRegion {
    addr: u64,
    len: u64,
    bytes: *mut u8,
    user: u32,
    writable: u32,
}

#[repr(C)]
struct CHost {
    fact: [i64; 256],
    execname: [u8; TEXT],
    pexecname: [u8; TEXT],
    clock_real: u64,
    clock_mono: u64,
    cycles: u64,
    seed: u64,
    region: *mut CRegion,
    regions: u64,
    wakes: AtomicU64,
    urgent_wakes: AtomicU64,
    message: Option<extern "C" fn(*mut c_void, u32, i64, *const c_char)>,
    message_arg: *mut c_void,
}

#[repr(C)]
struct RingHead {
    head: AtomicU64,
    lost: AtomicU64,
    pad0: [u64; 6],
    tail: AtomicU64,
    pad1: [u64; 7],
    size: u64,
    offset: u64,
    pad2: [u64; 6],
}

enum CProg {}
enum CVm {}

type SymFn = extern "C" fn(*mut c_void, u64, c_char, *mut c_char, usize) -> usize;

extern "C" {
    fn vm_load(flat: *const c_void, len: usize, caps: u32, out: *mut *mut CProg, fault: *mut CFault)
        -> c_int;
    fn vm_unload(p: *mut CProg);
    fn vm_header(p: *const CProg) -> *const Header;
    fn vm_probe(p: *const CProg, n: u32) -> *const Probe;
    fn vm_nprobes(p: *const CProg) -> u32;
    fn vm_string(p: *const CProg, n: u32) -> *const c_char;
    fn vm_new(p: *mut CProg, ncpus: u32, host: *mut c_void, out: *mut *mut CVm) -> c_int;
    fn vm_free(vm: *mut CVm);
    fn vm_memory(vm: *const CVm, out: *mut Figures);
    fn vm_set_ring(vm: *mut CVm, cpu: u32, mapping: *mut c_void, data: usize, ctl: usize);
    fn vm_exiting(vm: *const CVm) -> bool;
    fn vm_aborted(vm: *const CVm) -> bool;
    fn vm_control(vm: *mut CVm, cpu: u32, kind: u16, body: *const c_void, len: u32);
    fn vm_render(
        flat: *const c_void,
        r: *const u64,
        out: *mut c_char,
        cap: usize,
        sym: Option<SymFn>,
        arg: *mut c_void,
    ) -> usize;
    fn user_run(vm: *mut CVm, cpu: u32, probe: u32, hit: *const CHit) -> u32;
    fn user_seq(vm: *const CVm) -> u64;
}

/// How an address is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The name of its symbol.
    Name,
    /// Name, offset, size and module.
    Data,
}

/// A verified image.
pub struct Program(*mut CProg);

// SAFETY: a program is never written after `vm_load` made it.
unsafe impl Send for Program {}
unsafe impl Sync for Program {}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by vm_load, freed once.
        unsafe { vm_unload(self.0) }
    }
}

impl Program {
    /// Checks the flat image and keeps a copy of it. `caps`: those that may
    /// be used ([`crate::isa`]`::CAP_*`).
    pub fn load(flat: &[u8], caps: u32) -> Result<Program, Fault> {
        let mut out = std::ptr::null_mut();
        let mut f = CFault { error: 0, rule: 0, func: !0, pc: !0, text: [0; 160] };
        // SAFETY: flat is readable for its length; out and f are ours.
        let err = unsafe { vm_load(flat.as_ptr().cast(), flat.len(), caps, &mut out, &mut f) };
        if err == 0 {
            return Ok(Program(out));
        }
        // SAFETY: the C side ends the text with a NUL inside the array.
        let text = unsafe { CStr::from_ptr(f.text.as_ptr()) }.to_string_lossy().into_owned();
        let place = |n| (n != !0).then_some(n);
        Err(Fault { error: f.error, rule: f.rule, func: place(f.func), pc: place(f.pc), text })
    }

    pub fn header(&self) -> &Header {
        // SAFETY: points into the program, which outlives the result.
        unsafe { &*vm_header(self.0) }
    }

    pub fn probes(&self) -> u32 {
        // SAFETY: the program is whole.
        unsafe { vm_nprobes(self.0) }
    }

    /// Probe `n`; panics when there is none.
    pub fn probe(&self, n: u32) -> &Probe {
        assert!(n < self.probes());
        // SAFETY: n is in range; points into the program.
        unsafe { &*vm_probe(self.0, n) }
    }

    /// String constant `n` as a name in [`Probe`] and its like refer to it.
    /// `n` must come from a table of this program.
    pub fn string(&self, n: u32) -> &CStr {
        assert!(n < self.header().sect[crate::flat::Section::Str as usize].count);
        // SAFETY: n is in range, strings were checked to end with a NUL.
        unsafe { CStr::from_ptr(vm_string(self.0, n)) }
    }

    /// Text of a record of type PRINT, TEXT, HIST or WARN. `sym` gives the
    /// name of a kernel address; without it addresses are printed as numbers.
    pub fn render(&self, r: &Record, sym: Option<&mut dyn FnMut(u64, Form) -> String>) -> Vec<u8> {
        let mut out = Vec::new();
        self.render_words(&r.words, &mut out, sym);
        out
    }

    /// [`Program::render`] for a record that still stands in its ring (head
    /// included): appends the text to `out`. Nothing where the bytes are no
    /// whole, 8-byte aligned record.
    pub fn render_bytes(
        &self,
        record: &[u8],
        out: &mut Vec<u8>,
        sym: Option<&mut dyn FnMut(u64, Form) -> String>,
    ) {
        // SAFETY: any bytes are words.
        let (before, words, after) = unsafe { record.align_to::<u64>() };
        if before.is_empty() && after.is_empty() && words.len() >= 2 {
            self.render_words(words, out, sym);
        }
    }

    fn render_words(
        &self,
        words: &[u64],
        out: &mut Vec<u8>,
        mut sym: Option<&mut dyn FnMut(u64, Form) -> String>,
    ) {
        extern "C" fn call(arg: *mut c_void, addr: u64, form: c_char, out: *mut c_char, cap: usize) -> usize {
            // SAFETY: arg is the closure reference below; out has cap bytes.
            unsafe {
                let f = &mut *arg.cast::<&mut dyn FnMut(u64, Form) -> String>();
                let text = f(addr, if form as u8 == b'd' { Form::Data } else { Form::Name });
                let n = text.len().min(cap);
                std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), n);
                n
            }
        }
        if (words[0] as u32) as usize > words.len() * 8 {
            return;
        }
        let mut room = 1024 + words.len() * 16;
        loop {
            out.reserve(room);
            let (f, arg) = match &mut sym {
                Some(f) => (Some(call as SymFn), std::ptr::from_mut(f).cast::<c_void>()),
                None => (None, std::ptr::null_mut()),
            };
            let space = out.spare_capacity_mut();
            let cap = space.len();
            // SAFETY: the header points at the start of the program's image, the
            // record is whole (its length was checked), space has cap bytes.
            let n = unsafe {
                let flat = std::ptr::from_ref(self.header()).cast();
                vm_render(flat, words.as_ptr(), space.as_mut_ptr().cast(), cap, f, arg)
            };
            // full: there may be more (a wide field, a histogram)
            if n < cap || room > 1 << 26 {
                // SAFETY: vm_render wrote n bytes behind what was there.
                unsafe { out.set_len(out.len() + n.min(cap)) };
                return;
            }
            room = cap * 4;
        }
    }
}

/// Checks a flat image; `caps` as in [`Program::load`].
pub fn verify(flat: &[u8], caps: u32) -> Result<(), Fault> {
    Program::load(flat, caps).map(drop)
}

/// A record of a ring, with its head (`struct rec` in `core/record.h`).
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    words: Vec<u64>,
}

impl Record {
    /// A record from its bytes, head included; `None` when its length says
    /// more than there is, or less than a head.
    pub fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        if len < 16 || len % 8 != 0 || len > bytes.len() {
            return None;
        }
        let word = |b: &[u8]| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        Some(Record { words: bytes[..len].chunks_exact(8).map(word).collect() })
    }
    /// One of [`rec`].
    pub fn kind(&self) -> u16 {
        (self.words[0] >> 32) as u16
    }
    /// The probe whose handler wrote it.
    pub fn probe(&self) -> Option<u16> {
        let n = (self.words[0] >> 48) as u16;
        (n != 0xffff).then_some(n)
    }
    /// Place in the order of the session, from 1; 0 for a pad at a ring's end.
    pub fn seq(&self) -> u64 {
        self.words[1]
    }
    /// What follows the head.
    pub fn body(&self) -> Vec<u8> {
        self.words[2..].iter().flat_map(|w| w.to_le_bytes()).collect()
    }
    /// The `n`th 32-bit word of the body, 0 where there is none.
    pub fn word(&self, n: usize) -> u32 {
        self.words.get(2 + n / 2).map_or(0, |w| (w >> (n % 2 * 32)) as u32)
    }
    /// Of an ERROR record.
    pub fn error(&self) -> Option<ScriptError> {
        if self.kind() != rec::ERROR {
            return None;
        }
        let body = self.body();
        let (len, depth) = (self.word(2) as usize, self.word(3) as usize);
        let text = body.get(16..16 + len)?.to_vec();
        let at = 4 + len.div_ceil(4);
        let callers = (0..depth.min(self.words.len() * 2)).map(|k| self.word(at + k)).collect();
        Some(ScriptError { pc: self.word(0), code: self.word(1), text, callers })
    }
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record {{ kind: {}, probe: {:?}, seq: {} }}", self.kind(), self.probe(), self.seq())
    }
}

/// An uncaught error of a handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Instruction that raised it, counted in the whole code section.
    pub pc: u32,
    /// `E_*` of `core/error.h`.
    pub code: u32,
    pub text: Vec<u8>,
    /// Instructions that called the functions around it, innermost first.
    pub callers: Vec<u32>,
}

const PAGE: usize = 4096;

/// One CPU's rings, laid out as the loader of a kernel session maps them.
struct Ring {
    words: UnsafeCell<Box<[u64]>>,
}

/// The machine with its data, for a number of (simulated) CPUs. Handlers on
/// different CPUs may run on different threads.
pub struct Machine {
    program: Arc<Program>,
    vm: *mut CVm,
    host: Box<UnsafeCell<CHost>>,
    regions: Vec<CRegion>,
    memory: Vec<Box<[u8]>>,
    rings: Vec<Ring>,
    busy: Vec<AtomicBool>,
}

// SAFETY: `run` lets one thread at a time use the context of a CPU (busy);
// what CPUs share is guarded by the machine's own locks. What the host answers
// is changed through &mut self only.
unsafe impl Send for Machine {}
unsafe impl Sync for Machine {}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: made by vm_new, freed once, before the program and the host.
        unsafe { vm_free(self.vm) }
    }
}

impl Machine {
    /// Loads a flat image and makes a machine with rings of 512 and 64 KiB.
    pub fn load(flat: &[u8], caps: u32, ncpus: u32) -> Result<Machine, Fault> {
        Machine::new(Arc::new(Program::load(flat, caps)?), ncpus, 512 << 10, 64 << 10)
    }

    /// `ring_data` and `ring_ctl`: bytes of each CPU's rings, powers of two from 4096.
    pub fn new(
        program: Arc<Program>,
        ncpus: u32,
        ring_data: usize,
        ring_ctl: usize,
    ) -> Result<Machine, Fault> {
        assert!(ncpus > 0 && ring_data.is_power_of_two() && ring_ctl.is_power_of_two());
        assert!(ring_data >= PAGE && ring_ctl >= PAGE);
        // SAFETY: CHost is plain data for which zero is a value.
        let host: Box<UnsafeCell<CHost>> = Box::new(UnsafeCell::new(unsafe { std::mem::zeroed() }));
        let mut vm = std::ptr::null_mut();
        // SAFETY: program and host outlive the machine (see drop and the fields).
        let err = unsafe { vm_new(program.0, ncpus, host.get().cast(), &mut vm) };
        if err != 0 {
            let text = "no memory for the globals and contexts of the script".to_string();
            return Err(Fault { error: err, rule: 0, func: None, pc: None, text });
        }
        let ring = || Ring {
            words: UnsafeCell::new(vec![0u64; (PAGE + ring_data + ring_ctl) / 8].into_boxed_slice()),
        };
        let rings: Vec<Ring> = (0..ncpus).map(|_| ring()).collect();
        for (cpu, ring) in (0..).zip(&rings) {
            // SAFETY: the block has the size that is told and outlives vm.
            unsafe { vm_set_ring(vm, cpu, (*ring.words.get()).as_mut_ptr().cast(), ring_data, ring_ctl) }
        }
        let busy = (0..ncpus).map(|_| AtomicBool::new(false)).collect();
        let mut m = Machine { program, vm, host, regions: Vec::new(), memory: Vec::new(), rings, busy };
        m.set_fact(Helper::Hz, 1000);
        Ok(m)
    }

    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    pub fn ncpus(&self) -> u32 {
        self.rings.len() as u32
    }

    /// Runs the handler of a probe on a CPU.
    pub fn run(&self, cpu: u32, probe: u32, hit: &Hit) -> Outcome {
        static ARGMAP: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        assert!(probe < self.program.probes());
        let busy = &self.busy[cpu as usize];
        if busy.swap(true, Ordering::Acquire) {
            return Outcome::SkippedBusy;
        }
        let c = CHit {
            args: hit.args.as_ptr(),
            argmap: ARGMAP.as_ptr(),
            regs: hit.regs.as_ref().map_or(std::ptr::null_mut(), |r| r.as_ptr() as *mut c_void),
            retval: hit.retval,
            addr: hit.addr,
            caller: hit.caller,
            nargs: hit.args.len().min(12) as u32,
            flags: hit.flags,
            sysnr: hit.sysnr.unwrap_or(-1),
            host: std::ptr::null_mut(),
        };
        // SAFETY: probe and cpu are in range, the context is ours (busy), the
        // hit is only read and only during the call.
        let result = unsafe { user_run(self.vm, cpu, probe, &c) };
        busy.store(false, Ordering::Release);
        match result {
            0 => Outcome::Ok,
            1 => Outcome::Error,
            2 => Outcome::SkippedLock,
            _ => Outcome::SkippedCond,
        }
    }

    /// True after exit() or abort().
    pub fn exiting(&self) -> bool {
        // SAFETY: an atomic read.
        unsafe { vm_exiting(self.vm) }
    }

    /// True after abort(): not even the other begin probes are to run.
    pub fn aborted(&self) -> bool {
        // SAFETY: an atomic read.
        unsafe { vm_aborted(self.vm) }
    }

    /// Start and bytes of a CPU's rings, for a reader that reads them as it
    /// would those of a kernel session, instead of [`Machine::drain`].
    pub fn mapping(&self, cpu: u32) -> (*const u8, usize) {
        let ring = &self.rings[cpu as usize];
        // SAFETY: only the address and the length are taken.
        let words = unsafe { &*ring.words.get() };
        (words.as_ptr().cast(), words.len() * 8)
    }

    /// A record of the host itself in the control ring; false when the CPU is busy.
    pub fn control(&self, cpu: u32, kind: u16, body: &[u8]) -> bool {
        let busy = &self.busy[cpu as usize];
        if busy.swap(true, Ordering::Acquire) {
            return false;
        }
        // SAFETY: the context is ours (busy), body is readable for its length.
        unsafe { vm_control(self.vm, cpu, kind, body.as_ptr().cast(), body.len() as u32) };
        busy.store(false, Ordering::Release);
        true
    }

    /// The last sequence number given to a record.
    pub fn last_seq(&self) -> u64 {
        // SAFETY: an atomic read.
        unsafe { user_seq(self.vm) }
    }

    pub fn memory(&self) -> Figures {
        let mut f = Figures::default();
        // SAFETY: fills f.
        unsafe { vm_memory(self.vm, &mut f) };
        f
    }

    /// Takes the records of a CPU out of its rings, in the order of `seq`.
    pub fn drain(&self, cpu: u32) -> Vec<Record> {
        let ring = &self.rings[cpu as usize];
        // SAFETY: as the mapping of a kernel session: the machine writes behind
        // `head` only, which is read with acquire; tail is ours.
        let mut all = unsafe {
            let base = (*ring.words.get()).as_ptr();
            let mut all = drain_one(base, 0);
            all.extend(drain_one(base, 1));
            all
        };
        all.sort_by_key(Record::seq);
        all
    }

    /// [`Machine::drain`] over all CPUs.
    pub fn drain_all(&self) -> Vec<Record> {
        let mut all: Vec<Record> = (0..self.ncpus()).flat_map(|cpu| self.drain(cpu)).collect();
        all.sort_by_key(Record::seq);
        all
    }

    /// Records that found no room in the data ring of a CPU.
    pub fn lost(&self, cpu: u32) -> u64 {
        // SAFETY: the first page of the block is two ring heads.
        unsafe {
            let h = (*self.rings[cpu as usize].words.get()).as_ptr().cast::<RingHead>();
            (*h).lost.load(Ordering::Relaxed)
        }
    }

    fn host(&mut self) -> &mut CHost {
        self.host.get_mut()
    }

    /// What an integer helper that asks the host gives (pid, uid, target, jiffies ...).
    pub fn set_fact(&mut self, helper: Helper, value: i64) {
        self.host().fact[helper as usize] = value;
    }

    pub fn set_execname(&mut self, name: &str, parent: &str) {
        put_text(&mut self.host().execname, name);
        put_text(&mut self.host().pexecname, parent);
    }

    /// Clocks in ns, and the cycle counter; 0 gives the system's.
    pub fn set_clock(&mut self, real: u64, mono: u64, cycles: u64) {
        let h = self.host();
        (h.clock_real, h.clock_mono, h.cycles) = (real, mono, cycles);
    }

    /// Makes random numbers repeat.
    pub fn set_seed(&mut self, seed: u64) {
        self.host().seed = seed;
    }

    /// Memory that handlers can read at `addr` (user or kernel memory).
    pub fn map(&mut self, addr: u64, bytes: &[u8], user: bool, writable: bool) {
        let mut copy: Box<[u8]> = bytes.into();
        self.regions.push(CRegion {
            addr,
            len: copy.len() as u64,
            bytes: copy.as_mut_ptr(),
            user: user.into(),
            writable: writable.into(),
        });
        self.memory.push(copy);
        let (at, n) = (self.regions.as_mut_ptr(), self.regions.len() as u64);
        let h = self.host();
        h.region = at;
        h.regions = n;
    }
}

fn put_text(to: &mut [u8; TEXT], s: &str) {
    let n = s.len().min(TEXT - 1);
    to.fill(0);
    to[..n].copy_from_slice(&s.as_bytes()[..n]);
}

/// # Safety
/// `base` is the start of a CPU's rings, and nobody else moves their tails.
unsafe fn drain_one(base: *const u64, which: usize) -> Vec<Record> {
    let h = unsafe { &*base.cast::<RingHead>().add(which) };
    let head = h.head.load(Ordering::Acquire);
    let mut tail = h.tail.load(Ordering::Relaxed);
    let mut out = Vec::new();
    while tail != head {
        let at = h.offset + (tail & (h.size - 1));
        let word = unsafe { base.add(at as usize / 8) };
        let len = (unsafe { *word } as u32) as u64;
        let words = unsafe { std::slice::from_raw_parts(word, len as usize / 8) }.to_vec();
        let r = Record { words };
        // a pad with a number stands for a record that was given back
        if r.kind() != rec::PAD || r.seq() != 0 {
            out.push(r);
        }
        tail += len;
    }
    h.tail.store(tail, Ordering::Release);
    out
}
