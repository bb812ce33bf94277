//! A module whose values are known (`modules/stp_test`), seen once through the
//! kernel's BTF and once through debuginfo. What both can tell must be the same.

use super::{ok, prints, Check};
use std::path::Path;
use stp_tests::guest::{kernel::Kernel, module, Guest, Outcome};

const SOURCE: &str = include_str!("modules/stp_test/stp_test.c");

/// The modules, and what gives one its BTF: Debian's headers have no types of the kernel, the guest has.
pub fn prepare(guest: &mut Guest) {
    let kernel = Kernel::get(guest.series).expect("kernel");
    for form in module::DEBUG_FORMS {
        for file in module::test_modules(&kernel, form).expect("modules") {
            let name = file.file_name().expect("name").to_string_lossy().into_owned();
            guest.file(&file, &format!("/modules{}/{name}", form.0));
        }
    }
    for tool in ["pahole", "objcopy"] {
        guest.program(&Path::new("/usr/bin").join(tool), &format!("/usr/bin/{tool}"));
    }
}

/// The line (from 1) that holds the text.
pub fn line(text: &str) -> usize {
    SOURCE.lines().position(|l| l.contains(text)).expect("in the source") + 1
}

/// `f@stp_test.c:LINE`
pub fn at(function: &str, text: &str) -> String {
    format!("'{function}@stp_test.c:{}'", line(text))
}

const LOAD: &str = "trap 'cat err >&2 2>/dev/null' EXIT; rmmod stp_test 2>/dev/null\n\
    objcopy --remove-section .BTF /modules/stp_test.ko m.ko || fail objcopy\n\
    pahole --btf_encode_detached=types --btf_base=/sys/kernel/btf/vmlinux m.ko || fail pahole\n\
    objcopy --add-section .BTF=types m.ko with.ko || fail objcopy\n\
    insmod with.ko || fail insmod\n\
    [ -e /sys/kernel/btf/stp_test ] || fail 'no BTF of the module'\n";

/// From the source of the module, for the number 50.
const KNOWN: &str = "armed\n\
    parameters -50 200 100 9\n\
    numbers 123456789012345 -77 -81985529216486896\n\
    union 67305985 3\n\
    bits 11 2 77 6\n\
    next bits -3 5 300 -9\n\
    row 30 2 20\n\
    enum 7 -2 bool 0 1\n\
    text first text of the second\n\
    addresses 20 52\n\
    cast -77 300\n\
    header 1\n\
    defined 1 0 0\n";

/// The same, and the first element of arrays that are no text.
const MEMORY: &str = "armed\n\
    integers -5 -5 -5 -77\n\
    pointer 1 1\n\
    text first|sec|text of the second|\"text of the second\"|none\n\
    buffer \"second\\000\\000\" \"\\001\\002\\003\\004\"\n\
    bytes 01020304|second|      0102|\n\
    utf \u{20ac}h \u{e4}x\n\
    parms 1\n\
    count -50 small '\\310'\n\
    pair {.first=100, .second=9}\n\
    nested {.a=11, .low=2, .mid=77, .sign=6}\n\
    row [10, ...]\n\
    deep row [10, ...]\n";

/// From the source of the module, for the numbers 50, 1003 (four calls of stp_deep; the statement begins
/// behind the inner call, which the innermost of them has not) and 2001.
const ENTERED: &str = "armed\n\
    leaf -50 200 sum 336\n\
    parms rec=1 count=-50 small='\\310' pair=?\n\
    write \"50\\n\" 3\n\
    deep 1 1\n\
    deep 2 2\n\
    deep 3 3\n\
    slow 1\n";

/// Memory at 8 is nobody's.
const BAD: &str = "armed\n\
    ERROR\n\
    ERROR\n\
    ERROR\n\
    rec=ERROR count=-50 small='\\310' pair={.first=100, .second=9}\n\
    {.a=11, .low=2, .mid=77, .sign=6}\n\
    caught\n\
    goes on\n";

/// Of the two numbers of a line the second is read through good pointers (`stp_first`, and `stp_second` behind it).
const SKIPPED: &str = "armed\n\
    0 and 123456789012345\n\
    0\n\
    0 1\n\
    0 6\n\
    {.a=0, .low=0, .mid=0, .sign=0}\n\
    0\n\
    caught, still 5\n\
    caught\n\
    goes on with 0\n\
    kept 0\n";

/// One script by BTF and by debuginfo: the same output, once.
fn both(options: &str, script: &str) -> String {
    format!(
        "{LOAD}for dir in /none /modules; do\n\
         export SYSTEMTAP_DEBUGINFO_PATH=$dir\n\
         stap -w {options} /scripts/{script}.stp >out.${{dir#/}} 2>err & await out.${{dir#/}} armed\n\
         echo 50 >/proc/stp_test; wait $!; s=$?; cat err >&2; [ $s = 0 ] || exit $s\n\
         done; rmmod stp_test\n\
         cat out.none; cmp out.none out.modules"
    )
}

/// The values of `known_values.stp`.
fn known(o: &Outcome) -> Result<(), String> {
    ok(o)?;
    let out = o.out();
    let rest = out.strip_prefix(KNOWN).ok_or("the first lines are not the known values")?;
    let wanted = [
        "parms rec=0x",
        "shallow {.number=123456789012345, .name=[...], <union>={...}, .nested={...}, \
         .text=\"text of the first\", .next=0x",
        "deep {.number=123456789012345, .name=\"first\", <union>={.as_int=67305985, .bytes=",
        "returned 336 return=0x150",
        "captured 42 100",
        "at entry -50 300 9",
        "many 1 6 7 -8",
        "many returned 20",
        "run returned 1633",
    ];
    match wanted.iter().find(|w| !rest.lines().any(|l| l.starts_with(*w))) {
        None => Ok(()),
        Some(w) => Err(format!("no line `{w}…`")),
    }
}

/// Loads the module of the other form of debuginfo.
fn load_dwarf4() -> String {
    LOAD.replace("/modules/", "/modulesdwarf4/")
}

/// Parameters that only the entry of their function knows, in a form of debuginfo. A call that was
/// under way before the probes were armed is passed over.
fn entered(load: &str, path: &str) -> String {
    format!(
        "{load}export SYSTEMTAP_DEBUGINFO_PATH={path}\n\
         echo 7000 >/proc/stp_test & slow=$!; usleep 300000\n\
         stap /scripts/entered.stp {} {} {} {} >out 2>err & stap=$!; await out armed\n\
         echo 50 >/proc/stp_test; echo 1003 >/proc/stp_test; wait $slow; echo 2001 >/proc/stp_test\n\
         wait $stap; s=$?; cat err >&2; rmmod stp_test; cat out; exit $s",
        at("stp_leaf", "sum is known here"),
        at("stp_deep", "the calls above are no jumps"),
        at("stp_write", "stp_run(n));"),
        at("stp_slow", "ms is known from the entry only"),
    )
}

pub fn checks() -> Vec<Check> {
    let inside = format!(
        "{} {} {} {} {}",
        at("stp_leaf", "sum is known here"),
        at("stp_run", "within is known here"),
        at("stp_run", "in_memory is known here"),
        at("stp_run", "int product = factor"),
        at("stp_*", "int product = factor")
    );
    vec![
        Check::new(
            "values of a module by BTF and by debuginfo",
            &format!(
                "{LOAD}for dir in /none /modules; do\n\
                 export SYSTEMTAP_DEBUGINFO_PATH=$dir\n\
                 stap -w /scripts/known_values.stp >out.${{dir#/}} 2>err & await out.${{dir#/}} armed\n\
                 echo 50 >/proc/stp_test; wait $!; s=$?; cat err >&2; [ $s = 0 ] || exit $s\n\
                 done; rmmod stp_test\n\
                 cmp out.none out.modules && cat out.none"
            ),
            known,
        ),
        Check::new(
            "values of a module by DWARF 4 with each type in a section of its own",
            &format!(
                "{}export SYSTEMTAP_DEBUGINFO_PATH=/modulesdwarf4\n\
                 stap -w /scripts/known_values.stp >out 2>err & await out armed\n\
                 echo 50 >/proc/stp_test; wait $!; s=$?; cat err >&2; rmmod stp_test; cat out; exit $s",
                load_dwarf4()
            ),
            known,
        ),
        Check::new(
            "parameters inside of a function that only its entry knows",
            &entered(LOAD, "/modules"),
            |o| prints(o, ENTERED),
        ),
        Check::new(
            "parameters inside of a function that only its entry knows, by DWARF 4",
            &entered(&load_dwarf4(), "/modulesdwarf4"),
            |o| prints(o, ENTERED),
        ),
        Check::new(
            "a structure at a bad address prints as ERROR, a member of it ends the handler",
            &both("-g", "bad_addresses"),
            |o| prints(o, BAD),
        ),
        Check::new(
            "what can't be read is 0 with --skip-badvars",
            &both("-g --skip-badvars", "skipped_addresses"),
            |o| prints(o, SKIPPED),
        ),
        Check::new(
            "registers that hold no arguments, at entries, statements and returns",
            &format!(
                "{LOAD}export SYSTEMTAP_DEBUGINFO_PATH=/modules\n\
                 stap -g -w /scripts/registers.stp >out 2>err & await out armed\n\
                 echo 2000 >/proc/stp_test; wait $!; s=$?; cat err >&2; rmmod stp_test\n\
                 sed -n 's/.*\\(RBX: [0-9a-f]*\\).*/5 \\1/p; /^[1-4] /p; /^armed/p' out | sort; exit $s"
            ),
            |o| {
                let all = "1003 1010 1011 1012 1013 1014 1015";
                let kept = "1003 1012 1013 1014 1015";
                prints(o, &format!("1 {all}\n2 {all}\n3 {kept}\n4 1003 1015\n5 RBX: 00000000000003eb\narmed\n"))
            },
        ),
        Check::new(
            "arguments by number, results and registers without debuginfo",
            &format!(
                "{LOAD}export SYSTEMTAP_DEBUGINFO_PATH=/none\n\
                 stap -w /scripts/arguments.stp >out 2>err & await out armed\n\
                 echo 50 >/proc/stp_test; wait $!; s=$?; cat err >&2; rmmod stp_test; sort out; [ $s = 0 ] || exit $s\n\
                 stap -c 'dd if=/dev/zero of=f bs=12345 count=1' -e '\n\
                 probe kprobe.function(\"vfs_write\") {{ if (pid() == target() && ulong_arg(3) == 12345) println(\"entry\") }}\n\
                 probe kprobe.function(\"vfs_write\").return {{ if (pid() == target() && ulong_arg(3) == 12345)\n\
                 println(\"return \", returnval(), \" at \", kernel_long(pointer_arg(4))) }}' 2>/dev/null"
            ),
            |o| {
                ok(o)?;
                // 1 + 2 + 3 + 4 + 5 + 6 + 7 - 8
                let each: Vec<String> = (1..=6).map(|n| vec![n.to_string(); 11].join(" ")).collect();
                let six = each.join("|");
                let signed = "-50 -50 4294967246 4294967246 123456789012345";
                prints(
                    o,
                    &format!(
                        "1 kprobe {six}\n1 registers 1 6 2 4\n1 stack 7 -8\n\
                         2 argument 7 is known at the entry of the function only\n\
                         2 kretprobe {six}\n2 registers 20 20\n2 result 20 20 0x14 024\n\
                         3 {six}\n3 bad argument number 0\n3 result N/A\n3 stack 7 -8\n\
                         4 {six}\n4 result 20 20\n\
                         5 {signed}\n5 register -50 4294967246\n6 {signed}\narmed\n\
                         entry\nreturn 12345 at 12345\n"
                    ),
                )
            },
        ),
        Check::new(
            "memory and texts of a module by BTF and by debuginfo",
            &both("", "memory_of_module"),
            |o| prints(o, MEMORY),
        ),
        Check::new(
            "what is written to a module's variables by BTF and by debuginfo",
            &both("-g", "known_writes"),
            |o| {
                prints(
                    o,
                    "armed\nfields 11 2 500 -7\nmemory 1 42 -1\nleaf 246\nmany 40\nrun 2317\n",
                )
            },
        ),
        Check::new(
            "locals in registers and in memory are written",
            &format!(
                "{LOAD}export SYSTEMTAP_DEBUGINFO_PATH=/modules\n\
                 stap -g -e 'global told probe timer.ms(50) {{ if (!told++) println(\"armed\") }}\n\
                 probe module(\"stp_test\").statement(@1) {{ $total = 1000 }}\n\
                 probe module(\"stp_test\").statement(@2) {{ $in_memory = 5 }}\n\
                 probe module(\"stp_test\").function(\"stp_run\").return {{ println($return); exit() }}' {} {} \
                 >out 2>err & await out armed\n\
                 echo 50 >/proc/stp_test; wait $!; s=$?; cat err >&2; rmmod stp_test; cat out; exit $s",
                at("stp_run", "within is known here"),
                at("stp_run", "in_memory is known here"),
            ),
            // in place of 336: 1000 + (55 + 55 * 3 + 1) + 20 + 6 + 5
            |o| prints(o, "armed\n1252\n"),
        ),
        Check::new(
            "callees are seen where they are called from the function that is named",
            &format!(
                "{LOAD}export SYSTEMTAP_DEBUGINFO_PATH=/modules\n\
                 stap -w /scripts/callees.stp >out 2>err & await out armed\n\
                 echo 50 >/proc/stp_test; wait $!; s=$?; cat err >&2\n\
                 stap -l 'module(\"stp_test\").function(\"stp_run\").callee(\"stp_leaf\").call' |\n\
                 sed 's#@[^\"]*/#@#g' >>out\n\
                 where=$(tail -1 out | sed 's/.*callee(\"\\(.*\\)\").call/\\1/')\n\
                 stap -l \"module(\\\"stp_test\\\").function(\\\"stp_run\\\").callee(\\\"$where\\\").call\" | grep -c stp_leaf >>out\n\
                 stap -DSTAP_CALLEE_MATCHALL -e 'global told, n probe timer.ms(50) {{ if (!told++) println(\"armed\") }}\n\
                 probe module(\"stp_test\").function(\"stp_leaf\").callee(\"stp_opaque\").call {{ n++ }}\n\
                 probe module(\"stp_test\").function(\"stp_run\").return {{ println(\"any caller \", n); exit() }}' \
                 >any 2>&1 & await any armed\n\
                 echo 50 >/proc/stp_test; wait $!; rmmod stp_test; cat out; tail -1 any; exit $s"
            ),
            |o| {
                let of_run = "stp_corner 1\n{} stp_inlined 1\n{} stp_leaf 1\n{} stp_many 1";
                let deep = of_run.replace("{}", "deep");
                let outer = of_run.replace("{}", "outer");
                let (leaf, run) = (line("noinline int stp_leaf") + 1, line("noinline int stp_run") + 1);
                prints(
                    o,
                    &format!(
                        "armed\nleaf 336 of -50\nopaque 3 of stp_run, 2 of stp_leaf\n\
                         deep {deep}\ndeep stp_nothing 2\ndeep stp_opaque 7\n\
                         outer {outer}\nouter stp_nothing 1\nouter stp_opaque 3\nouter stp_run 1\n\
                         module(\"stp_test\").function(\"stp_run@stp_test.c:{run}\")\
                         .callee(\"stp_leaf@stp_test.c:{leaf}\").call\n1\nany caller 8\n"
                    ),
                )
            },
        ),
        Check::new(
            "variables that each processor has, by BTF and by debuginfo",
            &format!(
                "{LOAD}export SYSTEMTAP_DEBUGINFO_PATH=/modules\n\
                 stap -e 'probe timer.profile {{ printf(\"%d %d\\n\", @var(\"runqueues\")->cpu - cpu(),\n\
                 @var(\"stp_per_cpu\", \"stp_test\") - cpu()); exit() }}' | head -1; rmmod stp_test"
            ),
            |o| prints(o, "0 1000\n"),
        ),
        Check::new(
            "functions that share a name are probed all, and their returns",
            "stap -c 'cat /proc/cpuinfo /proc/crypto' -o out -e 'global seen, returns\n\
             probe kernel.function(\"c_start\") { seen[addr()]++ }\n\
             probe kernel.function(\"c_start\").return { returns++ }\n\
             probe end { foreach (a in seen) { places++; hits += seen[a] }\n\
             printf(\"places %d\\nsame %d\\n\", places, hits == returns && hits > 2) }' >/dev/null; s=$?; cat out; exit $s",
            |o| prints(o, "places 2\nsame 1\n"),
        ),
        Check::new(
            "a wrong pointer is an error with its place, and the run goes on up to MAXERRORS",
            &format!(
                "{LOAD}export SYSTEMTAP_DEBUGINFO_PATH=/none\n\
                 stap -DMAXERRORS=2 -e 'global told probe timer.ms(50) {{ if (!told++) println(\"armed\") }}\n\
                 probe module(\"stp_test\").function(\"stp_leaf\").call {{ println(\"hit\")\n\
                 println(@cast($count, \"stp_rec\", \"stp_test\")->next->number) println(\"never\") }}' >out 2>err & await out armed\n\
                 for n in 1 2 3 4; do echo 50 >/proc/stp_test; usleep 100000; done; wait $!; echo status $? >>out\n\
                 rmmod stp_test; cat err >&2; grep -c 'ERROR.*:3:' err >>out; cat out"
            ),
            |o| prints(o, "armed\nhit\nhit\nhit\nstatus 1\n3\n"),
        ),
        Check::new(
            "statements, locals, labels and inlined instances of a module",
            &format!(
                "{LOAD}export SYSTEMTAP_DEBUGINFO_PATH=/modules\n\
                 stap /scripts/inside.stp {inside} >out 2>err & await out armed\n\
                 echo 50 >/proc/stp_test; wait $!; s=$?; cat err >&2; rmmod stp_test; sort out; exit $s"
            ),
            |o| {
                ok(o)?;
                let out = o.out();
                let want = [
                    "a line of stp_inlined",
                    "a line of stp_run",
                    "in_memory 1050 at 0",
                    "inlined 55 3",
                    "label stp_run",
                    "matrix 6 2 4",
                    "static 4711 300",
                    "address 1",
                    "its caller's line 1050",
                    "stp_run 1633",
                    "sum 336",
                    "within 55",
                ];
                match want.iter().find(|w| !out.lines().any(|l| l == **w)) {
                    None => Ok(()),
                    Some(w) => Err(format!("no line `{w}`")),
                }
            },
        ),
        Check::new(
            "what is not known is told with what is, and with the package",
            &format!(
                "{LOAD}try() {{ stap -p2 -e \"probe module(\\\"stp_test\\\").function(\\\"$1\\\").call {{ println($2) }}\" 2>&1 >/dev/null | grep -c \"$3\"; }}\n\
                 export SYSTEMTAP_DEBUGINFO_PATH=/none\n\
                 try stp_leaf '$rec->nothing' 'number.*name.*as_int.*row'\n\
                 try stp_run '$total' 'linux-image-.*-dbg'\n\
                 export SYSTEMTAP_DEBUGINFO_PATH=/modules\n\
                 try stp_leaf '$rec->nothing' 'number.*name.*as_int.*row'\n\
                 try stp_leaf '$sum' 'optimised it out'\n\
                 try stp_leaf '$cuont' 'alternatives: \\$count'\n\
                 stap -p2 -e 'probe module(\"stp_test\").function(\"stp_leaf\").return {{ println($count) }}' 2>&1 |\
                 grep -c 'value is captured as @entry($count) in .return probe'\n\
                 try stp_leef '$count' 'similar functions: stp_leaf'\n\
                 try stp_leaf '$count = 1' 'need stap -g'\n\
                 stap -p2 -e 'probe module(\"stp_test\").function(\"stp_corner\").callee(\"stp_opaque\") {{ next }}' 2>&1 |\
                 grep -c 'tail call'\n\
                 try stp_leaf@nosuch.c '$count' 'no match'\n\
                 export SYSTEMTAP_DEBUGINFO_PATH=/none\n\
                 try stp_leaf@nosuch.c '$count' 'WARNING: the file in .*@nosuch.c.*linux-image-.*-dbg'\n\
                 mkdir lib; echo 'probe leaf = module(\"stp_test\").function(\"stp_leaf@nosuch.c\").call {{}}' >lib/leaf.stp\n\
                 stap -I lib -p2 -e 'probe leaf {{ next }}' 2>&1 >/dev/null | grep -c 'the file in'\n\
                 rmmod stp_test"
            ),
            |o| prints(o, "1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n1\n0\n"),
        )
        // twelve runs of the compiler
        .limit(240),
    ]
}
