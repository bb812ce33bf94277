//! Lines of source as places of probes, as SystemTap has them.
//!
//! In: functions and inlined instances that a pattern names, the lines asked
//! for. Out: addresses, each with the functions it is a line of.
//!
//! A line is where its first instruction is, statement or not: optimised code
//! begins many statements before the row that says so. That is looked for in
//! every function with code and in every inlined instance by itself, functions
//! first, and an address counts for the first line that is found there. What is found is a
//! line of all of them that hold the address: `read.c:20`, inlined from a
//! function that begins on line 18 into one that begins on 90, is a line of
//! both. `:*` begins with the line of the entry and ends before the first line
//! that has code somewhere in the file, but not in the function.

use super::code::Instance;
use super::lines::{Lines, Row};
use super::{Debuginfo, Result, Unit};
use std::collections::{BTreeMap, BTreeSet};

/// A statement of a source line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub pc: u64,
    /// As it was asked for: with `nearest` there may be no code on it.
    pub line: u64,
}

type Ranges = Vec<(u64, u64)>;

fn inside_of(ranges: &[(u64, u64)], pc: u64) -> bool {
    ranges.iter().any(|r| (r.0..r.1).contains(&pc))
}

/// What the line table of a unit says, by address.
struct Table {
    /// Addresses and lines of all rows.
    rows: Vec<(u64, u64)>,
    /// By file: the addresses of each line.
    files: BTreeMap<String, BTreeMap<u64, Vec<u64>>>,
}

impl Table {
    /// `wanted`: the files to keep.
    fn new(unit: &Unit, wanted: &BTreeSet<&str>) -> Result<Self> {
        let mut rows: Vec<Row> = unit.rows()?.into_iter().filter(|r| !r.end).collect();
        rows.sort_by_key(|r| r.pc);
        let mut paths: BTreeMap<u64, Option<String>> = BTreeMap::new();
        let mut files: BTreeMap<String, BTreeMap<u64, Vec<u64>>> = BTreeMap::new();
        for r in rows.iter().filter(|r| r.line > 0) {
            let path = paths.entry(r.file).or_insert_with(|| {
                let path = unit.file_path(r.file);
                wanted.contains(path.as_str()).then_some(path)
            });
            if let Some(path) = path {
                if !files.contains_key(path) {
                    files.insert(path.clone(), BTreeMap::new());
                }
                if let Some(lines) = files.get_mut(path) {
                    lines.entry(r.line).or_default().push(r.pc);
                }
            }
        }
        Ok(Self { rows: rows.iter().map(|r| (r.pc, r.line)).collect(), files })
    }

    /// The line that the table has for an address: that of the last row.
    fn line_at(&self, pc: u64) -> u64 {
        let after = self.rows.partition_point(|r| r.0 <= pc);
        after.checked_sub(1).map_or(0, |n| self.rows[n].1)
    }

    /// The lines asked for that have code in a function, each with its lowest address.
    fn lines_in(&self, function: &Instance, ranges: &[(u64, u64)], asked: &Lines) -> Vec<(u64, u64)> {
        let Some(lines) = self.files.get(&function.file) else { return Vec::new() };
        let lowest = |pcs: &Vec<u64>| pcs.iter().copied().find(|pc| inside_of(ranges, *pc));
        if *asked == Lines::All {
            let all = lines.range(self.line_at(function.pc)..);
            return all.map_while(|(line, pcs)| Some((*line, lowest(pcs)?))).collect();
        }
        let wanted: BTreeMap<u64, &Vec<u64>> = asked
            .ranges(function.line)
            .into_iter()
            .flat_map(|(from, to)| lines.range(from..=to))
            .map(|(line, pcs)| (*line, pcs))
            .collect();
        wanted.into_iter().filter_map(|(line, pcs)| Some((line, lowest(pcs)?))).collect()
    }
}

impl Debuginfo {
    /// Statements of lines, each with the function of the list whose line it is (by its number there).
    pub fn statements(&self, functions: &[Instance], lines: &Lines) -> Result<Vec<(usize, Statement)>> {
        let mut units: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (n, f) in functions.iter().enumerate() {
            units.entry(self.unit_of(f.die)?.at).or_default().push(n);
        }
        let mut out = Vec::new();
        for (at, mut members) in units {
            let unit = self.unit_of(at)?;
            let files = members.iter().map(|n| functions[*n].file.as_str()).collect();
            let table = Table::new(&unit, &files)?;
            members.sort_by_key(|n| functions[*n].inlined);
            let mut code: Vec<(usize, Ranges)> = Vec::new();
            for n in members {
                code.push((n, unit.ranges(&unit.entry(functions[n].die)?)));
            }
            let mut taken = BTreeSet::new();
            for (n, ranges) in &code {
                for (line, pc) in table.lines_in(&functions[*n], ranges, lines) {
                    if !taken.insert(pc) {
                        continue;
                    }
                    let file = &functions[*n].file;
                    let holds = |c: &&(usize, Ranges)| functions[c.0].file == *file && inside_of(&c.1, pc);
                    out.extend(code.iter().filter(holds).map(|c| (c.0, Statement { pc, line })));
                }
            }
        }
        Ok(out)
    }

    /// The lowest address of each line of a function's own source.
    fn own_lines(&self, function: &Instance) -> Result<BTreeMap<u64, u64>> {
        let unit = self.unit_of(function.die)?;
        let ranges = unit.ranges(&unit.entry(function.die)?);
        // code of what was inlined, or of the function around an instance, has other lines of the file
        let next = self.next_function(&unit, function);
        let own = function.line.max(1)..next;
        let mut best: BTreeMap<u64, u64> = BTreeMap::new();
        let mut file_known: BTreeMap<u64, bool> = BTreeMap::new();
        for r in unit.rows()?.iter().filter(|r| !r.end && own.contains(&r.line) && inside_of(&ranges, r.pc)) {
            let own = *file_known.entry(r.file).or_insert_with(|| unit.file_path(r.file) == function.file);
            if own {
                let at = best.entry(r.line).or_insert(r.pc);
                *at = (*at).min(r.pc);
            }
        }
        Ok(best)
    }

    /// The line on which the next function of the file begins.
    fn next_function(&self, unit: &Unit, function: &Instance) -> u64 {
        let declared = unit.declared.get_or_init(|| {
            let mut all: Vec<(u64, String)> = unit
                .code()
                .subs
                .iter()
                .filter_map(|s| self.declared(s.die).ok())
                .map(|(file, line)| (line, file))
                .collect();
            all.sort_unstable();
            all
        });
        let after = declared.partition_point(|(line, _)| *line <= function.line);
        declared[after..].iter().find(|(_, file)| *file == function.file).map_or(u64::MAX, |(line, _)| *line)
    }

    /// First and last line of a function: from its declaration to its last line with code.
    pub fn line_span(&self, function: &Instance) -> Result<Option<(u64, u64)>> {
        let lines = self.own_lines(function)?;
        Ok(lines.keys().next_back().map(|last| (function.line.min(*last), *last)))
    }

    /// The nearest lines with code in a function's own source, below and above those asked for.
    pub fn neighbours(&self, function: &Instance, lines: &Lines) -> Result<(Option<u64>, Option<u64>)> {
        let by_line = self.own_lines(function)?;
        let (mut below, mut above) = (None, None);
        for (from, to) in lines.ranges(function.line) {
            below = below.max(by_line.range(..from).next_back().map(|(l, _)| *l));
            let next = by_line.range(to..).next().map(|(l, _)| *l);
            above = above.into_iter().chain(next).min();
        }
        Ok((below, above))
    }

    /// Statements of the lines asked for in a function's own source; for a line or range without code,
    /// that of the nearest line with it.
    pub fn nearest_statements(&self, function: &Instance, lines: &Lines) -> Result<Vec<Statement>> {
        let by_line = self.own_lines(function)?;
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        for (from, to) in lines.ranges(function.line) {
            found.extend(by_line.range(from..=to));
            if by_line.range(from..=to).next().is_some() {
                continue;
            }
            let below = by_line.range(..from).next_back();
            let above = by_line.range(to..).next();
            let near = match (below, above) {
                (Some(b), Some(a)) if from - b.0 < a.0 - from => Some(b),
                (b, a) => a.or(b),
            };
            found.extend(near.map(|(_, pc)| (from, *pc)));
        }
        Ok(found.into_iter().map(|(line, pc)| Statement { pc, line }).collect())
    }
}
