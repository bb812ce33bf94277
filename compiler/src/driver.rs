//! The passes in order. In: options and script texts. Out: an image, or
//! diagnostics. Knows no device, terminal or option syntax.

use crate::bytecode::Image;
use crate::cache::Cache;
use crate::diag::{Diagnostics, FileId, Origin, SourceMap};
use crate::lower;
use crate::resolve::library::Library;
use crate::resolve::target_var::KernelTarget;
use crate::resolve::world::World;
use crate::syntax::ast::Script;
use crate::syntax::{self, MacroTable, ParseContext};
use crate::target::debugfiles::DebugOptions;
use crate::target::kernel::Kernel;
use crate::types::{self, hir::Program};
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
    /// `--no-global-var-display`
    pub hide_globals: bool,
    /// `--skip-badvars`: a context variable that can't be had, now or when the handler runs, is 0.
    pub skip_badvars: bool,
    /// `stapdev`, `stapsys` or `stapusr`.
    pub privilege: Privilege,
    /// Traced kernel: `6.1.0-56-cloud-amd64`; the running one where `None` (`-r`).
    pub kernel_release: Option<String>,
    /// Root of the files of the traced machine (`--sysroot`, default `/`).
    pub sysroot: Option<PathBuf>,
    /// `-d`, `-r DIR`
    pub debug: DebugOptions,
    /// `-m NAME`: name of the session.
    pub name: Option<String>,
    /// What earlier runs have left; by default nothing is read or kept.
    pub cache: Cache,
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
#[derive(Debug)]
pub struct Compilation {
    pub options: Options,
    pub sources: SourceMap,
    pub diagnostics: Diagnostics,
    /// Result of pass 1, with the file of each.
    pub scripts: Vec<(FileId, Script)>,
    /// Index of the tapset files.
    pub library: Library,
    /// Tapset files known to the index (for `-v`).
    pub library_files: usize,
    /// What is known of the traced kernel.
    pub target: KernelTarget,
    /// Result of pass 2.
    pub program: Option<Program>,
    /// A condition of the preprocessor looked at the kernel.
    asks_kernel: bool,
    /// Result of pass 3.
    pub image: Option<Image>,
}

/// A pass failed; what is wrong is in [`Compilation::diagnostics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pass {pass} failed")]
pub struct Failed {
    pub pass: u8,
}

/// What a parse may ask of its surroundings.
fn context<'a>(
    options: &'a Options,
    kernel: &'a Kernel,
    config: &'a dyn Fn(&str) -> Option<String>,
    macros: &'a MacroTable,
) -> ParseContext<'a> {
    ParseContext {
        kernel_release: kernel.release(),
        arch: kernel.arch(),
        runtime: "kernel",
        guru: options.guru,
        privilege: options.privilege,
        compatible: options.compatible.as_deref(),
        args: &options.args,
        config,
        macros,
        user: true,
    }
}

impl Compilation {
    pub fn new(options: Options) -> Self {
        let target = KernelTarget::new(
            options.kernel_release.as_deref(),
            options.sysroot.as_deref(),
            &options.debug,
            &options.cache,
        );
        Self {
            options,
            sources: SourceMap::default(),
            diagnostics: Diagnostics::default(),
            scripts: Vec::new(),
            library: Library::default(),
            library_files: 0,
            target,
            program: None,
            asks_kernel: false,
            image: None,
        }
    }

    /// Pass 1: user scripts to ASTs, and the tapset index.
    pub fn parse(&mut self, inputs: &[Input]) -> Result<(), Failed> {
        let kernel = self.target.kernel();
        let config = |name: &str| kernel.config(name).map(str::to_string);
        let none = MacroTable::default();
        let cx = context(&self.options, kernel, &config, &none);
        let library_cx = ParseContext { user: false, ..cx };
        self.library = Library::open(
            &self.options.tapset_dirs,
            &self.options.cache,
            &mut self.sources,
            &library_cx,
            &mut self.diagnostics,
        );
        self.library_files = self.library.len();
        let cx = ParseContext { macros: &self.library.macros, ..cx };
        for input in inputs {
            let file = self.sources.add(input.name.as_str(), input.text.clone(), Origin::User);
            let script = syntax::parse(&mut self.sources, file, &cx, &mut self.diagnostics);
            self.scripts.push((file, script));
        }
        let scripts = self.scripts.iter().map(|(_, s)| s);
        syntax::warn_unused_args(self.options.args.len(), scripts, &mut self.diagnostics);
        self.checked(1)
    }

    /// Pass 2: names, probe points and types. Takes the scripts.
    pub fn analyze(&mut self) -> Result<(), Failed> {
        let name = self.options.name.clone().unwrap_or_else(|| "stpvm".to_string());
        let (program, asks_kernel) =
            self.with_world(|world| (types::analyze(world, name), world.asks_kernel()));
        (self.program, self.asks_kernel) = (program, asks_kernel);
        self.checked(2)
    }

    /// `-l`, `-L` (`variables`): the points that `pattern` means, one line each.
    /// The failure is pass 2's when nothing matches.
    pub fn list(&mut self, pattern: &str, variables: bool) -> Result<Vec<String>, Failed> {
        let text = format!("probe {pattern} {{ }}").into_bytes();
        self.parse(&[Input { name: "<input>".into(), text }])?;
        let lines = self.with_world(|w| types::listing::points(w, variables));
        self.checked(2).map(|()| lines)
    }

    /// `--dump-probe-types`
    pub fn list_types(&self) -> Vec<String> {
        types::listing::probe_types(self.options.privilege)
    }

    /// `--dump-probe-aliases`
    pub fn list_aliases(&mut self) -> Result<Vec<String>, Failed> {
        self.parse(&[])?;
        Ok(self.with_world(types::listing::probe_aliases))
    }

    /// `--dump-functions`
    pub fn list_functions(&mut self) -> Result<Vec<String>, Failed> {
        self.parse(&[])?;
        Ok(self.with_world(types::listing::functions))
    }

    /// Gives the parsed scripts, the library and the target to a function.
    pub(crate) fn with_world<R>(&mut self, f: impl FnOnce(&mut World<'_>) -> R) -> R {
        let kernel = self.target.kernel();
        let config = |name: &str| kernel.config(name).map(str::to_string);
        let none = MacroTable::default();
        let cx = context(&self.options, kernel, &config, &none);
        let scripts = std::mem::take(&mut self.scripts);
        let mut world = World::new(
            &self.options,
            &mut self.sources,
            &mut self.diagnostics,
            &self.target,
            &mut self.library,
            cx,
            scripts,
        );
        f(&mut world)
    }

    /// Pass 3: the image. Whoever loads it has it verified by the machine, which needs addresses.
    pub fn translate(&mut self) -> Result<(), Failed> {
        let program = self.program.as_ref().ok_or(Failed { pass: 3 })?;
        self.image = lower::lower(program, &self.sources, &mut self.diagnostics);
        if let Some(image) = &mut self.image {
            if self.asks_kernel || self.target.was_asked() || image.holds_places() {
                image.target = self.target.kernel().identity();
            }
        }
        self.checked(3)?;
        self.image.is_some().then_some(()).ok_or(Failed { pass: 3 })
    }

    /// Ends a pass: errors fail it, with `-W` warnings do.
    fn checked(&mut self, pass: u8) -> Result<(), Failed> {
        let warned = self.options.warnings_are_errors && !self.diagnostics.list.is_empty();
        if self.diagnostics.has_errors() || warned {
            Err(Failed { pass })
        } else {
            Ok(())
        }
    }
}
