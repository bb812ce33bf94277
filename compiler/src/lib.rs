//! SystemTap scripts to stpvm images.
//!
//! One way, no stage reaches back: [`syntax`] (text to AST) → [`resolve`]
//! (tapsets, aliases, probe points) → [`types`] (typed program) → [`lower`]
//! (registers, locks, costs) → [`bytecode`] (image). [`target`] answers what
//! is known of the traced kernel; [`regex`] reads patterns and makes their
//! tables; [`diag`] is how every stage reports; [`driver`] runs them in order.

pub mod bytecode;
pub mod bytes;
pub mod cache;
pub mod diag;
pub mod driver;
pub mod lower;
pub mod regex;
pub mod resolve;
pub mod syntax;
pub mod target;
pub mod types;

/// Version of SystemTap whose language this is: `systemtap_v`, the default of `--compatible`, `stap -V`.
pub const SYSTEMTAP_VERSION: &str = "5.6";
