//! Text to AST: lexer and parser on nom, preprocessor, macros.
//!
//! In: the text of a script or tapset file and what `%( … %)` may ask for.
//! Out: a [`Script`](ast::Script), and diagnostics of stage
//! [`Parse`](crate::diag::Stage::Parse). Never resolves a name, never reads a
//! file, never panics whatever the text.

pub mod ast;
mod context;

pub use context::{MacroDef, MacroTable, ParseContext};

use crate::diag::{Diagnostics, FileId, SourceMap};
use ast::Script;

/// Parses one text. What is wrong goes to `diags`; what could be read comes back all the same.
pub fn parse(map: &mut SourceMap, file: FileId, cx: &ParseContext<'_>, diags: &mut Diagnostics) -> Script {
    let _ = (map, file, cx, diags);
    Script::default()
}

/// Adds the public macros of a `.stpm` file to `table`.
pub fn parse_macros(
    map: &mut SourceMap,
    file: FileId,
    cx: &ParseContext<'_>,
    table: &mut MacroTable,
    diags: &mut Diagnostics,
) {
    let _ = (map, file, cx, table, diags);
}

/// What a tapset file defines, found without parsing it whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outline {
    pub functions: Vec<String>,
    pub globals: Vec<String>,
    /// Names of aliases as written: `syscall.read`, `netdev.{get,set}_x` expanded.
    pub aliases: Vec<String>,
    /// Macros that the file defines for itself.
    pub macros: Vec<String>,
}

/// Scans a tapset file for its definitions; fast, forgiving, no diagnostics.
pub fn outline(text: &[u8]) -> Outline {
    let _ = text;
    Outline::default()
}
