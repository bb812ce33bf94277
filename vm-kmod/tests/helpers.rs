//! Built-in functions by their values; expectations are SystemTap's.
mod common;
use common::{help, i, Image, RET};
use stp_vm::isa::{Helper, Insn, Op, Ret};
use stp_vm::{Hit, Machine};

enum A<'a> {
    I(i64),
    S(&'a str),
}
use A::{I, S};

fn machine(h: Helper, args: &[A], more: &[(Helper, &str)]) -> Machine {
    let mut im = Image::new();
    im.limits.maxstringlen = 64;
    let (pp, pn) = (im.str("begin"), im.str("my.begin"));
    let mut code = Vec::new();
    let (mut ni, mut ns) = (0, 0);
    for a in args {
        match a {
            I(v) => {
                let k = im.konst(*v);
                code.push(i(Op::Ldk, ni, 0, 0, k));
                ni += 1;
            }
            S(s) => {
                let k = im.str(s);
                code.push(i(Op::Sldk, ns, 0, 0, k));
                ns += 1;
            }
        }
    }
    let (d, s) = (im.fmt("%d"), im.fmt("%s"));
    match h.info().ret {
        Ret::I => code.extend([help(Op::Helpi, 0, 0, 0, h), i(Op::Print, 0, 0, 0, d)]),
        Ret::S => code.extend([help(Op::Helps, 0, 0, 0, h), i(Op::Print, 0, 0, 0, s)]),
        Ret::V => code.push(help(Op::Helpv, 0, 0, 0, h)),
    }
    for (h, arg) in more {
        let (k, comma) = (im.str(arg), im.fmt(",%s"));
        code.extend([i(Op::Sldk, 0, 0, 0, k), help(Op::Helps, 0, 0, 0, *h), i(Op::Print, 0, 0, 0, comma)]);
    }
    code.push(RET);
    im.probe(&code, &[]);
    (im.probes[0].pp, im.probes[0].pn) = (pp as u32, pn as u32);
    im.machine(2)
}

fn call(h: Helper, args: &[A]) -> String {
    let m = machine(h, args, &[]);
    m.run(1, 0, &Hit::default());
    common::text(&m)
}

#[test]
fn string_functions() {
    use Helper::*;
    assert_eq!(call(Strlen, &[S("a b")]), "3");
    let s = "abcdefgh";
    for (at, n, want) in
        [(0, 3, "abc"), (2, 100, "cdefgh"), (7, 1, "h"), (8, 2, ""), (-1, 3, ""), (2, 0, ""), (3, -1, "")]
    {
        assert_eq!(call(Substr, &[S(s), I(at), I(n)]), want);
    }
    assert_eq!(call(Stringat, &[S("ABC"), I(2)]), "67");
    assert_eq!(call(Stringat, &[S("ABC"), I(-1)]), "ERROR: Position out of bounds\n");
    assert_eq!(call(Stringat, &[S("ABC"), I(3)]), "ERROR: Position out of bounds\n");
    assert_eq!(call(Isinstr, &[S("foobar"), S("oba")]), "1");
    assert_eq!(call(Isinstr, &[S("foobar"), S("obo")]), "0");
    for (a, b, want) in [("foobar", "bar", "3"), ("foobar", "zz", "-1"), ("abc", "", "0"), ("", "a", "-1")] {
        assert_eq!(call(Strpos, &[S(a), S(b)]), want);
    }
    for (a, want) in [("5", "1"), ("x", "0"), ("", "0"), ("9a", "1"), ("-1", "0")] {
        assert_eq!(call(Isdigit, &[S(a)]), want);
    }
}

#[test]
fn strtol_reads_digits_up_to_f_and_wraps() {
    for (s, base, want) in [
        ("777", 8, "511"),
        ("ff", 16, "255"),
        ("FF", 16, "255"),
        ("z", 36, "0"),
        ("0xff", 10, "0"),
        ("9", 1, "0"),
        ("9223372036854775807", 10, "9223372036854775807"),
        ("9223372036854775808", 10, "-9223372036854775808"),
        ("-9223372036854775808", 10, "-9223372036854775808"),
        ("+5", 10, "0"),
        ("8", 8, "0"),
        ("0b1", 0, "0"),
    ] {
        assert_eq!(call(Helper::Strtol, &[S(s), I(base)]), want, "{s} in base {base}");
    }
}

#[test]
fn str_replace_takes_every_place() {
    for (s, a, b, want) in [
        ("banana", "an", "AN", "bANANa"),
        ("banana", "a", "", "bnn"),
        ("aaa", "aa", "b", "ba"),
        ("abc", "", "-", "abc"),
        ("", "a", "b", ""),
        ("aXbX", "X", "XX", "aXXbXX"),
    ] {
        assert_eq!(call(Helper::StrReplace, &[S(s), S(a), S(b)]), want);
    }
    let long = call(Helper::StrReplace, &[S("aaaaaaaaaa"), S("a"), S("0123456789")]);
    assert_eq!(long.len(), 63);
}

#[test]
fn tokens_skip_empty_fields() {
    let next = (Helper::TokenNext, ":");
    let m = machine(Helper::Tokenize, &[S("::a::b:"), S(":")], &[next, next]);
    m.run(0, 0, &Hit::default());
    assert_eq!(common::text(&m), "a,b,");
}

#[test]
fn text_is_escaped_and_quoted() {
    let t = |s: &str, n, quoted| call(Helper::TextStrn, &[S(s), I(n), I(quoted)]);
    assert_eq!(t("\x1b[0m", 0, 0), "\\033[0m");
    assert_eq!(t("plain", 0, 1), "\"plain\"");
    assert_eq!(t("q\"q", 0, 1), "\"q\\\"q\"");
    assert_eq!(t("t\tn\n\\", 0, 1), "\"t\\tn\\n\\\\\"");
    assert_eq!(t("\u{1}é", 0, 1), "\"\\001\\u00E9\"");
    assert_eq!(t("0123456789abcdef", 12, 1), "\"012345\"...");
}

#[test]
fn bytes_that_are_not_utf8_are_octal() {
    let mut im = Image::new();
    let k = im.strb(b"\xff\xfe");
    let f = im.fmt("%s");
    im.probe(
        &[
            i(Op::Sldk, 0, 0, 0, k),
            i(Op::Ldi, 0, 0, 0, 0),
            i(Op::Ldi, 1, 0, 0, 0),
            help(Op::Helps, 0, 0, 0, Helper::TextStrn),
            i(Op::Print, 0, 0, 0, f),
            RET,
        ],
        &[],
    );
    assert_eq!(im.run(), "\\377\\376");
}

#[test]
fn the_host_answers_for_the_task_and_the_clock() {
    let mut m = machine(Helper::Pid, &[], &[]);
    m.set_fact(Helper::Pid, 4711);
    m.run(0, 0, &Hit::default());
    assert_eq!(common::text(&m), "4711");
    let mut m = machine(Helper::Execname, &[], &[]);
    m.set_execname("bash", "sshd");
    m.run(0, 0, &Hit::default());
    assert_eq!(common::text(&m), "bash");
    for (h, want) in [
        (Helper::GtodNs, "5000000007"),
        (Helper::GtodUs, "5000000"),
        (Helper::GtodMs, "5000"),
        (Helper::GtodS, "5"),
        (Helper::KtimeNs, "11"),
        (Helper::Cycles, "13"),
        (Helper::Cpu, "1"),
        (Helper::SyscallNr, "-1"),
    ] {
        let mut m = machine(h, &[], &[]);
        m.set_clock(5_000_000_007, 11, 13);
        m.run(1, 0, &Hit::default());
        assert_eq!(common::text(&m), want, "{h:?}");
    }
}

#[test]
fn the_probe_tells_its_names() {
    assert_eq!(call(Helper::Pp, &[]), "begin");
    assert_eq!(call(Helper::Pn, &[]), "my.begin");
}

#[test]
fn randint_stays_below_its_bound() {
    for _ in 0..20 {
        let n: i64 = call(Helper::Randint, &[I(7)]).parse().unwrap();
        assert!((0..7).contains(&n));
    }
    assert_eq!(call(Helper::Randint, &[I(0)]), "0");
}

fn with_memory(h: Helper, args: &[A]) -> String {
    let mut m = machine(h, args, &[]);
    m.map(0x1000, b"hello\0world", false, false);
    m.map(0x2000, b"user \x01\0", true, false);
    let long = [b'x'; 200];
    m.map(0x3000, &long, true, false);
    m.run(0, 0, &Hit::default());
    common::text(&m)
}

#[test]
fn strings_are_read_from_memory_up_to_their_nul() {
    use Helper::*;
    let fault = "ERROR: read fault [man error::fault] at 0x9\n";
    assert_eq!(with_memory(Kstr, &[I(0x1000), I(0)]), "hello");
    assert_eq!(with_memory(Kstr, &[I(0x1000), I(2)]), "he");
    assert_eq!(with_memory(Kstr, &[I(9), I(0)]), fault);
    assert_eq!(with_memory(KstrOr, &[I(9), I(0), S("none")]), "none");
    assert_eq!(with_memory(KstrOr, &[I(0x1000), I(0), S("none")]), "hello");
    assert_eq!(with_memory(Ustr, &[I(0x2000), I(5)]), "user ");
    assert_eq!(with_memory(Ustr, &[I(0x3000), I(0)]).len(), 63);
    assert_eq!(with_memory(UstrQuoted, &[I(0x2000), I(0), I(0)]), "\"user \\001\"");
    assert_eq!(with_memory(UstrQuoted, &[I(0), I(0), I(0)]), "0x0");
    assert_eq!(with_memory(KstrQuoted, &[I(0x1000), I(3), I(0)]), "\"hel\"...");
    assert_eq!(with_memory(KstrQuoted, &[I(0x1000), I(5), I(0)]), "\"hello\"");
}

#[test]
fn messages_go_to_their_streams() {
    let m = machine(Helper::Log, &[S("to log")], &[]);
    m.run(0, 0, &Hit::default());
    assert_eq!(common::text(&m), "to log\n");
    let m = machine(Helper::Warn, &[S("to warn")], &[]);
    m.run(0, 0, &Hit::default());
    let r = &m.drain_all()[0];
    assert_eq!(r.kind(), stp_vm::host::rec::WARN);
    assert_eq!(m.program().render(r, None), b"to warn");
}

#[test]
fn speculation_prints_what_is_committed() {
    let mut im = Image::new();
    im.limits.maxspeculation = 2;
    let (a, b) = (im.str("kept;"), im.str("dropped;"));
    let f = im.fmt("%d\n");
    im.probe(
        &[
            i(Op::Sldk, 0, 0, 0, a),
            i(Op::Sldk, 1, 0, 0, b),
            help(Op::Helpi, 0, 0, 0, Helper::Speculation),
            help(Op::Helpi, 1, 0, 0, Helper::Speculation),
            help(Op::Helpv, 0, 0, 0, Helper::Speculate),
            help(Op::Helpv, 0, 1, 1, Helper::Speculate),
            help(Op::Helpv, 0, 0, 0, Helper::Speculate),
            help(Op::Helpv, 0, 1, 0, Helper::Discard),
            help(Op::Helpv, 0, 0, 0, Helper::Commit),
            help(Op::Helpi, 1, 0, 0, Helper::Speculation),
            i(Op::Print, 0, 1, 0, f),
            help(Op::Helpv, 0, 0, 0, Helper::Commit),
            RET,
        ],
        &[],
    );
    assert_eq!(im.run(), "kept;kept;3\nERROR: no speculation with id 1\n");
}

/// Runs `code` as the handler of a probe of that kind with its `$value`.
fn value_after(kind: u16, value: &[u8], cap: usize, code: &[Insn]) -> (Vec<u8>, String) {
    let mut im = Image::new();
    im.limits.maxstringlen = 16;
    let (ab, cd) = (im.str("ab"), im.str("cdefgh"));
    let s = im.fmt("%s");
    let mut all = vec![i(Op::Sldk, 0, 0, 0, ab), i(Op::Sldk, 1, 0, 0, cd)];
    all.extend(code);
    all.extend([i(Op::Print, 0, 0, 0, s), RET]);
    im.probe(&all, &[]);
    im.probes[0].kind = kind;
    let m = im.machine(1);
    let mut v = Vec::with_capacity(cap);
    v.extend_from_slice(value);
    m.run_with_value(0, 0, &mut v);
    (v, common::text(&m))
}

#[test]
fn the_value_of_a_file_is_set_appended_to_and_cut_to_its_buffer() {
    use stp_vm::flat::kind::{INPUT, PROCFS_R, PROCFS_W, TIMER};
    let set = help(Op::Helps, 0, 0, 0, Helper::SetValue);
    let add = help(Op::Helps, 1, 0, 1, Helper::AddValue);
    let get = help(Op::Helps, 0, 0, 0, Helper::Value);
    let bytes = |v: &[u8]| v.to_vec();
    assert_eq!(value_after(PROCFS_R, b"old", 64, &[set]), (bytes(b"ab"), "ab".into()));
    assert_eq!(value_after(PROCFS_R, b"", 64, &[set, add, add]).0, b"abcdefghcdefgh");
    assert_eq!(value_after(PROCFS_R, b"", 5, &[set, add, add]).0, b"abcde", "no more than the buffer holds");
    // A string holds 15 bytes.
    let long = b"0123456789abcdefgh";
    assert_eq!(value_after(PROCFS_W, long, 64, &[get]), (bytes(long), "0123456789abcde".into()));
    assert_eq!(value_after(INPUT, b"x", 1, &[get]).1, "x");
    // What came from outside stays as it is, and its buffer is no larger.
    for kind in [PROCFS_W, INPUT] {
        assert_eq!(value_after(kind, b"old", 3, &[set, add, get]), (bytes(b"old"), "old".into()));
    }
    // Elsewhere there is none, whatever the host has in its place.
    assert_eq!(value_after(TIMER, b"old", 64, &[set, add, get]), (bytes(b"old"), String::new()));
}

#[test]
fn registers_of_the_probed_code_are_set_but_not_where_it_goes_on() {
    let run = |n: i64, at_hand: bool| {
        let m = machine(Helper::SetRegister, &[I(n), I(99)], &[]);
        m.run(1, 0, &Hit { regs: at_hand.then_some([7; 17]), ..Hit::default() });
        common::text(&m)
    };
    assert_eq!(run(3, true), "99");
    // the stack pointer, the next instruction, no register, none at hand
    for (n, at_hand) in [(7, true), (16, true), (-1, true), (40, true), (3, false)] {
        assert_eq!(run(n, at_hand), format!("ERROR: no value for register {n}\n"));
    }
}

#[test]
fn only_a_netfilter_probe_has_a_verdict() {
    assert_eq!(call(Helper::Verdict, &[]), "1");
    // the strings of these tests are shorter than the whole of it
    let refused = call(Helper::SetVerdict, &[I(0)]);
    assert!(refused.starts_with("ERROR: a packet can be dropped (0), accepted (1) or queued"), "{refused}");
}
