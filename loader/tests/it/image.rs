//! Images without a compiler: what the machine in the process does with them,
//! and how its errors are told.

use crate::common::{good, text, Dir};
use std::process::{Command, Output};
use stp_compiler::bytecode::{CodePlace, FormatItem, Function, Image, Line, Probe};
use stp_compiler::types::hir::Place;
use stp_vm::isa::{Helper, Insn, Op};

fn word(op: Op, a: u8, b: u8, c: u8, imm: i32) -> u64 {
    Insn { op, a, b, c, imm }.encode()
}

/// An image whose only handler prints a line, then does what `code` says.
fn image(at: Place, code: &[u64]) -> Image {
    let mut i = Image::new("t");
    i.formats.push(vec![FormatItem::Text("line\n".into())]);
    i.files.push("f.stp".into());
    i.places.push(CodePlace { token: "operator '/'".into(), file: 0, line: 3, col: 7 });
    let mut all = vec![word(Op::Print, 0, 0, 0, 0)];
    all.extend_from_slice(code);
    all.push(word(Op::Ret, 0, 0, 0, 0));
    i.functions.push(Function {
        name: "handler".into(),
        handler: true,
        nregs: 2,
        code: all,
        lines: vec![Line { pc: 0, place: 0 }],
        ..Function::default()
    });
    i.probes.push(Probe {
        at,
        function: 0,
        condition: None,
        pp: "begin".into(),
        pn: "begin".into(),
        label: "probe begin".into(),
        optional: false,
        one_of: None,
        locks: Vec::new(),
        cost: Some(1),
    });
    i
}

fn run(name: &str, image: &Image) -> Output {
    let d = Dir::new(name);
    let file = d.0.join("t.stpbc");
    std::fs::write(&file, image.to_bytes().unwrap()).unwrap();
    Command::new(env!("CARGO_BIN_EXE_staprun")).arg("--runtime=user").arg(file).output().unwrap()
}

#[test]
fn a_handler_prints_and_exits() {
    let exit = word(Op::Helpv, 0, 0, 0, Helper::Exit as i32);
    let o = run("prints", &image(Place::Begin { priority: 0 }, &[exit]));
    assert_eq!(good(&o), "line\n");
    assert_eq!(text(&o.stderr), "");
}

#[test]
fn a_timer_fires() {
    let exit = word(Op::Helpv, 0, 0, 0, Helper::Exit as i32);
    let o = run("timer", &image(Place::Timer { ns: 5_000_000, random_ns: 1_000_000 }, &[exit]));
    assert_eq!(good(&o), "line\n");
}

#[test]
fn an_error_names_its_place_and_its_probe() {
    let code = [word(Op::Ldi, 0, 0, 0, 1), word(Op::Ldi, 1, 0, 0, 0), word(Op::Div, 0, 0, 1, 0)];
    let o = run("error", &image(Place::Begin { priority: 0 }, &code));
    assert_eq!(o.status.code(), Some(1));
    assert_eq!(text(&o.stdout), "line\n");
    assert_eq!(
        text(&o.stderr),
        "ERROR: division by 0 near operator '/' at f.stp:3:7 in probe begin\n\
         WARNING: Number of errors: 1, skipped probes: 0\n"
    );
}

#[test]
fn an_image_that_breaks_the_rules_is_refused() {
    // Reads a register that nobody wrote, beyond the frame.
    let o = run("rules", &image(Place::Begin { priority: 0 }, &[word(Op::Mov, 0, 9, 0, 0)]));
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o.stderr).starts_with("ERROR: the image was refused: "), "{}", text(&o.stderr));
    assert_eq!(text(&o.stdout), "");
}
