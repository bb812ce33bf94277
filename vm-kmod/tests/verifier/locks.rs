//! Rules about locks, and what try blocks and conditions do to them.

use super::*;

#[test]
fn lock_is_held_where_globals_are_touched() {
    let unlock = i(Op::Unlock, 0, 0, 0, 0);
    let program = |code: &[Insn]| {
        let mut im = Image::new();
        im.int(0);
        im.probe(code, &[(0, WRITE)]);
        im
    };
    let get = i(Op::Gget, 0, 0, 0, 0);
    accepted(&program(&[LOCK, get, RET]));
    refused(&program(&[get, RET]), Rule::LockHeld);
    refused(&program(&[LOCK, unlock, get, RET]), Rule::LockHeld);
    refused(&program(&[LOCK, unlock, LOCK, RET]), Rule::LockHeld);
    // held on one path only
    let zero = i(Op::Ldi, 0, 0, 0, 0);
    refused(&program(&[zero, ibc(Op::Jeqi, 0, 1, 0), LOCK, get, RET]), Rule::LockHeld);
    accepted(&program(&[zero, ibc(Op::Jeqi, 0, 1, 0), LOCK, LOCK, get, RET]));
}

#[test]
fn lock_of_functions_is_their_callers() {
    let program = |flags: u8, lock: bool, in_function: &[Insn]| {
        let mut im = Image::new();
        im.int(0);
        let f = im.callee(0, 0, 0, in_function);
        im.funcs[f as usize].flags = flags;
        let call = i(Op::Call, 0, 0, 0, f);
        let code = if lock { vec![LOCK, call, RET] } else { vec![call, RET] };
        im.probe(&code, &[(0, WRITE)]);
        im
    };
    let get = [i(Op::Gget, 0, 0, 0, 0), RET];
    accepted(&program(2, true, &get));
    refused(&program(2, false, &get), Rule::LockHeld);
    refused(&program(0, true, &get), Rule::LockHeld);
    refused(&program(2, true, &[LOCK, RET]), Rule::LockHeld);
}

#[test]
fn lock_set_covers_what_is_touched() {
    let program = |op: Insn, set: &[(u16, u16)], deep: bool| {
        let mut im = Image::new();
        im.int(0);
        im.percpu();
        im.stat();
        im.map(&[INT], INT, 4);
        let zero = i(Op::Ldi, 0, 0, 0, 0);
        if deep {
            // two calls away
            for code in [vec![zero, op, RET], vec![i(Op::Call, 0, 0, 0, 0), RET]] {
                let f = im.callee(0, 0, 0, &code);
                im.funcs[f as usize].flags = 2;
            }
            im.probe(&[LOCK, i(Op::Call, 0, 0, 0, 1), RET], set);
        } else {
            im.probe(&[LOCK, zero, op, RET], set);
        }
        im
    };
    let (get, set) = (i(Op::Gget, 0, 0, 0, 0), i(Op::Gset, 0, 0, 0, 0));
    for deep in [false, true] {
        accepted(&program(get, &[(0, READ)], deep));
        accepted(&program(get, &[(0, WRITE)], deep));
        refused(&program(get, &[], deep), Rule::LockSet);
        refused(&program(get, &[(1, READ)], deep), Rule::LockSet);
        refused(&program(set, &[(0, READ)], deep), Rule::LockSet);
        refused(&program(set, &[(0, ADD)], deep), Rule::LockSet);
        accepted(&program(set, &[(0, WRITE)], deep));
        // per-CPU data: adding needs this CPU's lock, the rest everybody's
        let (add, sum) = (i(Op::Gaddi, 1, 0, 0, 1), i(Op::Gget, 0, 0, 0, 1));
        accepted(&program(add, &[(1, ADD)], deep));
        refused(&program(sum, &[(1, ADD)], deep), Rule::LockSet);
        accepted(&program(sum, &[(1, READ)], deep));
        refused(&program(add, &[], deep), Rule::LockSet);
        accepted(&program(i(Op::Sadd, 0, 0, 0, 2), &[(2, ADD)], deep));
        refused(&program(i(Op::Sclr, 0, 0, 0, 2), &[(2, ADD)], deep), Rule::LockSet);
    }
}

#[test]
fn lock_set_of_a_sorted_walk_is_exclusive() {
    let program = |sort, mode| {
        let mut im = Image::new();
        im.map(&[INT], INT, 4);
        let it = im.iter(Iter { sort, ..Iter::default() });
        im.probe(&[LOCK, i(Op::Itnew, 0, 0, 0, it), RET], &[(0, mode)]);
        im
    };
    accepted(&program(0, READ));
    accepted(&program(1, WRITE));
    refused(&program(1, READ), Rule::LockSet);
}

#[test]
fn lock_set_covers_the_condition() {
    let program = |set: &[(u16, u16)]| {
        let mut im = Image::new();
        im.int(0);
        let f = im.callee(0, 0, 1, &[i(Op::Gget, 0, 0, 0, 0), RET]);
        im.funcs[f as usize].flags = 2;
        im.probe(&[RET], set);
        im.probes[0].cond = f as u32;
        im
    };
    accepted(&program(&[(0, READ)]));
    refused(&program(&[]), Rule::LockSet);
}

#[test]
fn lock_order_is_ascending() {
    let program = |set: &[(u16, u16)]| {
        let mut im = Image::new();
        im.int(0);
        im.int(0);
        im.probe(&[LOCK, RET], set);
        im
    };
    accepted(&program(&[(0, READ), (1, WRITE)]));
    refused(&program(&[(1, READ), (0, WRITE)]), Rule::LockOrder);
    refused(&program(&[(0, READ), (0, WRITE)]), Rule::LockOrder);
}

#[test]
fn try_blocks_are_caught_behind_them() {
    let program = |from, to, target| {
        let mut im = Image::new();
        let n = i(Op::Ldi, 0, 0, 0, 1);
        im.probe(&[n, i(Op::Div, 0, 0, 0, 0), RET, i(Op::Catch, 0, 0, 0, 0), RET], &[]);
        im.try_block(from, to, target);
        im
    };
    accepted(&program(1, 2, 3));
    refused(&program(1, 1, 3), Rule::Try); // covers nothing
    refused(&program(1, 4, 3), Rule::Try); // its own catch block
    refused(&program(1, 2, 5), Rule::Try); // outside
    refused(&program(1, 2, 4), Rule::Try); // the catch starts no block
    refused(&handler(&[i(Op::Catch, 0, 0, 0, 0), RET]), Rule::Try);
}
