//! `guest`: runs a command, a script of commands, or a shell in a Debian kernel
//! under QEMU with stap and the module in it. The people's side of `stp_tests::guest`.

use anyhow::{bail, Context, Result};
use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use stp_tests::guest::{Case, Ending, Guest, Series};

/// Runs a command in a Debian kernel under QEMU, with stap and the stpvm module in it.
///
/// Without a command there is a shell. Output comes as it is printed; the exit status is the command's.
#[derive(Parser)]
struct Options {
    /// Kernel series: 6.1 or 6.12; debug: what scripts/debug-kernel has made
    #[arg(short, long, default_value = "6.1")]
    kernel: String,
    /// A file of shell commands to run
    #[arg(short, long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Put a file or directory of this machine into the guest
    #[arg(short, long, value_name = "HERE:THERE")]
    file: Vec<String>,
    /// Put a program into the guest's /usr/bin, with its shared libraries
    #[arg(short, long, value_name = "HERE")]
    program: Vec<PathBuf>,
    /// Put a module of the kernel, and those that it needs, where modprobe finds it
    #[arg(short = 'M', long = "kernel-module", value_name = "NAME")]
    kernel_module: Vec<String>,
    /// Leave stpvm.ko unloaded (it lies at /stpvm.ko)
    #[arg(long)]
    no_module: bool,
    /// Processors
    #[arg(long, default_value_t = 2)]
    smp: u32,
    /// Memory in MiB (default: 768, or what the kernel needs)
    #[arg(long)]
    memory: Option<u32>,
    /// One nanosecond is one instruction (implies one processor)
    #[arg(long)]
    icount: bool,
    /// Seconds that the command may take
    #[arg(long, default_value_t = 600)]
    limit: u64,
    /// Print the kernel's log afterwards, on stderr
    #[arg(long)]
    dmesg: bool,
    /// The command, with its arguments or as one word for the shell
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

fn main() -> ExitCode {
    run().unwrap_or_else(|e| {
        eprintln!("guest: {e:#}");
        ExitCode::FAILURE
    })
}

fn run() -> Result<ExitCode> {
    let options = Options::parse();
    let mut guest = Guest::new(Series::find(&options.kernel)?);
    guest.machine.cpus = options.smp;
    guest.machine.memory_mib = options.memory.unwrap_or(guest.machine.memory_mib);
    guest.machine.count_instructions = options.icount;
    guest.machine.boot_limit = guest.machine.boot_limit.max(Duration::from_secs(120));
    if options.no_module {
        guest = guest.without_loading();
    }
    for pair in &options.file {
        let (here, there) = pair.split_once(':').context("--file takes HERE:THERE")?;
        guest.file(here.as_ref(), there);
    }
    for program in &options.program {
        let name = program.file_name().context("--program takes a file")?.to_string_lossy();
        guest.program(program, &format!("/usr/bin/{name}"));
    }
    for name in &options.kernel_module {
        guest.kernel_module(name);
    }
    let script = match (&options.script, &options.command[..]) {
        (Some(file), []) => std::fs::read_to_string(file).with_context(|| file.display().to_string())?,
        (None, []) => return guest.shell().map(|()| ExitCode::SUCCESS),
        (None, [line]) => line.clone(),
        (None, words) => words.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" "),
        (Some(_), _) => bail!("either --script or a command"),
    };
    guest.case(Case::new("command", &script).limit(options.limit));
    let report = guest.run_live()?;
    let outcome = &report.outcomes[0];
    if options.dmesg {
        eprint!("{}", outcome.dmesg);
    }
    match report.ending {
        Ending::Done => Ok(ExitCode::from(outcome.status.unwrap_or(1).clamp(0, 255) as u8)),
        ending => bail!("the guest {ending:?}; its console says:\n{}", report.console),
    }
}

/// One word of a shell command.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
