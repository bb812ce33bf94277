//! The Rust mirror of `vm-kmod/kernel/uapi.h` against the header itself.

use std::mem::{offset_of, size_of};
use std::process::Command;
use stp_loader::session::uapi::{self, Info, Input, Load, Offsets, ProbeStats, Start, Stats};

#[test]
fn structures_and_numbers_are_those_of_the_header() {
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/../vm-kmod/kernel/uapi.h");
    let dir = std::env::temp_dir().join(format!("stpvm-uapi-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let numbers = [
        ("STPVM_UAPI_VERSION", u64::from(uapi::VERSION)),
        ("STPVM_IOC_INFO", uapi::IOC_INFO),
        ("STPVM_IOC_LOAD", uapi::IOC_LOAD),
        ("STPVM_IOC_START", uapi::IOC_START),
        ("STPVM_IOC_STOP", uapi::IOC_STOP),
        ("STPVM_IOC_STATS", uapi::IOC_STATS),
        ("STPVM_IOC_INPUT", uapi::IOC_INPUT),
        ("sizeof(struct stpvm_input)", size_of::<Input>() as u64),
        ("offsetof(struct stpvm_input, len)", offset_of!(Input, len) as u64),
        ("sizeof(struct stpvm_info)", size_of::<Info>() as u64),
        ("offsetof(struct stpvm_info, ncpus)", offset_of!(Info, ncpus) as u64),
        ("sizeof(struct stpvm_offsets)", size_of::<Offsets>() as u64),
        ("offsetof(struct stpvm_offsets, task_size)", offset_of!(Offsets, known.task_size) as u64),
        (
            "offsetof(struct stpvm_offsets, mount_mountpoint)",
            offset_of!(Offsets, known.mount_mountpoint) as u64,
        ),
        ("sizeof(struct stpvm_load)", size_of::<Load>() as u64),
        ("offsetof(struct stpvm_load, offsets)", offset_of!(Load, offsets) as u64),
        ("offsetof(struct stpvm_load, ring_map_len)", offset_of!(Load, ring_map_len) as u64),
        ("offsetof(struct stpvm_load, fault_text)", offset_of!(Load, fault_text) as u64),
        ("offsetof(struct stpvm_load, room_ms)", offset_of!(Load, room_ms) as u64),
        ("STPVM_LF_TIMING", u64::from(uapi::LF_TIMING)),
        ("offsetof(struct stpvm_load, flags)", offset_of!(Load, flags) as u64),
        ("offsetof(struct stpvm_probe_stats, cycles_min)", offset_of!(ProbeStats, cycles_min) as u64),
        ("sizeof(struct stpvm_start)", size_of::<Start>() as u64),
        ("offsetof(struct stpvm_start, text)", offset_of!(Start, text) as u64),
        ("sizeof(struct stpvm_probe_stats)", size_of::<ProbeStats>() as u64),
        ("offsetof(struct stpvm_probe_stats, lost)", offset_of!(ProbeStats, lost) as u64),
        ("sizeof(struct stpvm_stats)", size_of::<Stats>() as u64),
        ("offsetof(struct stpvm_stats, array)", offset_of!(Stats, array) as u64),
    ];
    let mut source = format!("#include <stddef.h>\n#include <linux/types.h>\n#include \"{header}\"\n");
    for (n, (what, ours)) in numbers.iter().enumerate() {
        source += &format!(
            "_Static_assert((unsigned long long)({what}) == {ours}ull, \"{what} is not {ours} ({n})\");\n"
        );
    }
    let file = dir.join("uapi.c");
    std::fs::write(&file, source).unwrap();
    let o = Command::new("cc").args(["-fsyntax-only", "-xc"]).arg(&file).output().expect("a C compiler");
    assert!(o.status.success(), "{}", String::from_utf8_lossy(&o.stderr));
    std::fs::remove_dir_all(dir).unwrap();
}
