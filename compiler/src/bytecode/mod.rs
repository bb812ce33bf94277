//! The image: what a script has become. File form, flat form, listing, assembler.
//!
//! * [`image`]: the structures, made by `lower` or by the assembler
//! * [`pools`]: how constants, strings, formats are shared; the canonical order of the pools
//! * `listing`: what `stap -p3` prints
//! * [`asm`]: reads a listing back
//! * [`file`]: `NAME.stpbc`, what `stap -p4` writes
//! * `worst`: what a probe can do at most
//! * [`flat`]: what a machine loads (`vm-kmod/core/image.h`)
//!
//! Nothing here knows the language or the traced machine.

pub mod asm;
pub mod file;
pub mod flat;
pub mod image;
mod listing;
pub mod pools;
mod signature;
mod worst;

#[cfg(test)]
mod listing_tests;
#[cfg(test)]
mod tests;

pub use asm::{assemble, AsmError};
pub use file::FileError;
pub use flat::{FlatError, ResolvedPlace};
pub use image::{
    Class, CodePlace, Constant, Conversion, Dfa, FormatItem, Function, Global, Hist, Image, Iter, IterSort,
    Line, Lock, LockMode, Number, Probe, Ret, SourceLine, Try, ValueType, EXHAUSTED,
};
pub use signature::{window, Window};
pub use worst::Worst;
