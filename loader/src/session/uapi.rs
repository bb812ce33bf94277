//! Mirror of `vm-kmod/kernel/uapi.h`: the structures and ioctl numbers of
//! `/dev/stpvm`. Nothing here opens or calls anything.

use stp_compiler::target::offsets::Offsets as KernelOffsets;

/// Version of the interface that this loader speaks.
pub const VERSION: u32 = 2;

/// `struct stpvm_info`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Info {
    pub size: u32,
    pub version: u32,
    pub isa_hash: u64,
    /// `CAP_*` that this caller may use.
    pub caps: u32,
    /// Possible CPUs: rings to map.
    pub ncpus: u32,
    pub features: u32,
    pub pad: u32,
}

/// `struct stpvm_offsets`: what BTF tells, and room for more.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Offsets {
    pub known: KernelOffsets,
    pub reserved: [u32; 3],
}

/// `struct stpvm_load`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Load {
    pub size: u32,
    pub image_len: u32,
    pub image: u64,
    pub target: i64,
    pub loader_pid: i64,
    pub ring_data: u32,
    pub ring_ctl: u32,
    pub watermark: u32,
    pub wake_ms: u32,
    pub offsets: Offsets,
    pub ring_map_len: u64,
    pub mem_image: u64,
    pub mem_globals: u64,
    pub mem_contexts: u64,
    pub mem_rings: u64,
    pub fault_rule: u32,
    pub fault_func: u32,
    pub fault_pc: u32,
    pub pad: u32,
    pub fault_text: [u8; 160],
    /// Seconds west of UTC, and the name of the time zone, NUL-terminated.
    pub tz_west: i64,
    pub tz_name: [u8; 16],
    /// How long begin, end and error handlers wait for a reader that stands still; 0: 10 s, all
    /// ones: for ever.
    pub room_ms: u32,
    /// `LF_*`
    pub flags: u32,
}

/// [`ProbeStats::cycles_min`] and `cycles_max` are wanted.
pub const LF_TIMING: u32 = 1;

/// `struct stpvm_start`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Start {
    pub size: u32,
    /// On error: which probe; all ones: none.
    pub failed_probe: u32,
    /// Optional probes that could not be armed.
    pub refused: u32,
    /// `SF_*`
    pub flags: u32,
    pub text: [u8; 160],
    /// Address of a byte for each probe, which becomes 1 where it could not be armed; 0: not wanted.
    pub which: u64,
}

/// Arm and no more: no handler runs before the START that follows.
pub const SF_ARM: u32 = 1;

/// `struct stpvm_probe_stats`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeStats {
    pub hits: u64,
    pub errors: u64,
    pub skipped_busy: u64,
    pub skipped_lock: u64,
    pub skipped_stack: u64,
    /// Records that found no room.
    pub lost: u64,
    pub cycles: u64,
    /// Hits left out by the overload guard.
    pub thinned: u64,
    /// Of one hit, with [`LF_TIMING`]; else 0.
    pub cycles_min: u64,
    pub cycles_max: u64,
}

/// `struct stpvm_stats`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    pub size: u32,
    pub first: u32,
    pub count: u32,
    pub state: u32,
    pub array: u64,
    pub errors: u64,
    pub skipped: u64,
}

/// `struct stpvm_input`
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Input {
    pub size: u32,
    /// 0: a byte for `input.char`, 1: a line.
    pub line: u32,
    pub text: u64,
    pub len: u32,
    pub pad: u32,
}

const fn ioc(dir: u64, nr: u64, size: usize) -> libc::c_ulong {
    (dir << 30 | (size as u64) << 16 | (b'v' as u64) << 8 | nr) as libc::c_ulong
}
const WRITE: u64 = 1;
const READ: u64 = 2;
pub const IOC_INFO: libc::c_ulong = ioc(READ, 16, size_of::<Info>());
pub const IOC_LOAD: libc::c_ulong = ioc(READ | WRITE, 17, size_of::<Load>());
pub const IOC_START: libc::c_ulong = ioc(READ | WRITE, 18, size_of::<Start>());
pub const IOC_STOP: libc::c_ulong = ioc(0, 19, 0);
pub const IOC_STATS: libc::c_ulong = ioc(READ | WRITE, 20, size_of::<Stats>());
pub const IOC_INPUT: libc::c_ulong = ioc(READ | WRITE, 21, size_of::<Input>());

/// A text that the module left in a fixed field.
pub fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}
