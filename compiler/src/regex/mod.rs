//! Regular expressions to tables.
//!
//! In: a pattern as the script wrote it. Out: the words of `core/regex.h`.
//! [`parse`] reads POSIX extended syntax, [`nfa`] threads it, [`dfa`] makes
//! the tagged DFA. Nothing here runs an expression.

mod dfa;
mod nfa;
mod parse;

/// Tables of one expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tables {
    /// Layout in `vm-kmod/core/regex.h`.
    pub words: Vec<u32>,
    pub states: usize,
    /// Groups of the pattern, the whole match counted.
    pub groups: usize,
}

/// Why a pattern was refused. Positions count bytes of the pattern from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegexError {
    #[error("regex compilation error (at position {at}): {what}")]
    Syntax { at: usize, what: String },
    #[error("regex compilation error: the expression needs more than {limit} {what}; make it simpler")]
    TooLarge { what: &'static str, limit: usize },
}

/// Compiles a pattern. Without `captures` the tables only say yes or no: no
/// `matched()` in the program asks for more.
pub fn compile(pattern: &[u8], captures: bool) -> Result<Tables, RegexError> {
    let (ast, groups) = parse::parse(pattern)?;
    let nfa = nfa::build(&ast, captures)?;
    dfa::build(&nfa, if captures { groups } else { 0 })
}

/// Is the pattern well formed? Whether its tables are small enough, [`compile`] says.
pub fn check(pattern: &[u8]) -> Result<(), RegexError> {
    parse::parse(pattern).map(|_| ())
}

#[cfg(test)]
mod tests;
