//! `staprun`: runs an image that `stap -p4` wrote.

use clap::Parser;
use std::path::PathBuf;
use stp_compiler::bytecode::Image;
use stp_loader::cli::{Color, Runtime};
use stp_loader::output::message::Messages;
use stp_loader::stap::pass5;

/// Runs a script that `stap -p4` compiled.
#[derive(Parser)]
#[command(name = "staprun", disable_version_flag = true)]
struct Args {
    /// Compiled script
    #[arg(value_name = "FILE.stpbc", required_unless_present = "version")]
    file: Option<PathBuf>,
    /// Run CMD, and end when it ends; target() is its process id
    #[arg(short, value_name = "CMD", conflicts_with = "target")]
    command: Option<String>,
    /// Set target() to PID
    #[arg(short = 'x', value_name = "PID")]
    target: Option<i64>,
    /// Send output to FILE; strftime(3) formats in FILE are expanded
    #[arg(short, value_name = "FILE")]
    output: Option<String>,
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
}

fn main() {
    let args = Args::try_parse().unwrap_or_else(|e| {
        let _ = e.print();
        std::process::exit(i32::from(e.use_stderr()));
    });
    if args.version {
        print!("{}", stp_loader::cli::version_text());
        return;
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
    let runtime = match args.runtime.as_deref() {
        None => Runtime::Auto,
        Some("kernel") => Runtime::Kernel,
        Some("user") => Runtime::User,
        Some(other) => {
            messages.error(
                format!("{other} is an invalid argument for --runtime (there are: kernel, user)").as_bytes(),
            );
            return false;
        }
    };
    let file = args.file.clone().unwrap_or_default();
    let read = std::fs::read(&file)
        .map_err(|e| e.to_string())
        .and_then(|bytes| Image::from_bytes(&bytes).map_err(|e| e.to_string()));
    let image = match read {
        Ok(image) => image,
        Err(text) => {
            messages.error(format!("{}: {text}", file.display()).as_bytes());
            return false;
        }
    };
    pass5::run(
        &image,
        &pass5::Options {
            runtime,
            module: args.stpvm_module.as_deref(),
            target: args.target,
            command: args.command.as_deref(),
            output: args.output.as_deref(),
            file_size: None,
            bulk: false,
            buffer: args.buffer,
            timeout: None,
            timing: false,
            verbose: args.verbose.into(),
            debug: stp_compiler::target::debugfiles::DebugOptions::default(),
            cache: stp_loader::cache::of_user(stp_compiler::cache::Use::Full),
            messages,
        },
    )
}
