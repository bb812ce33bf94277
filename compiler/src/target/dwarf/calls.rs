//! Who is called from a function, and how a probe there can know it.
//!
//! In: functions, a pattern. Out: functions that are called from them or were
//! inlined into them, with the return addresses that a call from there leaves
//! on the stack. Calls are what the compiler noted of them (DW_TAG_call_site);
//! a call through a pointer and a jump in the place of a call leave no trace.

use super::code::{CallSite, Instance};
use super::location::Formula;
use super::{Debuginfo, Die, Result, Unit};
use crate::target::glob;
use std::collections::BTreeMap;
use std::rc::Rc;

/// DWARF number of the stack pointer on x86_64.
const STACK_POINTER: u8 = 7;
/// Levels of callees; more are not asked for in earnest.
pub const MAX_DEPTH: u32 = 16;

/// One way by which a place is reached: return addresses, from the last call outwards, each with
/// its distance from the stack pointer at the place, and what it can be.
pub type Way = Vec<(i64, Vec<u64>)>;

/// A function that is called, or an instance that was inlined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callee {
    /// The function or inlined instance from which.
    pub caller: Instance,
    pub callee: Instance,
    /// None: the code is nobody else's.
    pub ways: Vec<Way>,
}

/// Callees, and the names of functions to which there is a jump only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callees {
    pub found: Vec<Callee>,
    pub jumps: Vec<String>,
}

/// A function or instance whose callees are looked for; `ways`: how it was reached, from the stack
/// pointer at the entry of the function that it is in.
#[derive(Clone)]
struct Node {
    at: Instance,
    ways: Vec<Way>,
}

impl Debuginfo {
    /// Callees of the given functions by pattern; and those of these, down to `depth`.
    pub fn callees(&self, functions: &[Instance], pattern: &str, depth: u32) -> Result<Callees> {
        let mut out = Callees::default();
        let node = |f: &Instance| Node { at: f.clone(), ways: Vec::new() };
        let mut level: Vec<Node> = functions.iter().map(node).collect();
        for n in 0..depth.clamp(1, MAX_DEPTH) {
            let deeper = n + 1 < depth;
            let mut next = Vec::new();
            for caller in &level {
                self.inlined_into(caller, pattern, &mut out, &mut next)?;
                self.called_from(caller, pattern, deeper, &mut out, &mut next)?;
            }
            level = next;
        }
        out.found.sort_by_key(|c| (c.callee.pc, c.callee.inlined, c.callee.die, c.caller.pc));
        Ok(out)
    }

    fn inlined_into(
        &self,
        caller: &Node,
        pattern: &str,
        out: &mut Callees,
        next: &mut Vec<Node>,
    ) -> Result<()> {
        let unit = self.unit_of(caller.at.die)?;
        for i in unit.code().inlined.iter().filter(|i| i.parent == caller.at.die) {
            let at = self.instance(i.die, i.pc, true)?;
            if glob::matches(pattern, &at.name) {
                let ways = match self.pushed(i.pc)? {
                    Some(pushed) => shifted(&caller.ways, pushed),
                    None => Vec::new(),
                };
                out.found.push(Callee { caller: caller.at.clone(), callee: at.clone(), ways });
            }
            // the stack pointer is that of the function around it
            next.push(Node { at, ways: caller.ways.clone() });
        }
        Ok(())
    }

    fn called_from(
        &self,
        caller: &Node,
        pattern: &str,
        deeper: bool,
        out: &mut Callees,
        next: &mut Vec<Node>,
    ) -> Result<()> {
        let unit = self.unit_of(caller.at.die)?;
        let mut by_callee: BTreeMap<Die, Vec<&CallSite>> = BTreeMap::new();
        for s in unit.code().calls.iter().filter(|s| s.parent == caller.at.die) {
            by_callee.entry(s.to).or_default().push(s);
        }
        for (to, sites) in by_callee {
            let name = self.name_of(to)?;
            let wanted = glob::matches(pattern, name);
            if !(wanted || deeper) {
                continue;
            }
            let returns: Vec<u64> = sites.iter().filter_map(|s| s.returns_to).collect();
            if returns.is_empty() {
                if wanted {
                    out.jumps.push(name.to_owned());
                }
                continue;
            }
            let ways = self.ways(caller, &returns)?;
            for callee in self.function_of(&unit, to, name)? {
                if wanted {
                    let caller = caller.at.clone();
                    out.found.push(Callee { caller, callee: callee.clone(), ways: ways.clone() });
                }
                next.push(Node { at: callee, ways: ways.clone() });
            }
        }
        Ok(())
    }

    /// How a callee is reached from these return addresses in its caller.
    fn ways(&self, caller: &Node, returns: &[u64]) -> Result<Vec<Way>> {
        if caller.ways.is_empty() {
            return Ok(vec![vec![(0, returns.to_vec())]]);
        }
        // where the caller's own return address is depends on what it has pushed by then
        let mut by_pushed: BTreeMap<Option<i64>, Vec<u64>> = BTreeMap::new();
        for r in returns {
            by_pushed.entry(self.pushed(*r)?).or_default().push(*r);
        }
        let mut out = Vec::new();
        for (pushed, returns) in by_pushed {
            match pushed {
                // a frame that only a register finds: who called the caller is not asked
                None => out.push(vec![(0, returns)]),
                Some(pushed) => {
                    for mut way in shifted(&caller.ways, pushed + 8) {
                        way.insert(0, (0, returns.clone()));
                        out.push(way);
                    }
                }
            }
        }
        Ok(out)
    }

    /// Bytes between the stack pointer and the return address of the function around an instruction.
    fn pushed(&self, pc: u64) -> Result<Option<i64>> {
        Ok(match self.frames.cfa(pc)? {
            Some(Formula::Register(STACK_POINTER)) => Some(-8),
            Some(Formula::Binary(super::location::Binary::Add, base, offset)) => match (*base, *offset) {
                (Formula::Register(STACK_POINTER), Formula::Const(n)) => Some(n - 8),
                _ => None,
            },
            _ => None,
        })
    }

    /// Code of the function that a call site names: in its own unit, else wherever a function with a
    /// symbol of that name is.
    fn function_of(&self, unit: &Rc<Unit>, to: Die, name: &str) -> Result<Vec<Instance>> {
        let own =
            unit.code().subs.iter().find(|s| (s.die == to || s.origin == Some(to)) && s.entry.is_some());
        if let Some((s, pc)) = own.and_then(|s| Some((s, s.entry?))) {
            return Ok(vec![self.instance(s.die, pc, false)?]);
        }
        let mut out = Vec::new();
        for s in self.symbols().iter().filter(|s| s.is_function && s.unique && s.name == name) {
            out.extend(self.function_at(s.address)?.filter(|f| f.pc == s.address));
        }
        Ok(out)
    }
}

/// The same ways with more on the stack.
fn shifted(ways: &[Way], by: i64) -> Vec<Way> {
    let further = |w: &Way| w.iter().map(|(at, returns)| (at + by, returns.clone())).collect();
    ways.iter().map(further).collect()
}
