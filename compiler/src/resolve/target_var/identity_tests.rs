//! Which images are of one kernel: those that hold types, distances or answers of it.

use super::tests::kernel;
use crate::driver::{Compilation, Input, Options};

/// Is the script's image of one kernel only?
fn bound(script: &str) -> bool {
    let tapsets = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tapsets");
    let mut c = Compilation::new(Options { tapset_dirs: vec![tapsets], guru: true, ..Options::default() });
    c.target = kernel();
    let input = [Input { name: "t".into(), text: script.into() }];
    let done = c.parse(&input).and_then(|()| c.analyze()).and_then(|()| c.translate());
    assert!(done.is_ok(), "{script}: {:?}", c.diagnostics.list);
    let image = c.image.expect("an image");
    assert!(image.target.is_empty() || c.target.kernel().is(&image.target));
    assert!(!c.target.kernel().is(b"6.1.0-other"));
    !image.target.is_empty()
}

#[test]
fn names_numbers_and_raw_arguments_fit_any_kernel() {
    for script in [
        "probe begin { println(1) }",
        "probe kernel.function(\"vfs_read\") { println(pid(), execname()) }",
        "probe kernel.function(\"vfs_*\").return { println(pp()) }",
        "probe kernel.trace(\"sched_tick\") { println(tid()) }",
        "probe kernel.function(\"vfs_read\") { println(int_arg(1), kernel_long(8)) }",
        "probe begin { println(@defined($x)) }",
        "probe __syscall(\"read\") { println($fd) }",
        "%( arch == \"x86_64\" || systemtap_v < \"9\" %? probe begin { println(1) } %)",
    ] {
        assert!(!bound(script), "{script}");
    }
}

#[test]
fn what_was_looked_up_is_of_one_kernel() {
    for script in [
        "probe kernel.function(\"vfs_read\") { println($count) }",
        "probe kernel.function(\"vfs_read\").return { println($return) }",
        "probe kernel.function(\"vfs_read\") { println($file->dentry->flags) }",
        "probe kernel.function(\"vfs_read\") { f = $file; println(f->pos) }",
        "probe kernel.trace(\"sched_tick\") { println($cpu) }",
        "probe kernel.function(\"vfs_read\") { println(@defined($gone)) }",
        "probe begin { println(@cast(8, \"file\")->pos) }",
        "probe begin { println(@const(\"RED\")) }",
        "probe kernel.statement(0xffffffff81000000).absolute { println(1) }",
        "%( kernel_v > \"1\" %? %: probe begin { println(1) } %)",
        "%( kernel_vr == \"x*\" %? %: probe begin { println(1) } %)",
        "%( CONFIG_NONE == \"y\" %? %: probe begin { println(1) } %)",
        "probe timer.jiffies(10) { exit() }",
    ] {
        assert!(bound(script), "{script}");
    }
}
