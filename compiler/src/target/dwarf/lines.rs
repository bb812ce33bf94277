//! Lines of source and the addresses of their code.
//!
//! In: a unit's line table. Out: its rows, paths of files, the line of an
//! address, the end of a function's prologue, lines as a pattern asks for them.
//! Where a line's code is, [`super::statements`] says.

use super::{text, Debuginfo, Result, Unit, Value};
use crate::target::dwarf::code::Instance;
use crate::target::glob;

/// A row of the line table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub pc: u64,
    /// Number of the file in the unit's table.
    pub file: u64,
    pub line: u64,
    pub statement: bool,
    /// The compiler says that the prologue ends here.
    pub prologue_end: bool,
    /// After the last instruction of a sequence.
    pub end: bool,
}

/// Does a path as debuginfo has it fit a pattern as scripts write it? `read_write.c` and
/// `fs/read_*.c` name the last parts.
pub fn path_fits(pattern: &str, path: &str) -> bool {
    let path = normal(path);
    glob::matches(pattern, &path)
        || (!pattern.starts_with('/') && glob::matches(&format!("*/{pattern}"), &path))
}

/// A path without `.` and `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for p in path.split('/') {
        match p {
            "." => {}
            ".." if parts.last().is_some_and(|l| !l.is_empty() && *l != "..") => {
                parts.pop();
            }
            p => parts.push(p),
        }
    }
    parts.join("/")
}

impl Unit {
    /// Path of a file of the unit's table; relative where the compiler was given a relative one.
    pub(super) fn file_path(&self, number: u64) -> String {
        let (dwarf, unit) = self.line_unit();
        let Some(program) = &unit.line_program else { return String::new() };
        let header = program.header();
        let Some(file) = header.file(number) else { return String::new() };
        let string = |v: Value| dwarf.attr_string(unit, v).map_or("", text);
        let name = string(file.path_name());
        if name.starts_with('/') {
            return normal(name);
        }
        // directory 0 is that of the build
        let dir = match file.directory_index() {
            0 if header.version() < 5 => self.comp_dir(),
            _ => file.directory(header).map_or("", string),
        };
        normal(&if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") })
    }

    /// All rows, in the order of the table.
    pub(super) fn rows(&self) -> Result<Vec<Row>> {
        let (_, unit) = self.line_unit();
        let Some(program) = unit.line_program.clone() else { return Ok(Vec::new()) };
        let mut rows = program.rows();
        let mut out = Vec::new();
        while let Some((_, r)) = rows.next_row()? {
            out.push(Row {
                pc: r.address(),
                file: r.file_index(),
                line: r.line().map_or(0, |l| l.get()),
                statement: r.is_stmt(),
                prologue_end: r.prologue_end(),
                end: r.end_sequence(),
            });
        }
        Ok(out)
    }
}

/// What the part of a pattern behind the file asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lines {
    /// `func@file`: where the function is declared.
    Declared,
    /// `:10`, `:10-12,20`
    Absolute(Vec<(u64, u64)>),
    /// `+3`: behind the line of the declaration.
    Relative(u64),
    /// `:*`
    All,
}

impl Lines {
    /// Of `file`, `file:10`, `file:10-12,20`, `file:*`, `file+3`: the file and the lines.
    pub fn parse(text: &str) -> Option<(&str, Self)> {
        if let Some((file, lines)) = text.rsplit_once(':') {
            if lines == "*" {
                return Some((file, Self::All));
            }
            let range = |r: &str| -> Option<(u64, u64)> {
                let (a, b) = r.split_once('-').unwrap_or((r, r));
                let (a, b) = (a.parse().ok()?, b.parse().ok()?);
                (a <= b).then_some((a, b))
            };
            return Some((file, Self::Absolute(lines.split(',').map(range).collect::<Option<_>>()?)));
        }
        match text.rsplit_once('+') {
            Some((file, n)) => Some((file, Self::Relative(n.parse().ok()?))),
            None => Some((text, Self::Declared)),
        }
    }

    /// Is any of these lines between two others, in a function declared on that line?
    pub fn touch(&self, declared: u64, from: u64, to: u64) -> bool {
        self.ranges(declared).iter().any(|(a, b)| *a <= to && from <= *b)
    }

    /// The ranges, for a function that is declared on that line.
    pub(super) fn ranges(&self, declared: u64) -> Vec<(u64, u64)> {
        match self {
            Self::Declared => vec![(declared, declared)],
            Self::Absolute(r) => r.clone(),
            Self::Relative(n) => {
                let line = declared.saturating_add(*n);
                vec![(line, line)]
            }
            Self::All => vec![(1, u64::MAX)],
        }
    }
}

impl Debuginfo {
    /// Line and file of an address.
    pub fn line_of(&self, pc: u64) -> Result<Option<(String, u64)>> {
        let Some(unit) = self.unit_at(pc)? else { return Ok(None) };
        let rows = unit.rows()?;
        let mut best: Option<Row> = None;
        let mut last: Option<Row> = None;
        for r in rows {
            if let Some(l) = last {
                if !l.end && l.pc <= pc && pc < r.pc && l.line != 0 {
                    best = Some(l);
                }
            }
            last = Some(r);
        }
        Ok(best.map(|r| (unit.file_path(r.file), r.line)))
    }

    /// The address behind the prologue of a function that was compiled without optimisation: there
    /// the variables' locations hold. An optimised one tells them from its first instruction on.
    pub fn body_pc(&self, function: &Instance) -> Result<u64> {
        let unit = self.unit_of(function.die)?;
        let root = {
            let (dwarf, u) = unit.line_unit();
            let mut entries = u.entries();
            entries.next_dfs()?;
            let producer = match entries.current() {
                Some(e) => e.attr_value(gimli::DW_AT_producer)?,
                None => None,
            };
            producer.and_then(|v| dwarf.attr_string(u, v).ok()).map_or("", text)
        };
        let level = root.split_whitespace().rfind(|w| w.starts_with("-O"));
        if function.inlined || level.is_some_and(|l| l != "-O0") || root.is_empty() {
            return Ok(function.pc);
        }
        let ranges = unit.ranges(&unit.entry(function.die)?);
        let Some(range) = ranges.iter().find(|r| (r.0..r.1).contains(&function.pc)) else {
            return Ok(function.pc);
        };
        let mut rows: Vec<Row> = unit
            .rows()?
            .into_iter()
            .filter(|r| !r.end && r.statement && r.line > 0 && r.pc > function.pc && r.pc < range.1)
            .collect();
        rows.sort_by_key(|r| r.pc);
        Ok(rows.iter().find(|r| r.prologue_end).or(rows.first()).map_or(function.pc, |r| r.pc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_lines_are_numbers_ranges_offsets_or_all() {
        assert_eq!(Lines::parse("a.c"), Some(("a.c", Lines::Declared)));
        assert_eq!(Lines::parse("a.c:7"), Some(("a.c", Lines::Absolute(vec![(7, 7)]))));
        assert_eq!(Lines::parse("a.c:3,5-9"), Some(("a.c", Lines::Absolute(vec![(3, 3), (5, 9)]))));
        assert_eq!(Lines::parse("x/a.c:*"), Some(("x/a.c", Lines::All)));
        assert_eq!(Lines::parse("a.c+12"), Some(("a.c", Lines::Relative(12))));
        assert_eq!(Lines::parse("a.c:9-5"), None);
        assert_eq!(Lines::parse("a.c:x"), None);
    }

    #[test]
    fn a_script_names_the_last_parts_of_a_path() {
        let path = "/build/linux/fs/./ext4/../read_write.c";
        assert!(path_fits("read_write.c", path));
        assert!(path_fits("fs/read_write.c", path));
        assert!(path_fits("/build/linux/fs/read_write.c", path));
        assert!(path_fits("fs/*.c", path));
        assert!(!path_fits("write.c", path));
        assert!(!path_fits("/fs/read_write.c", path));
    }
}
