//! C types as scripts see them, whatever described them.
//!
//! In: a [`TypeSource`] (BTF, DWARF) that gives types one level
//! at a time. Out: sizes, names as SystemTap prints them, members by name with
//! their offsets through anonymous members, what a load of a value takes.
//! Follows references with a bound, so that a damaged description (a typedef
//! of itself) ends in an error; never reads memory of the traced machine.

use std::fmt;

/// Number of a type in its source: a BTF id, an offset in `.debug_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeRef(pub u64);

/// How far a chain of typedefs, qualifiers or nested anonymous members is followed.
const MAX_DEPTH: u32 = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qualifier {
    Const,
    Volatile,
    Restrict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    Struct,
    Union,
    Class,
}

impl RecordKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Class => "class",
        }
    }
}

/// One level of a type.
#[derive(Clone, Debug, PartialEq)]
pub enum CType<'a> {
    Void,
    Int {
        name: &'a str,
        /// bytes
        size: u64,
        signed: bool,
        /// Plain `char` or a type of its size that holds text.
        is_char: bool,
        is_bool: bool,
    },
    Float {
        name: &'a str,
        size: u64,
    },
    Enum {
        name: &'a str,
        size: u64,
        signed: bool,
    },
    Pointer(TypeRef),
    Array {
        elem: TypeRef,
        /// 0 for a flexible array
        count: u64,
    },
    Record {
        kind: RecordKind,
        name: &'a str,
        size: u64,
    },
    /// Declared and nowhere defined in this source.
    Forward {
        kind: RecordKind,
        name: &'a str,
    },
    Function,
    Typedef {
        name: &'a str,
        to: TypeRef,
    },
    Qualified {
        qualifier: Qualifier,
        to: TypeRef,
    },
}

/// A member of a struct or union as it is described.
#[derive(Clone, Debug, PartialEq)]
pub struct Member<'a> {
    /// Empty where it is anonymous.
    pub name: &'a str,
    pub ty: TypeRef,
    /// From the start of the record.
    pub bit_offset: u64,
    /// 0: not a bit field.
    pub bit_size: u32,
}

/// A member that was found by name: its place counts from the outer record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    pub ty: TypeRef,
    pub bit_offset: u64,
    pub bit_size: u32,
}

impl Field {
    /// Byte at which it begins (of a bit field: of the byte that holds its first bit).
    pub fn offset(&self) -> u64 {
        self.bit_offset / 8
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Param<'a> {
    pub name: &'a str,
    pub ty: TypeRef,
}

/// Parameters and result of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    pub params: Vec<Param<'a>>,
    /// `void` where it returns nothing.
    pub ret: TypeRef,
    pub variadic: bool,
}

/// Why a type could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    #[error("damaged type information: {0}")]
    Damaged(String),
    #[error("type '{0}' is only declared here, its members are not known")]
    Incomplete(String),
    #[error("'{0}' has no members")]
    NotARecord(String),
}

/// A description of types that can be asked one level at a time.
pub trait TypeSource: fmt::Debug {
    fn get(&self, ty: TypeRef) -> Result<CType<'_>, TypeError>;
    /// Of a struct or union; an error for anything else.
    fn members(&self, ty: TypeRef) -> Result<Vec<Member<'_>>, TypeError>;
    /// `struct name`, `union name`: the definition, not a mere declaration.
    fn record(&self, kind: RecordKind, name: &str) -> Option<TypeRef>;
    fn enumeration(&self, name: &str) -> Option<TypeRef>;
    fn typedef(&self, name: &str) -> Option<TypeRef>;
    fn base_type(&self, name: &str) -> Option<TypeRef>;
    /// Names and values of an enumeration.
    fn enumerators(&self, ty: TypeRef) -> Result<Vec<(&str, i64)>, TypeError>;
    /// The definition of a record that is only declared here: where else it is described, and as what.
    fn complete(&self, _kind: RecordKind, _name: &str) -> Option<(&dyn TypeSource, TypeRef)> {
        None
    }
    /// Some pointer type to that one, where the source has any.
    fn pointer_to(&self, to: TypeRef) -> Option<TypeRef>;
    /// Bytes of a pointer.
    fn pointer_size(&self) -> u64 {
        8
    }
}

/// What stands in memory or a register and how to read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Int { size: u8, signed: bool },
    Pointer { to: TypeRef },
}

/// The type without typedefs and qualifiers.
pub fn strip<S: TypeSource + ?Sized>(src: &S, mut ty: TypeRef) -> Result<(TypeRef, CType<'_>), TypeError> {
    for _ in 0..MAX_DEPTH {
        match src.get(ty)? {
            CType::Typedef { to, .. } | CType::Qualified { to, .. } => ty = to,
            other => return Ok((ty, other)),
        }
    }
    Err(TypeError::Damaged("a typedef that leads to itself".into()))
}

/// Size in bytes; 0 for `void` and functions.
pub fn size_of<S: TypeSource + ?Sized>(src: &S, ty: TypeRef) -> Result<u64, TypeError> {
    let mut ty = ty;
    let mut times = 1u64;
    for _ in 0..MAX_DEPTH {
        let one = match strip(src, ty)?.1 {
            CType::Int { size, .. }
            | CType::Float { size, .. }
            | CType::Enum { size, .. }
            | CType::Record { size, .. } => size,
            CType::Pointer(_) => src.pointer_size(),
            CType::Array { elem, count } => {
                times = times.checked_mul(count).ok_or_else(too_big)?;
                ty = elem;
                continue;
            }
            CType::Forward { kind, name } => {
                return Err(TypeError::Incomplete(format!("{} {name}", kind.word())));
            }
            CType::Void | CType::Function | CType::Typedef { .. } | CType::Qualified { .. } => 0,
        };
        return one.checked_mul(times).ok_or_else(too_big);
    }
    Err(TypeError::Damaged("an array of itself".into()))
}

fn too_big() -> TypeError {
    TypeError::Damaged("a type of more bytes than there are addresses".into())
}

/// How a value of the type is read as a number; `None` for records, arrays, floats and `void`.
pub fn scalar<S: TypeSource + ?Sized>(src: &S, ty: TypeRef) -> Result<Option<Scalar>, TypeError> {
    Ok(match strip(src, ty)?.1 {
        CType::Int { size, signed, is_bool, .. } => {
            int_size(size).map(|size| Scalar::Int { size, signed: signed && !is_bool })
        }
        CType::Enum { size, signed, .. } => int_size(size).map(|size| Scalar::Int { size, signed }),
        CType::Pointer(to) => Some(Scalar::Pointer { to }),
        _ => None,
    })
}

fn int_size(size: u64) -> Option<u8> {
    matches!(size, 1 | 2 | 4 | 8).then_some(size as u8)
}

/// Member of that name, also inside anonymous structs and unions.
pub fn find_field<S: TypeSource + ?Sized>(
    src: &S,
    record: TypeRef,
    name: &str,
) -> Result<Option<Field>, TypeError> {
    find_in(src, record, name, 0, MAX_DEPTH)
}

fn find_in<S: TypeSource + ?Sized>(
    src: &S,
    record: TypeRef,
    name: &str,
    base: u64,
    depth: u32,
) -> Result<Option<Field>, TypeError> {
    if depth == 0 {
        return Err(TypeError::Damaged("a struct inside itself".into()));
    }
    let members = src.members(record)?;
    if let Some(m) = members.iter().find(|m| m.name == name && !name.is_empty()) {
        let bit_offset = base.checked_add(m.bit_offset).ok_or_else(too_big)?;
        return Ok(Some(Field { ty: m.ty, bit_offset, bit_size: m.bit_size }));
    }
    for m in members.iter().filter(|m| m.name.is_empty() && m.bit_size == 0) {
        let (inner, ty) = strip(src, m.ty)?;
        if matches!(ty, CType::Record { .. }) {
            let at = base.checked_add(m.bit_offset).ok_or_else(too_big)?;
            if let Some(f) = find_in(src, inner, name, at, depth - 1)? {
                return Ok(Some(f));
            }
        }
    }
    Ok(None)
}

/// All names that [`find_field`] would find, in the order of the declaration.
pub fn field_names<S: TypeSource + ?Sized>(src: &S, record: TypeRef) -> Result<Vec<String>, TypeError> {
    let mut out = Vec::new();
    collect_names(src, record, &mut out, MAX_DEPTH)?;
    Ok(out)
}

fn collect_names<S: TypeSource + ?Sized>(
    src: &S,
    record: TypeRef,
    out: &mut Vec<String>,
    depth: u32,
) -> Result<(), TypeError> {
    if depth == 0 {
        return Err(TypeError::Damaged("a struct inside itself".into()));
    }
    for m in src.members(record)? {
        if !m.name.is_empty() {
            out.push(m.name.to_owned());
        } else if m.bit_size == 0 {
            let (inner, ty) = strip(src, m.ty)?;
            if matches!(ty, CType::Record { .. }) {
                collect_names(src, inner, out, depth - 1)?;
            }
        }
    }
    Ok(())
}

/// A type as a script writes it in `@cast(p, "struct file")`: `struct x`, `union x`, `enum x`,
/// a typedef or a base type, with `*`s, `const` and `volatile` ignored. Gives the type that the
/// words before the `*`s name and the number of `*`s.
pub fn parse_type_name<S: TypeSource + ?Sized>(src: &S, text: &str) -> Option<(TypeRef, u32)> {
    let stars = text.bytes().filter(|b| *b == b'*').count() as u32;
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c == '*')
        .filter(|w| !w.is_empty() && !matches!(*w, "const" | "volatile" | "restrict"))
        .collect();
    let ty = match *words.as_slice() {
        ["struct", name] => src.record(RecordKind::Struct, name),
        ["union", name] => src.record(RecordKind::Union, name),
        ["class", name] => src.record(RecordKind::Class, name),
        ["enum", name] => src.enumeration(name),
        [name] => src
            .typedef(name)
            .or_else(|| src.base_type(name))
            .or_else(|| src.record(RecordKind::Struct, name))
            .or_else(|| src.record(RecordKind::Union, name))
            .or_else(|| src.record(RecordKind::Class, name))
            .or_else(|| src.enumeration(name)),
        [] => None,
        _ => src.base_type(&words.join(" ")).or_else(|| base_alias(src, &words)),
    }?;
    Some((ty, stars))
}

/// `unsigned long` is `long unsigned int` to the compilers that wrote the types.
fn base_alias<S: TypeSource + ?Sized>(src: &S, words: &[&str]) -> Option<TypeRef> {
    let has = |w: &str| words.contains(&w);
    let longs = words.iter().filter(|w| **w == "long").count();
    let unsigned = if has("unsigned") { "unsigned " } else { "" };
    let name = match (longs, has("char"), has("short")) {
        (0, true, _) if has("signed") => "signed char".to_owned(),
        (0, true, _) => format!("{unsigned}char"),
        (0, _, true) => format!("short {unsigned}int"),
        (0, ..) => format!("{unsigned}int"),
        (1, ..) => format!("long {unsigned}int"),
        _ => format!("long long {unsigned}int"),
    };
    src.base_type(&name)
}

/// The name of a type as `stap -L` prints it: `struct file*`, `char const*`, `size_t`.
pub fn type_name<S: TypeSource + ?Sized>(src: &S, ty: TypeRef) -> String {
    let mut out = String::new();
    write_name(src, ty, &mut out, MAX_DEPTH);
    out
}

fn write_name<S: TypeSource + ?Sized>(src: &S, ty: TypeRef, out: &mut String, depth: u32) {
    let Some(depth) = depth.checked_sub(1) else {
        out.push('?');
        return;
    };
    let Ok(t) = src.get(ty) else {
        out.push('?');
        return;
    };
    match t {
        CType::Void => out.push_str("void"),
        CType::Int { name, .. } | CType::Float { name, .. } | CType::Typedef { name, .. } => {
            out.push_str(name)
        }
        CType::Enum { name, .. } => tagged(out, "enum", name),
        CType::Record { kind, name, .. } | CType::Forward { kind, name } => tagged(out, kind.word(), name),
        CType::Pointer(to) => {
            if matches!(strip_qualifiers(src, to), Some(CType::Function)) {
                out.push_str("function*");
            } else {
                write_name(src, to, out, depth);
                out.push('*');
            }
        }
        CType::Array { elem, .. } => {
            write_name(src, elem, out, depth);
            out.push_str("[]");
        }
        CType::Function => out.push_str("function"),
        CType::Qualified { qualifier, to } => {
            write_name(src, to, out, depth);
            out.push_str(match qualifier {
                Qualifier::Const => " const",
                Qualifier::Volatile => " volatile",
                Qualifier::Restrict => " restrict",
            });
        }
    }
}

fn tagged(out: &mut String, word: &str, name: &str) {
    out.push_str(word);
    out.push(' ');
    out.push_str(if name.is_empty() { "{...}" } else { name });
}

fn strip_qualifiers<S: TypeSource + ?Sized>(src: &S, mut ty: TypeRef) -> Option<CType<'_>> {
    for _ in 0..MAX_DEPTH {
        match src.get(ty).ok()? {
            CType::Qualified { to, .. } => ty = to,
            other => return Some(other),
        }
    }
    None
}

impl fmt::Display for TypeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0)
    }
}

impl<S: TypeSource + ?Sized> TypeSource for std::sync::Arc<S> {
    fn get(&self, ty: TypeRef) -> Result<CType<'_>, TypeError> {
        (**self).get(ty)
    }
    fn members(&self, ty: TypeRef) -> Result<Vec<Member<'_>>, TypeError> {
        (**self).members(ty)
    }
    fn record(&self, kind: RecordKind, name: &str) -> Option<TypeRef> {
        (**self).record(kind, name)
    }
    fn enumeration(&self, name: &str) -> Option<TypeRef> {
        (**self).enumeration(name)
    }
    fn typedef(&self, name: &str) -> Option<TypeRef> {
        (**self).typedef(name)
    }
    fn base_type(&self, name: &str) -> Option<TypeRef> {
        (**self).base_type(name)
    }
    fn enumerators(&self, ty: TypeRef) -> Result<Vec<(&str, i64)>, TypeError> {
        (**self).enumerators(ty)
    }
    fn complete(&self, kind: RecordKind, name: &str) -> Option<(&dyn TypeSource, TypeRef)> {
        (**self).complete(kind, name)
    }
    fn pointer_to(&self, to: TypeRef) -> Option<TypeRef> {
        (**self).pointer_to(to)
    }
    fn pointer_size(&self) -> u64 {
        (**self).pointer_size()
    }
}
