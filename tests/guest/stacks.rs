//! Stacks and symbols of the kernel: a module with a known chain of calls
//! (`modules/stp_test`), and symbols beside /proc/kallsyms.

use super::debuginfo::{at, line};
use super::{numbers, ok, prints, Check};
use stp_tests::guest::Outcome;

const LOAD: &str = "rmmod stp_test 2>/dev/null; insmod /modules/stp_test.ko || fail insmod\n\
    export SYSTEMTAP_DEBUGINFO_PATH=/modules\n";

/// From a write of a task down to the module.
const BELOW: [&str; 6] = [
    "stp_write",
    "proc_reg_write",
    "vfs_write",
    "ksys_write",
    "do_syscall_64",
    "entry_SYSCALL_64_after_hwframe",
];

/// Names in the lines between the line `from` and the next one that is none of a stack.
fn names(o: &Outcome, from: &str) -> Vec<String> {
    let out = o.out();
    let lines = out.lines().skip_while(|l| *l != from).skip(1);
    lines
        .map_while(|l| {
            let l = l.strip_prefix("Returning from: ").or(l.strip_prefix("Returning to  : ")).unwrap_or(l);
            let (address, symbol) = l.strip_prefix(" 0xffffffff")?.split_once(" : ")?;
            let (name, _) = symbol.split_once("+0x")?;
            (address.len() == 8).then(|| name.to_string())
        })
        .collect()
}

/// A stack: these functions and what calls them. Kernels differ by a function between the system
/// call and do_syscall_64.
fn stack_is(o: &Outcome, from: &str, top: &[&str]) -> Result<(), String> {
    let mut got = names(o, from);
    got.retain(|n| n != "x64_sys_call" && n != "__x64_sys_write");
    let want: Vec<&str> = top.iter().copied().chain(BELOW).collect();
    match got == want {
        true => Ok(()),
        false => Err(format!("after `{from}`: {got:?}, not {want:?}")),
    }
}

fn has(o: &Outcome, text: &str) -> Result<(), String> {
    o.out().contains(text).then_some(()).ok_or(format!("no `{text}`"))
}

pub fn checks() -> Vec<Check> {
    let statement = at("stp_leaf", "sum is known here");
    vec![
        Check::new(
            "stacks at an entry, in the middle and at a return",
            &format!(
                "{LOAD}stap /scripts/stacks.stp {statement} >out 2>err & await out armed\n\
                 echo 50 >/proc/stp_test; wait $!; s=$?; cat err >&2; cat out; exit $s"
            ),
            |o| {
                ok(o)?;
                stack_is(o, "entry", &["stp_nothing", "stp_leaf", "stp_run"])?;
                stack_is(o, "middle", &["stp_leaf", "stp_run"])?;
                stack_is(o, "return", &["stp_leaf", "stp_run"])?;
                has(o, "return\nReturning from:  0xffffffff")?;
                has(o, "\nReturning to  :  0xffffffff")?;
                has(o, "caller stp_leaf 0xffffffff")?;
                has(o, "caller stp_run 0xffffffff")?;
                has(o, "symbols stp_nothing stp_test kernel\n")?;
                has(o, "\nstp_nothing+0x0/0x")?;
                has(o, "\nstp_leaf+0x0 [stp_test]\nstp_run+0x")?;
                has(o, "parts 1 1 0\ntext 1 1 1\n")?;
                has(o, "\nRIP: ffffffff")
            },
        ),
        Check::new(
            "stacks of an event, alone and with others at the same event",
            "cat >one.stp <<'END'\n\
             probe begin { println(\"armed\") }\n\
             probe kernel.trace(\"sched_process_fork\") { println(\"event\"); print_backtrace(); exit() }\nEND\n\
             sed 's/event/second/; s/exit()//' one.stp >two.stp; sed 1d one.stp >>two.stp\n\
             for f in one two; do rm -f out; stap $f.stp >out 2>err & await out armed\n\
             /bin/true; /bin/true; wait $! || { cat err >&2; exit 1; }; sed \"s/event/$f/\" out; done",
            |o| {
                ok(o)?;
                for from in ["one", "two", "second"] {
                    let got = names(o, from);
                    let ends = got.last().is_some_and(|l| l.starts_with("entry_SYSCALL_64"));
                    if got.first().is_none_or(|f| f != "kernel_clone") || !ends {
                        return Err(format!("{from}: {got:?}"));
                    }
                }
                Ok(())
            },
        ),
        Check::new(
            "stacks of the clock in the idle loop, and none in user code",
            "cat >clock.stp <<'END'\n\
             global user, wrong, idle, deep\n\
             probe timer.profile {\n\
             if (user_mode()) { user++; if (backtrace() != \"\" || stack(0)) wrong++ }\n\
             else { if (isinstr(sprint_backtrace(), \"do_idle+0x\")) idle++; if (!stack(0)) wrong++ } }\n\
             probe kernel.function(\"hrtimer_interrupt\") {\n\
             s = sprint_backtrace(); at = strpos(s, \"asm_sysvec_apic_timer_interrupt+0x\")\n\
             if (at > 0 && strpos(s, \"do_idle+0x\") > at && substr(s, 0, 22) == \"hrtimer_interrupt+0x0 \") deep++ }\n\
             probe timer.ms(2500) { printf(\"clock %d %d %d %d\\n\", user, wrong, idle, deep); exit() }\nEND\n\
             (sleep 1; load_calls 1 >/dev/null) & stap -DSTP_NO_OVERLOAD clock.stp",
            |o| {
                ok(o)?;
                match numbers(o, "clock")?[..] {
                    [user, 0, idle, deep] if user > 0 && idle > 0 && deep > 0 => Ok(()),
                    _ => Err("these are not the stacks of idle and busy processors".into()),
                }
            },
        ),
        Check::new(
            "stacks as keys are counted right on two processors",
            &format!(
                "{LOAD}cat >keys.stp <<'END'\n\
                 global hits\n\
                 probe begin {{ println(\"armed\") }}\n\
                 probe module(\"stp_test\").function(\"stp_nothing\").call {{ hits[backtrace()] <<< 1 }}\n\
                 probe end {{ foreach (s in hits) {{ printf(\"hits %d %d\\n\", @count(hits[s]), strlen(s) > 100); print_stack(s) }} }}\n\
                 END\n\
                 writes() {{ n=0; while [ $n -lt 300 ]; do echo 50 >/proc/stp_test; n=$((n + 1)); done; }}\n\
                 stap -DSTP_NO_OVERLOAD keys.stp >out & p=$!; await out armed\n\
                 writes & q=$!; writes; wait $q; kill -INT $p; wait $p; cat out"
            ),
            |o| {
                ok(o)?;
                let out = o.out();
                if out.lines().filter(|l| *l == "hits 600 1").count() != 2 || out.matches("hits").count() != 2 {
                    return Err("want two stacks with 600 hits each".into());
                }
                let nothing = out.lines().filter(|l| l.contains(" : stp_nothing+0x0/0x")).count();
                let leaf = out.lines().filter(|l| l.contains(" : stp_leaf+0x")).count();
                if (nothing, leaf) != (2, 1) {
                    return Err("these are not the stacks".into());
                }
                Ok(())
            },
        ),
        Check::new(
            "deep stacks are whole where they are printed",
            &format!(
                "{LOAD}cat >deep.stp <<'END'\n\
                 global seen\n\
                 probe begin {{ println(\"armed\") }}\n\
                 probe module(\"stp_test\").function(\"stp_bottom\").call {{ s = backtrace(); seen[s] = s\n\
                 printf(\"length %d\\n\", strlen(s)); println(\"now\"); print_backtrace(); exit() }}\n\
                 probe end {{ foreach (s in seen) {{ println(\"kept\"); print_stack(seen[s]); printf(\"text %s\\n\", s) }} }}\n\
                 END\n\
                 for most in 100 10; do rm -f out; stap -DMAXBACKTRACE=$most deep.stp >out & await out armed\n\
                 echo 1060 >/proc/stp_test; wait $!; sed \"s/now/now$most/; s/kept/kept$most/; s/text/text$most/\" out; done"
            ),
            |o| {
                ok(o)?;
                for from in ["now100", "kept100"] {
                    let got = names(o, from);
                    if got[0] != "stp_bottom" || got.iter().filter(|n| *n == "stp_deep").count() != 61 {
                        return Err(format!("{from}: {got:?}"));
                    }
                    if got.last().map(String::as_str) != BELOW.last().copied() {
                        return Err(format!("{from} is cut: {got:?}"));
                    }
                }
                if names(o, "now10").len() != 10 || names(o, "kept10").len() != 10 {
                    return Err("MAXBACKTRACE does not hold".into());
                }
                let words = |key: &str| {
                    let out = o.out();
                    let line = out.lines().find(|l| l.starts_with(key)).unwrap_or("").to_string();
                    line.split_whitespace().filter(|w| w.starts_with("0xffffffff") && w.len() == 18).count()
                };
                match (words("text100 ") == names(o, "now100").len(), words("text10 ")) {
                    (true, 10) => has(o, "length 511\n"),
                    _ => Err("a stack in a printf is not whole".into()),
                }
            },
        ),
        Check::new("symbols are those of the kernel's own list", &format!("{LOAD}{SYMBOLS}"), |o| {
            prints(o, "vfs_read same\nschedule same\nstp_leaf same\nunknown same\n")
        }),
        Check::new(
            "source lines of a module with debuginfo, addresses without",
            &format!(
                "{LOAD}cat >lines.stp <<'END'\n\
                 probe begin {{ println(\"armed\") }}\n\
                 probe module(\"stp_test\").statement(@1) {{ printf(\"%s|%s|%s\\n\", symfile(addr()), symline(addr()), symfileline(addr())) }}\n\
                 probe module(\"stp_test\").function(\"stp_nothing\").call {{ print_backtrace_fileline() }}\n\
                 probe module(\"stp_test\").function(\"stp_run\").return {{ exit() }}\n\
                 END\n\
                 stap -p4 -m lines lines.stp {statement} >/dev/null || fail compile\n\
                 stap lines.stp {statement} >with & await with armed; echo 50 >/proc/stp_test; wait $! || fail with\n\
                 export SYSTEMTAP_DEBUGINFO_PATH=/none\n\
                 staprun lines.stpbc >without & await without armed; echo 50 >/proc/stp_test; wait $! || fail without\n\
                 sed 's#[^ |]*/##g' with; sed 's/^/without /' without"
            ),
            |o| {
                ok(o)?;
                let known = line("sum is known here");
                has(o, &format!("\nstp_test.c|{known}|stp_test.c:{known}\n"))?;
                has(o, &format!("[stp_test] at stp_test.c:{known}\n"))?;
                has(o, &format!("[stp_test] at stp_test.c:{}\n", line("total += stp_leaf(")))?;
                has(o, &format!("[stp_test] at stp_test.c:{}\n", line("WRITE_ONCE(stp_result, stp_run(n))")))?;
                let out = o.out();
                let bare = out.lines().find(|l| l.starts_with("without 0x")).ok_or("no line without")?;
                let parts: Vec<&str> = bare["without ".len()..].split('|').collect();
                match parts[..] {
                    [a, b, c] if a == b && b == c && a.len() == 18 => Ok(()),
                    _ => Err(format!("`{bare}` is not three times an address")),
                }
            },
        ),
    ]
}

/// What the functions say of an address, beside what /proc/kallsyms says of it and of the next symbol.
const SYMBOLS: &str = "cat >symbols.stp <<'END'\n\
    probe begin { printf(\"%s %s %s %s\\n\", symname($1), symname($1 + 3), symdata($1 + 3), modname($1))\n\
    print(sprint_syms(sprintf(\"0x%x\", $1 + 3)) . sprint_stack(sprintf(\"0x%x\", $1 + 3)))\n\
    print_syms(sprintf(\"0x%x\", $1 + 3)); exit() }\nEND\n\
    sort /proc/kallsyms >sorted\n\
    for name in vfs_read schedule stp_leaf; do\n\
    addr=$(grep \" [tT] $name\\($\\|[[:space:]]\\)\" sorted | head -n 1 | cut -d' ' -f1)\n\
    next=$(cut -d' ' -f1 sorted | sed -n \"/^$addr$/,\\$p\" | sed -n \"/^$addr$/!{p;q}\")\n\
    mod=kernel; [ $name = stp_leaf ] && mod=stp_test\n\
    size=$(printf 0x%x $((0x$next - 0x$addr)))\n\
    at=$(printf 0x%x $((0x$addr + 3)))\n\
    echo \"$name $name $name+0x3/$size [$mod] $mod\" >want\n\
    echo \"$name+0x3/$size [$mod]\" >>want; echo \"$name+0x3 [$mod]\" >>want\n\
    echo \" $at : $name+0x3/$size [$mod]\" >>want\n\
    stap symbols.stp 0x$addr >got || fail $name\n\
    cmp want got >&2 && echo $name same || { cat want got >&2; exit 1; }\n\
    done\n\
    stap -e 'probe begin { printf(\"%s %s\\n\", symname(5), symdata(0x1f)); print_syms(\"0x5\"); try { modname(5) } catch (e) { println(e) } exit() }' >got\n\
    printf '0x5 0x1f\\n 0x5\\nno module or kernel code at 0x5\\n' >want; cmp want got >&2 && echo unknown same || { cat got >&2; exit 1; }";
