//! printf: the same bytes whether the loader renders a record or a handler
//! makes a string. Expectations are SystemTap's outputs.
mod common;
use common::{i, Image, RET};
use stp_vm::flat::FmtItem;
use stp_vm::isa::Op;
use stp_vm::Hit;

const DYN: i32 = i32::MIN;

const ZERO: u8 = 1;
const PLUS: u8 = 2;
const SPACE: u8 = 4;
const LEFT: u8 = 8;
const ALT: u8 = 16;

const DEC: u8 = 1;
const UDEC: u8 = 2;
const HEX: u8 = 3;
const HEXUP: u8 = 4;
const OCT: u8 = 5;
const PTR: u8 = 6;
const CHAR: u8 = 7;
const STR: u8 = 8;
const BIN: u8 = 9;
const MEM: u8 = 10;
const MEMHEX: u8 = 11;
const SYM: u8 = 12;

fn item(conv: u8, flags: u8, width: i32, prec: i32) -> FmtItem {
    FmtItem { conv, flags, width, prec, ..FmtItem::default() }
}

/// One conversion of integers (and perhaps a string), printed and sprinted.
fn both(m: FmtItem, ints: &[i64], s: Option<&[u8]>) -> Vec<u8> {
    let mut im = Image::new();
    let bar = im.str("|") as u32;
    let end = FmtItem { str: bar, prec: -1, ..FmtItem::default() };
    let f = im.fmt_items(&[m, end]);
    let g = im.fmt("%s");
    let mut code = Vec::new();
    for (n, v) in ints.iter().enumerate() {
        let k = im.konst(*v);
        code.push(i(Op::Ldk, n as u8, 0, 0, k));
    }
    let k = im.strb(s.unwrap_or_default());
    code.extend([
        i(Op::Sldk, 0, 0, 0, k),
        i(Op::Print, 0, 0, 0, f),
        i(Op::Sprint, 0, 0, 0, f),
        i(Op::Print, 0, 0, 0, g),
        RET,
    ]);
    im.probe(&code, &[]);
    let mut vm = im.machine(1);
    vm.map(0x1000, b"memory\0\xff", false, false);
    vm.run(0, 0, &Hit::default());
    let out: Vec<Vec<u8>> = vm.drain_all().iter().map(|r| vm.program().render(r, None)).collect();
    assert_eq!(out.len(), 2);
    let mut text = out[0].clone();
    assert_eq!(text.pop(), Some(b'|'));
    let cut: Vec<u8> = out[0].iter().copied().take_while(|b| *b != 0).collect();
    assert_eq!(out[1], cut, "sprintf differs from printf");
    text
}

fn num(conv: u8, flags: u8, width: i32, prec: i32, v: i64) -> String {
    String::from_utf8(both(item(conv, flags, width, prec), &[v], None)).unwrap()
}

#[test]
fn decimal_width_flags_and_precision() {
    for (flags, width, prec, v, want) in [
        (0, 0, -1, 42, "42"),
        (0, 5, -1, 42, "   42"),
        (LEFT, 5, -1, 42, "42   "),
        (ZERO, 5, -1, 42, "00042"),
        (PLUS, 0, -1, 7, "+7"),
        (SPACE, 0, -1, 7, " 7"),
        (PLUS, 5, -1, 7, "   +7"),
        (SPACE, 5, -1, 7, "    7"),
        (0, 0, -1, -42, "-42"),
        (ZERO, 5, -1, -42, "-0042"),
        (0, 0, 3, 5, "005"),
        (0, 0, 6, -5, "-000005"),
        (0, 8, 4, 5, "    0005"),
        (LEFT, 8, 4, 5, "0005    "),
        (ZERO, 10, 4, 10, "0000000010"),
        (0, 0, 0, 0, "0"),
        (0, 0, -1, i64::MIN, "-9223372036854775808"),
    ] {
        assert_eq!(num(DEC, flags, width, prec, v), want);
    }
}

#[test]
fn unsigned_bases_and_pointers() {
    assert_eq!(num(UDEC, 0, 0, -1, -1), "18446744073709551615");
    assert_eq!(num(HEX, 0, 0, 10, 255), "00000000ff");
    assert_eq!(num(HEX, ALT, 0, 4, 255), "0x00ff");
    assert_eq!(num(HEXUP, ALT, 0, -1, 3), "0X3");
    assert_eq!(num(HEXUP, 0, 0, -1, 0xabc), "ABC");
    assert_eq!(num(OCT, ALT, 0, -1, 1), "01");
    assert_eq!(num(OCT, LEFT, 10, 4, 10), "0012      ");
    assert_eq!(num(PTR, 0, 0, -1, 0), "0x0");
    assert_eq!(num(PTR, 0, 20, -1, 0xdead_beef), "          0xdeadbeef");
    assert_eq!(num(PTR, LEFT, 20, -1, 0xdead_beef), "0xdeadbeef          ");
    assert_eq!(num(PTR, 0, 0, -1, -1), "0xffffffffffffffff");
    assert_eq!(num(SYM, 0, 0, -1, 16), "0x10");
}

#[test]
fn characters_take_the_low_byte_and_escape_on_demand() {
    assert_eq!(num(CHAR, 0, 3, -1, 65), "  A");
    assert_eq!(num(CHAR, LEFT, 3, -1, 66), "B  ");
    assert_eq!(num(CHAR, 0, 0, -1, 0x141), "A");
    // printf("%#c %#c %#c", 0, 9, 42) prints \000 \t *
    assert_eq!(num(CHAR, ALT, 0, -1, 0), "\\000");
    assert_eq!(num(CHAR, ALT, 0, -1, 9), "\\t");
    assert_eq!(num(CHAR, ALT, 0, -1, 42), "*");
    assert_eq!(both(item(CHAR, 0, 0, -1), &[0], None), [0]);
}

#[test]
fn widths_from_arguments_are_never_negative() {
    let m = |conv, flags, width, prec| item(conv, flags, width, prec);
    assert_eq!(both(m(DEC, 0, DYN, -1), &[8, 5], None), b"       5");
    assert_eq!(both(m(DEC, LEFT, DYN, -1), &[8, 5], None), b"5       ");
    assert_eq!(both(m(DEC, ZERO, DYN, -1), &[8, 5], None), b"00000005");
    assert_eq!(both(m(DEC, 0, DYN, -1), &[-6, 5], None), b"5");
    assert_eq!(both(m(DEC, 0, 0, DYN), &[4, 31], None), b"0031");
    assert_eq!(both(m(STR, 0, DYN, DYN), &[7, 3], Some(b"abcdef")), b"    abc");
    assert_eq!(both(m(STR, 0, 0, DYN), &[-1], Some(b"abcdef")), b"");
    assert_eq!(both(m(STR, 0, DYN, -1), &[-6], Some(b"ab")), b"ab");
}

/// Found by fuzzing: the sum of a computed width and precision did not fit 64 bits.
#[test]
fn a_computed_width_and_precision_cannot_overflow() {
    assert_eq!(both(item(DEC, 0, DYN, DYN), &[i64::MIN, 5, 7], None), b"00007");
    assert_eq!(both(item(DEC, ZERO, DYN, DYN), &[i64::MIN, 5, -7], None), b"-00007");
    assert_eq!(both(item(DEC, 0, DYN, DYN), &[i64::MIN, i64::MIN, 7], None), b"7");
}

/// A width of 70 million once took the loader seconds, and as many bytes.
#[test]
fn a_field_is_no_wider_than_the_longest_string() {
    let wide = 70_000_000;
    for m in [
        item(DEC, 0, wide, -1),
        item(DEC, LEFT, wide, -1),
        item(HEX, 0, -1, wide),
        item(STR, 0, wide, -1),
        item(STR, LEFT, wide, -1),
    ] {
        assert_eq!(printed(&[m]).len(), 65535, "{m:?}");
    }
    assert_eq!(printed(&[item(DEC, 0, 65535, -1)]).len(), 65535);
    assert_eq!(printed(&[item(DEC, 0, 65534, -1)]).len(), 65534);
}

#[test]
fn many_wide_fields_make_no_text_without_end() {
    let m = printed(&[item(DEC, 0, 65535, -1); 200]);
    assert!(m.len() > 1 << 20 && m.len() < 2 << 20, "{}", m.len());
    assert!(m.starts_with(b"    "));
}

/// What becomes of a print of one value after the other, all of them 7 or "x".
fn printed(items: &[FmtItem]) -> Vec<u8> {
    let mut im = Image::new();
    let x = im.str("x");
    let f = im.fmt_items(items);
    let mut code: Vec<_> = (0..200).map(|n| i(Op::Ldi, n, 0, 0, 7)).collect();
    code.extend([i(Op::Sldk, 0, 0, 0, x), i(Op::Print, 0, 0, 0, f), RET]);
    im.probe(&code, &[]);
    im.funcs[0].nregs = 200;
    im.run().into_bytes()
}

#[test]
fn strings_are_padded_and_cut() {
    assert_eq!(both(item(STR, 0, 6, -1), &[], Some(b"ab")), b"    ab");
    assert_eq!(both(item(STR, LEFT, 6, -1), &[], Some(b"ab")), b"ab    ");
    assert_eq!(both(item(STR, 0, 0, 2), &[], Some(b"abcdef")), b"ab");
    assert_eq!(both(item(STR, ZERO, 5, -1), &[], Some(b"ab")), b"   ab");
    assert_eq!(both(item(STR, 0, 0, -1), &[], Some(b"\xff\xfe")), b"\xff\xfe");
}

#[test]
fn raw_bytes_are_little_endian() {
    let bin = |size, v| both(FmtItem { size, ..item(BIN, 0, 0, -1) }, &[v], None);
    assert_eq!(bin(1, 120), b"x");
    assert_eq!(bin(2, 0x4142), b"BA");
    assert_eq!(bin(4, 0x6463_6261), b"abcd");
    assert_eq!(bin(8, 0x6867_6665_6463_6261), b"abcdefgh");
}

#[test]
fn memory_is_dumped_as_bytes_or_hexadecimal() {
    assert_eq!(both(item(MEM, 0, 0, -1), &[0x1000], None), b"m");
    assert_eq!(both(item(MEM, 0, 8, 6), &[0x1000], None), b"  memory");
    assert_eq!(both(item(MEMHEX, 0, 0, 3), &[0x1000], None), b"6d656d");
    assert_eq!(both(item(MEMHEX, LEFT, 8, DYN), &[2, 0x1006], None), b"00ff    ");
}

#[test]
fn dumping_bad_memory_is_an_error_and_prints_nothing() {
    let mut im = Image::new();
    let f = im.fmt_items(&[item(DEC, 0, 0, -1), item(MEM, 0, 4, -1)]);
    im.probe(&[i(Op::Ldi, 0, 0, 0, 1), i(Op::Ldi, 1, 0, 0, 0), i(Op::Print, 0, 0, 0, f), RET], &[]);
    assert_eq!(im.run(), "ERROR: read fault [man error::fault] at 0x0\n");
}

#[test]
fn strings_and_dumps_travel_in_the_order_of_the_format() {
    let mut im = Image::new();
    let (a, b) = (im.str("first"), im.str("second"));
    let f = im.fmt_items(&[
        item(STR, 0, 0, -1),
        item(MEM, 0, 0, 3),
        item(DEC, 0, 0, -1),
        item(STR, 0, 0, -1),
        item(MEM, 0, 0, 5),
    ]);
    im.probe(
        &[
            i(Op::Ldi, 0, 0, 0, 0x1000),
            i(Op::Ldi, 1, 0, 0, 7),
            i(Op::Ldi, 2, 0, 0, 0x1001),
            i(Op::Sldk, 0, 0, 0, a),
            i(Op::Sldk, 1, 0, 0, b),
            i(Op::Print, 0, 0, 0, f),
            RET,
        ],
        &[],
    );
    let mut vm = im.machine(1);
    vm.map(0x1000, b"memory", false, false);
    vm.run(0, 0, &Hit::default());
    assert_eq!(common::text(&vm), "firstmem7secondemory");
}

#[test]
fn sprintf_is_cut_at_maxstringlen() {
    let mut im = Image::new();
    let f = im.fmt_items(&[item(DEC, 0, 600, -1)]);
    let g = im.fmt("%d");
    im.probe(
        &[
            i(Op::Ldi, 0, 0, 0, 5),
            i(Op::Sprint, 0, 0, 0, f),
            common::help(Op::Helpi, 0, 0, 0, stp_vm::isa::Helper::Strlen),
            i(Op::Print, 0, 0, 0, g),
            RET,
        ],
        &[],
    );
    assert_eq!(im.run(), "511");
}

#[test]
fn symbols_and_lines_are_put_in_when_rendering() {
    let mut im = Image::new();
    let f = im.fmt_items(&[item(SYM, 0, 0, -1), item(STR, 0, 0, -1)]);
    im.probe(
        &[
            i(Op::Ldi, 0, 0, 0, 0x1234),
            i(Op::Ldi, 1, 0, 0, b'b'.into()),
            common::help(Op::Helps, 0, 0, 0, stp_vm::isa::Helper::Line),
            i(Op::Print, 0, 0, 0, f),
            RET,
        ],
        &[],
    );
    let vm = im.machine(1);
    vm.run(0, 0, &Hit::default());
    let r = &vm.drain_all()[0];
    let mut name = |addr: u64, form| format!("<{form:?} {addr:x}>");
    assert_eq!(vm.program().render(r, Some(&mut name)), b"<Name 1234><FileLine 1234>");
}

#[test]
fn damaged_records_render_as_far_as_they_go() {
    let mut im = Image::new();
    let f = im.fmt("%d %s %s");
    let a = im.str("abc");
    im.probe(
        &[
            i(Op::Ldi, 0, 0, 0, 5),
            i(Op::Sldk, 0, 0, 0, a),
            i(Op::Smov, 1, 0, 0, 0),
            i(Op::Print, 0, 0, 0, f),
            RET,
        ],
        &[],
    );
    let vm = im.machine(1);
    vm.run(0, 0, &Hit::default());
    let r = &vm.drain_all()[0];
    let mut bytes = 16u32.to_le_bytes().to_vec();
    bytes.extend([1, 0, 0, 0]);
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(r.body());
    for len in (16..=bytes.len()).step_by(8) {
        bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
        for damage in 0..bytes.len() {
            let mut b = bytes.clone();
            b[damage.max(4)] ^= 0xff;
            let r = stp_vm::Record::from_bytes(&b).unwrap();
            vm.program().render(&r, None); // no fault, whatever it says
        }
    }
}
