//! Makes small BTF blobs for tests: types are added in order and numbered from 1.
//! Knows the format only as Documentation/bpf/btf.rst states it, not the reader.

use super::kind;

/// A blob in the making; a method that adds a type gives its number.
#[derive(Default)]
pub struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    next: u32,
    strings_base: u32,
}

impl Builder {
    pub fn new() -> Self {
        Self { strings: vec![0], next: 1, ..Self::default() }
    }
    /// Split BTF over a base of so many types and string bytes.
    pub fn split(types: u32, strings: u32) -> Self {
        Self { next: types, strings_base: strings, ..Self::default() }
    }
    pub fn string(&mut self, s: &str) -> u32 {
        if s.is_empty() {
            return 0;
        }
        // every string is there once, as pahole leaves it
        let mut at = 0;
        for have in self.strings.split(|c| *c == 0) {
            if have == s.as_bytes() {
                return at + self.strings_base;
            }
            at += have.len() as u32 + 1;
        }
        let at = self.strings.len() as u32 + self.strings_base;
        self.strings.extend_from_slice(s.as_bytes());
        self.strings.push(0);
        at
    }
    fn word(&mut self, w: u32) {
        self.types.extend_from_slice(&w.to_le_bytes());
    }
    pub fn raw(&mut self, name: &str, info: u32, word: u32, rest: &[u32]) -> u32 {
        let name = self.string(name);
        self.word(name);
        self.word(info);
        self.word(word);
        for w in rest {
            self.word(*w);
        }
        self.next += 1;
        self.next - 1
    }
    pub fn int(&mut self, name: &str, size: u32, encoding: u32) -> u32 {
        self.raw(name, kind::INT << 24, size, &[(encoding << 24) | (size * 8)])
    }
    pub fn link(&mut self, kind: u32, name: &str, to: u32) -> u32 {
        self.raw(name, kind << 24, to, &[])
    }
    pub fn ptr(&mut self, to: u32) -> u32 {
        self.link(kind::PTR, "", to)
    }
    pub fn typedef(&mut self, name: &str, to: u32) -> u32 {
        self.link(kind::TYPEDEF, name, to)
    }
    pub fn array(&mut self, elem: u32, count: u32) -> u32 {
        self.raw("", kind::ARRAY << 24, 0, &[elem, 0, count])
    }
    /// Members: name, type, bit offset, bits (0: no bit field).
    pub fn record(&mut self, kind: u32, name: &str, size: u32, members: &[(&str, u32, u32, u32)]) -> u32 {
        let flag = u32::from(members.iter().any(|m| m.3 != 0));
        let mut rest = Vec::new();
        for (name, ty, at, bits) in members {
            rest.extend([self.string(name), *ty, at | bits << 24]);
        }
        self.raw(name, flag << 31 | kind << 24 | members.len() as u32, size, &rest)
    }
    pub fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32, u32)]) -> u32 {
        self.record(kind::STRUCT, name, size, members)
    }
    pub fn union(&mut self, name: &str, size: u32, members: &[(&str, u32, u32, u32)]) -> u32 {
        self.record(kind::UNION, name, size, members)
    }
    pub fn enumeration(&mut self, name: &str, values: &[(&str, i32)]) -> u32 {
        let signed = u32::from(values.iter().any(|v| v.1 < 0));
        let mut rest = Vec::new();
        for (name, v) in values {
            rest.extend([self.string(name), *v as u32]);
        }
        self.raw(name, signed << 31 | kind::ENUM << 24 | values.len() as u32, 4, &rest)
    }
    /// A function and its prototype; gives the number of the function.
    pub fn func(&mut self, name: &str, ret: u32, params: &[(&str, u32)]) -> u32 {
        let mut rest = Vec::new();
        for (name, ty) in params {
            rest.extend([self.string(name), *ty]);
        }
        let proto = self.raw("", kind::FUNC_PROTO << 24 | params.len() as u32, ret, &rest);
        self.link(kind::FUNC, name, proto)
    }
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&0xeb9fu16.to_le_bytes());
        out.extend_from_slice(&[1, 0]);
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for w in [24, 0, types, types, strings] {
            out.extend_from_slice(&w.to_le_bytes());
        }
        out.extend_from_slice(&self.types);
        out.extend_from_slice(&self.strings);
        out
    }
    pub fn string_bytes(&self) -> u32 {
        self.strings.len() as u32
    }
    pub fn type_count(&self) -> u32 {
        self.next
    }
}
