//! The C side: structures and functions of `core/vm.h` and `user/host.h`.

use super::Figures;
use crate::flat::{Header, Probe};
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::AtomicU64;

#[repr(C)]
pub(super) struct CFault {
    pub(super) error: i32,
    pub(super) rule: u32,
    pub(super) func: u32,
    pub(super) pc: u32,
    pub(super) text: [c_char; 160],
}

#[repr(C)]
pub(super) struct CHit {
    pub(super) args: *const u64,
    pub(super) argmap: *const u8,
    pub(super) regs: *mut c_void,
    pub(super) retval: u64,
    pub(super) addr: u64,
    pub(super) caller: u64,
    pub(super) nargs: u32,
    pub(super) flags: u32,
    pub(super) sysnr: i64,
    pub(super) host: *mut c_void,
}

/// `struct vm_value`
#[repr(C)]
pub(super) struct CValue {
    pub(super) buf: *mut u8,
    pub(super) len: u32,
    pub(super) cap: u32,
}

#[repr(C)]
pub(super) struct CRoom {
    pub(super) make: extern "C" fn(*mut c_void),
    pub(super) arg: *mut c_void,
}

pub(super) const TEXT: usize = 256;

#[repr(C)]
pub(super) struct CRegion {
    pub(super) addr: u64,
    pub(super) len: u64,
    pub(super) bytes: *mut u8,
    pub(super) user: u32,
    pub(super) writable: u32,
}

#[repr(C)]
pub(super) struct CHost {
    pub(super) fact: [i64; 256],
    pub(super) execname: [u8; TEXT],
    pub(super) pexecname: [u8; TEXT],
    pub(super) clock_real: u64,
    pub(super) clock_mono: u64,
    pub(super) cycles: u64,
    pub(super) seed: u64,
    pub(super) region: *mut CRegion,
    pub(super) regions: u64,
    pub(super) stack: *const u64,
    pub(super) frames: u64,
    pub(super) wakes: AtomicU64,
    pub(super) urgent_wakes: AtomicU64,
    pub(super) message: Option<extern "C" fn(*mut c_void, u32, i64, *const c_char)>,
    pub(super) message_arg: *mut c_void,
}

#[repr(C)]
pub(super) struct RingHead {
    pub(super) head: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) pad0: [u64; 6],
    pub(super) tail: AtomicU64,
    pub(super) pad1: [u64; 7],
    pub(super) size: u64,
    pub(super) offset: u64,
    pub(super) pad2: [u64; 6],
}

pub(super) enum CProg {}
pub(super) enum CVm {}

pub(super) type SymFn = extern "C" fn(*mut c_void, u64, c_char, *mut c_char, usize) -> usize;

extern "C" {
    pub(super) fn vm_load(
        flat: *const c_void,
        len: usize,
        caps: u32,
        out: *mut *mut CProg,
        fault: *mut CFault,
    ) -> c_int;
    pub(super) fn vm_unload(p: *mut CProg);
    pub(super) fn vm_header(p: *const CProg) -> *const Header;
    pub(super) fn vm_probe(p: *const CProg, n: u32) -> *const Probe;
    pub(super) fn vm_nprobes(p: *const CProg) -> u32;
    pub(super) fn vm_string(p: *const CProg, n: u32) -> *const c_char;
    pub(super) fn vm_new(p: *mut CProg, ncpus: u32, host: *mut c_void, out: *mut *mut CVm) -> c_int;
    pub(super) fn vm_free(vm: *mut CVm);
    pub(super) fn vm_memory(vm: *const CVm, out: *mut Figures);
    pub(super) fn vm_set_ring(vm: *mut CVm, cpu: u32, mapping: *mut c_void, data: usize, ctl: usize);
    pub(super) fn vm_exiting(vm: *const CVm) -> bool;
    pub(super) fn vm_aborted(vm: *const CVm) -> bool;
    pub(super) fn vm_control(vm: *mut CVm, cpu: u32, kind: u16, body: *const c_void, len: u32);
    pub(super) fn vm_render(
        flat: *const c_void,
        r: *const u64,
        out: *mut c_char,
        cap: usize,
        sym: Option<SymFn>,
        arg: *mut c_void,
    ) -> usize;
    pub(super) fn user_run(vm: *mut CVm, cpu: u32, probe: u32, hit: *const CHit, room: *const CRoom) -> u32;
    pub(super) fn check_count() -> u64;
    pub(super) fn user_seq(vm: *const CVm) -> u64;
}
