//! Sources of probe hits that are not code: files of procfs, standard input.

use super::{ok, prints, Check};

pub fn checks() -> Vec<Check> {
    vec![
        Check::new(
            "procfs files are read, written, and gone with the session",
            "stap -m pf -DMAXERRORS=5 /scripts/procfs.stp >out 2>err & await out armed\n\
             here=$PWD; cd /proc/systemtap/pf; stat -c '%n %a' bad command open sub/dir/file\n\
             tail -n 1 sub/dir/file; wc -c <sub/dir/file; cat command; wc -c <cut; cat open\n\
             cat bad 2>/dev/null; echo bad $?\n\
             stap -m pf -e 'probe procfs.read { $value = \"\" }' 2>&1 | grep -c 'belongs to another session'\n\
             stap -m pf2 -e 'probe procfs(\"a\").read { $value = \"\" } probe begin { exit() }'; echo other $?\n\
             dd if=/dev/zero bs=1000 count=1 2>/dev/null | tr '\\0' x | dd bs=1000 count=1 of=length 2>/dev/null\n\
             exec 5<sub/dir/file; echo once >sub/dir/file; echo stop >sub/dir/file; cd $here; wait\n\
             cat out; cat <&5 2>/dev/null; echo open $?; ls /proc/systemtap 2>/dev/null; echo left $?\n\
             grep ERROR err",
            |o| {
                prints(
                    o,
                    // 10 lines of 7 bytes, 90 of 8, 50 of 9; a string holds 511 bytes
                    "bad 400\ncommand 400\nopen 404\nsub/dir/file 600\n\
                     line 149\n1240\nread 2 times\n511\nfor all\nbad 1\n1\nother 0\n\
                     armed\nlength 511\nlength 489\nwritten [once\n]\nand again\nwritten [stop\n]\nopen 1\nleft 1\n\
                     ERROR: no near identifier 'error' at /scripts/procfs.stp:23:45 in probe procfs(\"bad\").read\n",
                )
            },
        ),
        Check::new(
            "STP_PROCFS_BUFSIZE is the buffer of readers that do not say their own",
            "stap -m pb -DSTP_PROCFS_BUFSIZE=100 -e '\n\
             probe procfs(\"a\").read, procfs(\"b\").read.maxsize(50) { for (i = 0; i < 20; i++) $value .= \"0123456789\" }\n\
             probe procfs(\"c\").read.maxsize(2000) { for (i = 0; i < 20; i++) $value .= \"0123456789\" }\n\
             probe begin { println(\"armed\") }' >out & await out armed\n\
             for f in a b c; do wc -c </proc/systemtap/pb/$f; done; kill -INT $!; wait $!",
            |o| prints(o, "99\n49\n200\n"),
        ),
        Check::new(
            "sessions end under readers and writers of their files",
            "(while :; do cat /proc/systemtap/*/command; echo x >/proc/systemtap/*/command; done) >/dev/null 2>&1 & busy=$!\n\
             for n in 1 2 3 4 5 6 7 8; do\n\
             stap -m s$n -e 'probe procfs.read { $value = \"a\\n\" } probe procfs.write { n = strlen($value) }\n\
             probe begin { println(\"armed\") }' >out$n & await out$n armed; sleep 0.2\n\
             kill -$((n % 2 ? 9 : 2)) $!; wait $!; done 2>/dev/null\n\
             kill $busy; wait $busy 2>/dev/null; idle; ls /proc/systemtap 2>/dev/null; echo left $?",
            |o| prints(o, "left 1\n"),
        )
        .limit(60),
        Check::new(
            "packets pass netfilter hooks with their addresses, ports and flags",
            "stap -c 'load_tcp 5 100' /scripts/netfilter.stp",
            |o| {
                // one connection: SYN there, SYN with ACK back
                let sum = "500\n";
                prints(o, &format!("{sum}syn 2 with ack 1 fin 1\nbytes of messages {sum}from 127.0.0.1 to 127.0.0.1\n\
                           in lo out <>\nearly 1 late 0 hook 1 verdict 1\n"))
            },
        ),
        Check::new(
            "a verdict of guru mode drops packets, and others pass",
            "stap -g -m nf -e 'global dropped probe netfilter.ipv4.local_in\n\
             { if (daddr == \"127.0.0.2\") { $verdict = nf_drop; dropped++ } }\n\
             probe begin { println(\"armed\") } probe end { println(\"dropped \", dropped) }' >out & await out armed\n\
             ping -c 2 -W 1 127.0.0.2 >/dev/null; echo two $?; ping -c 2 -W 5 127.0.0.3 >/dev/null; echo three $?\n\
             kill -INT $!; wait $!; ping -c 1 -W 5 127.0.0.2 >/dev/null; echo after $?; cat out",
            |o| prints(o, "two 1\nthree 0\nafter 0\narmed\ndropped 2\n"),
        )
        .limit(60),
        Check::new(
            "the stack at a netfilter hook begins with who calls it",
            "stap -c 'ping -c 1 127.0.0.2' -o out -e 'probe netfilter.ipv4.local_in \
             { println(symname(stack(0)), \" \", backtrace() != \"\") exit() }'; cat out",
            |o| prints(o, "nf_hook_slow 1\n"),
        ),
        Check::new(
            "sessions end under packets at their hooks",
            "(while :; do load_tcp 20 1000; done) >/dev/null 2>&1 & busy=$!\n\
             for n in 1 2 3 4 5 6; do\n\
             stap -e 'global n probe netfilter.ipv4.* { n++ } probe begin { println(\"armed\") }' >out$n & await out$n armed; sleep 0.2\n\
             kill -$((n % 2 ? 9 : 2)) $!; wait $!; done 2>/dev/null\n\
             kill $busy; wait $busy 2>/dev/null; idle; echo clean",
            |o| prints(o, "clean\n"),
        )
        .limit(60),
        Check::new(
            "standard input comes by bytes and by lines",
            "printf 'q\\nhello\\nquit\\nlost\\n' | stap -e '\n\
             probe input.char { chars .= char } probe end { printf(\"%d bytes\\n\", strlen(chars)) } global chars\n\
             probe input.line { printf(\"<%s>\", line) if (line == \"quit\\n\") exit() }'",
            // what was read of the input is handed on until the session ends
            |o| prints(o, "<q\n><hello\n><quit\n>13 bytes\n"),
        ),
        Check::new(
            "the end of the input does not end the run",
            "printf 'one\\ntwo' | stap -e 'probe input.line { printf(\"%s\", line) } probe timer.ms(300) { println(\"tick\"); exit() }'",
            |o| {
                ok(o)?;
                prints(o, "one\ntick\n")
            },
        ),
    ]
}
