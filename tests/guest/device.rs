//! The module without stap: `vmtest` (tests/guest/programs/vmtest) makes requests by hand, sound
//! and damaged ones, and checks what the device does with them.

use super::{ok, Check};

/// Cases of `vmtest`, with their arguments, and the seconds that they may take.
const CASES: [(&str, u64); 23] = [
    ("order", 10),
    ("error", 10),
    ("wake", 10),
    ("refused", 20),
    ("count fentry", 20),
    ("count fentry plain", 20),
    ("count regs", 20),
    ("count kprobe", 20),
    ("count return", 20),
    ("count retargs", 20),
    ("count kretprobe", 20),
    ("count sysenter", 20),
    ("count sysexit", 20),
    ("count trace", 20),
    ("count timer", 20),
    ("count profile", 20),
    ("two fentry", 20),
    ("two sysenter", 20),
    ("room", 60),
    ("endless", 20),
    ("endless print", 20),
    ("storm 6 fentry kprobe return sysenter trace timer profile", 200),
    ("fuzz 400 7", 200),
];

pub fn checks() -> Vec<Check> {
    CASES
        .iter()
        .map(|(case, limit)| Check::new(case, &format!("vmtest {case} && idle"), ok).limit(*limit))
        .collect()
}
