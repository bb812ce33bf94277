//! Type variables: what is known so far of globals, locals, keys and results.
//! In: equalities between them, met one by one. Out: a type for each, with the
//! place that settled it. A class that two types claim keeps the first.

use super::hir::Ty;
use crate::diag::Span;

/// Type variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tv(pub u32);

/// What a variable may hold. Statistics are no values: nothing but `<<<` and `@` operators takes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Long,
    Str,
    Stats,
}

impl Type {
    /// As messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Type::Long => "long",
            Type::Str => "string",
            Type::Stats => "stats",
        }
    }
}

impl From<Ty> for Type {
    fn from(t: Ty) -> Self {
        match t {
            Ty::Long => Type::Long,
            Ty::Str => Type::Str,
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Class {
    parent: u32,
    known: Option<(Type, Span)>,
}

/// Union-find over [`Tv`].
#[derive(Clone, Debug, Default)]
pub struct Table {
    classes: Vec<Class>,
}

impl Table {
    pub fn fresh(&mut self) -> Tv {
        self.classes.push(Class { parent: self.classes.len() as u32, known: None });
        Tv(self.classes.len() as u32 - 1)
    }
    fn root(&self, tv: Tv) -> usize {
        let mut at = tv.0 as usize;
        while self.classes[at].parent as usize != at {
            at = self.classes[at].parent as usize;
        }
        at
    }
    /// The type, and where it was first inferred.
    pub fn get(&self, tv: Tv) -> Option<(Type, Span)> {
        self.classes[self.root(tv)].known
    }
    pub fn ty(&self, tv: Tv) -> Option<Type> {
        self.get(tv).map(|(t, _)| t)
    }
    /// Settles the type; the error is what it was settled to before.
    pub fn settle(&mut self, tv: Tv, ty: Type, at: Span) -> Result<(), (Type, Span)> {
        let root = self.root(tv);
        match self.classes[root].known {
            Some((known, first)) if known != ty => Err((known, first)),
            Some(_) => Ok(()),
            None => {
                self.classes[root].known = Some((ty, at));
                Ok(())
            }
        }
    }
    /// Makes the two one; the error is their types where they differ.
    pub fn unite(&mut self, a: Tv, b: Tv) -> Result<(), (Type, Type)> {
        let (ra, rb) = (self.root(a), self.root(b));
        if ra == rb {
            return Ok(());
        }
        match (self.classes[ra].known, self.classes[rb].known) {
            (Some((x, _)), Some((y, _))) if x != y => return Err((x, y)),
            (None, Some(_)) => self.classes[ra].parent = rb as u32,
            _ => self.classes[rb].parent = ra as u32,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::FileId;

    #[test]
    fn united_variables_share_what_either_learns() {
        let at = Span { file: FileId(0), lo: 3, hi: 4 };
        let mut t = Table::default();
        let (a, b, c) = (t.fresh(), t.fresh(), t.fresh());
        t.unite(a, b).unwrap();
        t.unite(b, c).unwrap();
        t.settle(c, Type::Str, at).unwrap();
        assert_eq!(t.get(a), Some((Type::Str, at)));
        assert_eq!(t.settle(b, Type::Long, at), Err((Type::Str, at)));
        let d = t.fresh();
        t.settle(d, Type::Long, at).unwrap();
        assert_eq!(t.unite(a, d), Err((Type::Str, Type::Long)));
    }
}
