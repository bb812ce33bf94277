//! The kernel's stack as a value: a key, a variable, an argument; and as text.
mod common;
use common::{help, i, Image, RET};
use stp_vm::flat::FmtItem;
use stp_vm::host::rec;
use stp_vm::isa::{Helper, Op};
use stp_vm::{Hit, Machine};

const FRAMES: [u64; 3] = [0xffffffff81000010, 0xffffffff8120abcd, 0xffffffffc0000005];
const TEXT: &str = "0xffffffff81000010 0xffffffff8120abcd 0xffffffffc0000005";

/// A conversion of a string, and the flag `-` of one.
fn string(flags: u8, width: i32, prec: i32) -> FmtItem {
    FmtItem { conv: 8, flags, width, prec, ..FmtItem::default() }
}
const LEFT: u8 = 8;

/// Runs the code with a stack of these frames.
fn run(im: &Image, frames: &[u64]) -> Machine {
    let mut vm = im.machine(1);
    vm.set_stack(frames);
    vm.run(0, 0, &Hit::default());
    vm
}

/// An image that states what stacks need.
fn image() -> Image {
    let mut im = Image::new();
    im.caps |= stp_vm::isa::CAP_KERNEL_READ;
    im
}

#[test]
fn a_stack_prints_as_its_addresses_whole_or_in_part() {
    for (n, want) in [
        (-1, TEXT),
        (0, "0xffffffff81000010"),
        (1, "0xffffffff81000010 0xffffffff8120abcd"),
        (2, TEXT),
        (99, TEXT),
    ] {
        let mut im = image();
        let f = im.fmt("%s");
        im.probe(
            &[
                i(Op::Ldi, 0, 0, 0, n),
                help(Op::Helps, 0, 0, 0, Helper::Callers),
                i(Op::Print, 0, 0, 0, f),
                RET,
            ],
            &[],
        );
        assert_eq!(common::text(&run(&im, &FRAMES)), want);
        assert_eq!(common::text(&run(&im, &[])), "", "no stack");
    }
}

#[test]
fn widths_and_precisions_are_of_the_text() {
    let mut im = image();
    let f = im.fmt_items(&[string(0, 21, -1), string(LEFT, 20, -1), string(0, 0, 4), string(0, 6, 4)]);
    im.probe(
        &[
            i(Op::Ldi, 0, 0, 0, 0),
            help(Op::Helps, 0, 0, 0, Helper::Callers),
            i(Op::Smov, 1, 0, 0, 0),
            i(Op::Smov, 2, 0, 0, 0),
            i(Op::Smov, 3, 0, 0, 0),
            i(Op::Print, 0, 0, 0, f),
            RET,
        ],
        &[],
    );
    assert_eq!(common::text(&run(&im, &FRAMES)), "   0xffffffff810000100xffffffff81000010  0xff  0xff");
}

#[test]
fn functions_and_operators_see_the_text() {
    let mut im = image();
    let (d, s) = (im.fmt("%d "), im.fmt("%s "));
    let (text, less, end) = (im.str(TEXT), im.str("0xffffffff80"), im.str("!"));
    let copy = im.fmt_items(&[string(0, 0, 18)]);
    im.probe(
        &[
            help(Op::Helps, 0, 0, 0, Helper::Backtrace),
            help(Op::Helpi, 0, 0, 0, Helper::Strlen),
            i(Op::Print, 0, 0, 0, d),
            i(Op::Sldk, 1, 0, 0, text),
            i(Op::Seq, 0, 0, 1, 0),
            i(Op::Print, 0, 0, 0, d),
            i(Op::Sne, 0, 1, 0, 0),
            i(Op::Print, 0, 0, 0, d),
            i(Op::Sldk, 1, 0, 0, less),
            i(Op::Slt, 0, 1, 0, 0),
            i(Op::Print, 0, 0, 0, d),
            i(Op::Sldk, 1, 0, 0, end),
            i(Op::Scat, 2, 0, 1, 0),
            i(Op::Smov, 0, 2, 0, 0),
            i(Op::Print, 0, 0, 0, s),
            help(Op::Helps, 0, 0, 0, Helper::Backtrace),
            i(Op::Sprint, 0, 0, 0, copy),
            i(Op::Print, 0, 0, 0, s),
            RET,
        ],
        &[],
    );
    let want = format!("{} 1 0 1 {TEXT}! 0xffffffff81000010 ", TEXT.len());
    assert_eq!(common::text(&run(&im, &FRAMES)), want);
}

#[test]
fn deep_stacks_are_cut_where_they_become_strings_only() {
    let deep: Vec<u64> = (0..100).map(|n| 0xffffffff81000000 + n).collect();
    let mut im = image();
    let (d, s) = (im.fmt("%d "), im.fmt("%s"));
    im.probe(
        &[
            help(Op::Helps, 0, 0, 0, Helper::Backtrace),
            help(Op::Helpi, 0, 0, 0, Helper::Strlen),
            i(Op::Print, 0, 0, 0, d),
            i(Op::Ldi, 0, 0, 0, 99),
            help(Op::Helpi, 0, 0, 0, Helper::Stack),
            i(Op::Print, 0, 0, 0, d),
            i(Op::Ldi, 0, 0, 0, 100),
            help(Op::Helpi, 0, 0, 0, Helper::Stack),
            i(Op::Print, 0, 0, 0, d),
            i(Op::Print, 0, 0, 0, s),
            RET,
        ],
        &[],
    );
    let all = deep.iter().map(|a| format!("{a:#x}")).collect::<Vec<_>>().join(" ");
    let last = deep[99] as i64;
    assert_eq!(common::text(&run(&im, &deep)), format!("511 {last} 0 {all}"));
    // MAXBACKTRACE holds
    im.limits.maxbacktrace = 2;
    let short = "0xffffffff81000000 0xffffffff81000001";
    assert_eq!(common::text(&run(&im, &deep)), format!("{} 0 0 {short}", short.len()));
    // and where that is more than fits a string, a quarter of its bytes
    im.limits.maxbacktrace = 1024;
    im.limits.maxstringlen = 16;
    let three = "0xffffffff81000000 0xffffffff81000001";
    assert_eq!(common::text(&run(&im, &deep)), format!("15 0 0 {three}"));
}

#[test]
fn printed_stacks_travel_as_they_are() {
    let mut im = image();
    let text = im.str("0x10 junk");
    im.probe(
        &[
            help(Op::Helps, 0, 0, 0, Helper::Backtrace),
            i(Op::Ldi, 0, 0, 0, 3),
            help(Op::Helpv, 0, 0, 0, Helper::PrintStack),
            i(Op::Sldk, 0, 0, 0, text),
            help(Op::Helpv, 0, 0, 0, Helper::PrintStack),
            RET,
        ],
        &[],
    );
    let records = run(&im, &FRAMES[..2]).drain_all();
    let kinds: Vec<u16> = records.iter().map(|r| r.kind()).collect();
    assert_eq!(kinds, [rec::STACK, rec::STACK]);
    let body = |n: usize| {
        let b = records[n].body();
        let len = u32::from_le_bytes(b[..4].try_into().expect("four bytes")) as usize;
        b[8..8 + len].to_vec()
    };
    assert_eq!(body(0), b"\x01\0K\0\x81\x00\x00\x10\x81\x20\xab\xcd\x03");
    assert_eq!(body(1), b"0x10 junk\x03");
}

#[test]
fn lines_are_made_of_stacks_and_of_any_text_with_numbers() {
    let mut im = image();
    let (s, text) = (im.fmt("%s"), im.str("0x10 ffffffff81000010\n0xZ 0xab!"));
    im.probe(
        &[
            i(Op::Ldi, 0, 0, 0, b's'.into()),
            help(Op::Helps, 0, 0, 0, Helper::Backtrace),
            help(Op::Helps, 0, 0, 0, Helper::SprintStack),
            i(Op::Print, 0, 0, 0, s),
            i(Op::Sldk, 0, 0, 0, text),
            help(Op::Helps, 0, 0, 0, Helper::SprintStack),
            i(Op::Print, 0, 0, 0, s),
            RET,
        ],
        &[],
    );
    // hosted, an address is a number
    assert_eq!(
        common::text(&run(&im, &FRAMES[..2])),
        "0xffffffff81000010\n0xffffffff8120abcd\n0x10\n0xffffffff81000010\n0xab\n"
    );
}
