//! The debuginfo files of one kernel and its modules, opened when they are needed.
//!
//! In: the kernel, where to look (`dwarf::find`). Out: open debuginfo of the
//! same build; what was there but of another build is told. Never downloads.

use super::dwarf::find::{Search, PATH_ENV};
use super::dwarf::Debuginfo;
use super::kernel::{note_build_id, Kernel};
use crate::cache::Cache;
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// What the command line says of debuginfo.
#[derive(Clone, Debug, Default)]
pub struct DebugOptions {
    /// `-d`: files or directories to be tried first.
    pub objects: Vec<PathBuf>,
    /// `-r DIR`: a build directory.
    pub build: Option<PathBuf>,
}

/// Files of one kernel.
#[derive(Debug)]
pub struct DebugFiles {
    search: Search,
    cache: Cache,
    kernel: OnceCell<Option<Rc<Debuginfo>>>,
    modules: RefCell<HashMap<String, Option<Rc<Debuginfo>>>>,
    /// Files that were passed over, with the reason: for messages.
    passed_over: RefCell<Vec<String>>,
}

impl DebugFiles {
    /// `cache`: where tables made of debuginfo are kept between runs.
    pub fn new(kernel: &Kernel, options: &DebugOptions, cache: &Cache) -> Self {
        let list = std::env::var(PATH_ENV).ok();
        let mut search = Search::new(kernel.root(), kernel.release(), list.as_deref());
        search.objects = options.objects.clone();
        search.build = options.build.clone();
        Self {
            search,
            cache: cache.clone(),
            kernel: OnceCell::new(),
            modules: RefCell::default(),
            passed_over: RefCell::default(),
        }
    }

    /// The first file that can be read and is of this build.
    fn first(&self, candidates: Vec<PathBuf>, build_id: Option<&[u8]>) -> Option<Rc<Debuginfo>> {
        for path in candidates {
            match Debuginfo::open(&path, &self.cache) {
                Ok(d) if build_id.zip(d.build_id()).is_none_or(|(a, b)| a == b) => {
                    return Some(Rc::new(d));
                }
                Ok(_) => self.pass_over(format!("{} is of another build", path.display())),
                // a module without debuginfo, or one that is packed: nothing to tell
                Err(super::dwarf::DwarfError::None(_) | super::dwarf::DwarfError::Elf { .. }) => {}
                Err(e) => self.pass_over(e.to_string()),
            }
        }
        None
    }

    fn pass_over(&self, why: String) {
        self.passed_over.borrow_mut().push(why);
    }

    pub fn passed_over(&self) -> Vec<String> {
        self.passed_over.borrow().clone()
    }

    /// That of the kernel itself.
    pub fn kernel(&self, kernel: &Kernel) -> Option<Rc<Debuginfo>> {
        self.kernel
            .get_or_init(|| {
                let id = kernel.build_id();
                self.first(self.search.kernel(id.as_deref()), id.as_deref())
            })
            .clone()
    }

    /// That of a module, by name or by the path of its file.
    pub fn module(&self, kernel: &Kernel, module: &str) -> Option<Rc<Debuginfo>> {
        if let Some(known) = self.modules.borrow().get(module) {
            return known.clone();
        }
        let name = module_name(module);
        let file =
            if module.contains('/') { Some(PathBuf::from(module)) } else { self.search.module_file(&name) };
        let id = kernel
            .is_running()
            .then(|| fs::read(format!("/sys/module/{name}/notes/.note.gnu.build-id")).ok())
            .flatten()
            .and_then(|n| note_build_id(&n))
            .or_else(|| file.as_deref().and_then(file_build_id));
        let found = self.first(self.search.module(&name, id.as_deref(), file.as_deref()), id.as_deref());
        self.modules.borrow_mut().insert(module.to_owned(), found.clone());
        found
    }

    /// Modules of the release whose name matches, whether they are loaded or not.
    pub fn module_names(&self, pattern: &str) -> Vec<String> {
        let dir = self.search.root.join(format!("lib/modules/{}", self.search.release));
        let list = fs::read_to_string(dir.join("modules.dep")).unwrap_or_default();
        let mut names: Vec<String> = list
            .lines()
            .filter_map(|l| l.split(':').next())
            .map(module_name)
            .filter(|n| super::glob::matches(&pattern.replace('-', "_"), n))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

/// The name under which the kernel knows the module of that name or file.
pub fn module_name(module: &str) -> String {
    let file = module.rsplit('/').next().unwrap_or(module);
    file.split(".ko").next().unwrap_or(file).replace(['-', ','], "_")
}

/// Build id that an ELF file has.
pub(super) fn file_build_id(path: &Path) -> Option<Vec<u8>> {
    use object::Object;
    let bytes = fs::read(path).ok()?;
    let elf = object::File::parse(&*bytes).ok()?;
    elf.build_id().ok()?.map(<[u8]>::to_vec)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::dwarf::tests::Dir;
    use std::process::Command;

    /// A root with a kernel "T" that has the module `some-thing`.
    fn root() -> (Dir, PathBuf) {
        let dir = Dir::new();
        let modules = dir.0.join("lib/modules/T");
        fs::create_dir_all(modules.join("extra")).expect("directories");
        fs::write(modules.join("modules.dep"), "extra/other.ko:\nextra/some-thing.ko: extra/other.ko\n")
            .expect("write");
        let path = dir.0.clone();
        (dir, path)
    }

    /// An ELF file with that build id, with or without debuginfo.
    fn elf(path: &Path, id: &str, debug: bool) {
        fs::create_dir_all(path.parent().expect("below something")).expect("directories");
        let source = path.with_extension("c");
        fs::write(&source, "int f(int x) { return x; }\n").expect("write");
        let mut cc = Command::new("cc");
        cc.args([
            "-shared",
            "-nostdlib",
            &format!("-Wl,--build-id=0x{id}"),
            if debug { "-g" } else { "-g0" },
        ]);
        let out = cc.arg("-o").arg(path).arg(&source).output().expect("cc");
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        fs::remove_file(source).expect("remove");
    }

    fn files(root: &Path, options: &DebugOptions) -> (Kernel, DebugFiles) {
        let kernel = Kernel::new(Some("T"), Some(root));
        let files = DebugFiles::new(&kernel, options, &Cache::default());
        (kernel, files)
    }

    #[test]
    fn the_kernel_is_found_where_packages_put_it_and_where_options_say() {
        let (_dir, root) = root();
        let (kernel, found) = files(&root, &DebugOptions::default());
        assert!(found.kernel(&kernel).is_none());
        let packaged = root.join("usr/lib/debug/boot/vmlinux-T");
        elf(&packaged, "aa01", true);
        let path = |(kernel, found): (Kernel, DebugFiles)| found.kernel(&kernel).map(|d| d.path().to_owned());
        assert_eq!(path(files(&root, &DebugOptions::default())), Some(packaged));
        let build = root.join("build");
        elf(&build.join("vmlinux"), "aa02", true);
        let of_build = DebugOptions { build: Some(build.clone()), ..DebugOptions::default() };
        assert_eq!(path(files(&root, &of_build)), Some(build.join("vmlinux")));
        let named = DebugOptions { objects: vec![build.clone()], ..DebugOptions::default() };
        assert_eq!(path(files(&root, &named)), Some(build.join("vmlinux")));
    }

    #[test]
    fn a_module_is_found_by_build_id_and_another_build_is_passed_over() {
        let (_dir, root) = root();
        let own = root.join("lib/modules/T/extra/some-thing.ko");
        elf(&own, "bb01", false);
        let stale = root.join("usr/lib/debug/lib/modules/T/extra/some-thing.ko");
        elf(&stale, "bb99", true);
        let (kernel, found) = files(&root, &DebugOptions::default());
        assert!(found.module(&kernel, "some_thing").is_none());
        let told = found.passed_over();
        assert!(told.iter().any(|t| t.contains("some-thing.ko is of another build")), "{told:?}");
        let by_id = root.join("usr/lib/debug/.build-id/bb/01.debug");
        elf(&by_id, "bb01", true);
        for name in ["some_thing", "some-thing", own.to_str().expect("text")] {
            let (kernel, found) = files(&root, &DebugOptions::default());
            let info = found.module(&kernel, name).expect("found by its build id");
            assert_eq!(info.path(), by_id, "{name}");
        }
        assert_eq!(found.module_names("some*"), ["some_thing"]);
        assert_eq!(module_name("/x/some-thing.ko.xz"), "some_thing");
    }
}
