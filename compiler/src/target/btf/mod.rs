//! Reader of BTF, the kernel's own description of its types.
//!
//! In: `/sys/kernel/btf/vmlinux`, `/sys/kernel/btf/MODULE` (split BTF over the
//! kernel's) or a file that holds the same bytes. Out: types by number and by
//! name (`types`), signatures of functions. One pass notes where each
//! type begins and chains those of one name; everything else is read when it
//! is asked for. Every number in the file is checked before use: damaged BTF
//! is an error, never a panic. Format: Documentation/bpf/btf.rst of the kernel.

#[cfg(test)]
pub(crate) mod build;
#[cfg(test)]
mod tests;
mod types;

use super::ctype::{Param, Signature, TypeError, TypeRef};
use memchr::memmem;
use std::collections::HashMap;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Kinds of `struct btf_type`.
pub mod kind {
    pub const INT: u32 = 1;
    pub const PTR: u32 = 2;
    pub const ARRAY: u32 = 3;
    pub const STRUCT: u32 = 4;
    pub const UNION: u32 = 5;
    pub const ENUM: u32 = 6;
    pub const FWD: u32 = 7;
    pub const TYPEDEF: u32 = 8;
    pub const VOLATILE: u32 = 9;
    pub const CONST: u32 = 10;
    pub const RESTRICT: u32 = 11;
    pub const FUNC: u32 = 12;
    pub const FUNC_PROTO: u32 = 13;
    pub const VAR: u32 = 14;
    pub const DATASEC: u32 = 15;
    pub const FLOAT: u32 = 16;
    pub const DECL_TAG: u32 = 17;
    pub const TYPE_TAG: u32 = 18;
    pub const ENUM64: u32 = 19;
}

const MAGIC: u16 = 0xeb9f;
/// Chains are this many at most: a bound for damaged files that is far above any kernel.
const MAX_TYPES: u32 = 1 << 24;
const NONE: u32 = u32::MAX;

#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("damaged BTF: {0}")]
    Damaged(String),
    #[error("BTF of the other byte order")]
    ByteOrder,
    #[error("BTF version {0} is not known")]
    Version(u8),
}

impl From<BtfError> for TypeError {
    fn from(e: BtfError) -> Self {
        TypeError::Damaged(e.to_string())
    }
}

fn damaged<T>(what: impl Into<String>) -> Result<T, BtfError> {
    Err(BtfError::Damaged(what.into()))
}

enum Bytes {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(m) => m,
            Self::Owned(v) => v,
        }
    }
}

/// One BTF: of the kernel, or of a module over the kernel's.
pub struct Btf {
    bytes: Bytes,
    types_at: usize,
    types_len: usize,
    strings_at: usize,
    strings_len: usize,
    /// Offset in the type section of each own type; [0] is that of `first`.
    offsets: Vec<u32>,
    /// Number of the first own type: 1, or the count of the base.
    first: u32,
    /// String offsets below this one are the base's.
    strings_base: u32,
    /// Types by name offset: a bucket's newest index, then older ones.
    buckets: Vec<u32>,
    older: Vec<u32>,
    base: Option<Arc<Btf>>,
    /// Searches for a name so far.
    searches: AtomicUsize,
    /// Names by their hash, made when there are many searches.
    names: OnceLock<HashMap<u64, u32>>,
}

/// So many names are searched for in the section as it is; for more an index pays.
const FEW_SEARCHES: usize = 64;

impl std::fmt::Debug for Btf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Btf {{ types: {}.., count: {} }}", self.first, self.offsets.len())
    }
}

/// A type as the file has it.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    pub name_off: u32,
    pub kind: u32,
    pub vlen: u32,
    pub kind_flag: bool,
    /// `size` or `type`, by kind.
    pub word: u32,
    /// What follows the common part.
    pub rest: &'a [u8],
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(b.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// Bytes after the common 12 of a type of this kind.
fn rest_len(kind: u32, vlen: u32) -> Option<usize> {
    let vlen = vlen as usize;
    Some(match kind {
        kind::INT | kind::VAR | kind::DECL_TAG => 4,
        kind::ARRAY => 12,
        kind::STRUCT | kind::UNION | kind::DATASEC | kind::ENUM64 => 12 * vlen,
        kind::ENUM | kind::FUNC_PROTO => 8 * vlen,
        kind::PTR
        | kind::FWD
        | kind::TYPEDEF
        | kind::VOLATILE
        | kind::CONST
        | kind::RESTRICT
        | kind::FUNC
        | kind::FLOAT
        | kind::TYPE_TAG => 0,
        _ => return None,
    })
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name);
    hasher.finish()
}

fn bucket(name_off: u32, mask: u32) -> usize {
    (name_off.wrapping_mul(0x9e37_79b1) >> 12 & mask) as usize
}

impl Btf {
    /// Opens a file of BTF; `base` is the kernel's for that of a module.
    pub fn open(path: &Path, base: Option<Arc<Btf>>) -> Result<Self, BtfError> {
        let io = |source| BtfError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        // SAFETY: the map is private and read only. /sys/kernel/btf never changes
        // under a reader; of a file that somebody truncates meanwhile the worst is
        // SIGBUS, as for any mapped input.
        let bytes = match unsafe { memmap2::Mmap::map(&file) } {
            Ok(m) if !m.is_empty() => Bytes::Mapped(m),
            // sysfs can be mapped only since Linux 6.16, and tells no true size before
            _ => {
                let mut v = Vec::with_capacity(6 << 20);
                file.read_to_end(&mut v).map_err(io)?;
                Bytes::Owned(v)
            }
        };
        Self::index(bytes, base)
    }

    /// BTF that is in memory already.
    pub fn from_bytes(bytes: Vec<u8>, base: Option<Arc<Btf>>) -> Result<Self, BtfError> {
        Self::index(Bytes::Owned(bytes), base)
    }

    fn index(bytes: Bytes, base: Option<Arc<Btf>>) -> Result<Self, BtfError> {
        let b = bytes.get();
        match u16_at(b, 0) {
            Some(MAGIC) => {}
            Some(m) if m == MAGIC.swap_bytes() => return Err(BtfError::ByteOrder),
            _ => return damaged("no BTF magic"),
        }
        match b.get(2) {
            Some(1) => {}
            Some(v) => return Err(BtfError::Version(*v)),
            None => return damaged("no header"),
        }
        let word = |n: usize| u32_at(b, 4 + 4 * n).map(|v| v as usize);
        let (Some(header), Some(type_off), Some(types_len), Some(str_off), Some(strings_len)) =
            (word(0), word(1), word(2), word(3), word(4))
        else {
            return damaged("truncated header");
        };
        let part = |off: usize, len: usize| {
            let at = header.checked_add(off)?;
            (at.checked_add(len)? <= b.len()).then_some(at)
        };
        let Some(types_at) = part(type_off, types_len) else {
            return damaged("types reach past the end");
        };
        let Some(strings_at) = part(str_off, strings_len) else {
            return damaged("strings reach past the end");
        };
        let strings = &b[strings_at..strings_at + strings_len];
        if base.is_none() && strings.first() != Some(&0) || strings.last().is_some_and(|c| *c != 0) {
            return damaged("string section has no proper ends");
        }
        let (first, strings_base) = match &base {
            Some(b) => (b.count(), b.strings_base.saturating_add(b.strings_len as u32)),
            None => (1, 0),
        };

        // the one pass: where each type begins, chained by its name
        let types = &b[types_at..types_at + types_len];
        let guess = types_len / 23;
        let mut offsets = Vec::with_capacity(guess);
        let mut older = Vec::with_capacity(guess);
        let mask = (guess.max(64) as u32).next_power_of_two() - 1;
        let mut buckets = vec![NONE; mask as usize + 1];
        let mut at = 0usize;
        while at < types.len() {
            let Some(head) = types.get(at..at + 12) else {
                return damaged("truncated type");
            };
            // three words of a slice of 12: the reads can't fail
            let name_off = u32_at(head, 0).unwrap_or(0);
            let info = u32_at(head, 4).unwrap_or(0);
            let Some(rest) = rest_len(info >> 24 & 0x1f, info & 0xffff) else {
                return damaged(format!(
                    "type {} has unknown kind {}",
                    first as usize + offsets.len(),
                    info >> 24 & 0x1f
                ));
            };
            if offsets.len() as u32 >= MAX_TYPES {
                return damaged("too many types");
            }
            if name_off != 0 {
                let cell = &mut buckets[bucket(name_off, mask)];
                older.push(*cell);
                *cell = offsets.len() as u32;
            } else {
                older.push(NONE);
            }
            offsets.push(at as u32);
            at += 12 + rest;
        }
        if at != types.len() {
            return damaged("the last type reaches past the end");
        }
        Ok(Self {
            types_at,
            types_len,
            strings_at,
            strings_len,
            offsets,
            first,
            strings_base,
            buckets,
            older,
            base,
            bytes,
            searches: AtomicUsize::new(0),
            names: OnceLock::new(),
        })
    }

    /// One more than the highest type number.
    pub fn count(&self) -> u32 {
        self.first.saturating_add(self.offsets.len() as u32)
    }

    /// Number of the first type of its own: 1, or that of the base's count in split BTF.
    pub fn first_own(&self) -> u32 {
        self.first
    }

    fn strings(&self) -> &[u8] {
        &self.bytes.get()[self.strings_at..self.strings_at + self.strings_len]
    }

    /// Type `id` as the file has it; `None` for 0, which is `void`.
    pub fn raw(&self, id: u32) -> Result<Option<Raw<'_>>, BtfError> {
        if id == 0 {
            return Ok(None);
        }
        if id < self.first {
            return match &self.base {
                Some(b) => b.raw(id),
                None => damaged(format!("type {id} is in no base")),
            };
        }
        let Some(at) = self.offsets.get((id - self.first) as usize) else {
            return damaged(format!("there is no type {id}"));
        };
        let types = &self.bytes.get()[self.types_at..self.types_at + self.types_len];
        let at = *at as usize;
        let (Some(name_off), Some(info), Some(word)) =
            (u32_at(types, at), u32_at(types, at + 4), u32_at(types, at + 8))
        else {
            return damaged("truncated type");
        };
        let (kind, vlen) = (info >> 24 & 0x1f, info & 0xffff);
        let rest = rest_len(kind, vlen).and_then(|n| types.get(at + 12..at + 12 + n));
        let Some(rest) = rest else {
            return damaged("truncated type");
        };
        Ok(Some(Raw { name_off, kind, vlen, kind_flag: info >> 31 != 0, word, rest }))
    }

    /// The string at an offset.
    pub fn string(&self, off: u32) -> Result<&str, BtfError> {
        if off < self.strings_base {
            return match &self.base {
                Some(b) => b.string(off),
                None => damaged("a name is in no base"),
            };
        }
        let tail = self.strings().get((off - self.strings_base) as usize..);
        let Some(tail) = tail.filter(|t| !t.is_empty()) else {
            // an empty string section has the empty name only
            return if off == 0 { Ok("") } else { damaged("a name reaches past the strings") };
        };
        let end = memchr::memchr(0, tail).unwrap_or(tail.len());
        match std::str::from_utf8(&tail[..end]) {
            Ok(s) => Ok(s),
            Err(_) => damaged("a name is not text"),
        }
    }

    /// Name of a type; empty where it has none.
    pub fn name(&self, id: u32) -> Result<&str, BtfError> {
        match self.raw(id)? {
            Some(raw) => self.string(raw.name_off),
            None => Ok("void"),
        }
    }

    /// Offset of exactly this string, among the own ones. A name stands once
    /// in the section (pahole and libbpf see to it), so the first is the only one.
    fn own_string(&self, name: &str) -> Option<u32> {
        let mut needle = Vec::with_capacity(name.len() + 2);
        needle.push(0);
        needle.extend_from_slice(name.as_bytes());
        needle.push(0);
        let strings = self.strings();
        // split BTF has no leading empty string: its first one has nothing before it
        if strings.starts_with(&needle[1..]) {
            return Some(self.strings_base);
        }
        if self.searches.fetch_add(1, Ordering::Relaxed) >= FEW_SEARCHES {
            let at = *self.names.get_or_init(|| self.name_index()).get(&hash(name.as_bytes()))? as usize;
            if strings.get(at..).is_some_and(|s| s.starts_with(&needle[1..])) {
                return Some(at as u32 + self.strings_base);
            }
            // two names of one hash
        }
        memmem::find(strings, &needle).map(|at| at as u32 + 1 + self.strings_base)
    }

    /// Offset in the section of each own string, by its hash.
    fn name_index(&self) -> HashMap<u64, u32> {
        let mut at = 0;
        let mut index = HashMap::new();
        for name in self.strings().split(|b| *b == 0) {
            index.entry(hash(name)).or_insert(at as u32);
            at += name.len() + 1;
        }
        index
    }

    fn string_offset(&self, name: &str) -> Option<u32> {
        if name.is_empty() || name.contains('\0') {
            return None;
        }
        self.base.as_ref().and_then(|b| b.string_offset(name)).or_else(|| self.own_string(name))
    }

    /// Numbers of all types of this kind and name, own ones last.
    pub fn find_all(&self, name: &str, kind: u32) -> Vec<u32> {
        let mut out = Vec::new();
        if let Some(off) = self.string_offset(name) {
            self.by_offset(off, kind, &mut out);
        }
        out
    }

    fn by_offset(&self, off: u32, kind: u32, out: &mut Vec<u32>) {
        if let Some(b) = &self.base {
            b.by_offset(off, kind, out);
        }
        let from = out.len();
        let mut at = self.buckets[bucket(off, self.buckets.len() as u32 - 1)];
        // an older index is always smaller: the walk ends
        while at != NONE {
            let id = self.first + at;
            if let Ok(Some(raw)) = self.raw(id) {
                if raw.name_off == off && raw.kind == kind {
                    out.push(id);
                }
            }
            at = self.older[at as usize];
        }
        out[from..].reverse();
    }

    /// The type of this kind and name; the first where there are several.
    pub fn find(&self, name: &str, kind: u32) -> Option<u32> {
        self.find_all(name, kind).first().copied()
    }

    /// The prototypes of the functions of this name; several where static
    /// functions of one name differ.
    pub fn functions(&self, name: &str) -> Result<Vec<Signature<'_>>, BtfError> {
        let mut out: Vec<Signature> = Vec::new();
        for id in self.find_all(name, kind::FUNC) {
            let Some(func) = self.raw(id)? else { continue };
            let sig = self.signature(func.word)?;
            if !out.contains(&sig) {
                out.push(sig);
            }
        }
        Ok(out)
    }

    /// Of a FUNC_PROTO.
    pub fn signature(&self, proto: u32) -> Result<Signature<'_>, BtfError> {
        let Some(raw) = self.raw(proto)?.filter(|r| r.kind == kind::FUNC_PROTO) else {
            return damaged(format!("type {proto} is no function prototype"));
        };
        let mut params = Vec::with_capacity(raw.vlen as usize);
        let mut variadic = false;
        for p in raw.rest.chunks_exact(8) {
            let (name, ty) = (u32_at(p, 0).unwrap_or(0), u32_at(p, 4).unwrap_or(0));
            if name == 0 && ty == 0 {
                variadic = true;
            } else {
                params.push(Param { name: self.string(name)?, ty: TypeRef(ty.into()) });
            }
        }
        Ok(Signature { params, ret: TypeRef(raw.word.into()), variadic })
    }

    /// Names of all functions, own ones only.
    pub fn function_names(&self) -> impl Iterator<Item = &str> + '_ {
        (self.first..self.count()).filter_map(|id| {
            let raw = self.raw(id).ok()??;
            (raw.kind == kind::FUNC).then(|| self.string(raw.name_off).ok())?
        })
    }
}
