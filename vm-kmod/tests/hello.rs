//! The shortest ways through the machine.
mod common;
use common::{help, i, Image};
use stp_vm::isa::{Helper, Op};

#[test]
fn a_literal_format_is_printed() {
    let mut im = Image::new();
    let f = im.fmt("hello\n");
    im.probe(
        &[i(Op::Print, 0, 0, 0, f), help(Op::Helpv, 0, 0, 0, Helper::Exit), i(Op::Ret, 0, 0, 0, 0)],
        &[],
    );
    let m = im.machine(1);
    assert_eq!(common::run_one(&m, 0), stp_vm::Outcome::Ok);
    assert!(m.exiting());
    assert_eq!(common::text(&m), "hello\n");
}

#[test]
fn numbers_and_strings_reach_the_output() {
    let mut im = Image::new();
    let s = im.str("two");
    let f = im.fmt("%d %s %x\n");
    im.probe(
        &[
            i(Op::Ldi, 0, 0, 0, -1),
            i(Op::Ldi, 1, 0, 0, 255),
            i(Op::Sldk, 3, 0, 0, s),
            i(Op::Print, 0, 0, 3, f),
            i(Op::Ret, 0, 0, 0, 0),
        ],
        &[],
    );
    assert_eq!(im.run(), "-1 two ff\n");
}
