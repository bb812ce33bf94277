//! The passes in order. In: options and script texts. Out: an image, or
//! diagnostics. Knows no device, terminal or option syntax.

use crate::bytecode::Image;
use crate::diag::{Diagnostics, SourceMap};
use crate::syntax::ast::Script;
use crate::types::hir::Program;
use std::path::PathBuf;

/// What the command line may say to the compiler.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Directories of tapset files (`*.stp`, `*.stpm`, searched recursively); the standard library first, then `-I`.
    pub tapset_dirs: Vec<PathBuf>,
    /// `-D NAME=VALUE`, in order; a bare name is 1.
    pub defines: Vec<(String, String)>,
    /// `-G NAME=VALUE`
    pub globals: Vec<(String, String)>,
    /// `$1 @1 …`
    pub args: Vec<String>,
    /// `-g`
    pub guru: bool,
    /// `-u`: no elision of unused variables.
    pub unoptimized: bool,
    /// `-w`
    pub no_warnings: bool,
    /// `-W`
    pub warnings_are_errors: bool,
    /// `--compatible`
    pub compatible: Option<String>,
    /// `--suppress-time-limits`
    pub suppress_time_limits: bool,
    /// `--suppress-handler-errors`
    pub suppress_handler_errors: bool,
    /// `stapdev`, `stapsys` or `stapusr`.
    pub privilege: Privilege,
    /// Traced kernel: `6.1.0-56-cloud-amd64`; the running one where `None` (`-r`).
    pub kernel_release: Option<String>,
    /// Root of the files of the traced machine (`--sysroot`, default `/`).
    pub sysroot: Option<PathBuf>,
    /// `-m NAME`: name of the session.
    pub name: Option<String>,
    /// `-c` or `-x` was given, so that `target()` is known to mean something.
    pub has_target: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privilege {
    #[default]
    Stapdev,
    Stapsys,
    Stapusr,
}

/// A user script: the one of the command line first, then those of `-E`.
#[derive(Clone, Debug)]
pub struct Input {
    /// As messages name it: the file as given, `<input>` for `-e` and `-`.
    pub name: String,
    /// Bytes: a script need not be UTF-8.
    pub text: Vec<u8>,
}

/// State of a compilation between the passes.
#[derive(Debug, Default)]
pub struct Compilation {
    pub options: Options,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
    /// Result of pass 1.
    pub scripts: Vec<Script>,
    /// Tapset files known to the index (for `-v`).
    pub library_files: usize,
    /// Result of pass 2.
    pub program: Option<Program>,
    /// Result of pass 3.
    pub image: Option<Image>,
}

/// A pass failed; what is wrong is in [`Compilation::diagnostics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pass {pass} failed")]
pub struct Failed {
    pub pass: u8,
}

impl Compilation {
    pub fn new(options: Options) -> Self {
        Self { options, ..Self::default() }
    }

    /// Pass 1: user scripts to ASTs, and the tapset index.
    pub fn parse(&mut self, inputs: &[Input]) -> Result<(), Failed> {
        let _ = inputs;
        Err(Failed { pass: 1 })
    }

    /// Pass 2: names, probe points and types.
    pub fn analyze(&mut self) -> Result<(), Failed> {
        Err(Failed { pass: 2 })
    }

    /// Pass 3: the image, verified by the machine's own verifier.
    pub fn translate(&mut self) -> Result<(), Failed> {
        Err(Failed { pass: 3 })
    }
}
