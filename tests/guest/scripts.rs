//! What scripts see: counts, sizes and times that the load programs know as well.

use super::{numbers, ok, prints, Check};
use stp_tests::guest::Outcome;

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("hello", r#"stap -e 'probe begin { printf("hello\n"); exit() }'"#, |o| {
            prints(o, "hello\n")?;
            silent(o)
        }),
        Check::new(
            "types of pointers that a script keeps",
            r#"stap -e 'global kept
                function up(t) { return t->real_parent }
                probe begin {
                    foreach (v = k in kept) println("never")
                    t = task_current(); kept[1] = t
                    println(t->tgid == pid(), kept[1]->tgid == pid(), up(t)->tgid == ppid(), (1 ? up(t) : t)->tgid == ppid())
                    foreach (v = k in kept) println(kernel_string(v->comm) == execname())
                    exit()
                }'"#,
            |o| {
                prints(o, "1111\n1\n")?;
                silent(o)
            },
        ),
        Check::new(
            "vfs.read",
            "load_files 0 >/dev/null & \n\
             stap -e 'probe vfs.read { printf(\"read performed\\n\"); exit() }'; s=$?; kill $!; exit $s",
            |o| {
                ok(o)?;
                match o.out().lines().all(|l| l == "read performed") && !o.stdout.is_empty() {
                    true => Ok(()),
                    false => Err("not `read performed`".into()),
                }
            },
        ),
        Check::new(
            "system calls by name, three seconds of them",
            "stap -DSTP_NO_OVERLOAD /scripts/syscalls.stp >out & await out armed\n\
             load_files 200 f >/dev/null; echo calls $(load_calls 3); kill -INT $!; wait $!; cat out",
            |o| {
                let of = |key| numbers(o, key).and_then(|n| n.first().copied().ok_or("no number".to_string()));
                let (made, seen) = (of("calls")?, of("getppid")?);
                // One emulated processor may sleep with the lock that the other tries for: such
                // a handler is skipped, as with SystemTap, and counted. Nothing else may be missing.
                let missing = made - seen;
                if missing < 0 || missing > skipped(o) {
                    return Err(format!("{seen} calls of getppid seen, {made} made, {} skipped", skipped(o)));
                }
                for call in ["openat", "read", "write", "close"] {
                    equal(call, (of(call)? >= 200).into(), 1)?;
                }
                Ok(())
            },
        ),
        Check::new(
            "a tracepoint knows its name and its system",
            "stap -e 'probe kernel.trace(\"sched:sched_switch\") { printf(\"%s:%s\\n\", $$system, $$name); exit() }'",
            |o| prints(o, "sched:sched_switch\n"),
        ),
        Check::new(
            "a tracepoint of another system is not there",
            "stap -e 'probe kernel.trace(\"net:sched_switch\") { exit() }' 2>&1; echo status $?",
            |o| match o.out().contains("no match") && o.out().ends_with("status 1\n") {
                true => Ok(()),
                false => Err("it is not refused".into()),
            },
        ),
        Check::new(
            "histogram of the packets on the loopback device",
            "stap -c 'load_tcp 200 1000' /scripts/netdev.stp",
            |o| {
                ok(o)?;
                // 200 messages each way, and TCP's own; a packet of 1000 bytes payload is below 1100
                let n = numbers(o, "lo")?;
                let [count, sum, max] = n[..] else { return Err("want count, sum and maximum".into()) };
                let plausible = count >= 400 && sum >= 200 * 1000 && (1000..1100).contains(&max);
                let row = o.out().lines().filter(|l| l.trim_start().starts_with("1024 |")).any(|l| l.ends_with(" 200"));
                match plausible && row {
                    true => Ok(()),
                    false => Err("these are not the packets that were sent".into()),
                }
            },
        ),
        Check::new(
            "time off the processor of one process",
            "stap -o out -c 'sleeper 20 10 1' /scripts/offcpu.stp; s=$?; cat out; exit $s",
            |o| {
                ok(o)?;
                let out = o.out();
                let slept: i64 = out.lines().find_map(|l| l.parse().ok()).ok_or("sleeper said nothing")?;
                let n = numbers(o, "off")?;
                let [count, sum] = n[..] else { return Err("want count and sum".into()) };
                // it may be preempted besides; waking up is time off as well
                let near = sum > slept * 8 / 10 && sum < slept * 2 && (20..2000).contains(&count);
                if near { Ok(()) } else { Err(format!("it slept {slept} us, seen are {sum} us")) }
            },
        ),
        Check::new(
            "counter on a hot function on both processors loses nothing",
            "stap -DSTP_NO_OVERLOAD /scripts/hot.stp >out & await out armed\n\
             echo calls $(load_calls 2); kill -INT $!; wait $!; s=$?; cat out; exit $s",
            |o| {
                ok(o)?;
                same_count(o, "calls", "hits")
            },
        ),
        Check::new(
            "two scripts at the same place both see everything",
            "stap -DSTP_NO_OVERLOAD /scripts/hot.stp >a & first=$!; stap -DSTP_NO_OVERLOAD /scripts/hot.stp >b & second=$!\n\
             await a armed; await b armed\n\
             one=$(load_calls 1); kill -INT $first; finished $first\n\
             two=$(load_calls 1); kill -INT $second; finished $second\n\
             echo a $one; echo b $((one + two)); sed s/hits/seen-a/ a; sed s/hits/seen-b/ b",
            |o| {
                ok(o)?;
                same_count(o, "a", "seen-a")?;
                same_count(o, "b", "seen-b")
            },
        ),
        Check::new(
            "nothing that begin and end handlers print is lost, whatever their reader does",
            // more than a ring of 512 KiB holds, several times; the reader stands still for a second
            "stap -DMAXACTION_INTERRUPTIBLE=10000000 -e '\n\
             probe begin { for (i = 0; i < 50000; i++) printf(\"b %d\\n\", i) println(\"armed\") }\n\
             probe end { for (i = 0; i < 200000; i++) printf(\"e %d\\n\", i) }' >out & pid=$!\n\
             await out armed\n\
             kill -INT $pid; kill -STOP $pid; sleep 1; kill -CONT $pid; wait $pid; echo status $?\n\
             awk '$1 == \"b\" && $2 != b++ || $1 == \"e\" && $2 != e++ { print \"not in order:\", $0; exit }\n\
             END { print b, e }' out",
            |o| {
                prints(o, "status 0\n50000 200000\n")?;
                silent(o)
            },
        )
        .limit(120),
        Check::new(
            "exit status is that of the script, and Ctrl-C runs end probes",
            "stap -e 'probe begin { error(\"no\") }' 2>/dev/null; echo error $?\n\
             stap -e 'probe begin { println(\"armed\") } probe end { println(\"end\") }' >out & await out armed\n\
             kill -INT $!; wait $!; echo int $?; cat out",
            |o| prints(o, "error 1\nint 0\narmed\nend\n"),
        ),
        Check::new(
            "the module is loaded when it is needed",
            "load_files 0 >/dev/null & load=$!\n\
             rmmod stpvm && stap -e 'probe kernel.function(\"vfs_read\") { println(\"hit\"); exit() }' | head -1\n\
             kill $load; grep -c ^stpvm /proc/modules",
            |o| prints(o, "hit\n1\n"),
        ),
        Check::new(
            "without a module, what needs none runs in the process and the rest is told what is missing",
            "rmmod stpvm; mv /stpvm.ko /away\n\
             stap -e 'probe begin { println(\"here\"); exit() }'; echo $?\n\
             stap -e 'probe kernel.function(\"vfs_read\") { exit() }' 2>err; echo $?\n\
             grep ERROR err | grep -c module; cat err >&2; mv /away /stpvm.ko; insmod /stpvm.ko",
            |o| prints(o, "here\n0\n1\n1\n"),
        ),
        Check::new(
            "an unprivileged user is refused in one line",
            "cat >run <<'END'\nstap -e 'probe kernel.function(\"vfs_read\") { exit() }'\nEND\n\
             chmod 755 . run; su nobody -s /bin/sh -c 'sh run' 2>err; echo $?; grep -c ERROR err; cat err >&2; idle",
            |o| prints(o, "1\n1\n"),
        ),
        Check::new(
            "a damaged image is refused in one line and leaves nothing loaded",
            "stap -p4 -m img -e 'probe begin { println(1); exit() }' >name || exit 1\n\
             f=$(cat name); staprun $f || exit 2\n\
             size=$(stat -c %s $f); head -c $((size / 2)) $f >short.stpbc\n\
             staprun short.stpbc 2>err; echo $? $(wc -l <err)\n\
             { head -c $((size - 9)) $f; printf 'damage'; tail -c 3 $f; } >bad.stpbc\n\
             staprun bad.stpbc 2>err2; echo $? $(wc -l <err2); cat err err2 >&2; idle",
            |o| prints(o, "1\n1 1\n1 1\n"),
        ),
        Check::new(
            "an image that holds another kernel's types is refused",
            "vars='probe kernel.function(\"vfs_read\") { printf(\"some %d\\n\", $count > 0); exit() }'\n\
             names='probe kernel.function(\"vfs_read\") { println(\"hit\"); exit() }'\n\
             other() { STPVM_BTF=/sys/kernel/btf/vmlinux STPVM_KALLSYMS=/proc/kallsyms stap -r 6.0.0-other \"$@\"; }\n\
             stap -p4 -m own -e \"$vars\" && other -p4 -m vars -e \"$vars\" && other -p4 -m names -e \"$names\"\n\
             staprun own.stpbc -c 'load_files 9' | grep -m 1 some; staprun names.stpbc -c 'load_files 9' | grep -m 1 hit\n\
             staprun vars.stpbc 2>err; echo $? $(grep -c 'another kernel (6.0.0-other)' err); cat err >&2; idle",
            |o| prints(o, "own.stpbc\nvars.stpbc\nnames.stpbc\nsome 1\nhit\n1 1\n"),
        ),
        Check::new(
            "-t tells the shortest, the average and the longest run of a handler, and where it is",
            "stap -t -DSTP_NO_OVERLOAD -c 'load_calls 1' -e 'global n probe begin { println(\"b\") }\n\
             probe kernel.function(\"__do_sys_getppid\") { if (n++ & 1) for (i = 0; i < 400; i++) ; }' 2>err >out\n\
             sed -n 's/^kernel.*, (<input>:2:50), hits: [0-9]*, cycles: \\([0-9]*\\)min.\\([0-9]*\\)avg.\\([0-9]*\\)max, from.*/cycles \\1 \\2 \\3/p' err\n\
             sed -n 's/^begin, (<input>:1:24), hits: 1, cycles: \\([0-9]*\\)min.\\1avg.\\1max, from: begin, index: 0/once/p' err; cat err >&2",
            |o| {
                ok(o)?;
                let c = numbers(o, "cycles")?;
                if c[0] * 4 > c[2] || c[0] > c[1] || c[1] > c[2] || !o.out().contains("once\n") {
                    return Err("every other run is much longer than the rest".into());
                }
                Ok(())
            },
        ),
        Check::new(
            "timers fire as often as they say",
            "stap -e 'global n, m probe timer.ms(100) { n++ } probe timer.profile { m++ }\n\
             probe timer.s(2) { printf(\"ticks %d\\nprofile %d\\n\", n, m > 50); exit() }'",
            |o| {
                ok(o)?;
                let ticks = numbers(o, "ticks")?[0];
                equal("profile", numbers(o, "profile")?[0], 1)?;
                if (15..=20).contains(&ticks) { Ok(()) } else { Err(format!("{ticks} ticks of 100 ms in 2 s")) }
            },
        ),
        Check::new(
            "a variable of the kernel is watched by the processor",
            "v=$(cat /proc/sys/kernel/panic); for n in 1 2 3; do echo \"echo $v >/proc/sys/kernel/panic\"; done >writes\n\
             stap -c 'sh writes' -e 'global n probe kernel.data(\"panic_timeout\").write { n[execname()]++ }\n\
             probe end { foreach (e in n) printf(\"%s %d\\n\", e, n[e]) }'",
            |o| prints(o, "sh 3\n"),
        ),
        Check::new(
            "a fifth hardware breakpoint is refused by name",
            "w='probe kernel.data(\"panic_timeout\")'\n\
             stap -e \"$w.write {next} $w.rw {next} $w.write {next} $w.rw {next} $w.write {next}\"",
            |o| match String::from_utf8_lossy(&o.stderr).contains("all hardware breakpoints are in use") {
                true => equal("status", o.status.unwrap_or(-1).into(), 1),
                false => Err("it was not said that there are too many".into()),
            },
        ),
        Check::new(
            "performance events of the kernel are sampled",
            "stap -c 'sleeper 50 1 0' -e 'global n, t probe perf.sw.context_switches.sample(1) { n[execname()]++ }\n\
             probe perf.sw.cpu_clock.hz(200) { t++ }\n\
             probe end { printf(\"switches %d\\nticks %d\\n\", n[\"sleeper\"], t > 5) }'",
            |o| {
                let switches = numbers(o, "switches")?[0];
                equal("ticks", numbers(o, "ticks")?[0], 1)?;
                if (50..150).contains(&switches) { Ok(()) } else { Err(format!("{switches} switches")) }
            },
        ),
        Check::new(
            "events of one program and of the target are sampled in no other task",
            // the shell's children are not the target; they are called `sh` yet while they begin as sleepers
            "ln -s $(which sleeper) other; stap -DSTP_NO_OVERLOAD -c 'sh -c \"sleeper 50 1 0 >/dev/null & ./other 30 1 0 >/dev/null; wait\"' -e '\n\
             global by, at_target, all\n\
             probe perf.sw.context_switches.sample(1).process(\"./other\") {\n\
             \tif (pid() == target()) println(\"the shell\"); else by[execname()]++ }\n\
             probe perf.type(1).config(3).sample(1).process { at_target[pid() == target()]++ }\n\
             probe perf.type(1).config(3).sample(1) { all[pid() == target()]++ }\n\
             probe perf.type(1).config(0).hz(200).process(\"sh\") { if (pid() == 0) println(\"idle\") }\n\
             probe perf.type(1).config(2).process(\"sh\") { println(pn()) }\n\
             probe end {\n\
             \tprintf(\"switches %d %d\\n\", by[\"sleeper\"], by[\"other\"])\n\
             \tforeach (name in by) if (name != \"sleeper\" && name != \"other\" && name != \"sh\") println(name)\n\
             \tprintf(\"target %d %d\\n\", at_target[1] > 0 && all[1] - at_target[1] <= 2 && at_target[1] - all[1] <= 2, at_target[0])\n\
             \tprintf(\"others %d\\n\", all[0] > 80)\n\
             }'",
            |o| {
                let switches = numbers(o, "switches")?;
                if !(switches[0] >= 40 && switches[1] >= 25 && o.out().lines().count() == 3) {
                    return Err(format!("{switches:?} switches, or other programs"));
                }
                equal("target", numbers(o, "target")?[0], 1)?;
                equal("not the target", numbers(o, "target")?[1], 0)?;
                equal("others", numbers(o, "others")?[0], 1)
            },
        ),
        Check::new(
            "a system call's return knows what its entry saw",
            "stap -c 'load_files 50 f' -e 'global n, other probe syscall.close.return {\n\
             if (pid() != target()) next\n\
             if (@entry($fd) > 2 && @entry(gettimeofday_us()) <= gettimeofday_us()) n++; else other++ }\n\
             probe end { printf(\"closed %d\\nother %d\\n\", n, other) }'",
            |o| {
                equal("other", numbers(o, "other")?[0], 0)?;
                let closed = numbers(o, "closed")?[0];
                if closed >= 50 { Ok(()) } else { Err(format!("{closed} calls")) }
            },
        ),
        Check::new(
            "files that a process reads and writes, by name",
            "echo abcdef >one.txt; stap -c 'dd if=one.txt of=two.txt bs=2 count=3' /scripts/files.stp",
            |o| prints(o, "one.txt: 3 times, 6 bytes\ntwo.txt: 3 times, 6 bytes\n"),
        ),
        Check::new(
            "headers of received segments name the ports of their sockets",
            "stap -c 'load_tcp 100 100 >/dev/null' /scripts/ports.stp",
            |o| {
                equal("other", numbers(o, "other")?[0], 0)?;
                let same = numbers(o, "same")?[0];
                if same >= 100 { Ok(()) } else { Err(format!("{same} segments")) }
            },
        ),
        Check::new(
            "a known script: packets by device and process, each way",
            "stap -c 'load_tcp 200 1000 >/dev/null' /scripts/net_by_process.stp",
            |o| {
                ok(o)?;
                // what the loopback device sends it receives; 200 messages each way and more
                let (received, sent) = (numbers(o, "received")?[0], numbers(o, "sent")?[0]);
                if sent >= 400 && received >= sent { Ok(()) } else { Err(format!("{sent} sent, {received} received")) }
            },
        ),
        Check::new(
            "a known script: how long segments wait in the receive queue",
            "stap -c 'load_tcp 200 100 >/dev/null' /scripts/recv_queue.stp",
            |o| {
                ok(o)?;
                let (queued, waits) = (numbers(o, "queued")?[0], numbers(o, "waits")?[0]);
                if waits > 0 {
                    equal("plausible", numbers(o, "plausible")?[0], 1)?;
                }
                if queued >= 100 { Ok(()) } else { Err(format!("{queued} segments queued")) }
            },
        ),
        Check::new(
            "a known script: what the kernel has no more leads to what there is",
            "stap -p2 -e 'probe kernel.function(\"tcp_v4_conn_request\") {\n\
             println(@cast($sk, \"struct inet_connection_sock\")->icsk_accept_queue->listen_opt->qlen) }' 2>&1 |\
             grep -c 'listen_opt.*request_sock_queue.*alternatives:.*qlen'\n\
             stap -p2 -e 'global calls probe syscall.* { calls[name] <<< 1 }\n\
             probe timer.s(1) { foreach (n in calls) printf(\"%s = %d\\n\", n, calls[n]) }' 2>&1 | grep -c '@count, @sum'",
            |o| prints(o, "1\n1\n"),
        ),
        Check::new(
            "returns pair with entries",
            "stap -DSTP_NO_OVERLOAD /scripts/returns.stp >out & await out armed\n\
             echo calls $(load_calls 1); kill -INT $!; wait $!; cat out",
            |o| {
                ok(o)?;
                same_count(o, "calls", "entries")?;
                same_count(o, "calls", "returns")
            },
        ),
    ]
}

fn silent(o: &Outcome) -> Result<(), String> {
    if o.stderr.is_empty() {
        Ok(())
    } else {
        Err("stderr is not empty".into())
    }
}

fn equal(what: &str, got: i64, want: i64) -> Result<(), String> {
    if got == want {
        Ok(())
    } else {
        Err(format!("{what}: {got}, want {want}"))
    }
}

fn same_count(o: &Outcome, made: &str, seen: &str) -> Result<(), String> {
    let (made, seen) = (numbers(o, made)?, numbers(o, seen)?);
    match made == seen && made.first().is_some_and(|&n| n > 1000) {
        true => Ok(()),
        false => Err(format!("{made:?} were made, {seen:?} seen")),
    }
}

/// The skipped handlers that stap told of at the end of the run.
fn skipped(o: &Outcome) -> i64 {
    let err = String::from_utf8_lossy(&o.stderr).into_owned();
    let number = err
        .split("skipped probes: ")
        .nth(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    number.and_then(|n| n.parse().ok()).unwrap_or(0)
}
