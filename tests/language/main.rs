//! Every script below `tests/language` prints what stands beside it: hosted in a
//! process, and in the kernel of each guest. Same bytes everywhere.

mod floating_point;
mod limits;
mod random;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};
use stp_tests::guest::{self, Ending, Guest, Series};
use stp_tests::language::{self, Case, Got};

/// A script that needs longer than that is said to hang.
const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn hosted_scripts_print_what_is_written_beside_them() {
    let stap = guest::stap_dir().expect("stap").join("stap");
    let cases = cases_for("hosted");
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        // scripts with timers wait most of their time
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let got = run_hosted(&stap, case);
                    results.lock().expect("lock").push((case, got));
                }
            });
        }
    });
    verdict("hosted", results.into_inner().expect("lock"));
}

#[test]
fn scripts_print_the_same_in_kernel_6_1() {
    in_guest("6.1");
}

#[test]
fn scripts_print_the_same_in_kernel_6_12() {
    in_guest("6.12");
}

/// Cases of this place; `STP_CASES=TEXT` in the environment picks those with TEXT in their name.
fn cases_for(place: &str) -> Vec<Case> {
    let bound = fs::read_to_string(language::directory().join("only-on")).expect("only-on");
    let bound: BTreeMap<&str, &str> = bound.lines().filter_map(|l| l.split_once(' ')).collect();
    let wanted = env::var("STP_CASES").unwrap_or_default();
    let mut cases = language::cases().expect("cases");
    cases.retain(|c| {
        let here = match bound.get(c.name.as_str()) {
            Some(&"kernel") => place != "hosted",
            Some(&series) => place == series,
            None => true,
        };
        here && c.name.contains(&wanted)
    });
    assert!(!cases.is_empty(), "no case has `{wanted}` in its name");
    cases
}

fn verdict(place: &str, mut results: Vec<(&Case, Got)>) {
    results.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let known = language::known_differences().expect("known-differences");
    let (agree, wrong) = language::judge(&results, &known);
    println!("{place}: {agree} of {} scripts agree", results.len());
    if let Some(wrong) = wrong {
        panic!("{place}: {agree} of {} scripts agree\n{wrong}", results.len());
    }
}

fn run_hosted(stap: &Path, case: &Case) -> Got {
    let dir = case.script.parent().expect("a script lies in a directory");
    let mut command = Command::new(stap);
    command.arg("--runtime=user").args(case.command()).current_dir(dir).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("stap starts");
    let group = child.id() as i32;
    let (stdout, stderr) = (drain(child.stdout.take()), drain(child.stderr.take()));
    let status = wait(&mut child);
    // SAFETY: a signal to the group that was made above; no memory of ours is touched.
    unsafe { libc::kill(-group, libc::SIGKILL) };
    let (stdout, stderr) = (stdout.join().expect("reader"), stderr.join().expect("reader"));
    Got { stdout, stderr, status }
}

fn drain(pipe: Option<impl std::io::Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // what was read before an error is what there is to compare
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// Exit status, as a shell gives it; `None` if it had to be killed.
fn wait(child: &mut Child) -> Option<i32> {
    use std::os::unix::process::ExitStatusExt;
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("wait") {
            return status.code().or(status.signal().map(|s| 128 + s));
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// All scripts in one boot, one after the other; their outputs come back as a tar archive.
fn in_guest(series: &str) {
    let cases = cases_for(series);
    let mut script = String::from(
        "mkdir /tmp/r\n\
         run() { # number directory arguments of stap\n\
         \tn=$1; cd $2; shift 2\n\
         \ttimeout -s KILL 30 stap --runtime=kernel \"$@\" >/tmp/r/$n.out 2>/tmp/r/$n.err </dev/null\n\
         \techo $? >/tmp/r/$n.rc\n\
         }\n",
    );
    for (n, case) in cases.iter().enumerate() {
        let dir = Path::new(&case.name).parent().expect("a case lies in a directory").display();
        let words: Vec<String> =
            case.command().iter().map(|w| format!("'{}'", w.replace('\'', r"'\''"))).collect();
        script.push_str(&format!("run {n} /language/{dir} {}\n", words.join(" ")));
    }
    script.push_str("cd /tmp/r; tar -c .\n");

    let mut guest = Guest::new(Series::find(series).expect("series"));
    for case in &cases {
        guest.file(&case.script, &format!("/language/{}.stp", case.name));
        for file in &case.files {
            let name = file.file_name().expect("a file has a name").to_string_lossy();
            guest.file(file, &format!("/language/{}.d/{name}", case.name));
        }
    }
    guest.case(guest::Case::new("language", &script).limit(1200));
    let report = guest.run().expect("guest");
    let outcome = &report.outcomes[0];
    assert_eq!(report.ending, Ending::Done, "{}\n{}", report.console, outcome.describe());
    assert_eq!(outcome.status, Some(0), "{}", outcome.describe());
    let dir = env::temp_dir().join(format!("stpvm-language-{}-{series}", std::process::id()));
    unpack(&outcome.stdout, &dir);
    let read = |n: usize, what: &str| fs::read(dir.join(format!("{n}.{what}"))).unwrap_or_default();
    let results = cases.iter().enumerate().map(|(n, case)| {
        let status = String::from_utf8_lossy(&read(n, "rc")).trim().parse().ok().filter(|&s| s != 137);
        (case, Got { stdout: read(n, "out"), stderr: read(n, "err"), status })
    });
    let results = results.collect();
    let _ = fs::remove_dir_all(&dir);
    verdict(series, results);
    let problems = outcome.dmesg_problems();
    assert!(problems.is_empty(), "kernel log of {series}:\n{}", problems.join("\n"));
}

fn unpack(tar: &[u8], dir: &Path) {
    fs::create_dir_all(dir).expect("directory");
    let mut child =
        Command::new("tar").arg("-x").current_dir(dir).stdin(Stdio::piped()).spawn().expect("tar");
    child.stdin.take().expect("pipe").write_all(tar).expect("write");
    assert!(child.wait().expect("wait").success(), "the guest's archive is broken");
}
