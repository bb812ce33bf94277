//! Pairs of instructions that the machine has one for. In: a [`Body`] before
//! its registers are given. Out: the same with fewer instructions. (The pair at
//! the end of a counting loop is made one by `emit`, which knows the registers.)
//!
//! * `ldi v, 1` … `madd v, …`, with v used nowhere else: `maddi 1, …`

use super::ir::{Access, Bank, Body, NONE};
use stp_vm::isa::Op;

pub fn fuse(body: &mut Body) {
    // Per integer register: how often it is named, and the `ldi` that writes it.
    let mut named = vec![0u32; body.count[Bank::Int as usize] as usize];
    let mut loaded = vec![NONE; named.len()];
    for (i, ins) in body.code.iter().enumerate() {
        ins.operands(|bank, v, access| {
            if bank == Bank::Int {
                named[v as usize] += 1;
                if ins.op == Op::Ldi && access == Access::Def {
                    loaded[v as usize] = i as u32;
                }
            }
        });
    }
    for (_, v) in body.params.iter().filter(|p| p.0 == Bank::Int) {
        named[*v as usize] += 1;
    }
    for (_, v, _) in body.pinned.iter().filter(|p| p.0 == Bank::Int) {
        named[*v as usize] += 1;
    }
    let mut gone = vec![false; body.code.len()];
    for i in 0..body.code.len() {
        let ins = body.code[i];
        // `madd` names its value twice: it reads and writes it.
        if ins.op != Op::Madd || named[ins.a as usize] != 3 || loaded[ins.a as usize] == NONE {
            continue;
        }
        let at = loaded[ins.a as usize] as usize;
        // From the one to the other without an entrance: no loop that adds what was there before.
        if at > i || body.labels.iter().any(|l| *l != NONE && at < *l as usize && *l as usize <= i) {
            continue;
        }
        if let Ok(k) = i8::try_from(body.code[at].imm) {
            gone[at] = true;
            body.code[i].op = Op::Maddi;
            body.code[i].a = u32::from(k as u8);
        }
    }
    if gone.contains(&true) {
        leave_out(body, &gone);
    }
}

/// Takes instructions away; what pointed at one points at the next.
fn leave_out(body: &mut Body, gone: &[bool]) {
    let mut at = Vec::with_capacity(gone.len() + 1);
    let mut n = 0;
    for gone in gone {
        at.push(n);
        n += u32::from(!gone);
    }
    at.push(n);
    let mut keep = gone.iter().map(|gone| !gone);
    body.code.retain(|_| keep.next() != Some(false));
    for l in body.labels.iter_mut().filter(|l| **l != NONE) {
        *l = at[*l as usize];
    }
    for (from, to, _) in &mut body.tries {
        (*from, *to) = (at[*from as usize], at[*to as usize]);
    }
}
