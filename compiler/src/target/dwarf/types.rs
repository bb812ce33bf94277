//! Types of debuginfo as [`ctype`](super::super::ctype) knows them.
//!
//! In: a file of debuginfo, and the unit where the question is asked, whose
//! names come first. Out: types one level at a time. A type that the unit only
//! declares is completed from another unit, or from the kernel's BTF.

use super::{Debuginfo, Die, DwarfError, Entry, Unit};
use crate::target::btf::Btf;
use crate::target::ctype::{CType, Member, Qualifier, RecordKind, TypeError, TypeRef, TypeSource};
use gimli::{AttributeValue, DwTag};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// The dimension of an array stands in these bits of a reference: `int a[2][3]` is one entry.
const DIM_SHIFT: u32 = 40;
const DIM_MASK: u64 = 0xff << DIM_SHIFT;

/// What kinds of names an index keeps apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum NameKind {
    Function,
    Variable,
    Struct,
    Union,
    Class,
    Enum,
    Typedef,
    Base,
}

impl NameKind {
    pub(super) fn of_tag(tag: DwTag) -> Option<Self> {
        Some(match tag {
            gimli::DW_TAG_subprogram => Self::Function,
            gimli::DW_TAG_variable => Self::Variable,
            gimli::DW_TAG_structure_type => Self::Struct,
            gimli::DW_TAG_union_type => Self::Union,
            gimli::DW_TAG_class_type => Self::Class,
            gimli::DW_TAG_enumeration_type => Self::Enum,
            gimli::DW_TAG_typedef => Self::Typedef,
            gimli::DW_TAG_base_type => Self::Base,
            _ => return None,
        })
    }

    fn of_record(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Struct => Self::Struct,
            RecordKind::Union => Self::Union,
            RecordKind::Class => Self::Class,
        }
    }
}

/// Names that a unit defines at its top: the first of each.
pub(super) type UnitNames = HashMap<(NameKind, &'static str), Die>;

/// Types as seen from one unit.
#[derive(Clone, Debug)]
pub struct Types {
    pub info: Rc<Debuginfo>,
    /// Names are looked up here first; `None`: from nowhere in particular.
    pub home: Option<Die>,
    /// Completes types that this file only declares.
    pub kernel: Option<Arc<Btf>>,
}

impl From<DwarfError> for TypeError {
    fn from(e: DwarfError) -> Self {
        TypeError::Damaged(e.to_string())
    }
}

impl From<gimli::Error> for TypeError {
    fn from(e: gimli::Error) -> Self {
        DwarfError::from(e).into()
    }
}

fn number(e: &Entry, at: gimli::DwAt) -> Option<u64> {
    e.attr(at).ok()??.udata_value()
}

fn has(e: &Entry, at: gimli::DwAt) -> bool {
    matches!(e.attr(at), Ok(Some(_)))
}

impl Unit {
    pub(super) fn names(&self) -> &UnitNames {
        self.names.get_or_init(|| {
            let mut out = UnitNames::new();
            let Ok(mut tree) = self.unit.entries_tree(None) else { return out };
            let Ok(root) = tree.root() else { return out };
            let mut children = root.children();
            while let Ok(Some(child)) = children.next() {
                let e = child.entry();
                let Some(kind) = NameKind::of_tag(e.tag()) else { continue };
                if has(e, gimli::DW_AT_declaration) {
                    continue;
                }
                let named = |e: &Entry| e.attr_value(gimli::DW_AT_name).ok().flatten();
                // the definition of what was declared before refers to that for its name
                let name = named(e).or_else(|| {
                    let of = e.attr_value(gimli::DW_AT_specification).ok().flatten()?;
                    named(&self.entry(self.reference(&of)?).ok()?)
                });
                if let Some(name) = name.and_then(|n| self.string(n)) {
                    out.entry((kind, name)).or_insert(self.die(e.offset()));
                }
            }
            out
        })
    }

    fn type_ref(&self, e: &Entry) -> Result<TypeRef, TypeError> {
        let v = e.attr_value(gimli::DW_AT_type)?;
        Ok(TypeRef(v.and_then(|v| self.reference(&v)).map_or(0, |d| self.in_full(d).0)))
    }

    /// The type itself, where an entry of this unit only stands for one that is a unit of its own.
    pub(super) fn in_full(&self, die: Die) -> Die {
        let entry = self.entry(die).ok();
        let signature = entry.and_then(|e| e.attr_value(gimli::DW_AT_signature).ok().flatten());
        signature.and_then(|v| self.reference(&v)).unwrap_or(die)
    }

    fn name_in(&self, e: &Entry) -> Result<&'static str, TypeError> {
        Ok(e.attr_value(gimli::DW_AT_name)?.and_then(|v| self.string(v)).unwrap_or(""))
    }
}

impl Types {
    /// A name of the unit itself.
    fn here(&self, kind: NameKind, name: &str) -> Option<TypeRef> {
        let unit = self.info.unit_of(self.home?).ok()?;
        unit.names().get(&(kind, name)).map(|d| TypeRef(d.0))
    }

    /// Does the unit itself define the type that a script names so?
    pub fn has_here(&self, text: &str) -> bool {
        let words: Vec<&str> =
            text.split(|c: char| c.is_whitespace() || c == '*').filter(|w| !w.is_empty()).collect();
        let kind = match words.first() {
            Some(&"struct") => NameKind::Struct,
            Some(&"union") => NameKind::Union,
            Some(&"enum") => NameKind::Enum,
            _ => NameKind::Typedef,
        };
        let Some(name) = words.last() else { return false };
        self.here(kind, name).is_some()
    }

    fn find(&self, kind: NameKind, name: &str) -> Option<TypeRef> {
        self.here(kind, name).or_else(|| self.info.index()?.first(kind, name).map(|d| TypeRef(d.0)))
    }

    fn at(ty: TypeRef) -> (Die, usize) {
        (Die(ty.0 & !DIM_MASK), ((ty.0 & DIM_MASK) >> DIM_SHIFT) as usize)
    }

    /// Elements in each dimension of an array; 0 where that is open.
    fn dimensions(unit: &Unit, die: Die) -> Result<Vec<u64>, TypeError> {
        let mut out = Vec::new();
        let mut tree = unit.unit.entries_tree(Some(unit.offset(die)?))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            let e = child.entry();
            if e.tag() != gimli::DW_TAG_subrange_type {
                continue;
            }
            let count = number(e, gimli::DW_AT_count);
            // an upper bound of -1 is that of no element
            let upper = e
                .attr(gimli::DW_AT_upper_bound)?
                .and_then(|a| a.sdata_value().filter(|v| *v < 0).map_or(a.udata_value(), |_| None));
            out.push(count.or(upper.map(|u| u.saturating_add(1))).unwrap_or(0));
        }
        Ok(out)
    }

    fn of_entry(&self, unit: &Unit, e: &Entry, die: Die, dim: usize) -> Result<CType<'_>, TypeError> {
        let name = unit.name_in(e)?;
        let size = number(e, gimli::DW_AT_byte_size).unwrap_or(0);
        let record = |kind| {
            if has(e, gimli::DW_AT_declaration) {
                CType::Forward { kind, name }
            } else {
                CType::Record { kind, name, size }
            }
        };
        let qualified = |qualifier, to| CType::Qualified { qualifier, to };
        Ok(match e.tag() {
            gimli::DW_TAG_base_type => match e.attr_value(gimli::DW_AT_encoding)? {
                Some(AttributeValue::Encoding(
                    gimli::DW_ATE_float | gimli::DW_ATE_complex_float | gimli::DW_ATE_decimal_float,
                )) => CType::Float { name, size },
                Some(AttributeValue::Encoding(a)) => CType::Int {
                    name,
                    size,
                    signed: matches!(a, gimli::DW_ATE_signed | gimli::DW_ATE_signed_char),
                    is_char: matches!(
                        a,
                        gimli::DW_ATE_signed_char | gimli::DW_ATE_unsigned_char | gimli::DW_ATE_UTF
                    ) && size == 1,
                    is_bool: a == gimli::DW_ATE_boolean,
                },
                _ => return Err(TypeError::Damaged(format!("base type '{name}' without an encoding"))),
            },
            gimli::DW_TAG_pointer_type
            | gimli::DW_TAG_reference_type
            | gimli::DW_TAG_rvalue_reference_type => CType::Pointer(unit.type_ref(e)?),
            gimli::DW_TAG_array_type => {
                let dims = Self::dimensions(unit, die)?;
                let count = dims.get(dim).copied().unwrap_or(0);
                let elem = if dim + 1 < dims.len() && dim < 254 {
                    TypeRef(die.0 | (dim as u64 + 1) << DIM_SHIFT)
                } else {
                    unit.type_ref(e)?
                };
                CType::Array { elem, count }
            }
            gimli::DW_TAG_structure_type => record(RecordKind::Struct),
            gimli::DW_TAG_union_type => record(RecordKind::Union),
            gimli::DW_TAG_class_type => record(RecordKind::Class),
            gimli::DW_TAG_enumeration_type => {
                let signed = match e.attr_value(gimli::DW_AT_encoding)? {
                    Some(AttributeValue::Encoding(a)) => a == gimli::DW_ATE_signed,
                    _ => self.signed_base(unit.type_ref(e)?),
                };
                CType::Enum { name, size, signed }
            }
            gimli::DW_TAG_typedef => CType::Typedef { name, to: unit.type_ref(e)? },
            gimli::DW_TAG_const_type => qualified(Qualifier::Const, unit.type_ref(e)?),
            gimli::DW_TAG_volatile_type => qualified(Qualifier::Volatile, unit.type_ref(e)?),
            gimli::DW_TAG_restrict_type => qualified(Qualifier::Restrict, unit.type_ref(e)?),
            gimli::DW_TAG_atomic_type => CType::Typedef { name: "_Atomic", to: unit.type_ref(e)? },
            gimli::DW_TAG_subroutine_type => CType::Function,
            gimli::DW_TAG_unspecified_type => CType::Void,
            tag => return Err(TypeError::Damaged(format!("{tag} is no type"))),
        })
    }

    /// Is the type below an enumeration a signed one? Without any it is `unsigned int`.
    fn signed_base(&self, ty: TypeRef) -> bool {
        ty.0 != 0 && matches!(crate::target::ctype::strip(self, ty), Ok((_, CType::Int { signed: true, .. })))
    }

    fn member(unit: &Unit, e: &Entry, record_size: u64) -> Result<Option<Member<'static>>, TypeError> {
        let name = if e.tag() == gimli::DW_TAG_inheritance { "" } else { unit.name_in(e)? };
        // a member of a class that stands for all of them
        if has(e, gimli::DW_AT_external) || has(e, gimli::DW_AT_declaration) {
            return Ok(None);
        }
        let start = match e.attr_value(gimli::DW_AT_data_member_location)? {
            Some(AttributeValue::Exprloc(x)) => match x.operations(unit.unit.encoding()).next()? {
                Some(
                    gimli::Operation::PlusConstant { value } | gimli::Operation::UnsignedConstant { value },
                ) => value,
                _ => return Ok(None),
            },
            Some(v) => v.udata_value().unwrap_or(0),
            None => 0,
        };
        let bit_size = number(e, gimli::DW_AT_bit_size).unwrap_or(0);
        let mut bit_offset = start.saturating_mul(8);
        if let Some(bits) = number(e, gimli::DW_AT_data_bit_offset) {
            bit_offset = bit_offset.saturating_add(bits);
        } else if let (Some(from_top), true) = (number(e, gimli::DW_AT_bit_offset), bit_size > 0) {
            // DWARF 3: counted from the top of a unit of that many bytes
            let unit_bits = number(e, gimli::DW_AT_byte_size).unwrap_or(4).min(record_size.max(8)) * 8;
            bit_offset = bit_offset.saturating_add(unit_bits).saturating_sub(from_top + bit_size);
        }
        let bit_size = u32::try_from(bit_size).unwrap_or(0);
        Ok(Some(Member { name, ty: unit.type_ref(e)?, bit_offset, bit_size }))
    }
}

impl TypeSource for Types {
    fn get(&self, ty: TypeRef) -> Result<CType<'_>, TypeError> {
        if ty.0 == 0 {
            return Ok(CType::Void);
        }
        let (die, dim) = Self::at(ty);
        let unit = self.info.unit_of(die)?;
        let entry = unit.entry(die)?;
        self.of_entry(&unit, &entry, die, dim)
    }

    fn members(&self, ty: TypeRef) -> Result<Vec<Member<'_>>, TypeError> {
        let (die, _) = Self::at(ty);
        let unit = self.info.unit_of(die)?;
        let mut tree = unit.unit.entries_tree(Some(unit.offset(die)?))?;
        let root = tree.root()?;
        let size = number(root.entry(), gimli::DW_AT_byte_size).unwrap_or(0);
        let name = unit.name_in(root.entry())?;
        match root.entry().tag() {
            gimli::DW_TAG_structure_type | gimli::DW_TAG_union_type | gimli::DW_TAG_class_type => {}
            _ => return Err(TypeError::NotARecord(name.to_owned())),
        }
        if has(root.entry(), gimli::DW_AT_declaration) {
            return Err(TypeError::Incomplete(name.to_owned()));
        }
        let mut out = Vec::new();
        let mut children = root.children();
        while let Some(child) = children.next()? {
            let e = child.entry();
            if matches!(e.tag(), gimli::DW_TAG_member | gimli::DW_TAG_inheritance) {
                out.extend(Self::member(&unit, e, size)?);
            }
        }
        Ok(out)
    }

    fn record(&self, kind: RecordKind, name: &str) -> Option<TypeRef> {
        self.find(NameKind::of_record(kind), name)
    }

    fn enumeration(&self, name: &str) -> Option<TypeRef> {
        self.find(NameKind::Enum, name)
    }

    fn typedef(&self, name: &str) -> Option<TypeRef> {
        self.find(NameKind::Typedef, name)
    }

    fn base_type(&self, name: &str) -> Option<TypeRef> {
        self.find(NameKind::Base, name)
    }

    fn enumerators(&self, ty: TypeRef) -> Result<Vec<(&str, i64)>, TypeError> {
        let (die, _) = Self::at(ty);
        let unit = self.info.unit_of(die)?;
        let mut tree = unit.unit.entries_tree(Some(unit.offset(die)?))?;
        let mut children = tree.root()?.children();
        let mut out = Vec::new();
        while let Some(child) = children.next()? {
            let e = child.entry();
            if e.tag() == gimli::DW_TAG_enumerator {
                let v = e.attr(gimli::DW_AT_const_value)?;
                let v = v.and_then(|a| a.sdata_value().or(a.udata_value().map(|u| u as i64))).unwrap_or(0);
                out.push((unit.name_in(e)?, v));
            }
        }
        Ok(out)
    }

    fn pointer_to(&self, to: TypeRef) -> Option<TypeRef> {
        // pointers stand beside what uses them: first in the unit of the type
        let unit = self.info.unit_of(Die(to.0)).ok()?;
        let mut tree = unit.unit.entries_tree(None).ok()?;
        let mut children = tree.root().ok()?.children();
        while let Ok(Some(child)) = children.next() {
            let e = child.entry();
            if e.tag() == gimli::DW_TAG_pointer_type && unit.type_ref(e).is_ok_and(|t| t == to) {
                return Some(TypeRef(unit.die(e.offset()).0));
            }
        }
        None
    }

    fn complete(&self, kind: RecordKind, name: &str) -> Option<(&dyn TypeSource, TypeRef)> {
        // the index of names costs most: it is asked last
        if let Some(ty) = self.here(NameKind::of_record(kind), name) {
            return Some((self, ty));
        }
        let btf = self.kernel.as_deref().and_then(|b| Some((b, b.record(kind, name)?)));
        if let Some((btf, ty)) = btf {
            return Some((btf, ty));
        }
        self.record(kind, name).map(|ty| (self as &dyn TypeSource, ty))
    }
}
