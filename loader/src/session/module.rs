//! Brings the kernel module to where it can be used: opens `/dev/stpvm`,
//! loads `stpvm.ko` where it is installed and not loaded. Never unloads
//! anything, never builds anything.

use super::SessionError;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DEVICE: &str = "/dev/stpvm";
/// Names the module file to load, before the installed one.
pub const MODULE_ENV: &str = "STPVM_MODULE";

const INSTALL: &str = "build and install it with `make kmod && make install`";

/// Opens the device; loads the module first where it has to. `file`: the module to load (`--stpvm-module`).
pub fn open(file: Option<&Path>) -> Result<File, SessionError> {
    match open_device() {
        Ok(f) => return Ok(f),
        Err(e) => match e.kind() {
            ErrorKind::PermissionDenied => return Err(no_permission()),
            ErrorKind::NotFound => {}
            // A node without a driver behind it (ENXIO, ENODEV): as if it were not there.
            _ if matches!(e.raw_os_error(), Some(libc::ENXIO | libc::ENODEV)) => {}
            _ => return Err(SessionError::Os { what: DEVICE, error: e }),
        },
    }
    // SAFETY: no arguments, no memory.
    if unsafe { libc::geteuid() } != 0 && !is_loaded() {
        return Err(SessionError::NoModule(
            "kernel module stpvm is not loaded, and only root may load it: run `modprobe stpvm` as root, or stap itself"
                .into(),
        ));
    }
    if !is_loaded() {
        load(file)?;
    }
    open_node().map_err(|e| match e.kind() {
        ErrorKind::PermissionDenied => no_permission(),
        _ => SessionError::Os { what: DEVICE, error: e },
    })
}

fn no_permission() -> SessionError {
    SessionError::Permission(format!(
        "no permission to use {DEVICE}: run stap as root, or as a member of group stapdev, stapsys or stapusr"
    ))
}

fn open_device() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_CLOEXEC).open(DEVICE)
}

fn is_loaded() -> bool {
    Path::new("/sys/module/stpvm").exists()
}

/// The node comes with devtmpfs and udev; where there is neither, root can make it from /proc/misc.
fn open_node() -> io::Result<File> {
    let error = match open_device() {
        Ok(f) => return Ok(f),
        Err(e) => e,
    };
    let minor = fs::read_to_string("/proc/misc").ok().and_then(|text| misc_minor(&text));
    if let (ErrorKind::NotFound, Some(minor)) = (error.kind(), minor) {
        let path = CString::new(DEVICE).expect("no NUL in it");
        // SAFETY: a NUL-terminated path.
        unsafe { libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(10, minor)) };
        return open_device();
    }
    Err(error)
}

fn misc_minor(proc_misc: &str) -> Option<u32> {
    proc_misc.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let minor = words.next()?.parse().ok()?;
        (words.next() == Some("stpvm")).then_some(minor)
    })
}

fn load(file: Option<&Path>) -> Result<(), SessionError> {
    let named = file.map(PathBuf::from).or_else(|| std::env::var_os(MODULE_ENV).map(PathBuf::from));
    if let Some(path) = named {
        return insert(&path);
    }
    // First as the system does: modprobe knows the options of the module (the groups that may use it).
    if modprobe() {
        return Ok(());
    }
    // It does not know what was put there without depmod.
    let release = release();
    let dir = PathBuf::from("/lib/modules").join(&release);
    for place in ["updates/dkms", "updates", "extra", "kernel/extra", "misc"] {
        for end in ["ko", "ko.xz", "ko.zst", "ko.gz"] {
            let path = dir.join(place).join(format!("stpvm.{end}"));
            if path.exists() {
                return insert(&path);
            }
        }
    }
    Err(SessionError::NoModule(format!(
        "kernel module stpvm is not installed for kernel {release}: {INSTALL}"
    )))
}

fn modprobe() -> bool {
    let found = ["modprobe", "/sbin/modprobe"].iter().any(|program| {
        Command::new(program)
            .args(["-q", "stpvm"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|s| s.success())
    });
    found && is_loaded()
}

fn insert(path: &Path) -> Result<(), SessionError> {
    let shown = path.display();
    let file = File::open(path).map_err(|e| SessionError::NoModule(format!("{shown}: {e}: {INSTALL}")))?;
    const COMPRESSED: libc::c_int = 4; // MODULE_INIT_COMPRESSED_FILE
    let flags = if path.extension().is_some_and(|e| e == "ko") { 0 } else { COMPRESSED };
    // SAFETY: a file descriptor, an empty parameter string, flags.
    let r = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), flags) };
    if r == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    let why = match error.raw_os_error() {
        Some(libc::EEXIST) => return Ok(()),
        Some(libc::ENOEXEC | libc::EINVAL | libc::ESRCH) => {
            format!("it was not built for kernel {} ({error}): {INSTALL}", release())
        }
        Some(libc::EKEYREJECTED | libc::ENOKEY) => {
            "this kernel takes signed modules only (Secure Boot): sign it, or switch that off".into()
        }
        Some(libc::EPERM) => {
            "loading modules is not permitted here (container, lockdown or modules_disabled)".into()
        }
        Some(libc::ENOSYS) => "this kernel can't load modules".into(),
        _ => error.to_string(),
    };
    Err(SessionError::NoModule(format!("module {shown} could not be loaded: {why}")))
}

/// `uname -r`
pub fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map(|s| s.trim().to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_number_is_found_in_proc_misc() {
        assert_eq!(misc_minor("236 device-mapper\n 61 stpvm\n144 nvram\n"), Some(61));
        assert_eq!(misc_minor("236 device-mapper\n"), None);
    }

    #[test]
    fn a_module_that_is_not_there_is_named() {
        let e = insert(Path::new("/nonexistent/stpvm.ko")).unwrap_err().to_string();
        assert!(e.starts_with("/nonexistent/stpvm.ko: No such file"), "{e}");
    }
}
