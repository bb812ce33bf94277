//! Rings: records that fill them up, wrap, wait for a reader, and keep the global order.
mod common;
use common::{i, storm, text, Image, RET};
use stp_vm::isa::Op;
use stp_vm::{Hit, Machine, Outcome};

/// One CPU with rings of 4096 bytes.
fn small(im: &Image) -> Machine {
    let program = std::sync::Arc::new(stp_vm::Program::load(&im.flat(), 15).unwrap());
    Machine::new(program, 1, 4096, 4096).unwrap()
}

#[test]
fn numbers_of_records_have_no_gaps_and_grow_on_each_cpu() {
    let mut im = Image::new();
    let f = im.fmt("%d\n");
    im.probe(&[i(Op::Arg, 0, 0, 0, 0), i(Op::Print, 0, 0, 0, f), RET], &[]);
    let m = im.machine(4);
    storm(&m, 2000, |_, k| (0, Hit { args: vec![u64::from(k)], ..Hit::default() }));
    for cpu in 0..4 {
        let seqs: Vec<u64> = m.drain(cpu).iter().map(|r| r.seq()).collect();
        assert_eq!(seqs.len(), 2000);
        assert!(seqs.windows(2).all(|w| w[0] < w[1]));
    }
    assert_eq!(m.last_seq(), 8000);
}

#[test]
fn a_full_ring_loses_records_and_counts_them_but_never_control() {
    let mut im = Image::new();
    let f = im.fmt("%d\n");
    let s = im.str("stop");
    im.probe(&[i(Op::Arg, 0, 0, 0, 0), i(Op::Print, 0, 0, 0, f), RET], &[]);
    im.probe(&[i(Op::Sldk, 0, 0, 0, s), i(Op::Err, 0, 0, 0, 0)], &[]);
    let m = small(&im);
    let print = |v: u64| m.run(0, 0, &Hit { args: vec![v], ..Hit::default() });
    (0..1000).for_each(|v| {
        print(v);
    });
    assert_eq!(common::run_one(&m, 1), Outcome::Error);
    let room = 4096 / 32;
    assert_eq!(m.lost(0), 1000 - room);
    let text = text(&m);
    assert!(text.ends_with("127\nERROR: stop\n"), "{text}");
    // room again, and the numbers go on where they stopped
    print(5);
    let after = m.drain(0);
    assert_eq!((after.len(), after[0].seq()), (1, room + 2));
}

#[test]
fn records_of_any_length_wrap_around_the_ring() {
    let mut im = Image::new();
    let f = im.fmt("%s\n");
    let names: Vec<i32> = (0..64).map(|n| im.str(&"x".repeat(n * 7))).collect();
    for s in names {
        im.probe(&[i(Op::Sldk, 0, 0, 0, s), i(Op::Print, 0, 0, 0, f), RET], &[]);
    }
    let m = small(&im);
    for turn in 0..5000usize {
        let n = turn * 31 % 64;
        assert_eq!(m.run(0, n as u32, &Hit::default()), Outcome::Ok);
        assert_eq!(text(&m), "x".repeat(n * 7) + "\n");
    }
    assert_eq!(m.lost(0), 0);
}

/// A handler that prints the numbers up to `n`, each with a warning where `warns`.
fn chatterbox(n: i32, warns: bool) -> Image {
    let mut im = Image::new();
    im.limits.maxaction = 10 * n;
    let f = im.fmt("%d\n");
    let k = im.konst(n.into());
    let s = im.str("so it is");
    let mut code = vec![
        i(Op::Ldi, 0, 0, 0, 0),
        i(Op::Ldk, 1, 0, 0, k),
        i(Op::Sldk, 0, 0, 0, s),
        i(Op::Print, 0, 0, 0, f),
    ];
    if warns {
        code.push(common::help(Op::Helpv, 0, 0, 0, stp_vm::isa::Helper::Warn));
    }
    code.extend([i(Op::Addi, 0, 0, 0, 1), i(Op::Looplt, 0, 1, 1, -3 - i32::from(warns)), RET]);
    im.probe(&code, &[]);
    im
}

#[test]
fn a_handler_whose_reader_makes_room_loses_nothing() {
    for warns in [false, true] {
        let m = small(&chatterbox(10_000, warns));
        let (mut out, mut warnings) = (String::new(), 0);
        let mut read = || {
            for r in m.drain(0) {
                match r.kind() {
                    stp_vm::host::rec::WARN => warnings += 1,
                    _ => out += &String::from_utf8_lossy(&m.program().render(&r, None)),
                }
            }
        };
        assert_eq!(m.run_with_reader(0, 0, &Hit::default(), None, &mut read), Outcome::Ok);
        read();
        let want: String = (0..10_000).map(|n| format!("{n}\n")).collect();
        assert!(out == want, "{} bytes of {}", out.len(), want.len());
        assert_eq!((warnings, m.lost(0)), (if warns { 10_000 } else { 0 }, 0));
    }
}

#[test]
fn a_reader_that_makes_no_room_is_not_waited_for() {
    let m = small(&chatterbox(10_000, false));
    let mut asked = 0;
    assert_eq!(m.run_with_reader(0, 0, &Hit::default(), None, &mut || asked += 1), Outcome::Ok);
    assert_eq!((asked, m.lost(0)), (10_000 - 4096 / 32, 10_000 - 4096 / 32));
}

#[test]
fn a_record_that_no_ring_holds_is_lost_without_a_wait() {
    let mut im = Image::new();
    im.limits.maxstringlen = 8192;
    let (f, s) = (im.fmt("%s"), im.str(&"x".repeat(3000)));
    im.probe(&[i(Op::Sldk, 0, 0, 0, s), i(Op::Print, 0, 0, 0, f), RET], &[]);
    let m = small(&im);
    let mut asked = 0;
    m.run_with_reader(0, 0, &Hit::default(), None, &mut || asked += 1);
    assert_eq!((asked, m.lost(0), m.drain(0).len()), (0, 1, 0));
}
