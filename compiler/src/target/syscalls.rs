//! The system calls of x86_64, for 64-bit and 32-bit tasks.
//!
//! In: the table `syscalls_x86_64.tbl` beside this file. Out: numbers, names
//! and arguments. BTF cannot answer this: calls without arguments have no
//! prototype there, and the arguments of others are hidden behind `pt_regs`.

use super::glob;
use std::sync::OnceLock;

/// What an argument is: how much of the register counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    Int,
    Uint,
    Long,
    Ulong,
    /// 16 bits: `umode_t` and the old ids
    Short,
    /// A user address.
    Pointer,
    /// The user address of a string that ends with a NUL.
    String,
}

impl ArgKind {
    fn from_letter(letter: &str) -> Option<Self> {
        Some(match letter {
            "i" => Self::Int,
            "u" => Self::Uint,
            "l" => Self::Long,
            "z" => Self::Ulong,
            "h" | "w" => Self::Short,
            "p" => Self::Pointer,
            "s" => Self::String,
            _ => return None,
        })
    }

    /// Bits of the register that count, and whether they have a sign; for a 32-bit task `compat`.
    pub fn bits(self, compat: bool) -> (u8, bool) {
        match self {
            Self::Int => (32, true),
            Self::Uint => (32, false),
            Self::Short => (16, false),
            Self::Long => (if compat { 32 } else { 64 }, true),
            Self::Ulong | Self::Pointer | Self::String => (if compat { 32 } else { 64 }, false),
        }
    }

    /// The C type that stands for it in listings.
    pub fn c_type(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Uint => "unsigned int",
            Self::Long => "long int",
            Self::Ulong => "long unsigned int",
            Self::Short => "umode_t",
            Self::Pointer => "void*",
            Self::String => "char const*",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    pub name: &'static str,
    pub kind: ArgKind,
}

/// One system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syscall {
    pub name: &'static str,
    /// Number for 64-bit tasks.
    pub nr: Option<u32>,
    /// Number for 32-bit tasks.
    pub nr32: Option<u32>,
    pub args: Vec<Arg>,
}

impl Syscall {
    pub fn number(&self, compat: bool) -> Option<u32> {
        if compat {
            self.nr32
        } else {
            self.nr
        }
    }
}

/// All of them, by number; those of 32-bit tasks alone come last.
pub fn all() -> &'static [Syscall] {
    static TABLE: OnceLock<Vec<Syscall>> = OnceLock::new();
    TABLE.get_or_init(|| include_str!("syscalls_x86_64.tbl").lines().filter_map(parse).collect())
}

fn parse(line: &'static str) -> Option<Syscall> {
    let mut words = line.split(' ');
    let mut number = || words.next().map(|w| w.parse().ok());
    let (nr, nr32) = (number()?, number()?);
    if nr.is_none() && nr32.is_none() {
        return None;
    }
    let name = words.next()?;
    let args = words
        .filter_map(|w| {
            let (name, letter) = w.split_once(':')?;
            Some(Arg { name, kind: ArgKind::from_letter(letter)? })
        })
        .collect();
    Some(Syscall { name, nr, nr32, args })
}

pub fn named(name: &str) -> Option<&'static Syscall> {
    all().iter().find(|s| s.name == name)
}

pub fn numbered(nr: u32, compat: bool) -> Option<&'static Syscall> {
    all().iter().find(|s| s.number(compat) == Some(nr))
}

pub fn matching(pattern: &str) -> impl Iterator<Item = &'static Syscall> + '_ {
    all().iter().filter(move |s| glob::matches(pattern, s.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn numbers_are_those_of_the_kernels_headers() {
        let nr = |n: &str| named(n).map(|s| (s.nr, s.nr32));
        assert_eq!(nr("read"), Some((Some(0), Some(3))));
        assert_eq!(nr("openat"), Some((Some(257), Some(295))));
        assert_eq!(nr("exit_group"), Some((Some(231), Some(252))));
        assert_eq!(nr("waitpid"), Some((None, Some(7))));
        assert_eq!(nr("arch_prctl"), Some((Some(158), Some(384))));
        assert_eq!(numbered(59, false).map(|s| s.name), Some("execve"));
        assert_eq!(numbered(11, true).map(|s| s.name), Some("execve"));
    }

    #[test]
    fn every_line_of_the_table_is_sound() {
        let (mut names, mut nr, mut nr32) = (HashSet::new(), HashSet::new(), HashSet::new());
        let lines = include_str!("syscalls_x86_64.tbl").lines().filter(|l| !l.starts_with('#')).count();
        assert_eq!(all().len(), lines, "no line is dropped");
        for s in all() {
            assert!(names.insert(s.name), "{} twice", s.name);
            assert!(s.nr.is_none_or(|n| nr.insert(n)), "{}: number twice", s.name);
            assert!(s.nr32.is_none_or(|n| nr32.insert(n)), "{}: 32-bit number twice", s.name);
            assert!(s.args.len() <= 6, "{}", s.name);
            let line = include_str!("syscalls_x86_64.tbl")
                .lines()
                .find(|l| l.split(' ').nth(2) == Some(s.name))
                .expect("its line");
            assert_eq!(line.split(' ').count() - 3, s.args.len(), "{}: an argument is dropped", s.name);
        }
        assert!(all().len() > 400);
    }

    #[test]
    fn arguments_have_kinds() {
        let open = named("open").expect("open");
        let args: Vec<_> = open.args.iter().map(|a| (a.name, a.kind.bits(false))).collect();
        assert_eq!(args, [("filename", (64, false)), ("flags", (32, true)), ("mode", (16, false))]);
        assert_eq!(ArgKind::Pointer.bits(true), (32, false));
    }
}
