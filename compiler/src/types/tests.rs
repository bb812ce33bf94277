//! Scripts to typed programs: what probes they become, what runs there, of
//! what types the variables are. Expectations are those of stap(1),
//! stapprobes(3stap) and of `stap -p2`.

use super::hir::{GlobalKind, Place, Program};
use super::print::print;
use crate::diag::render;
use crate::driver::{Compilation, Input, Options};

fn compile(options: Options, text: &str) -> (Option<Program>, String) {
    let mut c = Compilation::new(options);
    let _ = c.parse(&[Input { name: "t".into(), text: text.into() }]).and_then(|()| c.analyze());
    let said = c.diagnostics.list.iter().map(|d| render(&c.sources, d, false)).collect();
    (c.program, said)
}

/// The listing of a script that must be accepted.
fn listing(text: &str) -> String {
    let (program, said) = compile(Options::default(), text);
    print(&program.unwrap_or_else(|| panic!("{said}")), false)
}

#[test]
fn a_handler_runs_at_each_of_its_points() {
    assert_eq!(
        listing("probe begin, timer.s(1) { println(1) }"),
        "# probes\nbegin /* <- begin,timer.s(1) */\ntimer.s(1) /* <- begin,timer.s(1) */\n"
    );
}

#[test]
fn aliases_show_how_a_place_was_reached() {
    let text =
        "probe foo.a = begin, end { println(1) } probe bar = foo.a { println(2) } probe bar { println(3) }";
    assert_eq!(
        listing(text),
        "# probes\nbegin /* <- foo.a = begin, end <- bar = foo.a <- bar */\n\
         end /* <- foo.a = begin, end <- bar = foo.a <- bar */\n"
    );
}

#[test]
fn prologues_run_before_and_epilogues_after_the_inner_alias_nearest_the_place() {
    let text = r#"
        probe in = begin { print("a") }, { print("g") }
        probe mid += in { print("f") }
        probe out = mid { print("c") }, { print("e") }
        probe out { print("d") }"#;
    let (program, said) = compile(Options::default(), text);
    let p = &program.unwrap_or_else(|| panic!("{said}")).probes[0];
    let mut order = String::new();
    super::walk::each_stmt(&p.body, &mut |s| {
        if let super::hir::StmtKind::Expr(e) = &s.kind {
            super::walk::parts(e, &mut |a| {
                if let super::hir::ExprKind::String(s) = &a.kind {
                    order += &s.to_string_lossy();
                }
            });
        }
    });
    assert_eq!(order, "acdefg");
}

#[test]
fn a_suffix_goes_to_the_points_of_an_alias_unless_it_has_one_of_that_name() {
    let text = "probe t = timer.s(9) {println(1)} probe t.end = end {println(2)} probe t.randomize(5), t.end {println(3)}";
    let p = compile(Options::default(), text).0.expect("program");
    assert_eq!(p.probes[0].at, Place::Timer { ns: 9_000_000_000, random_ns: 5_000_000_000 });
    assert_eq!(p.probes[1].at, Place::End { priority: 0 });
}

#[test]
fn wildcards_go_through_aliases_in_order_and_name_them_in_pn() {
    let p = compile(
        Options::default(),
        "probe s.b = end {println(1)} probe s.a = begin {println(2)} probe s.a.x = never {println(3)} probe s.* {println(4)}",
    )
    .0
    .expect("program");
    let names: Vec<&str> = p.probes.iter().map(|p| p.pn.as_str()).collect();
    assert_eq!(names, ["s.a", "s.b"]);
}

#[test]
fn optional_points_may_be_missing_and_a_sufficient_one_ends_the_list() {
    assert!(listing("probe no.such ?, begin {println(1)}").contains("begin /*"));
    let two = listing("probe no.such !, begin !, end {println(1)}");
    assert!(two.contains("begin /*") && !two.contains("end /*"), "{two}");
}

#[test]
fn conditions_of_a_point_and_of_its_alias_both_hold() {
    let text = "global g = 1, h = 2 probe a = timer.s(1) if (g) {println(1)} probe a if (h) {println(2)} probe end {g = 0; h = 0}";
    let p = compile(Options::default(), text).0.expect("program");
    assert!(matches!(
        p.probes[0].condition.as_ref().map(|c| &c.kind),
        Some(super::hir::ExprKind::Binary { op: super::hir::BinaryOp::And, .. })
    ));
}

#[test]
fn types_follow_from_use_in_any_order() {
    let text = "global a, b[10], s, c function f(x) { return g(x) } function g(y) { return y . \"!\" }\n\
                probe begin { b[1, \"x\"] = f(c); a = @count(s); s <<< 2; println(a, b[1, \"x\"]) }\n\
                probe end { c = sprint(a); println(c) }";
    let got = listing(text);
    assert!(got.starts_with("# globals\na:long\nb[10]:string [long, string]\ns:stats\nc:string\n"), "{got}");
    assert!(got.contains("f:string (x:string)\n") && got.contains("g:string (y:string)\n"), "{got}");
}

#[test]
fn a_global_that_is_only_written_is_shown_at_the_end() {
    let got = listing("global a, b, u probe begin { a++; b[\"k\"] <<< 1 }");
    assert_eq!(got.matches("end /* <- end */").count(), 2, "{got}");
    assert!(!got.contains("u:"), "{got}");
}

#[test]
fn functions_that_nothing_calls_are_left_out_and_may_be_wrong() {
    assert_eq!(
        listing("function f() { nofn() } probe begin { println(1) }"),
        "# probes\nbegin /* <- begin */\n"
    );
}

#[test]
fn the_script_s_own_function_goes_before_the_machine_s() {
    let got = listing(
        "function strlen(s) { if (s == \"\") next; return 42 } probe begin { println(strlen(\"a\")) }",
    );
    // The second is what `next` leads to.
    assert_eq!(got.matches("strlen:long (").count(), 2, "{got}");
}

#[test]
fn a_setting_from_outside_takes_the_place_of_the_initial_value() {
    let options =
        Options { globals: vec![("v".into(), "7".into()), ("s".into(), "5".into())], ..Options::default() };
    let p = compile(options, "global v = 3, s = \"x\" probe begin { println(v, s) }").0.expect("program");
    assert_eq!(p.globals[0].kind, GlobalKind::Long { init: 7 });
    assert_eq!(p.globals[1].kind, GlobalKind::Str { init: "5".into() });
}

#[test]
fn what_defined_rules_out_need_not_exist() {
    let got = listing(
        "probe begin { if (@defined($x) && nofn()) println($x->y); println(@defined($x) ? nofn() : 5) }",
    );
    assert!(got.contains("begin"), "{got}");
}

#[test]
fn probewrite_looks_at_the_user_s_block_only() {
    let alias =
        "probe foo = begin { var = 0 }, { if (@probewrite(var)) println(\"w\"); else println(\"n\", var) }";
    let texts = |script: &str| {
        format!("{:?}", compile(Options::default(), script).0.expect("program").probes[0].body)
    };
    assert!(texts(&format!("{alias} probe foo {{ var = 1 }}")).contains("\"w\""));
    assert!(!texts(&format!("{alias} probe foo {{ println(var) }}")).contains("\"w\""));
}

#[test]
fn without_optimization_nothing_is_taken_out() {
    let options = Options { unoptimized: true, ..Options::default() };
    let (program, said) = compile(options, "probe begin { x = 5; println(1) }");
    assert_eq!(program.expect("program").probes[0].locals.len(), 1);
    assert_eq!(said, "");
}

#[test]
fn parameters_of_an_alias_stand_for_what_the_point_gives() {
    let p = compile(
        Options::default(),
        "probe every(n) = timer.ms(n) { println(n) } probe every(20) { println(1) }",
    );
    assert_eq!(p.0.expect(&p.1).probes[0].at, Place::Timer { ns: 20_000_000, random_ns: 0 });
}
