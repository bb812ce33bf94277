//! The module without stap: `vmtest` (tests/guest/programs/vmtest) makes requests by hand, sound
//! and damaged ones, and checks what the device does with them.

use super::{ok, Check};

/// Cases of `vmtest`, with their arguments, and the seconds that they may take.
const CASES: [(&str, u64); 25] = [
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
    ("many", 60),
    ("compat", 10),
    ("endless", 20),
    ("endless print", 20),
    ("storm 6 fentry kprobe return sysenter trace timer profile", 200),
    ("fuzz 400 7", 200),
];

/// Groups of the module, and what `vmtest caps` and `vmtest own` find their members can do.
const USERS: &str = "rmmod stpvm && insmod /stpvm.ko gid_stapdev=100 gid_stapsys=101 gid_stapusr=102 &&\n\
     vmtest caps 100 15 && vmtest caps 101 7 && vmtest caps 102 2 && vmtest caps 103 0 &&\n\
     vmtest own 102 && idle && reload";

/// The stacks that the NMIs log are not what is looked for.
const NMIS: &str = "dmesg -c >before; vmtest nmi && idle || exit 1\n\
     dmesg -c | grep -E 'BUG|WARNING|Oops|general protection' && fail 'in the log'\n\
     grep -E 'BUG|WARNING|Oops' before && fail 'before'; true";

pub fn checks() -> Vec<Check> {
    let mut checks: Vec<Check> = CASES
        .iter()
        .map(|(case, limit)| Check::new(case, &format!("vmtest {case} && idle"), ok).limit(*limit))
        .collect();
    checks.push(Check::new("nmi", NMIS, ok).limit(30));
    checks.push(Check::new("users without rights", USERS, ok).limit(60));
    checks
}
