//! What the limits of `-D` do where only a kernel shows it.

use super::{prints, Check};

const LOAD: &str = "rmmod stp_test 2>/dev/null; insmod /modules/stp_test.ko || fail insmod\n";

/// 20000 lines of 100 bytes to a reader that stands still until all is printed: some 2 MB of
/// records, and the ring has 512 KiB.
const CROWD: &str = "crowd() { stap -DMAXACTION_INTERRUPTIBLE=1000000 \"$@\" -e '\n\
    probe begin { for (i = 0; i < 20000; i++) println(sprintf(\"%0100d\", i)); exit() }' 2>err |\n\
    { sleep 3; awk 'END { print (NR == 20000 ? \"all\" : NR > 0 && NR < 20000 ? \"some\" : NR) }'; }\n\
    grep -c 'transport failures' err; }\n";

pub fn checks() -> Vec<Check> {
    vec![
        // stp_bottom is called with 8 KiB in use (3007) or hardly any (1001) of the thread's 16
        Check::new(
            "MINSTACKSPACE keeps handlers from a stack that is nearly full, MAXSKIPPED is how often",
            &format!(
                "{LOAD}for n in 3007 3007 3007 1001; do echo \"echo $n >/proc/stp_test\"; done >writes\n\
                 go() {{ stap \"$@\" -c 'sh writes' -e 'global n\n\
                 probe module(\"stp_test\").function(\"stp_bottom\").call {{ n++ }}\n\
                 probe end {{ println(\"ran \", n) }}' 2>err; echo status $?; grep -o 'skipped probes.*' err; cat err >&2; }}\n\
                 go; go -DMINSTACKSPACE=8192; go -DMINSTACKSPACE=8192 -DMAXSKIPPED=3; go -DMINSTACKSPACE=8192 -DMAXSKIPPED=2\n\
                 grep -c 'Skipped too many probes' err"
            ),
            |o| {
                prints(
                    o,
                    "ran 4\nstatus 0\nran 1\nstatus 0\nskipped probes: 3\nran 1\nstatus 0\nskipped probes: 3\n\
                     ran 0\nstatus 1\nskipped probes: 3\n1\n",
                )
            },
        ),
        Check::new(
            "STP_BUFFER_SIZE is the room for what can't wait, and with STP_INTERRUPTIBLE=0 nothing can",
            &format!(
                "{CROWD}crowd; crowd -DSTP_INTERRUPTIBLE=0; crowd -DSTP_INTERRUPTIBLE=0 -DSTP_BUFFER_SIZE=8\n\
                 cat err >&2"
            ),
            |o| prints(o, "all\n0\nsome\n1\nall\n0\n"),
        )
        .limit(60),
        // Both processors tick at the same time, and hold the lock for 3 ms.
        Check::new(
            "MAXTRYLOCK is how often a handler tries to have a lock",
            "go() { stap -g -t -DMAXSKIPPED=1000000 -DSTP_NO_OVERLOAD \"$@\" -e 'global n\n\
             probe timer.profile { n = n * 2 + 1; mdelay(3) }\n\
             probe timer.s(1) { exit() }' 2>err; grep -c 'skipped for a lock' err; cat err >&2; }\n\
             go -DMAXTRYLOCK=10 -DTRYLOCKDELAY=1; go -DMAXTRYLOCK=1000000 -DTRYLOCKDELAY=1",
            |o| prints(o, "1\n0\n"),
        ),
        // Each handler takes more than 1000 cycles; an interval of 1000000 holds some.
        Check::new(
            "STP_OVERLOAD_THRESHOLD of STP_OVERLOAD_INTERVAL is what handlers may use; STP_NO_OVERLOAD lifts it",
            "go() { stap -DMAXACTION=100000 \"$@\" -c 'load_calls 2' -e 'global n\n\
             probe kernel.function(\"__do_sys_getppid\") { for (i = 0; i < 100; i++) ; n++ }\n\
             probe end { printf(\"hits %d\\n\", n) }' >out 2>err; echo status $?\n\
             awk '$1 == \"hits\" { h = $2 } NF == 1 { c = $1 } END { print (h == c ? \"all\" : h < c ? \"some\" : \"?\") }' out\n\
             grep -c 'takes too much time: from here on it runs at one of 2 hits' err; grep -c 'ERROR' err; cat out err >&2; }\n\
             tight='-DSTP_OVERLOAD_INTERVAL=1000000 -DSTP_OVERLOAD_THRESHOLD=1000'\n\
             go $tight; go $tight -DSTP_NO_OVERLOAD; go -DSTP_OVERLOAD_INTERVAL=1000000 -DSTP_OVERLOAD_THRESHOLD=1000000000",
            |o| prints(o, "status 1\nsome\n1\n1\nstatus 0\nall\n0\n0\nstatus 0\nall\n0\n0\n"),
        )
        .limit(60),
    ]
}
