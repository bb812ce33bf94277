//! `stap` itself: the passes one after the other. In: a command line. Out: an
//! exit status; everything that people see on the way. Knows how the passes
//! are called, not how they work.

pub mod figures;
pub mod globals;
pub mod pass5;
pub mod report;
pub mod tapsets;
pub mod timing;

use crate::cache;
use crate::cli::{self, Invocation, Mode, Parsed, Source};
use crate::output::message::{reason, Messages};
use crate::run::daemon;
use figures::{count, memory, Pass};
use report::Report;
use std::io::{self, Read, Write};
use stp_compiler::driver::{Compilation, Failed, Input, Options};
use stp_compiler::target::debugfiles::DebugOptions;
use stp_compiler::types::print::print as print_program;

/// Runs `stap` with these arguments (without the program's name); the exit status.
pub fn main(argv: &[String]) -> i32 {
    crate::run::signals::listen_to_interrupts();
    let i = match cli::parse(argv) {
        Ok(Parsed::Run(i)) => i,
        Ok(Parsed::Answer(text)) => return i32::from(!print(text.as_bytes())),
        Err(e) => {
            eprintln!("{e}");
            return 1;
        }
    };
    let messages = Messages::new(i.color, i.no_warnings);
    for note in &i.notes {
        messages.warning(note.as_bytes());
    }
    if let Some(text) = tapsets::complaint(&tapsets::directories()) {
        messages.warning(text.as_bytes());
    }
    for dir in i.includes.iter().filter(|d| !d.is_dir()) {
        messages.warning(format!("-I {}: no such directory", dir.display()).as_bytes());
    }
    let good = match &i.mode {
        Mode::Run => run(&i, &messages),
        Mode::List { pattern, vars } => list(&i, &messages, pattern, *vars),
        Mode::DumpFunctions | Mode::DumpProbeTypes | Mode::DumpProbeAliases => dump(&i, &messages),
        Mode::CleanCache => {
            cache::of_user(i.cache).clean();
            true
        }
    };
    i32::from(!good)
}

/// To standard output; a reader that has gone is no failure.
pub fn print(bytes: &[u8]) -> bool {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => true,
        Err(e) => e.kind() == io::ErrorKind::BrokenPipe,
    }
}

fn options(i: &Invocation) -> Options {
    let mut tapset_dirs = tapsets::directories();
    tapset_dirs.extend(i.includes.iter().cloned());
    Options {
        tapset_dirs,
        defines: i.defines.clone(),
        globals: i.globals.clone(),
        args: i.args.clone(),
        guru: i.guru,
        unoptimized: i.unoptimized,
        no_warnings: i.no_warnings,
        warnings_are_errors: i.warnings_are_errors,
        compatible: i.compatible.clone(),
        suppress_time_limits: i.suppress_time_limits,
        suppress_handler_errors: i.suppress_handler_errors,
        hide_globals: i.hide_globals,
        skip_badvars: i.skip_badvars,
        privilege: i.privilege.unwrap_or_default(),
        kernel_release: i.release.clone(),
        sysroot: i.sysroot.clone(),
        debug: DebugOptions { objects: i.objects.clone(), build: i.build.clone() },
        name: Some(i.name.clone().unwrap_or_else(|| format!("stap_{}", std::process::id()))),
        cache: cache::of_user(i.cache),
        has_target: i.command.is_some() || i.target.is_some(),
    }
}

/// The scripts of the command line.
fn inputs(i: &Invocation) -> Result<Vec<Input>, String> {
    let main = match &i.source {
        Source::Text(text) => Some(Input { name: "<input>".into(), text: text.clone().into_bytes() }),
        Source::Stdin => {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).map_err(|e| format!("standard input: {}", reason(&e)))?;
            Some(Input { name: "<input>".into(), text })
        }
        Source::File(path) => {
            let text = std::fs::read(path).map_err(|e| {
                format!("Input file '{}' can't be opened for reading: {}", path.display(), reason(&e))
            })?;
            if text.is_empty() {
                return Err(format!("Input file '{}' is empty.", path.display()));
            }
            Some(Input { name: path.display().to_string(), text })
        }
        Source::None => None,
    };
    let named =
        |(n, t): (usize, &String)| Input { name: format!("<input{}>", n + 1), text: t.clone().into_bytes() };
    let extra = i.extra.iter().enumerate().map(named);
    Ok(main.into_iter().chain(extra).collect())
}

const NAMES: [(&str, &str); 5] = [
    ("parse", "Pass 1: parse failed.  [man error::pass1]"),
    ("elaborate", "Pass 2: analysis failed.  [man error::pass2]"),
    ("translate", "Pass 3: translation failed.  [man error::pass3]"),
    ("compile", "Pass 4: compilation failed.  [man error::pass4]"),
    ("run", "Pass 5: run failed.  [man error::pass5]"),
];

/// One compilation on its way through the passes.
struct Way<'a> {
    i: &'a Invocation,
    m: &'a Messages,
    c: Compilation,
    report: Report,
}

impl Way<'_> {
    fn verbose(&self, pass: usize) -> bool {
        self.i.verbose[pass - 1] > 0
    }

    /// Runs one pass of the compiler and shows what it had to say. With `-W`, a warning fails it.
    fn pass(
        &mut self,
        n: usize,
        call: impl FnOnce(&mut Compilation) -> Result<(), Failed>,
        done: impl FnOnce(&Compilation) -> String,
    ) -> bool {
        let pass = Pass::begin();
        let result = call(&mut self.c);
        self.report.show(&self.c.sources, &self.c.diagnostics);
        let good = result.is_ok() && !(self.i.warnings_are_errors && self.report.warnings > 0);
        if good && self.verbose(n) {
            self.m.plain(&format!("Pass {n}: {} using {}, in {}.", done(&self.c), memory(), pass.times()));
        }
        if !good {
            self.report.count();
            self.fail(n);
            self.report.close();
        }
        good
    }

    fn fail(&self, n: usize) {
        self.m.plain(NAMES[n - 1].1);
    }
}

fn run(i: &Invocation, m: &Messages) -> bool {
    let mut way = Way {
        i,
        m,
        c: Compilation::new(options(i)),
        report: Report::new(m.clone(), i.verbose.iter().any(|v| *v > 0)),
    };
    let good = passes(&mut way);
    if good {
        way.report.close();
    }
    good
}

fn passes(way: &mut Way<'_>) -> bool {
    let (i, m) = (way.i, way.m);
    let inputs = match inputs(i) {
        Ok(inputs) => inputs,
        Err(text) => {
            m.plain(&text);
            way.fail(1);
            return false;
        }
    };
    let parsed = |c: &Compilation| format!("parsed user script and {} library scripts", c.library_files);
    if !way.pass(1, |c| c.parse(&inputs), parsed) {
        return false;
    }
    if i.last_pass == 1 {
        return print(parse_tree(&way.c).as_bytes());
    }
    let analyzed = |c: &Compilation| {
        let p = c.program.as_ref();
        let n = |f: fn(&stp_compiler::types::hir::Program) -> usize| p.map_or(0, f);
        format!(
            "analyzed script: {}, {}, 0 embeds, {}",
            count(n(|p| p.probes.len()), "probe"),
            count(n(|p| p.functions.len()), "function"),
            count(n(|p| p.globals.len()), "global")
        )
    };
    if !way.pass(2, Compilation::analyze, analyzed) {
        return false;
    }
    if i.last_pass == 2 {
        way.report.close();
        return print(
            way.c.program.as_ref().map_or(String::new(), |p| print_program(p, i.verbose[1] > 0)).as_bytes(),
        );
    }
    let translated = |c: &Compilation| {
        let code = c.image.as_ref().map_or(0, |i| i.functions.iter().map(|f| f.code.len()).sum());
        format!("translated to bytecode: {}", count(code, "instruction"))
    };
    if !way.pass(3, Compilation::translate, translated) {
        return false;
    }
    way.report.close();
    let Some(image) = way.c.image.take() else {
        way.fail(3);
        return false;
    };
    // A run verifies the image with the addresses of this machine.
    if i.last_pass < 5 {
        if let Err(e) = pass5::verify(&image) {
            m.error(format!("the image was refused: {e:#}").as_bytes());
            way.fail(3);
            return false;
        }
    }
    if i.last_pass == 3 {
        return print(image.listing(true).as_bytes());
    }
    if i.last_pass == 4 {
        return pass4(way, &image);
    }
    if way.verbose(4) {
        m.plain("Pass 4: nothing to compile: the machine is there already.");
    }
    if i.background {
        if let Err(e) = daemon::detach() {
            m.error(format!("-F: {}", reason(&e)).as_bytes());
            way.fail(5);
            return false;
        }
    }
    let times = Pass::begin();
    if way.verbose(5) {
        m.plain("Pass 5: starting run.");
    }
    let good = pass5::run(
        &image,
        &pass5::Options {
            runtime: i.runtime,
            module: i.module.as_deref(),
            target: i.target,
            command: i.command.as_deref(),
            output: i.output.as_deref(),
            file_size: i.file_size,
            bulk: i.bulk,
            buffer: i.buffer,
            timeout: i.timeout,
            timing: i.timing,
            verbose: i.verbose[4],
            cache: way.c.options.cache.clone(),
            debug: way.c.options.debug.clone(),
            messages: m.clone(),
        },
    );
    if !good {
        m.warning(b"staprun exited with status: 1");
    }
    if way.verbose(5) {
        m.plain(&format!("Pass 5: run completed in {}.", times.times()));
    }
    if !good {
        way.fail(5);
    }
    good
}

/// `-p4`: the image file, and its name.
fn pass4(way: &Way<'_>, image: &stp_compiler::bytecode::Image) -> bool {
    let pass = Pass::begin();
    let name = format!("{}.stpbc", image.name);
    let written = image.to_bytes().map_err(|e| e.to_string()).and_then(|bytes| {
        std::fs::write(&name, &bytes).map(|()| bytes.len()).map_err(|e| {
            // nobody can use a part of it
            let _ = std::fs::remove_file(&name);
            format!("{name}: {}", reason(&e))
        })
    });
    match written {
        Ok(size) => {
            if way.verbose(4) {
                way.m.plain(&format!(
                    "Pass 4: wrote {} into \"{name}\" in {}.",
                    figures::bytes(size as u64),
                    pass.times()
                ));
            }
            print(format!("{name}\n").as_bytes())
        }
        Err(text) => {
            way.m.error(text.as_bytes());
            way.fail(4);
            false
        }
    }
}

/// `-l` and `-L`: what a pattern matches, or why it matches nothing.
fn list(i: &Invocation, m: &Messages, pattern: &str, vars: bool) -> bool {
    lines(i, m, |c| c.list(pattern, vars))
}

/// `--dump-…`
fn dump(i: &Invocation, m: &Messages) -> bool {
    match i.mode {
        Mode::DumpFunctions => lines(i, m, Compilation::list_functions),
        Mode::DumpProbeAliases => lines(i, m, Compilation::list_aliases),
        _ => lines(i, m, |c| Ok(c.list_types())),
    }
}

/// Prints a list that the compiler makes.
fn lines(
    i: &Invocation,
    m: &Messages,
    call: impl FnOnce(&mut Compilation) -> Result<Vec<String>, Failed>,
) -> bool {
    let mut c = Compilation::new(options(i));
    let found = call(&mut c);
    let verbose = i.verbose.iter().any(|v| *v > 0);
    match found {
        Ok(list) => {
            print(list.iter().map(|l| format!("{l}\n")).collect::<String>().as_bytes()) && !list.is_empty()
        }
        Err(_) => {
            // As SystemTap's lists: the status tells, messages are for those who ask.
            if verbose {
                let mut report = Report::new(m.clone(), true);
                report.show(&c.sources, &c.diagnostics);
                report.count();
                report.close();
            }
            false
        }
    }
}

/// `-p1`
fn parse_tree(c: &Compilation) -> String {
    stp_compiler::syntax::print::tree_dump(&c.sources, &c.scripts)
}
