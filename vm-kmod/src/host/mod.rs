//! The machine in this process: load an image, run its handlers, read what
//! they wrote. The unsafe blocks are calls into `core/` and `user/`; the C side
//! never keeps a pointer that it is given, but for the host and the rings,
//! which live as long as the machine.

mod ffi;
mod machine;
mod program;
mod record;

pub use machine::Machine;
pub use program::{verify, Form, Program};
pub use record::{Record, ScriptError};

use crate::isa::{Rule, RULES};

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
    pub const ORDER: u16 = 8;
    pub const STACK: u16 = 9;
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
