//! Names to things: tapset files, aliases, probe points. In: parsed scripts
//! and the library's directories. Out: places with the blocks that run there,
//! and units in which `types` finds functions and globals. Never types, never
//! looks into the traced machine but through [`target_api::TargetVars`].

pub mod builtin;
pub mod library;
pub mod names;
mod netfilter;
pub mod points;
mod program;
pub mod target_api;
pub mod target_var;
pub mod world;
