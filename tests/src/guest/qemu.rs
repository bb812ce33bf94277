//! Runs one QEMU to its end, whatever happens inside. In: an image, an
//! initramfs and the cases' limits. Out: the frames that came and how it ended.
//! Always software emulation (no KVM is assumed), always one thread: QEMU's
//! multi-threaded emulation loses patched kernel text.

use super::frames::{Frame, Reader};
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How the machine is made.
#[derive(Clone, Debug)]
pub struct Machine {
    pub cpus: u32,
    pub memory_mib: u32,
    /// One guest nanosecond is one guest instruction; implies one CPU.
    pub count_instructions: bool,
    /// More for the kernel's command line.
    pub append: &'static str,
    /// From power-on to the first case, in host time.
    pub boot_limit: Duration,
    /// Over the guest's own limit of a case: it has to notice, kill and tell.
    pub patience: Duration,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            cpus: 2,
            memory_mib: 768,
            count_instructions: false,
            append: "",
            boot_limit: Duration::from_secs(90),
            patience: Duration::from_secs(30),
        }
    }
}

/// Why the machine is no longer running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All cases were run.
    Done,
    /// It rebooted before that: a panic, by `oops=panic`.
    Crashed,
    /// Nothing was heard for longer than the case (or the boot) may take.
    Hung,
}

/// Files that QEMU fills while it runs.
pub struct Files {
    pub frames: PathBuf,
    pub console: PathBuf,
    /// Output of a live case, as it comes.
    pub live_out: PathBuf,
    pub live_err: PathBuf,
    monitor: PathBuf,
}

impl Files {
    pub fn in_dir(dir: &Path) -> Files {
        Files {
            frames: dir.join("frames"),
            console: dir.join("console"),
            live_out: dir.join("live.out"),
            live_err: dir.join("live.err"),
            monitor: dir.join("monitor"),
        }
    }
}

const TICK: Duration = Duration::from_millis(15);

fn command(machine: &Machine, kernel: &Path, initramfs: &Path) -> Command {
    let mut c = Command::new("qemu-system-x86_64");
    // all of the emulated CPU but 5-level paging, which only slows emulation
    c.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-cpu", "max,la57=off"]);
    c.args(["-accel", "tcg,thread=single", "-m", &machine.memory_mib.to_string()]);
    if machine.count_instructions {
        c.args(["-icount", "shift=0,sleep=off", "-smp", "1"]);
    } else {
        c.args(["-smp", &machine.cpus.to_string()]);
    }
    c.arg("-kernel").arg(kernel).arg("-initrd").arg(initramfs);
    // On a busy host emulated timers are late: the kernel would take them for broken, and panic.
    let timers = "tsc=reliable no_timer_check";
    c.arg("-append").arg(format!(
        "console=ttyS0 panic=-1 oops=panic softlockup_panic=1 unknown_nmi_panic {timers} quiet {}",
        machine.append
    ));
    c
}

/// A person's session: the console on this terminal. Returns when the guest ends.
pub fn interactive(machine: &Machine, kernel: &Path, initramfs: &Path) -> Result<()> {
    let mut c = command(machine, kernel, initramfs);
    c.args(["-serial", "mon:stdio"]);
    c.status().context("qemu-system-x86_64 (package qemu-system-x86)")?;
    Ok(())
}

/// Runs the cases. `on_frame` sees each frame when it arrives.
pub fn run(
    machine: &Machine,
    kernel: &Path,
    initramfs: &Path,
    files: &Files,
    mut live: Option<Live>,
    mut on_frame: impl FnMut(Frame),
) -> Result<Ending> {
    for f in [&files.frames, &files.console, &files.live_out, &files.live_err] {
        fs::write(f, b"")?;
    }
    let _ = fs::remove_file(&files.monitor);
    let mut c = command(machine, kernel, initramfs);
    c.arg("-serial").arg(format!("file:{}", files.console.display()));
    c.arg("-monitor").arg(format!("unix:{},server=on,wait=off", files.monitor.display()));
    c.args(["-device", "virtio-serial-pci"]);
    for (id, file) in [("frames", &files.frames), ("out", &files.live_out), ("err", &files.live_err)] {
        c.arg("-chardev").arg(format!("file,id={id},path={}", file.display()));
        c.arg("-device").arg(format!("virtserialport,chardev={id},name={id}"));
    }
    c.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = Running(c.spawn().context("qemu-system-x86_64 (package qemu-system-x86)")?);

    let mut input = File::open(&files.frames)?;
    let mut reader = Reader::default();
    let mut deadline = Instant::now() + machine.boot_limit;
    let mut done = false;
    loop {
        let gone = child.0.try_wait()?.is_some();
        let mut bytes = Vec::new();
        input.read_to_end(&mut bytes)?;
        reader.feed(&bytes);
        if let Some(live) = &mut live {
            live.pass_on()?;
        }
        while let Some(frame) = reader.next_frame() {
            let Ok(frame) = frame else { continue };
            deadline = Instant::now() + machine.patience;
            match &frame {
                Frame::Begin { timeout, .. } => deadline += Duration::from_secs(*timeout),
                Frame::Done => done = true,
                _ => {}
            }
            on_frame(frame);
        }
        if gone {
            return Ok(if done { Ending::Done } else { Ending::Crashed });
        }
        if Instant::now() > deadline {
            // the panic that an NMI causes writes the stacks to the console
            nmi(&files.monitor);
            let patience = Instant::now() + Duration::from_secs(5);
            while Instant::now() < patience && child.0.try_wait()?.is_none() {
                thread::sleep(TICK);
            }
            return Ok(if done { Ending::Done } else { Ending::Hung });
        }
        thread::sleep(TICK);
    }
}

/// Passes a live case's output on to this process's own, as it comes.
pub struct Live {
    out: File,
    err: File,
}

impl Live {
    /// The files need not be there yet.
    pub fn open(files: &Files) -> Result<Live> {
        fs::write(&files.live_out, b"")?;
        fs::write(&files.live_err, b"")?;
        Ok(Live { out: File::open(&files.live_out)?, err: File::open(&files.live_err)? })
    }

    fn pass_on(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        self.out.read_to_end(&mut bytes)?;
        std::io::stdout().write_all(&bytes)?;
        std::io::stdout().flush()?;
        bytes.clear();
        self.err.read_to_end(&mut bytes)?;
        std::io::stderr().write_all(&bytes)?;
        Ok(())
    }
}

/// Ends with its owner, so that no emulator outlives a test that failed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nmi(monitor: &Path) {
    if let Ok(mut socket) = UnixStream::connect(monitor) {
        let _ = socket.write_all(b"nmi\n");
        thread::sleep(Duration::from_millis(100));
    }
}
