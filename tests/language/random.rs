//! Random scripts in the guests' kernels: what the compiler's own test runs hosted must print the
//! same there. In: fixed seeds (`STPVM_SEED` begins with another, `STPVM_RANDOM` says how many).
//! Out: each script whose output is not the evaluator's.

#[path = "../../compiler/src/lower/random/draw/mod.rs"]
mod draw;

use std::path::Path;
use std::{env, fs};
use stp_tests::guest::{self, Ending, Guest, Series};

/// So many scripts and a boot are 100 s of a processor.
const SCRIPTS: usize = 200;

const OPTIONS: &str = "-w -DMAXACTION_INTERRUPTIBLE=100000000 -DMAXNESTING=40 -DMAXERRORS=100";

#[test]
fn random_scripts_print_what_the_evaluator_says_in_kernel_6_1() {
    in_guest("6.1");
}

#[test]
fn random_scripts_print_what_the_evaluator_says_in_kernel_6_12() {
    in_guest("6.12");
}

fn in_guest(series: &str) {
    let number = |name| env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let first = number("STPVM_SEED").unwrap_or(1000);
    let wanted = number("STPVM_RANDOM").map_or(SCRIPTS, |n| n as usize);
    let seeds = (first..).map(|n| (n, draw::make::case(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))));
    let cases: Vec<(u64, draw::make::Case)> =
        seeds.filter_map(|(n, case)| Some((n, case?))).take(wanted).collect();
    assert!(cases.iter().any(|(_, c)| c.failed), "some meet an error");

    let dir = env::temp_dir().join(format!("stpvm-random-{}-{series}", std::process::id()));
    fs::create_dir_all(&dir).expect("directory");
    let mut guest = Guest::new(Series::find(series).expect("series"));
    for (seed, case) in &cases {
        let name = name(*seed, case);
        let options: String = case.defines.iter().map(|(n, v)| format!(" -D{n}={v}")).collect();
        fs::write(dir.join(&name), format!("#{options}\n{}", case.script)).expect("write");
        guest.file(&dir.join(&name), &format!("/random/{name}"));
    }
    let script = format!(
        "mkdir /tmp/r; cd /random\n\
         for f in *.stp; do\n\
         \tcase $f in failed.*) u=-u;; *) u=;; esac\n\
         \tread hash own <$f\n\
         \ttimeout -s KILL 30 stap --runtime=kernel {OPTIONS} $own $u $f >/tmp/r/$f.out 2>/tmp/r/$f.err </dev/null\n\
         done\n\
         cd /tmp/r; tar -c .\n"
    );
    guest.case(guest::Case::new("random", &script).limit(1200));
    let report = guest.run().expect("guest");
    let outcome = &report.outcomes[0];
    assert_eq!(report.ending, Ending::Done, "{}\n{}", report.console, outcome.describe());
    assert_eq!(outcome.status, Some(0), "{}", outcome.describe());
    super::unpack(&outcome.stdout, &dir);
    let wrong: Vec<String> = cases.iter().filter_map(|(seed, case)| difference(&dir, *seed, case)).collect();
    let _ = fs::remove_dir_all(&dir);
    assert!(wrong.is_empty(), "{series}: {} of {} differ\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let problems = outcome.dmesg_problems();
    assert!(problems.is_empty(), "kernel log of {series}:\n{}", problems.join("\n"));
}

/// What has no use is left out, and an error in it then is not met: such scripts run unoptimized.
fn name(seed: u64, case: &draw::make::Case) -> String {
    format!("{}{seed}.stp", if case.failed { "failed." } else { "" })
}

/// The evaluator writes errors between the lines; stap has them on stderr, with their places.
fn difference(dir: &Path, seed: u64, case: &draw::make::Case) -> Option<String> {
    let read = |what: &str| {
        let bytes = fs::read(dir.join(format!("{}.{what}", name(seed, case)))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (out, err) = (read("out"), read("err"));
    let is_error = |l: &&str| l.starts_with("ERROR: ");
    let printed: Vec<&str> = case.expected.lines().filter(|l| !is_error(l)).collect();
    let errors: Vec<&str> = case.expected.lines().filter(is_error).collect();
    let got_errors: Vec<&str> =
        err.lines().filter(is_error).map(|l| l.split(" near ").next().unwrap_or(l)).collect();
    let same = out.lines().eq(printed.iter().copied()) && got_errors == errors;
    (!same).then(|| {
        format!(
            "seed {seed} with {:?}\n{}\nexpected\n{}\nbut it was\n{out}\nwith\n{err}",
            case.defines, case.script, case.expected
        )
    })
}
