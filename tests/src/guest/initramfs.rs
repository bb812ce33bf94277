//! Puts together what a guest boots with: busybox, the module, stap with its
//! libraries and tapsets, test programs, cases. In: paths of this machine. Out: a cpio archive.

use super::cpio::Archive;
use super::kernel::{root, Kernel};
use super::{module, Case};
use anyhow::{ensure, Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Drivers of the port to the host, in loading order; where they are built in there is no file.
const VIRTIO: [&str; 6] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_console",
];

/// Where the installed tapset library lies.
const TAPSETS: &str = "/usr/share/stpvm/tapsets";

/// The archive of a guest, filled step by step.
pub struct Initramfs {
    archive: Archive,
    /// Directory of the kernel's modules in the guest, and its `modules.dep`.
    modules: String,
    dependencies: String,
}

impl Initramfs {
    /// busybox with a link for each applet, `/init`, the virtio drivers.
    pub fn base(kernel: &Kernel) -> Result<Initramfs> {
        let mut archive = Archive::default();
        let busybox = fs::read("/bin/busybox").context("/bin/busybox (package busybox-static)")?;
        ensure!(interpreter_free(&busybox), "/bin/busybox is not static (package busybox-static)");
        archive.file("/bin/busybox", 0o755, &busybox);
        let applets = Command::new("/bin/busybox").arg("--list").output().context("busybox --list")?;
        for applet in String::from_utf8_lossy(&applets.stdout).lines() {
            archive.symlink(&format!("/bin/{applet}"), "busybox");
        }
        archive.file("/init", 0o755, &fs::read(root().join("tests/guest/init"))?);
        for dir in
            ["/proc", "/sys", "/dev", "/tmp", "/root", "/var/tmp", "/run", "/cases", "/limits", "/usr/sbin"]
        {
            archive.directory(dir);
        }
        archive.symlink("/sbin", "usr/sbin");
        archive.device("/dev/console", 5, 1);
        archive.file(
            "/etc/passwd",
            0o644,
            b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n",
        );
        archive.file("/etc/group", 0o644, b"root:x:0:\nnogroup:x:65534:\n");
        archive.file(&format!("/boot/config-{}", kernel.release), 0o644, &fs::read(&kernel.config)?);
        for (n, name) in VIRTIO.iter().enumerate() {
            if let Some(bytes) = kernel.module(name)? {
                archive.file(&format!("/boot-modules/{n}-{name}.ko"), 0o644, &bytes);
            }
        }
        let modules = format!("/lib/modules/{}", kernel.release);
        Ok(Initramfs { archive, modules, dependencies: String::new() })
    }

    /// The module, loaded at boot if `load`; and where `modprobe` finds it.
    pub fn module(&mut self, file: &Path, load: bool) -> Result<()> {
        let bytes = fs::read(file)?;
        self.archive.file("/stpvm.ko", 0o644, &bytes);
        self.archive.symlink(&format!("{}/extra/stpvm.ko", self.modules), "/stpvm.ko");
        self.dependencies += "extra/stpvm.ko:\n";
        if load {
            self.archive.file("/load-module", 0o644, b"");
        }
        Ok(())
    }

    /// A module of the kernel and those that it needs, for `modprobe`; nothing where it is built in.
    pub fn kernel_module(&mut self, kernel: &Kernel, name: &str) -> Result<()> {
        let mut order = Vec::new();
        self.with_needed(kernel, name, &mut order)?;
        // as depmod writes it: what has to be there first comes last
        let files: Vec<String> = order.iter().rev().map(|n| format!("kernel/{n}.ko")).collect();
        if let Some((first, rest)) = files.split_first() {
            self.dependencies += &format!("{first}: {}\n", rest.join(" "));
        }
        Ok(())
    }

    /// Adds the file and those that it needs, in the order of loading.
    fn with_needed(&mut self, kernel: &Kernel, name: &str, order: &mut Vec<String>) -> Result<()> {
        if order.iter().any(|n| n == name) {
            return Ok(());
        }
        let Some(bytes) = kernel.module(name)? else { return Ok(()) };
        for need in needed_modules(&bytes) {
            self.with_needed(kernel, &need, order)?;
        }
        let to = format!("{}/kernel/{name}.ko", self.modules);
        if !self.archive.contains(&to) {
            self.archive.file(&to, 0o644, &bytes);
        }
        order.push(name.to_string());
        Ok(())
    }

    /// A program with the shared libraries that it names.
    pub fn program(&mut self, file: &Path, to: &str) -> Result<()> {
        let bytes = fs::read(file).with_context(|| file.display().to_string())?;
        let needs_libraries = !interpreter_free(&bytes);
        self.archive.file(to, 0o755, &bytes);
        if needs_libraries {
            for library in libraries(file)? {
                self.file(&library, &library.display().to_string())?;
            }
        }
        Ok(())
    }

    /// A plain file, with its own permissions.
    pub fn file(&mut self, file: &Path, to: &str) -> Result<()> {
        if !self.archive.contains(to) {
            let bytes = fs::read(file).with_context(|| file.display().to_string())?;
            let mode = fs::metadata(file)?.permissions().mode() & 0o777;
            self.archive.file(to, mode, &bytes);
        }
        Ok(())
    }

    /// Text that was made here.
    pub fn text(&mut self, to: &str, text: &str) {
        self.archive.file(to, 0o644, text.as_bytes());
    }

    /// A directory with all below it.
    pub fn tree(&mut self, from: &Path, to: &str) -> Result<()> {
        let mut entries: Vec<PathBuf> = fs::read_dir(from)
            .with_context(|| from.display().to_string())?
            .flatten()
            .map(|e| e.path())
            .collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().context("name")?.to_string_lossy().into_owned();
            let to = format!("{to}/{name}");
            match path.is_dir() {
                true => self.tree(&path, &to)?,
                false => self.file(&path, &to)?,
            }
        }
        Ok(())
    }

    /// `stap`, its kin and the tapset library as `make install` lays them out.
    pub fn stap(&mut self, bin_dir: &Path) -> Result<()> {
        for (name, dir) in [("stap", "/usr/bin"), ("staprun", "/usr/bin"), ("stap-merge", "/usr/bin")] {
            let built = bin_dir.join(name);
            if built.exists() {
                self.program(&module::stripped(&built)?, &format!("{dir}/{name}"))?;
            }
        }
        let tapsets = root().join("tapsets");
        if tapsets.exists() {
            self.tree(&tapsets, TAPSETS)?;
        }
        Ok(())
    }

    pub fn programs(&mut self) -> Result<()> {
        for program in module::programs()? {
            let name = program.file_name().context("name")?.to_string_lossy().into_owned();
            self.program(&program, &format!("/usr/bin/{name}"))?;
        }
        Ok(())
    }

    pub fn cases(&mut self, cases: &[Case]) {
        for (n, case) in cases.iter().enumerate() {
            self.archive.file(&format!("/cases/{n:04}"), 0o755, case.script.as_bytes());
            self.text(&format!("/limits/{n:04}"), &format!("{}\n", case.limit.as_secs().max(1)));
        }
    }

    /// A live case writes to ports of its own instead of into files.
    pub fn live(&mut self) {
        self.text("/live", "");
    }

    /// `/init` gives a shell after printing this greeting.
    pub fn shell(&mut self, greeting: &str) {
        self.text("/shell", greeting);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.archive.file(&format!("{}/modules.dep", self.modules), 0o644, self.dependencies.as_bytes());
        self.archive.finish()
    }
}

/// What a module's own text says that it stands on: `depends=a,b`.
fn needed_modules(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|w| w == KEY) else { return Vec::new() };
    let text = module[at + KEY.len()..].split(|&b| b == 0).next().unwrap_or_default();
    let names = text.split(|&b| b == b',').map(|n| String::from_utf8_lossy(n).into_owned());
    names.filter(|n| !n.is_empty()).collect()
}

/// Whether an ELF file has no PT_INTERP, that is needs no shared libraries.
fn interpreter_free(elf: &[u8]) -> bool {
    let at = |o: usize, n: usize| {
        elf.get(o..o + n).map(|b| b.iter().rev().fold(0u64, |v, &b| v << 8 | u64::from(b))).unwrap_or(0)
    };
    let (table, size, count) = (at(32, 8) as usize, at(54, 2) as usize, at(56, 2) as usize);
    (0..count).all(|i| at(table + i * size, 4) != 3)
}

/// What the dynamic linker would load for it here.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let out = Command::new("ldd").arg(program).output().context("ldd")?;
    ensure!(out.status.success(), "ldd {} failed", program.display());
    let text = String::from_utf8_lossy(&out.stdout);
    ensure!(!text.contains("not found"), "{} lacks libraries:\n{text}", program.display());
    Ok(text.split_whitespace().filter(|w| w.starts_with('/')).map(PathBuf::from).collect())
}
