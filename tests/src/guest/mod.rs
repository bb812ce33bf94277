//! Runs cases in a real Debian kernel under QEMU. A case is a shell script of
//! busybox's `sh`; all cases of a guest run in one boot, one after the other,
//! and what each printed, its exit status and the kernel's log come back.
//!
//! In: a kernel series, cases, files. Out: a [`Report`]. A panic or a hang ends
//! the boot, is told with the console's text, and never leaves the caller waiting.
//!
//! Invariant: nothing here knows what stap prints; the cases' authors do.

mod cpio;
mod frames;
mod initramfs;
pub mod kernel;
pub mod module;
pub mod qemu;

pub use kernel::{Kernel, Series, SERIES};
pub use qemu::{Ending, Machine};

use anyhow::{ensure, Context, Result};
use frames::Frame;
use initramfs::Initramfs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs};

/// One shell script to run in the guest.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    /// Its working directory is fresh; stdin is empty. What it leaves running is killed.
    pub script: String,
    /// Then it is killed, with status 137.
    pub limit: Duration,
}

impl Case {
    pub fn new(name: &str, script: &str) -> Case {
        Case { name: name.to_string(), script: script.to_string(), limit: Duration::from_secs(60) }
    }

    pub fn limit(mut self, seconds: u64) -> Case {
        self.limit = Duration::from_secs(seconds);
        self
    }
}

/// What a case did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// What the kernel logged meanwhile.
    pub dmesg: String,
    /// `None`: the machine ended before the case did.
    pub status: Option<i32>,
    pub took: Duration,
}

impl Outcome {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// All of it, for the message of a failed test.
    pub fn describe(&self) -> String {
        let status = self.status.map_or("none: the guest ended".to_string(), |s| s.to_string());
        format!(
            "status {status} after {:?}\n--- stdout\n{}--- stderr\n{}--- dmesg\n{}",
            self.took,
            self.out(),
            self.err(),
            self.dmesg
        )
    }

    /// Lines of the kernel's log that a sound module has no part in. Expected are
    /// the module's own lines and remarks on the emulator's timing.
    pub fn dmesg_problems(&self) -> Vec<&str> {
        const EXPECTED: [&str; 8] = [
            "stpvm",
            "clocksource",
            "perf: interrupt took too long",
            "hrtimer: interrupt took",
            "sched: RT throttling activated",
            "random: crng init done",
            "tsc: Refined TSC clocksource calibration",
            "TCP: request_sock_TCP: Possible SYN flooding",
        ];
        const NEVER: [&str; 5] = ["BUG", "WARNING", "Oops", "Call Trace", "general protection"];
        let expected =
            |l: &str| EXPECTED.iter().any(|e| l.contains(e)) && !NEVER.iter().any(|n| l.contains(n));
        self.dmesg.lines().filter(|l| !l.trim().is_empty() && !expected(l)).collect()
    }
}

/// What came back from a boot.
#[derive(Debug)]
pub struct Report {
    pub release: String,
    pub ending: Ending,
    /// As many as there were cases, in their order.
    pub outcomes: Vec<Outcome>,
    /// The kernel's log up to the first case.
    pub boot_dmesg: String,
    /// What was written to the console: the panic, if there was one.
    pub console: String,
}

/// A guest to be booted.
pub struct Guest {
    pub series: Series,
    pub machine: Machine,
    cases: Vec<Case>,
    /// file here, path there, whether its libraries come along
    files: Vec<(PathBuf, String, bool)>,
    texts: Vec<(String, String)>,
    kernel_modules: Vec<String>,
    load_module: bool,
    with_stap: bool,
}

impl Guest {
    /// A guest with the module loaded and `stap` installed.
    pub fn new(series: Series) -> Guest {
        let mut machine = Machine::default();
        if series.is_debug() {
            machine.memory_mib = 3072;
            machine.boot_limit *= 8;
            machine.patience *= 8;
            // the firmware's routing of interrupts is code of its own, and runs into its timeout
            machine.append = "noapic acpi=noirq";
        }
        Guest {
            series,
            machine,
            cases: Vec::new(),
            files: Vec::new(),
            texts: Vec::new(),
            kernel_modules: Vec::new(),
            load_module: true,
            with_stap: true,
        }
    }

    /// The module is there (`/stpvm.ko`, and for modprobe), but not loaded.
    pub fn without_loading(mut self) -> Guest {
        self.load_module = false;
        self
    }

    /// No stap in it.
    pub fn bare(mut self) -> Guest {
        self.with_stap = false;
        self
    }

    pub fn case(&mut self, case: Case) -> &mut Guest {
        self.cases.push(case);
        self
    }

    /// A plain file of this machine, or a directory with all below it.
    pub fn file(&mut self, from: &Path, to: &str) -> &mut Guest {
        self.files.push((from.to_path_buf(), to.to_string(), false));
        self
    }

    /// A program of this machine with its shared libraries.
    pub fn program(&mut self, from: &Path, to: &str) -> &mut Guest {
        self.files.push((from.to_path_buf(), to.to_string(), true));
        self
    }

    pub fn text(&mut self, to: &str, text: &str) -> &mut Guest {
        self.texts.push((to.to_string(), text.to_string()));
        self
    }

    /// A module of the kernel that cases may load by `modprobe`.
    pub fn kernel_module(&mut self, name: &str) -> &mut Guest {
        self.kernel_modules.push(name.to_string());
        self
    }

    /// Boots, runs the cases, brings the results back.
    pub fn run(&self) -> Result<Report> {
        self.run_with(false)
    }

    /// The same with the cases' output passed on while they run (and not kept).
    pub fn run_live(&self) -> Result<Report> {
        self.run_with(true)
    }

    fn run_with(&self, live: bool) -> Result<Report> {
        let kernel = Kernel::get(self.series)?;
        let mut image = self.image(&kernel)?;
        image.cases(&self.cases);
        if live {
            image.live();
        }
        let dir = Scratch::new()?;
        let initramfs = dir.0.join("initramfs");
        fs::write(&initramfs, image.finish())?;
        let files = qemu::Files::in_dir(&dir.0);
        let mut outcomes = vec![Outcome::default(); self.cases.len()];
        let mut boot_dmesg = String::new();
        let pass_on = live.then(|| qemu::Live::open(&files)).transpose()?;
        let ending =
            qemu::run(&self.machine, &kernel.image, &initramfs, &files, pass_on, |frame| match frame {
                Frame::Data { case: None, bytes, .. } => {
                    boot_dmesg = String::from_utf8_lossy(&bytes).into_owned()
                }
                Frame::Data { case: Some(n), stream, bytes } => {
                    if let Some(o) = outcomes.get_mut(n) {
                        match stream.as_str() {
                            "out" => o.stdout = bytes,
                            "err" => o.stderr = bytes,
                            _ => o.dmesg = String::from_utf8_lossy(&bytes).into_owned(),
                        }
                    }
                }
                Frame::End { case, status, centiseconds } => {
                    if let Some(o) = outcomes.get_mut(case) {
                        o.status = Some(status);
                        o.took = Duration::from_millis(centiseconds * 10);
                    }
                }
                Frame::Begin { .. } | Frame::Done => {}
            })?;
        let console = String::from_utf8_lossy(&fs::read(&files.console)?).replace('\r', "");
        Ok(Report { release: kernel.release, ending, outcomes, boot_dmesg, console })
    }

    /// A shell in the guest on this terminal.
    pub fn shell(&self) -> Result<()> {
        let kernel = Kernel::get(self.series)?;
        let mut image = self.image(&kernel)?;
        image.shell(&format!(
            "\nLinux {} under QEMU, with stap and the stpvm module. `exit` ends it, Ctrl-A X kills it.\n\n",
            kernel.release
        ));
        let dir = Scratch::new()?;
        let initramfs = dir.0.join("initramfs");
        fs::write(&initramfs, image.finish())?;
        qemu::interactive(&self.machine, &kernel.image, &initramfs)
    }

    fn image(&self, kernel: &Kernel) -> Result<Initramfs> {
        let mut image = Initramfs::base(kernel)?;
        if let Some(file) = module::kernel_module(kernel)? {
            image.module(&file, self.load_module)?;
        }
        for name in &self.kernel_modules {
            image.kernel_module(kernel, name)?;
        }
        image.programs()?;
        if self.with_stap {
            image.stap(&stap_dir()?)?;
        }
        for (from, to, is_program) in &self.files {
            match (from.is_dir(), is_program) {
                (true, _) => image.tree(from, to)?,
                (false, true) => image.program(from, to)?,
                (false, false) => image.file(from, to)?,
            }
        }
        for (to, text) in &self.texts {
            image.text(to, text);
        }
        Ok(image)
    }
}

/// Directory of the `stap` that belongs to this build, brought up to date by cargo.
pub fn stap_dir() -> Result<PathBuf> {
    let me = env::current_exe()?;
    let dir = me.parent().context("a program lies in a directory")?;
    let dir = if dir.ends_with("deps") { dir.parent().unwrap_or(dir) } else { dir }.to_path_buf();
    if let Some(cargo) = env::var_os("CARGO") {
        static BUILT: std::sync::OnceLock<Result<(), String>> = std::sync::OnceLock::new();
        let built = BUILT.get_or_init(|| {
            let mut build = Command::new(cargo);
            build.current_dir(kernel::root()).args(["build", "-q", "-p", "stp-loader", "--bins"]);
            if dir.ends_with("release") {
                build.arg("--release");
            }
            match build.status() {
                Ok(status) if status.success() => Ok(()),
                Ok(_) => Err("stap does not build".to_string()),
                Err(e) => Err(format!("cargo: {e}")),
            }
        });
        ensure!(built.is_ok(), "{}", built.as_ref().unwrap_err());
    }
    Ok(dir)
}

/// A directory of this run, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("stpvm-guest-{}-{n}", std::process::id()));
        fs::create_dir_all(&dir)?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
