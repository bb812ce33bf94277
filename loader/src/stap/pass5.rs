//! Pass 5: an image is run, by `stap` or by `staprun`. In: the image and what
//! the command line says of its run. Out: output, messages, and whether it
//! went well. Chooses between the module and the machine in this process.

use super::figures::{bytes, count};
use super::timing;
use crate::cli::Runtime;
use crate::output::message::{reason, Messages};
use crate::output::printer::{exit, Printer};
use crate::output::ring::{kind, Record};
use crate::output::sink::Sink;
use crate::run::command::Child;
use crate::run::input::Input;
use crate::run::signals::Signals;
use crate::run::{self, Control, Outcome};
use crate::session::device::Device;
use crate::session::hosted::HostedSession;
use crate::session::places::{names_no_module, needs_kernel, needs_symbols, Addresses};
use crate::session::{module, Armed, Load, Memory, Session, SessionError};
use crate::symbols::Names;
use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stp_compiler::bytecode::{Class, Hist, Image, Probe};
use stp_compiler::cache::Cache;
use stp_compiler::target::debugfiles::DebugOptions;
use stp_compiler::target::kernel::Kernel;
use stp_compiler::target::offsets::{module_offsets, Offsets, UNKNOWN};
use stp_compiler::target::symbols::Symbols;
use stp_compiler::types::hir::Place;
use stp_vm::host::Program;
use stp_vm::isa::{Helper, Op, CAP_ALL_PROCS, CAP_GURU, CAP_KERNEL_READ, CAP_USER_READ, ISA_HASH};

const ALL_CAPS: u32 = CAP_KERNEL_READ | CAP_USER_READ | CAP_ALL_PROCS | CAP_GURU;

/// What the command line says of a run.
pub struct Options<'a> {
    pub runtime: Runtime,
    /// Module file to load, before the installed one.
    pub module: Option<&'a Path>,
    /// `-x`
    pub target: Option<i64>,
    /// `-c`
    pub command: Option<&'a str>,
    pub output: Option<&'a str>,
    pub file_size: Option<(u64, u32)>,
    pub bulk: bool,
    /// `-s`, in MiB.
    pub buffer: Option<u32>,
    /// `-T`, in seconds.
    pub timeout: Option<u64>,
    pub timing: bool,
    pub verbose: u32,
    /// What earlier runs have left of the kernel's symbols.
    pub cache: Cache,
    /// Where the debuginfo is, for source lines.
    pub debug: DebugOptions,
    pub messages: Messages,
}

/// Runs an image. Says whether it went well; what did not has been printed.
pub fn run(image: &Image, o: &Options<'_>) -> bool {
    match try_run(image, o) {
        Ok(good) => good,
        Err(e) => {
            o.messages.error(reason(&format!("{e:#}")).as_bytes());
            false
        }
    }
}

/// Where an image will run.
enum Machine {
    Device(Device),
    Hosted,
}

fn choose(image: &Image, o: &Options<'_>) -> Result<Machine, SessionError> {
    let kernel_only = needs_kernel(image);
    if o.runtime == Runtime::User {
        return match kernel_only {
            None => Ok(Machine::Hosted),
            Some(pp) => Err(SessionError::Unable(format!(
                "--runtime=user runs begin, end, error, never and timer probes only, not {pp}"
            ))),
        };
    }
    match module::open(o.module).and_then(|file| Device::new(file, ISA_HASH)) {
        Ok(device) => Ok(Machine::Device(device)),
        Err(e) => match kernel_only {
            None if o.runtime == Runtime::Auto => {
                o.messages.note(&format!("{e}; running in this process instead (as with --runtime=user)"));
                Ok(Machine::Hosted)
            }
            None => Err(e),
            Some(pp) => {
                o.messages.note(&format!("probe {pp} needs the kernel module"));
                Err(e)
            }
        },
    }
}

/// Runs the verifier over an image for a machine that is not known yet: with no addresses.
pub fn verify(image: &Image) -> anyhow::Result<()> {
    let nowhere = Addresses::default();
    let flat = image.flatten::<Infallible>(&mut |place| Ok(nowhere.resolve(place)))?;
    match Program::load(&flat, ALL_CAPS) {
        // As SystemTap, which finds that out when the script is run.
        Err(_) if bad_histogram(image).is_some() => Ok(()),
        result => Ok(result.map(drop)?),
    }
}

fn try_run(image: &Image, o: &Options<'_>) -> anyhow::Result<bool> {
    let kernel = Kernel::new(None, None);
    for_this(image, &kernel)?;
    let machine = choose(image, o)?;
    let symbols = Symbols::new(o.cache.clone());
    let addresses = if needs_symbols(image) {
        let list = if names_no_module(image) { symbols.of_kernel(&kernel) } else { symbols.all(&kernel) };
        let table =
            list.ok_or_else(|| anyhow::anyhow!("no list of kernel symbols: /proc/kallsyms can't be read"))?;
        Addresses::find(image, table)?
    } else {
        Addresses::default()
    };
    let flat = image.flatten::<Infallible>(&mut |place| Ok(addresses.resolve(place)))?;
    // What the kernel would refuse is refused here first.
    let program = Program::load(&flat, ALL_CAPS).map_err(|e| match bad_histogram(image) {
        Some(name) => {
            o.messages.warning(BAD_BUCKETS);
            SessionError::Unable(format!("global variable '{name}' allocation failed"))
        }
        None => SessionError::Image(e.to_string()),
    })?;
    let program = Arc::new(program);

    let signals = Signals::new()?;
    let mut child = o.command.map(|c| Child::new(c, &signals)).transpose()?;
    let target = child.as_ref().map(|c| i64::from(c.pid())).or(o.target).unwrap_or(0);
    let buffer = o.buffer.or(u32::try_from(image.limits.bufsize).ok()).unwrap_or(0);
    let load = Load {
        image: &flat,
        program: &program,
        target,
        ring: buffer.saturating_mul(1 << 20),
        timing: o.timing,
    };
    let (mut session, cpus): (Box<dyn Session>, usize) = match machine {
        Machine::Hosted => (Box::new(HostedSession::load(&load).map_err(|e| too_large(image, e))?), 1),
        Machine::Device(device) => {
            let cpus = device.ncpus() as usize;
            let session = device.load(&load, offsets(image, &kernel)).map_err(|e| too_large(image, e))?;
            (Box::new(session), cpus)
        }
    };
    if o.verbose > 0 {
        o.messages.plain(&format!("Pass 5: session \"{}\": {}.", image.name, memory_text(session.memory())));
    }

    let sink = match (o.bulk, o.output) {
        (true, output) => Sink::bulk(output, cpus)?,
        (false, Some(name)) => Sink::file(name, o.file_size)?,
        (false, None) => Sink::stdout(),
    };
    let names = Names::new(&kernel, &symbols, &o.debug, &o.cache);
    let render = |rec: &Record<'_>, out: &mut Vec<u8>| {
        if rec.kind == kind::STACK {
            return names.stack(rec.text(8, rec.word(0)), out);
        }
        program.render_bytes(rec.bytes, out, Some(&mut |address, form| names.text(address, form)));
    };
    let mut printer = Printer::new(image, &render, o.messages.clone(), sink);
    let begin = Instant::now();
    let mut on_armed = |armed: &Armed| {
        if o.verbose > 0 {
            o.messages.plain(&armed_text(image, armed, begin.elapsed()));
        }
        let points = refused_points(image, &armed.refused);
        for p in points.iter().filter(|_| o.verbose > 0) {
            o.messages.plain(&format!(
                "Pass 5: {}: {} of {} refused by the kernel.",
                p.text,
                p.refused,
                count(p.places, "place")
            ));
        }
        match points.iter().find(|p| p.refused == p.places && !p.optional) {
            None => Ok(()),
            Some(p) => Err(SessionError::Unable(format!(
                "probe {} could not be armed: the kernel refuses {}{}",
                p.text,
                if p.places == 1 { "the place".into() } else { format!("all {} places", p.places) },
                advice(image.probes.iter().find(|q| q.one_of.as_deref() == Some(p.text)))
            ))),
        }
    };
    let control = Control {
        signals: &signals,
        timeout: o.timeout.map(Duration::from_secs),
        child: child.as_mut(),
        input: Input::of(image),
        on_armed: &mut on_armed,
    };
    let result = run::run(session.as_mut(), &mut printer, control);
    let outcome = match result {
        Ok(outcome) => outcome,
        Err(e) => {
            printer.flush();
            return Err(named(image, e).into());
        }
    };
    let good = finish(image, o, &mut printer, &outcome);
    let child_good =
        child.as_mut().is_none_or(|c| child_ended_well(c, outcome.interrupted, &signals, &o.messages));
    Ok(good && child_good)
}

/// What an image knows of a kernel must be of this one: its types, or its places, would be wrong.
fn for_this(image: &Image, kernel: &Kernel) -> anyhow::Result<()> {
    if image.target.is_empty() || kernel.is(&image.target) {
        return Ok(());
    }
    let id = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(release) if release.bytes().all(|b| b.is_ascii_graphic()) => release.to_string(),
        _ => format!("build-id {}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()),
    };
    anyhow::bail!(
        "the script was compiled for another kernel ({}), whose types or addresses it uses; this is {} ({}). \
         Compile it for this one: stap -p4, elsewhere with -r {1}",
        id(&image.target),
        kernel.release(),
        id(&kernel.identity())
    )
}

/// SystemTap's words for a `@hist_linear` that can't be.
const BAD_BUCKETS: &[u8] = b"histogram: Number of buckets must be between 1 and 126\n\
    Number_of_buckets = (stop - start) / interval.\n\
    Please adjust your start, stop, and interval values.";

/// The statistics whose linear histogram has an impossible shape.
fn bad_histogram(image: &Image) -> Option<&str> {
    let bad = |h: &Hist| match h {
        Hist::Linear { lo, hi, step } => {
            !hi.checked_sub(*lo).and_then(|d| d.checked_div(*step)).is_some_and(|n| (1..=126).contains(&n))
        }
        _ => false,
    };
    let global = image.globals.iter().find(|g| match &g.class {
        Class::Stat { hist, .. } | Class::StatMap { hist, .. } => bad(hist),
        _ => false,
    })?;
    Some(&global.name)
}

/// A session that is larger than its own limit says so.
fn too_large(image: &Image, e: SessionError) -> SessionError {
    match (e, image.limits.maxmemory) {
        (SessionError::NoMemory(_), most @ 1..) => SessionError::NoMemory(format!(
            "the session needs more memory than STP_MAXMEMORY allows, {most} KiB: smaller arrays (MAXMAPENTRIES) or buffers (-s) need less"
        )),
        (e, _) => e,
    }
}

/// An error of arming names its probe.
fn named(image: &Image, e: run::RunError) -> run::RunError {
    match e {
        run::RunError::Session(SessionError::Probe { probe: Some(n), text }) => {
            let probe = image.probes.get(n as usize);
            let pp = probe.map_or("?", |p| p.pp.as_str());
            let advice = if text.contains("the kernel allows no") { advice(probe) } else { "" };
            run::RunError::Session(SessionError::Probe {
                probe: None,
                text: format!("probe {pp} could not be armed: {text}{advice}"),
            })
        }
        e => e,
    }
}

/// What to do about a place in code that the kernel refuses.
fn advice(probe: Option<&Probe>) -> &'static str {
    match probe.map(|p| &p.at) {
        Some(Place::Function { absolute: Some(_), .. }) => {
            "; it must be the first byte of an instruction of the kernel's code, in none of the functions \
             that /sys/kernel/debug/kprobes/blacklist lists"
        }
        Some(Place::Function { .. } | Place::Return { .. }) => {
            "; /sys/kernel/debug/kprobes/blacklist lists the functions that may not be probed: \
             probe one that calls it, or end the point with `?` to run without it"
        }
        _ => "",
    }
}

/// What is to be said at the end; whether the run went well.
fn finish(image: &Image, o: &Options<'_>, printer: &mut Printer<'_>, outcome: &Outcome) -> bool {
    let m = &o.messages;
    let mut good = printer.errors == 0 && outcome.stats.errors == 0;
    if printer.exit == Some(exit::SKIPPED) {
        m.error(b"Skipped too many probes, check MAXSKIPPED or try again with stap -t for more details.");
        good = false;
    }
    if printer.exit == Some(exit::OVERLOAD) {
        m.error(
            b"probe overhead exceeded threshold (STP_OVERLOAD_THRESHOLD cycles in STP_OVERLOAD_INTERVAL; \
              -DSTP_NO_OVERLOAD or --suppress-time-limits lift it)",
        );
        good = false;
    }
    let (errors, skipped) = (outcome.stats.errors.max(printer.errors), outcome.stats.skipped);
    if errors > 0 || skipped > 0 {
        m.warning(format!("Number of errors: {errors}, skipped probes: {skipped}").as_bytes());
    }
    if outcome.lost > 0 {
        m.warning(format!("There were {} transport failures.", outcome.lost).as_bytes());
        for (probe, stats) in image.probes.iter().zip(&outcome.stats.probes) {
            if stats.lost > 0 {
                m.warning(
                    format!("probe {} lost {}", probe.pp, count(stats.lost as usize, "record")).as_bytes(),
                );
            }
        }
        m.warning(b"Try larger buffers: -s MEGABYTES");
    }
    if o.timing || o.verbose > 1 {
        m.plain(&timing::report(image, &outcome.stats));
    }
    if let Some(Some(e)) = &printer.broken {
        m.error(format!("output could not be written: {}", reason(e)).as_bytes());
        good = false;
    }
    good
}

/// Waits for the command, as the run is not over before it is; its failure is the run's. A user who
/// interrupts does not want to wait for anything.
fn child_ended_well(child: &mut Child, interrupted: bool, signals: &Signals, m: &Messages) -> bool {
    if interrupted {
        return true;
    }
    child.wait(signals);
    match child.complaint() {
        Some(text) => {
            m.warning(text.as_bytes());
            false
        }
        None => true,
    }
}

fn memory_text(m: Memory) -> String {
    format!(
        "{} of memory (image {}, globals {}, contexts {}, rings {})",
        bytes(m.total()),
        bytes(m.image),
        bytes(m.globals),
        bytes(m.contexts),
        bytes(m.rings)
    )
}

/// A point of several places of which the kernel has refused some.
struct RefusedPoint<'a> {
    text: &'a str,
    places: usize,
    refused: usize,
    optional: bool,
}

fn refused_points<'a>(image: &'a Image, refused: &[u32]) -> Vec<RefusedPoint<'a>> {
    let mut out: Vec<RefusedPoint<'a>> = Vec::new();
    for text in refused.iter().filter_map(|n| image.probes.get(*n as usize)?.one_of.as_deref()) {
        match out.iter_mut().find(|p| p.text == text) {
            Some(point) => point.refused += 1,
            None => out.push(RefusedPoint { text, places: 0, refused: 1, optional: true }),
        }
    }
    for point in &mut out {
        let places = image.probes.iter().filter(|p| p.one_of.as_deref() == Some(point.text));
        for p in places {
            point.places += 1;
            point.optional &= p.optional;
        }
    }
    out
}

fn armed_text(image: &Image, armed: &Armed, took: Duration) -> String {
    let there = image.probes.len().saturating_sub(armed.refused.len());
    let refused = match armed.refused.len() {
        0 => String::new(),
        n => format!(", {n} could not be"),
    };
    let note = if armed.note.is_empty() { String::new() } else { format!(" ({})", armed.note) };
    format!(
        "Pass 5: {} armed in {}.{:03} ms{refused}{note}.",
        count(there, "probe"),
        took.as_micros() / 1000,
        took.as_micros() % 1000
    )
}

/// The kernel's offsets, read only for images that ask about tasks or files: it takes milliseconds.
fn offsets(image: &Image, kernel: &Kernel) -> Offsets {
    let asks = image.functions.iter().flat_map(|f| f.insns()).flatten().any(|i| {
        let calls = matches!(i.op, Op::Helpi | Op::Helps | Op::Helpv);
        calls && asks_kernel(i.imm)
    });
    // The module needs them too to tell whose task it is, for users who may look at their own only.
    // SAFETY: no memory involved.
    let root = unsafe { libc::geteuid() } == 0;
    if asks || !root {
        if let Ok(btf) = kernel.btf() {
            return module_offsets(&btf);
        }
    }
    nothing_known()
}

fn asks_kernel(helper: i32) -> bool {
    use Helper::*;
    const OF_TASKS: [Helper; 14] =
        [Pid, Tid, Ppid, Pgrp, Sid, Uid, Euid, Gid, Egid, Execname, Pexecname, TaskCurrent, UserMode, DPath];
    OF_TASKS.iter().any(|h| *h as i32 == helper)
}

fn nothing_known() -> Offsets {
    Offsets {
        task_pid: UNKNOWN,
        task_tgid: UNKNOWN,
        task_real_parent: UNKNOWN,
        task_comm: UNKNOWN,
        task_cred: UNKNOWN,
        task_group_leader: UNKNOWN,
        task_signal: UNKNOWN,
        signal_pids: UNKNOWN,
        task_mm: UNKNOWN,
        mm_exe_file: UNKNOWN,
        cred_uid: UNKNOWN,
        cred_euid: UNKNOWN,
        cred_gid: UNKNOWN,
        cred_egid: UNKNOWN,
        pid_numbers: UNKNOWN,
        upid_nr: UNKNOWN,
        pid_level: UNKNOWN,
        file_path: UNKNOWN,
        path_dentry: UNKNOWN,
        path_mnt: UNKNOWN,
        dentry_parent: UNKNOWN,
        dentry_name: UNKNOWN,
        qstr_name: UNKNOWN,
        vfsmount_root: UNKNOWN,
        mount_mnt: UNKNOWN,
        mount_parent: UNKNOWN,
        mount_mountpoint: UNKNOWN,
        task_size: 0,
        mm_flags: UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_places_are_counted_by_their_point() {
        let mut image = Image::new("t");
        for (point, optional) in [("a*", false), ("a*", false), ("", false), ("b*", true), ("c*", false)] {
            image.probes.push(Probe {
                at: Place::Never,
                function: 0,
                condition: None,
                pp: String::new(),
                pn: String::new(),
                label: String::new(),
                optional,
                one_of: (!point.is_empty()).then(|| point.to_string()),
                locks: Vec::new(),
                cost: None,
            });
        }
        let count = |refused: &[u32]| -> Vec<(String, usize, usize, bool)> {
            let points = refused_points(&image, refused);
            points.into_iter().map(|p| (p.text.to_string(), p.refused, p.places, p.optional)).collect()
        };
        assert_eq!(count(&[]), []);
        assert_eq!(count(&[1, 2]), [("a*".to_string(), 1, 2, false)]);
        assert_eq!(count(&[0, 1, 3]), [("a*".to_string(), 2, 2, false), ("b*".to_string(), 1, 1, true)]);
    }
}
