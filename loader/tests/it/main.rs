//! The programs of this crate, run as their users run them.

mod cache;
mod common;
mod docs;
mod hosted;
mod image;
mod staprun;
mod uapi;
