//! Addresses to names and source lines, for what scripts print of the kernel:
//! stacks (`print_backtrace()` and its kin) and `symfileline()`. In: the kernel's
//! symbol table, read when the first address is asked for, and debuginfo, opened
//! when the first line is. Out: text. What a script asks for as a value
//! (`symname()`) the machine answers itself.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;
use stp_compiler::cache::Cache;
use stp_compiler::target::debugfiles::{DebugFiles, DebugOptions};
use stp_compiler::target::dwarf::Debuginfo;
use stp_compiler::target::kernel::Kernel;
use stp_compiler::target::symbols::{Symbols, Table};
use stp_vm::host::Form;

/// Names of the addresses of one kernel.
pub struct Names<'a> {
    kernel: &'a Kernel,
    symbols: &'a Symbols,
    debug: DebugFiles,
    sorted: OnceCell<Vec<Entry<'a>>>,
    /// Lines that were looked up, as stacks repeat themselves.
    lines: RefCell<HashMap<u64, Option<(String, u64)>>>,
}

struct Entry<'a> {
    address: u64,
    name: &'a str,
    module: Option<&'a str>,
}

/// Number given to `__print_stack` (`core/helpers.def`): with source lines.
const WITH_LINES: u8 = 1;
/// The first two addresses are the function that returned and where to.
const RETURNED: u8 = 2;

impl<'a> Names<'a> {
    /// `cache`: where tables made of debuginfo are kept.
    pub fn new(kernel: &'a Kernel, symbols: &'a Symbols, debug: &DebugOptions, cache: &Cache) -> Names<'a> {
        let debug = DebugFiles::new(kernel, debug, cache);
        Names { kernel, symbols, debug, sorted: OnceCell::new(), lines: RefCell::default() }
    }

    /// The address as a script prints it: its function, file or line; the number in hex where that
    /// is not known.
    pub fn text(&self, address: u64, form: Form) -> String {
        let known = match form {
            Form::Name => self.symbol(address).map(|(e, ..)| e.name.to_string()),
            Form::File => self.line(address).map(|(file, _)| file),
            Form::Line => self.line(address).map(|(_, line)| line.to_string()),
            Form::FileLine => self.line(address).map(|(file, line)| format!("{file}:{line}")),
        };
        known.unwrap_or_else(|| format!("{address:#x}"))
    }

    /// A stack as `print_backtrace()` prints it, a line for each address. In: the body of a
    /// `REC_STACK`.
    pub fn stack(&self, body: &[u8], out: &mut Vec<u8>) {
        let Some((&how, text)) = body.split_last() else { return };
        let mut lines = String::new();
        for (n, address) in addresses(text).into_iter().enumerate() {
            if how & RETURNED != 0 {
                lines += ["Returning from: ", "Returning to  : "].get(n).unwrap_or(&"");
            }
            let _ = write!(lines, " {address:#x}");
            if let Some((e, offset, size)) = self.symbol(address) {
                let module = e.module.unwrap_or("kernel");
                let _ = write!(lines, " : {}+{offset:#x}/{size:#x} [{module}]", e.name);
            }
            if how & WITH_LINES != 0 {
                // of the call, not of what follows it
                if let Some((file, line)) = self.line(address - u64::from(n > 0)) {
                    let _ = write!(lines, " at {file}:{line}");
                }
            }
            lines.push('\n');
        }
        out.extend_from_slice(lines.as_bytes());
    }

    /// The function at an address, the distance from its start, and its size.
    fn symbol(&self, address: u64) -> Option<(&Entry<'a>, u64, u64)> {
        find(self.sorted.get_or_init(|| self.symbols.all(self.kernel).map_or(Vec::new(), sort)), address)
    }

    /// Source file and line, where there is debuginfo.
    fn line(&self, address: u64) -> Option<(String, u64)> {
        if let Some(known) = self.lines.borrow().get(&address) {
            return known.clone();
        }
        let found = self.find_line(address);
        self.lines.borrow_mut().insert(address, found.clone());
        found
    }

    fn find_line(&self, address: u64) -> Option<(String, u64)> {
        let (entry, offset, _) = self.symbol(address)?;
        let debug: Rc<Debuginfo> = match entry.module {
            None => self.debug.kernel(self.kernel)?,
            Some(module) => self.debug.module(self.kernel, module)?,
        };
        // Where the file has the function: where it is loaded the kernel alone knows. Of several of
        // one name the one at the same distance from its neighbours is not known.
        let mut named = debug.symbols().iter().filter(|s| s.is_function && s.name == entry.name);
        let symbol = named.next().filter(|s| s.unique && named.next().is_none())?;
        debug.line_of(symbol.address + offset).ok().flatten()
    }
}

/// Low halves of addresses follow these bytes (`core/stack.h`).
const STACK_HEAD: &[u8] = b"\x01\0K\0";

/// Addresses of a stack, or of a text with numbers in hex.
fn addresses(text: &[u8]) -> Vec<u64> {
    if let Some(packed) = text.strip_prefix(STACK_HEAD) {
        return packed
            .chunks_exact(4)
            .map(|b| i64::from(i32::from_be_bytes([b[0], b[1], b[2], b[3]])) as u64)
            .collect();
    }
    String::from_utf8_lossy(text)
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter_map(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok())
        .collect()
}

/// Functions by address; of several at one address the first of the table.
fn sort(table: &Table) -> Vec<Entry<'_>> {
    let mut all: Vec<Entry<'_>> = table
        .iter()
        .filter(|s| s.is_code() && s.address != 0)
        .map(|s| Entry { address: s.address, name: s.name, module: s.module })
        .collect();
    all.sort_by_key(|e| e.address);
    all.dedup_by_key(|e| e.address);
    all
}

/// Code of a module or of the kernel ends at a boundary of pages.
const PAGE: u64 = 4096;

/// The function that an address is in; a function ends where the next one of the same module begins.
fn find<'t, 'a>(sorted: &'t [Entry<'a>], address: u64) -> Option<(&'t Entry<'a>, u64, u64)> {
    let after = sorted.partition_point(|e| e.address <= address);
    let e = &sorted[after.checked_sub(1)?];
    let next = sorted.get(after).filter(|n| n.module == e.module).map(|n| n.address);
    let end = next.unwrap_or((e.address / PAGE + 1) * PAGE);
    (address < end).then_some((e, address - e.address, end - e.address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_the_function_that_begins_before_them() {
        let table = Table::from_kallsyms(
            "ffffffff81000100 T second\nffffffff81000000 T first\nffffffff81000000 t alias\n\
             ffffffff81000080 D data\nffffffffc0000000 t inside\t[ext4]\nffffffffc0000040 t last\t[ext4]\n"
                .to_string(),
        );
        let sorted = sort(&table);
        let at = |a| find(&sorted, a).map(|(e, offset, size)| (e.name, e.module, offset, size));
        assert_eq!(at(0xffffffff81000000), Some(("first", None, 0, 0x100)));
        assert_eq!(at(0xffffffff810000ff), Some(("first", None, 0xff, 0x100)));
        assert_eq!(at(0xffffffffc0000010), Some(("inside", Some("ext4"), 0x10, 0x40)));
        assert_eq!(at(0xffffffffc0000050), Some(("last", Some("ext4"), 0x10, 0xfc0)));
        assert_eq!(at(0xffffffff80000000), None);
        assert_eq!(at(0xffffffff81001000), None, "behind the last page of the kernel's code");
        assert!(find(&[], 5).is_none());
    }

    #[test]
    fn stacks_are_halves_of_addresses_or_text() {
        let packed = b"\x01\0K\0\x81\x23\x45\x67\xc0\0\0\x01";
        assert_eq!(addresses(packed), [0xffffffff81234567, 0xffffffffc0000001]);
        assert_eq!(addresses(b"0xffffffff81234567 0x1f\nff"), [0xffffffff81234567, 0x1f, 0xff]);
        assert_eq!(addresses(b""), [] as [u64; 0]);
        assert_eq!(addresses(b"no 0xnumber here"), [] as [u64; 0]);
    }
}
