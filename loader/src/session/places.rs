//! Places to numbers: where the probes of an image are on this machine. In:
//! places that name symbols, the kernel's symbol table. Out: what the flat
//! image wants. Attaches nothing.

use std::collections::{HashMap, HashSet};
use stp_compiler::bytecode::{Image, ResolvedPlace};
use stp_compiler::target::symbols::{Symbol, Table};
use stp_compiler::types::hir::Place;
use stp_vm::flat::kind;

/// What can't be found on this machine; one line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Unresolved(pub Vec<String>);

/// Addresses of the symbols that an image names.
#[derive(Debug, Default)]
pub struct Addresses {
    of: HashMap<(String, Option<String>), u64>,
}

/// The symbol that a place names, if it names one.
fn symbol(place: &Place) -> Option<(&str, Option<&str>)> {
    match place {
        Place::Function { symbol, module, absolute: None, .. } | Place::Return { symbol, module, .. } => {
            Some((symbol, module.as_deref()))
        }
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
        )
    };
    image.probes.iter().find(|p| !hosted(&p.at)).map(|p| p.pp.as_str())
}

/// Does the image name symbols, so that [`Addresses::find`] needs a table?
pub fn needs_symbols(image: &Image) -> bool {
    image.probes.iter().any(|p| symbol(&p.at).is_some())
}

impl Addresses {
    /// Looks up all symbols of an image in one go. Optional probes may fail.
    pub fn find(image: &Image, table: &Table) -> Result<Addresses, Unresolved> {
        let mut found: HashMap<(&str, Option<&str>), Vec<u64>> = HashMap::new();
        for p in &image.probes {
            if let Some(key) = symbol(&p.at) {
                found.entry(key).or_default();
            }
        }
        let names: HashSet<&str> = found.keys().map(|(name, _)| *name).collect();
        let candidates: Box<dyn Iterator<Item = Symbol<'_>>> = if names.len() <= 4 {
            Box::new(names.into_iter().flat_map(|n| table.named(n)))
        } else {
            Box::new(table.iter())
        };
        for s in candidates.filter(|s| s.is_function()) {
            if let Some(v) = found.get_mut(&(s.name, s.module)) {
                if !v.contains(&s.address) {
                    v.push(s.address);
                }
            }
        }
        let mut wrong = Vec::new();
        let mut of = HashMap::new();
        for p in &image.probes {
            let Some((name, module)) = symbol(&p.at) else { continue };
            let place = module.map_or("the kernel".to_string(), |m| format!("module {m}"));
            let problem = match found[&(name, module)].as_slice() {
                [0] => Some(
                    "the addresses of kernel symbols are hidden from this user (sysctl kernel.kptr_restrict)"
                        .to_string(),
                ),
                [address] => {
                    of.insert((name.to_string(), module.map(str::to_string)), *address);
                    None
                }
                [] => Some(format!("no function '{name}' in {place}")),
                many => Some(format!("{} functions of {place} have the name '{name}'", many.len())),
            };
            if let (Some(text), false) = (problem, p.optional) {
                let line = format!("{}: {text}", p.pp);
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
        let of = |name: &str, module: &Option<String>| {
            self.of.get(&(name.to_string(), module.clone())).copied().unwrap_or(0)
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
            Place::Function { symbol, absolute: Some(address), offset, .. } => ResolvedPlace {
                addr: address.wrapping_add(*offset),
                name: symbol.clone(),
                ..kind_arg(kind::KPROBE, 0)
            },
            Place::Function { symbol, module, offset, absolute: None } => {
                let addr = of(symbol, module);
                let (kind, addr) = if *offset == 0 {
                    (kind::FENTRY, addr)
                } else {
                    (kind::KPROBE, addr.wrapping_add(*offset))
                };
                ResolvedPlace { addr, name: symbol.clone(), ..kind_arg(kind, 0) }
            }
            Place::Return { symbol, module, maxactive } => ResolvedPlace {
                addr: of(symbol, module),
                name: symbol.clone(),
                ..kind_arg(kind::FRETURN, maxactive.unwrap_or(0).into())
            },
            Place::Tracepoint { name, args } => {
                ResolvedPlace { name: name.clone(), ..kind_arg(kind::TRACE, i64::from(*args)) }
            }
            Place::SyscallEnter { nr, compat } => syscall(kind::SYSENTER, *nr, *compat),
            Place::SyscallExit { nr, compat } => syscall(kind::SYSEXIT, *nr, *compat),
        }
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
    fn optional_probes_may_be_missing() {
        assert_eq!(find(&[("gone", None, true), ("vfs_read", None, true)]), Ok(vec![0, 0xffffffff81000010]));
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
        let s = a.resolve(&Place::SyscallExit { nr: None, compat: true });
        assert_eq!((s.kind, s.arg, s.arg2), (kind::SYSEXIT, -1, 1));
    }
}
