//! Names and addresses of functions, from what the traced machine offers.
//!
//! In: `/proc/kallsyms`, `System.map` or tracefs' `available_filter_functions`,
//! kept as the text that they are. Out: functions by name or by pattern, in the
//! order of the source. A lookup of one name scans the bytes and parses the
//! lines that hold it; nothing is enumerated that no script asked for.

use super::glob;
use super::kernel::{Kernel, KALLSYMS_ENV};
use memchr::memmem;
use std::cell::OnceCell;
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
        matches!(self.letter, 't' | 'T' | 'w' | 'W' | 'i')
            && !self.name.starts_with("__cfi_")
            && !self.name.starts_with("__pfx_")
    }

    /// A variable.
    pub fn is_data(&self) -> bool {
        matches!(self.letter, 'b' | 'B' | 'd' | 'D' | 'r' | 'R' | 'v' | 'V')
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
}

/// The symbol lists of one kernel, each read when it is first needed.
#[derive(Debug, Default)]
pub struct Symbols {
    kallsyms: OnceCell<Option<Table>>,
    traceable: OnceCell<Option<Table>>,
}

impl Symbols {
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
                ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].iter().find_map(|dir| {
                    let text = fs::read_to_string(format!("{dir}/available_filter_functions")).ok()?;
                    (!text.is_empty()).then(|| Table::from_functions(text))
                })
            })
            .as_ref()
    }

    /// Names of the functions that match, of the kernel (`module` `None`) or of the modules that
    /// match; without doubles, in the order of the list.
    pub fn matching(
        &self,
        kernel: &Kernel,
        pattern: &str,
        module: Option<&str>,
    ) -> Option<Vec<(String, Option<String>)>> {
        let table = self.traceable(kernel).or_else(|| self.all(kernel))?;
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
        Some(out)
    }
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
    fn data_is_no_function() {
        let t = Table::from_kallsyms(KALLSYMS.into());
        assert!(!t.named("vfs_data").next().expect("symbol").is_function());
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
}
