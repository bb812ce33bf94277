//! `stap` as its user sees it, with the machine in the process: output, exit
//! status, messages, and what ends a run.

use crate::common::{command, good, spawn, stap, text, Dir};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn hello_is_printed_and_the_run_succeeds() {
    let o = stap(&["-e", "probe begin { printf(\"hello\\n\"); exit() }"]);
    assert_eq!(good(&o), "hello\n");
    assert_eq!(text(&o.stderr), "");
}

#[test]
fn a_script_comes_from_a_file_or_from_standard_input() {
    let d = Dir::new("source");
    let file = d.0.join("a.stp");
    std::fs::write(&file, "#! /usr/bin/stap\nprobe begin { println($1, @2); exit() }\n").unwrap();
    assert_eq!(good(&stap(&[file.to_str().unwrap(), "7", "x"])), "7x\n");

    let mut child = command(&["-", "8"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"probe begin { println($1); exit() }").unwrap();
    assert_eq!(good(&child.wait_with_output().unwrap()), "8\n");
}

#[test]
fn an_error_ends_the_run_with_its_place_and_status_1() {
    let o = stap(&["-e", "probe begin { x = 0; println(5 / x); exit() }\nprobe end { println(\"no\") }\nprobe error { println(\"yes\") }"]);
    assert_eq!(o.status.code(), Some(1));
    assert_eq!(text(&o.stdout), "yes\n");
    let err = text(&o.stderr);
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines[0], "ERROR: division by 0 near operator '/' at <input>:1:32 in probe begin");
    assert_eq!(lines[1], "WARNING: Number of errors: 1, skipped probes: 0");
    assert_eq!(lines[2], "WARNING: staprun exited with status: 1");
    assert_eq!(lines[3], "Pass 5: run failed.  [man error::pass5]");
}

#[test]
fn warnings_of_the_script_go_to_the_error_stream_unless_unwanted() {
    let script = "probe begin { warn(\"careful\"); println(\"out\"); exit() }";
    let o = stap(&["-e", script]);
    assert_eq!(good(&o), "out\n");
    assert_eq!(text(&o.stderr), "WARNING: careful\n");
    assert_eq!(text(&stap(&["-w", "-e", script]).stderr), "");
}

#[test]
fn a_script_that_does_not_parse_fails_in_pass_1() {
    let o = stap(&["-e", "probe begin { println(5 ` 3) }"]);
    assert_eq!(o.status.code(), Some(1));
    let err = text(&o.stderr);
    assert!(err.starts_with("parse error: "), "{err}");
    assert!(err.ends_with("1 parse error.\nPass 1: parse failed.  [man error::pass1]\n"), "{err}");
}

#[test]
fn a_script_with_an_unknown_function_fails_in_pass_2() {
    let o = stap(&["-e", "probe begin { println(no_such_fn(1)) }"]);
    assert_eq!(o.status.code(), Some(1));
    let err = text(&o.stderr);
    assert!(err.starts_with("semantic error: unresolved function no_such_fn"), "{err}");
    assert!(err.ends_with("Pass 2: analysis failed.  [man error::pass2]\n"), "{err}");
}

#[test]
fn files_that_are_empty_or_missing_are_named() {
    let d = Dir::new("files");
    let empty = d.0.join("empty.stp");
    std::fs::write(&empty, "").unwrap();
    let o = stap(&[empty.to_str().unwrap()]);
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o.stderr).contains("empty.stp' is empty."));
    let o = stap(&["/nonexistent.stp"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o.stderr).contains("'/nonexistent.stp'"));
}

#[test]
fn probes_of_the_kernel_are_refused_in_the_process() {
    let o = stap(&["-e", "probe timer.s(1) { exit() } probe kernel.trace(\"sched_switch\") { println(1) }"]);
    assert_eq!(o.status.code(), Some(1));
    let err = text(&o.stderr);
    assert!(err.contains("kernel.trace"), "{err}");
}

#[test]
fn timers_fire_until_exit() {
    let script = "global n\n\
        probe timer.ms(5) { printf(\"a%d \", ++n); if (n == 3) exit() }\n\
        probe timer.s(100) { print(\"b \") }\n\
        probe end { println(\"end\") }";
    assert_eq!(good(&stap(&["-e", script])), "a1 a2 a3 end\n");
}

#[test]
fn nothing_that_a_begin_or_end_handler_prints_is_lost() {
    // Records of 32 bytes and more: both handlers print several times what a ring holds.
    let o = stap(&[
        "-DMAXACTION_INTERRUPTIBLE=10000000",
        "-e",
        "probe begin { for (i = 0; i < 50000; i++) printf(\"b %d\\n\", i) exit() }\n\
         probe end { for (i = 0; i < 200000; i++) printf(\"e %d of %s\\n\", i, \"many\") }",
    ]);
    assert_eq!(text(&o.stderr), "");
    let begin: String = (0..50_000).map(|i| format!("b {i}\n")).collect();
    let end: String = (0..200_000).map(|i| format!("e {i} of many\n")).collect();
    assert!(good(&o) == begin + &end, "{} bytes", o.stdout.len());
}

#[test]
fn the_time_limit_ends_the_run() {
    let begin = Instant::now();
    let o = stap(&["-T", "1", "-e", "probe begin { println(\"in\") } probe end { println(\"out\") }"]);
    assert_eq!(good(&o), "in\nout\n");
    let took = begin.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(10), "{took:?}");
}

#[test]
fn an_interrupt_runs_the_end_probes_and_is_no_failure() {
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        let mut child = spawn(&["-e", "probe begin { println(\"in\") } probe end { println(\"out\") }"]);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "in\n");
        // SAFETY: our own child.
        unsafe { libc::kill(child.id() as i32, signal) };
        let mut rest = String::new();
        out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "out\n");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn an_interrupt_when_the_run_is_over_does_not_hide_how_it_went() {
    for n in 0..40 {
        let mut child = spawn(&["-v", "-e", "probe begin { println(\"in\"); exit() }"]);
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        assert_eq!(line, "in\n");
        std::thread::sleep(Duration::from_micros(20 * n));
        // SAFETY: our own child, not waited for yet.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
        let o = child.wait_with_output().unwrap();
        assert!(text(&o.stderr).contains("Pass 5: run completed in "), "{n}: {}", text(&o.stderr));
        assert_eq!(o.status.code(), Some(0), "{n}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_run_quietly() {
    let mut child = spawn(&["-e", "probe timer.ms(10) { println(\"tick\") }"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    drop(out);
    let begin = Instant::now();
    let o = child.wait_with_output().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert_eq!(text(&o.stderr), "");
}

#[test]
fn a_command_is_the_target_and_its_end_ends_the_run() {
    let d = Dir::new("command");
    let file = d.0.join("pid");
    let cmd = format!("echo $$ > {}", file.display());
    let o = stap(&["-c", &cmd, "-e", "probe begin { println(target()) } probe end { println(\"end\") }"]);
    let pid = std::fs::read_to_string(file).unwrap();
    assert_eq!(good(&o), format!("{pid}end\n"));
}

#[test]
fn a_command_starts_after_the_begin_probes() {
    let o = stap(&[
        "-c",
        "echo command",
        "-e",
        "probe begin { println(\"begin\") } probe end { println(\"end\") }",
    ]);
    assert_eq!(good(&o), "begin\ncommand\nend\n");
}

#[test]
fn a_command_that_fails_fails_the_run() {
    let o = stap(&["-c", "exit 3", "-e", "probe begin { println(1) }"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o.stderr).contains("Child process exited with status 3"), "{}", text(&o.stderr));
    let o = stap(&["-c", "/nonexistent/command", "-e", "probe begin { println(1) }"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o.stderr).contains("/nonexistent/command: not found"), "{}", text(&o.stderr));
}

#[test]
fn an_interrupt_does_not_wait_for_the_command() {
    let mut child =
        spawn(&["-c", "sleep 20", "-e", "probe begin { println(\"in\") } probe end { println(\"out\") }"]);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let begin = Instant::now();
    // SAFETY: our own child.
    unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
    assert!(child.wait().unwrap().success());
    assert!(begin.elapsed() < Duration::from_secs(10));
    line.clear();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "out\n");
}

#[test]
fn target_is_what_x_says() {
    assert_eq!(good(&stap(&["-x", "123", "-e", "probe begin { println(target()); exit() }"])), "123\n");
}

#[test]
fn output_goes_to_a_file() {
    let d = Dir::new("output");
    let file = d.0.join("out");
    let o = stap(&["-o", file.to_str().unwrap(), "-e", "probe begin { println(\"x\"); exit() }"]);
    assert_eq!(good(&o), "");
    assert_eq!(std::fs::read_to_string(file).unwrap(), "x\n");
    let o = stap(&["-o", "/nonexistent/dir/out", "-e", "probe begin { println(\"x\"); exit() }"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o.stderr).contains("/nonexistent/dir/out"));
}

#[test]
fn bulk_files_are_merged_again() {
    let d = Dir::new("bulk");
    let file = d.0.join("out");
    good(&stap(&[
        "-b",
        "-o",
        file.to_str().unwrap(),
        "-e",
        "probe begin { println(\"x\"); println(\"y\"); exit() }",
    ]));
    let o = std::process::Command::new(env!("CARGO_BIN_EXE_stap-merge"))
        .arg(format!("{}_0", file.display()))
        .output()
        .unwrap();
    assert_eq!(good(&o), "x\ny\n");
}

#[test]
fn an_image_file_is_written_and_run() {
    let d = Dir::new("image");
    let script = "probe begin { println(\"from a file \", target()); exit() }";
    let o = command(&["-p4", "-m", "job", "-e", script]).current_dir(&d.0).output().unwrap();
    assert_eq!(good(&o), "job.stpbc\n");
    let run = |file: &str| {
        std::process::Command::new(env!("CARGO_BIN_EXE_staprun"))
            .args(["--runtime=user", "-x", "9", file])
            .current_dir(&d.0)
            .output()
            .unwrap()
    };
    assert_eq!(good(&run("job.stpbc")), "from a file 9\n");
    // Damage is noticed.
    let mut bytes = std::fs::read(d.0.join("job.stpbc")).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(d.0.join("bad.stpbc"), &bytes).unwrap();
    std::fs::write(d.0.join("cut.stpbc"), &bytes[..last / 2]).unwrap();
    for (file, what) in [("bad.stpbc", "damaged"), ("cut.stpbc", "cut short"), ("none.stpbc", "No such file")]
    {
        let o = run(file);
        assert_eq!(o.status.code(), Some(1));
        let err = text(&o.stderr);
        assert!(err.starts_with(&format!("ERROR: {file}: ")) && err.contains(what), "{err}");
    }
}

#[test]
fn verbose_runs_name_the_five_passes_and_the_memory() {
    let o = stap(&["-v", "-e", "probe begin { println(1); exit() }"]);
    assert_eq!(good(&o), "1\n");
    let err = text(&o.stderr);
    for what in [
        "Pass 1: parsed user script and ",
        "Pass 2: analyzed script: 1 probe, ",
        "Pass 3: translated to bytecode: ",
        "Pass 4: ",
        "Pass 5: starting run.",
        "rings ",
        "Pass 5: run completed in ",
    ] {
        assert!(err.contains(what), "{what} not in {err}");
    }
    // Only what was asked for.
    let o = stap(&["--vp", "01", "-e", "probe begin { println(1); exit() }"]);
    let err = text(&o.stderr);
    assert!(err.starts_with("Pass 2: ") && err.lines().count() == 1, "{err}");
}

#[test]
fn much_output_of_one_handler_is_not_lost() {
    let script = "probe begin { for (i = 0; i < 100000; i++) printf(\"%d\\n\", i); exit() }";
    let o = stap(&["-g", "--suppress-time-limits", "-e", script]);
    let want: String = (0..100_000).map(|i| format!("{i}\n")).collect();
    assert!(good(&o) == want, "{} lines, stderr {}", text(&o.stdout).lines().count(), text(&o.stderr));
}

#[test]
fn warnings_as_errors_fail_the_pass() {
    let o = stap(&["-W", "-e", "probe begin { println(nothing); exit() }"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o.stderr).contains("Pass 2: analysis failed."), "{}", text(&o.stderr));
    assert_eq!(text(&o.stdout), "");
}

#[test]
fn globals_are_set_from_the_command_line() {
    let script = "global n = 1, s = \"a\" probe begin { println(n, s); exit() }";
    assert_eq!(good(&stap(&["-G", "n=5", "-G", "s=b", "-e", script])), "5b\n");
}

#[test]
fn limits_are_set_from_the_command_line() {
    let script = "probe begin { for (i = 0; i < 100; i++) n += i; println(n); exit() }";
    assert_eq!(good(&stap(&["-e", script])), "4950\n");
    let o = stap(&["-DMAXACTION_INTERRUPTIBLE=50", "-DMAXACTION=50", "-e", script]);
    assert_eq!(o.status.code(), Some(1));
    assert!(text(&o.stderr).starts_with("ERROR: MAXACTION exceeded near "), "{}", text(&o.stderr));
}

#[test]
fn standard_input_comes_by_bytes_and_by_lines() {
    let script = "global chars probe input.char { chars .= char } probe input.line { printf(\"<%s>\", line) }
        probe input.line { if (line == \"quit\\n\") exit() } probe end { println(strlen(chars)) }";
    let mut child = command(&["-e", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"q\nquit\nlost\n").unwrap();
    assert_eq!(good(&child.wait_with_output().unwrap()), "<q\n><quit\n>7\n");
}

#[test]
fn a_line_is_cut_to_a_string_and_one_that_is_not_complete_is_none() {
    let script = "probe input.line { println(strlen(line)) } probe timer.ms(200) { exit() }";
    let mut child = command(&["-DMAXSTRINGLEN=16", "-e", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"0123456789012345678901234\nab\nnever").unwrap();
    assert_eq!(good(&child.wait_with_output().unwrap()), "15\n3\n");
}

#[test]
fn an_interrupt_counts_while_the_script_is_still_compiled() {
    // a shell without job control starts what is behind an `&` with SIGINT ignored
    let mut child = std::process::Command::new("/bin/sh")
        .args(["-c", "trap '' INT; exec \"$0\" -v -"])
        .arg(env!("CARGO_BIN_EXE_stap"))
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    // its script never comes; until it has listened to signals, they are lost
    while child.try_wait().unwrap().is_none() {
        assert!(begin.elapsed() < Duration::from_secs(20), "the interrupt is ignored");
        // SAFETY: our own child, not waited for yet.
        unsafe { libc::kill(child.id() as i32, libc::SIGINT) };
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_library_that_is_not_there_is_told() {
    let o =
        command(&["-e", "probe vfs.read { }"]).env("SYSTEMTAP_TAPSET", "/nonexistent/lib").output().unwrap();
    assert_eq!(o.status.code(), Some(1));
    let err = text(&o.stderr);
    let wanted = "WARNING: the tapset library can't be read: /nonexistent/lib: No such file or directory;";
    assert!(err.starts_with(wanted), "{err}");
    let o = stap(&["-I", "/nonexistent/mine", "-e", "probe begin { println(1); exit() }"]);
    assert_eq!(
        (good(&o), text(&o.stderr)),
        ("1\n".into(), "WARNING: -I /nonexistent/mine: no such directory\n".into())
    );
}

#[test]
fn a_file_that_can_not_be_read_is_told_without_numbers() {
    let o = stap(&["/nonexistent/x.stp"]);
    assert_eq!(
        text(&o.stderr),
        "Input file '/nonexistent/x.stp' can't be opened for reading: No such file or directory\n\
         Pass 1: parse failed.  [man error::pass1]\n"
    );
}

#[test]
fn lists_of_functions_say_who_may_call_them() {
    let listed = good(&stap(&["--dump-functions"]));
    let has = |line: &str| assert!(listed.lines().any(|l| l == line), "no line `{line}` in\n{listed}");
    // of the machine
    has("strlen:long (s:string) [unprivileged]");
    has("error:unknown (msg:string) [unprivileged]");
    has("raise:unknown (signo:long) [guru]");
    has("pid2task:long (pid:long)");
    // of the library, by what they call
    has("ansi_clear_screen:unknown () [unprivileged]");
    has("tokenize:string (input:string, delim:string) [unprivileged]");
    has("user_string:string (addr:long) [myproc-unprivileged]");
    has("kernel_string:string (addr:long)");
    has("set_kernel_int:unknown (addr:long, val:long) [guru]");
    has("set_uint_arg:unknown (argnum:long, value:long) [guru]");
    assert!(listed.lines().all(|l| !l.starts_with('_')), "names of the library's own are shown");
    // mutual recursion hides nothing: both need what either does
    let dir = Dir::new("dump");
    std::fs::write(
        dir.0.join("own.stp"),
        "function ping(n) { if (n > 0) pong(n - 1) }\n\
         function pong(n) { if (n > 0) ping(n - 1); printk(6, \"pong\") }\n\
         function shows(p) { printf(\"%4m\", p) }\n\
         private function hidden() { return 1 }\n",
    )
    .unwrap();
    let mut c = command(&["--dump-functions"]);
    let listed = good(&c.env("SYSTEMTAP_TAPSET", &dir.0).output().unwrap());
    let own: Vec<&str> =
        listed.lines().filter(|l| ["ping", "pong", "show", "hidd"].contains(&&l[..4])).collect();
    assert_eq!(
        own,
        ["ping:unknown (n:long) [guru]", "pong:unknown (n:long) [guru]", "shows:unknown (p:long)"]
    );
}

#[test]
fn lists_of_points_follow_the_privilege() {
    let all = good(&stap(&["--dump-probe-types"]));
    let few = good(&stap(&["--dump-probe-types", "--privilege=stapusr"]));
    for line in ["begin", "end(number)", "timer.ms(number).randomize(number)", "never"] {
        assert!(all.lines().any(|l| l == line) && few.lines().any(|l| l == line), "{line}");
    }
    for line in ["kernel.function(string)", "timer.profile", "kernel.trace(string)", "procfs.read"] {
        assert!(all.lines().any(|l| l == line) && !few.lines().any(|l| l == line), "{line}");
    }
    let dir = Dir::new("dump-aliases");
    std::fs::write(
        dir.0.join("own.stp"),
        "probe mine.one = begin, end { x = 1 }\nprobe __hidden = begin { }\n",
    )
    .unwrap();
    let mut c = command(&["--dump-probe-aliases"]);
    assert_eq!(good(&c.env("SYSTEMTAP_TAPSET", &dir.0).output().unwrap()), "mine.one = begin, end\n");
}

#[test]
fn timing_tells_the_shortest_and_the_longest_run_of_each_probe() {
    let script =
        "global n\nprobe timer.ms(5) { if (n++ == 2) for (i = 0; i < 3000; i++) ; if (n > 4) exit() }";
    let o = stap(&["-t", "-DMAXACTION_INTERRUPTIBLE=100000", "-e", script]);
    good(&o);
    let said = text(&o.stderr);
    let line = said.lines().find(|l| l.starts_with("timer.ms(5), ")).expect("a line of the probe");
    let rest = line
        .strip_prefix("timer.ms(5), (<input>:2:26), hits: 5, cycles: ")
        .unwrap_or_else(|| panic!("{line}"));
    let (cycles, from) = rest.split_once(", ").expect("more");
    assert_eq!(from, "from: timer.ms(5), index: 0");
    let parts: Vec<(u64, String)> = cycles
        .split('/')
        .map(|p| {
            let word = p.trim_start_matches(|c: char| c.is_ascii_digit());
            (p[..p.len() - word.len()].parse().expect("a number"), word.to_string())
        })
        .collect();
    let [(min, a), (avg, b), (max, c)] = &parts[..] else { panic!("{line}") };
    assert_eq!((a.as_str(), b.as_str(), c.as_str()), ("min", "avg", "max"));
    assert!(min < avg && avg < max, "{line}");
}
