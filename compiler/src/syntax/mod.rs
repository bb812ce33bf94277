//! Text to AST: lexer and parser on nom, preprocessor, macros.
//!
//! ```text
//! bytes ─ lexer ─ tokens ─ macros ─ preprocess ─ tokens ─ decls, points, stmts, exprs ─ Script
//! ```
//!
//! In: the text of a script or tapset file and what `%( … %)` may ask for.
//! Out: a [`Script`], and diagnostics of stage
//! [`Parse`](crate::diag::Stage::Parse). Never resolves a name, never reads a
//! file, never panics whatever the text.

pub mod ast;
mod context;
mod decls;
mod exprs;
mod format;
mod input;
mod lexer;
mod literal;
mod macros;
mod outline;
mod points;
mod preprocess;
pub mod print;
mod special;
pub mod spell;
mod stmts;
mod token;
mod version;

pub use context::{MacroDef, MacroTable, ParseContext};
pub use outline::{outline, Outline};
pub use preprocess::LANGUAGE_VERSION;

use crate::diag::{Diagnostic, Diagnostics, FileId, SourceMap, Stage};
use ast::Script;
use input::{Shared, Toks};
use macros::Macros;
use std::cell::{Cell, RefCell};
use token::Token;

/// Parses one text. What is wrong goes to `diags`; what could be read comes back all the same.
pub fn parse(map: &mut SourceMap, file: FileId, cx: &ParseContext<'_>, diags: &mut Diagnostics) -> Script {
    let before = diags.errors();
    let (tokens, used_args, asks_kernel) = tokens(map, file, cx, diags);
    let clean = diags.errors() == before;
    if tokens.len() == 1 && clean && cx.user {
        let f = map.get(file);
        let message = if lexer::lex(file, &f.text, cx.user).tokens.len() == 1 {
            format!("Input file '{}' is empty.", f.name)
        } else {
            format!("Input file '{}' is empty after preprocessing.", f.name)
        };
        diags.push(Diagnostic::error(Stage::Parse, "empty-script", message));
    }
    let shared = Shared {
        map,
        cx,
        errors: RefCell::new(Vec::new()),
        depth: Cell::new(0),
        height: Cell::new(0),
        in_function: Cell::new(false),
    };
    let mut script = decls::script(Toks::new(&tokens, &shared));
    // Where macros or conditions went wrong, what the parser stumbles over is no news.
    let errors = shared.errors.into_inner();
    diags.list.extend(errors.into_iter().filter(|_| clean));
    script.used_args = used_args;
    script.asks_kernel = asks_kernel;
    script
}

/// Adds the public macros of a `.stpm` file to `table`.
pub fn parse_macros(
    map: &mut SourceMap,
    file: FileId,
    cx: &ParseContext<'_>,
    table: &mut MacroTable,
    diags: &mut Diagnostics,
) {
    let text = map.get(file).text.clone();
    let lexed = lexer::lex(file, &text, cx.user);
    let mut macros = Macros::new(map, file, lexed.tokens, cx, diags);
    let left = preprocess::run(&mut macros);
    if let Some(t) = left.first().filter(|_| left.len() > 1) {
        macros.error("macro-file", "expected '@define'", *t);
    }
    table.defs.extend(macros.local);
}

/// Tokens of a file, macros expanded and conditions decided; the arguments that it refers to; did
/// a condition look at the kernel?
fn tokens(
    map: &mut SourceMap,
    file: FileId,
    cx: &ParseContext<'_>,
    diags: &mut Diagnostics,
) -> (Vec<Token>, Vec<bool>, bool) {
    let text = map.get(file).text.clone();
    let lexed = lexer::lex(file, &text, cx.user);
    if let Some(open) = lexed.open_comment {
        let message = "comment without end: '*/' is missing";
        diags.push(Diagnostic::warning(Stage::Parse, "open-comment", message).at(open));
    }
    let mut macros = Macros::new(map, file, lexed.tokens, cx, diags);
    let tokens = preprocess::run(&mut macros);
    let used = macros.used_args().to_vec();
    (tokens, used, macros.asks_kernel)
}

/// SystemTap's warning for every argument that no user script refers to.
pub fn warn_unused_args<'a>(
    args: usize,
    user_scripts: impl IntoIterator<Item = &'a Script>,
    diags: &mut Diagnostics,
) {
    let mut used = vec![false; args];
    for script in user_scripts {
        for (all, this) in used.iter_mut().zip(&script.used_args) {
            *all |= this;
        }
    }
    for n in (1..).zip(&used).filter(|(_, used)| !**used).map(|(n, _)| n) {
        let message = format!("unused command line option ${n}/@{n}");
        diags.push(Diagnostic::warning(Stage::Parse, "unused-argument", message));
    }
}
