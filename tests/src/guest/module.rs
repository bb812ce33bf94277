//! Builds the kernel module for a guest's kernel, and the static test programs.
//! In: sources of the repository. Out: files under `build/`. Rebuilds only what changed.

use super::kernel::{build_dir, root, Kernel};
use anyhow::{bail, ensure, Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds `stpvm.ko` for that kernel; warnings are errors. `None` while the machine's sources are not there.
pub fn kernel_module(kernel: &Kernel) -> Result<Option<PathBuf>> {
    if !root().join("vm-kmod/core/interp.c").exists() {
        return Ok(None);
    }
    let out = Command::new(root().join("scripts/kmod"))
        .arg(&kernel.release)
        .arg(&kernel.headers)
        .output()
        .context("scripts/kmod")?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Ok(Some(PathBuf::from(String::from_utf8_lossy(&out.stdout).trim())))
}

/// Compiles every `tests/guest/programs/*.c`, and every directory there as one program, statically;
/// gives their paths.
pub fn programs() -> Result<Vec<PathBuf>> {
    let dir = build_dir().join("guest/programs");
    let _lock = Lock::take(&dir)?;
    let mut made = Vec::new();
    // what vmtest shares with the module: opcodes, images, records, requests
    let tables = [
        "core/ops.def",
        "core/helpers.def",
        "core/limits.def",
        "core/image.h",
        "core/record.h",
        "kernel/uapi.h",
    ]
    .map(|file| root().join("vm-kmod").join(file));
    for entry in fs::read_dir(root().join("tests/guest/programs"))? {
        let path = entry?.path();
        let parts = match path.is_dir() {
            true => fs::read_dir(&path)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?,
            false => vec![path.clone()],
        };
        let is_source = |p: &&PathBuf| p.extension().is_some_and(|e| e == "c");
        let sources: Vec<&PathBuf> = parts.iter().filter(is_source).collect();
        if sources.is_empty() {
            continue;
        }
        let out = dir.join(path.file_stem().expect("a program has a name"));
        if parts.iter().chain(&tables).any(|part| newer(part, &out)) {
            let flags =
                ["-O2", "-Wall", "-Wextra", "-Werror", "-static", "-pthread", "-fno-omit-frame-pointer"];
            run(Command::new("cc").args(flags).arg("-o").arg(&out).args(sources))?;
        }
        made.push(out);
    }
    made.sort();
    Ok(made)
}

/// What the debuginfo of test modules looks like: as the compiler makes it by itself, and in the
/// oldest form that is read, each type in a section of its own.
pub const DEBUG_FORMS: [(&str, &str); 2] = [("", "-g"), ("dwarf4", "-gdwarf-4 -fdebug-types-section")];

/// Builds every `tests/guest/modules/NAME` for that kernel, with debuginfo of one of
/// [`DEBUG_FORMS`]; gives the `.ko` files.
pub fn test_modules(kernel: &Kernel, form: (&str, &str)) -> Result<Vec<PathBuf>> {
    let dir = build_dir().join("guest/modules").join(&kernel.release).join(form.0);
    let _lock = Lock::take(&dir)?;
    let mut made = Vec::new();
    for entry in fs::read_dir(root().join("tests/guest/modules"))? {
        let source = entry?.path();
        let name = source.file_name().context("name")?.to_string_lossy().into_owned();
        let (to, out) = (dir.join(&name), dir.join(&name).join(format!("{name}.ko")));
        let mut stale = false;
        fs::create_dir_all(&to)?;
        for file in fs::read_dir(&source)? {
            let file = file?.path();
            let copy = to.join(file.file_name().context("name")?);
            if newer(&file, &copy) || newer(&copy, &out) {
                fs::copy(&file, &copy)?;
                stale = true;
            }
        }
        if stale {
            let m = format!("M={}", to.display());
            let mut make = Command::new("make");
            make.args(["-s", "-C"]).arg(&kernel.headers).args([
                &m,
                &format!("KCFLAGS={} -Werror", form.1),
                "modules",
            ]);
            run(make.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL"))?;
        }
        made.push(out);
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
        ensure!(rc == 0, "cannot lock {}", dir.display());
        Ok(Lock(file))
    }
}
