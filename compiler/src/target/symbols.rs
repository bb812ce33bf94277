//! Names and addresses of functions, from what the traced machine offers.
//!
//! In: `/proc/kallsyms`, `System.map` or tracefs' `available_filter_functions`,
//! kept as the text that they are; of the running kernel's own symbols, which
//! stay what they are until the next boot, the cache holds a copy: the kernel
//! takes far longer to write the list than we to read it. Out: functions by name or by pattern, in the
//! order of the source. A lookup of one name scans the bytes and parses the
//! lines that hold it; nothing is enumerated that no script asked for.

use super::glob;
use super::kernel::{Kernel, KALLSYMS_ENV};
use crate::cache::Cache;
use memchr::memmem;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// One function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol<'a> {
    pub name: &'a str,
    /// 0 where the kernel hides it (not root) or the source has none.
    pub address: u64,
    /// `None`: the kernel itself.
    pub module: Option<&'a str>,
    /// Letter of the symbol table, as in nm(1); `t` for lists of functions only.
    pub letter: char,
}

impl Symbol<'_> {
    /// Code, and not a generated helper that no one may probe.
    pub fn is_function(&self) -> bool {
        self.is_code() && !self.name.starts_with("__cfi_") && !self.name.starts_with("__pfx_")
    }

    /// Code of any kind: what ends the function before it.
    pub fn is_code(&self) -> bool {
        matches!(self.letter, 't' | 'T' | 'w' | 'W' | 'i')
    }

    /// A variable; one that each processor has is an absolute number.
    pub fn is_data(&self) -> bool {
        matches!(self.letter, 'a' | 'A' | 'b' | 'B' | 'd' | 'D' | 'r' | 'R' | 'v' | 'V')
    }
}

/// A list of symbols as its source wrote it.
#[derive(Debug)]
pub struct Table {
    text: String,
    /// Lines begin with address and letter, or are a name and a module only.
    with_address: bool,
}

impl Table {
    /// Text in the format of `/proc/kallsyms` and `System.map`: `ADDRESS LETTER NAME[\t[MODULE]]`.
    pub fn from_kallsyms(text: String) -> Self {
        Self { text, with_address: true }
    }

    /// Text of `available_filter_functions`: `NAME [MODULE]`.
    pub fn from_functions(text: String) -> Self {
        Self { text, with_address: false }
    }

    fn parse<'a>(&self, line: &'a str) -> Option<Symbol<'a>> {
        let (address, letter, rest) = if self.with_address {
            let (addr, rest) = line.split_once(' ')?;
            let mut chars = rest.chars();
            let letter = chars.next()?;
            (u64::from_str_radix(addr, 16).ok()?, letter, chars.as_str().strip_prefix(' ')?)
        } else {
            (0, 't', line)
        };
        let mut words = rest.split([' ', '\t']).filter(|w| !w.is_empty());
        let name = words.next()?;
        let module = words.next().and_then(|m| m.strip_prefix('[')?.strip_suffix(']'));
        Some(Symbol { name, address, module, letter })
    }

    pub fn iter(&self) -> impl Iterator<Item = Symbol<'_>> {
        self.text.lines().filter_map(|l| self.parse(l))
    }

    /// All symbols of exactly this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = Symbol<'a>> + 'a {
        let bytes = self.text.as_bytes();
        memmem::find_iter(bytes, name.as_bytes()).filter_map(move |at| {
            let from = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |n| n + 1);
            let to = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n);
            self.parse(self.text.get(from..to)?).filter(|s| s.name == name)
        })
    }

    /// The symbol at or below an address, and the distance.
    pub fn at(&self, address: u64) -> Option<(Symbol<'_>, u64)> {
        self.iter()
            .filter(|s| s.is_function() && s.address <= address && s.address != 0)
            .max_by_key(|s| s.address)
            .map(|s| (s, address - s.address))
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Of functions that share their name: where each is, as a symbol whose name is its own and the
    /// distance from there. Names that one function has are left out.
    pub fn namesakes<'n>(&self, names: &[&'n str], module: Option<&str>) -> HashMap<&'n str, Vec<Behind>> {
        // what the kernel needed to start is listed, and gone
        let (mut gone_from, mut gone_to) = (u64::MAX, 0);
        let mut functions: Vec<(u64, &str)> = Vec::new();
        for s in self.iter().filter(|s| s.is_function() && s.module == module && s.address != 0) {
            match s.name {
                "_sinittext" => gone_from = s.address,
                "_einittext" => gone_to = s.address,
                _ => functions.push((s.address, s.name)),
            }
        }
        functions.retain(|(at, _)| !(gone_from..gone_to).contains(at));
        functions.sort_unstable();
        functions.dedup();
        let mut count: HashMap<&str, u32> = HashMap::with_capacity(functions.len());
        for (_, name) in &functions {
            *count.entry(name).or_default() += 1;
        }
        let several = |n: &str| count.get(n).is_some_and(|c| *c > 1);
        let wanted: HashMap<&str, &'n str> = names.iter().filter(|n| several(n)).map(|n| (*n, *n)).collect();
        let mut out: HashMap<&'n str, Vec<Behind>> = HashMap::new();
        for (n, (address, name)) in functions.iter().enumerate() {
            let Some(name) = wanted.get(name) else { continue };
            let own = functions[..n].iter().rev().find(|(_, name)| !several(name));
            let Some((from, symbol)) = own else { continue };
            let place = Behind { symbol: (*symbol).to_owned(), offset: address - from };
            out.entry(name).or_default().push(place);
        }
        out
    }
}

/// A place that a symbol leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    pub symbol: String,
    pub offset: u64,
}

/// The symbol lists of one kernel, each read when it is first needed.
#[derive(Debug, Default)]
pub struct Symbols {
    cache: Cache,
    kallsyms: OnceCell<Option<Table>>,
    traceable: OnceCell<Option<Table>>,
    own: OnceCell<Option<Table>>,
    own_traceable: OnceCell<Option<Table>>,
}

/// Where tracefs may be mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

impl Symbols {
    pub fn new(cache: Cache) -> Symbols {
        Symbols { cache, ..Symbols::default() }
    }

    /// The symbols of the kernel itself, those of its modules perhaps as well: for who asks for no module.
    pub fn of_kernel(&self, kernel: &Kernel) -> Option<&Table> {
        if self.kallsyms.get().is_none() {
            let own = self.own.get_or_init(|| {
                let listed = kernel.is_running() && std::env::var_os(KALLSYMS_ENV).is_none();
                let path = listed.then_some("/proc/kallsyms")?;
                self.kept(kernel, "kallsyms", path, has_addresses).map(Table::from_kallsyms)
            });
            if own.is_some() {
                return own.as_ref();
            }
        }
        self.all(kernel)
    }

    /// The part of a list of the running kernel that does not change before the next boot: the
    /// lines without a module.
    fn kept(&self, kernel: &Kernel, name: &str, path: &str, sound: fn(&str) -> bool) -> Option<String> {
        if !self.cache.is_used() {
            return None;
        }
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let key = [kernel.build_id()?.as_slice(), boot.trim().as_bytes()].concat();
        if let Some(text) = self.cache.get(name, &key).and_then(|b| String::from_utf8(b).ok()) {
            return Some(text);
        }
        let own = of_no_module(&fs::read_to_string(path).ok()?);
        if sound(&own) {
            self.cache.put(name, &key, own.as_bytes());
        }
        Some(own)
    }

    /// What ftrace can hook in the kernel itself; as [`Symbols::of_kernel`].
    fn own_traceable(&self, kernel: &Kernel) -> Option<&Table> {
        if self.traceable.get().is_none() && kernel.is_running() {
            let own = self.own_traceable.get_or_init(|| {
                let file = |dir: &str| format!("{dir}/available_filter_functions");
                let path = TRACEFS.into_iter().map(file).find(|f| fs::metadata(f).is_ok())?;
                self.kept(kernel, "traceable", &path, |text| !text.is_empty()).map(Table::from_functions)
            });
            if own.is_some() {
                return own.as_ref();
            }
        }
        self.traceable(kernel)
    }

    /// Every symbol of the kernel and its modules; `None` where no list is at hand.
    pub fn all(&self, kernel: &Kernel) -> Option<&Table> {
        self.kallsyms
            .get_or_init(|| {
                let mut places: Vec<PathBuf> =
                    std::env::var_os(KALLSYMS_ENV).into_iter().map(Into::into).collect();
                if kernel.is_running() && places.is_empty() {
                    places.push("/proc/kallsyms".into());
                }
                for name in ["/boot/System.map-", "/usr/lib/debug/boot/System.map-"] {
                    places.push(kernel.path(&format!("{name}{}", kernel.release())));
                }
                places.push(kernel.path(&format!("/lib/modules/{}/System.map", kernel.release())));
                places.iter().filter_map(|p| fs::read_to_string(p).ok()).find_map(|text| {
                    // Debian puts a one-line pointer to another package in the place of System.map
                    (text.len() > 4096 || text.starts_with("000")).then(|| Table::from_kallsyms(text))
                })
            })
            .as_ref()
    }

    /// What ftrace can hook, where tracefs is mounted and may be read.
    pub fn traceable(&self, kernel: &Kernel) -> Option<&Table> {
        self.traceable
            .get_or_init(|| {
                if !kernel.is_running() {
                    return None;
                }
                TRACEFS.iter().find_map(|dir| {
                    let text = fs::read_to_string(format!("{dir}/available_filter_functions")).ok()?;
                    (!text.is_empty()).then(|| Table::from_functions(text))
                })
            })
            .as_ref()
    }

    /// Names of the functions that match, of the kernel (`module` `None`) or of the modules that
    /// match; without doubles, in the order of the list. If ftrace can hook none of them they are
    /// all that match.
    pub fn matching(
        &self,
        kernel: &Kernel,
        pattern: &str,
        module: Option<&str>,
    ) -> Option<Vec<(String, Option<String>)>> {
        let hooked = match module {
            None => self.own_traceable(kernel),
            Some(_) => self.traceable(kernel),
        };
        let found = hooked.map(|table| matching_in(table, pattern, module));
        if found.as_ref().is_some_and(|f| !f.is_empty()) {
            return found;
        }
        let table = match module {
            None => self.of_kernel(kernel),
            Some(_) => self.all(kernel),
        };
        table.map(|t| matching_in(t, pattern, module)).or(found)
    }
}

fn matching_in(table: &Table, pattern: &str, module: Option<&str>) -> Vec<(String, Option<String>)> {
    let mut out = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for s in table.iter() {
        let of_it = match (module, s.module) {
            (None, None) => true,
            (Some(p), Some(m)) => glob::matches(&p.replace('-', "_"), &m.replace('-', "_")),
            _ => false,
        };
        if of_it && s.is_function() && glob::matches(pattern, s.name) && seen.insert((s.name, s.module)) {
            out.push((s.name.to_owned(), s.module.map(str::to_owned)));
        }
    }
    out
}

/// Does the list say where functions are? The kernel hides that from some users by zeroes.
fn has_addresses(text: &str) -> bool {
    text.lines().any(|l| l.contains(" T ") && !l.starts_with("0000000000000000 "))
}

/// The lines that name no module; what the kernel makes while it runs (programs of BPF,
/// trampolines) has one as well.
fn of_no_module(text: &str) -> String {
    let mut own = String::with_capacity(text.len());
    for line in text.lines().filter(|l| !l.ends_with(']')) {
        own.push_str(line);
        own.push('\n');
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    const KALLSYMS: &str = "ffffffff81000000 T _stext\n\
        ffffffff81000100 T vfs_read\n\
        ffffffff81000200 t vfs_readv.isra.0\n\
        ffffffff81000200 D vfs_data\n\
        not a line\n\
        ffffffffc0000000 t vfs_read\t[fuse]\n";

    #[test]
    fn a_name_is_found_whole_in_the_kernel_and_in_modules() {
        let t = Table::from_kallsyms(KALLSYMS.into());
        let found: Vec<_> = t.named("vfs_read").map(|s| (s.address, s.module)).collect();
        assert_eq!(found, [(0xffffffff81000100, None), (0xffffffffc0000000, Some("fuse"))]);
        assert_eq!(t.named("vfs_rea").count(), 0);
        assert_eq!(t.named("vfs_readv").count(), 0);
    }

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let t = Table::from_kallsyms(KALLSYMS.into());
        let (s, off) = t.at(0xffffffff81000110).expect("symbol");
        assert_eq!((s.name, off), ("vfs_read", 0x10));
        assert!(t.at(0x1000).is_none());
    }

    #[test]
    fn functions_of_one_name_are_told_apart_by_their_neighbours() {
        let t = Table::from_kallsyms(
            "ffffffff81000000 T _stext\n\
             ffffffff81000010 t twice\n\
             ffffffff81000020 t twice\n\
             ffffffff81000030 D twice\n\
             ffffffff81000040 t after\n\
             ffffffff81000050 t twice\n\
             ffffffff82000000 T _sinittext\n\
             ffffffff82000010 t twice\n\
             ffffffff82000020 T _einittext\n\
             ffffffffc0000000 t twice\t[fuse]\n\
             ffffffffc0000010 t twice\t[fuse]\n"
                .into(),
        );
        let found = t.namesakes(&["twice", "after", "gone"], None);
        let at = |symbol: &str, offset| Behind { symbol: symbol.into(), offset };
        assert_eq!(found["twice"], [at("_stext", 0x10), at("_stext", 0x20), at("after", 0x10)]);
        assert_eq!(found.len(), 1);
        assert!(t.namesakes(&["twice"], Some("fuse")).is_empty(), "no other name leads there");
    }

    #[test]
    fn data_is_no_function() {
        let t = Table::from_kallsyms(KALLSYMS.into());
        assert!(!t.named("vfs_data").next().expect("symbol").is_function());
    }

    #[test]
    fn the_kernels_own_lines_are_those_without_a_module() {
        let text = "ffffffff81000100 T vfs_read\nffffffffc0000000 t vfs_read\t[fuse]\nffffffffc0100000 t prog\t[bpf]\n";
        assert_eq!(of_no_module(text), "ffffffff81000100 T vfs_read\n");
        assert!(has_addresses(text));
        assert!(!has_addresses(
            "0000000000000000 A percpu\n0000000000000000 T vfs_read\nffffffff81000000 D data\n"
        ));
        assert_eq!(of_no_module("vfs_read\nfuse_open [fuse]\n"), "vfs_read\n");
    }

    #[test]
    fn lists_of_functions_have_names_and_modules() {
        let t = Table::from_functions("vfs_read\nfuse_open [fuse]\n".into());
        let all: Vec<_> = t.iter().map(|s| (s.name, s.module)).collect();
        assert_eq!(all, [("vfs_read", None), ("fuse_open", Some("fuse"))]);
    }

    #[test]
    fn patterns_give_each_name_once() {
        let s = Symbols::default();
        let doubled = format!("{KALLSYMS}ffffffff81000900 t vfs_read\n");
        s.kallsyms.set(Some(Table::from_kallsyms(doubled))).expect("fresh");
        s.traceable.set(None).expect("fresh");
        let k = Kernel::new(Some("0"), None);
        let names = |p: &str, m: Option<&str>| -> Vec<String> {
            s.matching(&k, p, m).expect("table").into_iter().map(|(n, _)| n).collect()
        };
        assert_eq!(names("vfs_*", None), ["vfs_read", "vfs_readv.isra.0"]);
        assert_eq!(names("vfs_*", Some("fu*")), ["vfs_read"]);
    }

    #[test]
    fn a_pattern_that_ftrace_does_not_know_is_looked_for_among_all_functions() {
        let s = Symbols::default();
        s.kallsyms.set(Some(Table::from_kallsyms(KALLSYMS.into()))).expect("fresh");
        s.traceable.set(Some(Table::from_functions("vfs_read\n".into()))).expect("fresh");
        let k = Kernel::new(Some("0"), None);
        let names = |p: &str| -> Vec<String> {
            s.matching(&k, p, None).expect("table").into_iter().map(|(n, _)| n).collect()
        };
        assert_eq!(names("vfs_read*"), ["vfs_read"]);
        assert_eq!(names("vfs_readv*"), ["vfs_readv.isra.0"]);
    }
}
