//! Binary to text and back is the identity.

use super::tests::sample;
use super::*;
use crate::types::hir::SymbolRef;
use stp_vm::isa::{Field, Imm, Insn, Op, OPS};

fn round_trip(image: &Image) {
    let mut image = image.clone();
    image.canonical();
    for comments in [false, true] {
        let text = image.listing(comments);
        let back = assemble(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(back, image, "\n{text}");
    }
}

#[test]
fn a_sample_goes_to_text_and_back() {
    round_trip(&sample());
}

#[test]
fn every_instruction_goes_to_text_and_back() {
    let mut image = sample();
    image.dfas.push(Dfa { pattern: "a/\"b".into(), nstates: 1, ngroups: 1, flags: 0, words: vec![1, 0xfff] });
    let mut code = Vec::new();
    for info in &OPS {
        let n = |f: Field| match f {
            Field::None | Field::J => 0,
            Field::K => 0,
            _ => 1,
        };
        let (a, b, c) = (n(info.a), n(info.b), n(info.c));
        let imm = match info.imm {
            Imm::None | Imm::K | Imm::Str | Imm::Fmt | Imm::It | Imm::Dfa | Imm::Fn => 0,
            Imm::G | Imm::St | Imm::M | Imm::Ms | Imm::H => 0,
            Imm::Lit => -5,
            Imm::Fj => 0,
            Imm::Bj => -1,
        };
        code.push(Insn { op: info.op, a, b, c, imm }.encode());
    }
    image.functions[0].code = code;
    round_trip(&image);
}

#[test]
fn addresses_go_to_text_and_back() {
    let mut image = sample();
    let address = |symbol: &str, module: Option<&str>, offset, data| {
        let (symbol, module) = (symbol.to_string(), module.map(str::to_string));
        Constant::Address(SymbolRef { symbol, module, offset, data })
    };
    image.constants = vec![
        Constant::Number(1 << 40),
        address("jiffies", None, 0, true),
        address("a.b\"c", Some("ext4"), -16, false),
    ];
    let load = |n| Insn { op: Op::Ldk, a: 1, b: 0, c: 0, imm: n }.encode();
    image.functions[0].code.extend([load(1), load(2)]);
    round_trip(&image);
    assert!(image.listing(false).contains("r1, &\"jiffies\" \"\" 0 data"), "{}", image.listing(false));
}

#[test]
fn a_person_can_write_a_program() {
    let image = assemble(
        "image \"sum\"\n\
         limit MAXACTION 500\n\
         global n = int 0   # a comment\n\
         probe begin\n    at {\"Begin\":{\"priority\":0}}\n    handler &h\n    lock %n write\n\
         handler h regs 2 strs 0\n\
         \x20   lock\n    ldi r0, 10\n    ldi r1, 0\n\
         loop_top:\n    add r1, r1, r0\n    addi r0, r0, -1\n    jlei r0, 0, done\n    loop 1, loop_top\n\
         done:\n    gset r1, %n\n    print r1, \"n=%05d\\n\"\n    ret\n",
    )
    .expect("assembles");
    assert_eq!(image.limits.maxaction, 500);
    assert_eq!(image.functions[0].code.len(), 10);
    let jump = Insn::decode(image.functions[0].code[5]).expect("known opcode");
    assert_eq!(jump.bc(), 1, "over the loop instruction");
    let back = Insn::decode(image.functions[0].code[6]).expect("known opcode");
    assert_eq!(back.imm, -4);
    round_trip(&image);
}

#[test]
fn the_worst_case_of_a_probe_is_shown_with_its_callees() {
    let worst = |text: &str| {
        let image = assemble(text).expect("assembles");
        let list = image.listing(true);
        let line = list.lines().find(|l| l.contains("at most") || l.contains("no worst case"));
        line.expect("a line on the worst case").trim().to_string()
    };
    let probe = "global m = map(int) -> int size 10\n\
        probe begin\n    at {\"Begin\":{\"priority\":0}}\n    handler &h\n    lock %m write\n";
    // The call twice: 2 * (mset, ret) and 7 of its own; print: head 16, body 8 + 8, to 16.
    assert_eq!(
        worst(&format!(
            "{probe}function f(int) regs 2 strs 0 locked\n    mset r0, r0, s0, %m\n    ret\n\
             handler h regs 3 strs 0\n    lock\n    ldi r0, 1\n    call r0, s0, &f\n    ldi r0, 1\n\
             \x20   call r0, s0, &f\n    print r0, \"%d\"\n    ret\n"
        )),
        "# at most: instructions 11, map operations 2, output 32 bytes, scratch 40 bytes"
    );
    let none = "# no worst case: loops or recursion, ended by the limit of actions";
    assert_eq!(worst(&format!("{probe}handler h regs 1 strs 0\ntop:\n    loop 1, top\n")), none);
    assert_eq!(
        worst(&format!(
            "{probe}function f() regs 0 strs 0\n    call r0, s0, &f\n    ret\n\
             handler h regs 1 strs 0\n    call r0, s0, &f\n    ret\n"
        )),
        none
    );
}

#[test]
fn mistakes_are_named_with_their_line() {
    let error = |text: &str| assemble(text).expect_err("refused").to_string();
    assert_eq!(
        error("image \"x\"\nhandler h regs 1 strs 0\n    frob r1\n"),
        "line 3: unknown instruction frob"
    );
    assert_eq!(error("handler h regs 1 strs 0\n    jmp nowhere\n"), "line 2: unknown label nowhere");
    assert_eq!(error("limit MAXNOTHING 3\n"), "line 1: unknown limit MAXNOTHING");
    assert_eq!(error("probe begin\n"), "line 1: this probe has no handler");
    assert!(error("handler h regs 1 strs 0\n    gset r0, %x\n").contains("unknown global x"));
}
