//! The front end from outside: what is a script, what it means, what is refused.
//!
//! The `.txt` files hold scripts with what Debian's SystemTap makes of them
//! (`stap -p1`): the expectation is its, not ours.

mod robust;

use std::fmt::Write;
use stp_compiler::diag::{render, Diagnostics, FileId, Origin, Severity, SourceMap};
use stp_compiler::driver::Privilege;
use stp_compiler::syntax::ast::*;
use stp_compiler::syntax::{parse, parse_macros, print, warn_unused_args, MacroTable, ParseContext};

struct Parsed {
    map: SourceMap,
    script: Script,
    diags: Diagnostics,
}

impl Parsed {
    fn messages(&self) -> String {
        self.diags.list.iter().fold(String::new(), |all, d| all + &render(&self.map, d, false))
    }
    fn printed(&self) -> String {
        print::script(&self.map, &self.script)
    }
}

fn config(name: &str) -> Option<String> {
    match name {
        "CONFIG_SMP" => Some("y".into()),
        "CONFIG_HZ" => Some("250".into()),
        _ => None,
    }
}

fn with<'a>(macros: &'a MacroTable, args: &'a [String]) -> ParseContext<'a> {
    ParseContext {
        kernel_release: "6.1.0-56-cloud-amd64",
        arch: "x86_64",
        runtime: "kernel",
        guru: false,
        privilege: Privilege::Stapdev,
        compatible: None,
        args,
        config: &config,
        macros,
        user: true,
    }
}

fn run_with(text: &[u8], cx: &ParseContext<'_>) -> Parsed {
    let mut map = SourceMap::default();
    let mut diags = Diagnostics::default();
    let file = map.add("F", text, Origin::User);
    let script = parse(&mut map, file, cx, &mut diags);
    Parsed { map, script, diags }
}

fn run(text: impl AsRef<[u8]>) -> Parsed {
    run_with(text.as_ref(), &with(&MacroTable::default(), &[]))
}

fn run_args(text: &str, args: &[&str]) -> Parsed {
    let args: Vec<String> = args.iter().map(|a| a.to_string()).collect();
    run_with(text.as_bytes(), &with(&MacroTable::default(), &args))
}

fn run_guru(text: &str) -> Parsed {
    let macros = MacroTable::default();
    run_with(text.as_bytes(), &ParseContext { guru: true, ..with(&macros, &[]) })
}

/// The statements of the only probe.
fn body(p: &Parsed) -> &[Stmt] {
    assert!(!p.diags.has_errors(), "{}", p.messages());
    match &p.script.probes[0].body.kind {
        StmtKind::Block(list) => list,
        other => panic!("{other:?}"),
    }
}

/// The only expression of `probe begin { … }`.
fn value(text: &str) -> ExprKind {
    match body(&run(format!("probe begin {{ {text} }}"))) {
        [Stmt { kind: StmtKind::Expr(e), .. }] => e.kind.clone(),
        other => panic!("{other:?}"),
    }
}

/// A tree without its places.
fn shape(script: &Script) -> String {
    let script = Script { used_args: Vec::new(), asks_kernel: false, ..script.clone() };
    let all = format!("{script:?}");
    let mut out = String::new();
    let mut rest = all.as_str();
    while let Some(at) = rest.find("Span { file: FileId(") {
        out += &rest[..at];
        rest = rest[at..].split_once(" }").map_or("", |(_, r)| r);
    }
    out + rest
}

/// Scripts and the lines that follow them in a data file, marked by `=>`, `!`, `@`.
fn cases(data: &str) -> Vec<(&str, Vec<&str>)> {
    let mut out: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in data.lines().filter(|l| !l.is_empty() && !l.starts_with("# ")) {
        match (line.strip_prefix("  "), out.last_mut()) {
            (Some(answer), Some(last)) => last.1.push(answer),
            _ => out.push((line, Vec::new())),
        }
    }
    out
}

const TREES: &str = include_str!("trees.txt");
const ACCEPTED: &str = include_str!("accepted.txt");
const REFUSED: &str = include_str!("refused.txt");

/// All scripts of the data files that are right.
fn good() -> Vec<&'static str> {
    cases(TREES).iter().chain(&cases(ACCEPTED)).map(|(s, _)| *s).collect()
}

#[test]
fn trees_are_systemtap_s() {
    let mut wrong = String::new();
    for (text, want) in cases(TREES) {
        let p = run(text);
        let got: Vec<_> = p.printed().lines().filter(|l| !l.is_empty()).map(String::from).collect();
        let got = format!("=> {}", got.join(" "));
        if p.diags.has_errors() || got != want[0] {
            writeln!(wrong, "{text}\n  want {}\n  got  {got}\n{}", want[0], p.messages()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn accepts_what_systemtap_accepts() {
    for (text, _) in cases(ACCEPTED) {
        let p = run(text);
        assert!(!p.diags.has_errors(), "{text}\n{}", p.messages());
    }
}

#[test]
fn refuses_what_systemtap_refuses_in_its_words() {
    let mut wrong = String::new();
    for (text, want) in cases(REFUSED) {
        let p = run(format!("{text}\n"));
        let message = match p.diags.list.iter().find(|d| d.severity == Severity::Error) {
            None => "accepted".to_string(),
            Some(d) => {
                let token = d.token.clone().unwrap_or_default();
                let words = d.message.split_whitespace().collect::<Vec<_>>().join(" ");
                let at = d.span.map(|s| format!(" at {}", p.map.place(s))).unwrap_or_default();
                let at = if token.ends_with("EOF") { String::new() } else { at };
                format!("! {words}\n  @ {token}{at}")
            }
        };
        if message != want.join("\n  ") {
            writeln!(wrong, "{text}\n  want\n  {}\n  got\n  {message}", want.join("\n  ")).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn printing_and_parsing_again_gives_the_same_tree() {
    for text in good() {
        let first = run(text);
        let printed = first.printed();
        let again = run(&printed);
        assert!(!again.diags.has_errors(), "{text}\n{printed}\n{}", again.messages());
        assert_eq!(shape(&first.script), shape(&again.script), "{text}\n{printed}");
        assert_eq!(printed, again.printed(), "{text}");
    }
}

#[test]
fn do_while_is_a_loop_and_do_is_a_name_elsewhere() {
    for text in ["do { x++ } while (x < 5)", "do x++ while (x < 5);", "do ; while (x++ < 5)"] {
        let p = run(format!("probe begin {{ {text} y }}"));
        assert!(matches!(body(&p)[0].kind, StmtKind::DoWhile { .. }), "{text}: {:?}", body(&p));
        assert_eq!(body(&p).len(), 2, "{text}");
        let again = run(p.printed());
        assert_eq!(shape(&p.script), shape(&again.script), "{}", p.printed());
    }
    for text in ["do = 5", "do++", "x = do + 1", "do[1] = 2", "do(1)"] {
        let p = run(format!("probe begin {{ {text} }}"));
        assert!(matches!(body(&p)[..], [Stmt { kind: StmtKind::Expr(_), .. }]), "{text}");
    }
    let p = run("probe begin { do { } x }");
    assert!(
        p.messages().contains("expected 'while' of 'do'\n        saw: identifier 'x'"),
        "{}",
        p.messages()
    );
}

#[test]
fn old_versions_let_assignments_into_the_last_operand() {
    let macros = MacroTable::default();
    let text = b"probe begin { a ? b : c = 2 }";
    let old = run_with(text, &ParseContext { compatible: Some("3.3"), ..with(&macros, &[]) });
    assert_eq!(old.printed(), "probe begin{\n(a)?(b):((c) = (2));\n}\n");
    let new = run_with(text, &ParseContext { compatible: Some("4.0"), ..with(&macros, &[]) });
    assert_eq!(new.printed(), "probe begin{\n((a)?(b):(c)) = (2);\n}\n");
}

#[test]
fn guru_mode_opens_embedded_c() {
    let text =
        "%{ top %} function f() %{ body %} probe begin { x = %{ 1 %} + @const(\"A\") + @kderef(8, x) }";
    let p = run_guru(text);
    assert!(!p.diags.has_errors(), "{}", p.messages());
    assert_eq!(p.script.embedded.len(), 1);
    assert!(
        matches!(p.script.functions[0].body, FunctionBody::EmbeddedC(s) if p.map.slice(s) == b"%{ body %}")
    );
    let again = run_guru(&p.printed());
    assert_eq!(shape(&p.script), shape(&again.script));
    assert!(run(text).messages().contains("embedded code in unprivileged script; need stap -g"));
}

#[test]
fn arguments_stand_for_tokens_and_strings() {
    let p = run_args("probe begin { println($1 + 1, @2, @1 . \"x\", $#, @#) }", &["4 * 10", "a\"b\\n"]);
    assert!(!p.diags.has_errors(), "{}", p.messages());
    assert_eq!(
        p.printed(),
        "probe begin{\nprintln(((4) * (10)) + (1), \"a\\\"b\\\\n\", (\"4 * 10\") . (\"x\"), 2, \"2\");\n}\n"
    );
    assert_eq!(p.script.used_args, [true, true]);
    // Not in strings, and not within words.
    let p = run_args("probe begin { println(\"$1 @1\", a$1) }", &["zed"]);
    assert_eq!(p.printed(), "probe begin{\nprintln(\"$1 @1\", a$1);\n}\n");
}

#[test]
fn faults_in_an_argument_are_shown_where_it_is_used() {
    let p = run_args("probe begin { println($1) }", &["x +"]);
    assert_eq!(
        p.messages(),
        "parse error: expected literal string or number\n        saw: operator ')' at F:1:25\n     source: probe begin { println($1) }\n                                     ^\n\n"
    );
    let p = run_args("probe begin { println($1) }", &["x `"]);
    assert!(p.messages().contains("saw: operator '`' at F:1:23"), "{}", p.messages());
    let p = run_args("probe begin { println(@3) }", &["x", "y"]);
    assert!(p.messages().contains("command line argument out of range [1-2]"), "{}", p.messages());
}

#[test]
fn unused_arguments_are_told_once_for_all_scripts() {
    let args = ["a", "b", "c"];
    let one = run_args("probe begin { println(@1) %( $# == 3 %? x = 1 %) }", &args);
    let two = run_args("probe end { println(@3) }", &args);
    let mut diags = Diagnostics::default();
    warn_unused_args(3, [&one.script, &two.script], &mut diags);
    let messages: Vec<_> = diags.list.iter().map(|d| d.message.as_str()).collect();
    assert_eq!(messages, ["unused command line option $2/@2"]);
    assert_eq!(diags.list[0].severity, Severity::Warning);
}

#[test]
fn faults_in_a_macro_lead_through_its_invocations() {
    let p = run("@define foo(x) %( 1 + + @x ; %)\nprobe begin { println(@foo(`)) }");
    assert_eq!(
        p.messages(),
        "parse error: expected literal string or number\n        saw: operator '`' at F:2:28\n     source: probe begin { println(@foo(`)) }\n                                        ^\n\tin expansion of macro: operator '@x' at F:1:25\n     source: @define foo(x) %( 1 + + @x ; %)\n                                     ^\n\tin expansion of macro: operator '@foo' at F:2:23\n     source: probe begin { println(@foo(`)) }\n                                   ^\n\n"
    );
}

#[test]
fn library_macros_serve_every_script_and_can_be_hidden() {
    let mut map = SourceMap::default();
    let mut diags = Diagnostics::default();
    let none = MacroTable::default();
    let mut table = MacroTable::default();
    let text = "@define twice(x) %( ((@x) * 2) %)\n%( arch == \"x86_64\" %? @define word %( 8 %) %: @define word %( 4 %) %)";
    let file = map.add("lib.stpm", text, Origin::Library);
    let cx = ParseContext { user: false, ..with(&none, &[]) };
    parse_macros(&mut map, file, &cx, &mut table, &mut diags);
    assert!(!diags.has_errors(), "{:?}", diags.list);
    let user = map.add("F", "probe begin { println(@twice(@word)) }", Origin::User);
    let script = parse(&mut map, user, &with(&table, &[]), &mut diags);
    assert_eq!(print::script(&map, &script), "probe begin{\nprintln((8) * (2));\n}\n");
    // A place within a library macro leads back to the user's script.
    let StmtKind::Block(list) = &script.probes[0].body.kind else { panic!() };
    let StmtKind::Expr(Expr { kind: ExprKind::Print(print), .. }) = &list[0].kind else { panic!() };
    assert_eq!(map.place(print.args[0].span), "lib.stpm:1:27");
    assert!(map.is_user(print.args[0].span));
    let hides = map.add("G", "@define word %( 2 %) probe begin { println(@word) }", Origin::User);
    let script = parse(&mut map, hides, &with(&table, &[]), &mut diags);
    assert_eq!(print::script(&map, &script), "probe begin{\nprintln(2);\n}\n");
}

#[test]
fn macro_files_hold_macros_only() {
    let mut map = SourceMap::default();
    let mut diags = Diagnostics::default();
    let none = MacroTable::default();
    let mut table = MacroTable::default();
    let file = map.add("lib.stpm", "@define a %( 1 %) global x", Origin::Library);
    parse_macros(&mut map, file, &with(&none, &[]), &mut table, &mut diags);
    assert_eq!(diags.list[0].message, "expected '@define'");
    assert!(table.defs.contains_key("a"));
}

#[test]
fn all_faults_of_a_script_are_told() {
    let p = run("global a b\nprobe begin { x = ; y = 5 + ; if 1 { z } w = 1 }\nfunction f( { }\nprobe end { f(1 2) }\n");
    let places: Vec<_> = p.diags.list.iter().filter_map(|d| d.span).map(|s| p.map.place(s)).collect();
    assert_eq!(places, ["F:1:10", "F:2:19", "F:2:29", "F:2:34", "F:3:13", "F:4:17"], "{}", p.messages());
    // What is right is there all the same.
    assert_eq!(p.script.globals.len(), 1);
    assert_eq!(p.script.probes.len(), 2);
}

#[test]
fn target_variables_keep_their_path_and_pretty_printing() {
    let ExprKind::Target(t) = value("$foo->bar[1]->baz$$") else { panic!() };
    assert!(matches!(&t.base, TargetBase::Name(n) if n == "$foo"));
    assert_eq!((t.path.len(), t.pretty), (3, 2));
    let ExprKind::Target(t) = value("$$vars$") else { panic!() };
    assert!(matches!(&t.base, TargetBase::Name(n) if n == "$$vars"));
    assert_eq!(t.pretty, 1);
    let ExprKind::Target(t) = value("task_current()->tgid") else { panic!() };
    assert!(matches!(&t.base, TargetBase::Auto(e) if matches!(e.kind, ExprKind::Call { .. })));
    let ExprKind::AddressOf(t) = value("&@cast(p, \"t\", \"m\")->x") else { panic!() };
    assert!(matches!(&t.base, TargetBase::Cast { ty, module: Some(m), .. } if ty == "t" && m == "m"));
    let ExprKind::Target(t) = value("@var(\"v@f.c\")[3]") else { panic!() };
    assert!(matches!(&t.base, TargetBase::Var { name, module: None } if name == "v@f.c"));
    assert!(matches!(&t.path[..], [PathStep::Element(_)]));
}

#[test]
fn alias_parameters_are_names_in_aliases_only() {
    let p = run("probe a.b(x) = c.d(x), e(5) { }");
    assert!(!p.diags.has_errors(), "{}", p.messages());
    assert!(
        matches!(&p.script.aliases[0].names[0].components[1].arg, Some(ComponentArg::Param(i)) if i.name == "x")
    );
    let p = run("probe a.b(x) { }");
    assert!(p.messages().contains("saw: identifier 'x' at F:1:11"), "{}", p.messages());
}

#[test]
fn aliases_of_the_library_may_name_several_at_once() {
    let macros = MacroTable::default();
    let text = b"probe {syscall,nd_syscall}.read = x { }";
    let library = run_with(text, &ParseContext { user: false, ..with(&macros, &[]) });
    assert!(!library.diags.has_errors(), "{}", library.messages());
    let names: Vec<_> =
        library.script.aliases[0].names.iter().map(|n| print::point(&library.map, n)).collect();
    assert_eq!(names, ["syscall.read", "nd_syscall.read"]);
    assert!(run(text).diags.has_errors());
}

#[test]
fn the_library_parses() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../tapsets");
    let files = |ext: &str| {
        let all = std::fs::read_dir(dir).expect("the library").map(|e| e.expect("a file").path());
        let mut all: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == ext)).collect();
        all.sort();
        all
    };
    let mut map = SourceMap::default();
    let mut diags = Diagnostics::default();
    let none = MacroTable::default();
    let mut macros = MacroTable::default();
    let read = |p: &std::path::Path| std::fs::read(p).expect("a file");
    for path in files("stpm") {
        let file = map.add(path.display().to_string(), read(&path), Origin::Library);
        let cx = ParseContext { user: false, ..with(&none, &[]) };
        parse_macros(&mut map, file, &cx, &mut macros, &mut diags);
    }
    let scripts = files("stp");
    assert!(!scripts.is_empty());
    for path in scripts {
        let text = read(&path);
        let file = map.add(path.display().to_string(), text.clone(), Origin::Library);
        let cx = ParseContext { user: false, ..with(&macros, &[]) };
        let script = parse(&mut map, file, &cx, &mut diags);
        let messages = diags.list.iter().fold(String::new(), |all, d| all + &render(&map, d, false));
        assert!(diags.list.is_empty(), "{messages}");
        // The outline names all that the script defines.
        let outline = stp_compiler::syntax::outline(&text);
        for f in &script.functions {
            assert!(outline.functions.contains(&f.name.name), "{}: {}", path.display(), f.name.name);
        }
        for g in &script.globals {
            assert!(outline.globals.contains(&g.name.name), "{}: {}", path.display(), g.name.name);
        }
    }
}

#[test]
fn places_are_those_that_systemtap_names() {
    let p = run("global a\nprobe begin {\n  a[1] = 5 + f(2)\n  while (1) { }\n}");
    let place = |s| p.map.place(s);
    let list = body(&p);
    assert_eq!(place(list[0].span), "F:3:3");
    let StmtKind::Expr(Expr { kind: ExprKind::Assign { target, value, .. }, span, .. }) = &list[0].kind
    else {
        panic!()
    };
    assert_eq!(place(*span), "F:3:8");
    assert_eq!(place(target.span), "F:3:3");
    assert_eq!(place(value.span), "F:3:12");
    let ExprKind::Binary { rhs, .. } = &value.kind else { panic!() };
    assert_eq!(place(rhs.span), "F:3:14");
    assert_eq!(place(list[1].span), "F:4:3");
    assert_eq!(p.map.get(FileId(0)).name.as_ref(), "F");
}
