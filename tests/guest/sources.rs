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
            "who reads into fresh memory gets all of a large value, also of a handler that ends the run",
            "stap -m big -DMAXSTRINGLEN=4200 -DMAXACTION=10000 -e 'probe procfs.read.maxsize(6000000) {\n\
             s = \"0123456789abcdef\"; for (i = 0; i < 8; i++) s = s . s\n\
             for (i = 0; i < 1300; i++) $value .= s\n\
             exit() } probe begin { println(\"armed\") }' >out & await out armed\n\
             dd if=/proc/systemtap/big/command bs=6M count=1 2>/dev/null | wc -c; wait $!",
            // 1300 strings of 16 << 8 bytes
            |o| prints(o, "5324800\n"),
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
            "a session ends while callers of its files wait for memory that nobody gives them",
            "for how in read write; do\n\
             stap -m un -e 'probe procfs.read { $value = \"a\\n\" } probe procfs.write { println(\"written\") }\n\
             probe begin { println(\"armed\") }' >out 2>&1 & stap=$!; await out armed\n\
             unanswered $how /proc/systemtap/un/command >told & caller=$!; await told began; usleep 300000\n\
             kill -0 $caller; echo $how waits $?; kill -INT $stap; finished $stap; finished $caller\n\
             cat out told; rm out told; done; idle; ls /proc/systemtap 2>/dev/null; echo left $?",
            |o| {
                let again = "armed\nbegan\nResource temporarily unavailable\n";
                prints(o, &format!("read waits 0\n{again}write waits 0\n{again}left 1\n"))
            },
        )
        .limit(60),
        Check::new(
            "memory that was not touched yet is read and written by a procfs file",
            "stap -m fr -DMAXACTION=100000 -e 'probe procfs(\"long\").read.maxsize(65536) { for (i = 0; i < 600; i++) $value .= sprintf(\"%099d\\n\", i) }\n\
             probe procfs(\"to\").write { println(strlen($value)); exit() } probe begin { println(\"armed\") }' >out & await out armed\n\
             dd if=/proc/systemtap/fr/long bs=60000 count=1 2>/dev/null | md5sum\n\
             for i in $(seq 0 599); do printf '%099d\\n' $i; done | md5sum\n\
             echo hello >/proc/systemtap/fr/to; wait; cat out",
            |o| {
                ok(o)?;
                let out = o.out();
                let lines: Vec<&str> = out.lines().collect();
                let [read, made, "armed", "6"] = lines[..] else {
                    return Err(format!("{lines:?}"));
                };
                if read == made { Ok(()) } else { Err("what was read is not what was said".into()) }
            },
        ),
        Check::new(
            "the buffers of a session's open files have an end",
            // four of 16 MiB and what belongs to them is more than 64 MiB
            "stap -m bu -e 'probe procfs.read.maxsize(16777216) { $value = \"a\\n\" } probe begin { println(\"armed\") }' >out & stap=$!\n\
             await out armed; f=/proc/systemtap/bu/command\n\
             n=0; for fd in 3 4 5 6; do (eval \"exec $fd<$f\"; echo open; sleep 3) & done >opened 2>told; usleep 900000\n\
             (cat $f) 2>&1 | grep -o 'Cannot allocate memory\\|Out of memory'; grep -c open opened; sleep 3\n\
             cat $f; kill -INT $stap; wait $stap; idle",
            |o| prints(o, "Cannot allocate memory\n4\na\n"),
        )
        .limit(60),
        Check::new(
            "all probes that write a file run, and an error of one is told",
            "stap -m al -DMAXERRORS=9 -e '\n\
             probe procfs(\"f\").write { println(\"first\"); if ($value == \"bad\\n\") error(\"no\"); if ($value == \"end\\n\") exit() }\n\
             probe procfs(\"f\").write { println(\"second\") } probe begin { println(\"armed\") }' >out 2>/dev/null & await out armed\n\
             for w in good bad end; do echo $w 2>/dev/null >/proc/systemtap/al/f; echo $w $?; done; wait; cat out",
            |o| prints(o, "good 0\nbad 1\nend 0\narmed\nfirst\nsecond\nfirst\nsecond\nfirst\n"),
        ),
        Check::new(
            "files of the library: what there is as JSON, and its values",
            "stap -m js /scripts/json.stp >out & await out armed\n\
             cd /proc/systemtap/js; cat metadata.json data.json; cat data.json >/dev/null; tail -c 66 data.json\n\
             cd /; kill -INT $!; wait $!\n\
             stap -m jp -e 'probe begin { json_set_prefix(\"own\") println(\"armed\") }' >out2 & await out2 armed\n\
             cat /proc/systemtap/jp/metadata.json; kill -INT $!; wait $!\n\
             stap -e 'function told(n) { try { if (n == 1) json_add_array_string_metric(\"no\", \"x\", \"\")\n\
             if (n == 2) json_add_array(\"a\", \"\")  if (n == 3) json_add_array_numeric_metric(\"a\", \"__id\", \"\", \"\")\n\
             if (n == 4) json_add_string_metric(\"\", \"\") } catch (e) { println(e) } return 0 }\n\
             probe begin { told(1) told(2) told(2) told(3) told(4) exit() } probe json_data { }'",
            |o| {
                let metadata = r#"{"prefix":"js","metrics":[{"name":"reads","pointer":"/reads","type":"integer","description":"Times \"data\" was read","units":"count"},{"name":"who","pointer":"/who","type":"string"},{"name":"disks","pointer":"/disks","type":"array","description":"By disk","index":"/__id","metrics":[{"name":"bytes","pointer":"/bytes","type":"integer","description":"Bytes\u0009read","units":"bytes"},{"name":"a/b~c","pointer":"/a~1b~0c","type":"string"}]},{"name":"none","pointer":"/none","type":"array","index":"/__id","metrics":[]}]}"#;
                let data = r#"{"reads":1,"who":"cat \"\u000a\u0001\\","disks":[{"__id":"sda","bytes":-5,"a/b~c":"x"},{"__id":"s\\d","bytes":1000}],"none":[]}"#;
                // the third reading
                let rest = r#","bytes":-5,"a/b~c":"x"},{"__id":"s\\d","bytes":3000}],"none":[]}"#;
                prints(
                    o,
                    &format!(
                        "{metadata}\n{data}\n{}\n{{\"prefix\":\"own\",\"metrics\":[]}}\n\
                         there is no JSON array 'no': add it with json_add_array\n\
                         there is a JSON metric 'a' already\nthe JSON array 'a' has a metric '__id' already\n\
                         a JSON metric needs a name\n",
                        rest
                    ),
                )
            },
        ),
        Check::new(
            "files of the library: arrays for prometheus, a line for each entry",
            "stap -m pr /scripts/prometheus.stp >out & await out armed\n\
             cd /proc/systemtap/pr; cat __prometheus >/dev/null; cat __prometheus; cd /; kill -INT $!; wait $!",
            |o| {
                prints(
                    o,
                    "by_name{name=\"a\"} 1\nby_name{name=\"b \\\"c\\\"\"} -2\n\
                     by_three{one=\"1\",two=\"x\",three=\"3\"} 7.5\nreads{of=\"file\"} 2\n",
                )
            },
        ),
        Check::new(
            "files of the library: switches and numbers of scripts that mend faults",
            "stap -m lp -DMAXERRORS=1 /scripts/livepatch.stp >out 2>err & await out armed; here=$PWD; cd /proc/systemtap/lp\n\
             cat would __prometheus; for n in notify fix trace enabled; do cat cve_${n}_p; done\n\
             echo 0 >cve_notify_p; cat would; echo -1 >disable; cat would; sleep 0.5; cat would\n\
             echo 1 >cve_enabled_p; cat would; echo 1 >disable; cat would; sleep 2; cat would\n\
             echo 0 >cve_fix_p; cat would; echo x >cve_fix_p; cat would; cd $here; kill -INT $!; wait $!; grep -c 'takes a number' err",
            |o| {
                prints(
                    o,
                    "1 1 1\ncve_metrics{metric=\"set\"} 7\ncve_metrics{metric=\"counted\"} 2\n1\n1\n0\n1\n\
                     1 1 0\n0 0 0\n0 0 0\n1 1 0\n0 0 0\n1 1 0\n1 0 0\n1 0 0\n1\n",
                )
            },
        ),
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
            "a verdict that would leak a packet, or free it twice, is an error and the packet passes",
            "for v in nf_stolen nf_repeat nf_stop 6 256 257 -1 0xffff0000 0x10000001 '(1 << 32)' 0x100003 0x7003; do\n\
             stap -g -e \"probe netfilter.ipv4.local_in { if (daddr != \\\"127.0.0.2\\\") next\n\
             try { \\$verdict = $v; println(\\\"taken $v\\\") } catch (e) { println(e, \\\" \\\", \\$verdict) } exit() }\" \\\n\
             -c 'ping -c 1 -W 2 127.0.0.2' 2>/dev/null | grep '^taken\\|^a packet can'; done; true",
            |o| {
                let bad = [2, 4, 5, 6, 256, 257, -1, 0xffff_0000_i64, 0x1000_0001, 1 << 32];
                let refused = "a packet can be dropped (0), accepted (1) or queued (3), not verdict";
                let mut want: String = bad.iter().map(|v| format!("{refused} {v} 1\n")).collect();
                want.push_str(&format!("taken 0x100003\n{refused} {} 1\n", 0x7003));
                prints(o, &want)
            },
        )
        .limit(90),
        Check::new(
            "the stack at a netfilter hook begins with who calls it",
            "stap -c 'ping -c 1 127.0.0.2' -o out -e 'probe netfilter.ipv4.local_in \
             { println(symname(stack(0)), \" \", backtrace() != \"\") exit() }' >/dev/null; cat out",
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
