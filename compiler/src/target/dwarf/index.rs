//! Names of a file of debuginfo: which units have a function, type or variable.
//!
//! In: all units, walked in parallel at their top level only. Out: for a name
//! or a pattern the entries, one per unit. The table is one stretch of bytes,
//! so that it can be kept in the [`crate::cache`], under the file's build id.
//!
//! Form (little-endian): header of 4 words of 4 bytes (version, names, entries,
//! bytes of text); then for each name 4 words (offset of its text, length with the kind in the upper 8 bits,
//! first entry, count), sorted by kind and name; then entries of 8 bytes; text.

use super::load::Reader;
use super::types::NameKind;
use super::{text, Debuginfo, Die, Result};
use crate::target::glob;
use std::collections::HashMap;

/// Changes with the form and with what is put in.
const VERSION: u32 = 2;
const HEADER: usize = 16;

/// The table.
pub(super) struct Index {
    bytes: Vec<u8>,
    names: usize,
    entries: usize,
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(b.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

type Found = HashMap<(NameKind, &'static str), Vec<Die>>;

impl Index {
    /// A table that was kept; `None` if it is cut or of another version. What the cache gives is not
    /// damaged; whatever stands in it, nothing is read beyond its end.
    fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let word = |n: usize| u32_at(&bytes, 4 * n).map(|v| v as usize);
        if u32_at(&bytes, 0)? != VERSION {
            return None;
        }
        let (names, entries, text) = (word(1)?, word(2)?, word(3)?);
        let size = names
            .checked_mul(16)?
            .checked_add(entries.checked_mul(8)?)?
            .checked_add(text)?
            .checked_add(HEADER)?;
        (size == bytes.len()).then_some(Self { bytes, names, entries })
    }

    fn of(found: Found) -> Self {
        let mut all: Vec<((NameKind, &str), Vec<Die>)> = found.into_iter().collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut names = Vec::with_capacity(all.len() * 16);
        let mut entries: Vec<u8> = Vec::new();
        let mut texts: Vec<u8> = Vec::new();
        for ((kind, name), dies) in &all {
            let name = &name.as_bytes()[..name.len().min(0xff_ffff)];
            let row = [
                texts.len() as u32,
                name.len() as u32 | u32::from(*kind as u8) << 24,
                (entries.len() / 8) as u32,
                dies.len() as u32,
            ];
            names.extend(row.iter().flat_map(|w| w.to_le_bytes()));
            entries.extend(dies.iter().flat_map(|d| d.0.to_le_bytes()));
            texts.extend_from_slice(name);
        }
        let (name_count, entry_count) = (all.len(), entries.len() / 8);
        let mut body = names;
        body.extend(entries);
        let text_len = texts.len();
        body.extend(texts);
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        for w in [VERSION, name_count as u32, entry_count as u32, text_len as u32] {
            bytes.extend(w.to_le_bytes());
        }
        bytes.extend(body);
        Self { bytes, names: name_count, entries: entry_count }
    }

    /// Name number n: kind, text, first entry, count.
    fn name(&self, n: usize) -> Option<(u8, &str, usize, usize)> {
        let b = self.bytes.as_slice();
        let at = HEADER + 16 * n;
        let (off, len) = (u32_at(b, at)? as usize, u32_at(b, at + 4)?);
        let texts = HEADER + 16 * self.names + 8 * self.entries;
        let from = texts.checked_add(off)?;
        let text = b.get(from..from.checked_add((len & 0xff_ffff) as usize)?)?;
        let text = std::str::from_utf8(text).ok()?;
        Some(((len >> 24) as u8, text, u32_at(b, at + 8)? as usize, u32_at(b, at + 12)? as usize))
    }

    fn dies(&self, first: usize, count: usize) -> impl Iterator<Item = Die> + '_ {
        let at = HEADER + 16 * self.names;
        (first..first.saturating_add(count))
            .take_while(|n| *n < self.entries)
            .filter_map(move |n| u64_at(&self.bytes, at + 8 * n).map(Die))
    }

    /// The first name that is not before this one.
    fn lower(&self, kind: NameKind, name: &str) -> usize {
        let (mut lo, mut hi) = (0, self.names);
        while lo < hi {
            let mid = lo + (hi - lo) / 2;
            match self.name(mid) {
                Some((k, text, ..)) if (k, text) < (kind as u8, name) => lo = mid + 1,
                _ => hi = mid,
            }
        }
        lo
    }

    /// The first entry of a name.
    pub(super) fn first(&self, kind: NameKind, name: &str) -> Option<Die> {
        let (k, text, first, count) = self.name(self.lower(kind, name))?;
        (k == kind as u8 && text == name).then(|| self.dies(first, count).next())?
    }

    /// Entries of all names that match.
    pub(super) fn matching(&self, kind: NameKind, pattern: &str) -> Vec<Die> {
        let from = self.lower(kind, if glob::is_pattern(pattern) { "" } else { pattern });
        let mut out = Vec::new();
        for n in from..self.names {
            let Some((k, text, first, count)) = self.name(n) else { break };
            if k != kind as u8 {
                break;
            }
            if glob::matches(pattern, text) {
                out.extend(self.dies(first, count));
            } else if !glob::is_pattern(pattern) {
                break;
            }
        }
        out
    }

    /// All names of a kind, in order.
    pub(super) fn names(&self, kind: NameKind) -> impl Iterator<Item = &str> + '_ {
        (self.lower(kind, "")..self.names)
            .map_while(|n| self.name(n))
            .take_while(move |(k, ..)| *k == kind as u8)
            .map(|(_, text, ..)| text)
    }
}

/// Notes the names at the top of a unit.
fn walk(
    dwarf: &gimli::Dwarf<Reader>,
    unit: &gimli::Unit<Reader>,
    at: Die,
    out: &mut Found,
) -> gimli::Result<()> {
    let name_of = |offset: gimli::UnitOffset| -> gimli::Result<Option<&'static str>> {
        let name = unit.entry(offset)?.attr_value(gimli::DW_AT_name)?;
        Ok(name.and_then(|v| dwarf.attr_string(unit, v).ok()).map(text))
    };
    let mut raw = unit.entries_raw(None)?;
    match raw.read_abbreviation()? {
        Some(root) if root.has_children() => raw.skip_attributes(root.attributes())?,
        _ => return Ok(()),
    }
    // depth of the children of the unit; counted anew after each jump
    let mut level = raw.next_depth();
    while !raw.is_empty() {
        let offset = raw.next_offset();
        let Some(abbrev) = raw.read_abbreviation()? else {
            if raw.next_depth() < level {
                break;
            }
            continue;
        };
        let kind = NameKind::of_tag(abbrev.tag());
        let (mut name, mut declared, mut sibling, mut of) = (None, false, None, None);
        for spec in abbrev.attributes() {
            let attr = raw.read_attribute(*spec)?;
            match attr.name() {
                gimli::DW_AT_name if kind.is_some() => {
                    name = dwarf.attr_string(unit, attr.value()).ok().map(text);
                }
                gimli::DW_AT_declaration => declared = true,
                gimli::DW_AT_sibling => {
                    if let gimli::AttributeValue::UnitRef(o) = attr.value() {
                        sibling = Some(o);
                    }
                }
                gimli::DW_AT_specification => {
                    if let gimli::AttributeValue::UnitRef(o) = attr.value() {
                        of = Some(o);
                    }
                }
                _ => {}
            }
        }
        if let (Some(kind), false) = (kind, declared) {
            let name = match (name, of) {
                (None, Some(o)) => name_of(o)?,
                (n, _) => n,
            };
            if let Some(name) = name.filter(|n| !n.is_empty()) {
                let die = Die(at.0 + offset.0 as u64);
                let list = out.entry((kind, name)).or_default();
                // types are the same in all units; of functions and variables each unit has its own
                let own = matches!(kind, NameKind::Function | NameKind::Variable);
                if list.is_empty() || own && list.last().is_some_and(|l| l.0 < at.0) {
                    list.push(die);
                }
            }
        }
        if abbrev.has_children() {
            match sibling {
                Some(s) if s.0 > offset.0 => {
                    raw = unit.entries_raw(Some(s))?;
                    level = 0;
                }
                _ => {
                    while raw.next_depth() > level && !raw.is_empty() {
                        if let Some(a) = raw.read_abbreviation()? {
                            raw.skip_attributes(a.attributes())?;
                        }
                    }
                }
            }
        }
    }
    Ok(())
}

impl Debuginfo {
    /// The table of names; from the cache, or made now. `None`: the debuginfo is too damaged.
    pub(super) fn index(&self) -> Option<&Index> {
        self.index
            .get_or_init(|| {
                let name = self.build_id().map(|id| {
                    let hex: String = id.iter().map(|b| format!("{b:02x}")).collect();
                    format!("debuginfo-{hex}")
                });
                let key = VERSION.to_le_bytes();
                let kept = name.as_deref().and_then(|n| self.cache.get(n, &key));
                if let Some(index) = kept.and_then(Index::from_bytes) {
                    return Some(index);
                }
                let index = Index::of(self.all_names().ok()?);
                if let Some(n) = name {
                    self.cache.put(&n, &key, &index.bytes);
                }
                Some(index)
            })
            .as_ref()
    }

    fn all_names(&self) -> Result<Found> {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get()).min(8);
        // units of one stretch go to one thread, so that the parts are in order
        let total = self.starts.last().copied().unwrap_or(0) + 1;
        let share = total.div_ceil(threads as u64).max(1 << 20);
        let parts: Vec<&[u64]> = self.starts.chunk_by(|a, b| a / share == b / share).collect();
        let (main, types) = (&*self.main, &self.types);
        let one = |starts: &[u64]| -> (Found, Vec<u64>) {
            let (mut found, mut split) = (Found::new(), Vec::new());
            for at in starts {
                let offset = gimli::DebugInfoOffset(*at as usize);
                let known = types.get(at).map(|h| Ok(*h));
                let header = known.unwrap_or_else(|| main.debug_info.header_from_offset(offset));
                let Ok(header) = header else { continue };
                let Ok(unit) = main.unit(header) else { continue };
                if matches!(unit.dwo_name(), Ok(Some(_))) {
                    split.push(*at);
                    continue;
                }
                // a damaged unit does not hide the others
                let _ = walk(main, &unit, Die(*at), &mut found);
            }
            (found, split)
        };
        let results: Vec<(Found, Vec<u64>)> = std::thread::scope(|s| {
            let one = &one;
            let running: Vec<_> = parts.iter().map(|p| s.spawn(move || one(p))).collect();
            running.into_iter().filter_map(|t| t.join().ok()).collect()
        });
        let mut all = Found::new();
        for (found, split) in results {
            for (key, dies) in found {
                let list = all.entry(key).or_default();
                let own = matches!(key.0, NameKind::Function | NameKind::Variable);
                if own || list.is_empty() {
                    list.extend(dies);
                }
            }
            for at in split {
                let unit = self.unit(Die(at))?;
                let _ = walk(&unit.dwarf, &unit.unit, unit.at, &mut all);
            }
        }
        Ok(all)
    }

    /// Entries of functions or variables whose name is this one or matches it.
    pub(super) fn indexed(&self, kind: NameKind, pattern: &str) -> Vec<Die> {
        self.index().map_or(Vec::new(), |i| i.matching(kind, pattern))
    }

    /// Names of all functions, for "did you mean".
    pub fn function_names(&self) -> Vec<&str> {
        self.index().map_or(Vec::new(), |i| i.names(NameKind::Function).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Index {
        let mut found = Found::new();
        found.insert((NameKind::Function, "vfs_read"), vec![Die(100)]);
        found.insert((NameKind::Function, "vfs_write"), vec![Die(200), Die(900)]);
        found.insert((NameKind::Function, "do_open"), vec![Die(300)]);
        found.insert((NameKind::Struct, "vfs_read"), vec![Die(400)]);
        found.insert((NameKind::Variable, "jiffies"), vec![Die(500)]);
        Index::of(found)
    }

    #[test]
    fn names_are_found_by_kind_and_by_pattern() {
        let i = sample();
        assert_eq!(i.first(NameKind::Function, "vfs_read"), Some(Die(100)));
        assert_eq!(i.first(NameKind::Struct, "vfs_read"), Some(Die(400)));
        assert_eq!(i.first(NameKind::Struct, "vfs"), None);
        assert_eq!(i.first(NameKind::Base, "zzz"), None);
        assert_eq!(i.matching(NameKind::Function, "vfs_*"), [Die(100), Die(200), Die(900)]);
        assert_eq!(i.matching(NameKind::Function, "vfs_write"), [Die(200), Die(900)]);
        assert_eq!(i.matching(NameKind::Variable, "*"), [Die(500)]);
        assert_eq!(i.names(NameKind::Function).collect::<Vec<_>>(), ["do_open", "vfs_read", "vfs_write"]);
    }

    #[test]
    fn a_table_comes_back_from_its_bytes_and_damage_is_no_crash() {
        let bytes = sample().bytes;
        let back = Index::from_bytes(bytes.clone()).expect("sound");
        assert_eq!(back.first(NameKind::Variable, "jiffies"), Some(Die(500)));
        for cut in 0..bytes.len() {
            assert!(Index::from_bytes(bytes[..cut].to_vec()).is_none(), "cut at {cut}");
        }
        for n in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[n] ^= 0xc0;
            let Some(index) = Index::from_bytes(bad) else { continue };
            index.first(NameKind::Struct, "vfs_read");
            index.matching(NameKind::Function, "*");
            index.names(NameKind::Function).count();
        }
    }
}
