//! From rings to text.
//!
//! * [`ring`]: one ring of records in shared memory
//! * [`order`]: all rings as one stream, by sequence number
//! * [`printer`]: what becomes of each record
//! * [`sink`]: standard output, files, files per CPU
//! * [`message`]: the error stream

pub mod message;
pub mod order;
pub mod printer;
pub mod ring;
pub mod sink;
