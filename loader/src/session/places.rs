//! Places to numbers: where the probes of an image are on this machine. In:
//! places that name symbols, the kernel's symbol table. Out: what the flat
//! image wants. Attaches nothing.

use std::collections::{HashMap, HashSet};
use stp_compiler::bytecode::{Constant, Image, ResolvedPlace};
use stp_compiler::target::symbols::{Symbol, Table};
use stp_compiler::types::hir::{Period, Place, SymbolRef};
use stp_vm::flat::{kind, PERF_FREQ};

/// `arg2` of [`kind::HWBREAK`].
const DATA_WRITTEN: i64 = 2;
const DATA_ACCESSED: i64 = 3;

/// What can't be found on this machine; one line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Unresolved(pub Vec<String>);

/// What a symbol is to stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    Function,
    Variable,
}

impl What {
    fn is(self, s: &Symbol<'_>) -> bool {
        match self {
            What::Function => s.is_function(),
            What::Variable => s.is_data(),
        }
    }

    fn text(self) -> &'static str {
        match self {
            What::Function => "function",
            What::Variable => "variable",
        }
    }
}

/// Addresses of the symbols that an image names.
#[derive(Debug, Default)]
pub struct Addresses {
    of: HashMap<(What, String, Option<String>), u64>,
}

/// The symbol that a place names, if it names one.
fn symbol(place: &Place) -> Option<(What, &str, Option<&str>)> {
    match place {
        Place::Function { symbol, module, absolute: None, .. } | Place::Return { symbol, module, .. } => {
            Some((What::Function, symbol, module.as_deref()))
        }
        Place::Data { symbol: Some(symbol), module, .. } => Some((What::Variable, symbol, module.as_deref())),
        _ => None,
    }
}

/// Does the script need the kernel's machine? Gives the first probe point that does.
pub fn needs_kernel(image: &Image) -> Option<&str> {
    let hosted = |p: &Place| {
        matches!(
            p,
            Place::Begin { .. }
                | Place::End { .. }
                | Place::Error { .. }
                | Place::Never
                | Place::Timer { .. }
                | Place::Profile { .. }
                | Place::Input { .. }
        )
    };
    image.probes.iter().find(|p| !hosted(&p.at)).map(|p| p.pp.as_str())
}

/// Does the image name symbols, so that [`Addresses::find`] needs a table?
pub fn needs_symbols(image: &Image) -> bool {
    image.probes.iter().any(|p| symbol(&p.at).is_some()) || addresses(image).next().is_some()
}

/// The symbols whose addresses the code uses.
fn addresses(image: &Image) -> impl Iterator<Item = &SymbolRef> {
    image.constants.iter().filter_map(|k| match k {
        Constant::Address(a) => Some(a),
        Constant::Number(_) => None,
    })
}

/// Are all symbols that the image names the kernel's own, none a module's?
pub fn names_no_module(image: &Image) -> bool {
    let of_kernel = |place: &Place| symbol(place).is_none_or(|(_, _, module)| module.is_none());
    image.probes.iter().all(|p| of_kernel(&p.at)) && addresses(image).all(|a| of_kernel(&a.place()))
}

impl Addresses {
    /// Looks up all symbols of an image in one go. Optional probes may fail.
    pub fn find(image: &Image, table: &Table) -> Result<Addresses, Unresolved> {
        let mut found: HashMap<(What, &str, Option<&str>), Vec<u64>> = HashMap::new();
        for p in &image.probes {
            if let Some(key) = symbol(&p.at) {
                found.entry(key).or_default();
            }
        }
        let in_code: Vec<Place> = addresses(image).map(SymbolRef::place).collect();
        for key in in_code.iter().filter_map(symbol) {
            found.entry(key).or_default();
        }
        let names: HashSet<&str> = found.keys().map(|(_, name, _)| *name).collect();
        let candidates: Box<dyn Iterator<Item = Symbol<'_>>> = if names.len() <= 4 {
            Box::new(names.into_iter().flat_map(|n| table.named(n)))
        } else {
            Box::new(table.iter())
        };
        for s in candidates {
            for what in [What::Function, What::Variable].into_iter().filter(|w| w.is(&s)) {
                if let Some(v) = found.get_mut(&(what, s.name, s.module)) {
                    if !v.contains(&s.address) {
                        v.push(s.address);
                    }
                }
            }
        }
        let mut wrong = Vec::new();
        let mut of = HashMap::new();
        let probes = image.probes.iter().map(|p| (&p.at, p.pp.as_str(), p.optional, p.one_of.is_some()));
        let code = in_code.iter().map(|p| (p, "the code", false, false));
        for (at, who, optional, one_of) in probes.chain(code) {
            let Some((what, name, module)) = symbol(at) else { continue };
            let place = module.map_or("the kernel".to_string(), |m| format!("module {m}"));
            let addresses = found[&(what, name, module)].as_slice();
            let problem = match addresses {
                [0] => Some(
                    "the addresses of kernel symbols are hidden from this user (they are for root only, unless kernel.kptr_restrict is 0 and \
                     kernel.perf_event_paranoid at most 1)"
                        .to_string(),
                ),
                [address] => {
                    of.insert((what, name.to_string(), module.map(str::to_string)), *address);
                    None
                }
                [] => Some(format!("no {} '{name}' in {place}", what.text())),
                many => Some(format!("{} {}s of {place} have the name '{name}'", many.len(), what.text())),
            };
            // hidden addresses are all hidden: none of several would be found
            let spared = optional || (one_of && addresses != [0]);
            if let (Some(text), false) = (problem, spared) {
                let line = format!("{who}: {text}");
                if !wrong.contains(&line) {
                    wrong.push(line);
                }
            }
        }
        if wrong.is_empty() {
            Ok(Addresses { of })
        } else {
            Err(Unresolved(wrong))
        }
    }

    /// Numbers of a place. An optional probe whose symbol is not there gets address 0: the machine
    /// refuses to arm it, and counts that.
    pub fn resolve(&self, place: &Place) -> ResolvedPlace {
        let of = |what, name: &str, module: &Option<String>| {
            self.of.get(&(what, name.to_string(), module.clone())).copied().unwrap_or(0)
        };
        let kind_arg = |kind: u16, arg: i64| ResolvedPlace { kind, arg, ..ResolvedPlace::default() };
        match place {
            Place::Begin { priority } => kind_arg(kind::BEGIN, *priority),
            Place::End { priority } => kind_arg(kind::END, *priority),
            Place::Error { priority } => kind_arg(kind::ERROR, *priority),
            Place::Never => kind_arg(kind::NEVER, 0),
            Place::Timer { ns, random_ns } => {
                ResolvedPlace { arg2: *random_ns as i64, ..kind_arg(kind::TIMER, *ns as i64) }
            }
            Place::Profile { hz } => kind_arg(
                kind::PROFILE,
                hz.filter(|hz| *hz > 0).map_or(0, |hz| (1_000_000_000 / hz).max(1) as i64),
            ),
            Place::Perf { event, config, period } => {
                let (arg, flag) = match *period {
                    Period::Events(n) => (n, 0),
                    Period::Hz(n) => (n, PERF_FREQ),
                };
                ResolvedPlace {
                    addr: *config,
                    arg2: i64::from(*event) | flag,
                    ..kind_arg(kind::PERF, i64::try_from(arg).unwrap_or(i64::MAX))
                }
            }
            Place::Data { symbol, module, address, length, write_only } => ResolvedPlace {
                addr: symbol.as_ref().map_or(*address, |s| of(What::Variable, s, module)),
                name: symbol.clone().unwrap_or_default(),
                arg2: if *write_only { DATA_WRITTEN } else { DATA_ACCESSED },
                ..kind_arg(kind::HWBREAK, i64::from(*length))
            },
            Place::Function { symbol, absolute: Some(address), offset, .. } => ResolvedPlace {
                addr: address.wrapping_add(*offset),
                name: symbol.clone(),
                ..kind_arg(kind::KPROBE, 0)
            },
            Place::Function { symbol, module, offset, entry, absolute: None } => {
                let kind = if *entry { kind::FENTRY } else { kind::KPROBE };
                let addr = behind(of(What::Function, symbol, module), *offset);
                ResolvedPlace { addr, name: symbol.clone(), ..kind_arg(kind, 0) }
            }
            Place::Return { symbol, module, offset, maxactive } => ResolvedPlace {
                addr: behind(of(What::Function, symbol, module), *offset),
                name: symbol.clone(),
                ..kind_arg(kind::FRETURN, maxactive.unwrap_or(0).into())
            },
            Place::Tracepoint { name, args } => {
                ResolvedPlace { name: name.clone(), ..kind_arg(kind::TRACE, i64::from(*args)) }
            }
            Place::SyscallEnter { nr, compat } => syscall(kind::SYSENTER, *nr, *compat),
            Place::SyscallExit { nr, compat } => syscall(kind::SYSEXIT, *nr, *compat),
            Place::Procfs { path, write, size, umask } => ResolvedPlace {
                name: path.clone(),
                arg2: i64::from(*umask),
                ..kind_arg(if *write { kind::PROCFS_W } else { kind::PROCFS_R }, i64::from(*size))
            },
            Place::Netfilter { family, hook, priority } => ResolvedPlace {
                addr: u64::from(*hook),
                arg2: i64::from(*family),
                ..kind_arg(kind::NETFILTER, i64::from(*priority))
            },
            Place::Input { line } => kind_arg(kind::INPUT, i64::from(*line)),
        }
    }
}

/// A symbol that is not there stays at 0.
fn behind(symbol: u64, offset: u64) -> u64 {
    if symbol == 0 {
        0
    } else {
        symbol.wrapping_add(offset)
    }
}

fn syscall(kind: u16, nr: Option<u32>, compat: bool) -> ResolvedPlace {
    ResolvedPlace { kind, arg: nr.map_or(-1, i64::from), arg2: i64::from(compat), ..ResolvedPlace::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stp_compiler::bytecode::Probe;

    const KALLSYMS: &str = "ffffffff81000010 T vfs_read\n\
        ffffffff81000100 t twice\n\
        ffffffff81000200 t twice\n\
        ffffffff81000300 D vfs_write\n\
        ffffffffc0000010 t helper\t[ext4]\n";

    fn image(probes: &[(&str, Option<&str>, bool)]) -> Image {
        let mut image = Image::new("t");
        for (symbol, module, optional) in probes {
            let at = Place::Function {
                symbol: symbol.to_string(),
                module: module.map(str::to_string),
                offset: 0,
                entry: true,
                absolute: None,
            };
            image.probes.push(Probe {
                at,
                function: 0,
                condition: None,
                pp: format!("kernel.function(\"{symbol}\")"),
                pn: String::new(),
                label: String::new(),
                optional: *optional,
                one_of: None,
                locks: Vec::new(),
                cost: None,
            });
        }
        image
    }
    fn find(probes: &[(&str, Option<&str>, bool)]) -> Result<Vec<u64>, String> {
        let image = image(probes);
        let table = Table::from_kallsyms(KALLSYMS.to_string());
        let a = Addresses::find(&image, &table).map_err(|e| e.to_string())?;
        Ok(image.probes.iter().map(|p| a.resolve(&p.at).addr).collect())
    }

    #[test]
    fn functions_are_found_in_the_kernel_and_in_modules() {
        let got = find(&[("vfs_read", None, false), ("helper", Some("ext4"), false)]);
        assert_eq!(got, Ok(vec![0xffffffff81000010, 0xffffffffc0000010]));
        assert!(needs_symbols(&image(&[("vfs_read", None, false)])));
        assert_eq!(needs_kernel(&image(&[("vfs_read", None, false)])), Some("kernel.function(\"vfs_read\")"));
    }

    #[test]
    fn what_is_not_there_or_not_unique_is_refused_together() {
        let e =
            find(&[("twice", None, false), ("vfs_write", None, false), ("helper", None, false)]).unwrap_err();
        let lines: Vec<_> = e.lines().collect();
        assert_eq!(lines.len(), 3, "{e}");
        assert!(lines[0].contains("2 functions of the kernel have the name 'twice'"));
        assert!(lines[1].contains("no function 'vfs_write' in the kernel"), "data is no function");
        assert!(lines[2].contains("no function 'helper' in the kernel"));
    }

    #[test]
    fn variables_are_found_as_such() {
        let mut image = image(&[]);
        for symbol in ["vfs_write", "vfs_read"] {
            let mut probe = tests::image(&[(symbol, None, false)]).probes.remove(0);
            probe.at = Place::Data {
                symbol: Some(symbol.into()),
                module: None,
                address: 0,
                length: 1,
                write_only: false,
            };
            image.probes.push(probe);
        }
        let table = Table::from_kallsyms(KALLSYMS.to_string());
        let e = Addresses::find(&image, &table).unwrap_err();
        assert_eq!(e.0.len(), 1, "{e}");
        assert!(e.0[0].contains("no variable 'vfs_read' in the kernel"), "{e}");
        image.probes.pop();
        let p = Addresses::find(&image, &table).unwrap().resolve(&image.probes[0].at);
        assert_eq!((p.kind, p.addr, p.arg, p.arg2), (kind::HWBREAK, 0xffffffff81000300, 1, 3));
    }

    #[test]
    fn a_function_whose_name_is_not_its_own_is_found_behind_another() {
        let mut image = image(&[("vfs_read", None, false)]);
        let symbol = || "vfs_read".to_string();
        image.probes[0].at =
            Place::Function { symbol: symbol(), module: None, offset: 0xf0, entry: true, absolute: None };
        let table = Table::from_kallsyms(KALLSYMS.to_string());
        let a = Addresses::find(&image, &table).unwrap();
        let p = a.resolve(&image.probes[0].at);
        assert_eq!((p.kind, p.addr), (kind::FENTRY, 0xffffffff81000100));
        let p = a.resolve(&Place::Return { symbol: symbol(), module: None, offset: 0x1f0, maxactive: None });
        assert_eq!((p.kind, p.addr), (kind::FRETURN, 0xffffffff81000200));
        let gone = Place::Return { symbol: "gone".into(), module: None, offset: 8, maxactive: None };
        assert_eq!(a.resolve(&gone).addr, 0);
    }

    #[test]
    fn optional_probes_may_be_missing() {
        assert_eq!(find(&[("gone", None, true), ("vfs_read", None, true)]), Ok(vec![0, 0xffffffff81000010]));
    }

    #[test]
    fn addresses_in_the_code_are_those_of_variables_and_functions() {
        let table = Table::from_kallsyms(KALLSYMS.to_string());
        let reference = |symbol: &str, module: Option<&str>, data| SymbolRef {
            symbol: symbol.into(),
            module: module.map(str::to_string),
            offset: 8,
            data,
        };
        let mut image = Image::new("t");
        assert!(!needs_symbols(&image));
        let all = [reference("vfs_write", None, true), reference("helper", Some("ext4"), false)];
        image.constants = all.iter().cloned().map(Constant::Address).collect();
        assert!(needs_symbols(&image));
        let a = Addresses::find(&image, &table).expect("both are there");
        let got: Vec<u64> = all.iter().map(|r| a.resolve(&r.place()).addr).collect();
        assert_eq!(got, [0xffffffff81000300, 0xffffffffc0000010]);
        image.constants.push(Constant::Address(reference("vfs_read", None, true)));
        let e = Addresses::find(&image, &table).unwrap_err().to_string();
        assert!(e.contains("no variable 'vfs_read' in the kernel"), "{e}");
    }

    #[test]
    fn hidden_addresses_are_explained() {
        let image = image(&[("vfs_read", None, false)]);
        let table = Table::from_kallsyms("0000000000000000 T vfs_read\n".to_string());
        assert!(Addresses::find(&image, &table).unwrap_err().to_string().contains("kptr_restrict"));
    }

    #[test]
    fn numbers_of_other_places_follow_the_table_of_kinds() {
        let a = Addresses::default();
        let p = a.resolve(&Place::Timer { ns: 5_000_000, random_ns: 7 });
        assert_eq!((p.kind, p.arg, p.arg2), (kind::TIMER, 5_000_000, 7));
        assert_eq!(a.resolve(&Place::Profile { hz: Some(100) }).arg, 10_000_000);
        assert_eq!(a.resolve(&Place::Profile { hz: None }).arg, 0);
        let e = a.resolve(&Place::Perf { event: 1, config: 5, period: Period::Hz(50) });
        assert_eq!((e.kind, e.addr, e.arg, e.arg2), (kind::PERF, 5, 50, PERF_FREQ | 1));
        let s = a.resolve(&Place::SyscallExit { nr: None, compat: true });
        assert_eq!((s.kind, s.arg, s.arg2), (kind::SYSEXIT, -1, 1));
    }
}
