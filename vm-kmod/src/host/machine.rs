//! The machine with its data: runs handlers, and holds the rings that they write.

use super::ffi::*;
use super::{rec, Fault, Figures, Hit, Outcome, Program, Record};
use crate::isa::Helper;
use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

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
    stack: Box<[u64]>,
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
        let mut m = Machine {
            program,
            vm,
            host,
            regions: Vec::new(),
            memory: Vec::new(),
            stack: Box::default(),
            rings,
            busy,
        };
        m.set_fact(Helper::Hz, 1000);
        Ok(m)
    }

    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    pub fn ncpus(&self) -> u32 {
        self.rings.len() as u32
    }

    /// Runs the handler of a probe on a CPU. What does not fit into its rings is lost.
    pub fn run(&self, cpu: u32, probe: u32, hit: &Hit) -> Outcome {
        self.run_in(cpu, probe, hit, None, None)
    }

    /// The same for a probe of a procfs file or of the standard input, with its `$value`: what was
    /// written there, or what a reader is to get, which the handler may set up to the capacity.
    pub fn run_with_value(&self, cpu: u32, probe: u32, value: &mut Vec<u8>) -> Outcome {
        self.run_in(cpu, probe, &Hit::default(), None, Some(value))
    }

    /// Runs the handler of a probe on a CPU; `make_room` is called when a ring of the CPU is full,
    /// and is to read it. If it does not, the record is lost.
    pub fn run_with_reader(
        &self,
        cpu: u32,
        probe: u32,
        hit: &Hit,
        value: Option<&mut Vec<u8>>,
        mut make_room: &mut dyn FnMut(),
    ) -> Outcome {
        extern "C" fn call(arg: *mut c_void) {
            // SAFETY: arg is the closure reference below; a panic in it ends the process.
            unsafe { (*arg.cast::<&mut dyn FnMut()>())() }
        }
        let room = CRoom { make: call, arg: std::ptr::from_mut(&mut make_room).cast() };
        self.run_in(cpu, probe, hit, Some(&room), value)
    }

    fn run_in(
        &self,
        cpu: u32,
        probe: u32,
        hit: &Hit,
        room: Option<&CRoom>,
        mut value: Option<&mut Vec<u8>>,
    ) -> Outcome {
        static ARGMAP: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
        assert!(probe < self.program.probes());
        let busy = &self.busy[cpu as usize];
        if busy.swap(true, Ordering::Acquire) {
            return Outcome::SkippedBusy;
        }
        let mut text = value.as_mut().map(|v| CValue {
            len: v.len() as u32,
            cap: u32::try_from(v.capacity()).unwrap_or(u32::MAX),
            buf: v.as_mut_ptr(),
        });
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
            host: text.as_mut().map_or(std::ptr::null_mut(), |t| std::ptr::from_mut(t).cast()),
        };
        // SAFETY: probe and cpu are in range, the context is ours (busy), the
        // hit and the room are only read, the value is written within its
        // capacity, and all that only during the call.
        let room = room.map_or(std::ptr::null(), std::ptr::from_ref);
        let result = unsafe { user_run(self.vm, cpu, probe, &c, room) };
        busy.store(false, Ordering::Release);
        if let (Some(v), Some(t)) = (value, text) {
            // SAFETY: that many bytes were there or have been written, within the capacity.
            unsafe { v.set_len(t.len as usize) };
        }
        match result {
            0 => Outcome::Ok,
            1 => Outcome::Error,
            2 => Outcome::SkippedLock,
            _ => Outcome::SkippedCond,
        }
    }

    /// Instructions, of all machines, that were held to what the verifier proved: none but in a
    /// build for tests (`STPVM_CHECK`, `STPVM_SANITIZE`).
    pub fn checked_instructions() -> u64 {
        // SAFETY: an atomic read.
        unsafe { check_count() }
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

    /// The stack at which every probe hits, innermost frame first: addresses of the topmost 2 GiB.
    pub fn set_stack(&mut self, frames: &[u64]) {
        self.stack = frames.into();
        let (at, n) = (self.stack.as_ptr(), self.stack.len() as u64);
        let h = self.host();
        h.stack = at;
        h.frames = n;
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
