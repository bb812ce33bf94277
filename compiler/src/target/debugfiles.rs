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

fn file_build_id(path: &Path) -> Option<Vec<u8>> {
    use object::Object;
    let bytes = fs::read(path).ok()?;
    let elf = object::File::parse(&*bytes).ok()?;
    elf.build_id().ok()?.map(<[u8]>::to_vec)
}
