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

const _: () = {
    assert!(size_of::<Func>() == 32);
    assert!(size_of::<Probe>() == 64);
    assert!(size_of::<Global>() == 72);
    assert!(size_of::<Fmt>() == 16);
    assert!(size_of::<FmtItem>() == 16);
    assert!(size_of::<Iter>() == 16);
    assert!(size_of::<Dfa>() == 16);
};
