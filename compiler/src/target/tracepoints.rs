//! Tracepoints of the traced kernel: names, and arguments with their types.
//!
//! In: BTF. Every tracepoint has a function `__traceiter_NAME(void *, ARGS…)`,
//! whose prototype names the arguments. Out: names and signatures. Modules'
//! tracepoints come from the modules' own BTF.

use super::btf::{kind, Btf, BtfError};
use super::ctype::Signature;
use super::glob;

const PREFIX: &str = "__traceiter_";

/// Names that match, sorted, of this BTF's own types.
pub fn matching(btf: &Btf, pattern: &str) -> Vec<String> {
    if !glob::is_pattern(pattern) {
        let exists = btf.find(&format!("{PREFIX}{pattern}"), kind::FUNC).is_some();
        return exists.then(|| pattern.to_owned()).into_iter().collect();
    }
    let mut names: Vec<String> = btf
        .function_names()
        .filter_map(|n| n.strip_prefix(PREFIX))
        .filter(|n| glob::matches(pattern, n))
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    names
}

/// What a handler at the tracepoint is given; without the data pointer that comes first.
pub fn arguments<'a>(btf: &'a Btf, name: &str) -> Result<Option<Signature<'a>>, BtfError> {
    let mut sigs = btf.functions(&format!("{PREFIX}{name}"))?;
    if sigs.is_empty() {
        return Ok(None);
    }
    let mut sig = sigs.swap_remove(0);
    if !sig.params.is_empty() {
        sig.params.remove(0);
    }
    Ok(Some(sig))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::btf::build::Builder;

    #[test]
    fn arguments_are_those_after_the_data_pointer() {
        let mut b = Builder::new();
        let int = b.int("int", 4, 1);
        let void_ptr = b.ptr(0);
        b.func("__traceiter_tick", int, &[("__data", void_ptr), ("cpu", int)]);
        b.func("__traceiter_tock", int, &[("__data", void_ptr)]);
        b.func("tick", int, &[]);
        let btf = Btf::from_bytes(b.bytes(), None).expect("blob");
        let sig = arguments(&btf, "tick").expect("sound").expect("there");
        assert_eq!(sig.params.iter().map(|p| p.name).collect::<Vec<_>>(), ["cpu"]);
        assert_eq!(arguments(&btf, "tack").expect("sound"), None);
        assert_eq!(matching(&btf, "t*k"), ["tick", "tock"]);
        assert_eq!(matching(&btf, "tick"), ["tick"]);
        assert!(matching(&btf, "nope").is_empty());
    }
}
