//! Variables that are visible at an address.
//!
//! In: a function or an inlined instance, and an address in it. Out: its
//! parameters and the variables of the blocks around the address, inner blocks
//! before outer ones, of which they hide some; variables of the file.

use super::location::At;
use super::types::NameKind;
use super::{Debuginfo, Die, Result, Unit};
use crate::target::ctype::TypeRef;
use crate::target::dwarf::lines::path_fits;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableKind {
    Parameter,
    Local,
    /// At the top of a file: there all the time.
    Static,
}

/// A variable in scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    pub kind: VariableKind,
    pub die: Die,
    pub ty: TypeRef,
}

/// What is known at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The function or inlined instance whose variables these are.
    pub die: Die,
    pub at: At,
    /// In the order of the declarations, inner blocks first; of names that hide each other the inner one.
    pub variables: Vec<Variable>,
    /// What the function returns; 0 is `void`.
    pub returns: TypeRef,
}

/// Blocks inside blocks: no deeper.
const MAX_BLOCKS: u32 = 200;

/// What an entry inside of a function declares; `None` where it is no variable.
fn variable_kind(tag: gimli::DwTag) -> Option<VariableKind> {
    match tag {
        gimli::DW_TAG_formal_parameter => Some(VariableKind::Parameter),
        gimli::DW_TAG_variable => Some(VariableKind::Local),
        _ => None,
    }
}

impl Debuginfo {
    /// The scope of a function or inlined instance at an address. `innermost`: go into instances
    /// that were inlined there, as a statement means it.
    pub fn scope(&self, die: Die, pc: u64, innermost: bool) -> Result<Scope> {
        let unit = self.unit_of(die)?;
        let code = unit.code();
        let function = match code.inlined.iter().find(|i| i.die == die) {
            Some(i) => code.subs[i.within].die,
            None => die,
        };
        let mut scope = Scope { die, at: At { pc, function }, variables: Vec::new(), returns: TypeRef(0) };
        let mut blocks: Vec<Vec<Variable>> = Vec::new();
        self.block(&unit, die, pc, innermost, MAX_BLOCKS, &mut scope, &mut blocks)?;
        for v in blocks.into_iter().rev().flatten() {
            if !scope.variables.iter().any(|o| o.name == v.name) {
                scope.variables.push(v);
            }
        }
        self.optimised_away(&mut scope)?;
        scope.returns = self.type_of(scope.die)?;
        Ok(scope)
    }

    #[allow(clippy::too_many_arguments)]
    fn block(
        &self,
        unit: &Unit,
        die: Die,
        pc: u64,
        innermost: bool,
        depth: u32,
        scope: &mut Scope,
        blocks: &mut Vec<Vec<Variable>>,
    ) -> Result<()> {
        let Some(depth) = depth.checked_sub(1) else { return Ok(()) };
        let mut own: Vec<Variable> = Vec::new();
        let mut inner: Vec<(Die, bool)> = Vec::new();
        let mut tree = unit.unit.entries_tree(Some(unit.offset(die)?))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            let e = child.entry();
            let die = unit.die(e.offset());
            if let Some(kind) = variable_kind(e.tag()) {
                own.extend(self.variable(die, kind)?);
                continue;
            }
            let inlined = e.tag() == gimli::DW_TAG_inlined_subroutine;
            let entered = (inlined && innermost) || e.tag() == gimli::DW_TAG_lexical_block;
            if entered && unit.ranges(e).iter().any(|r| (r.0..r.1).contains(&pc)) {
                inner.push((die, inlined));
            }
        }
        blocks.push(own);
        for (die, inlined) in inner {
            if inlined {
                // another function: what is around it is not in its scope
                blocks.clear();
                scope.die = die;
            }
            self.block(unit, die, pc, innermost, depth, scope, blocks)?;
        }
        Ok(())
    }

    fn variable(&self, die: Die, kind: VariableKind) -> Result<Option<Variable>> {
        let name = self.name_of(die)?;
        if name.is_empty() {
            return Ok(None);
        }
        Ok(Some(Variable { name: name.to_owned(), kind, die, ty: self.type_of(die)? }))
    }

    /// Parameters and outer variables that only the abstract function still has.
    fn optimised_away(&self, scope: &mut Scope) -> Result<()> {
        let unit = self.unit_of(scope.die)?;
        let origin = unit.entry(scope.die)?.attr_value(gimli::DW_AT_abstract_origin)?;
        let Some(origin) = origin.and_then(|v| unit.reference(&v)) else { return Ok(()) };
        let unit = self.unit_of(origin)?;
        let mut tree = unit.unit.entries_tree(Some(unit.offset(origin)?))?;
        let mut children = tree.root()?.children();
        while let Some(child) = children.next()? {
            let e = child.entry();
            let Some(kind) = variable_kind(e.tag()) else { continue };
            let die = unit.die(e.offset());
            if !scope.variables.iter().any(|v| v.name == self.name_of(die).unwrap_or("")) {
                scope.variables.extend(self.variable(die, kind)?);
            }
        }
        Ok(())
    }

    /// A variable of a file: `file` as a script names it, or that of the unit `home`, or any.
    /// Of several files that fit, the one with the shortest path.
    pub fn global(&self, name: &str, file: Option<&str>, home: Option<Die>) -> Result<Option<Variable>> {
        let of = |unit: &Unit| unit.names().get(&(NameKind::Variable, name)).copied();
        let variable = |die: Die| -> Result<Option<Variable>> {
            // a definition refers to its declaration for name and type
            let ty = self.type_of(die)?;
            Ok(Some(Variable { name: name.to_owned(), kind: VariableKind::Static, die, ty }))
        };
        if let (None, Some(home)) = (file, home) {
            if let Some(die) = of(&*self.unit_of(home)?) {
                return variable(die);
            }
        }
        let mut best: Option<(usize, Die)> = None;
        for die in self.indexed(NameKind::Variable, name) {
            let unit = self.unit_of(die)?;
            let fits = file.is_none_or(|f| path_fits(f, unit.name()));
            let length = unit.name().len();
            if fits && best.is_none_or(|(b, _)| length < b) {
                best = Some((length, die));
            }
        }
        match best {
            Some((_, die)) => variable(die),
            None => Ok(None),
        }
    }
}
