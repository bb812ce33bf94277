//! Rules about the container, single instructions and the types of their operands.

use super::*;

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
    pair(&[ldi, i(Op::Ldm, 0, 0, 56, 0), RET], &[ldi, i(Op::Ldm, 0, 0, 72, 0), RET], Rule::Field);
    pair(&[ldi, i(Op::Ldu, 0, 0, 33, 0), RET], &[ldi, i(Op::Ldu, 0, 0, 35, 0), RET], Rule::Field);
    pair(&[ldi, i(Op::Stm, 0, 0, 8, 0), RET], &[ldi, i(Op::Stm, 0, 0, 24, 0), RET], Rule::Field);
    pair(&[ldi, i(Op::Stm, 0, 0, 8, 0), RET], &[ldi, i(Op::Stm, 0, 0, 40, 0), RET], Rule::Field);
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
