//! Mirror of `core/image.h`: the structures of a flat image.

use crate::isa::Limits;

pub const MAGIC: u32 = 0x4d56_5053;
pub const ABI: u16 = 1;

/// Numbers of the sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Section {
    Code,
    Func,
    Probe,
    Global,
    Const,
    Str,
    Bytes,
    Fmt,
    FmtItem,
    Lock,
    Try,
    Iter,
    Dfa,
    DfaData,
}
pub const SECTIONS: usize = 14;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sect {
    pub off: u32,
    pub count: u32,
}

#[repr(C)]
#[derive(Clone, Debug)]
pub struct Header {
    pub magic: u32,
    pub abi: u16,
    pub header_size: u16,
    pub total_size: u32,
    pub caps: u32,
    pub isa_hash: u64,
    pub name: u32,
    pub pad: u32,
    pub sect: [Sect; SECTIONS],
    pub limits: Limits,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Str {
    pub off: u32,
    pub len: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Func {
    pub code: u32,
    pub ncode: u32,
    pub nregs: u16,
    pub nstrs: u16,
    pub naggs: u8,
    pub niters: u8,
    pub ni: u8,
    pub ns: u8,
    pub ret: u8,
    pub flags: u8,
    pub pad: u16,
    pub name: u32,
    pub try_first: u32,
    pub try_count: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Probe {
    pub func: u32,
    pub kind: u16,
    pub flags: u16,
    pub addr: u64,
    pub arg: i64,
    pub arg2: i64,
    pub name: u32,
    pub pp: u32,
    pub pn: u32,
    pub lock_first: u32,
    pub lock_count: u32,
    pub cost: u32,
    pub cond: u32,
    pub pad: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Global {
    pub name: u32,
    pub cls: u8,
    pub ty: u8,
    pub nkeys: u8,
    pub flags: u8,
    pub keys: [u8; 12],
    pub size: u32,
    pub init_str: u32,
    pub pad0: u32,
    pub init_int: i64,
    pub hist: u8,
    pub bit_shift: u8,
    pub stat_ops: u16,
    pub pad: u32,
    pub lo: i64,
    pub hi: i64,
    pub step: i64,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Lock {
    pub global: u16,
    pub mode: u16,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Try {
    pub from: u32,
    pub to: u32,
    pub target: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Fmt {
    pub first: u32,
    pub count: u32,
    pub ni: u8,
    pub ns: u8,
    pub flags: u8,
    pub pad: u8,
    pub pad2: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FmtItem {
    pub conv: u8,
    pub flags: u8,
    pub size: u8,
    pub pad: u8,
    pub width: i32,
    pub prec: i32,
    pub str: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Iter {
    pub map: u16,
    pub sort: u8,
    pub desc: u8,
    pub key: u8,
    pub has_limit: u8,
    pub slice: u16,
    pub slice_s: u8,
    pub pad: [u8; 7],
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Dfa {
    pub first: u32,
    pub count: u32,
    pub nstates: u16,
    pub ngroups: u16,
    pub flags: u32,
}

/// Structures without padding, whose bytes may be looked at.
///
/// # Safety
/// Every byte of the type belongs to a field.
pub unsafe trait Plain: Copy {}
macro_rules! plain {
    ($($t:ty),*) => { $(unsafe impl Plain for $t {})* };
}
plain!(u32, u64, i64, Sect, Str, Func, Probe, Global, Lock, Try, Fmt, FmtItem, Iter, Dfa);

/// The bytes of a structure as the machine reads them (little-endian hosts only).
pub fn bytes_of<T: Plain>(value: &T) -> &[u8] {
    // Sound: `Plain` types have no padding, and any byte may be read as u8.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

impl Header {
    /// The bytes of the header; padding behind the limits is zero.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(size_of::<Self>());
        out.extend_from_slice(&self.magic.to_le_bytes());
        out.extend_from_slice(&self.abi.to_le_bytes());
        out.extend_from_slice(&self.header_size.to_le_bytes());
        for n in [self.total_size, self.caps] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        out.extend_from_slice(&self.isa_hash.to_le_bytes());
        for n in [self.name, self.pad] {
            out.extend_from_slice(&n.to_le_bytes());
        }
        for s in &self.sect {
            out.extend_from_slice(bytes_of(s));
        }
        let limits = std::ptr::from_ref(&self.limits).cast::<u8>();
        // Sound: `Limits` is repr(C) and made of i32 only.
        out.extend_from_slice(unsafe { std::slice::from_raw_parts(limits, size_of::<Limits>()) });
        out.resize(size_of::<Self>(), 0);
        out
    }
}

/// `enum im_kind`: where a handler runs; what `addr` and `arg` mean is said there.
pub mod kind {
    pub const BEGIN: u16 = 0;
    pub const END: u16 = 1;
    pub const ERROR: u16 = 2;
    pub const NEVER: u16 = 3;
    pub const TIMER: u16 = 4;
    pub const PROFILE: u16 = 5;
    pub const FENTRY: u16 = 6;
    pub const FRETURN: u16 = 7;
    pub const KPROBE: u16 = 8;
    pub const TRACE: u16 = 9;
    pub const SYSENTER: u16 = 10;
    pub const SYSEXIT: u16 = 11;
    pub const PERF: u16 = 14;
    pub const PROCFS_R: u16 = 15;
    pub const PROCFS_W: u16 = 16;
    pub const HWBREAK: u16 = 17;
    pub const NETFILTER: u16 = 18;
    pub const INPUT: u16 = 19;
}

pub const F_HANDLER: u8 = 1;
pub const F_LOCKED: u8 = 2;

pub const P_INTERRUPTIBLE: u16 = 1;
pub const P_RETURN: u16 = 2;
pub const P_OPTIONAL: u16 = 4;
pub const P_ENTRY_ARGS: u16 = 8;
/// `arg` of a function's entry: every machine register is needed.
pub const AT_REGS: i64 = 1;
pub const P_MAXINT: u16 = 16;
/// In `arg2` of [`kind::PERF`]: `arg` is samples per second.
pub const PERF_FREQ: i64 = 1 << 32;

pub const G_INT: u8 = 0;
pub const G_STR: u8 = 1;
pub const G_PERCPU: u8 = 2;
pub const G_STAT: u8 = 3;
pub const G_MAP: u8 = 4;
pub const G_STATMAP: u8 = 5;

pub const T_INT: u8 = 1;
pub const T_STR: u8 = 2;
pub const T_STAT: u8 = 3;

pub const GF_WRAP: u8 = 1;
pub const GF_SIZED: u8 = 2;
pub const H_LOG: u8 = 1;
pub const H_LINEAR: u8 = 2;
pub const SO_MINMAX: u16 = 1;
pub const SO_VARIANCE: u16 = 2;

pub const L_READ: u16 = 1;
pub const L_WRITE: u16 = 2;
pub const L_ADD: u16 = 3;

pub const FL_ZERO: u8 = 1;
pub const FL_PLUS: u8 = 2;
pub const FL_SPACE: u8 = 4;
pub const FL_LEFT: u8 = 8;
pub const FL_ALT: u8 = 16;
/// Width or precision that is an argument.
pub const DYN: i32 = i32::MIN;

const _: () = {
    assert!(size_of::<Func>() == 32);
    assert!(size_of::<Probe>() == 64);
    assert!(size_of::<Global>() == 72);
    assert!(size_of::<Fmt>() == 16);
    assert!(size_of::<FmtItem>() == 16);
    assert!(size_of::<Iter>() == 16);
    assert!(size_of::<Dfa>() == 16);
};
