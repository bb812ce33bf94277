//! Odd points, as a user may write them: each does what it says, or is refused in words that say
//! why, before anything of the script has run.

use super::{prints, Check};

/// Points that are refused, each with the options that it needs and a part of what is said.
/// `CODE`, `INSIDE` and `DATA` are addresses: of a function, between two instructions' beginnings,
/// of a variable.
const REFUSED: [(&str, &str, &str); 30] = [
    ("", "kernel.function(\"vfs_read\").label(\"x\")", "BTF does not know the label"),
    ("", "kernel.statement(\"vfs_read@fs/read_write.c:450\").nearest", "needs the kernel's debuginfo"),
    ("-g", "kernel.statement(INSIDE).absolute", "for it is inside an instruction"),
    ("-g", "kernel.statement(DATA).absolute", "the first byte of an instruction of the kernel's code"),
    ("-g", "kernel.statement(0).absolute", "the first byte of an instruction of the kernel's code"),
    ("-g", "kprobe.statement(0).absolute", "the first byte of an instruction of the kernel's code"),
    ("", "kernel.function(INSIDE)", "for it is inside an instruction"),
    ("", "kernel.function(DATA)", "the first byte of an instruction of the kernel's code"),
    ("", "kernel.function(0)", "the first byte of an instruction of the kernel's code"),
    ("", "kernel.function(\"vfs_read\").return.maxactive(32768)", "maxactive value out of range [0,32767]"),
    ("", "kprobe.function(\"nosuch\")", "no match"),
    ("", "module(\"nosuch\").function(\"f\")", "module 'nosuch' is not loaded"),
    ("", "kernel.data(\"nosuch\").write", "no variable 'nosuch' in the kernel"),
    ("", "kernel.data(DATA).length(9).write", "watches 1 to 8 bytes, not 9"),
    ("", "kernel.data(DATA).length(0).write", "watches 1 to 8 bytes, not 0"),
    ("", "kernel.data(0).write", "no such variable"),
    ("", "timer.ms(0)", "interval value out of range"),
    ("", "timer.hz(0)", "frequency must be greater than 0"),
    ("", "perf.type(1).config(99)", "this machine has no such performance event"),
    ("", "perf.type(77).config(0)", "this machine has no such performance event"),
    ("", "perf.type(1).config(2).process", "neither is given"),
    ("", "perf.type(1).config(2).process(\"nosuch\")", "no program 'nosuch'"),
    ("", "perf.type(1).config(2).counter(\"c\")", "read by @perf in probes of programs"),
    ("", "kernel.trace(\"nosuch\")", "no match"),
    ("", "procfs(\"/a\").read", "cannot start with"),
    ("", "procfs(\"../a\").read", "cannot be relative"),
    ("", "procfs(\"a\").read, procfs(\"a\").read", "only one read procfs probe"),
    ("", "procfs(\"a\").read, procfs(\"a/b\").read", "a file is a directory in the path of another"),
    ("", "netfilter.hook(\"NF_INET_NOSUCH\").pf(\"NFPROTO_IPV4\")", "there are NF_INET_PRE_ROUTING"),
    (
        "",
        "netfilter.hook(\"NF_INET_LOCAL_IN\").pf(\"NFPROTO_IPV4\").priority(\"nosuch\")",
        "there are NF_IP_PRI_FIRST",
    ),
];

const ADDRESSES: &str = "code=$(awk '$3 == \"vfs_read\" { print \"0x\" $1; exit }' /proc/kallsyms)\n\
    data=$(awk '$3 == \"jiffies_64\" { print \"0x\" $1; exit }' /proc/kallsyms); inside=${code%?}3\n\
    filled() { echo \"$1\" | sed \"s/CODE/$code/; s/INSIDE/$inside/; s/DATA/$data/\"; }\n";

pub fn checks() -> Vec<Check> {
    let mut script = ADDRESSES.to_string()
        + "refused() { stap $1 -e \"probe $(filled \"$2\") { print(1) } probe begin { println(7); exit() }\" >out 2>err\n\
           [ $? = 1 ] && [ ! -s out ] && grep -qF \"$3\" err || { echo \"$2\"; cat out err; }; }\n";
    for (options, point, said) in REFUSED {
        let said = said.replace('\'', "'\\''");
        script += &format!("refused '{options}' '{point}' '{said}'\n");
    }
    vec![
        Check::new("odd points are refused before anything runs, and it is said why", &script, |o| prints(o, ""))
            .limit(200),
        Check::new(
            "points by address, by name and by odd numbers are hit",
            &(ADDRESSES.to_string()
                + "hit() { stap $1 -e \"global n probe $(filled \"$2\") { n++ } probe end { print(n > 0) }\" \\\n\
                   -c 'load_files 5 f >/dev/null'; }\n\
                   hit -g 'kernel.statement(CODE).absolute'; hit -g 'kprobe.statement(CODE).absolute'\n\
                   hit '' 'kernel.function(CODE)'; hit '' 'kernel.function(CODE).return'; hit '' 'kernel.statement(CODE)'\n\
                   hit '' 'kernel.statement(\"vfs_read\").nearest'; hit '' 'kprobe.function(\"vfs_read\").maxactive(0)'\n\
                   hit '' 'kernel.function(\"vfs_read\").return.maxactive(32767)'; hit '' 'kprobe.function(\"vfs_*\")'\n\
                   hit '' 'kernel.data(DATA).length(3).rw'; hit '' 'timer.profile, timer.profile.tick, timer.profile.freq.hz(100)'"),
            |o| prints(o, "11111111111"),
        )
        .limit(100),
    ]
}
