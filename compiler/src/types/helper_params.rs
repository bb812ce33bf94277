//! Names of the parameters of the machine's built-in functions, for lists of what
//! there is to call. In: a function's name. The machine itself knows no names:
//! `helpers.def` has types, in the order of these.

const NAMES: &[(&str, &[&str])] = &[
    ("addr_to_node", &["addr"]),
    ("callers", &["n"]),
    ("commit", &["id"]),
    ("discard", &["id"]),
    ("ftrace", &["msg"]),
    ("isdigit", &["str"]),
    ("isinstr", &["s1", "s2"]),
    ("log", &["msg"]),
    ("matched", &["n"]),
    ("mdelay", &["ms"]),
    ("panic", &["msg"]),
    ("pid2task", &["pid"]),
    ("printk", &["level", "msg"]),
    ("raise", &["signo"]),
    ("randint", &["n"]),
    ("speculate", &["id", "output"]),
    ("stack", &["n"]),
    ("str_replace", &["prnt_str", "srch_str", "rplc_str"]),
    ("stringat", &["str", "pos"]),
    ("strlen", &["s"]),
    ("strpos", &["s1", "s2"]),
    ("strtol", &["str", "base"]),
    ("substr", &["str", "start", "length"]),
    ("system", &["cmd"]),
    ("text_strn", &["input", "len", "quoted"]),
    ("tokenize", &["input", "delim"]),
    ("udelay", &["us"]),
    ("warn", &["msg"]),
];

/// Names of the parameters, as the manual has them; none for a function that takes nothing.
pub fn names(function: &str) -> &'static [&'static str] {
    NAMES.iter().find(|(n, _)| *n == function).map_or(&[], |(_, names)| names)
}

#[cfg(test)]
mod tests {
    use super::{names, NAMES};
    use stp_vm::isa::HELPERS;

    #[test]
    fn every_parameter_of_a_built_in_function_has_a_name() {
        for h in HELPERS.iter().filter(|h| !h.name.starts_with("__")) {
            assert_eq!(names(h.name).len(), h.args.len(), "{}", h.name);
        }
        for (name, _) in NAMES {
            assert!(HELPERS.iter().any(|h| h.name == *name), "{name} is no function");
        }
    }
}
