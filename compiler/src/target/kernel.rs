//! The traced kernel: release, build id, configuration, and where its files are.
//!
//! In: `/proc`, `/sys`, `/boot` and `/lib/modules` of the traced machine (below
//! a sysroot if there is one). Out: facts for the preprocessor, for messages
//! and for the loader. Everything is read when it is first asked for.

use super::btf::{Btf, BtfError};
use super::debugfiles::file_build_id;
use object::{Object, ObjectSection};
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names the BTF file to use instead of the traced kernel's: cross-compilation and tests.
pub const BTF_ENV: &str = "STPVM_BTF";
/// Names a file in the format of `/proc/kallsyms` to use instead of it.
pub const KALLSYMS_ENV: &str = "STPVM_KALLSYMS";

/// Most bytes of an identity.
pub const ID_MAX: usize = 31;

/// One kernel.
#[derive(Debug)]
pub struct Kernel {
    root: PathBuf,
    release: String,
    running: bool,
    btf: OnceCell<Result<Arc<Btf>, String>>,
    config: OnceCell<HashMap<String, String>>,
}

impl Kernel {
    /// The running kernel, or the one of that release below that root.
    pub fn new(release: Option<&str>, sysroot: Option<&Path>) -> Self {
        let root = sysroot.unwrap_or(Path::new("/")).to_owned();
        let of_this_machine = root == Path::new("/");
        let this = running_release();
        let release = release.map_or_else(|| this.clone(), str::to_owned);
        let running = of_this_machine && release == this;
        Self { root, release, running, btf: OnceCell::new(), config: OnceCell::new() }
    }

    /// A kernel of which only these types are known.
    #[cfg(test)]
    pub fn of_types(btf: Btf) -> Self {
        let k = Self::new(Some("0.0-test"), Some(Path::new("/nonexistent")));
        k.btf.set(Ok(Arc::new(btf))).expect("fresh");
        k
    }

    /// As `uname -r` prints it.
    pub fn release(&self) -> &str {
        &self.release
    }

    /// `kernel_v` of the preprocessor: the release up to the first `-`.
    pub fn version(&self) -> &str {
        self.release.split('-').next().unwrap_or("")
    }

    /// `arch` of the preprocessor.
    pub fn arch(&self) -> &'static str {
        std::env::consts::ARCH
    }

    /// Is it the kernel that this process runs on?
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// The system (`sched`) of a trace event (`sched_switch`), as the running kernel's tracefs has it.
    pub fn system_of_event(&self, event: &str) -> Option<String> {
        if !self.running {
            return None;
        }
        let places = ["/sys/kernel/tracing/events", "/sys/kernel/debug/tracing/events"];
        let mut systems = places.iter().filter_map(|d| fs::read_dir(d).ok()).flatten();
        let system = systems.find_map(|s| s.ok().filter(|s| s.path().join(event).is_dir()))?;
        system.file_name().into_string().ok()
    }

    /// Root of the traced machine's files.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A file of the traced machine.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.root.join(absolute.trim_start_matches('/'))
    }

    /// Build id of the running kernel (note of type 3 and name "GNU").
    pub fn build_id(&self) -> Option<Vec<u8>> {
        if !self.running {
            return None;
        }
        note_build_id(&fs::read("/sys/kernel/notes").ok()?)
    }

    /// What tells it from all others, at most [`ID_MAX`] bytes: its build id, or the release where
    /// nobody knows that.
    pub fn identity(&self) -> Vec<u8> {
        let of_file = || self.vmlinux().iter().find_map(|path| file_build_id(path));
        let mut id = self.build_id().or_else(of_file).unwrap_or_else(|| self.release.clone().into_bytes());
        id.truncate(ID_MAX);
        id
    }

    /// Is it the kernel of that [`identity`](Self::identity)?
    pub fn is(&self, identity: &[u8]) -> bool {
        let release = self.release.as_bytes();
        identity == self.identity() || identity == &release[..release.len().min(ID_MAX)]
    }

    /// Where an uncompressed image of it may lie.
    fn vmlinux(&self) -> [PathBuf; 4] {
        [
            format!("/usr/lib/debug/boot/vmlinux-{}", self.release),
            format!("/usr/lib/debug/lib/modules/{}/vmlinux", self.release),
            format!("/boot/vmlinux-{}", self.release),
            format!("/lib/modules/{}/build/vmlinux", self.release),
        ]
        .map(|name| self.path(&name))
    }

    /// Its BTF. The message says what was tried.
    pub fn btf(&self) -> Result<Arc<Btf>, String> {
        self.btf.get_or_init(|| self.open_btf().map(Arc::new)).clone()
    }

    fn open_btf(&self) -> Result<Btf, String> {
        if let Some(path) = std::env::var_os(BTF_ENV) {
            return Btf::open(Path::new(&path), None).map_err(|e| e.to_string());
        }
        if self.running {
            return Btf::open(Path::new("/sys/kernel/btf/vmlinux"), None).map_err(|e| {
                format!("{e}: the kernel has no type information of its own (CONFIG_DEBUG_INFO_BTF)")
            });
        }
        let mut tried = Vec::new();
        for path in self.vmlinux() {
            match btf_of_elf(&path) {
                Ok(b) => return Ok(b),
                Err(e) => tried.push(e.to_string()),
            }
        }
        Err(format!(
            "no type information of kernel {} (set {BTF_ENV} to a file of its BTF); tried {}",
            self.release,
            tried.join("; ")
        ))
    }

    /// BTF of a loaded module, over the kernel's.
    pub fn module_btf(&self, module: &str) -> Result<Btf, String> {
        let base = self.btf()?;
        if !self.running {
            return Err(format!("module '{module}' of another kernel: its types are not known here"));
        }
        let file = module.replace('-', "_");
        if file.contains('/') {
            return Err(format!("'{module}' is no name of a module"));
        }
        Btf::open(&Path::new("/sys/kernel/btf").join(file), Some(base)).map_err(|e| e.to_string())
    }

    /// Value of `CONFIG_name`: `y`, `m`, a number, a text without its quotes; `None` where it is not set.
    pub fn config(&self, name: &str) -> Option<&str> {
        self.config.get_or_init(|| parse_config(&self.read_config())).get(name).map(String::as_str)
    }

    fn read_config(&self) -> String {
        let places = [
            format!("/boot/config-{}", self.release),
            format!("/lib/modules/{}/config", self.release),
            format!("/lib/modules/{}/build/.config", self.release),
        ];
        for p in &places {
            if let Ok(text) = fs::read_to_string(self.path(p)) {
                return text;
            }
        }
        if self.running {
            if let Ok(f) = fs::File::open("/proc/config.gz") {
                let mut text = String::new();
                if flate2::read::GzDecoder::new(f).take(16 << 20).read_to_string(&mut text).is_ok() {
                    return text;
                }
            }
        }
        String::new()
    }

    /// Modules that are loaded now.
    pub fn modules(&self) -> Vec<String> {
        if !self.running {
            return Vec::new();
        }
        let text = fs::read_to_string("/proc/modules").unwrap_or_default();
        text.lines().filter_map(|l| l.split(' ').next()).map(str::to_owned).collect()
    }

    /// The package that holds the kernel's debuginfo, as this distribution calls it.
    pub fn debuginfo_package(&self) -> String {
        format!("linux-image-{}-dbg", self.release)
    }
}

fn running_release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map(|s| s.trim().to_owned()).unwrap_or_default()
}

/// The `.BTF` section of an ELF file.
pub fn btf_of_elf(path: &Path) -> Result<Btf, BtfError> {
    let io = |source| BtfError::Io { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(io)?;
    // SAFETY: mapped read only and private, as in `Btf::open`
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
    let elf =
        object::File::parse(&*map).map_err(|e| BtfError::Damaged(format!("{}: {e}", path.display())))?;
    let section = elf
        .section_by_name(".BTF")
        .ok_or_else(|| BtfError::Damaged(format!("{}: no .BTF section", path.display())))?;
    let data = section.data().map_err(|e| BtfError::Damaged(e.to_string()))?;
    Btf::from_bytes(data.to_vec(), None)
}

/// Finds the GNU build id in a stretch of ELF notes.
pub(super) fn note_build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    loop {
        let word =
            |n: usize| Some(u32::from_le_bytes(notes.get(4 * n..4 * n + 4)?.try_into().ok()?) as usize);
        let (namesz, descsz, ty) = (word(0)?, word(1)?, word(2)?);
        let desc_at = 12usize.checked_add(namesz.checked_next_multiple_of(4)?)?;
        let end = desc_at.checked_add(descsz)?;
        let (name, desc) = (notes.get(12..12usize.checked_add(namesz)?)?, notes.get(desc_at..end)?);
        if ty == 3 && name == b"GNU\0" {
            return Some(desc.to_vec());
        }
        notes = notes.get(end.checked_next_multiple_of(4)?..)?;
    }
}

fn parse_config(text: &str) -> HashMap<String, String> {
    text.lines()
        .filter_map(|l| l.strip_prefix("CONFIG_").and_then(|l| l.split_once('=')))
        .map(|(k, v)| (format!("CONFIG_{k}"), v.trim().trim_matches('"').to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_id_is_found_among_other_notes() {
        let mut n = Vec::new();
        let mut note = |ty: u32, name: &[u8], desc: &[u8]| {
            n.extend((name.len() as u32).to_le_bytes());
            n.extend((desc.len() as u32).to_le_bytes());
            n.extend(ty.to_le_bytes());
            for part in [name, desc] {
                n.extend(part);
                n.resize(n.len().next_multiple_of(4), 0);
            }
        };
        note(3, b"Xen\0", &[9; 3]);
        note(1, b"GNU\0", &[8; 4]);
        note(3, b"GNU\0", &[1, 2, 3]);
        assert_eq!(note_build_id(&n), Some(vec![1, 2, 3]));
        for cut in 0..n.len() - 1 {
            assert_eq!(note_build_id(&n[..cut]), None, "cut at {cut}");
        }
        assert_eq!(note_build_id(&[0xff; 64]), None);
    }

    #[test]
    fn config_lines_give_values_and_absent_ones_none() {
        let c = parse_config("# x\nCONFIG_A=y\nCONFIG_HZ=250\n# CONFIG_B is not set\nCONFIG_S=\"a b\"\n");
        assert_eq!(c.get("CONFIG_A").map(String::as_str), Some("y"));
        assert_eq!(c.get("CONFIG_HZ").map(String::as_str), Some("250"));
        assert_eq!(c.get("CONFIG_S").map(String::as_str), Some("a b"));
        assert_eq!(c.get("CONFIG_B"), None);
    }

    #[test]
    fn the_version_is_the_release_without_its_local_part() {
        let k = Kernel::new(Some("6.1.0-56-cloud-amd64"), None);
        assert_eq!((k.version(), k.release()), ("6.1.0", "6.1.0-56-cloud-amd64"));
    }
}
