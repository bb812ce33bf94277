//! What is said of variables, casts and places that a kernel has not: a line of script each, and
//! its message.

use super::KernelTarget;
use crate::diag::Severity;
use crate::driver::{Compilation, Input, Options};
use crate::target::btf::build::Builder;
use crate::target::btf::Btf;
use crate::target::kernel::Kernel;

/// struct big { long a[4]; }; struct key { char name[8]; }; struct secret;
/// struct odd { unsigned long low:7, wide:60; unsigned mode:3; double ratio; struct big big; struct
/// secret *secret; };
/// long work(struct odd *odd, size_t count, int *pos); struct big grow(int n); void stop(struct key key);
/// int scale(double factor); tracepoint tick(struct odd *odd)
fn kernel() -> KernelTarget {
    let mut b = Builder::new();
    let int = b.int("int", 4, 1);
    let uint = b.int("unsigned int", 4, 0);
    let long = b.int("long int", 8, 1);
    let ulong = b.int("long unsigned int", 8, 0);
    let ch = b.int("char", 1, 1);
    let longs = b.array(long, 4);
    let big = b.structure("big", 32, &[("a", longs, 0, 0)]);
    let chars = b.array(ch, 8);
    let key = b.structure("key", 8, &[("name", chars, 0, 0)]);
    // kinds 7 and 16 of linux/btf.h: declared only, and floating point
    let secret = b.raw("secret", 7 << 24, 0, &[]);
    let double = b.raw("double", 16 << 24, 8, &[]);
    let secret_p = b.ptr(secret);
    let odd = b.structure(
        "odd",
        72,
        &[
            ("low", ulong, 0, 7),
            ("wide", ulong, 7, 60),
            ("mode", uint, 96, 3),
            ("ratio", double, 128, 0),
            ("big", big, 192, 0),
            ("secret", secret_p, 448, 0),
        ],
    );
    let odd_p = b.ptr(odd);
    let int_p = b.ptr(int);
    let void_p = b.ptr(0);
    let size_t = b.typedef("size_t", ulong);
    b.func("work", long, &[("odd", odd_p), ("count", size_t), ("pos", int_p)]);
    b.func("grow", big, &[("n", int)]);
    b.func("stop", 0, &[("key", key)]);
    b.func("scale", int, &[("factor", double)]);
    b.func("__traceiter_tick", int, &[("__data", void_p), ("odd", odd_p)]);
    let btf = Btf::from_bytes(b.bytes(), None).expect("blob");
    KernelTarget::of(Kernel::of_types(btf), &Default::default(), &Default::default())
}

/// Messages for a script, the warnings among them if nothing is wrong.
fn said(script: &str, guru: bool) -> Vec<String> {
    let mut c = Compilation::new(Options { guru, ..Options::default() });
    c.target = kernel();
    let _ = c.parse(&[Input { name: "t".into(), text: script.into() }]).and_then(|()| c.analyze());
    let of = |severity| {
        let all = c.diagnostics.list.iter().filter(|d| d.severity == severity);
        all.map(|d| d.message.clone()).collect::<Vec<_>>()
    };
    let errors = of(Severity::Error);
    if errors.is_empty() {
        of(Severity::Warning)
    } else {
        errors
    }
}

fn check(point: &str, guru: bool, cases: &[(&str, &str)]) {
    for (body, message) in cases {
        let script = format!("probe {point} {{ {body} }}");
        assert_eq!(said(&script, guru), [*message], "{script}");
    }
}

#[test]
fn of_reading() {
    let cases = [
        ("println($nosuch)", "unable to find parameter '$nosuch' of work (alternatives: $odd $count $pos)"),
        ("println($return)", "$return exists only in return probes"),
        (
            "println($odd->nosuch)",
            "unable to find member 'nosuch' for struct odd (alternatives: low wide mode ratio big secret)",
        ),
        ("println($count->low)", "invalid access '->low' vs. 'size_t'"),
        ("println($count[0])", "cannot index values of type 'size_t'"),
        ("println($odd->big)", "'struct big' is no number: name a member of it, or take its address with &"),
        ("println($odd->ratio)", "a value of type 'double' cannot be read"),
        ("println($odd->secret->code)", "'struct secret' is only declared in the kernel's type information"),
        ("println($odd->wide)", "a bit field over more than 8 bytes"),
        ("println(&$odd->mode)", "cannot take the address of a bit field"),
        ("println(&$count)", "cannot take the address of a value in a register"),
        ("println($pos[9223372036854775807])", "an offset that no machine has"),
        (
            "println(@var(\"tick_rate\"))",
            "unable to find global 'tick_rate': BTF describes only those that each processor has",
        ),
    ];
    check("kernel.function(\"work\")", false, &cases);
    check(
        "kernel.function(\"stop\")",
        false,
        &[("println($key->name[0])", "an array that is not in memory")],
    );
    check(
        "kernel.function(\"scale\")",
        false,
        &[("println($factor)", "a floating-point parameter cannot be read")],
    );
    check(
        "kernel.trace(\"tick\")",
        false,
        &[("println($$system)", "the system of the tracepoint tick is not known")],
    );
}

#[test]
fn of_results() {
    let cases = [
        ("kernel.function(\"stop\").return", "function stop has no return value"),
        ("kernel.function(\"grow\").return", "a returned 'struct big' of 32 bytes is not in one register"),
    ];
    for (point, message) in cases {
        check(point, false, &[("println($return)", message)]);
    }
    let late = "confusing usage, value is captured as @entry($count) in .return probe";
    check("kernel.function(\"work\").return", false, &[("println($count)", late)]);
}

#[test]
fn of_setting() {
    check(
        "kernel.function(\"work\")",
        false,
        &[("$count = 1", "write to target variable not permitted; need stap -g")],
    );
    let cases = [
        ("$odd->big = 1", "a value of type 'struct big' cannot be set"),
        ("$odd->wide = 1", "a bit field over more than 8 bytes"),
        ("@cast($count, \"odd\") = 1", "a cast value cannot be set"),
    ];
    check("kernel.function(\"work\")", true, &cases);
    let late = "'$count' was kept when the function was entered: setting it at the return changes nothing";
    check("kernel.function(\"work\").return", true, &[("$count = 1", late)]);
}

#[test]
fn of_casts() {
    let cases = [
        ("println(@cast(1, \"nosuch\")->low)", "type definition 'nosuch' not found in 'kernel'"),
        ("println(@cast(1, \"nosuch\", \"ext4\")->low)", "type definition 'nosuch' not found in 'ext4'"),
        (
            "println(@cast(1, \"timeval\", \"<sys/time.h>\")->tv_sec)",
            "type definition 'timeval' not found in '<sys/time.h>'",
        ),
        (
            "println(@cast(1, \"struct big **\")[0])",
            "no pointer of the type 'struct big **' is known to the kernel",
        ),
        (
            "println(@cast(1, \"dirent\", \"/bin/ls\")->d_ino)",
            "types of the file '/bin/ls' are not known here; kernel types and those of modules are",
        ),
    ];
    check("begin", false, &cases);
}

#[test]
fn of_system_calls() {
    let cases = [
        (
            "println($nosuch)",
            "unable to find '$nosuch' of read (alternatives: $fd $buf $count $arg1 … $arg6)",
        ),
        (
            "println($fd->low)",
            "invalid access '->low': arguments of system calls are numbers here; use @cast",
        ),
        ("println($fd[0])", "arguments of system calls are numbers here; use @cast"),
    ];
    check("__syscall(\"read\")", false, &cases);
    let cases = [
        ("$fd->low = 1", "arguments of system calls are numbers here; use @cast"),
        ("println(&$fd)", "arguments of system calls have no address"),
        ("$$parms = 1", "'$$parms' is made of arguments and can only be read"),
    ];
    check("__syscall(\"read\")", true, &cases);
    let at_return = "'$fd' was kept when the function was entered: setting it at the return changes nothing";
    check("__syscall(\"read\").return", true, &[("$fd = 1", at_return)]);
}

#[test]
fn of_places() {
    let cases = [
        (
            "kernel.statement(\"work@kernel/work.c:4\")",
            "where the line of 'work@kernel/work.c:4' is cannot be told from BTF",
        ),
        ("kernel.function(\"work\").inline", "BTF does not know of inlined instances"),
        ("kernel.function(\"work\").label(\"out\")", "BTF does not know the label 'out'"),
        ("kernel.function(\"work\").callee(\"stop\")", "BTF does not know who calls whom"),
        (
            "kernel.function(\"w*@kernel/work.c\")",
            "which functions 'w*@kernel/work.c' names cannot be told from BTF",
        ),
    ];
    for (point, message) in cases {
        let message = format!("while resolving probe point: {message}");
        check(point, false, &[("println(1)", &message)]);
    }
    check(
        "kprobe.function(\"work\")",
        false,
        &[("println($count)", "'$count': the probe kprobe.function(\"work\") has no target variables")],
    );
}
