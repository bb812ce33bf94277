//! The typed program to registers, lock plan and action costs.

pub mod regex;
