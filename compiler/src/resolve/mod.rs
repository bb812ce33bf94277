//! Names to things: tapset files, aliases, probe points, functions, variables.

pub mod target_api;
pub mod target_var;
