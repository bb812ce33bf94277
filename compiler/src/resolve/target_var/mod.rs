//! The traced machine as `resolve` asks it: [`KernelTarget`] answers from BTF,
//! debuginfo,
//! symbol lists and the table of system calls.
//!
//! In: probe points and target variables. Out: places and expressions
//! (raw arguments, return values, loads, bit fields). Kernel files are opened
//! when a script first needs them. Never evaluates a script's expressions.
//!
//! `places` finds places, `variable`, `cast`, `global` and `walk` make
//! expressions, `pretty` makes the text forms (`$$parms`, `$x$`); `debug_places` and `debug` do the
//! same where debuginfo is installed.

mod cast;
mod debug;
mod debug_places;
mod global;
mod params;
mod places;
mod pretty;
mod variable;
mod walk;

#[cfg(test)]
mod autocast_tests;
#[cfg(test)]
mod identity_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;

pub(crate) use walk::ARGUMENTS;

use super::target_api::{Access, Frame, ListedVariable, PlaceContext, Query, TargetPlace, TargetVars};
use crate::cache::Cache;
use crate::diag::{Diagnostic, Span, Stage};
use crate::syntax::ast;
use crate::target::btf::{kind, Btf};
use crate::target::ctype::TypeSource;
use crate::target::debugfiles::{DebugFiles, DebugOptions};
use crate::target::kernel::Kernel;
use crate::target::symbols::Symbols;
use crate::target::syscalls::Syscall;
use crate::types::hir;
use debug::DebugPlace;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

/// What is known of the kernel that a script traces.
#[derive(Debug)]
pub struct KernelTarget {
    kernel: Kernel,
    symbols: Symbols,
    files: DebugFiles,
    /// What each handle of a [`TargetPlace`] stands for.
    found: RefCell<Vec<Rc<Found>>>,
    modules: RefCell<HashMap<String, Option<Arc<Btf>>>>,
    /// Something was told that may be otherwise on the next kernel: see [`Self::was_asked`].
    asked: Cell<bool>,
}

/// A place, as `variable` needs it.
#[derive(Debug)]
enum Found {
    Function {
        symbol: String,
        module: Option<String>,
        /// Types of the function, where the source has them.
        btf: Option<Arc<Btf>>,
        returns: bool,
    },
    /// Found in debuginfo.
    Debug(DebugPlace),
    Tracepoint {
        name: String,
        btf: Arc<Btf>,
    },
    /// `None`: every call.
    Syscall {
        call: Option<&'static Syscall>,
        compat: bool,
        returns: bool,
    },
    /// A place without target variables.
    Opaque,
}

impl KernelTarget {
    /// The kernel of that release, or the running one; files are looked up below the root.
    pub fn new(release: Option<&str>, sysroot: Option<&Path>, debug: &DebugOptions, cache: &Cache) -> Self {
        Self::of(Kernel::new(release, sysroot), debug, cache)
    }

    pub fn of(kernel: Kernel, debug: &DebugOptions, cache: &Cache) -> Self {
        let files = DebugFiles::new(&kernel, debug, cache);
        Self {
            kernel,
            symbols: Symbols::new(cache.clone()),
            files,
            found: RefCell::default(),
            modules: RefCell::default(),
            asked: Cell::new(false),
        }
    }

    pub fn kernel(&self) -> &Kernel {
        &self.kernel
    }

    /// Was anything answered that another kernel would answer otherwise: types, parameters, what
    /// is not there, constants? Names of symbols don't count, nor do system calls: those are the
    /// architecture's.
    pub fn was_asked(&self) -> bool {
        self.asked.get()
    }

    fn btf(&self) -> Result<Arc<Btf>, Diagnostic> {
        self.kernel.btf().map_err(|e| {
            self.error("no-type-information", format!("the types of the kernel are not known: {e}")).help(
                format!(
                    "kernels built with CONFIG_DEBUG_INFO_BTF describe themselves; for others install {}",
                    self.kernel.debuginfo_package()
                ),
            )
        })
    }

    fn module_btf(&self, module: &str) -> Option<Arc<Btf>> {
        let mut known = self.modules.borrow_mut();
        if let Some(b) = known.get(module) {
            return b.clone();
        }
        let b = self.kernel.module_btf(module).ok().map(Arc::new);
        known.insert(module.to_owned(), b.clone());
        b
    }

    fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(Stage::Semantic, code, message)
    }

    /// An error whose remedy is the kernel's debuginfo.
    fn needs_debuginfo(&self, message: impl Into<String>) -> Diagnostic {
        let mut help =
            format!("this needs the kernel's debuginfo: package {}", self.kernel.debuginfo_package());
        for file in self.files.passed_over() {
            help += &format!("; {file}");
        }
        self.error("needs-debuginfo", message).help(help)
    }

    fn keep(&self, found: Found) -> u32 {
        let mut all = self.found.borrow_mut();
        all.push(Rc::new(found));
        all.len() as u32 - 1
    }

    fn found(&self, place: &TargetPlace) -> Option<Rc<Found>> {
        self.found.borrow().get(place.handle as usize).cloned()
    }
}

impl TargetVars for KernelTarget {
    fn places(&self, query: &Query) -> Result<Vec<TargetPlace>, Diagnostic> {
        self.find_places(query)
    }

    fn unchecked(&self, query: &Query) -> Option<String> {
        self.unchecked_file(query)
    }

    fn similar(&self, query: &Query) -> Vec<String> {
        self.similar_names(query)
    }

    fn variable(
        &self,
        context: PlaceContext,
        var: &ast::TargetVar,
        operands: &[hir::Expr],
        access: Access,
    ) -> Result<hir::Expr, Diagnostic> {
        let same_everywhere = matches!(var.base, ast::TargetBase::Name(_))
            && match context.at.and_then(|at| self.found(at)).as_deref() {
                None | Some(Found::Opaque | Found::Syscall { .. }) => true,
                Some(Found::Function { .. } | Found::Debug(_) | Found::Tracepoint { .. }) => false,
            };
        if !same_everywhere {
            self.asked.set(true);
        }
        self.make_variable(context, var, operands, access).map_err(|d| {
            if d.span.is_none() {
                d.at(var.span)
            } else {
                d
            }
        })
    }

    fn frame(&self, at: &TargetPlace, span: Span) -> Option<Frame> {
        match &*self.found(at)? {
            Found::Debug(place) => self.debug_frame(place, span),
            _ => None,
        }
    }

    fn variables(&self, at: &TargetPlace) -> Vec<ListedVariable> {
        self.list_variables(at)
    }

    fn constant(&self, name: &str) -> Option<i64> {
        self.asked.set(true);
        if name == "HZ" {
            return self.kernel.config("CONFIG_HZ")?.parse().ok();
        }
        let btf = self.kernel.btf().ok()?;
        (1..btf.count()).find_map(|id| {
            let raw = btf.raw(id).ok()??;
            if raw.kind != kind::ENUM && raw.kind != kind::ENUM64 {
                return None;
            }
            let ty = crate::target::ctype::TypeRef(id.into());
            btf.enumerators(ty).ok()?.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v)
        })
    }
}

/// An integer expression at a place in the script.
fn long(kind: hir::ExprKind, span: Span) -> hir::Expr {
    hir::Expr { kind, ty: hir::Ty::Long, span }
}

/// The names nearest to one that is not there; at most `most` of them.
fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>, most: usize) -> Vec<String> {
    let limit = (name.len() / 2).clamp(1, 4);
    let mut scored: Vec<(usize, &str)> = all
        .filter(|n| n.len().abs_diff(name.len()) <= limit)
        .filter_map(|n| distance(name.as_bytes(), n.as_bytes(), limit).map(|d| (d, n)))
        .collect();
    scored.sort();
    scored.dedup();
    scored.into_iter().take(most).map(|(_, n)| n.to_owned()).collect()
}

/// Edits between two names (Levenshtein), `None` above the limit.
fn distance(a: &[u8], b: &[u8], limit: usize) -> Option<usize> {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        let mut least = row[0];
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
            least = least.min(row[j + 1]);
        }
        if least > limit {
            return None;
        }
    }
    Some(row[b.len()]).filter(|d| *d <= limit)
}
