//! Loading, killing and unloading under load: the module must be idle within a
//! second, unload, and have left nothing in the kernel's log.

use super::{prints, Check};

/// Scripts to be killed in the middle, each with the load that keeps it busy.
const VICTIMS: [(&str, &str, &str); 7] = [
    ("hello", "hello.stp", "load_calls 0"),
    ("vfs.read", "vfs_read.stp", "load_files 0"),
    ("system calls", "syscalls.stp", "load_files 0"),
    ("packets", "netdev.stp", "load_tcp 1000000 1000"),
    ("off the processor", "offcpu.stp", "sleeper 100000 1 0"),
    ("returns everywhere", "returns_everywhere.stp", "load_files 0"),
    ("hot function", "hot.stp", "load_calls 0"),
];

pub fn checks() -> Vec<Check> {
    let mut checks: Vec<Check> = VICTIMS
        .iter()
        .map(|(name, script, load)| {
            let shell = format!(
                "{load} >/dev/null & load=$!\n\
                 for round in 1 2 3; do\n\
                 \tstap -x $load /scripts/{script} >out & victim=$!\n\
                 \tawait out armed\n\tusleep 100000\n\
                 \tkill -9 $victim; idle; reload; rm out\n\
                 done\n\
                 kill -0 $load && echo alive; kill -9 $load"
            );
            Check::new(&format!("kill -9 of {name}"), &shell, |o| prints(o, "alive\n")).limit(120)
        })
        .collect();
    checks.push(
        Check::new(
            "a hundred loads and unloads under load",
            "stap -p4 -m hot /scripts/brief.stp >name || exit 1\n\
             image=$PWD/$(basename $(cat name))\n\
             load_calls 0 >calls & load=$!\n\
             n=0; while [ $n -lt 100 ]; do\n\
             \tstaprun $image >out || fail \"round $n: $(cat out)\"\n\
             \tread -r word hits <out; [ \"$word\" = hits ] && [ $hits -gt 0 ] || fail \"round $n: $(cat out)\"\n\
             \treload; n=$((n + 1)); [ $((n % 10)) = 0 ] && echo round $n at $(cut -d. -f1 /proc/uptime) >&2\n\
             done; echo $n; kill $load",
            |o| prints(o, "100\n"),
        )
        .limit(900),
    );
    checks
}
