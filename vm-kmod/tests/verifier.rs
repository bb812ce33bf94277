//! Each rule of `core/rules.def`, both ways: a program that keeps it is
//! accepted, and the same program with one thing changed is refused by it.
mod common;
use common::{help, i, ibc, Image, ADD, ALL_CAPS, INT, LOCK, READ, RET, STAT, STR, WRITE};
use stp_vm::flat::{Dfa, FmtItem, Func, Iter};
use stp_vm::isa::{Helper, Insn, Op, Rule};

#[track_caller]
fn accepted(im: &Image) {
    stp_vm::verify(&im.flat(), ALL_CAPS).unwrap_or_else(|f| panic!("refused: {f}"));
}

#[track_caller]
fn refused(im: &Image, rule: Rule) {
    let f = stp_vm::verify(&im.flat(), ALL_CAPS).expect_err("accepted");
    assert_eq!(f.rule(), rule, "{f}");
}

fn handler(code: &[Insn]) -> Image {
    let mut im = Image::new();
    im.probe(code, &[]);
    im
}

/// The first code is accepted, the second refused by the rule.
#[track_caller]
fn pair(good: &[Insn], bad: &[Insn], rule: Rule) {
    accepted(&handler(good));
    refused(&handler(bad), rule);
}

#[test]
fn container_sections_lie_inside_the_image() {
    let im = handler(&[RET]);
    let good = im.flat();
    for cut in [0, 7, 100, good.len() - 1] {
        let f = stp_vm::verify(&good[..cut], ALL_CAPS).unwrap_err();
        assert_eq!(f.rule(), Rule::Container);
    }
    // every header word past the checksum, turned to the largest value
    let sects = 40..40 + 14 * 8;
    for at in sects.step_by(4) {
        let mut bad = good.clone();
        bad[at..at + 4].fill(0xff);
        assert_eq!(stp_vm::verify(&bad, ALL_CAPS).unwrap_err().rule(), Rule::Container);
    }
}

#[test]
fn container_tables_point_into_each_other() {
    let good = handler(&[RET]);
    accepted(&good);
    let spoil = |change: &dyn Fn(&mut Image)| {
        let mut im = good.clone();
        im.int(0);
        im.fmt("x");
        change(&mut im);
        refused(&im, Rule::Container);
    };
    spoil(&|im| im.strs[0].len = 1);
    spoil(&|im| im.strs[1].off = 1 << 30);
    spoil(&|im| im.bytes[2] = 1); // the NUL of string 1
    spoil(&|im| im.funcs[0].code = 5);
    spoil(&|im| im.funcs[0].ncode = 0);
    spoil(&|im| im.funcs[0].nregs = 257);
    spoil(&|im| im.funcs[0].naggs = 17);
    spoil(&|im| im.funcs[0].name = 99);
    spoil(&|im| im.funcs[0].try_count = 1);
    spoil(&|im| im.probes[0].func = 1);
    spoil(&|im| im.probes[0].kind = 999);
    spoil(&|im| im.probes[0].pp = 99);
    spoil(&|im| im.probes[0].cond = 0);
    spoil(&|im| im.probes[0].lock_count = 1);
    spoil(&|im| im.globals[0].cls = 6);
    spoil(&|im| im.globals[0].ty = STR);
    spoil(&|im| im.globals[0].nkeys = 1);
    spoil(&|im| im.globals[0].init_str = 99);
    spoil(&|im| im.globals[0].bit_shift = 63);
    spoil(&|im| im.fmts[0].count = 2);
    spoil(&|im| im.items[0].conv = 13);
    spoil(&|im| im.items[0].str = 99);
    spoil(&|im| im.limits.maxstringlen = 15);
    spoil(&|im| im.limits.maxnesting = 0);
}

#[test]
fn container_maps_have_a_size_and_typed_keys() {
    let mut im = handler(&[RET]);
    im.map(&[INT, STR], INT, 10);
    accepted(&im);
    for change in [
        (|g| g.size = 0) as fn(&mut stp_vm::flat::Global),
        |g| g.size = 1 << 24,
        |g| g.keys[1] = STAT,
        |g| g.nkeys = 13,
        |g| g.ty = STAT,
        |g| g.hist = 1,
    ] {
        let mut bad = im.clone();
        change(&mut bad.globals[0]);
        refused(&bad, Rule::Container);
    }
}

#[test]
fn container_linear_histograms_have_1_to_126_buckets() {
    for (lo, hi, step, good) in [
        (0, 126, 1, true),
        (0, 127, 1, false),
        (10, 0, 1, false),
        (0, 10, 0, false),
        (i64::MIN, i64::MAX, 1, false),
    ] {
        let mut im = handler(&[RET]);
        im.stat();
        let g = &mut im.globals[0];
        (g.hist, g.lo, g.hi, g.step) = (2, lo, hi, step);
        if good {
            accepted(&im);
        } else {
            refused(&im, Rule::Container);
        }
    }
}

#[test]
fn opcode_is_known() {
    let mut im = Image::new();
    let f = im.func_words(&[0xff, RET.encode()]);
    im.funcs[f as usize].flags = 1;
    im.probe_of(f, &[]);
    refused(&im, Rule::Opcode);
}

#[test]
fn field_unused_is_zero_and_numbers_are_in_range() {
    let ldi = i(Op::Ldi, 0, 0, 0, 64);
    pair(&[RET], &[i(Op::Ret, 0, 0, 0, 1)], Rule::Field);
    pair(&[RET], &[i(Op::Ret, 1, 0, 0, 0)], Rule::Field);
    pair(&[ldi, i(Op::Sext, 0, 0, 64, 0), RET], &[ldi, i(Op::Sext, 0, 0, 65, 0), RET], Rule::Field);
    pair(&[ldi, i(Op::Zext, 0, 0, 1, 0), RET], &[ldi, i(Op::Zext, 0, 0, 0, 0), RET], Rule::Field);
    pair(&[ldi, i(Op::Ldm, 0, 0, 24, 0), RET], &[ldi, i(Op::Ldm, 0, 0, 3, 0), RET], Rule::Field);
    pair(&[ldi, i(Op::Stm, 0, 0, 8, 0), RET], &[ldi, i(Op::Stm, 0, 0, 24, 0), RET], Rule::Field);
    pair(&[i(Op::Arg, 0, 0, 0, 11), RET], &[i(Op::Arg, 0, 0, 0, 12), RET], Rule::Field);
    pair(&[i(Op::Charge, 0, 0, 0, 1), RET], &[i(Op::Charge, 0, 0, 0, 0), RET], Rule::Field);
}

/// An image with a statistics of a log histogram (0), one without (1), a map (2) and a walk over it.
fn with_tables(code: &[Insn]) -> Image {
    let mut im = Image::new();
    im.stat();
    im.stat();
    im.globals[0].hist = 1;
    im.map(&[INT], INT, 4);
    im.iter(Iter { map: 2, has_limit: 1, ..Iter::default() });
    im.probe(&[&[LOCK, i(Op::Ldi, 0, 0, 0, 1)], code].concat(), &[(0, READ), (1, READ), (2, READ)]);
    im
}

#[test]
fn field_numbers_of_aggregates_keys_and_registers_are_in_range() {
    let agld = i(Op::Agld, 0, 0, 0, 0);
    let itnew = i(Op::Itnew, 0, 0, 0, 0);
    for (before, good, bad) in [
        (agld, i(Op::Agget, 0, 0, 5, 0), i(Op::Agget, 0, 0, 6, 0)),
        (agld, i(Op::Prhist, 1, 0, 0, 0), i(Op::Prhist, 2, 0, 0, 0)),
        (agld, i(Op::Prhist, 0, 0, 0, 0), i(Op::Prhist, 0, 0, 0, 1)), // a statistics without one
        (agld, i(Op::Sphist, 0, 0, 0, 0), i(Op::Sphist, 0, 0, 0, 1)),
        (itnew, i(Op::Itkey, 0, 0, 11, 0), i(Op::Itkey, 0, 0, 12, 0)),
        (itnew, i(Op::Itkeys, 0, 0, 11, 0), i(Op::Itkeys, 0, 0, 12, 0)),
        (agld, i(Op::Reg, 0, 0, 0, 255), i(Op::Reg, 0, 0, 0, 256)),
        (agld, i(Op::Reg, 0, 0, 0, 0), i(Op::Reg, 0, 0, 0, -1)),
        (agld, i(Op::Charge, 0, 0, 0, 65_535), i(Op::Charge, 0, 0, 0, 65_536)),
    ] {
        accepted(&with_tables(&[before, good, RET]));
        refused(&with_tables(&[before, bad, RET]), Rule::Field);
    }
}

#[test]
fn frame_bounds_aggregates_and_iterators() {
    for op in [Op::Agld, Op::Itnew] {
        accepted(&with_tables(&[i(op, 3, 0, 0, 0), RET]));
        refused(&with_tables(&[i(op, 4, 0, 0, 0), RET]), Rule::Frame);
    }
}

#[test]
fn assign_iterators_limits_and_slice_keys() {
    let next = i(Op::Itnext, 0, 1, 0, 0);
    accepted(&with_tables(&[i(Op::Itnew, 0, 0, 0, 0), next, RET]));
    refused(&with_tables(&[i(Op::Itnew, 1, 0, 0, 0), next, RET]), Rule::Assign);
    // r5, its limit, is not there; without a limit the field is not read
    let mut im = with_tables(&[i(Op::Itnew, 0, 5, 0, 0), RET]);
    refused(&im, Rule::Assign);
    im.iters[0].has_limit = 0;
    accepted(&im);
    // nor is r5 as the key of a slice
    let mut im = with_tables(&[i(Op::Itnew, 0, 0, 5, 0), RET]);
    accepted(&im);
    im.iters[0].slice = 1;
    refused(&im, Rule::Assign);
}

#[test]
fn loop_keeps_aggregates_of_its_head() {
    // a jump around the aggregate, into the loop: its end may come to the head without it
    let agld = i(Op::Agld, 0, 0, 0, 0);
    let code = [
        ibc(Op::Jeqi, 0, 2, 7),
        agld,
        i(Op::Agget, 1, 0, 0, 0), // head
        i(Op::Addi, 0, 0, 0, 1),
        ibc(Op::Looplti, 0, 3, 9),
        RET,
    ];
    accepted(&with_tables(&[&[agld], &code[..]].concat()));
    refused(&with_tables(&code), Rule::Loop);
}

#[test]
fn frame_bounds_registers_slots_and_lists() {
    pair(&[i(Op::Ldi, 15, 0, 0, 0), RET], &[i(Op::Ldi, 16, 0, 0, 0), RET], Rule::Frame);
    pair(&[i(Op::Sldk, 15, 0, 0, 0), RET], &[i(Op::Sldk, 16, 0, 0, 0), RET], Rule::Frame);
    let call = |from: u8| {
        let mut im = Image::new();
        let f = im.fmt("%d%d");
        im.probe(&[i(Op::Ldi, 14, 0, 0, 0), i(Op::Ldi, 15, 0, 0, 0), i(Op::Print, 0, from, 0, f), RET], &[]);
        im
    };
    accepted(&call(14));
    refused(&call(15), Rule::Frame);
}

#[test]
fn index_exists() {
    pair(&[i(Op::Sldk, 0, 0, 0, 0), RET], &[i(Op::Sldk, 0, 0, 0, 1), RET], Rule::Index);
    refused(&handler(&[i(Op::Sldk, 0, 0, 0, -1), RET]), Rule::Index);
    refused(&handler(&[i(Op::Ldk, 0, 0, 0, 0), RET]), Rule::Index);
    refused(&handler(&[LOCK, i(Op::Gget, 0, 0, 0, 0), RET]), Rule::Index);
    refused(&handler(&[i(Op::Call, 0, 0, 0, 9), RET]), Rule::Index);
    refused(&handler(&[i(Op::Helpi, 0, 0, 0, 9999), RET]), Rule::Index);
    refused(&handler(&[i(Op::Print, 0, 0, 0, 0), RET]), Rule::Index);
    refused(&handler(&[i(Op::Itnew, 0, 0, 0, 0), RET]), Rule::Index);
}

#[test]
fn type_of_the_global_and_the_helper_fit() {
    let mut im = Image::new();
    let (n, s, p, st) = (im.int(0), im.string(""), im.percpu(), im.stat());
    let (mi, ms, mst) = (im.map(&[INT], INT, 4), im.map(&[INT], STR, 4), im.map(&[INT], STAT, 4));
    let all: Vec<(u16, u16)> = (0..7).map(|g| (g, WRITE)).collect();
    let try_op = |op: Op, g: i32| {
        let mut im = im.clone();
        im.probe(&[LOCK, i(Op::Ldi, 0, 0, 0, 0), i(Op::Sldk, 0, 0, 0, 0), i(op, 0, 0, 0, g), RET], &all);
        stp_vm::verify(&im.flat(), ALL_CAPS).map_err(|f| f.rule())
    };
    let globals = [n, s, p, st, mi, ms, mst];
    for (op, fits) in [
        (Op::Gget, &[n, p][..]),
        (Op::Gset, &[n, p]),
        (Op::Gadd, &[n, p]),
        (Op::Gaddi, &[n, p]),
        (Op::Ggets, &[s]),
        (Op::Gsets, &[s]),
        (Op::Sadd, &[st]),
        (Op::Agld, &[st]),
        (Op::Sclr, &[st]),
        (Op::Mget, &[mi]),
        (Op::Mset, &[mi]),
        (Op::Madd, &[mi]),
        (Op::Maddi, &[mi]),
        (Op::Mgets, &[ms]),
        (Op::Msets, &[ms]),
        (Op::Mhas, &[mi, ms, mst]),
        (Op::Mdel, &[mi, ms, mst]),
        (Op::Mclr, &[mi, ms, mst]),
        (Op::Msadd, &[mst]),
        (Op::Agldm, &[mst]),
    ] {
        for g in globals {
            let want = if fits.contains(&g) { Ok(()) } else { Err(Rule::Type) };
            assert_eq!(try_op(op, g), want, "{op:?} of global {g}");
        }
    }
    pair(
        &[help(Op::Helpi, 0, 0, 0, Helper::Pid), RET],
        &[help(Op::Helps, 0, 0, 0, Helper::Pid), RET],
        Rule::Type,
    );
    refused(&handler(&[help(Op::Helpv, 0, 0, 0, Helper::Pid), RET]), Rule::Type);
}

#[test]
fn assign_on_every_path() {
    let (ldi, jump) = (i(Op::Ldi, 0, 0, 0, 0), ibc(Op::Jeqi, 1, 1, 0));
    let one = i(Op::Ldi, 1, 0, 0, 0);
    pair(&[ldi, i(Op::Mov, 1, 0, 0, 0), RET], &[i(Op::Mov, 1, 0, 0, 0), RET], Rule::Assign);
    // on one branch only
    pair(
        &[one, ldi, jump, ldi, i(Op::Mov, 2, 0, 0, 0), RET],
        &[one, jump, ldi, i(Op::Mov, 2, 0, 0, 0), RET],
        Rule::Assign,
    );
    // on both branches
    accepted(&handler(&[
        one,
        ibc(Op::Jeqi, 1, 2, 0),
        ldi,
        i(Op::Jmp, 0, 0, 0, 1),
        ldi,
        i(Op::Mov, 2, 0, 0, 0),
        RET,
    ]));
    refused(&handler(&[i(Op::Smov, 1, 0, 0, 0), RET]), Rule::Assign);
    refused(&handler(&[i(Op::Agget, 0, 0, 0, 0), RET]), Rule::Assign);
    refused(&handler(&[i(Op::Err, 0, 0, 0, 0)]), Rule::Assign);
}

#[test]
fn assign_ends_at_the_window_of_a_call() {
    let program = |after: Insn| {
        let mut im = Image::new();
        im.callee(0, 0, 1, &[i(Op::Ldi, 0, 0, 0, 0), RET]);
        let ldi = |r| i(Op::Ldi, r, 0, 0, 0);
        im.probe(&[ldi(1), ldi(2), ldi(3), i(Op::Call, 0, 2, 0, 0), after, RET], &[]);
        im
    };
    accepted(&program(i(Op::Mov, 0, 1, 0, 0))); // below the window
    accepted(&program(i(Op::Mov, 0, 2, 0, 0))); // the result
    refused(&program(i(Op::Mov, 0, 3, 0, 0)), Rule::Assign);
}

#[test]
fn assign_the_result_of_a_function() {
    let program = |code: &[Insn], ret| {
        let mut im = handler(&[RET]);
        im.callee(0, 0, ret, code);
        im
    };
    accepted(&program(&[i(Op::Ldi, 0, 0, 0, 0), RET], 1));
    refused(&program(&[RET], 1), Rule::Assign);
    accepted(&program(&[i(Op::Sldk, 0, 0, 0, 0), RET], 2));
    refused(&program(&[i(Op::Ldi, 0, 0, 0, 0), RET], 2), Rule::Assign);
}

#[test]
fn assign_before_a_catch_block_reads() {
    // the block may be entered from before the assignment
    let program = |early: bool| {
        let mut im = Image::new();
        let ldi = i(Op::Ldi, 1, 0, 0, 0);
        let div = i(Op::Div, 2, 0, 0, 0);
        let zero = i(Op::Ldi, 0, 0, 0, 0);
        let body = if early { [ldi, div] } else { [div, ldi] };
        im.probe(&[zero, body[0], body[1], RET, i(Op::Mov, 3, 1, 0, 0), RET], &[]);
        im.try_block(1, 3, 4);
        im
    };
    accepted(&program(true));
    refused(&program(false), Rule::Assign);
}

#[test]
fn jump_stays_in_the_function_and_goes_its_way() {
    pair(&[i(Op::Jmp, 0, 0, 0, 0), RET], &[i(Op::Jmp, 0, 0, 0, 1), RET], Rule::Jump);
    refused(&handler(&[i(Op::Jmp, 0, 0, 0, -1), RET]), Rule::Jump);
    refused(&handler(&[i(Op::Jmp, 0, 0, 0, i32::MAX), RET]), Rule::Jump);
    refused(&handler(&[i(Op::Jmp, 0, 0, 0, i32::MIN), RET]), Rule::Jump);
    pair(&[i(Op::Loop, 1, 0, 0, -1)], &[i(Op::Loop, 1, 0, 0, -2)], Rule::Jump);
    refused(&handler(&[i(Op::Loop, 1, 0, 0, 0), RET]), Rule::Jump);
    let ldi = i(Op::Ldi, 0, 0, 0, 0);
    pair(&[ldi, ibc(Op::Looplti, 0, 1, 9), RET], &[ldi, ibc(Op::Looplti, 0, 3, 9), RET], Rule::Jump);
    refused(&handler(&[ldi, ibc(Op::Looplti, 0, 0, 9), RET]), Rule::Jump);
}

#[test]
fn loop_charges() {
    let ldi = i(Op::Ldi, 0, 0, 0, 0);
    pair(&[i(Op::Loop, 1, 0, 0, -1)], &[i(Op::Loop, 0, 0, 0, -1)], Rule::Loop);
    pair(&[ldi, i(Op::Looplt, 0, 0, 1, -1), RET], &[ldi, i(Op::Looplt, 0, 0, 0, -1), RET], Rule::Loop);
    pair(&[ldi, i(Op::Inclt, 0, 0, 1, -1), RET], &[ldi, i(Op::Inclt, 0, 0, 0, -1), RET], Rule::Loop);
}

#[test]
fn loop_keeps_what_its_head_relies_on() {
    // a jump from before the assignment into the middle of the loop: its end
    // may come to the head without it
    let program = |first: u32| {
        let mut code = vec![
            i(Op::Ldi, 0, 0, 0, 0),
            ibc(Op::Jeqi, 0, 2, 7),
            i(Op::Ldi, 1, 0, 0, 0),
            i(Op::Mov, 2, 1, 0, 0), // head
            i(Op::Addi, 0, 0, 0, 1),
            ibc(Op::Looplti, 0, 3, 9),
            RET,
        ];
        if first == 1 {
            code.insert(1, i(Op::Ldi, 1, 0, 0, 0));
        }
        handler(&code)
    };
    accepted(&program(1));
    refused(&program(0), Rule::Assign);
    // the loop takes its lock: on the second turn the head cannot know
    let turn = |lock: Insn, head: i32| handler(&[LOCK, lock, i(Op::Loop, 1, 0, 0, head)]);
    accepted(&turn(LOCK, -2));
    refused(&turn(i(Op::Unlock, 0, 0, 0, 0), -2), Rule::Loop);
    // a head that nothing but the loop reaches
    refused(&handler(&[i(Op::Jmp, 0, 0, 0, 1), RET, i(Op::Loop, 1, 0, 0, -2)]), Rule::Loop);
}

#[test]
fn loop_may_lose_what_its_head_does_not_read() {
    // r1 is written before the loop; the window of the call inside lies over it
    let program = |head: Insn| {
        let mut im = Image::new();
        let f = im.callee(0, 0, 0, &[RET]);
        let code = [
            i(Op::Ldi, 0, 0, 0, 0),
            i(Op::Ldi, 1, 0, 0, 0),
            head,
            i(Op::Call, 0, 1, 0, f),
            i(Op::Addi, 0, 0, 0, 1),
            ibc(Op::Looplti, 0, 4, 9),
            RET,
        ];
        im.probe(&code, &[]);
        im
    };
    accepted(&program(i(Op::Mov, 0, 0, 0, 0)));
    refused(&program(i(Op::Mov, 0, 1, 0, 0)), Rule::Assign);
}

#[test]
fn end_is_a_return() {
    pair(&[i(Op::Ldi, 0, 0, 0, 0), RET], &[i(Op::Ldi, 0, 0, 0, 0)], Rule::End);
    refused(&handler(&[RET, i(Op::Ldi, 0, 0, 0, 0)]), Rule::End);
}

#[test]
fn call_enters_functions_with_a_window_in_the_frame() {
    let program = |callee: i32, window: u8| {
        let mut im = Image::new();
        im.callee(0, 0, 1, &[i(Op::Ldi, 0, 0, 0, 0), RET]);
        im.probe(&[i(Op::Call, 0, window, 0, callee), RET], &[]);
        im
    };
    accepted(&program(0, 15));
    refused(&program(0, 16), Rule::Call); // no room for the result
    refused(&program(0, 17), Rule::Call);
    refused(&program(1, 0), Rule::Call); // the handler itself
}

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

#[test]
fn caps_are_stated_and_allowed() {
    let zero = i(Op::Ldi, 0, 0, 0, 0);
    for (op, need) in [
        (i(Op::Ldm, 0, 0, 8, 0), 1),
        (i(Op::Ldu, 0, 0, 8, 0), 2),
        (i(Op::Stm, 0, 0, 8, 0), 8),
        (i(Op::Stu, 0, 0, 8, 0), 8),
        (help(Op::Helps, 0, 0, 0, Helper::DPath), 1),
    ] {
        let mut im = handler(&[zero, op, RET]);
        im.caps = need;
        accepted(&im);
        assert_eq!(stp_vm::verify(&im.flat(), !need).unwrap_err().rule(), Rule::Caps);
        im.caps = ALL_CAPS & !need;
        refused(&im, Rule::Caps);
    }
}

#[test]
fn format_states_its_arguments() {
    let mut im = handler(&[RET]);
    im.fmt("%d %s");
    accepted(&im);
    for change in [(|f| f.ni = 2) as fn(&mut stp_vm::flat::Fmt), |f| f.ns = 0] {
        let mut bad = im.clone();
        change(&mut bad.fmts[0]);
        refused(&bad, Rule::Format);
    }
}

#[test]
fn iter_fits_its_map() {
    let program = |it: Iter| {
        let mut im = handler(&[RET]);
        im.map(&[INT, STR], INT, 4);
        im.map(&[INT], STAT, 4);
        im.iter(it);
        im
    };
    let it = Iter::default();
    for good in [
        Iter { sort: 1, key: 1, ..it },
        Iter { sort: 2, ..it },
        Iter { map: 1, sort: 3, key: 5, ..it },
        Iter { slice: 3, ..it },
    ] {
        accepted(&program(good));
    }
    for bad in [
        Iter { sort: 1, key: 2, ..it },
        Iter { sort: 3, ..it },
        Iter { map: 1, sort: 2, ..it },
        Iter { map: 1, sort: 3, key: 6, ..it },
        Iter { slice: 4, ..it },
        Iter { sort: 4, ..it },
    ] {
        refused(&program(bad), Rule::Iter);
    }
    refused(&program(Iter { map: 2, ..it }), Rule::Container);
}

#[test]
fn regex_tables_are_checked() {
    // one state that accepts everything: see core/regex.h
    let table = |start: u32| {
        let mut w = vec![1, 1, 0, start, 0, 0];
        w.extend([0; 64]);
        w.extend([0, 0xffff_ffff, 0, 0xffff_ffff, 0]);
        w.push(0);
        w.push(start);
        w[5] = w.len() as u32;
        w
    };
    let program = |w: Vec<u32>, first| {
        let mut im = handler(&[i(Op::Sldk, 0, 0, 0, 0), i(Op::Rxm, 0, 0, 0, 0), RET]);
        im.dfas.push(Dfa { first, count: w.len() as u32, ..Dfa::default() });
        im.dfadata = w;
        im
    };
    accepted(&program(table(0), 0));
    refused(&program(table(1), 0), Rule::Regex);
    refused(&program(table(0), 1), Rule::Regex);
}

#[test]
fn a_stated_worst_case_holds() {
    let stated = |code: &[Insn], callee: &[Insn], cost: u32| {
        let mut im = handler(code);
        im.callee(0, 0, 0, callee);
        im.probes[0].cost = cost;
        im
    };
    let call = i(Op::Call, 0, 0, 0, 1);
    let charge = |n| i(Op::Charge, 0, 0, 0, n);
    // straight code, branches, charges of its own and of what it calls
    accepted(&stated(&[i(Op::Ldi, 0, 0, 0, 1), ibc(Op::Jeqi, 0, 0, 5), RET], &[RET], 1));
    accepted(&stated(&[charge(3), call, call, RET], &[charge(2), RET], 7));
    refused(&stated(&[charge(3), call, call, RET], &[charge(2), RET], 6), Rule::Cost);
    // loops and recursion have none; not stating one is right for them
    let endless = [i(Op::Loop, 1, 0, 0, -1)];
    refused(&stated(&endless, &[RET], 1_000_000), Rule::Cost);
    refused(&stated(&[call, RET], &endless, 1_000_000), Rule::Cost);
    refused(&stated(&[call, RET], &[call, RET], 1_000_000), Rule::Cost);
    accepted(&stated(&endless, &[RET], 0));
    accepted(&stated(&[call, RET], &[call, RET], 0));
}

#[test]
fn recursion_through_several_functions_is_found_wherever_it_starts() {
    // probe 0 -> a -> b -> c -> b: no bound; probe 1 -> d: one
    let mut im = handler(&[i(Op::Call, 0, 0, 0, 1), RET]);
    for to in [2, 3, 2] {
        im.callee(0, 0, 0, &[i(Op::Call, 0, 0, 0, to), RET]);
    }
    im.callee(0, 0, 0, &[RET]);
    im.probe(&[i(Op::Call, 0, 0, 0, 4), RET], &[]);
    im.probes[1].cost = 9;
    accepted(&im);
    im.probes[0].cost = 9;
    refused(&im, Rule::Cost);
}

#[test]
fn complex_images_are_refused_not_verified_for_ever() {
    // every function is the same long stretch of code
    let mut im = handler(&[RET]);
    let long: Vec<u64> =
        std::iter::repeat_n(i(Op::Ldi, 0, 0, 0, 0).encode(), 20_000).chain([RET.encode()]).collect();
    im.func_words(&long);
    let f = im.funcs[1];
    im.funcs.extend(vec![f; 20_000]);
    refused(&im, Rule::Complex);
    // more try blocks than the machine looks through
    let mut im = Image::new();
    im.probe(&[LOCK, RET, RET], &[]);
    for _ in 0..300 {
        im.try_block(0, 1, 2);
    }
    refused(&im, Rule::Complex);
}

#[test]
fn complex_code_between_two_charges_has_a_bound() {
    let filler = |n: usize| vec![i(Op::Ldi, 0, 0, 0, 0); n];
    // a function
    let function = |n: usize| handler(&[filler(n), vec![RET]].concat());
    accepted(&function(65_535));
    refused(&function(65_536), Rule::Complex);
    // a loop
    let turn = |n: usize| handler(&[filler(n), vec![i(Op::Loop, 1, 0, 0, -1 - n as i32)]].concat());
    accepted(&turn(4_095));
    refused(&turn(4_096), Rule::Complex);
    let short =
        |n: u16| handler(&[filler(usize::from(n) - 1), vec![ibc(Op::Looplti, 0, n, 5), RET]].concat());
    accepted(&short(4_096));
    refused(&short(4_097), Rule::Complex);
}

#[test]
fn complex_tables_that_share_what_they_refer_to_are_refused() {
    // a format of more pieces than arguments can ask for
    let pieces = |n: usize| {
        let mut im = handler(&[RET]);
        im.fmt_items(&vec![FmtItem { prec: -1, ..FmtItem::default() }; n]);
        im
    };
    accepted(&pieces(1024));
    refused(&pieces(1025), Rule::Complex);
    // lock sets: every probe has the same large one
    let locks = |probes: usize| {
        let mut im = Image::new();
        for _ in 0..4096 {
            im.int(0);
        }
        im.probe(&[RET], &(0..4096).map(|g| (g, READ)).collect::<Vec<_>>());
        let p = im.probes[0];
        im.probes.resize(probes, p);
        im
    };
    accepted(&locks(4096));
    refused(&locks(4097), Rule::Complex);
    // regular expressions: all of them the same large table
    let (states, classes) = (1000u32, 256);
    let mut w = vec![states, classes, 0, 0, 0, 0];
    w.extend((0..64).map(|n| (0..4).map(|b| (4 * n + b) << (8 * b)).sum::<u32>()));
    for _ in 0..states {
        w.extend([0, !0, 0, !0, 0]);
    }
    w.resize(w.len() + (states * classes) as usize, 0);
    w.push(0);
    w[5] = w.len() as u32;
    let dfas = |n: usize| {
        let mut im = handler(&[RET]);
        im.dfas.resize(n, Dfa { first: 0, count: w.len() as u32, ..Dfa::default() });
        im.dfadata = w.clone();
        im
    };
    accepted(&dfas(60));
    refused(&dfas(70), Rule::Complex);
    // more items in a state than a match has room for, in a table without tags too
    let mut many = dfas(1);
    (many.dfadata[4], many.dfadata[70]) = (!0, 1025);
    refused(&many, Rule::Regex);
}

#[test]
fn caps_guru_for_handlers_without_a_limit() {
    let mut im = handler(&[RET]);
    im.limits.suppress_time = 1;
    accepted(&im);
    im.caps &= !8;
    refused(&im, Rule::Caps);
}

#[test]
fn handlers_have_no_parameters_and_probes_enter_handlers_only() {
    let mut im = handler(&[RET]);
    im.funcs[0].ni = 1;
    refused(&im, Rule::Container);
    let mut im = handler(&[RET]);
    im.funcs[0] = Func { flags: 0, ..im.funcs[0] };
    refused(&im, Rule::Container);
}
