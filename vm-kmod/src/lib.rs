//! The stpvm machine, hosted in a process, and the tables that describe it.
//!
//! * [`isa`]: opcodes, helpers and limits, made from `core/*.def`
//! * [`host`]: loads images and runs their handlers in this process
//! * [`flat`]: the flat image that a machine loads (mirror of `core/image.h`)
//! * [`reference`]: the manual page made from the tables
//! * [`regex`]: tables of regular expressions, run in the process
//!
//! The C in `core/` is the same that the kernel module is made of.

pub mod flat;
pub mod host;
pub mod isa;
pub mod reference;
pub mod regex;

pub use host::{verify, Fault, Form, Hit, Machine, Outcome, Program, Record};
