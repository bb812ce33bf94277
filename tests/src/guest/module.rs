//! Builds the kernel module for a guest's kernel, and the static test programs.
//! In: sources of the repository. Out: files under `build/`. Rebuilds only what changed.

use super::kernel::{build_dir, root, Kernel};
use anyhow::{bail, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `stpvm.ko` for that kernel; warnings are errors. `None` while the sources have no Kbuild.
///
/// Kbuild leaves its objects beside the sources, so each kernel gets a copy of them.
pub fn kernel_module(kernel: &Kernel) -> Result<Option<PathBuf>> {
    let source = root().join("vm-kmod");
    if !source.join("Kbuild").exists() {
        return Ok(None);
    }
    let dir = build_dir().join("kmod").join(&kernel.release);
    let _lock = Lock::take(&dir)?;
    for part in ["Kbuild", "core", "kernel"] {
        mirror(&source.join(part), &dir.join(part))?;
    }
    let out = Command::new("make")
        .arg("-C")
        .arg(&kernel.headers)
        .arg(format!("M={}", dir.display()))
        .args(["-j2", "KCFLAGS=-Werror", "modules"])
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .context("make")?;
    if !out.status.success() {
        let (o, e) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        bail!("the module does not build for {}:\n{o}{e}", kernel.release);
    }
    let built = dir.join("stpvm.ko");
    let stripped = dir.join("stpvm.stripped.ko");
    if newer(&built, &stripped) {
        run(Command::new("strip").arg("-g").arg("-o").arg(&stripped).arg(&built))?;
    }
    Ok(Some(stripped))
}

/// Compiles every `tests/guest/programs/*.c` statically; gives their paths.
pub fn programs() -> Result<Vec<PathBuf>> {
    let dir = build_dir().join("guest/programs");
    let _lock = Lock::take(&dir)?;
    let mut made = Vec::new();
    for entry in fs::read_dir(root().join("tests/guest/programs"))? {
        let source = entry?.path();
        if source.extension().is_some_and(|e| e == "c") {
            let out = dir.join(source.file_stem().expect("a .c file has a stem"));
            if newer(&source, &out) {
                let flags =
                    ["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-fno-omit-frame-pointer"];
                run(Command::new("cc").args(flags).arg("-o").arg(&out).arg(&source))?;
            }
            made.push(out);
        }
    }
    made.sort();
    Ok(made)
}

/// A copy without debug information, for the initramfs.
pub fn stripped(program: &Path) -> Result<PathBuf> {
    let dir = build_dir().join("guest/stripped");
    let _lock = Lock::take(&dir)?;
    let copy = dir.join(program.file_name().context("a program has a name")?);
    if newer(program, &copy) {
        run(Command::new("strip").arg("-o").arg(&copy).arg(program))?;
    }
    Ok(copy)
}

/// Copies files that changed, removes C sources that are gone; keeps times, so that make sees what is new.
fn mirror(from: &Path, to: &Path) -> Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let name = entry.file_name();
            let text = name.to_string_lossy();
            let source = [".c", ".h", ".def", ".sh"].iter().any(|e| text.ends_with(e));
            if entry.path().is_dir()
                || (source && !text.ends_with(".mod.c"))
                || text == "Kbuild"
                || text == "Makefile"
            {
                mirror(&entry.path(), &to.join(&name))?;
            }
        }
        return Ok(());
    }
    if newer(from, to) {
        let modified = fs::metadata(from)?.modified()?;
        fs::copy(from, to).with_context(|| from.display().to_string())?;
        fs::File::options().append(true).open(to)?.set_modified(modified)?;
    }
    Ok(())
}

/// Whether `to` is missing or has another time than `from` and is not younger.
fn newer(from: &Path, to: &Path) -> bool {
    let time = |p: &Path| fs::metadata(p).and_then(|m| m.modified()).ok();
    match (time(from), time(to)) {
        (Some(from), Some(to)) => from > to,
        _ => true,
    }
}

fn run(command: &mut Command) -> Result<()> {
    let out = command.output().with_context(|| format!("{command:?}"))?;
    if !out.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

/// One builder at a time in a directory: tests and people share it.
pub struct Lock(#[allow(dead_code)] fs::File);

impl Lock {
    pub fn take(dir: &Path) -> Result<Lock> {
        fs::create_dir_all(dir)?;
        let file = fs::File::create(dir.join(".lock"))?;
        // SAFETY: the descriptor is open; flock touches no memory of ours.
        let rc = unsafe { libc::flock(std::os::fd::AsRawFd::as_raw_fd(&file), libc::LOCK_EX) };
        anyhow::ensure!(rc == 0, "cannot lock {}", dir.display());
        Ok(Lock(file))
    }
}
