//! Scripts through the whole compiler, then run by the hosted machine: what
//! they print follows from the language. The shape of the code (locks,
//! charges, registers) is read from the image.

use crate::bytecode::{Class, Image, LockMode, ResolvedPlace};
use crate::driver::{Compilation, Input, Options};
use crate::types::hir::Place;
use stp_vm::flat::kind;
use stp_vm::host::rec;
use stp_vm::isa::{Insn, Op};
use stp_vm::{Hit, Machine};

pub(super) fn compile_with(text: &str, define: &[(&str, &str)]) -> Image {
    compile_options(text, define, false)
}

/// `unoptimized`: `-u`, nothing is elided.
pub(super) fn compile_options(text: &str, define: &[(&str, &str)], unoptimized: bool) -> Image {
    let defines = define.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
    let mut c = Compilation::new(Options { defines, unoptimized, no_warnings: true, ..Options::default() });
    let input = Input { name: "t.stp".into(), text: text.into() };
    let done = c.parse(&[input]).and_then(|()| c.analyze()).and_then(|()| c.translate());
    let said: String = c.diagnostics.list.iter().map(|d| crate::diag::render(&c.sources, d, false)).collect();
    assert!(done.is_ok(), "{said}");
    c.image.expect("an image")
}

fn compile(text: &str) -> Image {
    compile_with(text, &[])
}

fn place(p: &Place) -> Result<ResolvedPlace, std::convert::Infallible> {
    let kind = match p {
        Place::Begin { .. } => kind::BEGIN,
        Place::End { .. } => kind::END,
        Place::Error { .. } => kind::ERROR,
        Place::Timer { .. } => kind::TIMER,
        Place::SyscallEnter { .. } => kind::SYSENTER,
        Place::SyscallExit { .. } => kind::SYSEXIT,
        _ => kind::NEVER,
    };
    Ok(ResolvedPlace { kind, ..ResolvedPlace::default() })
}

/// Runs each probe once, in the order of the script. Output, then errors with their places.
pub(super) fn run_image(image: &Image) -> String {
    let flat = image.flatten(&mut place).expect("flat form");
    let m = match Machine::load(&flat, !0, 2) {
        Ok(m) => m,
        Err(e) => panic!("{e}\n{}", image.listing(true)),
    };
    for n in 0..image.probes.len() as u32 {
        m.run(n % 2, n, &Hit::default());
    }
    let mut out = Vec::new();
    for r in m.drain_all() {
        if r.kind() == rec::ERROR {
            let e = r.error().expect("an error record");
            let probe = r.probe().map(u32::from);
            let text = image.error_text(&e.text, e.pc, &e.callers, probe);
            out.extend([&b"ERROR: "[..], &text, b"\n"].concat());
        } else {
            out.extend_from_slice(&m.program().render(&r, None));
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn run(text: &str) -> String {
    run_image(&compile(text))
}

/// Opcodes of a function of the image.
fn ops(image: &Image, name: &str) -> Vec<Op> {
    let f = image.functions.iter().find(|f| f.name == name).expect("function");
    f.insns().flatten().map(|i: Insn| i.op).collect()
}

fn handler(image: &Image) -> Vec<Op> {
    ops(image, "probe.0")
}

// -- what scripts print -------------------------------------------------------

#[test]
fn operands_are_evaluated_from_left_to_right() {
    assert_eq!(run("probe begin { x = 5; println(x + (x = 7), \" \", x++ * 10 + x) }"), "12 78\n");
    assert_eq!(run("global g = 2\nprobe begin { println(g + (g = 5) + g) }"), "12\n");
    assert_eq!(run("probe begin { s = \"a\"; println(s . (s = \"b\") . s) }"), "abb\n");
}

#[test]
fn a_stored_value_stays_while_its_variable_changes() {
    assert_eq!(
        run("global n\nprobe begin { t = \"a\"; println((n[t] = t) . (t = \"b\"), n[\"a\"]) }"),
        "aba\n"
    );
    assert_eq!(run("global g\nprobe begin { x = 1; println((g = x) * 10 + (x = 2), g) }"), "121\n");
}

#[test]
fn an_assignment_reads_its_own_target_before_it_writes() {
    assert_eq!(run("probe begin { s = \"x\"; s = (\"a\" . s) . (\"b\" . s); println(s) }"), "axbx\n");
    assert_eq!(run("probe begin { a = 3; a = a > 2 ? a * a : -a; println(a) }"), "9\n");
    assert_eq!(run("probe begin { s = \"hello\"; s = substr(s, 1, 3); println(s) }"), "ell\n");
}

#[test]
fn keys_are_kept_while_the_value_changes_their_variables() {
    assert_eq!(run("global a\nprobe begin { i = 1; a[i] = i++ + 10; println(a[1], \" \", a[2]) }"), "11 0\n");
    assert_eq!(run("global a\nprobe begin { i = 1; a[i, i++, i] = 4; println([1, 1, 2] in a) }"), "1\n");
}

#[test]
fn calls_inside_of_arguments_keep_the_arguments_before_them() {
    let f = "function f(a, b, c) { return a * 100 + b * 10 + c }\n";
    assert_eq!(run(&format!("{f}probe begin {{ println(f(1, f(0, 0, 2), f(0, 0, f(0, 0, 3)))) }}")), "123\n");
    let g = "function g(s, n, t) { return s . sprint(n) . t }\n";
    assert_eq!(
        run(&format!(
            "{g}probe begin {{ println(g(\"a\", strlen(g(\"x\", 1, \"y\")), g(\"b\", 2, \"c\"))) }}"
        )),
        "a3b2c\n"
    );
}

#[test]
fn values_live_across_calls_in_loops() {
    let text = "function f(x) { t = x * 2; u = t + 1; return t + u }
        function none(x) { if (x > 100) println(x) }
        probe begin { a = 1; b = 2; c = 3; d = f(9); s = \"k\";
          for (i = 0; i < 3; i++) { none(i); a += f(i); s .= sprint(f(i)) }
          println(a, b, c, d, \" \", s) }";
    assert_eq!(run(text), format!("{}{}{}{} k159\n", 1 + 1 + 5 + 9, 2, 3, 37));
}

#[test]
fn recursion_and_variables_that_start_empty() {
    assert_eq!(
        run(
            "function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) }\nprobe begin { println(fib(9)) }"
        ),
        "34\n"
    );
    assert_eq!(run("probe begin { if (strlen(s)) n = 1; println(n, s); for (i = 0; i < 2; i++) t .= \"x\"; println(t) }"), "0\nxx\n");
}

#[test]
fn loops_of_every_kind_run_their_turns() {
    let text = "probe begin {
        for (i = 0; i < 3; i++) print(i);
        for (i = 3; i > 0; i--) print(i);
        for (i = 0; i <= 2; i++) print(i);
        n = 2; for (i = 5; i >= n; i--) { if (i == 3) continue; print(i) }
        while (n < 5) { n++; if (n == 4) break }
        print(\"|\", n);
        for (i = 9; i < 3; i++) print(\"no\");
        while (0) print(\"no\");
        println(\"\") }";
    assert_eq!(run(text), "012321012542|4\n");
}

#[test]
fn conditions_cut_short_and_give_0_or_1() {
    let text = "function t(x) { print(x); return x }
        probe begin {
          if (t(0) && t(1)) println(\"no\");
          if (t(2) || t(3)) println(\"\");
          x = t(4) && t(0); y = t(0) || t(5); println(\" \", x, y, !x, !7, !(x == 0));
          if (!(t(1) && !t(0))) println(\"no\"); else println(\"\");
          println((t(0) || t(0) || t(6)) && t(7)) }";
    assert_eq!(run(text), "02\n4005 01100\n10\n00671\n");
}

#[test]
fn errors_are_caught_where_they_belong_and_leave_variables_as_they_were() {
    let text = "function f(x) { if (x == 2) error(\"two\"); return x }
        probe begin {
          n = 7;
          try { n = f(2) } catch (m) { println(m, n) }
          try { try { n = 1 / (n - 7) } catch { println(\"inner\"); error(\"again\") } } catch (m) { println(m) }
          for (i = 0; i < 4; i++) try { s += f(i) } catch { s += 100 }
          println(s) }";
    assert_eq!(run(text), "two7\ninner\nagain\n104\n");
}

#[test]
fn a_try_block_that_does_nothing_has_no_catch_block() {
    let text = "probe begin { try { x = strlen(execname()) } catch (m) { println(m) } println(\"on\") }";
    assert_eq!(run_image(&compile_options(text, &[], true)), "on\n");
}

#[test]
fn an_error_names_its_place_and_its_callers() {
    let text = "function f(x) { return 1 / x }\nprobe begin { println(\"a\"); println(f(0)) }";
    assert_eq!(
        run(text),
        "a\nERROR: division by 0 near operator '/' at t.stp:1:26 (called from identifier 'f' at t.stp:2:37) in probe begin\n"
    );
}

#[test]
fn overloads_see_the_arguments_as_they_were_given() {
    let text = "function f(x) { x = x + 1; if (x > 5) next; return x }
        function f(x) { return x * 100 }
        probe begin { println(f(1), \" \", f(9)) }";
    assert_eq!(run(text), "2 900\n");
    let text = "function f(x) { if (x) next; return 3 }\nprobe begin { try { println(f(1)) } catch (m) { println(m) } }";
    assert_eq!(run(text), "all functions exhausted\n");
}

#[test]
fn arrays_with_slices() {
    let text = "global a
        probe begin {
          a[\"x\", 1] = 10; a[\"y\", 1] = 20; a[\"x\", 2] = 30; a[\"z\", 3] = 1;
          println([\"x\", *] in a, [*, 2] in a, [*, 9] in a);
          foreach ([s, n] in a[\"x\", *]) printf(\"%s%d=%d \", s, n, a[s, n]);
          foreach (v = [s, n] in a- limit 2) printf(\"%s%d=%d \", s, n, v);
          delete a[\"x\", *];
          foreach ([s, n] in a) printf(\"%s%d \", s, n);
          println(\"\") }";
    assert_eq!(run(text), "110\nx1=10 x2=30 x2=30 y1=20 y1 z3 \n");
}

#[test]
fn compound_assignments_to_elements() {
    let text = "global a, s
        probe begin {
          a[1] += 5; a[1] -= 2; a[1] *= 7; a[1] <<= 1; a[1] %= 10; x = a[1]++ + ++a[1]; y = a[1]--;
          s[\"k\"] .= \"a\"; s[\"k\"] .= \"b\"; z = (s[\"k\"] = \"c\" . s[\"k\"]);
          println(a[1], \" \", x, \" \", y, \" \", z, s[\"k\"]) }";
    assert_eq!(run(text), "3 6 4 cabcab\n");
}

#[test]
fn statistics_of_scalars_elements_and_loops() {
    let text = "global s, m
        probe begin {
          for (i = 1; i <= 4; i++) { s <<< i * 10; m[i % 2] <<< i }
          println(@count(s), \" \", @sum(s), \" \", @min(s), \" \", @max(s), \" \", @avg(s));
          foreach (k in m @sum -) printf(\"%d:%d \", k, @sum(m[k]));
          s <<< 1; println(@count(s)); delete s; println(@count(s)) }";
    assert_eq!(run(text), "4 100 10 40 25\n0:6 1:4 5\n0\n");
}

#[test]
fn sprintf_gives_text_and_constants_melt_into_the_format() {
    let image =
        compile("probe begin { s = sprintf(\"%d-%s\", 7, \"x\"); println(s, strlen(sprint(12, \"ab\"))) }");
    assert_eq!(run_image(&image), "7-x4\n");
    assert!(!handler(&image).contains(&Op::Sprint));
    assert_eq!(
        run("probe begin { n = 5; printf(\"[%5d|%-4s|%03x|%*d]\\n\", n, \"ab\", 26, 3, n) }"),
        "[    5|ab  |01a|  5]\n"
    );
}

#[test]
fn regular_expressions_and_their_groups() {
    let text = "probe begin {
        println(\"abc\" =~ \"b\", \"abc\" !~ \"b\", \"xyz\" =~ \"^y\");
        if (\"k=22\" =~ \"([a-z])=([0-9]+)\") println(matched(1), matched(2), ngroups()) }";
    assert_eq!(run(text), "100\nk223\n");
}

#[test]
fn conditions_of_probes_are_functions() {
    let image = compile("global on = 1\nprobe begin { on = 0 }\nprobe begin if (on) { println(\"no\") }\nprobe end if (!on) { println(\"off\") }");
    assert_eq!(run_image(&image), "off\n");
    assert!(image.probes[0].condition.is_none() && image.probes[1].condition.is_some());
}

#[test]
fn elements_of_the_entry_at_which_a_loop_stands_are_not_looked_up() {
    let text = "global a, s
        probe begin {
          a[1] = 5; a[2] = 6; s[1, \"x\"] <<< 4; s[1, \"x\"] <<< 6;
          foreach (k in a) { n += a[k]; foreach (j in a) n += a[k] * a[j] }
          foreach ([k, t] in s) println(@count(s[k, t]), @sum(s[k, t]), @avg(s[k, t]));
          foreach (k in a) { k++; m += a[k] }
          println(n, \" \", m) }";
    let image = compile(text);
    assert_eq!(run_image(&image), format!("2105\n{} 6\n", 5 + 6 + 11 * 11));
    let ops = handler(&image);
    assert_eq!(ops.iter().filter(|o| **o == Op::Mget).count(), 1, "{}", image.listing(true));
    assert_eq!(ops.iter().filter(|o| **o == Op::Agldt).count(), 1);
}

// -- the shape of the code ------------------------------------------------------

#[test]
fn a_counting_loop_is_three_instructions_a_turn() {
    let image = compile("probe begin { for (i = 0; i < 1000; i++) s += i; println(s) }");
    let ops = handler(&image);
    let end = ops.iter().position(|o| *o == Op::Inclt).expect("a closing comparison");
    assert_eq!(&ops[end - 1..=end], [Op::Add, Op::Inclt]);
}

#[test]
fn string_slots_are_shared_by_what_does_not_live_together() {
    let image = compile("probe begin { a = execname(); println(a); b = pexecname(); println(b); c = execname() . b; println(c) }");
    assert!(image.functions[0].nstrs <= 2, "{}", image.listing(true));
}

#[test]
fn a_filter_takes_the_lock_only_behind_it() {
    let image = compile("global n, m\nprobe timer.profile { if (pid() == target()) { n++; m[tid()] = n } }\nprobe end { println(n); foreach (k in m) println(k) }");
    let ops = handler(&image);
    let lock = ops.iter().position(|o| *o == Op::Lock).expect("a lock");
    let test = ops.iter().position(|o| *o == Op::Jne).expect("the filter");
    assert!(test < lock, "{}", image.listing(true));
    assert_eq!(ops.iter().filter(|o| **o == Op::Lock).count(), 1);

    let image = compile("global n, m\nprobe timer.profile { if (pid() != target()) next; n++; m[tid()] = n }\nprobe end { println(n); foreach (k in m) println(k) }");
    let ops = handler(&image);
    let lock = ops.iter().position(|o| *o == Op::Lock).expect("a lock");
    assert!(ops[..lock].contains(&Op::Ret), "{}", image.listing(true));
}

#[test]
fn the_lock_comes_before_output_that_could_not_be_taken_back() {
    let image = compile("global n\nprobe timer.profile { println(\"x\"); n++; println(n) }");
    let ops = handler(&image);
    assert_eq!(ops[0], Op::Lock);
}

#[test]
fn nothing_shared_means_no_lock() {
    let image = compile("probe timer.profile { println(pid(), execname()) }");
    assert!(!handler(&image).contains(&Op::Lock));
    assert!(image.probes[0].locks.is_empty());
}

#[test]
fn lock_sets_are_ascending_and_as_weak_as_can_be() {
    let image = compile(
        "global z, a, s, c, r\n
         probe timer.profile { s <<< 1; c++; z[1] = a[r] }\n
         probe end { foreach (k in z) println(k, z[k]); println(@count(s), c); a[1] = 1; r = 2 }",
    );
    let modes: Vec<(String, LockMode)> = image.probes[0]
        .locks
        .iter()
        .map(|l| (image.globals[l.global as usize].name.clone(), l.mode))
        .collect();
    assert!(image.probes.iter().all(|p| p.locks.windows(2).all(|w| w[0].global < w[1].global)));
    let mode = |name: &str| modes.iter().find(|m| m.0 == name).map(|m| m.1);
    assert_eq!(mode("s"), Some(LockMode::Add));
    assert_eq!(mode("c"), Some(LockMode::Add));
    assert_eq!(mode("z"), Some(LockMode::Write));
    assert_eq!(mode("a"), Some(LockMode::Read));
    assert_eq!(mode("r"), Some(LockMode::Read));
}

#[test]
fn counters_are_kept_per_cpu_where_handlers_only_add() {
    let class = |text: &str| compile(text).globals[0].class.clone();
    assert_eq!(
        class("global n\nprobe timer.profile { n++ }\nprobe end { println(n) }"),
        Class::PerCpu { init: 0 }
    );
    assert_eq!(
        class("global n\nprobe timer.profile { n += pid() }\nprobe timer.s(1) { println(n); n = 0 }"),
        Class::PerCpu { init: 0 }
    );
    assert_eq!(class("global n\nprobe timer.profile { if (n++ > 5) exit() }"), Class::Int { init: 0 });
    assert_eq!(class("global n = 4\nprobe timer.s(1) { n++; println(n) }"), Class::Int { init: 4 });
}

#[test]
fn bounded_handlers_charge_nothing_and_state_their_worst_case() {
    let text = "function f(x) { if (x) return 1; return 2 }
        probe timer.profile { a = f(pid()); if (a) { println(1); println(2) } else println(3) }";
    let image = compile(text);
    assert!(!handler(&image).contains(&Op::Charge));
    // assignment, call (if, return, return), if, the longer branch
    assert_eq!(image.probes[0].cost, Some(1 + 3 + 1 + 2));
    let image = compile_with(text, &[("MAXACTION", "3")]);
    assert_eq!(handler(&image)[0], Op::Charge);
}

#[test]
fn actions_run_out_where_systemtaps_do() {
    let count = |define: &[(&str, &str)], text: &str| run_image(&compile_with(text, define));
    let limit = [("MAXACTION_INTERRUPTIBLE", "60")];
    let out = count(
        &limit,
        "global n\nprobe begin { for (i = 0; i >= 0; i++) { n++ } }\nprobe error { println(n) }",
    );
    assert!(out.starts_with("ERROR: MAXACTION exceeded near ") && out.ends_with("29\n"), "{out}");
    let out = count(
        &limit,
        "global a, n\nprobe begin { for (i = 0; i < 20; i++) a[i] = i }\nprobe begin(1) { while (1) foreach (k in a) n++ }\nprobe error { println(n) }",
    );
    assert!(out.ends_with("28\n"), "{out}");
    let straight = "probe begin { println(1); println(2); println(3); println(4); println(5); println(6) }";
    assert_eq!(count(&[("MAXACTION_INTERRUPTIBLE", "5")], straight), "ERROR: MAXACTION exceeded\n");
}

#[test]
fn equal_handlers_are_one() {
    let image = compile("global n\nprobe timer.s(1), timer.s(2), timer.ms(7) { n++; println(n) }");
    assert_eq!(image.functions.len(), 1);
    assert_eq!(image.probes.len(), 3);
}

#[test]
fn a_thousand_variables_at_once_are_refused_with_a_reason() {
    let sum = (0..300).map(|i| format!("v{i}")).collect::<Vec<_>>().join(" + ");
    let set: String = (0..300).map(|i| format!("v{i} = pid() + {i}; ")).collect();
    let mut c = Compilation::new(Options { no_warnings: true, ..Options::default() });
    let text = format!("probe begin {{ {set} println({sum}) }}");
    c.parse(&[Input { name: "t.stp".into(), text: text.into() }]).expect("parses");
    c.analyze().expect("types");
    assert!(c.translate().is_err());
    assert!(c.diagnostics.list.iter().any(|d| d.code == "too-many-registers"));
}
