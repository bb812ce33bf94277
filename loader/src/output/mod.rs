//! From rings to text: readers, global order, formatting, files.
pub mod order;
pub mod ring;
