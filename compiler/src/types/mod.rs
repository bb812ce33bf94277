//! Types of globals, locals and functions; from resolved names to the typed program.

pub mod hir;
