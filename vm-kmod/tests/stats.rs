//! Statistics and histograms. The printed histograms are SystemTap's own, for
//! the scripts that the comments quote.
mod common;
use common::{i, Image, ADD, LOCK, READ, RET, WRITE};
use stp_vm::flat::Global;
use stp_vm::isa::{Insn, Op};
use stp_vm::{Hit, Machine};

/// Probe 0 adds its argument to a statistics global, probe 1 does `then`.
fn image(shape: impl Fn(&mut Global), then: impl Fn(&mut Image, i32) -> Vec<Insn>) -> Image {
    let mut im = Image::new();
    let s = im.stat();
    shape(&mut im.globals[0]);
    im.probe(&[LOCK, i(Op::Arg, 0, 0, 0, 0), i(Op::Sadd, 0, 0, 0, s), RET], &[(0, ADD)]);
    let mut code = vec![LOCK, i(Op::Agld, 0, 0, 0, s)];
    code.extend(then(&mut im, s));
    code.push(RET);
    im.probe(&code, &[(0, READ)]);
    im
}

fn add(m: &Machine, cpu: u32, v: i64) {
    m.run(cpu, 0, &Hit { args: vec![v as u64], ..Hit::default() });
}

fn show(m: &Machine) -> String {
    m.run(0, 1, &Hit::default());
    common::text(m)
}

fn fields(im: &mut Image) -> Vec<Insn> {
    let f = im.fmt("%d %d %d %d %d %d\n");
    let mut code: Vec<Insn> = (0..6).map(|n| i(Op::Agget, n, 0, n, 0)).collect();
    code.push(i(Op::Print, 0, 0, 0, f));
    code
}

#[test]
fn extractors_give_systemtaps_numbers() {
    // for (i = 1; i <= 10; i++) s <<< i: 10 55 1 10 5 48
    let m = image(|_| (), |im, _| fields(im)).machine(2);
    (1..=10).for_each(|v| add(&m, 0, v));
    assert_eq!(show(&m), "10 55 1 10 5 48\n");
    // the example of the man page: 1..5, variance 12, with a bit shift of 1: 2
    let m = image(|_| (), |im, _| fields(im)).machine(1);
    (1..=5).for_each(|v| add(&m, 0, v));
    assert_eq!(show(&m), "5 15 1 5 3 12\n");
    let m = image(|g| g.bit_shift = 1, |im, _| fields(im)).machine(1);
    (1..=5).for_each(|v| add(&m, 0, v));
    assert_eq!(show(&m), "5 15 1 5 3 2\n");
    // a <<< 2; 3; 4; 6 with shift 4
    let m = image(|g| g.bit_shift = 4, |im, _| fields(im)).machine(1);
    [2, 3, 4, 6].iter().for_each(|v| add(&m, 0, *v));
    assert_eq!(show(&m), "4 15 2 6 3 2\n");
    let m = image(|_| (), |im, _| fields(im)).machine(1);
    add(&m, 0, 7);
    assert_eq!(show(&m), "1 7 7 7 7 0\n");
}

#[test]
fn sums_wrap_and_averages_truncate() {
    let m = image(|_| (), |im, _| fields(im)[..].to_vec()).machine(1);
    add(&m, 0, i64::MAX);
    add(&m, 0, 1);
    assert!(show(&m).starts_with("2 -9223372036854775808 1 9223372036854775807 -4611686018427387904 "));
    let m = image(|_| (), |im, _| fields(im)).machine(1);
    [-1, 0, -1, -3].iter().for_each(|v| add(&m, 0, *v));
    assert!(show(&m).starts_with("4 -5 -3 0 -1 "));
}

#[test]
fn an_empty_aggregate_has_a_count_and_a_sum_only() {
    for field in 0..6 {
        let im = image(
            |_| (),
            |im, _| {
                let f = im.fmt("%d\n");
                vec![i(Op::Agget, 0, 0, field, 0), i(Op::Print, 0, 0, 0, f)]
            },
        );
        let want = if field < 2 { "0\n" } else { "ERROR: empty aggregate\n" };
        assert_eq!(show(&im.machine(2)), want);
    }
}

#[test]
fn merging_is_the_same_however_values_are_spread() {
    let m = image(|g| g.bit_shift = 10, |im, _| fields(im)).machine(4);
    for v in 0..100 {
        add(&m, v as u32 % 4, v * v % 37);
    }
    let n = image(|g| g.bit_shift = 10, |im, _| fields(im)).machine(4);
    for v in 0..100 {
        add(&n, 0, v * v % 37);
    }
    assert_eq!(show(&m), show(&n));
}

#[test]
fn deleting_empties_every_cpu() {
    let mut im = image(|_| (), |im, _| fields(im));
    im.probe(&[LOCK, i(Op::Sclr, 0, 0, 0, 0), RET], &[(0, WRITE)]);
    let m = im.machine(2);
    add(&m, 0, 1);
    add(&m, 1, 2);
    m.run(1, 2, &Hit::default());
    add(&m, 1, 9);
    assert!(show(&m).starts_with("1 9 9 9 9 "));
}

fn hist(shape: impl Fn(&mut Global), limits: impl Fn(&mut Image), values: &[i64]) -> String {
    let mut im = image(shape, |_, s| vec![i(Op::Prhist, 0, 0, 0, s)]);
    limits(&mut im);
    let m = im.machine(2);
    for (n, v) in values.iter().enumerate() {
        add(&m, n as u32 % 2, *v);
    }
    show(&m)
}

fn log(g: &mut Global) {
    g.hist = 1;
}

fn linear(lo: i64, hi: i64, step: i64) -> impl Fn(&mut Global) {
    move |g| {
        g.hist = 2;
        (g.lo, g.hi, g.step) = (lo, hi, step);
    }
}

#[test]
fn log_histogram() {
    // for (i = 0; i < 40; i++) s <<< i
    let values: Vec<i64> = (0..40).collect();
    assert_eq!(
        hist(log, |_| (), &values),
        "\
value |-------------------------------------------------- count
    0 |@                                                   1
    1 |@                                                   1
    2 |@@                                                  2
    4 |@@@@                                                4
    8 |@@@@@@@@                                            8
   16 |@@@@@@@@@@@@@@@@                                   16
   32 |@@@@@@@@                                            8
   64 |                                                    0
  128 |                                                    0

"
    );
}

#[test]
fn log_histogram_elides_rows_far_from_the_data() {
    // s <<< 3; s <<< 1000000; s <<< 0x4000000000000000
    assert_eq!(
        hist(log, |_| (), &[3, 1_000_000, 0x4000_0000_0000_0000]),
        "
              value |-------------------------------------------------- count
                  0 |                                                   0
                  1 |                                                   0
                  2 |@                                                  1
                  4 |                                                   0
                  8 |                                                   0
                    ~
             131072 |                                                   0
             262144 |                                                   0
             524288 |@                                                  1
            1048576 |                                                   0
            2097152 |                                                   0
                    ~
1152921504606846976 |                                                   0
2305843009213693952 |                                                   0
4611686018427387904 |@                                                  1

"[1..]
    );
    // -DHIST_ELISION=0: s <<< 1; s <<< 64; s <<< 4096
    assert_eq!(
        hist(log, |im| im.limits.hist_elision = 0, &[1, 64, 4096]),
        "\
value |-------------------------------------------------- count
      ~
    1 |@                                                  1
      ~
   64 |@                                                  1
      ~
 4096 |@                                                  1

"
    );
    let all = hist(log, |im| im.limits.hist_elision = -1, &[2, 5000]);
    assert_eq!(all.lines().count(), 18);
    assert!(!all.contains('~'));
}

#[test]
fn log_histogram_of_negative_values() {
    // s <<< -1; s <<< -20; s <<< 5; s <<< 0
    assert_eq!(
        hist(log, |_| (), &[-1, -20, 5, 0]),
        "\
value |-------------------------------------------------- count
  -64 |                                                   0
  -32 |                                                   0
  -16 |@                                                  1
   -8 |                                                   0
   -4 |                                                   0
   -2 |                                                   0
   -1 |@                                                  1
    0 |@                                                  1
    1 |                                                   0
    2 |                                                   0
    4 |@                                                  1
    8 |                                                   0
   16 |                                                   0

"
    );
    assert_eq!(
        hist(log, |_| (), &[i64::MIN]),
        "               \
value |-------------------------------------------------- count
-9223372036854775808 |@                                                  1
-4611686018427387904 |                                                   0
-2305843009213693952 |                                                   0

"
    );
}

#[test]
fn linear_histogram() {
    // for (i = 0; i < 50; i++) s <<< i * i % 37; @hist_linear(s, 0, 40, 5)
    let values: Vec<i64> = (0..50).map(|v| v * v % 37).collect();
    assert_eq!(
        hist(linear(0, 40, 5), |_| (), &values),
        "\
value |-------------------------------------------------- count
    0 |@@@@@@@@@@                                         10
    5 |@@@@@@                                              6
   10 |@@@@@@@@                                            8
   15 |@@@                                                 3
   20 |@@                                                  2
   25 |@@@@@@@@@@@                                        11
   30 |@@@@@@@                                             7
   35 |@@@                                                 3
   40 |                                                    0

"
    );
}

#[test]
fn linear_histogram_with_values_outside() {
    // for (i = -12; i <= 12; i += 3) s <<< i; @hist_linear(s, -10, 10, 4)
    let values: Vec<i64> = (-4..=4).map(|v| v * 3).collect();
    assert_eq!(
        hist(linear(-10, 10, 4), |_| (), &values),
        "\
value |-------------------------------------------------- count
 <-10 |@                                                  1
  -10 |@                                                  1
   -6 |@@                                                 2
   -2 |@                                                  1
    2 |@                                                  1
    6 |@@                                                 2
   10 |@                                                  1

"
    );
    // s <<< 500; @hist_linear(s, 0, 100, 20)
    assert_eq!(
        hist(linear(0, 100, 20), |_| (), &[500]),
        "\
value |-------------------------------------------------- count
   80 |                                                   0
  100 |                                                   0
 >100 |@                                                  1

"
    );
}

#[test]
fn bars_are_scaled_by_a_whole_number() {
    // -DHIST_WIDTH=10; for (i = 0; i < 100; i++) s <<< i % 4 * 10; @hist_linear(s, 0, 50, 10)
    let values: Vec<i64> = (0..100).map(|v| v % 4 * 10).collect();
    assert_eq!(
        hist(linear(0, 50, 10), |im| im.limits.hist_width = 10, &values),
        "\
value |---------- count
    0 |@@@@@@@@   25
   10 |@@@@@@@@   25
   20 |@@@@@@@@   25
   30 |@@@@@@@@   25
   40 |            0
   50 |            0

"
    );
}

#[test]
fn an_empty_histogram_is_an_error() {
    assert_eq!(hist(log, |_| (), &[]), "ERROR: empty aggregate\n");
}

#[test]
fn buckets_are_read_by_number() {
    // for (i = 0; i < 9; i++) s <<< i; @hist_linear(s, 0, 10, 2)[0], [1], [4]; 8 buckets
    let im = image(linear(0, 10, 2), |im, _| {
        let f = im.fmt("%d");
        let mut code = vec![i(Op::Agnbkt, 0, 0, 0, 0), i(Op::Print, 0, 0, 0, f)];
        for n in [0, 1, 4, 8] {
            code.extend([i(Op::Ldi, 1, 0, 0, n), i(Op::Agbkt, 0, 0, 1, 0), i(Op::Print, 0, 0, 0, f)]);
        }
        code
    });
    let m = im.machine(1);
    (0..9).for_each(|v| add(&m, 0, v));
    assert_eq!(show(&m), "8022ERROR: histogram index out of range\n");
}

#[test]
fn a_histogram_can_be_a_string() {
    let im = image(log, |im, s| {
        let f = im.fmt("<%s>");
        vec![i(Op::Sphist, 3, 0, 0, s), i(Op::Print, 0, 0, 3, f)]
    });
    let m = im.machine(1);
    add(&m, 0, 1);
    assert_eq!(
        show(&m),
        "\
<value |-------------------------------------------------- count
    0 |                                                   0
    1 |@                                                  1
    2 |                                                   0
    4 |                                                   0

>"
    );
}
