//! `stap-merge`: joins the files of a bulk run (`stap -b`) in global order.

use clap::Parser;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use stp_loader::output::sink::BulkReader;

/// Merges the per-CPU files of `stap -b` by sequence number.
#[derive(Parser)]
#[command(name = "stap-merge", version)]
struct Args {
    /// Before each piece: [CPU, sequence number, length]
    #[arg(short)]
    verbose: bool,
    /// Output file, instead of standard output
    #[arg(short, value_name = "FILE")]
    output: Option<String>,
    /// Per-CPU files
    #[arg(required = true)]
    files: Vec<String>,
}

fn main() -> std::process::ExitCode {
    match merge(&Args::parse()) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) if e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) => {
            std::process::ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("ERROR: {e:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

fn merge(args: &Args) -> anyhow::Result<()> {
    use anyhow::Context;
    let mut readers = Vec::new();
    let mut fronts = Vec::new();
    for name in &args.files {
        let mut r = BulkReader::new(BufReader::new(File::open(name).with_context(|| name.clone())?));
        fronts.push(r.piece().with_context(|| name.clone())?);
        readers.push(r);
    }
    let mut out: BufWriter<Box<dyn Write>> = BufWriter::new(match &args.output {
        Some(name) => Box::new(File::create(name).with_context(|| name.clone())?),
        None => Box::new(io::stdout()),
    });
    loop {
        let first = fronts.iter().enumerate().filter_map(|(i, f)| f.as_ref().map(|(seq, _)| (*seq, i))).min();
        let Some((seq, i)) = first else { break };
        if let Some((_, text)) = fronts[i].take() {
            if args.verbose {
                write!(out, "[{i},{seq},{}]", text.len())?;
            }
            out.write_all(&text)?;
        }
        fronts[i] = readers[i].piece().with_context(|| args.files[i].clone())?;
    }
    out.flush()?;
    Ok(())
}
