//! What a parse may ask of its surroundings.

use super::token::Token;
use crate::diag::Span;
use crate::driver::Privilege;
use std::collections::HashMap;
use std::sync::Arc;

/// What the preprocessor's conditions and the parser's refusals depend on.
#[derive(Clone, Copy)]
pub struct ParseContext<'a> {
    /// `6.1.0-56-cloud-amd64`: `kernel_vr`; `kernel_v` is the part before the first `-`.
    pub kernel_release: &'a str,
    /// As Kbuild names it: `x86_64`, `arm64`.
    pub arch: &'a str,
    /// `runtime`: `kernel`, or `dyninst`-like names for others.
    pub runtime: &'a str,
    /// `-g`
    pub guru: bool,
    pub privilege: Privilege,
    /// `--compatible`; the version of this program's language where `None`.
    pub compatible: Option<&'a str>,
    /// `$1 @1 …`
    pub args: &'a [String],
    /// Value of `CONFIG_…`; `None` where unset.
    pub config: &'a dyn Fn(&str) -> Option<String>,
    /// Macros of the library (`.stpm`).
    pub macros: &'a MacroTable,
    /// The text is the user's, not the library's: function priority, embedded C and arguments depend on it.
    pub user: bool,
}

/// One `@define`.
#[derive(Clone, Debug)]
pub struct MacroDef {
    pub params: Arc<[String]>,
    pub(super) body: Arc<[Token]>,
    /// Where the name stands.
    pub span: Span,
}

/// Macros by name.
#[derive(Clone, Debug, Default)]
pub struct MacroTable {
    pub defs: HashMap<String, MacroDef>,
}
