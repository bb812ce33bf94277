//! Debuginfo: what the compiler wrote about functions, variables and lines.
//!
//! In: an ELF file with DWARF 4 or 5 (sections compressed or not, split or
//! not, types in units of their own or not). Out: functions and where they begin, instances that were inlined,
//! labels, lines, variables with the expressions that find them, types.
//! Lazy: an address leads through `.debug_aranges` to one unit, and only that
//! unit is read; what takes a look at all units goes through the [`index`],
//! which is made once per build id. Damaged debuginfo is an error, never a panic.
//!
//! `find` finds files, `load` opens them, this file keeps units and entries,
//! `code` lists what a unit has of code, `calls` who calls whom, `scope` the variables at an address,
//! `location` what their expressions mean, `lines` the line table, `statements` where a line is, `types` types.

pub mod calls;
pub mod code;
pub mod find;
pub mod index;
pub mod lines;
mod load;
pub mod location;
pub mod scope;
pub mod statements;
pub mod types;

#[cfg(test)]
pub(crate) mod tests;

pub use load::{ElfSymbol, Loaded};

use crate::cache::Cache;
use gimli::{
    AttributeValue, DebuggingInformationEntry, DwAt, DwarfPackage, EndianSlice, LittleEndian, UnitOffset,
};
use load::{Elf, Reader};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum DwarfError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {why}", path.display())]
    Elf { path: PathBuf, why: String },
    #[error("{}: no debuginfo in it", .0.display())]
    None(PathBuf),
    #[error("damaged debuginfo: {0}")]
    Damaged(String),
}

impl From<gimli::Error> for DwarfError {
    fn from(e: gimli::Error) -> Self {
        Self::Damaged(e.to_string())
    }
}

type Result<T> = std::result::Result<T, DwarfError>;

/// A debugging information entry: offset in its file's `.debug_info`, with the number of the file
/// (0, or that of a split unit) in the bits from [`FILE_SHIFT`] up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Die(pub u64);

const FILE_SHIFT: u32 = 48;

/// How far chains of references (`DW_AT_abstract_origin` and the like) are followed.
const MAX_CHAIN: u32 = 16;

type Entry<'u> = DebuggingInformationEntry<'u, 'u, Reader>;
type Value = AttributeValue<Reader>;
/// A symbol from which something static is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor<'a> {
    pub symbol: &'a str,
    pub offset: i64,
    pub is_function: bool,
    /// Where it is.
    pub section: &'a str,
}

/// Types that are units of their own (`-fdebug-types-section`), by their signature.
type Signatures = Rc<HashMap<u64, Die>>;
/// Units of `.debug_types`, by where they begin.
type TypeUnits = HashMap<u64, gimli::UnitHeader<Reader>>;
type Skeleton = (Arc<gimli::Dwarf<Reader>>, gimli::Unit<Reader>);

/// One compilation unit, its split part in the place of its skeleton.
pub(crate) struct Unit {
    dwarf: Arc<gimli::Dwarf<Reader>>,
    unit: gimli::Unit<Reader>,
    /// Of the header, with the file's number.
    at: Die,
    /// Of a split unit: what the main file has of it (line table, addresses).
    skeleton: Option<Box<Skeleton>>,
    signatures: Signatures,
    code: OnceCell<code::Code>,
    /// Lines and files on which functions begin, sorted.
    declared: OnceCell<Vec<(u64, String)>>,
    names: OnceCell<types::UnitNames>,
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Unit({:#x} {})", self.at.0, self.name())
    }
}

/// A file of debuginfo.
pub struct Debuginfo {
    main: Arc<gimli::Dwarf<Reader>>,
    frames: location::Frames,
    /// Where the units of the main file begin, in order; those of `.debug_types` (DWARF 4) are
    /// counted on from the end of `.debug_info`.
    starts: Vec<u64>,
    types: TypeUnits,
    signatures: Signatures,
    /// By start and file.
    units: RefCell<HashMap<Die, Rc<Unit>>>,
    /// Addresses of the units, sorted.
    ranges: OnceCell<Vec<(u64, u64, Die)>>,
    index: OnceCell<Option<index::Index>>,
    /// Where the index is kept between runs.
    cache: Cache,
    /// Files of split units, whose bytes the units read.
    split: RefCell<Vec<Rc<Elf>>>,
    elf: Elf,
}

impl std::fmt::Debug for Debuginfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Debuginfo({})", self.elf.path.display())
    }
}

/// Text of a section: as long-lived as the reader that it comes from.
fn text(r: Reader) -> &'static str {
    std::str::from_utf8(r.slice()).unwrap_or("")
}

impl Unit {
    fn die(&self, offset: UnitOffset) -> Die {
        Die(self.at.0 + offset.0 as u64)
    }

    fn offset(&self, die: Die) -> Result<UnitOffset> {
        let within = die.0.checked_sub(self.at.0).filter(|o| *o < self.length());
        let Some(o) = within.and_then(|o| usize::try_from(o).ok()) else {
            return Err(DwarfError::Damaged(format!("{die:?} is not in the unit at {:?}", self.at)));
        };
        Ok(UnitOffset(o))
    }

    fn length(&self) -> u64 {
        self.unit.header.length_including_self() as u64
    }

    fn entry(&self, die: Die) -> Result<Entry<'_>> {
        Ok(self.unit.entry(self.offset(die)?)?)
    }

    fn string(&self, v: Value) -> Option<&'static str> {
        self.dwarf.attr_string(&self.unit, v).ok().map(text)
    }

    /// The entry that an attribute refers to, if it is in the same file.
    fn reference(&self, v: &Value) -> Option<Die> {
        match v {
            AttributeValue::UnitRef(o) => Some(self.die(*o)),
            AttributeValue::DebugInfoRef(o) => Some(Die(self.at.0 >> FILE_SHIFT << FILE_SHIFT | o.0 as u64)),
            AttributeValue::DebugTypesRef(s) => self.signatures.get(&s.0).copied(),
            _ => None,
        }
    }

    fn address(&self, v: Value) -> Option<u64> {
        self.dwarf.attr_address(&self.unit, v).ok().flatten()
    }

    /// Code ranges of an entry, without empty ones.
    fn ranges(&self, e: &Entry) -> Vec<(u64, u64)> {
        let mut out = Vec::new();
        if let Ok(mut it) = self.dwarf.die_ranges(&self.unit, e) {
            while let Ok(Some(r)) = it.next() {
                // what the linker dropped begins at 0 or ends before it begins
                if r.begin < r.end && r.begin != 0 {
                    out.push((r.begin, r.end));
                }
            }
        }
        out
    }

    /// As `DW_AT_name` of the unit has it: path of the source file, often below the build directory.
    pub fn name(&self) -> &'static str {
        self.unit.name.map_or("", text)
    }

    pub fn comp_dir(&self) -> &'static str {
        match (self.unit.comp_dir, &self.skeleton) {
            (Some(d), _) => text(d),
            (None, Some(s)) => s.1.comp_dir.map_or("", text),
            (None, None) => "",
        }
    }

    /// Unit and file set that describe its lines: the skeleton has the line table.
    fn line_unit(&self) -> (&gimli::Dwarf<Reader>, &gimli::Unit<Reader>) {
        match &self.skeleton {
            Some(s) if self.unit.line_program.is_none() => (&s.0, &s.1),
            _ => (&self.dwarf, &self.unit),
        }
    }
}

impl Debuginfo {
    /// Opens a file. `cache`: where its index is kept.
    pub fn open(path: &Path, cache: &Cache) -> Result<Self> {
        let elf = Elf::open(path)?;
        if !(elf.has_section(".debug_info") || elf.has_section(".zdebug_info")) {
            return Err(DwarfError::None(path.to_owned()));
        }
        let mut main = gimli::Dwarf::load(|id| elf.section(id, false))?;
        main.populate_abbreviations_cache(gimli::AbbreviationsCacheStrategy::Duplicates);
        let frames = location::Frames::load(&elf)?;
        let mut starts = Vec::new();
        let mut signatures = HashMap::new();
        let mut headers = main.units();
        while let Some(h) = headers.next()? {
            let Some(at) = h.offset().as_debug_info_offset() else { continue };
            starts.push(at.0 as u64);
            if let gimli::UnitType::Type { type_signature, type_offset } = h.type_() {
                signatures.insert(type_signature.0, Die(at.0 as u64 + type_offset.0 as u64));
            }
        }
        let behind = gimli::Section::reader(&main.debug_info).len() as u64;
        let mut types = TypeUnits::new();
        let mut headers = main.type_units();
        while let Some(h) = headers.next()? {
            let Some(at) = h.offset().as_debug_types_offset() else { continue };
            let at = behind + at.0 as u64;
            if let gimli::UnitType::Type { type_signature, type_offset } = h.type_() {
                signatures.insert(type_signature.0, Die(at + type_offset.0 as u64));
            }
            starts.push(at);
            types.insert(at, h);
        }
        Ok(Self {
            main: Arc::new(main),
            frames,
            starts,
            types,
            signatures: Rc::new(signatures),
            units: RefCell::default(),
            ranges: OnceCell::new(),
            index: OnceCell::new(),
            cache: cache.clone(),
            split: RefCell::default(),
            elf,
        })
    }

    pub fn path(&self) -> &Path {
        &self.elf.path
    }

    pub fn build_id(&self) -> Option<&[u8]> {
        self.elf.build_id.as_deref()
    }

    /// Sections that are in memory when the code runs, at the addresses that they have here.
    pub fn loaded(&self) -> &[Loaded] {
        &self.elf.loaded
    }

    /// Functions and variables of the symbol table, by address.
    pub fn symbols(&self) -> &[ElfSymbol] {
        self.elf.symbols()
    }

    /// The unit that an entry is in.
    pub(crate) fn unit_of(&self, die: Die) -> Result<Rc<Unit>> {
        if die.0 >> FILE_SHIFT == 0 {
            let after = self.starts.partition_point(|s| *s <= die.0);
            let Some(at) = after.checked_sub(1).map(|n| Die(self.starts[n])) else {
                return Err(DwarfError::Damaged(format!("no unit holds {die:?}")));
            };
            return self.unit(at);
        }
        // the number of a split unit's file is that of its skeleton, counted from 1
        let n = usize::try_from((die.0 >> FILE_SHIFT) - 1).ok();
        match n.and_then(|n| self.starts.get(n)) {
            Some(at) => self.unit(Die(*at)),
            None => Err(DwarfError::Damaged(format!("no split unit holds {die:?}"))),
        }
    }

    /// The header of a unit that begins there in the main file.
    fn header(&self, at: u64) -> Result<gimli::UnitHeader<Reader>> {
        match self.types.get(&at) {
            Some(h) => Ok(*h),
            None => Ok(self.main.debug_info.header_from_offset(gimli::DebugInfoOffset(at as usize))?),
        }
    }

    /// The unit that begins there in the main file; its split part, where it has one.
    fn unit(&self, at: Die) -> Result<Rc<Unit>> {
        if let Some(u) = self.units.borrow().get(&at) {
            return Ok(u.clone());
        }
        let unit = self.main.unit(self.header(at.0)?)?;
        let whole = match unit.dwo_name()? {
            Some(name) => self.split_unit(unit, at, name)?,
            None => Unit {
                dwarf: self.main.clone(),
                unit,
                at,
                skeleton: None,
                signatures: self.signatures.clone(),
                code: OnceCell::new(),
                declared: OnceCell::new(),
                names: OnceCell::new(),
            },
        };
        let whole = Rc::new(whole);
        self.units.borrow_mut().insert(at, whole.clone());
        Ok(whole)
    }

    /// The part of a unit that is in a `.dwo` or `.dwp` file. Where that is gone, the skeleton.
    fn split_unit(&self, skeleton: gimli::Unit<Reader>, start: Die, name: Value) -> Result<Unit> {
        let name = self.main.attr_string(&skeleton, name).map_or("", text);
        let dir = Path::new(skeleton.comp_dir.map_or("", text)).to_owned();
        let mut candidates = vec![dir.join(name)];
        if let Some(beside) = self.path().parent() {
            candidates.push(beside.join(name));
            candidates.extend(Path::new(name).file_name().map(|n| beside.join(n)));
        }
        let mut found = None;
        for path in candidates {
            if let Some(hit) = self.open_split(&path)? {
                found = Some(hit);
                break;
            }
        }
        if found.is_none() {
            let mut dwp = self.path().as_os_str().to_owned();
            dwp.push(".dwp");
            found = self.open_package(Path::new(&dwp), &skeleton)?;
        }
        let alone = |skeleton: gimli::Unit<Reader>| Unit {
            dwarf: self.main.clone(),
            unit: skeleton,
            at: start,
            skeleton: None,
            signatures: self.signatures.clone(),
            code: OnceCell::new(),
            declared: OnceCell::new(),
            names: OnceCell::new(),
        };
        let number = self.starts.partition_point(|s| *s < start.0) as u64 + 1;
        let Some(dwarf) = found.filter(|_| number < 1 << (64 - FILE_SHIFT)) else {
            return Ok(alone(skeleton));
        };
        let Some(header) = dwarf.units().next()? else { return Ok(alone(skeleton)) };
        let at = header.offset().as_debug_info_offset().map_or(0, |o| o.0 as u64);
        let mut unit = dwarf.unit(header)?;
        if unit.dwo_id != skeleton.dwo_id {
            return Ok(alone(skeleton));
        }
        unit.copy_relocated_attributes(&skeleton);
        Ok(Unit {
            dwarf,
            unit,
            at: Die(number << FILE_SHIFT | at),
            skeleton: Some(Box::new((self.main.clone(), skeleton))),
            signatures: self.signatures.clone(),
            code: OnceCell::new(),
            declared: OnceCell::new(),
            names: OnceCell::new(),
        })
    }

    fn open_split(&self, path: &Path) -> Result<Option<Arc<gimli::Dwarf<Reader>>>> {
        if !path.is_file() {
            return Ok(None);
        }
        let elf = Rc::new(Elf::open(path)?);
        let mut dwarf = gimli::Dwarf::load(|id| elf.section(id, true))?;
        dwarf.make_dwo(&self.main);
        self.split.borrow_mut().push(elf);
        Ok(Some(Arc::new(dwarf)))
    }

    fn open_package(
        &self,
        path: &Path,
        skeleton: &gimli::Unit<Reader>,
    ) -> Result<Option<Arc<gimli::Dwarf<Reader>>>> {
        let (Some(id), true) = (skeleton.dwo_id, path.is_file()) else { return Ok(None) };
        let known = self.split.borrow().iter().find(|e| e.path == path).cloned();
        let elf = match known {
            Some(e) => e,
            None => {
                let elf = Rc::new(Elf::open(path)?);
                self.split.borrow_mut().push(elf.clone());
                elf
            }
        };
        let empty = EndianSlice::new(&[], LittleEndian);
        let package = DwarfPackage::load(|id| elf.section(id, true), empty)?;
        Ok(package.find_cu(id, &self.main)?.map(Arc::new))
    }

    /// The unit whose code holds an address.
    pub(crate) fn unit_at(&self, pc: u64) -> Result<Option<Rc<Unit>>> {
        let ranges = self.ranges.get_or_init(|| self.unit_ranges());
        let after = ranges.partition_point(|(lo, ..)| *lo <= pc);
        // ranges of different units do not overlap
        match after.checked_sub(1).map(|n| ranges[n]) {
            Some((_, hi, at)) if pc < hi => self.unit(at).map(Some),
            _ => Ok(None),
        }
    }

    /// From `.debug_aranges`; where that does not speak of every unit, from the units themselves.
    fn unit_ranges(&self) -> Vec<(u64, u64, Die)> {
        let mut out = Vec::new();
        let mut named = std::collections::HashSet::new();
        let mut headers = self.main.debug_aranges.headers();
        while let Ok(Some(h)) = headers.next() {
            let at = h.debug_info_offset().0 as u64;
            named.insert(at);
            let mut entries = h.entries();
            while let Ok(Some(e)) = entries.next() {
                if e.length() > 0 && e.address() != 0 {
                    out.push((e.address(), e.address().saturating_add(e.length()), Die(at)));
                }
            }
        }
        for at in self.starts.iter().filter(|at| !named.contains(at)) {
            let Ok(header) = self.header(*at) else { continue };
            if matches!(header.type_(), gimli::UnitType::Type { .. }) {
                continue;
            }
            let Ok(unit) = self.main.unit(header) else { continue };
            let Ok(mut ranges) = self.main.unit_ranges(&unit) else { continue };
            while let Ok(Some(r)) = ranges.next() {
                if r.begin < r.end && r.begin != 0 {
                    out.push((r.begin, r.end, Die(*at)));
                }
            }
        }
        out.sort_unstable();
        out
    }

    /// An attribute of an entry, or of the entry that it is an instance or a definition of.
    fn attribute(&self, die: Die, name: DwAt) -> Result<Option<(Rc<Unit>, Value)>> {
        let mut die = die;
        for _ in 0..MAX_CHAIN {
            let unit = self.unit_of(die)?;
            let next = {
                let entry = unit.entry(die)?;
                if let Some(v) = entry.attr_value(name)? {
                    return Ok(Some((unit.clone(), v)));
                }
                let origin = match entry.attr_value(gimli::DW_AT_abstract_origin)? {
                    Some(v) => Some(v),
                    None => entry.attr_value(gimli::DW_AT_specification)?,
                };
                origin.and_then(|v| unit.reference(&v))
            };
            match next {
                Some(d) => die = d,
                None => return Ok(None),
            }
        }
        Err(DwarfError::Damaged("an entry that is an instance of itself".into()))
    }

    fn name_of(&self, die: Die) -> Result<&'static str> {
        Ok(self.attribute(die, gimli::DW_AT_name)?.and_then(|(u, v)| u.string(v)).unwrap_or(""))
    }

    /// The type that an entry has; `void` where it has none.
    fn type_of(&self, die: Die) -> Result<super::ctype::TypeRef> {
        let ty = self.attribute(die, gimli::DW_AT_type)?;
        let ty = ty.and_then(|(u, v)| Some(u.in_full(u.reference(&v)?)));
        Ok(super::ctype::TypeRef(ty.map_or(0, |d| d.0)))
    }

    /// For data: the nearest symbol of any kind whose name is the only one of its kind.
    pub fn data_anchor(&self, address: u64) -> Option<Anchor<'_>> {
        let section = self.loaded().iter().find(|s| s.address <= address && address < s.address + s.size)?;
        let all = self.symbols();
        let after = all.partition_point(|s| s.address <= address);
        let here = all[..after].iter().rev().take_while(|s| s.address >= section.address);
        let s = here.into_iter().find(|s| s.unique && !s.name.starts_with('.'))?;
        let offset = i64::try_from(address - s.address).ok()?;
        Some(Anchor { symbol: &s.name, offset, is_function: s.is_function, section: &section.name })
    }

    /// The nearest symbol at or before an address, in the same section, whose name is that of one
    /// function only; and the distance. What a loader can find again in the running kernel.
    pub fn anchor(&self, pc: u64) -> Option<(&str, u64)> {
        let section = self.loaded().iter().find(|s| s.address <= pc && pc < s.address + s.size)?;
        let all = self.symbols();
        let after = all.partition_point(|s| s.address <= pc);
        let usable = |s: &&ElfSymbol| s.is_function && s.unique && s.address >= section.address;
        let s = all[..after].iter().rev().take_while(|s| s.address >= section.address).find(usable)?;
        Some((&s.name, pc - s.address))
    }
}
