//! Real scripts at real probes in the kernels of both guests. One boot a kernel
//! for what scripts see, one for storms of loading, killing and unloading.
//! After every case the kernel's log must hold nothing that a sound module has no part in.

mod aliases;
mod arming;
mod debuginfo;
mod device;
mod library;
mod limits;
mod odd;
mod scripts;
mod sources;
mod stacks;
mod storms;
mod values;

use stp_tests::guest::{Case, Ending, Guest, Outcome, Series};

/// A case with what must be true of its outcome.
pub struct Check {
    case: Case,
    holds: fn(&Outcome) -> Result<(), String>,
    /// Lines of the kernel's log that this case is there to raise.
    may_log: &'static [&'static str],
}

impl Check {
    pub fn new(name: &str, script: &str, holds: fn(&Outcome) -> Result<(), String>) -> Check {
        Check { case: Case::new(name, &format!(". /lib.sh\n{script}")), holds, may_log: &[] }
    }

    pub fn may_log(mut self, lines: &'static [&'static str]) -> Check {
        self.may_log = lines;
        self
    }

    pub fn limit(mut self, seconds: u64) -> Check {
        self.case = self.case.limit(seconds);
        self
    }
}

/// stdout to the byte, and status 0.
pub fn prints(outcome: &Outcome, want: &str) -> Result<(), String> {
    ok(outcome)?;
    match outcome.out() == want {
        true => Ok(()),
        false => Err(format!("stdout is not `{}`", want.escape_debug())),
    }
}

pub fn ok(outcome: &Outcome) -> Result<(), String> {
    match outcome.status {
        Some(0) => Ok(()),
        _ => Err("the status is not 0".into()),
    }
}

/// The numbers of a line `KEY a b c …` of stdout.
pub fn numbers(outcome: &Outcome, key: &str) -> Result<Vec<i64>, String> {
    let out = outcome.out();
    let line = out.lines().find(|l| l.split_whitespace().next() == Some(key));
    let line = line.ok_or(format!("no line `{key} …`"))?;
    line.split_whitespace().skip(1).map(|w| w.parse().map_err(|_| format!("`{w}` in `{line}`"))).collect()
}

fn run(series: &str, checks: Vec<Check>) {
    run_with(series, checks, |_| ());
}

fn run_with(series: &str, checks: Vec<Check>, prepare: fn(&mut Guest)) {
    let mut guest = Guest::new(Series::find(series).expect("series"));
    prepare(&mut guest);
    guest.text("/lib.sh", include_str!("lib.sh"));
    let scripts = stp_tests::guest::kernel::root().join("tests/guest/scripts");
    guest.file(&scripts, "/scripts");
    let wanted = std::env::var("STP_CASES").unwrap_or_default();
    let mut checks: Vec<Check> = checks.into_iter().filter(|c| c.case.name.contains(&wanted)).collect();
    if checks.is_empty() {
        return; // nothing of this guest is asked for by STP_CASES
    }
    if guest.series.is_debug() {
        checks.iter_mut().for_each(|c| c.case.limit *= 10);
    }
    for check in &checks {
        guest.case(check.case.clone());
    }
    let report = guest.run().expect("guest");
    let mut failures = String::new();
    for (check, outcome) in checks.iter().zip(&report.outcomes) {
        let log: Vec<&str> = outcome
            .dmesg_problems()
            .into_iter()
            .filter(|l| !check.may_log.iter().any(|m| l.contains(m)))
            .collect();
        let verdict = match (check.holds)(outcome) {
            Ok(()) if log.is_empty() => Ok(()),
            Ok(()) => Err(format!("kernel log:\n{}", log.join("\n"))),
            Err(e) => Err(e),
        };
        let name = &check.case.name;
        match verdict {
            Ok(()) => println!("{series} {name}: ok, {:?}", outcome.took),
            Err(why) => failures.push_str(&format!("==== {series} {name}: {why}\n{}\n", outcome.describe())),
        }
    }
    if report.ending != Ending::Done {
        failures.push_str(&format!(
            "==== {series}: the guest {:?}; its console:\n{}\n",
            report.ending, report.console
        ));
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn scripts_see_what_happens_in_kernel_6_1() {
    run("6.1", scripts::checks().into_iter().chain(arming::checks()).collect());
}

#[test]
fn the_module_keeps_its_word_in_kernel_6_1() {
    run("6.1", device::checks());
}

#[test]
fn the_module_keeps_its_word_in_kernel_6_12() {
    run("6.12", device::checks());
}

#[test]
fn scripts_see_what_happens_in_kernel_6_12() {
    run("6.12", scripts::checks().into_iter().chain(arming::checks()).collect());
}

#[test]
fn files_and_input_reach_scripts_in_kernel_6_1() {
    run("6.1", sources::checks().into_iter().chain(odd::checks()).collect());
}

#[test]
fn files_and_input_reach_scripts_in_kernel_6_12() {
    run("6.12", sources::checks().into_iter().chain(odd::checks()).collect());
}

#[test]
fn the_library_sees_kernel_6_1_as_it_is() {
    run_with(
        "6.1",
        [aliases::checks("6.1"), library::checks(), values::checks()].into_iter().flatten().collect(),
        library::prepare,
    );
}

#[test]
fn the_library_sees_kernel_6_12_as_it_is() {
    run_with(
        "6.12",
        [aliases::checks("6.12"), library::checks(), values::checks()].into_iter().flatten().collect(),
        library::prepare,
    );
}

#[test]
fn debuginfo_and_btf_give_known_values_in_kernel_6_1() {
    run_with("6.1", debuginfo::checks(), debuginfo::prepare);
}

#[test]
fn debuginfo_and_btf_give_known_values_in_kernel_6_12() {
    run_with("6.12", debuginfo::checks(), debuginfo::prepare);
}

#[test]
fn stacks_and_limits_are_right_in_kernel_6_1() {
    let checks = [stacks::checks(), limits::checks()];
    run_with("6.1", checks.into_iter().flatten().collect(), debuginfo::prepare);
}

#[test]
fn stacks_and_limits_are_right_in_kernel_6_12() {
    let checks = [stacks::checks(), limits::checks()];
    run_with("6.12", checks.into_iter().flatten().collect(), debuginfo::prepare);
}

#[test]
fn storms_leave_kernel_6_1_clean() {
    run("6.1", storms::checks());
}

#[test]
fn storms_leave_kernel_6_12_clean() {
    run("6.12", storms::checks());
}

/// Not part of `make test`: the kernel takes half an hour to build and is some 15 times slower.
#[cfg(feature = "debug-kernel")]
#[test]
fn the_module_keeps_its_word_in_a_kernel_that_checks_itself() {
    let leaks = Check::new(
        "nothing is left behind",
        "rmmod stpvm; for n in 1 2; do echo scan >/sys/kernel/debug/kmemleak; sleep 6; done\n\
         cat /sys/kernel/debug/kmemleak; insmod /stpvm.ko",
        |o| prints(o, ""),
    );
    // how soon an endless handler dies is a question of speed
    let timeless = device::checks().into_iter().filter(|c| !c.case.name.starts_with("endless"));
    run("debug", timeless.chain([leaks]).collect());
}

#[cfg(feature = "debug-kernel")]
#[test]
fn scripts_see_what_happens_in_a_kernel_that_checks_itself() {
    run("debug", scripts::checks());
}

#[cfg(feature = "debug-kernel")]
#[test]
fn sources_of_events_in_a_kernel_that_checks_itself() {
    // it has no userfaultfd, by which that one keeps callers waiting
    let there =
        sources::checks().into_iter().filter(|c| !c.case.name.starts_with("a session ends while callers"));
    run("debug", there.collect());
}

#[test]
fn a_panic_and_a_hang_are_told_and_do_not_last() {
    let series = Series::find("6.1").expect("series");
    let mut guest = Guest::new(series).bare();
    guest.case(Case::new("first", "echo before"));
    guest.case(Case::new("panic", "echo c >/proc/sysrq-trigger"));
    guest.case(Case::new("never", "echo after"));
    let report = guest.run().expect("guest");
    assert_eq!(report.ending, Ending::Crashed);
    assert!(report.console.contains("sysrq triggered crash"), "{}", report.console);
    assert_eq!((report.outcomes[0].status, report.outcomes[0].out()), (Some(0), "before\n".to_string()));
    assert_eq!((report.outcomes[1].status, report.outcomes[2].status), (None, None));

    let mut guest = Guest::new(series).bare();
    guest.machine.patience = std::time::Duration::from_secs(3);
    guest.case(Case::new("hang", "spin").limit(2));
    let report = guest.run().expect("guest");
    assert_eq!(report.ending, Ending::Hung);
    assert!(report.console.contains("NMI"), "the stacks are not on the console:\n{}", report.console);
}
