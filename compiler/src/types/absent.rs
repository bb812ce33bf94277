//! Functions of SystemTap's library that are not there, so that a script which calls one is told why.

/// Stacks and symbols of programs.
const PROGRAMS: &[&str] = &[
    "print_ubacktrace",
    "print_ubacktrace_brief",
    "print_ubacktrace_fileline",
    "print_ustack",
    "print_usyms",
    "sprint_ubacktrace",
    "sprint_ustack",
    "sprint_usyms",
    "ubacktrace",
    "ucallers",
    "umodaddr",
    "umodbuildid",
    "umodname",
    "ustack",
    "usymdata",
    "usymfile",
    "usymfileline",
    "usymline",
    "usymname",
];

/// Stacks of Java programs.
const JAVA: &[&str] = &["print_java_backtrace", "sprint_java_backtrace"];

/// What the function would tell of, where it is one of those.
pub(super) fn tells_of(name: &str) -> Option<&'static str> {
    if PROGRAMS.contains(&name) {
        return Some("stacks and symbols of programs");
    }
    JAVA.contains(&name).then_some("stacks of Java programs")
}

#[cfg(test)]
mod tests {
    use super::{tells_of, JAVA, PROGRAMS};

    #[test]
    fn the_functions_of_stacks_of_programs_are_known_and_no_others() {
        assert!(PROGRAMS.iter().chain(JAVA).all(|f| tells_of(f).is_some()));
        assert_eq!((tells_of("backtrace"), tells_of("usymnam")), (None, None));
    }
}
