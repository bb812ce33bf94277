//! Whatever the bytes: no crash, no endless loop, a clear word.
//!
//! The random tests have fixed seeds, so that a failure comes again. With
//! `STPVM_FUZZ_SECONDS=3600` each goes on for so long, from the seed of the clock.

use super::*;
use std::fmt::Write;

#[test]
fn recursive_macros_are_an_error() {
    for text in [
        "@define f %( @f %) probe begin { x = @f }",
        "@define f %( @f @f %) probe begin { x = @f }",
        "@define f %( @g %) @define g %( @f %) probe begin { x = @f }",
        "@define f(a) %( @f(@a) %) probe begin { x = @f(1) }",
    ] {
        let p = run(text);
        assert!(p.messages().contains("macros are nested too deep"), "{text}\n{}", p.messages());
    }
}

#[test]
fn macros_that_grow_without_end_are_an_error() {
    let mut text = "@define m0 %( x x x x x x x x x x %)\n".to_string();
    for n in 1..12 {
        writeln!(
            text,
            "@define m{n} %( @m{0} @m{0} @m{0} @m{0} @m{0} @m{0} @m{0} @m{0} @m{0} @m{0} %)",
            n - 1
        )
        .unwrap();
    }
    let p = run(text + "probe begin { @m11 }");
    assert!(p.messages().contains("macros expand to too many tokens"), "{}", p.messages());
}

#[test]
fn deep_nesting_is_an_error_and_no_crash() {
    let deep = |open: &str, inner: &str, close: &str| {
        format!("probe begin {{ {}{inner}{} }}", open.repeat(20_000), close.repeat(20_000))
    };
    let texts = [
        deep("(", "1", ")"),
        deep("x = (", "1", ")"),
        deep("- ", "1", ""),
        deep("!", "1", ""),
        deep("a[", "1", "]"),
        deep("f(", "1", ")"),
        deep("{", ";", "}"),
        deep("if (1) ", ";", ""),
        deep("if (1) ; else ", ";", ""),
        deep("while (1) ", ";", ""),
        deep("try {", "", "} catch {}"),
        deep("x ? ", "1", " : 2"),
        deep("x ? 1 : ", "2", ""),
        deep("x = ", "1", ""),
        deep("1 + ", "1", ""),
        deep("\"a\" . ", "\"a\"", ""),
        deep("1 && ", "1", ""),
        deep("1 == ", "1", ""),
        deep("@count(", "x", ")"),
        deep("print(", "x", ")"),
        deep("$a[", "1", "]"),
        deep("[", "1", "] in x"),
        format!("probe begin {{ $a{} }}", "->b".repeat(20_000)),
        format!("probe {}a{} {{}}", "{".repeat(20_000), "}".repeat(20_000)),
        format!("{}1{}", "%( 1 == 1 %? ".repeat(20_000), " %)".repeat(20_000)),
        format!(
            "@define f(x) %( @x %) probe begin {{ y = {}1{} }}",
            "@f(".repeat(10_000),
            ")".repeat(10_000)
        ),
    ];
    // Less than a thread of the test runner has, and a fifth of a process.
    let small = std::thread::Builder::new().stack_size(3 << 19).spawn(move || {
        for text in texts {
            let p = run(&text);
            assert!(p.diags.has_errors(), "{}", &text[..60]);
        }
    });
    small.expect("thread").join().expect("no overflow");
}

#[test]
fn reasonable_nesting_is_accepted() {
    let p = run(format!("probe begin {{ x = {}1{} }}", "(".repeat(90), ")".repeat(90)));
    assert!(!p.diags.has_errors(), "{}", p.messages());
    let sum = vec!["1"; 900].join(" + ");
    let p = run(format!("probe begin {{ x = {sum} }}"));
    assert!(!p.diags.has_errors(), "{}", p.messages());
    let chain = "if (x == 1) y = 1 else ".repeat(150);
    let p = run(format!("probe begin {{ {chain} y = 2 }}"));
    assert!(!p.diags.has_errors(), "{}", p.messages());
}

/// Found by fuzzing. Every operand is printed in parentheses, as SystemTap does
/// it, so a tree near the limit is told to be too deep when it comes back.
#[test]
fn a_printed_tree_may_nest_deeper_than_a_script() {
    for text in [format!("probe begin {{ x = {}y }}", "!".repeat(120)), {
        let sum = vec!["1"; 300].join(" + ");
        format!("probe begin {{ x = {sum} }}")
    }] {
        let p = run(text);
        assert!(!p.diags.has_errors(), "{}", p.messages());
        let again = run(p.printed());
        let codes: Vec<_> = again.diags.list.iter().map(|d| d.code).collect();
        assert!(codes.contains(&"nested-too-deep"), "{codes:?}");
    }
}

#[test]
fn alternations_that_explode_are_an_error() {
    let p = run(format!("probe {} {{}}", vec!["{a,b,c}"; 30].join(".")));
    assert!(p.messages().contains("more than 10000 probe points by alternation"), "{}", p.messages());
}

#[test]
fn line_ends_of_windows_are_white_space() {
    let p = run("global a # x\r\nprobe begin {\r\n  a = 1 // y\r\n  println(a b)\r\n}\r\n");
    assert_eq!(
        p.messages(),
        "parse error: expected one of ', )'\n        saw: identifier 'b' at F:4:13\n     source:   println(a b)\n                         ^\n\n"
    );
}

#[test]
fn tabs_keep_the_caret_under_its_column() {
    let p = run("probe begin {\n\t\tx = \t;\n}");
    assert!(
        p.messages().contains("at F:2:8\n     source: \t\tx = \t;\n             \t\t    \t^\n"),
        "{:?}",
        p.messages()
    );
}

#[test]
fn a_script_need_not_be_utf_8() {
    let p = run(b"probe begin { println(\"\xff\xe9\", \"\xc3\xa9\") } # \xfe");
    assert!(!p.diags.has_errors(), "{}", p.messages());
    let StmtKind::Expr(Expr { kind: ExprKind::Print(print), .. }) = &body(&p)[0].kind else { panic!() };
    assert!(matches!(&print.args[0].kind, ExprKind::String(s) if s.0 == b"\xff\xe9"));
    let again = run(p.printed());
    assert_eq!(shape(&p.script), shape(&again.script));
    // Outside of strings and comments a character that is no token is named whole.
    let p = run("probe begin { x = 5 é 3 }");
    assert!(p.messages().contains("saw: operator 'é' at F:1:21"), "{}", p.messages());
}

#[test]
fn unterminated_things_are_told_where_they_begin() {
    for (text, message, token) in [
        (
            "probe begin { println(\"abc) }",
            "Could not find matching closing quote",
            "junk '\"abc) }' at F:1:23",
        ),
        (
            "probe begin { x = %{ 1 }",
            "Could not find matching '%}' to close embedded function block",
            "F:1:19",
        ),
        (
            "@define f %( 1\nprobe begin { exit() }",
            "incomplete macro definition - missing '%)'",
            "identifier 'f' at F:1:9",
        ),
        (
            "probe begin { x = %( 1 == 1 %? 5 }",
            "incomplete conditional at end of file",
            "operator '%(' at F:1:19",
        ),
        (
            "@define f(a) %( @a %) probe begin { @f(1 }",
            "could not find end of macro invocation",
            "'@f' at F:1:37",
        ),
        ("probe begin { {", "expected statement", "F EOF"),
    ] {
        let p = run(text);
        let first = p.messages();
        assert!(
            first.starts_with(&format!("parse error: {message}\n")) && first.contains(token),
            "{text}\n{first}"
        );
        assert_eq!(p.diags.errors(), 1, "{text}\n{first}");
    }
    // As SystemTap, but with a word.
    let p = run("probe begin { } /* x");
    assert!(!p.diags.has_errors());
    assert_eq!(p.messages().lines().next(), Some("WARNING: comment without end: '*/' is missing: at F:1:17"));
}

#[test]
fn empty_scripts_are_an_error() {
    for text in ["", " \n", "# x", "/* x */"] {
        assert!(run(text).messages().contains("Input file 'F' is empty"), "{text:?}");
    }
    assert!(run("%( 1 == 2 %? probe begin {} %)").messages().contains("empty after preprocessing"));
}

#[test]
fn messages_stop_before_they_flood() {
    let p = run("probe begin { x = ; }\n".repeat(1000));
    assert_eq!(p.diags.errors(), 51);
    assert_eq!(p.diags.list.last().map(|d| d.message.as_str()), Some("too many errors"));
}

/// A generator of random numbers with a fixed seed (xorshift).
struct Random(u64);

impl Random {
    /// Calls `turn` so many times, or as long as the environment says.
    fn run(seed: u64, turns: u32, mut turn: impl FnMut(&mut Random)) {
        let seconds = std::env::var("STPVM_FUZZ_SECONDS").ok().and_then(|s| s.parse::<u64>().ok());
        let Some(seconds) = seconds else {
            let mut r = Random(seed);
            return (0..turns).for_each(|_| turn(&mut r));
        };
        let clock = std::time::UNIX_EPOCH.elapsed().map_or(1, |t| t.as_nanos() as u64);
        let (mut r, start, mut n) = (Random(seed ^ clock | 1), std::time::Instant::now(), 0u64);
        eprintln!("seed {:#x}", r.0);
        while start.elapsed().as_secs() < seconds {
            turn(&mut r);
            n += 1;
        }
        eprintln!("{n} turns");
    }
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
    fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

const SOUP: &[&str] = &[
    "probe",
    "begin",
    "global",
    "function",
    "private",
    "if",
    "else",
    "for",
    "foreach",
    "in",
    "limit",
    "return",
    "delete",
    "while",
    "do",
    "break",
    "continue",
    "next",
    "string",
    "long",
    "try",
    "catch",
    "x",
    "y",
    "a",
    "$x",
    "$$vars",
    "$",
    "$$",
    "x$",
    "@count",
    "@hist_log",
    "@hist_linear",
    "@variance",
    "@cast",
    "@var",
    "@define",
    "@defined",
    "@entry",
    "@perf",
    "@probewrite",
    "@f",
    "@x",
    "@",
    "$1",
    "@1",
    "$#",
    "@#",
    "@9",
    "0",
    "5",
    "0x",
    "089",
    "\"s\"",
    "\"",
    "\"%d\"",
    "\"\\x\"",
    "print",
    "printf",
    "printd",
    "sprintf",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    "?",
    ".",
    "=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "&",
    "|",
    "^",
    "!",
    "~",
    "<",
    ">",
    "<<<",
    ">>>",
    "->",
    "++",
    "--",
    "+=",
    ".=",
    "<<=",
    "==",
    "!=",
    "<=",
    "&&",
    "||",
    "=~",
    "!~",
    "%(",
    "%?",
    "%:",
    "%)",
    "%{",
    "%}",
    "/*",
    "*/",
    "//",
    "#",
    "\n",
    "\\",
    "`",
    "é",
    "kernel_v",
    "CONFIG_X",
    "1 == 1",
    "@define f(x) %( @x %)",
    "%( 1 == 1 %?",
];

/// Whatever is parsed without an error must print and parse to the same.
fn survives(text: &[u8]) {
    let args: Vec<String> = ["7", "b c"].iter().map(|s| s.to_string()).collect();
    let macros = MacroTable::default();
    let cx = ParseContext { guru: true, ..with(&macros, &args) };
    let first = run_with(text, &cx);
    let _ = first.messages();
    let printed = first.printed();
    stp_compiler::syntax::outline(text);
    if !first.diags.has_errors() {
        let again = run_with(printed.as_bytes(), &ParseContext { args: &[], ..cx });
        let what = String::from_utf8_lossy(text);
        assert!(!again.diags.has_errors(), "{what}\n---\n{printed}\n{}", again.messages());
        assert_eq!(shape(&first.script), shape(&again.script), "{what}\n---\n{printed}");
    }
}

#[test]
fn random_tokens_never_crash() {
    Random::run(0x5eed_0001, 20_000, |r| {
        let mut text =
            String::from(*r.pick(&["probe begin { ", "", "probe a.b = ", "function f(a) { ", "global x "]));
        for _ in 0..r.below(40) {
            text += *r.pick(SOUP);
            text += *r.pick(&[" ", " ", " ", ""]);
        }
        survives(text.as_bytes());
    });
}

#[test]
fn random_bytes_never_crash() {
    Random::run(0x5eed_0002, 10_000, |r| {
        let text: Vec<u8> = (0..r.below(80)).map(|_| r.below(256) as u8).collect();
        survives(&text);
    });
}

#[test]
fn mutated_scripts_never_crash() {
    let all: Vec<&str> = good();
    Random::run(0x5eed_0003, 30_000, |r| {
        let mut text = r.pick(&all).as_bytes().to_vec();
        for _ in 0..1 + r.below(4) {
            let at = r.below(text.len() + 1);
            match r.below(5) {
                0 if at < text.len() => {
                    text.remove(at);
                }
                1 => text.insert(at, r.below(256) as u8),
                2 => {
                    let word = r.pick(SOUP).bytes();
                    text.splice(at..at, word);
                }
                3 => text.truncate(at),
                _ => {
                    // A piece of another script.
                    let other = r.pick(&all).as_bytes();
                    let lo = r.below(other.len());
                    let hi = lo + r.below(other.len() - lo + 1);
                    text.splice(at..at, other[lo..hi].iter().copied());
                }
            }
        }
        survives(&text);
    });
}

#[test]
fn generated_scripts_keep_their_meaning() {
    Random::run(0x5eed_0004, 2000, |r| {
        let mut text = String::from("probe begin { ");
        for _ in 0..1 + r.below(4) {
            statement(r, 4, &mut text);
        }
        text += "}";
        let p = run(&text);
        assert!(!p.diags.has_errors(), "{text}\n{}", p.messages());
        survives(text.as_bytes());
    });
}

/// A random statement that is right.
fn statement(r: &mut Random, depth: usize, out: &mut String) {
    let kind = if depth == 0 { 0 } else { r.below(12) };
    match kind {
        1 => {
            *out += "if (";
            expression(r, depth, out);
            *out += ") { ";
            statement(r, depth - 1, out);
            *out += "} else ";
            statement(r, depth - 1, out);
        }
        2 => {
            *out += "while (";
            expression(r, depth, out);
            *out += ") ";
            statement(r, depth - 1, out);
        }
        3 => {
            *out += "for (i = 0; i < 10; i++) ";
            statement(r, depth - 1, out);
        }
        4 => {
            *out += *r.pick(&[
                "foreach (k in arr) ",
                "foreach ([k, l-] in arr[1, *] limit 5) ",
                "foreach (v = [k, l] in arr @sum+) ",
                "foreach (b in @hist_log(s)) ",
            ]);
            statement(r, depth - 1, out);
        }
        5 => {
            *out += "try { ";
            statement(r, depth - 1, out);
            *out += "} catch (e) { ";
            statement(r, depth - 1, out);
            *out += "} ";
        }
        6 => {
            *out += *r.pick(&["break; ", "continue; ", "next; ", "; ", "delete arr; ", "delete arr[1, *]; "])
        }
        7 => {
            *out += "do { ";
            statement(r, depth - 1, out);
            *out += "} while (";
            expression(r, depth, out);
            *out += ") ";
        }
        _ => {
            expression(r, depth, out);
            *out += "; ";
        }
    }
}

/// A random expression that is right.
fn expression(r: &mut Random, depth: usize, out: &mut String) {
    let binary =
        ["+", "-", "*", "/", "%", ".", "<<", ">>", ">>>", "&", "|", "^", "&&", "||", "==", "!=", "<", ">="];
    let assign = ["=", "+=", ".=", "<<=", "|=", "<<<"];
    let kind = if depth == 0 { r.below(3) } else { r.below(16) };
    match kind {
        0 => *out += *r.pick(&["x", "y", "arr[1, 2]", "$p->f", "$$vars", "do_it"]),
        1 => *out += *r.pick(&["1", "0x7f", "18446744073709551615", "0"]),
        2 => *out += *r.pick(&["\"s\"", "\"a\\n\\\"\"", "\"\\377\\001\" \"2\"", "\"é\""]),
        3 => {
            *out += *r.pick(&["-", "!", "~", "+"]);
            *out += "(";
            expression(r, depth - 1, out);
            *out += ")";
        }
        4 => {
            *out += "(";
            expression(r, depth - 1, out);
            *out += ") ? ";
            expression(r, depth - 1, out);
            *out += " : (";
            expression(r, depth - 1, out);
            *out += ")";
        }
        5 => {
            *out += "(x ";
            *out += *r.pick(&assign);
            *out += " ";
            expression(r, depth - 1, out);
            *out += ")";
        }
        6 => {
            *out += *r.pick(&[
                "f(",
                "print(",
                "sprint(",
                "@defined(",
                "@entry(",
                "@count(",
                "a[",
                "sprintf(\"%5d%%%-3s\", 1, ",
            ]);
            let close = if out.ends_with('[') { "]" } else { ")" };
            expression(r, depth - 1, out);
            *out += close;
        }
        7 => {
            *out += "[x, *, ";
            expression(r, 0, out);
            *out += "] in arr";
        }
        8 => {
            *out += *r.pick(&[
                "x++",
                "--y",
                "(x)->f$",
                "@hist_log(s)[2]",
                "@cast(p, \"t\")->q[1]",
                "x =~ \"a.b\"",
                "y !~ \"\\\\.\"",
            ])
        }
        _ => {
            *out += "(";
            expression(r, depth - 1, out);
            *out += ") ";
            *out += *r.pick(&binary);
            *out += " (";
            expression(r, depth - 1, out);
            *out += ")";
        }
    }
}
