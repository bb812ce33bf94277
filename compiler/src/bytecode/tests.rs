//! The file form: whatever happens to the bytes, the answer is an image or one clear line.

use super::*;
use crate::types::hir::Place;
use stp_vm::isa::{Insn, Op};

fn insn(op: Op, a: u8, b: u8, c: u8, imm: i32) -> u64 {
    Insn { op, a, b, c, imm }.encode()
}

/// A small image with something in every table.
pub(super) fn sample() -> Image {
    let mut i = Image::new("sample");
    i.target = vec![1, 2, 3];
    i.caps = stp_vm::isa::CAP_KERNEL_READ;
    i.limits.maxaction = 77;
    i.strings.push("text".into());
    i.constants.push(Constant::Number(1 << 40));
    i.formats.push(vec![
        FormatItem::Text("n=".into()),
        FormatItem::Value {
            conv: Conversion::Decimal,
            flags: 1,
            width: Number::Fixed(5),
            precision: Number::None,
            size: 0,
        },
    ]);
    i.globals.push(Global {
        name: "m".into(),
        class: Class::Map {
            keys: vec![ValueType::Int, ValueType::Str],
            value: ValueType::Int,
            size: 10,
            sized: true,
            wrap: false,
        },
    });
    i.iterators.push(Iter {
        map: 0,
        sort: IterSort::Key(1),
        descending: true,
        limited: false,
        slice: 0,
        slice_s: 0,
    });
    i.files.push("f.stp".into());
    i.places.push(CodePlace { token: "identifier 'm'".into(), file: 0, line: 1, col: 3 });
    i.source.push(SourceLine { file: 0, line: 1, text: "  m[1, \"text\"]++".into() });
    i.functions.push(Function {
        name: "probe.0".into(),
        handler: true,
        nregs: 2,
        nstrs: 1,
        niters: 1,
        code: vec![
            insn(Op::Lock, 0, 0, 0, 0),
            insn(Op::Ldk, 0, 0, 0, 0),
            insn(Op::Sldk, 0, 0, 0, 1),
            insn(Op::Ldi, 1, 0, 0, 1),
            insn(Op::Madd, 1, 0, 0, 0),
            insn(Op::Itnew, 0, 0, 0, 0),
            insn(Op::Print, 0, 1, 0, 0),
            insn(Op::Ret, 0, 0, 0, 0),
        ],
        lines: vec![Line { pc: 1, place: 0 }, Line { pc: 7, place: Line::NOWHERE }],
        ..Function::default()
    });
    i.probes.push(Probe {
        at: Place::Begin { priority: 0 },
        function: 0,
        condition: None,
        pp: "begin".into(),
        pn: "begin".into(),
        label: "probe begin".into(),
        optional: false,
        one_of: Some("beg*".into()),
        locks: vec![Lock { global: 0, mode: LockMode::Write }],
        cost: Some(3),
    });
    i
}

#[test]
fn file_form_gives_back_the_image() {
    let i = sample();
    assert_eq!(Image::from_bytes(&i.to_bytes().unwrap()).unwrap(), i);
}

#[test]
fn every_truncation_and_every_flipped_byte_is_refused() {
    let bytes = sample().to_bytes().unwrap();
    for n in 0..bytes.len() {
        assert!(Image::from_bytes(&bytes[..n]).is_err(), "cut at {n}");
        let mut bad = bytes.clone();
        bad[n] ^= 0x41;
        assert!(Image::from_bytes(&bad).is_err(), "byte {n} changed");
    }
    let mut long = bytes;
    long.push(0);
    assert!(Image::from_bytes(&long).is_err());
}

#[test]
fn refusals_name_the_cause() {
    let bytes = sample().to_bytes().unwrap();
    assert_eq!(Image::from_bytes(b"probe begin {}"), Err(FileError::Foreign));
    assert!(matches!(Image::from_bytes(&bytes[..100]), Err(FileError::Truncated { .. })));
    let mut other = bytes.clone();
    other[16] ^= 1;
    assert_eq!(Image::from_bytes(&other), Err(FileError::OtherVersion));
}

#[test]
fn flat_form_starts_with_a_header_that_describes_it() {
    let flat = sample()
        .flatten::<()>(&mut |_| Ok(ResolvedPlace { kind: stp_vm::flat::kind::BEGIN, ..Default::default() }))
        .unwrap();
    let word = |at: usize| u32::from_le_bytes(flat[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), stp_vm::flat::MAGIC);
    assert_eq!(word(8) as usize, flat.len());
    for s in 0..stp_vm::flat::SECTIONS {
        let off = word(32 + s * 8) as usize;
        assert!(off % 8 == 0 && off <= flat.len(), "section {s} at {off}");
    }
}

#[test]
fn a_place_that_cannot_be_resolved_stops_flattening() {
    let r = sample().flatten(&mut |_| Err("no such symbol"));
    assert_eq!(r, Err(FlatError::Place("no such symbol")));
}

#[test]
fn canonical_order_is_that_of_first_use() {
    let mut i = sample();
    i.strings.insert(1, "unused".into());
    i.functions[0].code[2] = insn(Op::Sldk, 0, 0, 0, 2);
    i.canonical();
    assert_eq!(i, sample());
}

#[test]
fn an_error_names_place_callers_and_probe() {
    let i = sample();
    assert_eq!(
        String::from_utf8_lossy(&i.error_text(b"bad", 4, &[2], Some(0))),
        "bad near identifier 'm' at f.stp:1:3 (called from identifier 'm' at f.stp:1:3) in probe begin"
    );
    assert_eq!(i.error_text(b"bad", 0, &[], Some(0)), b"bad");
}
