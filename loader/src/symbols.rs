//! Addresses to names, for what scripts print of the kernel: `symname()`,
//! `symdata()`. In: the kernel's symbol table, read when the first address is
//! asked for. Out: text. Never asked for by scripts that print no address.

use std::cell::OnceCell;
use stp_compiler::target::kernel::Kernel;
use stp_compiler::target::symbols::{Symbols, Table};
use stp_vm::host::Form;

/// Names of the addresses of one kernel.
pub struct Names<'a> {
    kernel: &'a Kernel,
    symbols: &'a Symbols,
    /// Functions of the kernel itself, and of the modules too for an address that is in none of them.
    own: OnceCell<Vec<Entry<'a>>>,
    all: OnceCell<Vec<Entry<'a>>>,
}

struct Entry<'a> {
    address: u64,
    name: &'a str,
    module: Option<&'a str>,
}

impl<'a> Names<'a> {
    pub fn new(kernel: &'a Kernel, symbols: &'a Symbols) -> Names<'a> {
        Names { kernel, symbols, own: OnceCell::new(), all: OnceCell::new() }
    }

    /// The address as a script prints it: `vfs_read`, or `vfs_read+0x12/0x340 [module]`; the number
    /// in hex where no symbol is near.
    pub fn text(&self, address: u64, form: Form) -> String {
        let own = self.own.get_or_init(|| self.symbols.of_kernel(self.kernel).map_or(Vec::new(), sort));
        let all = || self.all.get_or_init(|| self.symbols.all(self.kernel).map_or(Vec::new(), sort));
        text(own, address, form)
            .or_else(|| text(all(), address, form))
            .unwrap_or_else(|| format!("{address:#x}"))
    }
}

/// Functions by address; of several at one address the first of the table.
fn sort(table: &Table) -> Vec<Entry<'_>> {
    let mut all: Vec<Entry<'_>> = table
        .iter()
        .filter(|s| s.is_function() && s.address != 0)
        .map(|s| Entry { address: s.address, name: s.name, module: s.module })
        .collect();
    all.sort_by_key(|e| e.address);
    all.dedup_by_key(|e| e.address);
    all
}

/// Beyond this distance from the last symbol, an address belongs to none.
const FAR: u64 = 1 << 20;

fn text(sorted: &[Entry<'_>], address: u64, form: Form) -> Option<String> {
    let after = sorted.partition_point(|e| e.address <= address);
    let e = &sorted[after.checked_sub(1)?];
    let offset = address - e.address;
    let size = sorted.get(after).map_or(offset, |next| next.address - e.address);
    if offset > FAR {
        return None;
    }
    Some(match form {
        Form::Name => e.name.to_string(),
        Form::Data => {
            let module = e.module.map_or(String::new(), |m| format!(" [{m}]"));
            format!("{}+{offset:#x}/{size:#x}{module}", e.name)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_the_name_of_the_function_that_they_are_in() {
        let table = Table::from_kallsyms(
            "ffffffff81000100 T second\nffffffff81000000 T first\nffffffff81000000 t alias\n\
             ffffffff81000080 D data\nffffffffc0000000 t inside\t[ext4]\nffffffffc0000040 t last\t[ext4]\n"
                .to_string(),
        );
        let sorted = sort(&table);
        let t = |a, f| text(&sorted, a, f);
        assert_eq!(t(0xffffffff81000000, Form::Name).as_deref(), Some("first"));
        assert_eq!(t(0xffffffff810000ff, Form::Data).as_deref(), Some("first+0xff/0x100"));
        assert_eq!(t(0xffffffffc0000010, Form::Data).as_deref(), Some("inside+0x10/0x40 [ext4]"));
        assert_eq!(t(0xffffffff80000000, Form::Name), None);
        assert_eq!(t(0xffffffff91000000, Form::Name), None, "far from any symbol");
        assert_eq!(text(&[], 5, Form::Name), None);
    }
}
