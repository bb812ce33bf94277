//! What the tests and benchmarks of stpvm share: guests to run cases in.
//! In: cases. Out: what they did. No expectation lives here.

pub mod guest;
pub mod language;
