//! Every limit that `-D` sets has a test that shows what it does. A new row of `limits.def` fails
//! here until it is given one.

use std::collections::BTreeSet;
use std::fs;
use stp_tests::guest::kernel::root;
use stp_vm::isa::LIMITS;

/// The limit, and the file of its test: one of the scripts beside this file (`.stp`), or a test
/// that sets it by this text.
const SHOWN: [(&str, &str, &str); 23] = [
    ("MAXACTION", "tests/language/limits/maxaction.stp", "-DMAXACTION=20"),
    (
        "MAXACTION_INTERRUPTIBLE",
        "tests/language/limits/maxaction_interruptible.stp",
        "-DMAXACTION_INTERRUPTIBLE=3000",
    ),
    ("MAXNESTING", "tests/language/limits/maxnesting.stp", "-DMAXNESTING=3"),
    ("MAXSTRINGLEN", "tests/language/limits/maxstringlen.stp", "-DMAXSTRINGLEN=16"),
    ("MAXBACKTRACE", "tests/guest/stacks.rs", "-DMAXBACKTRACE=$most"),
    ("MAXTRYLOCK", "tests/guest/limits.rs", "-DMAXTRYLOCK=10 -DTRYLOCKDELAY=1;"),
    ("TRYLOCKDELAY", "vm-kmod/tests/concurrency.rs", "limits.trylockdelay) = (5, 1000)"),
    ("MAXMAPENTRIES", "tests/language/limits/maxmapentries.stp", "-DMAXMAPENTRIES=3"),
    ("MAXERRORS", "tests/language/limits/maxerrors.stp", "-DMAXERRORS=2"),
    ("MAXSKIPPED", "tests/guest/limits.rs", "-DMAXSKIPPED=2"),
    ("MINSTACKSPACE", "tests/guest/limits.rs", "-DMINSTACKSPACE=8192"),
    ("STP_MAXMEMORY", "tests/language/limits/stp_maxmemory.stp", "-DSTP_MAXMEMORY=1000"),
    ("STP_OVERLOAD_INTERVAL", "tests/guest/limits.rs", "-DSTP_OVERLOAD_INTERVAL=1000000"),
    ("STP_OVERLOAD_THRESHOLD", "tests/guest/limits.rs", "-DSTP_OVERLOAD_THRESHOLD=1000"),
    ("STP_NO_OVERLOAD", "tests/guest/limits.rs", "-DSTP_NO_OVERLOAD"),
    ("STP_INTERRUPTIBLE", "tests/guest/limits.rs", "-DSTP_INTERRUPTIBLE=0"),
    ("STP_BUFFER_SIZE", "tests/guest/limits.rs", "-DSTP_BUFFER_SIZE=8"),
    ("HIST_WIDTH", "tests/language/limits/hist_width.stp", "-DHIST_WIDTH=10"),
    ("HIST_ELISION", "tests/language/limits/hist_elision.stp", "-DHIST_ELISION=-1"),
    ("STP_PROCFS_BUFSIZE", "tests/guest/sources.rs", "-DSTP_PROCFS_BUFSIZE=100"),
    ("SPECULATION_MAX", "tests/language/limits/speculation_max.stp", "-DSPECULATION_MAX=2"),
    ("SUPPRESS_TIME_LIMITS", "tests/language/limits/suppress_time_limits.stp", "--suppress-time-limits"),
    (
        "SUPPRESS_HANDLER_ERRORS",
        "tests/language/limits/suppress_handler_errors.stp",
        "--suppress-handler-errors",
    ),
];

#[test]
fn every_limit_has_a_test_that_shows_what_it_does() {
    let named: BTreeSet<&str> = SHOWN.iter().map(|(name, _, _)| *name).collect();
    let there: BTreeSet<&str> = LIMITS.iter().map(|l| l.name).collect();
    assert_eq!(named, there, "limits of limits.def without a test here, or tests of limits that are gone");
    for (name, file, set) in SHOWN {
        let text = fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{name}: {file}: {e}"));
        assert!(text.contains(set), "{name}: {file} does not set it by `{set}`");
    }
}
