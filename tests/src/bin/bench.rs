//! `bench`: measures, and writes `docs/performance.md`. Turn-around of the whole
//! process, the interpreter beside Lua's, and the cost of an event in the
//! guests beside bpftrace's. Ratios are taken within one run; the guests count
//! instructions, so that their figures repeat whatever else the machine does.

use anyhow::{bail, ensure, Context, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};
use stp_tests::guest::{self, Case, Ending, Guest, SERIES};

/// A process run that often, for the best and the median.
const RUNS: usize = 30;
/// Turns of the interpreter's loops.
const TURNS: u64 = 30_000_000;

/// What an event does, for both.
struct Handler {
    name: &'static str,
    /// What stands before our probe, what follows its point, and its body.
    ours: (&'static str, &'static str, &'static str),
    /// The kind of bpftrace's probe and its body.
    theirs: (&'static str, &'static str),
}

const HANDLERS: [Handler; 7] = [
    Handler { name: "bare hook", ours: ("", "", ""), theirs: ("kprobe", "") },
    Handler { name: "counter", ours: ("global n", "", "n++"), theirs: ("kprobe", "@n++;") },
    Handler {
        name: "map per process",
        ours: ("global n", "", "n[pid()]++"),
        theirs: ("kprobe", "@n[pid]++;"),
    },
    Handler {
        name: "printf of 3 numbers",
        ours: ("", "", r#"printf("%d %d %d\n", pid(), tid(), cpu())"#),
        theirs: ("kprobe", r#"printf("%d %d %d\n", pid, tid, cpu);"#),
    },
    Handler {
        name: "chain of pointers",
        ours: ("global n", "", r#"n = @cast(task_current(), "task_struct")->real_parent->tgid"#),
        theirs: ("kprobe", "@n = curtask->real_parent->tgid;"),
    },
    Handler {
        name: "counter at the return",
        ours: ("global n", ".return", "n++"),
        theirs: ("kretprobe", "@n++;"),
    },
    Handler {
        name: "map per stack of the kernel",
        ours: ("global n", "", "n[backtrace()]++"),
        theirs: ("kprobe", "@n[kstack]++;"),
    },
];

/// What is armed by the thousand, and what stands behind its point.
const ARMED: [(&str, &str); 2] = [("entries", ".call"), ("returns", ".return")];

/// What typical handlers do, for the table of the interpreter: name, what stands before, and what
/// is done in each turn of a loop over `i`.
const OPERATIONS: [(&str, &str, &str); 18] = [
    ("counter `n++`", "global n", "n++"),
    ("array per process `a[pid()]++`", "global a", "a[pid()]++"),
    ("array of two strings `a[s, t]++`", "global a", r#"a[i & 1 ? "read" : "write", "bash"]++"#),
    ("`if`, `else if`, `else`", "", "if (i % 3 == 1) n += 2 else if (i % 3 == 2) n += 3 else n--"),
    ("call of a function", "function f(x) { return x * 3 + 1 }", "n = f(n) & 255"),
    ("statistic `s <<< i`", "global s", "s <<< i"),
    ("statistic by key `s[i & 63] <<< i`", "global s", "s[i & 63] <<< i"),
    (
        "`<<<`, printed as `@hist_log` at the end",
        "global s probe end { if (@count(s)) print(@hist_log(s)) }",
        "s <<< i",
    ),
    ("`@count`, `@avg`", "global s", "s <<< i; n += @count(s) + @avg(s)"),
    ("`printf` of 3 numbers", "", r#"printf("%d %d %d\n", i, n, 7)"#),
    ("`printf` of a string and a number", "", r#"printf("%s %d\n", "bash", i)"#),
    ("`sprintf` of 2 numbers", "", r#"n += strlen(sprintf("%d:%x", i, n))"#),
    ("concatenation of 3 strings", "", r#"n += strlen("ab" . (i & 1 ? "x" : "yz") . "cd")"#),
    ("comparison of strings", "", r#"n += (i & 1 ? "/usr/lib/a" : "/usr/lib/b") == "/usr/lib/a""#),
    ("`substr`, `isinstr`", "", r#"n += isinstr(substr("/usr/lib/locale", i & 7, 6), "lib")"#),
    ("`strtol`", "", r#"n += strtol(i & 1 ? "1234" : "99", 10)"#),
    (
        "`tokenize`, 3 words",
        "",
        r#"for (t = tokenize("a bc def", " "); t != ""; t = tokenize("", " ")) n += strlen(t)"#,
    ),
    ("`=~` over 16 bytes", "", r#"n += "/usr/lib/locale" =~ "^/usr/.*cale$""#),
];
/// Turns of those.
const OPERATION_TURNS: u64 = 5_000_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// All of it writes the page; with names of sections (`turn-around`, `interpreter`, `events`) only
/// those are measured, and printed.
fn run() -> Result<()> {
    let stap = guest::stap_dir()?.join("stap");
    let only: Vec<String> = env::args().skip(1).collect();
    let mut page = String::from(
        "# Performance\n\n\
         The tables are written by `make bench`; nothing in them is typed by hand. Times are of the machine that it ran on,\n\
         ratios hold between the columns of one table, instruction counts repeat to 0.1 %.\n\n",
    );
    let wanted = |section: &str| only.is_empty() || only.iter().any(|o| o == section);
    if wanted("turn-around") {
        turn_around(&stap, &mut page)?;
    }
    if wanted("interpreter") {
        interpreter(&stap, &mut page)?;
    }
    if wanted("events") {
        events(&mut page, which("bpftrace"))?;
    }
    // without bpftrace: much sooner done
    if only.iter().any(|o| o == "own-events") {
        events(&mut page, None)?;
    }
    if !only.is_empty() {
        print!("{page}");
        return Ok(());
    }
    let file = guest::kernel::root().join("docs/performance.md");
    fs::write(&file, &page)?;
    print!("{page}");
    println!("written to {}", file.display());
    Ok(())
}

/// Best and median of the whole process, from its start to its end.
fn turn_around(stap: &Path, page: &mut String) -> Result<()> {
    let hello = "probe begin { printf(\"hello\\n\"); exit() }";
    let rows: [(&str, Vec<&str>); 5] = [
        ("hello, run in the process", vec!["--runtime=user", "-e", hello]),
        ("`vfs.read`, to its image", vec!["-p3", "-e", "probe vfs.read { printf(\"read\\n\"); exit() }"]),
        ("`syscall.*`, to its image", vec!["-p3", "-e", "probe syscall.* { println(name) }"]),
        (
            "`kernel.function(\"vfs_read\")` with `$count` by BTF, to its image",
            vec!["-p3", "-e", "probe kernel.function(\"vfs_read\") { println($count) }"],
        ),
        (
            "`kernel.function(\"s*\")`, some thousand functions, to its image",
            vec!["-p3", "-e", "global n probe kernel.function(\"s*\") { n++ }"],
        ),
    ];
    page.push_str("## Turn-around\n\nThe whole process `stap`, wall clock");
    let _ = writeln!(page, ", {RUNS} runs.\n\n| script | best | median |\n| --- | --- | --- |");
    for (what, args) in rows {
        match timed(Command::new(stap).args(&args)) {
            Ok(()) => {
                let mut times = Vec::new();
                for _ in 0..RUNS {
                    let start = Instant::now();
                    timed(Command::new(stap).args(&args))?;
                    times.push(start.elapsed());
                }
                times.sort();
                let _ = writeln!(page, "| {what} | {} | {} |", ms(times[0]), ms(times[RUNS / 2]));
            }
            // the machine's own kernel may lack what the script asks for
            Err(_) => {
                let _ = writeln!(page, "| {what} | not on this kernel | |");
            }
        }
    }
    page.push('\n');
    Ok(())
}

fn timed(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "{command:?} failed");
    Ok(())
}

fn ms(d: Duration) -> String {
    format!("{:.1} ms", d.as_secs_f64() * 1e3)
}

/// Nanoseconds of a turn: the process with many turns less the process with none, best of five, in
/// processor time: what else the machine does is not in it.
fn interpreter(stap: &Path, page: &mut String) -> Result<()> {
    page.push_str(
        "## Interpreter\n\nHosted, beside Lua 5.4's interpreter; nanoseconds of a turn, processor time.\n\n\
         | loop | stpvm | Lua 5.4 | Lua / stpvm |\n| --- | --- | --- | --- |\n",
    );
    let dir = guest::kernel::root().join("tests/bench");
    for (what, name) in [
        ("add, mask, compare", "loop"),
        ("`a[k]++`, integer keys", "int_keys"),
        ("`a[k]++`, string keys", "string_keys"),
    ] {
        let (script, lua) = (dir.join(format!("{name}.stp")), dir.join(format!("{name}.lua")));
        let ours = |n: u64| {
            let mut c = Command::new(stap);
            c.args(["--runtime=user", "--suppress-time-limits", "-g"]).arg(&script).arg(n.to_string());
            c
        };
        let theirs = |n: u64| {
            let mut c = Command::new("lua5.4");
            c.arg(&lua).arg(n.to_string());
            c
        };
        same_output(&mut ours(1000), &mut theirs(1000))?;
        let (a, b) = (turn(ours, TURNS)?, turn(theirs, TURNS)?);
        let _ = writeln!(page, "| {what} | {a:.1} ns | {b:.1} ns | {:.2} |", b / a);
    }
    operations(stap, page)
}

/// Nanoseconds of what handlers do, over the loop around it.
fn operations(stap: &Path, page: &mut String) -> Result<()> {
    page.push_str(
        "\nWhat typical handlers do, hosted; processor time of a turn less that of an empty loop. What is\n\
         printed is formatted and written to `/dev/null` in that time.\n\n| operation | ns |\n| --- | --- |\n",
    );
    let time = |before: &str, body: &str| {
        let script = format!(
            "{before} probe begin {{ n = 0; for (i = 0; i < $1; i++) {{ {body} }} if (n == -77777) println(n); exit() }}"
        );
        let run = |n: u64| {
            let mut c = Command::new(stap);
            let n = n.to_string();
            c.args(["--runtime=user", "--suppress-time-limits", "-g", "-w", "-e", &script, &n]);
            c
        };
        turn(run, OPERATION_TURNS)
    };
    let empty = time("", "")?;
    for (name, before, body) in OPERATIONS {
        let _ = writeln!(page, "| {name} | {:.0} |", time(before, body)? - empty);
    }
    // one walk is many steps, so fewer turns of it, over an array that is there
    let fill = "global a probe begin(-1) { for (k = 0; k < 100; k++) a[k * 37 % 101] = k * 7 % 50 }";
    let walk = time(fill, "if (i % 100 == 0) foreach (k in a- limit 10) n += a[k]")?
        - time(fill, "if (i % 100 == 0) n++")?;
    let _ = writeln!(page, "| `foreach` over 100, sorted by value, the first 10 | {:.0} |\n", walk * 100.0);
    Ok(())
}

/// Both must compute the same, or their times say nothing.
fn same_output(a: &mut Command, b: &mut Command) -> Result<()> {
    let (x, y) = (a.output()?, b.output()?);
    ensure!(x.stdout == y.stdout, "{a:?} and {b:?} differ:\n{}", String::from_utf8_lossy(&x.stderr));
    Ok(())
}

fn turn(command: impl Fn(u64) -> Command, turns: u64) -> Result<f64> {
    let best = |n: u64| -> Result<Duration> {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let before = children_time();
            timed(&mut command(n))?;
            best = best.min(children_time() - before);
        }
        Ok(best)
    };
    let (none, many) = (best(0)?, best(turns)?);
    Ok(many.saturating_sub(none).as_nanos() as f64 / turns as f64)
}

/// Processor time in user mode of the children that have ended.
fn children_time() -> Duration {
    // SAFETY: plain data, which the call fills.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    Duration::new(usage.ru_utime.tv_sec as u64, usage.ru_utime.tv_usec as u32 * 1000)
}

/// Instructions of an event over the bare system call, in each guest.
fn events(page: &mut String, bpftrace: Option<PathBuf>) -> Result<()> {
    page.push_str(
        "## Events\n\nInstructions of one event at `getppid`'s own function, over the bare call, in a guest that\n\
         counts them (`-icount shift=0`). What the reader does when it is woken is not in it, for either.\n\
         Ours has room for all that is printed: a record that is lost costs less than one that is kept.\n\n",
    );
    for series in SERIES {
        let mut guest = Guest::new(series);
        guest.machine.count_instructions = true;
        guest.machine.memory_mib = 3072;
        guest.machine.boot_limit = Duration::from_secs(300);
        if let Some(program) = &bpftrace {
            guest.program(program, "/usr/bin/bpftrace");
        }
        guest.case(Case::new("bare", "call_cost"));
        for Handler { ours: (global, at, body), theirs: (kind, theirs), .. } in HANDLERS {
            // the function's name as the kernel's own table has it
            let name = "f=$(awk '$3 ~ /^__(do|x64)_sys_getppid$/ { print $3; exit }' /proc/kallsyms)\n";
            let script =
                format!("{global} probe kernel.function(\"$f\"){at} {{ {body} }}").replace('"', "\\\"");
            let script = script.replace("%d\\n", "%d\\\\n");
            let keep = if body.is_empty() { "-u" } else { "" }; // an empty probe is left out otherwise
            let ours =
                format!("{name}stap {keep} -s 4 -DSTP_NO_OVERLOAD -o /dev/null -c call_cost -e \"{script}\"");
            guest.case(Case::new("stpvm", &ours).limit(200));
            if bpftrace.is_some() {
                let script = format!("{kind}:'$f' {{ {theirs} }}");
                let script = script.replace("'$f'", "'\"$f\"'");
                guest.case(
                    Case::new(
                        "bpftrace",
                        &format!("{name}bpftrace -o /dev/null -c /usr/bin/call_cost -e '{script}'"),
                    )
                    .limit(200),
                );
            }
        }
        for (_, at) in ARMED {
            let script = format!(
                "global n probe kernel.function(\\\"s*\\\"){at} {{ n++ }} probe timer.ms(10) {{ exit() }}"
            );
            guest.case(Case::new("arming", &format!("stap -v -o /dev/null -e \"{script}\"")).limit(200));
        }
        let report = guest.run()?;
        ensure!(report.ending == Ending::Done, "guest {series}: {:?}\n{}", report.ending, report.console);
        let mut outcomes = report.outcomes.iter();
        let mut cost = || -> Result<f64> {
            let outcome = outcomes.next().context("an outcome for each case")?;
            let out = outcome.out();
            let tenths = out.lines().find_map(|l| l.strip_prefix("cost ")?.parse::<f64>().ok());
            match tenths {
                Some(t) => Ok(t / 10.0),
                None => bail!("guest {series}: no cost in\n{}", outcome.describe()),
            }
        };
        let bare = cost()?;
        let _ = writeln!(page, "Kernel {}, bare call {bare:.0} instructions:\n", report.release);
        page.push_str("| handler | stpvm | bpftrace |\n| --- | --- | --- |\n");
        for Handler { name, .. } in HANDLERS {
            let ours = cost()? - bare;
            let theirs = match bpftrace {
                Some(_) => format!("{:.0}", cost()? - bare),
                None => "not here".to_string(),
            };
            let _ = writeln!(page, "| {name} | {ours:.0} | {theirs} |");
        }
        page.push_str(
            "\nArming `kernel.function(\"s*\")`, in the time of that guest (a nanosecond an instruction):\n\n",
        );
        for ((what, _), outcome) in ARMED.iter().zip(outcomes) {
            let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
            let told = said.lines().find_map(|l| l.strip_prefix("Pass 5: ")?.split_once(" probes armed in "));
            let (n, time) = told.with_context(|| format!("guest {series}: {}", outcome.describe()))?;
            let _ = writeln!(page, "- {n} {what} in {}", time.trim_end_matches('.'));
        }
        page.push('\n');
    }
    page.push_str(PROFILE);
    Ok(())
}

/// Where the instructions of an event go: read off the module's listing and the differences of the table.
const PROFILE: &str = "\
Where they go on 6.1, roughly: ftrace's own trampoline 36; the hook, which finds the probe by the address and
says where it hit, 40; the guards (interrupts off, busy, stack, the clock read twice for the overload
guard) 65; a counter is added without the interpreter, 20. The interpreter adds 45 to enter and leave
and, an instruction, 10 to 15 where what follows is expected and 30 where it goes through the tree of
compares. A record takes 60, a key of an array 70, a word of kernel memory 35.

A return probe is dear by what the kernel does to call and to leave its trampoline. Armed as a kretprobe of
its own it cost 534 there and 591 on 6.12, and half a minute for a thousand functions. Now one ftrace hook
takes the calls of all functions, and a kretprobe that is never armed lends the instances.

";

fn which(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|d| d.join(program)).find(|p| p.exists())
}
