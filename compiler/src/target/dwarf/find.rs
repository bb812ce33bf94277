//! Files of debuginfo: where the distributions put them.
//!
//! In: the traced machine's root, release, build ids. Out: paths to try, in
//! order. `SYSTEMTAP_DEBUGINFO_PATH` replaces the usual directories, with `:`
//! between them; `-d` names files or directories to be tried first. Looks at
//! names only; whoever opens a file compares its build id.

use std::path::{Path, PathBuf};

/// Replaces the directories where debuginfo is looked for.
pub const PATH_ENV: &str = "SYSTEMTAP_DEBUGINFO_PATH";

/// Where to look.
#[derive(Clone, Debug)]
pub struct Search {
    /// Root of the traced machine's files.
    pub root: PathBuf,
    pub release: String,
    /// `-r DIR`: a build directory with `vmlinux` and modules.
    pub build: Option<PathBuf>,
    /// `-d`: files or directories.
    pub objects: Vec<PathBuf>,
    /// Directories in the place of `/usr/lib/debug`.
    pub dirs: Vec<PathBuf>,
}

impl Search {
    /// `list`: the value of [`PATH_ENV`].
    pub fn new(root: &Path, release: &str, list: Option<&str>) -> Self {
        let usual = || vec![root.join("usr/lib/debug")];
        let dirs = match list {
            // a leading + or - is gdb's and elfutils' mark for checksums
            Some(l) => l
                .split(':')
                .map(|d| d.trim_start_matches(['+', '-']))
                .filter(|d| d.starts_with('/'))
                .map(|d| root.join(d.trim_start_matches('/')))
                .collect(),
            None => usual(),
        };
        Self { root: root.to_owned(), release: release.to_owned(), build: None, objects: Vec::new(), dirs }
    }

    fn by_build_id(&self, id: Option<&[u8]>, out: &mut Vec<PathBuf>) {
        let Some((first, rest)) = id.and_then(<[u8]>::split_first) else { return };
        let rest: String = rest.iter().map(|b| format!("{b:02x}")).collect();
        for d in &self.dirs {
            out.push(d.join(format!(".build-id/{first:02x}/{rest}.debug")));
        }
    }

    /// Files that may describe the kernel.
    pub fn kernel(&self, build_id: Option<&[u8]>) -> Vec<PathBuf> {
        let release = &self.release;
        let mut out = Vec::new();
        for o in &self.objects {
            if o.is_dir() {
                out.extend(["vmlinux".to_owned(), format!("vmlinux-{release}")].map(|n| o.join(n)));
            } else if o.file_name().is_some_and(|n| n.to_string_lossy().starts_with("vmlinux")) {
                out.push(o.clone());
            }
        }
        if let Some(b) = &self.build {
            out.push(b.join("vmlinux"));
        }
        self.by_build_id(build_id, &mut out);
        for d in &self.dirs {
            for name in [
                format!("lib/modules/{release}/vmlinux"),
                format!("usr/lib/modules/{release}/vmlinux"),
                format!("boot/vmlinux-{release}"),
                format!("vmlinux-{release}"),
            ] {
                out.push(d.join(name));
            }
        }
        for name in [
            format!("boot/vmlinux-{release}"),
            format!("lib/modules/{release}/vmlinux"),
            format!("lib/modules/{release}/build/vmlinux"),
        ] {
            out.push(self.root.join(name));
        }
        out.retain(|p| p.is_file());
        out.dedup();
        out
    }

    /// The module's own file: `fs/ext4/ext4.ko` below the modules of the release, with any
    /// compression's ending. `name` has underscores or dashes.
    pub fn module_file(&self, name: &str) -> Option<PathBuf> {
        let dir = self.root.join(format!("lib/modules/{}", self.release));
        let list = std::fs::read_to_string(dir.join("modules.dep")).ok()?;
        let plain = |n: &str| n.replace('-', "_");
        let wanted = plain(name);
        list.lines().filter_map(|l| l.split(':').next()).find_map(|path| {
            let file = path.rsplit('/').next()?;
            (plain(file.split(".ko").next()?) == wanted).then(|| dir.join(path))
        })
    }

    /// Files that may describe a module. `file`: the module's own.
    pub fn module(&self, name: &str, build_id: Option<&[u8]>, file: Option<&Path>) -> Vec<PathBuf> {
        let (under, dash) = (name.replace('-', "_"), name.replace('_', "-"));
        let mut out = Vec::new();
        let in_dir = |d: &Path, out: &mut Vec<PathBuf>| {
            for n in [&under, &dash] {
                out.extend([format!("{n}.ko.debug"), format!("{n}.ko")].map(|f| d.join(f)));
            }
        };
        for o in &self.objects {
            if o.is_dir() {
                in_dir(o, &mut out);
            } else if o.file_name().is_some_and(|n| {
                n.to_string_lossy().split(".ko").next().is_some_and(|s| s == under || s == dash)
            }) {
                out.push(o.clone());
            }
        }
        self.by_build_id(build_id, &mut out);
        if let Some(file) = file {
            let below = file.strip_prefix(&self.root).unwrap_or(file);
            for d in &self.dirs {
                let beside = d.join(below);
                let mut debug = beside.as_os_str().to_owned();
                debug.push(".debug");
                out.extend([PathBuf::from(debug), beside]);
            }
        }
        for d in &self.dirs {
            in_dir(d, &mut out);
        }
        out.extend(file.map(Path::to_owned));
        out.retain(|p| p.is_file());
        out.dedup();
        out
    }
}
