//! `staprun`: runs an image that `stap -p4` wrote.

use clap::Parser;
use std::path::{Path, PathBuf};
use stp_compiler::bytecode::Image;
use stp_loader::cli::{self, Color, Runtime};
use stp_loader::output::message::{reason, Messages};
use stp_loader::run::{daemon, signals};
use stp_loader::stap::{globals, pass5};

/// Runs a script that `stap -p4` compiled.
#[derive(Parser)]
#[command(name = "staprun", disable_version_flag = true)]
struct Args {
    /// Compiled script; NAME or NAME.ko stand for NAME.stpbc, here or in /lib/modules/RELEASE/systemtap
    #[arg(value_name = "FILE.stpbc", required_unless_present = "version")]
    file: Option<PathBuf>,
    /// Set the script's global variable NAME to VALUE
    #[arg(value_name = "NAME=VALUE")]
    globals: Vec<String>,
    /// Run CMD, and end when it ends; target() is its process id
    #[arg(short, value_name = "CMD", conflicts_with = "target")]
    command: Option<String>,
    /// Set target() to PID
    #[arg(short = 'x', value_name = "PID")]
    target: Option<i64>,
    /// Send output to FILE; strftime(3) formats in FILE are expanded
    #[arg(short, value_name = "FILE")]
    output: Option<String>,
    /// With -o: begin a new file after SIZE megabytes, keep the last N
    #[arg(short = 'S', value_name = "SIZE[,N]", requires = "output")]
    file_size: Option<String>,
    /// Run in the background, and print the process id
    #[arg(short = 'D', requires = "output")]
    daemon: bool,
    /// Size of the output buffers, in megabytes per CPU
    #[arg(short, value_name = "MB", value_parser = clap::value_parser!(u32).range(1..=4095))]
    buffer: Option<u32>,
    /// Suppress warnings
    #[arg(short = 'w')]
    no_warnings: bool,
    /// Say more
    #[arg(short, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Colour messages: never, auto or always
    #[arg(short = 'C', value_name = "WHEN", default_value = "auto")]
    color: String,
    /// Where to run: kernel or user
    #[arg(long, value_name = "MODE")]
    runtime: Option<String>,
    /// Load the module from FILE if it is not loaded
    #[arg(long, value_name = "FILE")]
    stpvm_module: Option<PathBuf>,
    /// Print version
    #[arg(short = 'V')]
    version: bool,
    #[arg(short = 'R', hide = true)]
    rename: bool,
    #[arg(short = 'u', hide = true)]
    uprobes: bool,
    #[arg(short = 'T', hide = true, value_name = "MS")]
    reader_timeout: Option<u64>,
    #[arg(short = 'L', hide = true)]
    detach: bool,
    #[arg(short = 'A', hide = true)]
    attach: bool,
    #[arg(short = 'd', hide = true)]
    delete: bool,
    #[arg(short = 'M', hide = true, value_name = "INTERVAL")]
    monitor: Option<String>,
    #[arg(short = 'N', hide = true, value_name = "PID")]
    namespaces: Option<String>,
    #[arg(short = 'r', hide = true, value_name = "N:URI")]
    remote: Option<String>,
}

impl Args {
    /// SystemTap's options that we do not have, and why.
    fn refused(&self) -> Option<(&'static str, &'static str)> {
        [
            (self.detach, "-L", "a session ends with its process; run it in the background with -D -o FILE"),
            (self.attach, "-A", "a session belongs to the process that began it"),
            (self.delete, "-d", "a session leaves no module behind that would have to be deleted"),
            (self.monitor.is_some(), "-M", "the monitor is not there yet"),
            (self.namespaces.is_some(), "-N", "functions that know namespaces are not there yet"),
            (self.remote.is_some(), "-r", "nothing runs remotely"),
        ]
        .into_iter()
        .find_map(|(given, name, why)| given.then_some((name, why)))
    }

    /// Those that do nothing here, and why.
    fn harmless(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [
            (self.rename, "-R", "sessions of one name may run side by side"),
            (self.uprobes, "-u", "the kernel has uprobes of its own"),
            (self.reader_timeout.is_some(), "-T", "output is read at least every 50 ms while there is some"),
        ]
        .into_iter()
        .filter_map(|(given, name, why)| given.then_some((name, why)))
    }

    /// `-v`, and what SYSTEMTAP_VERBOSE says (man staprun).
    fn verbose(&self) -> u32 {
        let set = std::env::var("SYSTEMTAP_VERBOSE").ok().and_then(|v| v.parse().ok()).unwrap_or(0);
        set.max(u32::from(self.verbose))
    }
}

fn main() {
    signals::listen_to_interrupts();
    let args = Args::try_parse().unwrap_or_else(|e| {
        let _ = e.print();
        std::process::exit(i32::from(e.use_stderr()));
    });
    if args.version {
        std::process::exit(i32::from(!stp_loader::stap::print(cli::version_text().as_bytes())));
    }
    std::process::exit(i32::from(!run(&args)));
}

fn run(args: &Args) -> bool {
    let color = match args.color.as_str() {
        "always" => Color::Always,
        "never" => Color::Never,
        _ => Color::Auto,
    };
    let messages = Messages::new(color, args.no_warnings);
    match try_run(args, &messages) {
        Ok(good) => good,
        Err(text) => {
            messages.error(text.as_bytes());
            false
        }
    }
}

fn try_run(args: &Args, messages: &Messages) -> Result<bool, String> {
    if let Some((name, why)) = args.refused() {
        return Err(format!("option {name} is not supported: {why}"));
    }
    for (name, why) in args.harmless() {
        messages.warning(format!("option {name} has no effect: {why}").as_bytes());
    }
    let runtime = match args.runtime.as_deref() {
        None => Runtime::Auto,
        Some("kernel") => Runtime::Kernel,
        Some("user") => Runtime::User,
        Some(other) => {
            return Err(format!("{other} is an invalid argument for --runtime (there are: kernel, user)"));
        }
    };
    let file_size = args.file_size.as_deref().map(cli::file_size).transpose().map_err(|e| e.to_string())?;
    let file = find(args.file.as_deref().unwrap_or(Path::new("")));
    let mut image = std::fs::read(&file)
        .map_err(|e| reason(&e))
        .and_then(|bytes| Image::from_bytes(&bytes).map_err(|e| e.to_string()))
        .map_err(|text| format!("{}: {text}", file.display()))?;
    for setting in &args.globals {
        globals::set(&mut image, setting)?;
    }
    if args.daemon {
        daemon::detach().map_err(|e| format!("-D: {}", reason(&e)))?;
    }
    let options = pass5::Options {
        runtime,
        module: args.stpvm_module.as_deref(),
        target: args.target,
        command: args.command.as_deref(),
        output: args.output.as_deref(),
        file_size,
        bulk: false,
        buffer: args.buffer,
        timeout: None,
        timing: false,
        verbose: args.verbose(),
        debug: stp_compiler::target::debugfiles::DebugOptions::default(),
        cache: stp_loader::cache::of_user(stp_compiler::cache::Use::Full),
        messages: messages.clone(),
    };
    Ok(pass5::run(&image, &options))
}

/// The file that a name stands for: itself; with our ending, also in place of SystemTap's; or, for
/// a name without directory, what the administrator has laid ready for the running kernel.
fn find(name: &Path) -> PathBuf {
    if name.exists() {
        return name.to_path_buf();
    }
    let ours = match name.extension() {
        Some(e) if e == "ko" || e == "stpbc" => name.with_extension("stpbc"),
        _ => PathBuf::from(format!("{}.stpbc", name.display())),
    };
    if ours.exists() {
        return ours;
    }
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let ready = Path::new("/lib/modules").join(release.trim()).join("systemtap").join(&ours);
    if name.components().count() == 1 && ready.exists() {
        return ready;
    }
    name.to_path_buf()
}
