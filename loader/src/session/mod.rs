//! Sessions
pub mod uapi;
