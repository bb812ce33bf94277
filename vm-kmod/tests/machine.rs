//! Opcodes by what they do: numbers, strings, jumps, calls, errors, output.
mod common;
use common::{help, i, ibc, run_one, text, Image, INT, LOCK, WRITE};
use stp_vm::flat::Iter;
use stp_vm::isa::{Helper, Op};
use stp_vm::{Hit, Outcome};

/// Runs `code`, which leaves a number in r0, and gives it back.
fn number(im: &mut Image, code: &[stp_vm::isa::Insn]) -> i64 {
    let f = im.fmt("%d");
    let mut all = code.to_vec();
    all.extend([i(Op::Print, 0, 0, 0, f), i(Op::Ret, 0, 0, 0, 0)]);
    im.probe(&all, &[]);
    im.run().parse().unwrap()
}

fn binary(op: Op, a: i64, b: i64) -> i64 {
    let mut im = Image::new();
    let (ka, kb) = (im.konst(a), im.konst(b));
    number(&mut im, &[i(Op::Ldk, 1, 0, 0, ka), i(Op::Ldk, 2, 0, 0, kb), i(op, 0, 1, 2, 0)])
}

fn immediate(op: Op, a: i64, imm: i32) -> i64 {
    let mut im = Image::new();
    let k = im.konst(a);
    number(&mut im, &[i(Op::Ldk, 1, 0, 0, k), i(op, 0, 1, 0, imm)])
}

#[test]
fn arithmetic_wraps_and_shifts_take_six_bits() {
    let min = i64::MIN;
    assert_eq!(binary(Op::Add, i64::MAX, 1), min);
    assert_eq!(binary(Op::Sub, min, 1), i64::MAX);
    assert_eq!(binary(Op::Mul, i64::MAX, 2), -2);
    assert_eq!(binary(Op::And, 12, 10), 8);
    assert_eq!(binary(Op::Or, 12, 10), 14);
    assert_eq!(binary(Op::Xor, 12, 10), 6);
    assert_eq!(binary(Op::Shl, 1, 65), 2);
    assert_eq!(binary(Op::Shr, -8, 1), -4);
    assert_eq!(binary(Op::Shru, -1, 60), 15);
    assert_eq!(binary(Op::Lt, -1, 0), 1);
    assert_eq!(binary(Op::Le, 1, 0), 0);
    assert_eq!(binary(Op::Eq, 5, 5), 1);
    assert_eq!(binary(Op::Ne, 5, 5), 0);
    assert_eq!(immediate(Op::Addi, 1, -2), -1);
    assert_eq!(immediate(Op::Muli, -3, 3), -9);
    assert_eq!(immediate(Op::Andi, -1, -256), -256);
    assert_eq!(immediate(Op::Ori, 1, 2), 3);
    assert_eq!(immediate(Op::Xori, 1, -1), -2);
    assert_eq!(immediate(Op::Shli, 1, 63), min);
    assert_eq!(immediate(Op::Shri, min, 63), -1);
    assert_eq!(immediate(Op::Shrui, min, 63), 1);
}

#[test]
fn division_truncates_and_never_traps() {
    assert_eq!(binary(Op::Div, -7, 2), -3);
    assert_eq!(binary(Op::Mod, -7, 2), -1);
    assert_eq!(binary(Op::Div, i64::MIN, -1), i64::MIN);
    assert_eq!(binary(Op::Mod, i64::MIN, -1), 0);
}

#[test]
fn division_by_zero_is_an_error_with_its_place() {
    let mut im = Image::new();
    im.probe(
        &[i(Op::Ldi, 0, 0, 0, 1), i(Op::Ldi, 1, 0, 0, 0), i(Op::Div, 0, 0, 1, 0), i(Op::Ret, 0, 0, 0, 0)],
        &[],
    );
    let m = im.machine(1);
    assert_eq!(run_one(&m, 0), Outcome::Error);
    let e = m.drain_all()[0].error().unwrap();
    assert_eq!((e.pc, e.text.as_slice(), e.callers.len()), (2, &b"division by 0"[..], 0));
}

#[test]
fn extensions_keep_the_low_bits() {
    for (op, bits, v, want) in
        [(Op::Sext, 8, 0xff, -1), (Op::Zext, 8, -1, 255), (Op::Sext, 64, -5, -5), (Op::Zext, 1, 3, 1)]
    {
        let mut im = Image::new();
        let k = im.konst(v);
        assert_eq!(number(&mut im, &[i(Op::Ldk, 1, 0, 0, k), i(op, 0, 1, bits, 0)]), want);
    }
}

/// r0 = 1 if the jump of `test` (three words on) is taken.
fn taken(a: i64, test: stp_vm::isa::Insn, b: i64) -> i64 {
    let mut im = Image::new();
    let (ka, kb) = (im.konst(a), im.konst(b));
    number(
        &mut im,
        &[
            i(Op::Ldk, 1, 0, 0, ka),
            i(Op::Ldk, 2, 0, 0, kb),
            i(Op::Ldi, 0, 0, 0, 1),
            test,
            i(Op::Ldi, 0, 0, 0, 0),
        ],
    )
}

#[test]
fn conditional_jumps_compare_signed() {
    for (op, lt, eq, gt) in [(Op::Jeq, 0, 1, 0), (Op::Jne, 1, 0, 1), (Op::Jlt, 1, 0, 0), (Op::Jle, 1, 1, 0)] {
        let t = i(op, 1, 2, 0, 1);
        assert_eq!((taken(-2, t, 1), taken(1, t, 1), taken(2, t, -1)), (lt, eq, gt), "{op:?}");
    }
    for (op, lt, eq, gt) in [
        (Op::Jeqi, 0, 1, 0),
        (Op::Jnei, 1, 0, 1),
        (Op::Jlti, 1, 0, 0),
        (Op::Jlei, 1, 1, 0),
        (Op::Jgti, 0, 0, 1),
        (Op::Jgei, 0, 1, 1),
    ] {
        let t = ibc(op, 1, 1, -7);
        assert_eq!((taken(-8, t, 0), taken(-7, t, 0), taken(0, t, 0)), (lt, eq, gt), "{op:?}");
    }
}

#[test]
fn loops_run_until_their_condition_fails() {
    for back in [
        vec![i(Op::Looplt, 1, 2, 1, -3)],
        vec![ibc(Op::Looplti, 1, 3, 10)],
        vec![i(Op::Jle, 2, 1, 0, 1), i(Op::Loop, 1, 0, 0, -4)],
    ] {
        let mut im = Image::new();
        let mut code = vec![
            i(Op::Ldi, 0, 0, 0, 0),
            i(Op::Ldi, 1, 0, 0, 0),
            i(Op::Ldi, 2, 0, 0, 10),
            i(Op::Add, 0, 0, 1, 0),
            i(Op::Addi, 1, 1, 0, 1),
        ];
        code.extend(back);
        assert_eq!(number(&mut im, &code), 45);
    }
    // the step and the comparison in one: r1 = 0..9
    let code = [
        i(Op::Ldi, 0, 0, 0, 0),
        i(Op::Ldi, 1, 0, 0, 0),
        i(Op::Ldi, 2, 0, 0, 10),
        i(Op::Add, 0, 0, 1, 0),
        i(Op::Inclt, 1, 2, 1, -2),
        i(Op::Muli, 1, 1, 0, 1000),
        i(Op::Add, 0, 0, 1, 0),
    ];
    assert_eq!(number(&mut Image::new(), &code), 10_045);
}

#[test]
fn an_endless_loop_ends_at_maxaction() {
    let mut im = Image::new();
    im.limits.maxaction = 20;
    im.limits.maxaction_int = 200;
    let g = im.int(0);
    let code = [i(Op::Lock, 0, 0, 0, 0), i(Op::Gaddi, 1, 0, 0, g), i(Op::Loop, 1, 0, 0, -2)];
    im.probe(&code, &[(0, common::WRITE)]);
    im.probe(&code, &[(0, common::WRITE)]);
    im.probes[1].flags = 1; // interruptible: the other limit
    let f = im.fmt("%d\n");
    im.probe(
        &[i(Op::Lock, 0, 0, 0, 0), i(Op::Gget, 0, 0, 0, g), i(Op::Print, 0, 0, 0, f), i(Op::Ret, 0, 0, 0, 0)],
        &[(0, common::READ)],
    );
    let m = im.machine(1);
    assert_eq!(run_one(&m, 0), Outcome::Error);
    run_one(&m, 2);
    assert_eq!(text(&m), "ERROR: MAXACTION exceeded\n21\n");
    run_one(&m, 1);
    run_one(&m, 2);
    assert_eq!(text(&m), "ERROR: MAXACTION exceeded\n222\n");
}

#[test]
fn strings_are_joined_compared_and_cut() {
    let mut im = Image::new();
    im.limits.maxstringlen = 16;
    let (a, b) = (im.str("0123456789"), im.str("abcdefgh"));
    let f = im.fmt("%s|%s|%s %d%d%d%d\n");
    im.probe(
        &[
            i(Op::Sldk, 0, 0, 0, a),
            i(Op::Sldk, 1, 0, 0, b),
            i(Op::Scat, 2, 0, 1, 0),
            i(Op::Smov, 3, 2, 0, 0),
            i(Op::Scat, 0, 0, 0, 0),
            i(Op::Scat, 1, 2, 1, 0), // the result may be the second operand
            i(Op::Smov, 4, 1, 0, 0),
            i(Op::Smov, 1, 3, 0, 0),
            i(Op::Smov, 2, 4, 0, 0),
            i(Op::Seq, 0, 1, 2, 0),
            i(Op::Sne, 1, 1, 0, 0),
            i(Op::Slt, 2, 0, 1, 0),
            i(Op::Sle, 3, 1, 1, 0),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &[],
    );
    assert_eq!(im.run(), "012345678901234|0123456789abcde|0123456789abcde 1111\n");
}

#[test]
fn appending_a_string_to_itself_doubles_it() {
    let mut im = Image::new();
    let (a, b) = (im.str("xy"), im.str("z"));
    let f = im.fmt("%s");
    im.probe(
        &[
            i(Op::Sldk, 0, 0, 0, a),
            i(Op::Sldk, 1, 0, 0, b),
            i(Op::Scat, 0, 0, 1, 0),
            i(Op::Scat, 0, 0, 0, 0),
            i(Op::Scat, 0, 0, 0, 0),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &[],
    );
    assert_eq!(im.run(), "xyzxyzxyzxyz");
}

#[test]
fn string_jumps_compare_bytes() {
    let mut im = Image::new();
    let (a, b) = (im.str("same"), im.str("sama"));
    let f = im.fmt("%s");
    for op in [Op::Jseq, Op::Jsne] {
        im.probe(
            &[
                i(Op::Sldk, 0, 0, 0, a),
                i(Op::Sldk, 1, 0, 0, b),
                i(op, 0, 1, 0, 1),
                i(Op::Print, 0, 0, 0, f),
                i(op, 0, 0, 0, 1),
                i(Op::Print, 0, 0, 1, f),
                i(Op::Ret, 0, 0, 0, 0),
            ],
            &[],
        );
    }
    assert_eq!(im.run(), "samesama");
}

#[test]
fn calls_pass_arguments_in_windows_and_leave_results_there() {
    let mut im = Image::new();
    // f(n, s) = n < 1 ? 0 : n + f(n - 1, s)
    im.callee(
        1,
        1,
        1,
        &[
            ibc(Op::Jgei, 0, 2, 1),
            i(Op::Ldi, 0, 0, 0, 0),
            i(Op::Ret, 0, 0, 0, 0),
            i(Op::Addi, 1, 0, 0, -1),
            i(Op::Smov, 1, 0, 0, 0),
            i(Op::Call, 0, 1, 1, 0),
            i(Op::Add, 0, 0, 1, 0),
            i(Op::Ret, 0, 0, 0, 0),
        ],
    );
    let s = im.str("t");
    assert_eq!(
        number(
            &mut im,
            &[
                i(Op::Ldi, 3, 0, 0, 8),
                i(Op::Sldk, 5, 0, 0, s),
                i(Op::Call, 0, 3, 5, 0),
                i(Op::Mov, 0, 3, 0, 0)
            ]
        ),
        36
    );
}

#[test]
fn too_deep_calls_name_every_caller() {
    let mut im = Image::new();
    im.limits.maxnesting = 6;
    im.callee(0, 0, 0, &[i(Op::Call, 0, 0, 0, 0), i(Op::Ret, 0, 0, 0, 0)]);
    im.probe(&[i(Op::Call, 0, 0, 0, 0), i(Op::Ret, 0, 0, 0, 0)], &[]);
    let m = im.machine(1);
    assert_eq!(run_one(&m, 0), Outcome::Error);
    let e = m.drain_all()[0].error().unwrap();
    assert_eq!(e.text, b"MAXNESTING exceeded");
    assert_eq!((e.pc, e.callers), (0, vec![0, 0, 0, 0, 0, 2]));
}

#[test]
fn calls_without_charges_end_too() {
    // a tree of calls, 20^10 without a bound
    let mut im = Image::new();
    let mut body = vec![i(Op::Call, 0, 0, 0, 0); 20];
    body.push(i(Op::Ret, 0, 0, 0, 0));
    let own = [i(Op::Ret, 0, 0, 0, 0)];
    im.callee(0, 0, 0, &own);
    for n in 0..9 {
        for c in &mut body[..20] {
            c.imm = n;
        }
        im.callee(0, 0, 0, &body);
    }
    im.probe(&[i(Op::Call, 0, 0, 0, 9), i(Op::Ret, 0, 0, 0, 0)], &[]);
    assert_eq!(im.run(), "ERROR: MAXACTION exceeded\n");
}

#[test]
fn catch_takes_errors_of_callees_but_not_of_maxaction() {
    let mut im = Image::new();
    let (s, f) = (im.str("oops"), im.fmt("caught %s\n"));
    im.callee(0, 0, 0, &[i(Op::Sldk, 0, 0, 0, s), i(Op::Err, 0, 0, 0, 0)]);
    im.callee(0, 0, 0, &[i(Op::Loop, 100, 0, 0, -1)]);
    for callee in 0..2 {
        im.probe(
            &[
                i(Op::Call, 0, 0, 0, callee),
                i(Op::Ret, 0, 0, 0, 0),
                i(Op::Catch, 1, 0, 0, 0),
                i(Op::Print, 0, 0, 1, f),
                i(Op::Ret, 0, 0, 0, 0),
            ],
            &[],
        );
        im.try_block(0, 1, 2);
    }
    assert_eq!(im.run(), "caught oops\nERROR: MAXACTION exceeded\n");
}

#[test]
fn the_innermost_try_block_wins() {
    let mut im = Image::new();
    let (s, t) = (im.str("inner"), im.str("outer"));
    let f = im.fmt("%s;");
    im.probe(
        &[
            i(Op::Sldk, 0, 0, 0, s),
            i(Op::Err, 0, 0, 0, 0),
            i(Op::Catch, 1, 0, 0, 0),
            i(Op::Print, 0, 0, 1, f),
            i(Op::Sldk, 0, 0, 0, t),
            i(Op::Err, 0, 0, 0, 0),
            i(Op::Catch, 1, 0, 0, 0),
            i(Op::Print, 0, 0, 1, f),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &[],
    );
    im.try_block(1, 2, 2);
    im.try_block(0, 6, 6);
    assert_eq!(im.run(), "inner;outer;");
}

#[test]
fn abort_leaves_try_blocks_without_an_error() {
    let mut im = Image::new();
    let f = im.fmt("no");
    im.probe(
        &[
            help(Op::Helpv, 0, 0, 0, Helper::Abort),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Catch, 1, 0, 0, 0),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &[],
    );
    im.try_block(0, 2, 2);
    let m = im.machine(1);
    assert_eq!(run_one(&m, 0), Outcome::Ok);
    assert!(m.exiting());
    assert_eq!(text(&m), "");
}

#[test]
fn a_condition_decides_whether_the_handler_runs() {
    let mut im = Image::new();
    let g = im.int(0);
    let n = im.callee(0, 0, 1, &[i(Op::Gget, 0, 0, 0, g), i(Op::Ret, 0, 0, 0, 0)]);
    im.funcs[n as usize].flags = 2; // runs under the probe's locks
    let f = im.fmt("on\n");
    im.probe(&[i(Op::Print, 0, 0, 0, f), i(Op::Ret, 0, 0, 0, 0)], &[(0, common::READ)]);
    im.probes[0].cond = n as u32;
    im.probe(
        &[i(Op::Lock, 0, 0, 0, 0), i(Op::Gaddi, 1, 0, 0, g), i(Op::Ret, 0, 0, 0, 0)],
        &[(0, common::WRITE)],
    );
    let m = im.machine(2);
    assert_eq!(run_one(&m, 0), Outcome::SkippedCond);
    run_one(&m, 1);
    assert_eq!(run_one(&m, 0), Outcome::Ok);
    assert_eq!(text(&m), "on\n");
}

#[test]
fn the_hit_is_seen_by_its_opcodes() {
    let mut im = Image::new();
    let f = im.fmt("%d %d %x %d\n");
    im.probe(
        &[
            i(Op::Arg, 0, 0, 0, 1),
            i(Op::Arg, 1, 0, 0, 11),
            i(Op::Retv, 2, 0, 0, 0),
            i(Op::Reg, 3, 0, 0, 7),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &[],
    );
    let m = im.machine(1);
    let mut regs = [0; 17];
    regs[7] = 77;
    let hit = Hit { args: vec![5, 6], regs: Some(regs), retval: 0xbeef, ..Hit::default() };
    assert_eq!(m.run(0, 0, &hit), Outcome::Ok);
    assert_eq!(text(&m), "6 0 beef 77\n");
    assert_eq!(m.run(0, 0, &Hit::default()), Outcome::Error);
    assert_eq!(text(&m), "ERROR: no value for register 7\n");
}

#[test]
fn memory_is_read_by_size_and_faults_are_errors() {
    let mut im = Image::new();
    let f = im.fmt("%d %d %d\n");
    im.probe(
        &[
            i(Op::Arg, 0, 0, 0, 0),
            i(Op::Ldm, 1, 0, 1 | 16, 0),
            i(Op::Ldm, 2, 0, 2, 0),
            i(Op::Ldm, 3, 0, 8 | 16, 0),
            i(Op::Print, 0, 1, 0, f),
            i(Op::Stm, 1, 0, 1, 4),
            i(Op::Ldu, 1, 0, 1, 0),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &[],
    );
    let mut m = im.machine(1);
    m.map(0x1000, &(-2i64).to_le_bytes(), false, true);
    let hit = Hit { args: vec![0x1000], ..Hit::default() };
    assert_eq!(m.run(0, 0, &hit), Outcome::Error);
    assert_eq!(text(&m), "-2 65534 -2\nERROR: read fault [man error::fault] at 0x1000\n");
}

#[test]
fn loads_that_take_a_bad_address_read_0_there_and_what_is_elsewhere() {
    let mut im = Image::new();
    let f = im.fmt("%d %d %d %d\n");
    im.probe(
        &[
            i(Op::Arg, 0, 0, 0, 0),
            i(Op::Ldi, 1, 0, 0, 7),
            i(Op::Ldi, 2, 0, 0, 8),
            i(Op::Ldm, 1, 0, 8 | 32, 0x1000),
            i(Op::Ldu, 2, 0, 4 | 16 | 32, 0x1000),
            i(Op::Ldm, 3, 0, 1 | 16 | 32, 0),
            i(Op::Ldu, 4, 0, 2 | 32, 0),
            i(Op::Print, 0, 1, 0, f),
            i(Op::Ldm, 1, 0, 8, 0x1000),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &[],
    );
    let mut m = im.machine(1);
    m.map(0x1000, &(-2i64).to_le_bytes(), false, false);
    m.map(0x1000, &(-2i64).to_le_bytes(), true, false);
    let hit = Hit { args: vec![0x1000], ..Hit::default() };
    assert_eq!(m.run(0, 0, &hit), Outcome::Error);
    assert_eq!(text(&m), "0 0 -2 65534\nERROR: read fault [man error::fault] at 0x2000\n");
}

#[test]
fn an_image_knows_the_sizes_of_its_parts() {
    let mut im = Image::new();
    let f = im.fmt("%d %d %d\n");
    im.str("a text");
    let size = Helper::ImageSize as i32;
    let code = [
        i(Op::Ldi, 0, 0, 0, 0),
        i(Op::Helpi, 1, 0, 0, size),
        i(Op::Ldi, 0, 0, 0, 1),
        i(Op::Helpi, 2, 0, 0, size),
        i(Op::Ldi, 0, 0, 0, 2),
        i(Op::Helpi, 3, 0, 0, size),
        i(Op::Print, 0, 1, 0, f),
        i(Op::Ret, 0, 0, 0, 0),
    ];
    im.probe(&code, &[]);
    let m = im.machine(1);
    assert_eq!(m.run(0, 0, &Hit::default()), Outcome::Ok);
    let flat = im.flat();
    // the header's table of sections, an offset and a count each: constants are the fifth, bytes the seventh
    let count = |n: usize| u32::from_le_bytes(flat[32 + 8 * n + 4..][..4].try_into().unwrap());
    assert_eq!(text(&m), format!("64 {} {}\n", 8 * count(4) + count(6), flat.len()));
}

#[test]
fn globals_keep_their_values_between_handlers() {
    let mut im = Image::new();
    let (n, s, p) = (im.int(40), im.string("init"), im.percpu());
    let f = im.fmt("%d %d %s\n");
    let t = im.str("later");
    let locks = [(0, common::WRITE), (1, common::WRITE), (2, common::WRITE)];
    im.probe(
        &[
            i(Op::Lock, 0, 0, 0, 0),
            i(Op::Ldi, 1, 0, 0, 3),
            i(Op::Gaddi, 0xff, 0, 0, n), // a is signed: -1
            i(Op::Gadd, 1, 0, 0, n),
            i(Op::Gadd, 1, 0, 0, p),
            i(Op::Gget, 0, 0, 0, n),
            i(Op::Gget, 1, 0, 0, p),
            i(Op::Ggets, 0, 0, 0, s),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Sldk, 1, 0, 0, t),
            i(Op::Gsets, 1, 0, 0, s),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &locks,
    );
    let m = im.machine(2);
    for cpu in [0, 1, 0] {
        m.run(cpu, 0, &Hit::default());
    }
    assert_eq!(text(&m), "42 3 init\n44 6 later\n46 9 later\n");
}

#[test]
fn searching_long_strings_uses_up_the_actions() {
    let search = |h: Helper, maxaction: i32| {
        let mut im = Image::new();
        im.limits.maxstringlen = 65_535;
        im.limits.maxaction = maxaction;
        let text = im.str(&"a".repeat(20_000));
        let what = im.str(&("a".repeat(5_000) + "b"));
        let op = if h.info().ret == stp_vm::isa::Ret::S { Op::Helps } else { Op::Helpi };
        let code = [
            i(Op::Sldk, 1, 0, 0, text),
            i(Op::Sldk, 2, 0, 0, what),
            i(Op::Sldk, 3, 0, 0, what),
            help(op, 0, 0, 1, h),
            i(Op::Ret, 0, 0, 0, 0),
        ];
        im.probe(&code, &[]);
        im.run()
    };
    // 20,000 places, 5,002 steps at each; 65,536 steps for an action
    for h in [Helper::Isinstr, Helper::Strpos, Helper::StrReplace, Helper::Tokenize] {
        assert_eq!(search(h, 1_500), "ERROR: MAXACTION exceeded\n", "{h:?}");
        assert_eq!(search(h, 1_600), "", "{h:?}");
    }
}

#[test]
fn sorting_and_clearing_large_arrays_use_up_the_actions() {
    let mut im = Image::new();
    im.limits.maxaction = 1;
    im.limits.maxaction_int = 1_000_000;
    im.limits.maxmemory = 64 << 10;
    let n = 70_000;
    let m = im.map(&[INT], INT, n as u32);
    let it = im.iter(Iter { sort: 2, ..Iter::default() });
    let fill = [
        LOCK,
        i(Op::Ldi, 0, 0, 0, 0),
        i(Op::Mset, 0, 0, 0, m), // head
        i(Op::Addi, 0, 0, 0, 1),
        ibc(Op::Looplti, 0, 3, n),
        i(Op::Ret, 0, 0, 0, 0),
    ];
    let set = [(m as u16, WRITE)];
    let filled = im.probe(&fill, &set);
    im.probes[filled as usize].flags = 1; // interruptible: the larger limit
    let sort = im.probe(&[LOCK, i(Op::Itnew, 0, 0, 0, it), i(Op::Ret, 0, 0, 0, 0)], &set);
    let clear = im.probe(&[LOCK, i(Op::Mclr, 0, 0, 0, m), i(Op::Ret, 0, 0, 0, 0)], &set);
    let machine = im.machine(1);
    // of an empty array both are for nothing
    for probe in [sort, clear, filled] {
        assert_eq!(run_one(&machine, probe), Outcome::Ok);
    }
    for probe in [sort, clear] {
        assert_eq!(run_one(&machine, probe), Outcome::Error);
        assert_eq!(text(&machine), "ERROR: MAXACTION exceeded\n");
    }
}

#[test]
fn calls_of_long_functions_count_for_more() {
    let calls = |words: usize| {
        let mut im = Image::new();
        im.limits.maxaction = 10;
        let mut code = vec![i(Op::Ldi, 0, 0, 0, 0); words - 1];
        code.push(i(Op::Ret, 0, 0, 0, 0));
        let f = im.callee(0, 0, 0, &code);
        let mut code = vec![i(Op::Call, 0, 0, 0, f); 5];
        code.push(i(Op::Ret, 0, 0, 0, 0));
        im.probe(&code, &[]);
        im.run()
    };
    assert_eq!(calls(511), "");
    assert_eq!(calls(512), "ERROR: MAXACTION exceeded\n");
}
