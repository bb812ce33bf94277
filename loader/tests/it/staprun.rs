//! `staprun` and the files that `stap -p4` makes for it, as man staprun has it.

use crate::common::{command, good, text, Dir};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A directory with `t.stpbc`, made of this script.
fn compiled(name: &str, script: &str) -> Dir {
    let d = Dir::new(name);
    let o = command(&["-p4", "-m", "t", "-e", script]).current_dir(&d.0).output().unwrap();
    assert_eq!(good(&o), "t.stpbc\n");
    d
}

fn program(dir: &Dir) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_staprun"));
    c.current_dir(&dir.0).arg("--runtime=user").stdin(Stdio::null());
    c
}

fn run(dir: &Dir, args: &[&str]) -> Output {
    program(dir).args(args).output().unwrap()
}

fn refused(o: &Output) -> String {
    assert_eq!((o.status.code(), text(&o.stdout)), (Some(1), String::new()));
    text(&o.stderr)
}

/// Waits until the file holds the text.
fn await_text(file: &Path, wanted: &str) {
    let begin = Instant::now();
    while !std::fs::read_to_string(file).is_ok_and(|t| t.contains(wanted)) {
        assert!(begin.elapsed() < Duration::from_secs(20), "{} never held `{wanted}`", file.display());
        std::thread::sleep(Duration::from_millis(5));
    }
}

const GLOBALS: &str = "global word = \"foo\", n = 3, calls, seen \
    probe begin { n += 1; calls[n] = 1; seen <<< n; \
    printf(\"%s %d %d %d\\n\", word, n, calls[n], @count(seen)); exit() }";

#[test]
fn global_variables_are_set_behind_the_file() {
    let d = compiled("globals", GLOBALS);
    assert_eq!(good(&run(&d, &["t.stpbc"])), "foo 4 1 1\n");
    assert_eq!(good(&run(&d, &["t.stpbc", "word=Hello World=!", "n=-0x10"])), "Hello World=! -15 1 1\n");
    let long = format!("word={}", "x".repeat(600));
    assert_eq!(good(&run(&d, &["t.stpbc", &long])), format!("{} 4 1 1\n", "x".repeat(511)));
}

#[test]
fn a_setting_that_can_not_be_is_told() {
    let d = compiled("bad-globals", GLOBALS);
    assert!(refused(&run(&d, &["t.stpbc", "nn=1"])).contains("no global variable 'nn' (there are: "));
    assert!(refused(&run(&d, &["t.stpbc", "n=many"])).contains("n=many: the variable takes a number"));
    assert!(refused(&run(&d, &["t.stpbc", "calls=1"])).contains("no arrays and statistics"));
    assert!(refused(&run(&d, &["t.stpbc", "word"])).contains("NAME=VALUE is wanted"));
}

#[test]
fn a_name_stands_for_the_compiled_script() {
    let d = compiled("names", "probe begin { println(\"found\"); exit() }");
    for name in ["t.stpbc", "t", "t.ko", "./t.ko"] {
        assert_eq!(good(&run(&d, &[name])), "found\n", "{name}");
    }
    assert_eq!(refused(&run(&d, &["u.ko"])), "ERROR: u.ko: No such file or directory\n");
}

#[test]
fn options_that_we_do_not_have_are_answered() {
    let d = compiled("options", "probe begin { println(\"ran\"); exit() }");
    assert!(refused(&run(&d, &["-L", "t"])).starts_with("ERROR: option -L is not supported: "));
    assert!(refused(&run(&d, &["-A", "t"])).starts_with("ERROR: option -A is not supported: "));
    let o = run(&d, &["-R", "-u", "-T", "500", "t"]);
    assert_eq!(good(&o), "ran\n");
    assert_eq!(text(&o.stderr).matches("has no effect").count(), 3);
}

#[test]
fn a_version_that_can_not_be_written_is_an_error_and_no_panic() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let d = Dir::new("version");
    let o = program(&d).arg("-V").stdout(full).output().unwrap();
    assert_eq!((o.status.code(), text(&o.stderr)), (Some(1), String::new()));
}

#[test]
fn output_files_of_a_size_follow_each_other() {
    let script = "probe begin { for (i = 0; i < 1500; i++) printf(\"%0500d%0500d\\n\", i, i) exit() }";
    let d = compiled("sizes", script);
    good(&run(&d, &["-S", "1", "-o", "out", "t"]));
    let read = |name: &str| std::fs::read_to_string(d.0.join(name)).unwrap();
    let both = read("out.0") + &read("out.1");
    assert!(read("out.0").len() <= 1 << 20);
    assert!(both.lines().enumerate().all(|(n, l)| l[500..].parse() == Ok(n)));
    assert_eq!(both.lines().count(), 1500);
}

#[test]
fn a_signal_turns_to_the_next_file() {
    let d = compiled("turn", "global n probe timer.ms(5) { printf(\"%d\\n\", n++) }");
    let mut child = program(&d).args(["-o", "out", "t"]).spawn().unwrap();
    for (file, signal) in [("out", libc::SIGUSR2), ("out.1", libc::SIGUSR2), ("out.2", libc::SIGINT)] {
        await_text(&d.0.join(file), "\n");
        // SAFETY: our own child.
        unsafe { libc::kill(child.id() as i32, signal) };
    }
    assert!(child.wait().unwrap().success());
    let all: String =
        ["out", "out.1", "out.2"].iter().map(|f| std::fs::read_to_string(d.0.join(f)).unwrap()).collect();
    assert!(all.lines().enumerate().all(|(n, l)| l.parse() == Ok(n)), "{all}");
}

#[test]
fn a_daemon_tells_its_process_id_and_goes_on() {
    let d = compiled("daemon", "probe begin { println(\"in\") } probe end { println(\"out\") }");
    assert!(refused(&run(&d, &["-D", "t"])).contains("-o"));
    let pid: i32 = good(&run(&d, &["-D", "-o", "out", "t"])).trim().parse().unwrap();
    await_text(&d.0.join("out"), "in\n");
    // SAFETY: the process that our child made for us; it is running, as it has not printed its end.
    unsafe { libc::kill(pid, libc::SIGTERM) };
    await_text(&d.0.join("out"), "in\nout\n");
}

#[test]
fn a_flight_recorder_goes_on_in_the_background() {
    let d = Dir::new("flight");
    let script = "probe begin { println(\"in\") } probe end { println(\"out\") }";
    let stap = |args: &[&str]| command(args).current_dir(&d.0).output().unwrap();
    let pid: i32 = good(&stap(&["-F", "-o", "out", "-e", script])).trim().parse().unwrap();
    await_text(&d.0.join("out"), "in\n");
    // SAFETY: as above
    unsafe { libc::kill(pid, libc::SIGTERM) };
    await_text(&d.0.join("out"), "in\nout\n");
    // what can't be compiled is told before
    let wrong = stap(&["-F", "-o", "none", "-e", "probe begin { nothing() }"]);
    assert!(refused(&wrong).contains("unresolved function nothing"));
    assert!(!d.0.join("none").exists());
}

#[test]
fn an_image_that_can_not_be_written_whole_leaves_nothing() {
    let d = Dir::new("full");
    std::os::unix::fs::symlink("/dev/full", d.0.join("t.stpbc")).unwrap();
    let o =
        command(&["-p4", "-m", "t", "-e", "probe begin { println(1) }"]).current_dir(&d.0).output().unwrap();
    assert_eq!(
        refused(&o),
        "ERROR: t.stpbc: No space left on device\nPass 4: compilation failed.  [man error::pass4]\n"
    );
    assert!(d.0.join("t.stpbc").symlink_metadata().is_err());
}

#[test]
fn what_was_compiled_for_another_kernel_is_refused() {
    let d = Dir::new("foreign");
    let compile = |script: &str| {
        let args = ["-p4", "-m", "t", "-r", "6.0.0-elsewhere", "-e", script];
        good(&command(&args).current_dir(&d.0).output().unwrap());
    };
    compile("%( kernel_v < \"6.1\" %? probe begin { println(\"old\"); exit() } %)");
    let said = refused(&run(&d, &["t.stpbc"]));
    assert!(said.contains("compiled for another kernel (6.0.0-elsewhere)"), "{said}");
    assert!(said.contains("Compile it for this one"), "{said}");
    // one that looks at no kernel runs on any
    compile("probe begin { println(\"any\"); exit() }");
    assert_eq!(good(&run(&d, &["t.stpbc"])), "any\n");
}

#[test]
fn what_was_compiled_for_this_kernel_runs() {
    let d = compiled("of_this", "%( kernel_v > \"1\" %? probe begin { println(\"new\"); exit() } %)");
    assert_eq!(good(&run(&d, &["t.stpbc"])), "new\n");
}
