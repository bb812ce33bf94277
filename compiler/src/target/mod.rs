//! What is known of the traced machine: types, symbols, tracepoints, system calls.
//!
//! In: files of the traced kernel (`/sys/kernel/btf`, `/proc/kallsyms`, `/boot`, debuginfo).
//! Out: where a function is, what its parameters are, what a type looks like.
//! The cheapest source that can answer is asked first, and only for what a
//! script names. Never touches a device; writes nothing but the cache of debuginfo's names.

pub mod btf;
pub mod ctype;
pub mod debugfiles;
pub mod dwarf;
pub mod glob;
pub mod kernel;
pub mod offsets;
pub mod symbols;
pub mod syscalls;
pub mod tracepoints;
