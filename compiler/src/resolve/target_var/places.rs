//! Where the probe points of the kernel families are.
//!
//! In: a [`Query`]. Out: the places it names. A function without a pattern is
//! looked up in BTF and, if it is not there, in the symbol list (a clone such
//! as `f.isra.0` counts as `f`). Patterns go over what ftrace can hook, else
//! over the symbol list, else over BTF.

use super::{nearest, Found, KernelTarget};
use crate::diag::Diagnostic;
use crate::resolve::target_api::{Query, Spec, TargetPlace, Variant};
use crate::target::btf::{kind, Btf};
use crate::target::symbols::{Behind, Symbol};
use crate::target::{glob, syscalls, tracepoints};
use crate::types::hir::Place;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Ends that the compiler gives to clones of a function, in order of preference.
const CLONE_MARKS: [&str; 3] = [".isra.", ".constprop.", ".part."];

impl KernelTarget {
    pub(super) fn find_places(&self, query: &Query) -> Result<Vec<TargetPlace>, Diagnostic> {
        match query {
            Query::Function { module, spec, variant } => self.functions(module.as_deref(), spec, variant),
            Query::Statement { module, spec: Spec::Address(a), absolute, .. } => {
                let known = match absolute {
                    true => None,
                    false => self.debug_address(module.as_deref(), *a, true, &Variant::Plain)?,
                };
                Ok(known.unwrap_or_else(|| {
                    vec![self
                        .absolute(*a, format!("{}.statement({a:#x}).absolute", family(module.as_deref())))]
                }))
            }
            Query::Statement { module, spec: Spec::Pattern(p), nearest, .. } => {
                if let Some(found) = self.debug_statements(module.as_deref(), p, *nearest)? {
                    return Ok(found);
                }
                let plain = p.split_once('@').is_none();
                if plain {
                    let found =
                        self.functions(module.as_deref(), &Spec::Pattern(p.clone()), &Variant::Plain)?;
                    return Ok(found
                        .into_iter()
                        .map(|mut t| {
                            t.pp = format!("{}.statement(\"{}\")", family(module.as_deref()), t.name);
                            t
                        })
                        .collect());
                }
                Err(self.needs_debuginfo(format!("where the line of '{p}' is cannot be told from BTF")))
            }
            Query::Kprobe { module, symbol, variant } => self.kprobes(module.as_deref(), symbol, variant),
            Query::KprobeStatement { address } => {
                Ok(vec![self.absolute(*address, format!("kprobe.statement({address:#x}).absolute"))])
            }
            Query::Tracepoint { pattern } => self.tracepoints(pattern),
            Query::Syscall { name, compat, ret } => Ok(self.syscalls(name, *compat, *ret)),
        }
    }

    fn absolute(&self, address: u64, pp: String) -> TargetPlace {
        let place = Place::Function {
            symbol: String::new(),
            module: None,
            offset: 0,
            entry: false,
            absolute: Some(address),
        };
        TargetPlace {
            place,
            pp,
            name: format!("{address:#x}"),
            handle: self.keep(Found::Opaque),
            entry: None,
            called: None,
        }
    }

    /// Modules that a pattern names.
    fn modules_like(&self, pattern: &str) -> Vec<String> {
        let mut names = self.kernel.modules();
        if !self.kernel.is_running() {
            names = self.files.module_names(pattern);
        }
        names.retain(|n| glob::matches(&pattern.replace('-', "_"), n));
        names
    }

    /// The file in `f@file` where only debuginfo could tell whether the function is in it.
    pub(super) fn unchecked_file(&self, query: &Query) -> Option<String> {
        let Query::Function { module, spec: Spec::Pattern(pattern), .. } = query else { return None };
        let (_, file) = pattern.split_once('@')?;
        if file.bytes().all(|b| b == b'*') {
            return None;
        }
        let known = |m: Option<&str>| self.debuginfo(m).is_some();
        let checked = match module.as_deref() {
            Some(m) if glob::is_pattern(m) => self.modules_like(m).iter().all(|m| known(Some(m))),
            m => known(m),
        };
        let package = self.kernel.debuginfo_package();
        (!checked).then(|| {
            format!("the file in '{pattern}' is not checked: that needs debuginfo, package {package}")
        })
    }

    fn functions(
        &self,
        module: Option<&str>,
        spec: &Spec,
        variant: &Variant,
    ) -> Result<Vec<TargetPlace>, Diagnostic> {
        let pattern = match spec {
            Spec::Address(a) => {
                if let Some(found) = self.debug_address(module, *a, false, variant)? {
                    return Ok(found);
                }
                return Ok(vec![self.absolute(*a, format!("{}.function({a:#x})", family(module)))]);
            }
            Spec::Pattern(p) => p,
        };
        if let Some(m) = module.filter(|m| glob::is_pattern(m)) {
            let mut out = Vec::new();
            for name in self.modules_like(m) {
                out.extend(self.functions(Some(&name), spec, variant)?);
            }
            return Ok(out);
        }
        // patterns over the whole kernel are quicker and surer by what ftrace can hook
        let listed = || self.symbols.of_kernel(&self.kernel).is_some() || self.kernel.btf().is_ok();
        let vast = module.is_none() && glob::is_pattern(pattern) && !pattern.contains('@') && listed();
        let by_symbol =
            matches!(variant, Variant::Plain | Variant::Call | Variant::Exported | Variant::Return { .. });
        if !(vast && by_symbol) {
            if let Some(found) = self.debug_functions(module, pattern, variant)? {
                if !found.is_empty() || !by_symbol || pattern.contains('@') {
                    return Ok(found);
                }
                // assembler has symbols and no debuginfo
            }
        }
        match variant {
            Variant::Inline => return Err(self.needs_debuginfo("BTF does not know of inlined instances")),
            Variant::Label(l) => {
                return Err(self.needs_debuginfo(format!("BTF does not know the label '{l}'")))
            }
            Variant::Callee { .. } => return Err(self.needs_debuginfo("BTF does not know who calls whom")),
            Variant::Plain | Variant::Call | Variant::Exported | Variant::Return { .. } => {}
        }
        // `f@file`: one function of that name needs no check, several or a pattern do
        let (name, file) = match pattern.split_once('@') {
            Some((n, f)) => (n, Some(f)),
            None => (pattern.as_str(), None),
        };
        if let Some(file) = file {
            let vague = glob::is_pattern(name) || file.contains([':', '+']);
            if vague || file.is_empty() {
                return Err(self
                    .needs_debuginfo(format!("which functions '{pattern}' names cannot be told from BTF")));
            }
        }
        let mut names = self.function_names(name, module)?;
        if *variant == Variant::Exported {
            if let Some(table) = self.symbols.all(&self.kernel) {
                // other files can call what symbol tables write in capitals
                let of_all: HashSet<(&str, Option<&str>)> = table
                    .iter()
                    .filter(|s| s.is_function() && s.letter.is_uppercase())
                    .map(|s| (s.name, s.module))
                    .collect();
                names.retain(|(n, m)| of_all.contains(&(n.as_str(), m.as_deref())));
            }
        }
        // As with debuginfo, a pattern means the functions that are described: not cold parts of
        // functions, nor what is written in assembler. A function's own name reaches those.
        let described_only = glob::is_pattern(name) && self.btf().is_ok();
        let described: Vec<_> = names
            .into_iter()
            .map(|(n, m)| (self.types_of(&n, m.as_deref()), n, m))
            .filter(|(btf, ..)| btf.is_some() || !described_only)
            .collect();
        let all: Vec<(&str, Option<&str>)> =
            described.iter().map(|(_, n, m)| (n.as_str(), m.as_deref())).collect();
        let namesakes = self.namesakes(&all);
        let mut out = Vec::new();
        if vast && *variant == Variant::Plain {
            // where debuginfo is there, instances that were inlined are meant as well
            for mut place in self.debug_functions(module, pattern, &Variant::Inline)?.unwrap_or_default() {
                place.pp.truncate(place.pp.len() - ".inline".len());
                out.push(place);
            }
        }
        for (btf, n, m) in described {
            match namesakes.get(&(n.clone(), m.clone())) {
                Some(several) => {
                    out.extend(
                        several
                            .iter()
                            .map(|at| self.function(n.clone(), m.clone(), at.clone(), btf.clone(), variant)),
                    );
                }
                None => {
                    let at = Behind { symbol: n.clone(), offset: 0 };
                    out.push(self.function(n, m, at, btf, variant));
                }
            }
        }
        Ok(out)
    }

    /// Where the functions are whose name several have; all of them are meant.
    fn namesakes(&self, names: &[(&str, Option<&str>)]) -> HashMap<(String, Option<String>), Vec<Behind>> {
        let mut out = HashMap::new();
        let mut modules: Vec<Option<&str>> = names.iter().map(|(_, m)| *m).collect();
        modules.sort_unstable();
        modules.dedup();
        for module in modules {
            let table = match module {
                None => self.symbols.of_kernel(&self.kernel),
                Some(_) => self.symbols.all(&self.kernel),
            };
            let Some(table) = table else { continue };
            let of_it: Vec<&str> = names.iter().filter(|(_, m)| *m == module).map(|(n, _)| *n).collect();
            // one name is looked up; to look at all symbols takes longer
            if let [one] = of_it[..] {
                let own = |s: &Symbol| s.is_function() && s.module == module;
                if table.named(one).filter(own).count() < 2 {
                    continue;
                }
            }
            for (name, at) in table.namesakes(&of_it, module) {
                out.insert((name.to_owned(), module.map(str::to_owned)), at);
            }
        }
        out
    }

    /// Symbol and module of each function that the pattern names.
    fn function_names(
        &self,
        pattern: &str,
        module: Option<&str>,
    ) -> Result<Vec<(String, Option<String>)>, Diagnostic> {
        if let Some(m) = module.filter(|m| !glob::is_pattern(m)) {
            if self.kernel.is_running() && self.module_btf(m).is_none() && !self.is_loaded(m) {
                return Err(self
                    .error("no-module", format!("module '{m}' is not loaded"))
                    .help("load it first (modprobe): its functions have no addresses before"));
            }
        }
        if glob::is_pattern(pattern) || module.is_some_and(glob::is_pattern) {
            if let Some(found) = self.symbols.matching(&self.kernel, pattern, module) {
                return Ok(found);
            }
            let btf = match module {
                None => self.btf()?,
                Some(m) => match self.module_btf(m) {
                    Some(b) => b,
                    None => return Ok(Vec::new()),
                },
            };
            let mut names: Vec<String> =
                btf.function_names().filter(|n| glob::matches(pattern, n)).map(str::to_owned).collect();
            names.sort();
            names.dedup();
            return Ok(names.into_iter().map(|n| (n, module.map(str::to_owned))).collect());
        }
        let owned = |n: &str| vec![(n.to_owned(), module.map(|m| m.replace('-', "_")))];
        if self.has_btf_function(pattern, module) {
            return Ok(owned(pattern));
        }
        let list = match module {
            None => self.symbols.of_kernel(&self.kernel),
            Some(_) => self.symbols.all(&self.kernel),
        };
        let Some(table) = list else {
            // no list at all: BTF is the only judge
            self.btf()?;
            return Ok(Vec::new());
        };
        let wanted = module.map(|m| m.replace('-', "_"));
        if table.named(pattern).any(|s| s.is_function() && s.module == wanted.as_deref()) {
            return Ok(owned(pattern));
        }
        for mark in CLONE_MARKS {
            let clone = table.iter().find(|s| {
                s.is_function()
                    && s.module == wanted.as_deref()
                    && s.name.strip_prefix(pattern).is_some_and(|rest| rest.starts_with(mark))
                    && !s.name.contains(".cold")
            });
            if let Some(s) = clone {
                return Ok(owned(s.name));
            }
        }
        Ok(Vec::new())
    }

    fn is_loaded(&self, module: &str) -> bool {
        let module = module.replace('-', "_");
        self.kernel.modules().contains(&module)
    }

    fn types_of(&self, symbol: &str, module: Option<&str>) -> Option<Arc<Btf>> {
        let btf = match module {
            None => self.kernel.btf().ok()?,
            Some(m) => self.module_btf(m)?,
        };
        own_function(&btf, symbol, module.is_some()).then_some(btf)
    }

    fn has_btf_function(&self, name: &str, module: Option<&str>) -> bool {
        self.types_of(name, module).is_some()
    }

    fn function(
        &self,
        symbol: String,
        module: Option<String>,
        at: Behind,
        btf: Option<Arc<Btf>>,
        variant: &Variant,
    ) -> TargetPlace {
        let family = family(module.as_deref());
        // clones are named by their function
        let name = symbol.split('.').next().unwrap_or(&symbol).to_owned();
        let entry = |btf: Option<Arc<Btf>>| TargetPlace {
            place: Place::Function {
                symbol: at.symbol.clone(),
                module: module.clone(),
                offset: at.offset,
                entry: true,
                absolute: None,
            },
            pp: match variant {
                Variant::Exported => format!("{family}.function(\"{name}\").exported"),
                _ => format!("{family}.function(\"{name}\").call"),
            },
            name: name.clone(),
            handle: self.keep(Found::Function {
                symbol: symbol.clone(),
                module: module.clone(),
                btf,
                returns: false,
            }),
            entry: None,
            called: None,
        };
        let Variant::Return { maxactive } = variant else {
            return entry(btf);
        };
        TargetPlace {
            place: Place::Return {
                symbol: at.symbol.clone(),
                module: module.clone(),
                offset: at.offset,
                maxactive: *maxactive,
            },
            pp: match maxactive {
                Some(n) => format!("{family}.function(\"{name}\").return.maxactive({n})"),
                None => format!("{family}.function(\"{name}\").return"),
            },
            name: name.clone(),
            entry: Some(Box::new(entry(btf.clone()))),
            called: None,
            handle: self.keep(Found::Function { symbol, module, btf, returns: true }),
        }
    }

    fn kprobes(
        &self,
        module: Option<&str>,
        symbol: &str,
        variant: &Variant,
    ) -> Result<Vec<TargetPlace>, Diagnostic> {
        let names = self.function_names(symbol, module)?;
        Ok(names
            .into_iter()
            .map(|(symbol, module)| {
                let family = match &module {
                    None => "kprobe".to_owned(),
                    Some(m) => format!("kprobe.module(\"{m}\")"),
                };
                let (place, suffix) = match variant {
                    Variant::Return { maxactive } => (
                        Place::Return { symbol: symbol.clone(), module, offset: 0, maxactive: *maxactive },
                        match maxactive {
                            Some(n) => format!(".return.maxactive({n})"),
                            None => ".return".into(),
                        },
                    ),
                    _ => (
                        Place::Function {
                            symbol: symbol.clone(),
                            module,
                            offset: 0,
                            entry: true,
                            absolute: None,
                        },
                        String::new(),
                    ),
                };
                TargetPlace {
                    place,
                    pp: format!("{family}.function(\"{symbol}\"){suffix}"),
                    handle: self.keep(Found::Opaque),
                    name: symbol,
                    entry: None,
                    called: None,
                }
            })
            .collect())
    }

    fn tracepoints(&self, pattern: &str) -> Result<Vec<TargetPlace>, Diagnostic> {
        // names are unique without the system, a directory of tracefs, which may not be known
        let (system, name) = pattern.split_once(':').unwrap_or(("*", pattern));
        let other = |n: &String| {
            system != "*" && self.kernel.system_of_event(n).is_some_and(|s| !glob::matches(system, &s))
        };
        let btf = self.btf()?;
        let mut out: Vec<TargetPlace> =
            tracepoints::matching(&btf, name).into_iter().filter_map(|n| self.tracepoint(n, &btf)).collect();
        if out.is_empty() || glob::is_pattern(name) {
            for m in self.kernel.modules() {
                let Some(btf) = self.module_btf(&m) else { continue };
                for n in tracepoints::matching(&btf, name) {
                    if !out.iter().any(|t| t.name == n) {
                        out.extend(self.tracepoint(n, &btf));
                    }
                }
            }
        }
        out.retain(|t| !other(&t.name));
        if system != "*" && !glob::is_pattern(system) {
            out.iter_mut().for_each(|t| t.pp = format!("kernel.trace(\"{system}:{}\")", t.name));
        }
        Ok(out)
    }

    fn tracepoint(&self, name: String, btf: &Arc<Btf>) -> Option<TargetPlace> {
        let sig = tracepoints::arguments(btf, &name).ok()??;
        let args = u8::try_from(sig.params.len()).ok()?;
        Some(TargetPlace {
            place: Place::Tracepoint { name: name.clone(), args },
            pp: format!("kernel.trace(\"{name}\")"),
            handle: self.keep(Found::Tracepoint { name: name.clone(), btf: btf.clone() }),
            name,
            entry: None,
            called: None,
        })
    }

    fn syscalls(&self, pattern: &str, compat: bool, ret: bool) -> Vec<TargetPlace> {
        let at = |call: Option<&'static syscalls::Syscall>, name: &str, nr: Option<u32>, ret: bool| {
            let suffix = match (compat, ret) {
                (false, false) => "",
                (false, true) => ".return",
                (true, false) => ".compat",
                (true, true) => ".compat.return",
            };
            TargetPlace {
                place: match ret {
                    false => Place::SyscallEnter { nr, compat },
                    true => Place::SyscallExit { nr, compat },
                },
                pp: format!("__syscall(\"{name}\"){suffix}"),
                name: name.to_owned(),
                handle: self.keep(Found::Syscall { call, compat, returns: ret }),
                entry: None,
                called: None,
            }
        };
        let one = |call, name: &str, nr| TargetPlace {
            entry: ret.then(|| Box::new(at(call, name, nr, false))),
            ..at(call, name, nr, ret)
        };
        if pattern == "*" {
            return vec![one(None, "*", None)];
        }
        syscalls::matching(pattern)
            .filter_map(|s| Some(one(Some(s), s.name, Some(s.number(compat)?))))
            .collect()
    }

    pub(super) fn similar_names(&self, query: &Query) -> Vec<String> {
        let known = self.debug_similar(query);
        if !known.is_empty() {
            return known;
        }
        match query {
            Query::Function { module: None, spec: Spec::Pattern(p), .. }
            | Query::Statement { module: None, spec: Spec::Pattern(p), .. }
            | Query::Kprobe { module: None, symbol: p, .. } => {
                let name = p.split('@').next().unwrap_or(p);
                self.kernel.btf().map_or(Vec::new(), |b| nearest(name, b.function_names(), 5))
            }
            Query::Tracepoint { pattern } => {
                let name = pattern.split_once(':').map_or(pattern.as_str(), |(_, n)| n);
                let Ok(btf) = self.kernel.btf() else { return Vec::new() };
                let all = tracepoints::matching(&btf, "*");
                nearest(name, all.iter().map(String::as_str), 5)
            }
            Query::Syscall { name, .. } => nearest(name, syscalls::all().iter().map(|s| s.name), 5),
            Query::Function { module: Some(m), spec: Spec::Pattern(p), .. } => {
                self.module_btf(m).map_or(Vec::new(), |b| nearest(p, b.function_names(), 5))
            }
            _ => Vec::new(),
        }
    }
}

/// Is the function described here (for a module: in its own part)?
fn own_function(btf: &Btf, name: &str, own: bool) -> bool {
    btf.find_all(name, kind::FUNC).into_iter().any(|id| !own || id >= btf.first_own())
}

pub(super) fn family(module: Option<&str>) -> String {
    match module {
        None => "kernel".into(),
        Some(m) => format!("module(\"{m}\")"),
    }
}
