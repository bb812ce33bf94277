//! Each rule of `core/rules.def`, both ways: a program that keeps it is
//! accepted, and the same program with one thing changed is refused by it.

#[path = "../common/mod.rs"]
mod common;
mod flow;
mod locks;
mod tables;
mod words;

pub use common::{help, i, ibc, Image, ADD, ALL_CAPS, INT, LOCK, READ, RET, STAT, STR, WRITE};
pub use stp_vm::flat::{Dfa, FmtItem, Func, Iter};
pub use stp_vm::isa::{Helper, Insn, Op, Rule};

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
