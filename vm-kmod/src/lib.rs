//! The stpvm machine, hosted in a process, and the tables that describe it.
//!
//! * [`isa`]: opcodes, helpers and limits, made from `core/*.def`
//! * [`flat`]: the flat image that a machine loads (mirror of `core/image.h`)
//! * [`reference`]: the manual page made from the tables
//! * [`regex`]: tables of regular expressions, run in the process
//!
//! The C in `core/` is the same that the kernel module is made of.

pub mod flat;
pub mod isa;
pub mod reference;
pub mod regex;
