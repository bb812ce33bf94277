//! An ELF file with debuginfo, ready for gimli.
//!
//! In: a path. Out: the debug sections (decompressed, relocated), the sections
//! that are loaded with the addresses that they have here, the symbols. Kernel
//! modules are relocatable files whose sections all begin at 0: here they are
//! laid out one behind the other, so that an address means one place. Reads
//! only the sections that it is asked for; never looks into them.

use super::DwarfError;
use gimli::{EndianSlice, LittleEndian, SectionId};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSymbol, RelocationKind, RelocationTarget, SectionFlags};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Slices of bytes that an [`Elf`] owns. The lifetime is a fiction that ends at
/// the borders of this folder: what is handed on borrows from the owner.
pub(super) type Reader = EndianSlice<'static, LittleEndian>;

/// A section of code or data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub name: String,
    pub address: u64,
    pub size: u64,
}

/// A function or variable of the symbol table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElfSymbol {
    pub name: String,
    /// In the layout of this file.
    pub address: u64,
    pub size: u64,
    pub is_function: bool,
    /// No other function of the file has the name.
    pub unique: bool,
}

/// An open file.
pub(super) struct Elf {
    pub path: PathBuf,
    pub build_id: Option<Vec<u8>>,
    pub loaded: Vec<Loaded>,
    /// Debug sections of a relocatable file of which there are several with one name (a section for
    /// each type unit): where each begins when they stand one behind the other.
    parts: HashMap<object::SectionIndex, u64>,
    symbols: OnceCell<Vec<ElfSymbol>>,
    /// Sections that had to be made: decompressed, relocated. Never changed once they are here.
    made: keep::Made,
    object: ElfFile64<'static>,
    /// What `object` and the sections point into; dropped last.
    _map: memmap2::Mmap,
}

/// Grows, and never moves or frees what is in it.
mod keep {
    use std::cell::RefCell;

    #[derive(Default)]
    pub struct Made(RefCell<Vec<Box<[u8]>>>);

    impl Made {
        /// Keeps the bytes and gives them back, as long as `self` lives.
        pub fn keep(&self, bytes: Vec<u8>) -> &[u8] {
            let bytes = bytes.into_boxed_slice();
            let at: *const [u8] = &*bytes;
            self.0.borrow_mut().push(bytes);
            // SAFETY: the box owns the bytes; boxes are only ever added, and the bytes stay where
            // they are when the list of boxes grows.
            unsafe { &*at }
        }
    }
}

impl std::fmt::Debug for Elf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Elf({})", self.path.display())
    }
}

/// As if it lived for ever: see [`Reader`].
fn extend(bytes: &[u8]) -> &'static [u8] {
    // SAFETY: only called with bytes that the `Elf` owns (its mapping, its `made`), which outlive
    // every use: readers stay inside structures that own the `Elf` as well.
    unsafe { std::mem::transmute::<&[u8], &'static [u8]>(bytes) }
}

/// The size of a section when it is decompressed.
fn part_size(s: &object::read::elf::ElfSection64<'static, '_>) -> u64 {
    s.compressed_file_range().map_or(s.size(), |r| r.uncompressed_size)
}

impl Elf {
    pub fn open(path: &Path) -> Result<Self, DwarfError> {
        let io = |source| DwarfError::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        // SAFETY: private and read only; of a file that somebody truncates meanwhile the worst is
        // SIGBUS, as for any mapped input.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(io)?;
        let elf = |e: object::read::Error| DwarfError::Elf { path: path.to_owned(), why: e.to_string() };
        let object: ElfFile64<'static> = ElfFile64::parse(extend(&map)).map_err(elf)?;
        let build_id = object.build_id().map_err(elf)?.map(<[u8]>::to_vec);
        let relocatable = object.kind() == object::ObjectKind::Relocatable;
        let mut loaded: Vec<Loaded> = Vec::new();
        // far from 0, so that no offset is taken for an address
        let mut next = 0x1_0000u64;
        let mut parts = HashMap::new();
        let mut lengths: HashMap<&[u8], u64> = HashMap::new();
        for s in object.sections() {
            let name = s.name_bytes().map_err(elf)?;
            if relocatable && name.starts_with(b".debug_") {
                let at = lengths.entry(name).or_default();
                parts.insert(s.index(), *at);
                *at = at.saturating_add(part_size(&s));
            }
            let SectionFlags::Elf { sh_flags } = s.flags() else { continue };
            if sh_flags & u64::from(object::elf::SHF_ALLOC) == 0 {
                continue;
            }
            let name = String::from_utf8_lossy(s.name_bytes().map_err(elf)?).into_owned();
            let address = if relocatable {
                let at = next.checked_next_multiple_of(s.align().clamp(1, 1 << 16)).unwrap_or(next);
                next = at.saturating_add(s.size()).saturating_add(0x1000);
                at
            } else {
                s.address()
            };
            loaded.push(Loaded { name, address, size: s.size() });
        }
        let path = path.to_owned();
        Ok(Self {
            path,
            build_id,
            loaded,
            parts,
            symbols: OnceCell::new(),
            made: keep::Made::default(),
            object,
            _map: map,
        })
    }

    pub fn relocatable(&self) -> bool {
        self.object.kind() == object::ObjectKind::Relocatable
    }

    pub fn has_section(&self, name: &str) -> bool {
        self.object.section_by_name(name).is_some_and(|s| s.size() > 0)
    }

    /// What addresses of a section of this file are increased by.
    fn shift(&self, section: Option<object::SectionIndex>) -> u64 {
        if !self.relocatable() {
            return 0;
        }
        if let Some(at) = section.and_then(|i| self.parts.get(&i)) {
            return *at;
        }
        let Some(s) = section.and_then(|i| self.object.section_by_index(i).ok()) else { return 0 };
        let name = s.name_bytes().unwrap_or_default();
        self.loaded.iter().find(|l| l.name.as_bytes() == name).map_or(0, |l| l.address)
    }

    /// A debug section; empty where there is none. Several of one name stand one behind the other.
    pub fn section(&self, id: SectionId, dwo: bool) -> Result<Reader, DwarfError> {
        let empty = EndianSlice::new(&[], LittleEndian);
        let Some(name) = (if dwo { id.dwo_name() } else { Some(id.name()) }) else { return Ok(empty) };
        let named = |s: &object::read::elf::ElfSection64<'static, '_>| s.name().is_ok_and(|n| n == name);
        let several = self.relocatable() && self.object.sections().filter(named).nth(1).is_some();
        if !several {
            let Some(section) = self.object.section_by_name(name) else { return Ok(empty) };
            return match self.content(&section)? {
                Cow::Borrowed(b) => Ok(EndianSlice::new(b, LittleEndian)),
                Cow::Owned(v) => Ok(EndianSlice::new(extend(self.made.keep(v)), LittleEndian)),
            };
        }
        let mut all = Vec::new();
        for s in self.object.sections().filter(named) {
            all.extend_from_slice(&self.content(&s)?);
        }
        Ok(EndianSlice::new(extend(self.made.keep(all)), LittleEndian))
    }

    /// The bytes of a section, decompressed and relocated.
    fn content(
        &self,
        section: &object::read::elf::ElfSection64<'static, '_>,
    ) -> Result<Cow<'static, [u8]>, DwarfError> {
        let elf = |e: object::read::Error| DwarfError::Elf { path: self.path.clone(), why: e.to_string() };
        let mut data: Cow<'static, [u8]> = section.uncompressed_data().map_err(elf)?;
        if self.relocatable() {
            let mut relocations = section.relocations().peekable();
            if relocations.peek().is_some() {
                let bytes = data.to_mut();
                for (at, r) in relocations {
                    self.relocate(bytes, at, &r)?;
                }
            }
        }
        Ok(data)
    }

    /// One relocation of a debug section: the sum of symbol and addend, in 4 or 8 bytes. Other
    /// kinds (thread-local offsets) leave what stands there.
    fn relocate(&self, bytes: &mut [u8], at: u64, r: &object::Relocation) -> Result<(), DwarfError> {
        let base = match r.target() {
            RelocationTarget::Symbol(i) => {
                let s = self
                    .object
                    .symbol_by_index(i)
                    .map_err(|e| DwarfError::Elf { path: self.path.clone(), why: e.to_string() })?;
                s.address().wrapping_add(self.shift(s.section_index()))
            }
            _ => 0,
        };
        let size = usize::from(r.size() / 8);
        let place = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at..at.checked_add(size)?));
        let Some(place) = place else {
            return Err(DwarfError::Damaged("a relocation outside of its section".into()));
        };
        let mut value = base.wrapping_add(r.addend() as u64);
        if r.has_implicit_addend() {
            let mut word = [0; 8];
            word[..size.min(8)].copy_from_slice(&place[..size.min(8)]);
            value = value.wrapping_add(u64::from_le_bytes(word));
        }
        match r.kind() {
            RelocationKind::Absolute => {}
            // of .eh_frame; its own address counts, which is that of the section
            RelocationKind::Relative => value = value.wrapping_sub(at),
            _ => return Ok(()),
        }
        if matches!(size, 4 | 8) {
            place.copy_from_slice(&value.to_le_bytes()[..size]);
        }
        Ok(())
    }

    /// Functions and variables, by address.
    pub fn symbols(&self) -> &[ElfSymbol] {
        self.symbols.get_or_init(|| {
            let mut all: Vec<ElfSymbol> = self
                .object
                .symbols()
                .filter(|s| s.is_definition())
                .filter_map(|s| {
                    let name = s.name().ok().filter(|n| !n.is_empty())?.to_owned();
                    let address = s.address().wrapping_add(self.shift(s.section_index()));
                    let is_function = s.kind() == object::SymbolKind::Text;
                    Some(ElfSymbol { name, address, size: s.size(), is_function, unique: true })
                })
                .collect();
            all.sort_by(|a, b| a.name.cmp(&b.name));
            for n in 1..all.len() {
                if all[n - 1].name == all[n].name {
                    (all[n - 1].unique, all[n].unique) = (false, false);
                }
            }
            all.sort_by_key(|s| s.address);
            all
        })
    }
}
