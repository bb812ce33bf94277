//! Opcodes, helpers and limits of the machine: the Rust side of `core/*.def`.

/// Reads kernel memory.
pub const CAP_KERNEL_READ: u32 = 1;
/// Reads user memory.
pub const CAP_USER_READ: u32 = 2;
/// Fires in tasks of other users.
pub const CAP_ALL_PROCS: u32 = 4;
/// Writes memory or the kernel log.
pub const CAP_GURU: u32 = 8;

/// What field a, b or c of an instruction holds; see the head of `ops.def`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    None,
    Iw,
    Ir,
    Ix,
    Sw,
    Sr,
    Sx,
    Ib,
    Sb,
    Aw,
    Ar,
    Tw,
    Tr,
    N,
    J,
    K,
}

/// What the immediate of an instruction holds; see the head of `ops.def`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imm {
    None,
    Lit,
    K,
    Str,
    G,
    St,
    M,
    Ms,
    Fn,
    H,
    Fmt,
    It,
    Dfa,
    Fj,
    Bj,
}

/// Flags of an opcode; see the head of `ops.def`.
pub mod flag {
    pub const F: u16 = 1;
    pub const J: u16 = 2;
    pub const B: u16 = 4;
    pub const E: u16 = 8;
    pub const G: u16 = 16;
    pub const W: u16 = 32;
    pub const C: u16 = 64;
    pub const O: u16 = 128;
}

/// Row of `ops.def`.
#[derive(Clone, Copy, Debug)]
pub struct OpInfo {
    pub op: Op,
    pub mnemonic: &'static str,
    pub a: Field,
    pub b: Field,
    pub c: Field,
    pub imm: Imm,
    /// Bits of [`flag`].
    pub flags: u16,
    pub doc: &'static str,
}

/// Result kind of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    I,
    S,
    V,
}

/// Row of `helpers.def`.
#[derive(Clone, Copy, Debug)]
pub struct HelperInfo {
    pub helper: Helper,
    pub name: &'static str,
    pub ret: Ret,
    /// One byte per argument, `i` or `s`, in the order of the script.
    pub args: &'static str,
    /// Capabilities that an image with it must state.
    pub caps: u32,
    pub cost: u32,
    /// Only for begin, end and error handlers.
    pub sleepy: bool,
    /// Without side effect: dropped when its result is unused.
    pub pure: bool,
    pub may_fail: bool,
    pub doc: &'static str,
}

/// Row of `limits.def`.
#[derive(Clone, Copy, Debug)]
pub struct LimitInfo {
    pub field: &'static str,
    /// Name for `-D`.
    pub name: &'static str,
    pub default: i32,
    pub lowest: i32,
    pub highest: i32,
    pub doc: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/isa.rs"));

impl Op {
    /// The opcode of that number.
    pub fn from_u8(n: u8) -> Option<Op> {
        OPS.get(usize::from(n)).map(|info| info.op)
    }
    /// Its row of `ops.def`.
    pub fn info(self) -> &'static OpInfo {
        &OPS[self as usize]
    }
}

impl Helper {
    /// Its row of `helpers.def`.
    pub fn info(self) -> &'static HelperInfo {
        &HELPERS[self as usize]
    }
}

/// One instruction, as in the drawing at the head of `ops.def`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Insn {
    pub op: Op,
    pub a: u8,
    pub b: u8,
    pub c: u8,
    pub imm: i32,
}

impl Insn {
    /// The machine word.
    pub fn encode(self) -> u64 {
        u64::from(self.op as u8)
            | u64::from(self.a) << 8
            | u64::from(self.b) << 16
            | u64::from(self.c) << 24
            | u64::from(self.imm as u32) << 32
    }
    /// The instruction of a machine word; `None` for an unknown opcode.
    pub fn decode(word: u64) -> Option<Insn> {
        Some(Insn {
            op: Op::from_u8(word as u8)?,
            a: (word >> 8) as u8,
            b: (word >> 16) as u8,
            c: (word >> 24) as u8,
            imm: (word >> 32) as u32 as i32,
        })
    }
    /// Fields b and c as one number (c is the high byte).
    pub fn bc(self) -> u16 {
        u16::from(self.b) | u16::from(self.c) << 8
    }
}

impl std::fmt::Debug for Insn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {},{},{},{}", self.op.info().mnemonic, self.a, self.b, self.c, self.imm)
    }
}
