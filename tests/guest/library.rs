//! Functions of the library beside what the kernel itself says of the same
//! things in /proc, and beside memory of known content.

use super::{numbers, ok, prints, Check};
use stp_tests::guest::Guest;

/// Modules of the kernel that the cases load: disks without hardware, NFS.
pub fn prepare(guest: &mut Guest) {
    for name in ["null_blk", "scsi_mod", "scsi_debug", "nfs", "nfsd", "nfsv3", "nfsv4"] {
        guest.kernel_module(name);
    }
}

pub fn checks() -> Vec<Check> {
    vec![
        Check::new("a process is as /proc shows it", TASK, |o| {
                prints(o, "same\n")?;
                o.stderr.is_empty().then_some(()).ok_or("stderr is not empty".to_string())
            }),
        Check::new("the list of symbols is kept, and mended when it is damaged", KEPT, |o| {
            prints(o, "vfs_read\nvfs_read\nkept\nvfs_read\nvfs_read\nmended\n")
        }),
        Check::new(
            "memory is read and written as it is",
            "stap -g -w -c words /scripts/memory.stp >out 2>&1 || { cat out; exit 1; }\n\
             grep -v '^piece\\|^name' out; grep '^piece\\|^name' out",
            |o| prints(o, MEMORY),
        ),
        Check::new(
            "the current process is the one that runs",
            "cat >cur.stp <<'END'\n\
             probe syscall.getppid { if (pid() == target() && execname() == \"call_cost\") {\n\
             printf(\"ids %d %d %d %d %d\\n\", pid(), tid(), ppid(), pgrp(), sid())\n\
             printf(\"ns %d %d %d %d %d %d %d %d %d\\n\", ns_pid(), ns_tid(), ns_ppid(), ns_pgrp(), ns_sid(), ns_uid(), ns_euid(), ns_gid(), ns_egid())\n\
             printf(\"uids %d %d %d %d\\n\", uid(), euid(), gid(), egid())\n\
             printf(\"names %s %s %s\\n\", execname(), pexecname() != \"\" ? \"parent\" : \"\", cmdline_str())\n\
             printf(\"args %s|%s|%s|%s\\n\", cmdline_arg(0), cmdline_arg(1), cmdline_args(1, -1, \"+\"), env_var(\"WHO\"))\n\
             printf(\"task %d %d %d %d\\n\", task_current() == pid2task(tid()), user_mode(), task_cpu(task_current()) == cpu(), uaddr() > 0)\n\
             printf(\"exe %s\\n\", fullpath_struct_file(task_current(), current_exe_file()))\n\
             printf(\"mem %d %d\\n\", proc_mem_size() == proc_mem_size(pid()), task_max_file_handles(task_current()) >= task_open_file_handles(task_current()))\n\
             exit() } }\nEND\n\
             cat >run <<'END'\nexport WHO=me\nexec call_cost 1 1 'two words'\nEND\n\
             stap -c 'sh run' cur.stp >out; s=$?; cat out; exit $s",
            |o| {
                ok(o)?;
                let ids = numbers(o, "ids")?;
                let ns = numbers(o, "ns")?;
                if ids[0] != ids[1] || ids[0] <= 1 || ids[2] <= 1 || ns[..5] != ids[..] || ns[5..] != [0; 4] {
                    return Err("these are not the numbers of the process".into());
                }
                let out = o.out();
                for line in
                    ["uids 0 0 0 0", "names call_cost parent call_cost 1 1 two words", "args call_cost|1|1+1+two words|me", "task 1 0 1 1", "exe /usr/bin/call_cost", "mem 1 1"]
                {
                    if !out.lines().any(|l| l == line) {
                        return Err(format!("no line `{line}`"));
                    }
                }
                Ok(())
            },
        ),
        Check::new(
            "system calls are shown with the arguments and results that strace shows",
            "stap -DSTP_NO_OVERLOAD -c calls /scripts/calls.stp >out || exit\n\
             sed -E 's/0x[0-9a-f]{6,}/ADDR/g; s/^((getppid|clone|wait4).*) = [0-9]+$/\\1 = PID/' out",
            |o| prints(o, include_str!("scripts/calls.expected")),
        ),
        Check::new(
            "system calls that only 32-bit tasks make are shown with their arguments",
            "stap -DSTP_NO_OVERLOAD -c narrow /scripts/narrow.stp >out || exit\n\
             sed -E 's/0x[0-9a-f]{6,}/ADDR/g' out",
            |o| prints(o, include_str!("scripts/narrow.expected")),
        ),
        Check::new(
            "what system calls give through memory is told at their return",
            "stap -DSTP_NO_OVERLOAD -c returned /scripts/returned.stp >out || exit\n\
             sed \"s/ $(cat fs)\\$/ FS/\" out",
            |o| prints(o, include_str!("scripts/returned.expected")),
        ),
        Check::new(
            "parameters of a call are what a handler of nd_syscall makes of them, with -g",
            "for how in -g -w; do\n\
             stap $how -DSTP_NO_OVERLOAD -c \"sh -c 'exec changed_calls >made'\" /scripts/changed_calls.stp >out || exit\n\
             cat made out; rm -rf /tmp/first /tmp/other; done",
            |o| {
                let changed = "wrote 5, seek to 4, wrote 78\nmade 0 /tmp/other 0 700, mask 0\nhost 0 xyzd\nseen\n";
                let left = "wrote 77, seek to 33, wrote 78\nmade 0 /tmp/first -1 0, mask 111\nhost 0 abcd\n";
                prints(o, &format!("{changed}{left}"))
            },
        ),
        Check::new(
            "a disk's requests say where and how much",
            // block 8 of 4096 bytes is sector 64 of 512, block 16 is sector 128; what is done has nothing left
            "modprobe null_blk || exit\n\
             cat >io <<'END'\n\
             dd if=/dev/nullb0 of=/dev/null bs=4096 count=1 skip=8 iflag=direct 2>/dev/null\n\
             dd if=/dev/zero of=/dev/nullb0 bs=4096 count=1 seek=16 conv=fsync 2>/dev/null\nEND\n\
             stap -c 'sh io' /scripts/disk.stp; s=$?; rmmod null_blk; exit $s",
            |o| prints(o, "request R rw=0 sector=64 size=4096 vcnt=1\nend R rw=0 sector=64 size=0 vcnt=1\n\
                           request W rw=1 sector=128 size=4096 vcnt=1\nend W rw=1 sector=128 size=0 vcnt=1\n"),
        )
        .may_log(&["null_blk"]),
        Check::new(
            "commands of a SCSI disk are seen from the queue to the driver and back",
            "stap -e 'probe scsi.iocompleted { exit() }' 2>err && exit 9; grep -c 'scsi_mod.* is not loaded' err\n\
             [ -e /sys/module/nfs ] && rmmod nfsv4 nfsv3 nfs; stap -p2 -e 'probe begin { println(NFS_I(1)) }' 2>err && exit 8; grep -c 'modprobe nfs. first' err\n\
             modprobe scsi_mod || exit\n\
             stap -c 'modprobe scsi_debug delay=0' /scripts/scsi.stp",
            |o| prints(o, "1\n1\ndispatched 1 done 1 completed 1 executed 1 wrong 0\n"),
        )
        .may_log(&["scsi", "SCSI", "dev_size_mb=", "Key type"])
        .limit(120),
        Check::new(
            "a call of a client of NFS is seen by client, task and service",
            "modprobe nfsd && modprobe nfsv4 || exit; ip link set lo up; mkdir -p /mnt; mount -t nfsd none /proc/fs/nfsd\n\
             stap -DSTP_NO_OVERLOAD /scripts/sunrpc.stp >out & st=$!; await out armed\n\
             echo '-3 +4' >/proc/fs/nfsd/versions; echo 1 >/proc/fs/nfsd/threads\n\
             mount -t nfs4 -o addr=127.0.0.1,clientaddr=127.0.0.1,soft,timeo=10,retrans=1 127.0.0.1:/ /mnt 2>/dev/null & m=$!\n\
             await out answers; sleep 0.5; kill -9 $m; echo 0 >/proc/fs/nfsd/threads\n\
             await out destroyed; kill -INT $st; wait $st; cat out",
            |o| {
                // program, version and procedure of RFC 7530, protocol 6 is TCP
                prints(
                    o,
                    "armed\nregisters nfsd 100003\nclient 100003 4 prot 6 port 2049\n\
                     nfsd answers 100003 4 0 to 127.0.0.1 prot 6\ndestroyed with 0 threads\n\
                     sent 1 same 1 no port mapper 1\n",
                )
            },
        )
        .may_log(&["NFS", "nfsd", "RPC", "FS-Cache", "Key type"])
        .limit(120),
        Check::new("files of NFS are seen by the client and by the server", NFS, |o| {
            prints(o, include_str!("scripts/nfs.expected"))
        })
        .may_log(&["NFS", "nfsd", "RPC", "FS-Cache", "Key type"])
        .limit(120),
        Check::new(
            "arguments of a function can be changed with -g",
            "cat >short.stp <<'END'\n\
             global calls\n\
             probe kernel.function(\"vfs_write\") { if (pid() == target() && int_arg(3) == 12) { calls++; set_long_arg(3, 5) } }\n\
             probe end { println(\"calls \", calls) }\nEND\n\
             stap -g -c families short.stp 2>err; echo $?; grep -c 'write: Success' err",
            |o| prints(o, "calls 1\n1\n1\n"),
        ),
        Check::new(
            "commands, the kernel's log, its trace buffer and signals are reached",
            "mount -t tracefs none /sys/kernel/tracing 2>/dev/null\n\
             stap -g -e 'probe begin { system(\"echo from a shell >said\"); printk(6, \"stpvm says so\"); ftrace(\"into the trace\"); exit() }'\n\
             await said 'from a shell'; cat said; dmesg | grep -c 'stpvm says so'; grep -c 'into the trace' /sys/kernel/tracing/trace\n\
             stap -g -e 'probe syscall.getppid { if (execname() == \"call_cost\") { raise(12); exit() } }' -c 'call_cost 1 1'; echo $?",
            |o| prints(o, "from a shell\n1\n1\n1\n"),
        ),
    ]
}

/// Without a cache, with an empty, a full and a cut one.
const KEPT: &str = r#"
load_files 0 >/dev/null & load=$!
hit() { stap "$@" -e 'probe kernel.function("vfs_read") { println(symname(addr())); exit() }' 2>&1 | head -1; }
export XDG_CACHE_HOME=/tmp/kept; mkdir -m 700 $XDG_CACHE_HOME; f=$XDG_CACHE_HOME/stpvm/kallsyms.stpvm
hit --disable-cache; [ -e $f ] && echo 'kept too early'
hit; size=$(stat -c %s $f); [ $size -gt 1000000 ] && echo kept
hit; head -c 100000 $f >cut; cat cut >$f
hit; [ $(stat -c %s $f) = $size ] && echo mended
kill $load
"#;

/// An export without exportfs: what mountd would answer is written into the kernel's caches.
/// 9236 is no_subtree_check, async, insecure, fsid=0, which is the root of version 4.
const NFS: &str = r#"
modprobe nfsd && modprobe nfsv4 || exit
ip link set lo up; mkdir -p /mnt /srv; mount -t nfsd none /proc/fs/nfsd; mount -t tmpfs none /srv; echo hello >/srv/file
for_ever=2147483647
echo "nfsd 127.0.0.1 $for_ever me" >/proc/net/rpc/auth.unix.ip/channel
echo "me /srv $for_ever 9236 65534 65534 0" >/proc/net/rpc/nfsd.export/channel
echo "me 1 \x00000000 $for_ever /srv" >/proc/net/rpc/nfsd.fh/channel
echo '-3 +4' >/proc/fs/nfsd/versions; echo 10 >/proc/fs/nfsd/nfsv4gracetime; echo 2 >/proc/fs/nfsd/threads
mount -t nfs4 -o addr=127.0.0.1,clientaddr=127.0.0.1,soft,timeo=50,retrans=1 127.0.0.1:/ /mnt || exit
stap -DSTP_NO_OVERLOAD /scripts/nfs.stp >out 2>err & st=$!; await out armed
dd if=/mnt/file of=/dev/null bs=100 count=1 2>/dev/null; cat /proc/net/rpc/nfsd >/dev/null; echo 'more!' >/mnt/new
mv /mnt/new /mnt/newer; rm /mnt/newer; (umask 027; mkdir /mnt/d); rmdir /mnt/d; ls /mnt >/dev/null
kill -INT $st; wait $st; cat out; cat err >&2
umount /mnt; echo 0 >/proc/fs/nfsd/threads; umount -l /srv
"#;

/// Both say it in the same words, line by line.
const TASK: &str = r#"
ulimit -S -n 777; ulimit -S -c 5; ulimit -S -f 100000; ulimit -S -s 4096; ulimit -S -l 77
cd /usr; sleep 1000 9</lib.sh & p=$!
until [ "$(cat /proc/$p/comm)" = sleep ] && grep -q '^State:.S' /proc/$p/status; do usleep 50000; done
stap /scripts/task.stp $p >/tmp/ours 2>/tmp/err || { cat /tmp/err >&2; exit 1; }
{
	set -- $(cat /proc/$p/stat)
	echo name sleep sleep
	echo ids $1 $1 $4
	echo ns_ids $1 $1
	echo uids 0 0 0 0
	echo gids 0 0 0 0
	echo prio ${18} ${19}
	echo state 1
	echo start ${22}
	set -- $(cat /proc/$p/statm)
	echo memory $1 $4 $6
	resident="$2 $3"
	echo memory_pid 1111111
	echo files $(ls /proc/$p/fd | wc -l)
	echo fd9 $(readlink /proc/$p/fd/9) 0
	echo cwd $(readlink /proc/$p/cwd)
	limit() { sed -n "s/^Max $1  *\([0-9]*\|unlimited\) .*/\1/p" /proc/$p/limits; }
	echo limits $(limit 'open files') $(limit 'open files') $(limit 'core file size') $(limit 'file size') \
		$(limit 'locked memory') $(limit 'stack size') $(limit processes) $(limit 'pending signals') \
		$(limit 'msgqueue size') $(limit 'nice priority') $(limit 'realtime priority')
	echo unlimited -1 -1 -1 -1 -1 -1 -1
	echo time 11111
	echo blocked 00
	echo ancestry 1 1
	echo nobody 000 '[]' 000
} >/tmp/theirs
# a processor may hold back some pages before it adds them to the count that scripts can read
near() { d=$(($1 - $2)); [ ${d#-} -le 64 ] || echo "$1 and $2 are not near" >&2; }
set -- $(sed -n 's/^resident //p' /tmp/ours) $resident
near $1 $3; near $2 $4
# the load may change in between; its form does not
grep -c '^load [0-9]*\.[0-9][0-9] [0-9]*\.[0-9][0-9] [0-9]*\.[0-9][0-9]$' /tmp/ours >/tmp/load
grep -v '^load\|^resident' /tmp/ours >/tmp/ours.all
kill $p
diff /tmp/ours.all /tmp/theirs >&2 && [ $(cat /tmp/load) = 1 ] && echo same
"#;

/// What `words` holds, read through each function.
const MEMORY: &str = "\
signed -2 -2 -2 -2 -2 -2 -2 -2
unsigned 65534 -2 254 65534 4294967294 -2 72623859790382856
signed_error -2 -2 -2 -2 -2 -2 -2 -2
unsigned_error 65534 -2 254 65534 4294967294 -2
warn -2 -2 -2 -2 65534 -2
nothing 00000000000000
nothing_warn 000000
errors 12
buffer \"\\b\\a\\006\\005\\004\\003\\002\\001\" \"\\b\\a\\006\" 0x10
text \"tab\\tquote\\\"end\" 1 1 1 1 1 1
text_n tab tab tab tab tab tab tab \"tab\"... \"tab\"... \"tab\"...
text_none none none none none 0x10 none none
either \"tab\\tquote\\\"end\"
utf16 h\u{e4}\u{df}\u{20ac}\u{1f600} none none \"h\\u00E4\\u00DF\\u20AC\\U0001F600\" \"h\\u00E4\\u00DF\\u20AC\\U0001F600\"
utf32 h\u{e4}\u{df}\u{20ac}\u{1f600} none none \"h\\u00E4\\u00DF\\u20AC\\U0001F600\" \"h\\u00E4\\u00DF\\u20AC\\U0001F600\"
kernel 107 25963 1852990827 1 1 1 1
kernel_text kernel words|kernel words|kernel words|kernel|\"kernel words\"|\"kernel words\"|\"kernel\"|\"kernel\"|\"ker\"|none|0x10
kernel_utf32 h\u{e4} none none \"h\\u00E4\" \"h\\u00E4\"
kernel_utf16 \u{20ac}h none none \"\\u20ACh\" \"\\u20ACh\"
piece A.BC.DEFG.HIJKLMNO.PQRSTUVW.XY.end
name aBcdefGHI
";
