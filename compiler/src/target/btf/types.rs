//! BTF as the types that the rest of the compiler asks for ([`TypeSource`]).

use super::{kind, u32_at, Btf, BtfError};
use crate::target::ctype::{CType, Member, Qualifier, RecordKind, TypeError, TypeRef, TypeSource};

impl TypeSource for Btf {
    fn get(&self, ty: TypeRef) -> Result<CType<'_>, TypeError> {
        let Some(raw) = self.raw(Self::id(ty)?)? else {
            return Ok(CType::Void);
        };
        let name = self.string(raw.name_off)?;
        let to = TypeRef(raw.word.into());
        let size = u64::from(raw.word);
        Ok(match raw.kind {
            kind::INT => {
                let info = u32_at(raw.rest, 0).unwrap_or(0);
                let encoding = info >> 24 & 0xf;
                CType::Int {
                    name,
                    size,
                    signed: encoding & 1 != 0,
                    // the compilers leave CHAR unset: known by its name and size
                    is_char: encoding & 2 != 0
                        || size == 1 && matches!(name, "char" | "signed char" | "unsigned char"),
                    is_bool: encoding & 4 != 0,
                }
            }
            kind::FLOAT => CType::Float { name, size },
            kind::PTR => CType::Pointer(to),
            kind::ARRAY => {
                let (elem, count) = (u32_at(raw.rest, 0).unwrap_or(0), u32_at(raw.rest, 8).unwrap_or(0));
                CType::Array { elem: TypeRef(elem.into()), count: count.into() }
            }
            kind::STRUCT => CType::Record { kind: RecordKind::Struct, name, size },
            kind::UNION => CType::Record { kind: RecordKind::Union, name, size },
            kind::ENUM | kind::ENUM64 => CType::Enum { name, size, signed: raw.kind_flag },
            kind::FWD => CType::Forward {
                kind: if raw.kind_flag { RecordKind::Union } else { RecordKind::Struct },
                name,
            },
            kind::TYPEDEF => CType::Typedef { name, to },
            kind::VOLATILE => CType::Qualified { qualifier: Qualifier::Volatile, to },
            kind::CONST => CType::Qualified { qualifier: Qualifier::Const, to },
            kind::RESTRICT => CType::Qualified { qualifier: Qualifier::Restrict, to },
            // a tag (__user, __rcu) says nothing that a script prints: look through it
            kind::TYPE_TAG => return self.get_untagged(to),
            kind::FUNC_PROTO | kind::FUNC => CType::Function,
            other => return Err(TypeError::Damaged(format!("kind {other} where a type is needed"))),
        })
    }

    fn pointer_to(&self, to: TypeRef) -> Option<TypeRef> {
        (1..self.count()).find_map(|id| {
            let raw = self.raw(id).ok()??;
            (raw.kind == kind::PTR && u64::from(raw.word) == to.0).then_some(TypeRef(id.into()))
        })
    }

    fn members(&self, ty: TypeRef) -> Result<Vec<Member<'_>>, TypeError> {
        let ty = self.untag(ty)?;
        let raw = match self.raw(Self::id(ty)?)? {
            Some(r) if r.kind == kind::STRUCT || r.kind == kind::UNION => r,
            Some(r) if r.kind == kind::FWD => {
                return Err(TypeError::Incomplete(self.string(r.name_off)?.to_owned()))
            }
            _ => return Err(TypeError::NotARecord(crate::target::ctype::type_name(self, ty))),
        };
        let mut out = Vec::with_capacity(raw.vlen as usize);
        for m in raw.rest.chunks_exact(12) {
            let word = |n: usize| u32_at(m, 4 * n).unwrap_or(0);
            let (bit_offset, bit_size) =
                if raw.kind_flag { (word(2) & 0xff_ffff, word(2) >> 24) } else { (word(2), 0) };
            let ty = TypeRef(word(1).into());
            let (bit_offset, bit_size) = self.old_bit_field(ty, bit_offset, bit_size);
            out.push(Member { name: self.string(word(0))?, ty, bit_offset: bit_offset.into(), bit_size });
        }
        Ok(out)
    }

    fn record(&self, record: RecordKind, name: &str) -> Option<TypeRef> {
        match record {
            RecordKind::Struct => self.first_of(name, kind::STRUCT),
            RecordKind::Union => self.first_of(name, kind::UNION),
            RecordKind::Class => None,
        }
    }

    fn enumeration(&self, name: &str) -> Option<TypeRef> {
        self.first_of(name, kind::ENUM).or_else(|| self.first_of(name, kind::ENUM64))
    }

    fn typedef(&self, name: &str) -> Option<TypeRef> {
        self.first_of(name, kind::TYPEDEF)
    }

    fn base_type(&self, name: &str) -> Option<TypeRef> {
        if name == "void" {
            return Some(TypeRef(0));
        }
        self.first_of(name, kind::INT).or_else(|| self.first_of(name, kind::FLOAT))
    }

    fn enumerators(&self, ty: TypeRef) -> Result<Vec<(&str, i64)>, TypeError> {
        let Some(raw) = self.raw(Self::id(ty)?)? else {
            return Ok(Vec::new());
        };
        let mut out = Vec::with_capacity(raw.vlen as usize);
        let entry = match raw.kind {
            kind::ENUM => 8,
            kind::ENUM64 => 12,
            _ => return Err(TypeError::Damaged("not an enumeration".into())),
        };
        for e in raw.rest.chunks_exact(entry) {
            let word = |n: usize| u32_at(e, 4 * n).unwrap_or(0);
            let value = match (raw.kind, raw.kind_flag) {
                (kind::ENUM64, _) => (u64::from(word(2)) << 32 | u64::from(word(1))) as i64,
                (_, true) => i64::from(word(1) as i32),
                (_, false) => i64::from(word(1)),
            };
            out.push((self.string(word(0))?, value));
        }
        Ok(out)
    }
}

impl Btf {
    fn id(ty: TypeRef) -> Result<u32, BtfError> {
        u32::try_from(ty.0).map_err(|_| BtfError::Damaged("type number out of range".into()))
    }

    fn first_of(&self, name: &str, kind: u32) -> Option<TypeRef> {
        self.find(name, kind).map(|id| TypeRef(id.into()))
    }

    /// Past the tags in front of a type.
    fn untag(&self, mut ty: TypeRef) -> Result<TypeRef, TypeError> {
        for _ in 0..16 {
            match self.raw(Self::id(ty)?)? {
                Some(r) if r.kind == kind::TYPE_TAG => ty = TypeRef(r.word.into()),
                _ => return Ok(ty),
            }
        }
        Err(TypeError::Damaged("a type tag that leads to itself".into()))
    }

    fn get_untagged(&self, ty: TypeRef) -> Result<CType<'_>, TypeError> {
        let ty = self.untag(ty)?;
        self.get(ty)
    }

    /// Before the kind flag, a bit field was a member of an integer type with fewer bits than bytes.
    fn old_bit_field(&self, ty: TypeRef, bit_offset: u32, bit_size: u32) -> (u32, u32) {
        if bit_size != 0 {
            return (bit_offset, bit_size);
        }
        if let Ok(Some(r)) = self.raw(ty.0 as u32) {
            let info = u32_at(r.rest, 0).unwrap_or(0);
            if r.kind == kind::INT && r.word <= 8 && info & 0xff != 8 * r.word {
                return (bit_offset.wrapping_add(info >> 16 & 0xff), info & 0xff);
            }
        }
        (bit_offset, 0)
    }
}
