//! Probe points in debuginfo.
//!
//! In: a pattern, a suffix, open debuginfo. Out: places as symbol and offset,
//! so that an image outlives a reboot, each with the scope of its variables.

use super::debug::{debug_trouble, DebugPlace};
use super::{Found, KernelTarget};
use crate::diag::Diagnostic;
use crate::resolve::target_api::{Called, Callees, Query, ReturnAddress, Spec, TargetPlace, Variant, Way};
use crate::target::dwarf::calls;
use crate::target::dwarf::code::Instance;
use crate::target::dwarf::lines::{path_fits, Lines};
use crate::target::dwarf::statements::Statement;
use crate::target::dwarf::types::Types;
use crate::target::dwarf::Debuginfo;
use crate::types::hir::{Place, SymbolRef};
use std::collections::HashSet;
use std::rc::Rc;

/// Code that is gone when the kernel runs, or that is no function's entry.
const GONE: [&str; 2] = [".init.text", ".head.text"];
/// The kernel itself is never unloaded: it has no need of what modules do then.
const GONE_OF_KERNEL: &str = ".exit.text";

/// The kernel's `arch/x86/kernel/rethook.c`.
const RETURN_TRAMPOLINE: &str = "arch_rethook_trampoline";

/// What a place is asked for.
struct Asked<'a> {
    module: Option<&'a str>,
    info: &'a Rc<Debuginfo>,
}

impl KernelTarget {
    /// Debuginfo of the kernel or of a module, where it is installed.
    pub(super) fn debuginfo(&self, module: Option<&str>) -> Option<Rc<Debuginfo>> {
        match module {
            None => self.files.kernel(&self.kernel),
            Some(m) => self.files.module(&self.kernel, m),
        }
    }

    /// Places of a function pattern. `None`: debuginfo has no part in the answer.
    pub(super) fn debug_functions(
        &self,
        module: Option<&str>,
        pattern: &str,
        variant: &Variant,
    ) -> Result<Option<Vec<TargetPlace>>, Diagnostic> {
        let Some(info) = self.debuginfo(module) else { return Ok(None) };
        let asked = Asked { module, info: &info };
        let (name, rest) = pattern.split_once('@').unwrap_or((pattern, ""));
        let functions = self.named(&asked, name, rest, pattern)?;
        let mut out = Vec::new();
        match variant {
            Variant::Plain => {
                for i in &functions {
                    out.extend(self.debug_entry(&asked, i, "")?);
                }
            }
            Variant::Call | Variant::Exported => {
                let exported = *variant == Variant::Exported;
                for i in functions.iter().filter(|i| !i.inlined) {
                    if !exported || info.is_external(i).map_err(debug_trouble)? {
                        out.extend(self.debug_entry(
                            &asked,
                            i,
                            if exported { ".exported" } else { ".call" },
                        )?);
                    }
                }
            }
            Variant::Inline => {
                for i in functions.iter().filter(|i| i.inlined) {
                    out.extend(self.debug_entry(&asked, i, ".inline")?);
                }
            }
            Variant::Return { maxactive } => {
                for i in functions.iter().filter(|i| !i.inlined) {
                    out.extend(self.debug_return(&asked, i, *maxactive)?);
                }
            }
            Variant::Label(label) => {
                for l in info.labels(&functions, label).map_err(debug_trouble)? {
                    let suffix = format!(".label(\"{}\")", l.label.as_deref().unwrap_or(""));
                    out.extend(self.debug_entry(&asked, &l, &suffix)?);
                }
            }
            Variant::Callee { pattern, depth, which } => {
                let callers: Vec<Instance> = functions.into_iter().filter(|i| !i.inlined).collect();
                out = self.debug_callees(&asked, &callers, pattern, depth.unwrap_or(1), *which)?;
            }
        }
        Ok(Some(out))
    }

    /// Functions called from others, or inlined into them.
    fn debug_callees(
        &self,
        asked: &Asked,
        callers: &[Instance],
        pattern: &str,
        depth: u32,
        which: Callees,
    ) -> Result<Vec<TargetPlace>, Diagnostic> {
        let (name, rest) = pattern.split_once('@').unwrap_or((pattern, ""));
        let Some((file, lines)) = Lines::parse(rest) else { return Err(self.bad_lines(pattern)) };
        let callees = asked.info.callees(callers, name, depth).map_err(debug_trouble)?;
        let mut out = Vec::new();
        for c in &callees.found {
            let i = &c.callee;
            if !(file.is_empty() || path_fits(file, &i.file)) || !self.touched(asked, i, &lines)? {
                continue;
            }
            let (place, suffix) = match which {
                _ if i.inlined && which != Callees::All => continue,
                Callees::Return => (self.debug_return(asked, i, None)?, ".return"),
                Callees::Call => (self.debug_entry(asked, i, ".call")?, ".call"),
                Callees::All => (self.debug_entry(asked, i, "")?, ""),
            };
            let Some(mut place) = place else { continue };
            if !i.inlined {
                let caller = self.pp(asked, "function", &c.caller, c.caller.line);
                let pn = format!("{caller}.callee(\"{}@{}:{}\"){suffix}", i.name, i.file, i.line);
                let ways = c.ways.iter().filter_map(|w| self.way(asked, w)).collect();
                place.called = Some(Box::new(Called { pn, ways }));
            }
            out.push(place);
        }
        if let (true, Some(jump)) = (out.is_empty(), callees.jumps.first()) {
            let text = format!(
                "'{jump}' is reached by a jump only (a tail call), which leaves no trace of its caller"
            );
            return Err(self.error("tail-call", text).help("probe the function itself"));
        }
        Ok(out)
    }

    /// Return addresses as places that the loader can find.
    fn way(&self, asked: &Asked, way: &calls::Way) -> Option<Way> {
        let module = asked.module.map(crate::target::debugfiles::module_name);
        let reference = |pc: &u64| {
            let (symbol, offset) = asked.info.anchor(*pc)?;
            let offset = i64::try_from(offset).ok()?;
            Some(SymbolRef { symbol: symbol.to_owned(), module: module.clone(), offset, data: false })
        };
        let step = |(at, returns): &(i64, Vec<u64>)| {
            let at = if *at == 0 { ReturnAddress::Own } else { ReturnAddress::Stack(*at) };
            let mut known = returns.iter().map(reference).collect::<Option<Vec<_>>>()?;
            if at != ReturnAddress::Own {
                known.extend(self.return_trampoline());
            }
            Some((at, known))
        };
        way.iter().map(step).collect()
    }

    /// What stands in the place of a return address while a return probe waits for the function:
    /// who called it cannot be told then, and is not asked.
    fn return_trampoline(&self) -> Option<SymbolRef> {
        let symbols = self.symbols.of_kernel(&self.kernel)?;
        let found = symbols.named(RETURN_TRAMPOLINE).find(|s| s.is_function() && s.module.is_none())?;
        Some(SymbolRef { symbol: found.name.to_owned(), module: None, offset: 0, data: false })
    }

    /// Functions and instances of a name, declared in a file.
    fn in_file(&self, asked: &Asked, name: &str, file: &str) -> Result<Vec<Instance>, Diagnostic> {
        let found = asked.info.instances_of(name, (!file.is_empty()).then_some(file));
        let mut found = found.map_err(debug_trouble)?;
        let here = |pc: u64| {
            let section = asked.info.loaded().iter().find(|s| s.address <= pc && pc < s.address + s.size);
            let gone = |s: &str| GONE.contains(&s) || (asked.module.is_none() && s == GONE_OF_KERNEL);
            section.is_some_and(|s| !gone(&s.name))
        };
        found.retain(|i| here(i.pc) && (file.is_empty() || path_fits(file, &i.file)));
        Ok(found)
    }

    /// Functions and instances that `name@rest` means.
    fn named(
        &self,
        asked: &Asked,
        name: &str,
        rest: &str,
        pattern: &str,
    ) -> Result<Vec<Instance>, Diagnostic> {
        let Some((file, lines)) = Lines::parse(rest) else { return Err(self.bad_lines(pattern)) };
        let mut kept = Vec::new();
        for i in self.in_file(asked, name, file)? {
            if self.touched(asked, &i, &lines)? {
                kept.push(i);
            }
        }
        Ok(kept)
    }

    /// Is one of the lines in the function?
    fn touched(&self, asked: &Asked, i: &Instance, lines: &Lines) -> Result<bool, Diagnostic> {
        if *lines == Lines::Declared {
            return Ok(true);
        }
        let span = asked.info.line_span(i).map_err(debug_trouble)?;
        Ok(span.is_some_and(|(from, to)| lines.touch(i.line, from, to)))
    }

    fn bad_lines(&self, pattern: &str) -> Diagnostic {
        self.error(
            "probe-point-lines",
            format!("the lines of '{pattern}' are not FILE:LINE, FILE:FROM-TO, FILE:* or FILE+N"),
        )
    }

    fn family(asked: &Asked) -> String {
        super::places::family(asked.module)
    }

    fn pp(&self, asked: &Asked, what: &str, i: &Instance, line: u64) -> String {
        format!("{}.{what}(\"{}@{}:{line}\")", Self::family(asked), i.name, i.file)
    }

    /// The symbol and offset of an address.
    fn place(&self, asked: &Asked, pc: u64) -> Option<Place> {
        let (symbol, offset) = asked.info.anchor(pc)?;
        let module = asked.module.map(crate::target::debugfiles::module_name);
        let entry = offset == 0 || asked.info.function_at(pc).ok().flatten().is_some_and(|f| f.pc == pc);
        Some(Place::Function { symbol: symbol.to_owned(), module, offset, entry, absolute: None })
    }

    fn scoped(
        &self,
        asked: &Asked,
        i: &Instance,
        pc: u64,
        innermost: bool,
        returns: bool,
    ) -> Result<DebugPlace, Diagnostic> {
        let scope = asked.info.scope(i.die, pc, innermost).map_err(debug_trouble)?;
        // an inlined instance and a label may be there as well
        let function = asked.info.entry_of(scope.at.function).map_err(debug_trouble)?;
        let entry = function.is_some_and(|f| f.pc == pc);
        let home = Some(scope.die);
        let kernel = self.kernel.btf().ok();
        Ok(DebugPlace {
            types: Types { info: asked.info.clone(), home, kernel },
            scope,
            name: i.name.clone(),
            module: asked.module.map(str::to_owned),
            entry,
            returns,
        })
    }

    fn debug_entry(
        &self,
        asked: &Asked,
        i: &Instance,
        suffix: &str,
    ) -> Result<Option<TargetPlace>, Diagnostic> {
        let pc = match i.label {
            Some(_) => i.pc,
            None => asked.info.body_pc(i).map_err(debug_trouble)?,
        };
        let Some(place) = self.place(asked, pc) else { return Ok(None) };
        let scoped = self.scoped(asked, i, pc, false, false)?;
        Ok(Some(TargetPlace {
            place,
            pp: format!("{}{suffix}", self.pp(asked, "function", i, i.line)),
            name: i.name.clone(),
            handle: self.keep(Found::Debug(scoped)),
            entry: None,
            called: None,
        }))
    }

    /// The first instruction of a function, for what is kept there.
    pub(super) fn debug_entry_of(
        &self,
        module: Option<&str>,
        info: &Rc<Debuginfo>,
        function: &Instance,
    ) -> Option<TargetPlace> {
        let asked = Asked { module, info };
        let place = self.place(&asked, function.pc)?;
        let scoped = self.scoped(&asked, function, function.pc, false, false).ok()?;
        Some(TargetPlace {
            place,
            pp: format!("{}.call", self.pp(&asked, "function", function, function.line)),
            name: function.name.clone(),
            handle: self.keep(Found::Debug(scoped)),
            entry: None,
            called: None,
        })
    }

    fn debug_return(
        &self,
        asked: &Asked,
        i: &Instance,
        maxactive: Option<u32>,
    ) -> Result<Option<TargetPlace>, Diagnostic> {
        let suffix = match maxactive {
            Some(n) => format!(".return.maxactive({n})"),
            None => ".return".to_owned(),
        };
        let (Some(mut entry), Some((symbol, offset))) =
            (self.debug_entry(asked, i, "")?, asked.info.anchor(i.pc))
        else {
            return Ok(None);
        };
        // the function's first instruction, where the arguments are
        if let Some(place) = self.place(asked, i.pc) {
            entry.place = place;
            entry.handle = self.keep(Found::Debug(self.scoped(asked, i, i.pc, false, false)?));
        }
        let module = asked.module.map(crate::target::debugfiles::module_name);
        Ok(Some(TargetPlace {
            place: Place::Return { symbol: symbol.to_owned(), module, offset, maxactive },
            pp: format!("{}{suffix}", self.pp(asked, "function", i, i.line)),
            name: i.name.clone(),
            handle: self.keep(Found::Debug(self.scoped(asked, i, i.pc, false, true)?)),
            entry: Some(Box::new(entry)),
            called: None,
        }))
    }

    /// `statement("f@file:line")`
    pub(super) fn debug_statements(
        &self,
        module: Option<&str>,
        pattern: &str,
        nearest: bool,
    ) -> Result<Option<Vec<TargetPlace>>, Diagnostic> {
        let Some(info) = self.debuginfo(module) else { return Ok(None) };
        let asked = Asked { module, info: &info };
        let (name, rest) = pattern.split_once('@').unwrap_or((pattern, ""));
        let Some((file, lines)) = Lines::parse(rest) else { return Err(self.bad_lines(pattern)) };
        let functions = self.in_file(&asked, name, file)?;
        let entry = |(n, i): (usize, &Instance)| (n, Statement { pc: i.pc, line: i.line });
        let found = match &lines {
            Lines::Declared => functions.iter().enumerate().map(entry).collect(),
            _ if nearest => self.nearest_of(&asked, &functions, &lines)?,
            _ => info.statements(&functions, &lines).map_err(debug_trouble)?,
        };
        if found.is_empty() && !functions.is_empty() {
            return self.no_lines(&asked, &functions, &lines, rest).map(Some);
        }
        let suffix = if nearest { ".nearest" } else { "" };
        let (mut out, mut seen) = (Vec::new(), HashSet::new());
        for (n, s) in found {
            let i = &functions[n];
            let pp = format!("{}{suffix}", self.pp(&asked, "statement", i, s.line));
            let Some(place) = self.place(&asked, s.pc) else { continue };
            // two instances of one function hold it where that is inlined into itself
            if !seen.insert((s.pc, pp.clone())) {
                continue;
            }
            // the function whose line it is, whatever else was inlined at its address
            let scoped = self.scoped(&asked, i, s.pc, false, false)?;
            out.push(TargetPlace {
                place,
                pp,
                name: i.name.clone(),
                handle: self.keep(Found::Debug(scoped)),
                entry: None,
                called: None,
            });
        }
        Ok(Some(out))
    }

    /// `.nearest`: in the functions in which one of the lines is, once for each address.
    fn nearest_of(
        &self,
        asked: &Asked,
        functions: &[Instance],
        lines: &Lines,
    ) -> Result<Vec<(usize, Statement)>, Diagnostic> {
        let (mut out, mut seen) = (Vec::new(), HashSet::new());
        for (n, i) in functions.iter().enumerate() {
            if self.touched(asked, i, lines)? {
                let found = asked.info.nearest_statements(i, lines).map_err(debug_trouble)?;
                out.extend(found.into_iter().filter(|s| seen.insert(s.pc)).map(|s| (n, s)));
            }
        }
        Ok(out)
    }

    /// None of the lines has code: an error where one of the functions has lines around them, else no
    /// place.
    fn no_lines(
        &self,
        asked: &Asked,
        functions: &[Instance],
        lines: &Lines,
        rest: &str,
    ) -> Result<Vec<TargetPlace>, Diagnostic> {
        let (mut below, mut above, mut touched) = (None, None, false);
        for i in functions {
            if self.touched(asked, i, lines)? {
                let (b, a) = asked.info.neighbours(i, lines).map_err(debug_trouble)?;
                below = below.max(b);
                above = above.into_iter().chain(a).min();
                touched = true;
            }
        }
        if !touched {
            return Ok(Vec::new());
        }
        let near: Vec<String> = [below, above].iter().flatten().map(u64::to_string).collect();
        let near = match near.is_empty() {
            true => "it has no lines with code".to_owned(),
            false => format!("nearest lines with code: {}; .nearest takes the nearest", near.join(", ")),
        };
        Err(self.error("no-line-records", format!("no line records for {rest} ({near})")))
    }

    /// `function(NUMBER)`, `statement(NUMBER)`: an address of the file's own layout.
    pub(super) fn debug_address(
        &self,
        module: Option<&str>,
        address: u64,
        statement: bool,
        variant: &Variant,
    ) -> Result<Option<Vec<TargetPlace>>, Diagnostic> {
        let Some(info) = self.debuginfo(module) else { return Ok(None) };
        let asked = Asked { module, info: &info };
        let Some(function) = info.function_at(address).map_err(debug_trouble)? else { return Ok(None) };
        if !statement {
            return match variant {
                Variant::Return { maxactive } => {
                    self.debug_return(&asked, &function, *maxactive).map(|p| Some(p.into_iter().collect()))
                }
                _ => self.debug_entry(&asked, &function, "").map(|p| Some(p.into_iter().collect())),
            };
        }
        let Some(place) = self.place(&asked, address) else { return Ok(None) };
        let line = info.line_of(address).map_err(debug_trouble)?.map_or(function.line, |l| l.1);
        let scoped = self.scoped(&asked, &function, address, true, false)?;
        Ok(Some(vec![TargetPlace {
            place,
            pp: self.pp(&asked, "statement", &function, line),
            name: function.name.clone(),
            handle: self.keep(Found::Debug(scoped)),
            entry: None,
            called: None,
        }]))
    }

    /// The function of a symbol, for variables that BTF does not know.
    pub(super) fn debug_of_symbol(
        &self,
        symbol: &str,
        module: Option<&str>,
        returns: bool,
    ) -> Option<Rc<DebugPlace>> {
        let info = self.debuginfo(module)?;
        let at = info.symbols().iter().find(|s| s.is_function && s.name == symbol)?.address;
        let function = info.function_at(at).ok()??;
        let asked = Asked { module, info: &info };
        self.scoped(&asked, &function, function.pc, false, returns).ok().map(Rc::new)
    }

    pub(super) fn debug_similar(&self, query: &Query) -> Vec<String> {
        let (module, pattern) = match query {
            Query::Function { module, spec: Spec::Pattern(p), .. }
            | Query::Statement { module, spec: Spec::Pattern(p), .. } => (module.as_deref(), p),
            _ => return Vec::new(),
        };
        let name = pattern.split('@').next().unwrap_or(pattern);
        let Some(info) = self.debuginfo(module) else { return Vec::new() };
        super::nearest(name, info.function_names().into_iter(), 5)
    }
}
