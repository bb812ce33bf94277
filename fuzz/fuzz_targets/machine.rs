//! Flat images: the verifier refuses them, or every handler runs to its end
//! without a fault and within its limits. The head is put right, so that more
//! than the first check is reached.
#![no_main]

#[path = "../../vm-kmod/tests/common/mod.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use stp_vm::flat::{Header, ABI, MAGIC};
use stp_vm::isa::{Limits, ISA_HASH};

fn put(flat: &mut [u8], at: usize, bytes: &[u8]) {
    flat[at..at + bytes.len()].copy_from_slice(bytes);
}

fuzz_target!(|bytes: &[u8]| {
    let head = size_of::<Header>();
    if bytes.len() < head {
        return;
    }
    let mut flat = bytes.to_vec();
    let len = flat.len() as u32;
    put(&mut flat, 0, &MAGIC.to_le_bytes());
    put(&mut flat, 4, &ABI.to_le_bytes());
    put(&mut flat, 6, &(head as u16).to_le_bytes());
    put(&mut flat, 8, &len.to_le_bytes());
    put(&mut flat, 16, &ISA_HASH.to_le_bytes());
    // a handler that may run for minutes proves nothing
    let limits = Limits { maxaction: 200, maxaction_int: 200, maxmemory: 2 << 10, ..Limits::default() };
    let at = std::mem::offset_of!(Header, limits);
    // SAFETY: plain numbers.
    let limits: &[u8] =
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(&limits).cast(), size_of::<Limits>()) };
    put(&mut flat, at, limits);
    let mut n = 0u64;
    let _ = common::exercise(&flat, &mut || {
        n = n.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(u64::from(flat[n as usize % flat.len()]) | 1);
        n >> 7
    });
});
