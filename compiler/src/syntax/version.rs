//! Comparisons of the preprocessor. The man page of stap names glibc's
//! functions as their definition, so those are called.

use std::cmp::Ordering;
use std::ffi::{c_char, c_int, CString};

extern "C" {
    fn strverscmp(a: *const c_char, b: *const c_char) -> c_int;
}

/// Order of two versions, by `strverscmp`: runs of digits compare by value.
pub fn compare(a: &str, b: &str) -> Ordering {
    match (CString::new(a), CString::new(b)) {
        // SAFETY: both are NUL-terminated and live through the call, which only reads.
        (Ok(a), Ok(b)) => unsafe { strverscmp(a.as_ptr(), b.as_ptr()) }.cmp(&0),
        _ => a.cmp(b),
    }
}

/// Does the whole text match the shell pattern, by `fnmatch` without flags?
pub fn matches(pattern: &str, text: &str) -> bool {
    match (CString::new(pattern), CString::new(text)) {
        // SAFETY: as above.
        (Ok(p), Ok(t)) => unsafe { libc::fnmatch(p.as_ptr(), t.as_ptr(), 0) == 0 },
        _ => false,
    }
}

/// Has the pattern anything but plain characters (`*`, `?`, `[`)?
pub fn is_wild(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_runs_of_digits() {
        assert_eq!(compare("6.1.0", "6.1"), Ordering::Greater);
        assert_eq!(compare("6.1.0", "6.2"), Ordering::Less);
        assert_eq!(compare("6.1.0", "5.19"), Ordering::Greater);
        assert_eq!(compare("2.6.9", "2.6.18"), Ordering::Less);
        assert_eq!(compare("4.8", "4.8"), Ordering::Equal);
    }

    #[test]
    fn wildcards_are_the_shell_s() {
        assert!(matches("x86_*", "x86_64"));
        assert!(matches("6.[0-9]*", "6.1.0"));
        assert!(!matches("s390*", "x86_64"));
        assert!(is_wild("a?") && !is_wild("a.b"));
    }
}
