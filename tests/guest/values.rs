//! Functions of the library that tell of files, connections, disks, signals and
//! stacks, each beside something that knows the same without it: known names and
//! bytes, /proc, what the program wrote.

use super::{ok, prints, Check};

pub fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "a file has the names that it was opened by",
            "mkdir -p /mnt/x; mount -t tmpfs mine /mnt/x; mkdir /mnt/x/dir; echo words >/mnt/x/dir/file\n\
             stap -c 'dd if=/mnt/x/dir/file of=/dev/null bs=77 count=1' /scripts/places.stp 2>/dev/null >out || exit\n\
             grep -v ^mount out; sed -n 's/^\\([0-9]*\\) .* - tmpfs mine .*/mount \\1/p' /proc/self/mountinfo >id\n\
             grep ^mount out | cmp - id && echo same mount; umount /mnt/x",
            |o| {
                prints(
                    o,
                    "file file dir/file dir/file\n\
                     /mnt/x/dir/file /mnt/x/dir/file /mnt/x/dir/file /mnt/x/dir/file\n\
                     mine x\nsame mount\n",
                )
            },
        ),
        Check::new("a connection is as /proc/net/tcp shows it", CONNECTION, |o| {
            prints(
                o,
                "out 127.0.0.1 127.0.0.2 7777 1 on lo\nin 127.0.0.1 127.0.0.2 7777\n\
                 from 127.0.0.1 to 127.0.0.2, segments of 1000\n\
                 made 1 from state 2, 1 7 8\nmade 1 from state 3, 1 7 8\nfailed in state 2 of 2 3, 1\nsame\n",
            )
        }),
        Check::new(
            "a partition has its name and number, a request the disk's",
            // a table of one partition of type Linux, 2048 sectors from sector 2048 on
            "modprobe null_blk memory_backed=1 || exit\n\
             printf '\\000\\000\\000\\000\\203\\000\\000\\000\\000\\010\\000\\000\\000\\010\\000\\000' | dd of=/dev/nullb0 bs=1 seek=446 conv=notrunc 2>/dev/null\n\
             printf '\\125\\252' | dd of=/dev/nullb0 bs=1 seek=510 conv=notrunc 2>/dev/null; sync; blockdev --rereadpt /dev/nullb0 || exit\n\
             stap -c 'dd if=/dev/zero of=/dev/nullb0p1 bs=4096 count=1 oflag=direct' /scripts/disk_names.stp 2>/dev/null >out; s=$?\n\
             sed \"s/^disk $(cat /sys/block/nullb0/dev)\\$/the disk/\" out; rmmod null_blk; exit $s",
            |o| prints(o, "nullb0p1 1 op 1, of nullb0, second nullb0p2\nthe disk\n"),
        )
        .may_log(&["null_blk", "nullb0"]),
        Check::new(
            "a signal's action is what the program asked for",
            "stap -DSTP_NO_OVERLOAD -c calls /scripts/actions.stp >out || exit; grep '^flags\\|^set' out",
            |o| prints(o, "flags 0x10000000 mask 0x800 handler 1\nset 0x4200 none 0\n"),
        ),
        Check::new("stacks, timers, the dead and the target set are told as they are", ODDS, |o| {
            prints(o, "timers 1 0 1 0\nstacks 1 1 1\nmodule null_blk\nnode 0 -1\nthe sleeper is gone\nthe shell begat it\n")
        })
        .may_log(&["null_blk"]),
        Check::new("how long a task ran is told as the machine counts it", TIMES, |o| prints(o, "near\n")),
        Check::new(
            "arguments are set by functions of every width",
            "echo 'for n in 21 22 23 24 25 26 27 28 29; do dd if=/dev/zero of=/tmp/sink bs=$n count=1 2>/dev/null; done' >run\n\
             stap -g -c 'sh run' /scripts/all_arguments.stp",
            |o| prints(o, "21:5 22:5 23:5 24:5 25:5 26:5 27:5 28:5 29:5 \n"),
        ),
        Check::new(
            "a run goes on in the next file when the script says so",
            "stap -o parts -S 1 -e 'probe begin { println(\"one\") switch_file() } probe timer.ms(300) { println(\"two\") exit() }'\n\
             for f in parts*; do echo $f $(cat $f); done",
            |o| {
                ok(o)?;
                let out = o.out();
                let parts: Vec<&str> = out.lines().map(|l| l.split_once(' ').map_or("", |(_, text)| text)).collect();
                (parts == ["one", "two"]).then_some(()).ok_or("not a part in each file".to_string())
            },
        ),
    ]
}

/// 1000 bytes go from 127.0.0.1 to a server at 127.0.0.2, none come back.
const CONNECTION: &str = r#"
ip link set lo up; (printf 'GET /'; head -c 995 /dev/zero | tr '\0' x) >thousand
opens() { sed -n 's/^Tcp: [0-9]* [0-9]* [0-9]* [-0-9]* \([0-9]*\) \([0-9]*\) .*/\1 \2/p' /proc/net/snmp; }
before=$(opens)
stap /scripts/connections.stp >out 2>err & st=$!; await out armed
# a server that waits for the end of a line
httpd -f -p 127.0.0.2:7777 & server=$!
await /proc/net/tcp ':1E61 00000000:0000 0A'
(cat thousand; sleep 20) | nc 127.0.0.2 7777 & client=$!
await /proc/net/tcp ':1E61 0100007F:.* 01 '
sleep 1
grep ':1E61.* 01 ' /proc/net/tcp >rows
nc 127.0.0.2 7778 </dev/null 2>/dev/null
kill $client $server; kill -INT $st; wait $st; cat err >&2
set -- $before $(opens); echo "opens $(($3 - $1)) $(($4 - $2))" >>rows.opens
# after the pointer: rto, ato, quick acks, cwnd, ssthresh
awk '{ print $2, $3, $4, $13, $16, $17 }' rows >theirs
cat rows.opens >>theirs
# waiting has read the rows as well
(grep '^[0-9A-F]\{8\}:' out | tail -2; grep '^opens' out) >ours
(grep '^in\|^out' out; grep '^from' out | tail -1) | sort -ur; grep '^made\|^failed' out
[ $(wc -l <theirs) = 3 ] && diff ours theirs >&2 && echo same
"#;

const ODDS: &str = r#"
modprobe null_blk || exit
cat >run <<'RUN'
echo $$ >shell
sleep 0.2 & echo $! >sleeper; wait
dd if=/dev/nullb0 of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null
sleep 1
RUN
stap -DSTP_NO_OVERLOAD -c 'sh run' /scripts/odds.stp >out; s=$?
grep '^timers\|^stacks\|^module\|^node' out
grep -q "^gone $(cat sleeper) 1$" out && echo the sleeper is gone
grep -A100 '^target set:' out | grep -q "^$(cat shell) begat $(cat sleeper)$" && echo the shell begat it
rmmod null_blk; exit $s
"#;

/// By ticks, as /proc/stat counts them for all: the rest of the machine has little to do.
/// (/proc/PID/stat scales them to the time that the scheduler measured.)
const TIMES: &str = r#"
cat >run <<'RUN'
ticks() { sed -n 's/^cpu  *\([0-9]*\) \([0-9]*\) \([0-9]*\) .*/\1 \2 \3/p' /proc/stat; }
set -- $(ticks)
n=0; while [ $n -lt 30000 ]; do n=$((n + 1)); done
set -- $* $(ticks); echo $(($4 + $5 + $6 - $1 - $2 - $3)) >ticks
RUN
stap -c 'sh run' -e 'probe syscall.exit_group { if (pid() == target()) println(task_time_string()) }' >out || exit
sed -n 's/^usr: \([0-9]*\)m\([0-9]*\)\.\([0-9]*\)s, sys: \([0-9]*\)m\([0-9]*\)\.\([0-9]*\)s$/\1 \2 1\3 \4 \5 1\6/p' out >parts
set -- $(cat parts); [ $# = 6 ] || exit 1
sum=$((($1 + $4) * 60000 + ($2 + $5) * 1000 + $3 + $6 - 2000)) all=$(($(cat ticks) * 10))
[ $sum -gt 200 ] && [ $((sum * 2)) -gt $all ] && [ $sum -lt $((all + 300)) ] && [ $(($1 * 60 + $2)) -ge $(($4 * 60 + $5)) ] && echo near || cat out ticks
"#;
