//! What stands between a compiled script and its user.
//!
//! * [`cli`]: the options of `stap`

pub mod cli;
