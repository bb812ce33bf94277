//! A module whose values are known (`modules/stp_test`), seen once through the
//! kernel's BTF and once through debuginfo. What both can tell must be the same.

use super::{ok, prints, Check};
use std::path::Path;
use stp_tests::guest::{kernel::Kernel, module, Guest};

const SOURCE: &str = include_str!("modules/stp_test/stp_test.c");

/// The modules, and what gives one its BTF: Debian's headers have no types of the kernel, the guest has.
pub fn prepare(guest: &mut Guest) {
    let kernel = Kernel::get(guest.series).expect("kernel");
    for file in module::test_modules(&kernel).expect("modules") {
        let name = file.file_name().expect("name").to_string_lossy().into_owned();
        guest.file(&file, &format!("/modules/{name}"));
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

pub fn checks() -> Vec<Check> {
    let inside = format!(
        "{} {} {}",
        at("stp_leaf", "sum is known here"),
        at("stp_run", "within is known here"),
        at("stp_run", "in_memory is known here")
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
            |o| {
                ok(o)?;
                let out = o.out();
                let rest = out.strip_prefix(KNOWN).ok_or("the first lines are not the known values")?;
                let wanted = [
                    "parms rec=0x",
                    "shallow {.number=123456789012345, .name=\"first\", ",
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
            },
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
                    "in_memory 1050 at 0",
                    "inlined 55 3",
                    "label stp_run",
                    "matrix 6 2 4",
                    "static 4711 300",
                    "address 1",
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
                 rmmod stp_test"
            ),
            |o| prints(o, "1\n1\n1\n1\n1\n1\n"),
        ),
    ]
}
