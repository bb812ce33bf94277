//! Runs the tables of a regular expression (`core/regex.h`) in the process.

use std::ffi::{c_char, CStr};

/// `RX_MAX_TAGS`
const MAX_TAGS: usize = 32;
/// `RX_UNSET`
const UNSET: u16 = 0xffff;

#[repr(C)]
struct Scratch {
    rows: [[u16; 1024]; 2],
}

extern "C" {
    fn rx_check(w: *const u32, count: u32, work: *mut u64) -> *const c_char;
    fn rx_match(w: *const u32, s: *const u8, len: u32, x: *mut Scratch, tags: *mut u16) -> bool;
}

/// Start and end of each group; `None` for one that took no part.
pub type Groups = Vec<Option<(usize, usize)>>;

/// Matches `subject` (shorter than 65,535 bytes). `Ok(None)`: no match; the
/// groups are empty where the tables have no tags.
///
/// # Errors
/// Says what is wrong with tables that the machine would refuse.
pub fn find(words: &[u32], subject: &[u8]) -> Result<Option<Groups>, String> {
    let mut work = u64::MAX;
    // SAFETY: the pointer and the count describe `words`; the text returned is static.
    let why = unsafe { rx_check(words.as_ptr(), words.len() as u32, &mut work) };
    if !why.is_null() {
        // SAFETY: rx_check returns a NUL-terminated literal.
        return Err(unsafe { CStr::from_ptr(why) }.to_string_lossy().into_owned());
    }
    if subject.len() >= usize::from(UNSET) {
        return Err("regex: subject too long".into());
    }
    let mut scratch = Box::new(Scratch { rows: [[0; 1024]; 2] });
    let mut tags = [UNSET; MAX_TAGS];
    // SAFETY: the table passed rx_check; the scratch and the tags have the sizes that it bounds.
    let hit = unsafe {
        rx_match(words.as_ptr(), subject.as_ptr(), subject.len() as u32, &mut *scratch, tags.as_mut_ptr())
    };
    let count = words[2] as usize;
    Ok(hit.then(|| {
        tags[..count]
            .chunks(2)
            .map(|t| {
                let set = t[0] != UNSET && t[1] != UNSET;
                set.then_some((usize::from(t[0]), usize::from(t[1])))
            })
            .collect()
    }))
}
