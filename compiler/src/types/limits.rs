//! `-D` and its relatives to the limits of the image. Names, defaults and
//! ranges are those of `limits.def`; here stand SystemTap's other names of
//! them, and those that mean nothing to this machine.

use crate::diag::{Diagnostic, Diagnostics, Stage};
use crate::driver::Options;
use crate::resolve::names::{similar, similar_note};
use crate::resolve::world::World;
use stp_vm::isa::{Limits, LIMITS};

/// Names under which SystemTap knows a limit that has another name here.
const OTHER_NAMES: [(&str, &str); 3] = [
    ("INTERRUPTIBLE", "STP_INTERRUPTIBLE"),
    ("STAP_SUPPRESS_HANDLER_ERRORS", "SUPPRESS_HANDLER_ERRORS"),
    ("STAP_SUPPRESS_TIME_LIMITS_ENABLE", "SUPPRESS_TIME_LIMITS"),
];

/// What SystemTap's manual has and what sets nothing here, with the reason.
pub const WITHOUT_EFFECT: [(&str, &str); 7] = [
    ("MAPHASHBIAS", "the hash table of an array has the size that its entries need"),
    ("MAXUPROBES", "there is no table of user probes of a fixed size"),
    (
        "KRETACTIVE",
        "room for calls under way follows the number of processors; a probe may say .maxactive(N)",
    ),
    ("STP_NO_BUILDID_CHECK", "build-ids are compared when a script is compiled, never while it runs"),
    ("STP_NO_VERREL_CHECK", "releases of kernels are not compared when a script is loaded"),
    ("TASK_FINDER_VMA_ENTRY_ITEMS", "there is no table of mappings of a fixed size"),
    ("TASK_FINDER_VMA_ENTRY_PATHLEN", "there is no table of mappings of a fixed size"),
];

/// `.callee` probes run whoever called: no limit, a switch for [`super::bind`].
const CALLEE_MATCHALL: &str = "STAP_CALLEE_MATCHALL";

/// Is that switch on? As in SystemTap it is by being there, with whatever value.
pub(super) fn any_caller(options: &Options) -> bool {
    options.defines.iter().any(|(name, _)| name == CALLEE_MATCHALL)
}

/// `DEBUG_MEM`, `DEBUG_UNWIND`…: no code of the module depends on them.
const DEBUG: &str = "DEBUG_";

/// Why a known name sets nothing.
fn without_effect(name: &str) -> Option<&'static str> {
    let debug = name.starts_with(DEBUG).then_some("the module has no debugging code to switch on; see -v");
    WITHOUT_EFFECT.iter().find(|(n, _)| *n == name).map(|(_, why)| *why).or(debug)
}

/// Warns of `-G NAME=VALUE` where neither script nor library declares a global of that name.
pub fn unknown_settings(world: &mut World<'_>) {
    if world.options.no_warnings {
        return;
    }
    let of_script: Vec<String> = world
        .user_units()
        .flat_map(|u| world.units[u].script.globals.iter().map(|g| g.name.name.clone()))
        .collect();
    for (name, value) in &world.options.globals {
        if of_script.contains(name) || !world.library.globals(name).is_empty() {
            continue;
        }
        let near = similar_note(&similar(name, of_script.iter().map(String::as_str)));
        let message = format!("-G {name}={value} has no effect: no global variable has that name{near}");
        world.diags.push(Diagnostic::warning(Stage::Semantic, "unknown-setting", message));
    }
}

/// The limits that the options ask for. What is unknown or out of range is reported.
pub fn limits(options: &Options, diags: &mut Diagnostics) -> Limits {
    let mut limits = Limits::default();
    let mut interruptible = false;
    let mut bad = |code, message: String| diags.push(Diagnostic::error(Stage::Semantic, code, message));
    let mut notes = Vec::new();
    for (given, value) in &options.defines {
        let name = OTHER_NAMES.iter().find(|(n, _)| n == given).map_or(given.as_str(), |(_, n)| n);
        if let Some(why) = without_effect(name) {
            notes.push(format!("-D {name} has no effect: {why}"));
            continue;
        }
        if name == CALLEE_MATCHALL {
            continue;
        }
        let Some(row) = LIMITS.iter().find(|l| l.name == name) else {
            let known = LIMITS
                .iter()
                .map(|l| l.name)
                .chain(OTHER_NAMES.iter().map(|(n, _)| *n))
                .chain([CALLEE_MATCHALL]);
            let near = similar(name, known.chain(WITHOUT_EFFECT.iter().map(|(n, _)| *n)));
            bad("unknown-limit", format!("unknown limit -D {name}{}", similar_note(&near)));
            continue;
        };
        let Some(n) = number(value) else {
            bad("limit-value", format!("-D {given}={value}: expected a number"));
            continue;
        };
        match i32::try_from(n).ok().filter(|n| (row.lowest..=row.highest).contains(n)) {
            None => bad(
                "limit-value",
                format!("-D {given}={value}: value out of range ({}, {})", row.lowest, row.highest),
            ),
            Some(1) if name == "SUPPRESS_TIME_LIMITS" && !options.guru => {
                bad("needs-guru", format!("-D {given} needs guru mode (-g)"));
            }
            Some(n) => {
                interruptible |= name == "MAXACTION_INTERRUPTIBLE";
                if let Some(field) = limits.field_mut(name) {
                    *field = n;
                }
            }
        }
    }
    if !options.no_warnings {
        diags.list.extend(
            notes.into_iter().map(|n| Diagnostic::warning(Stage::Semantic, "limit-without-effect", n)),
        );
    }
    // Handlers that may be interrupted may do ten times as much, unless told otherwise.
    if !interruptible {
        limits.maxaction_int = limits.maxaction.saturating_mul(10);
    }
    limits.suppress_time |= i32::from(options.suppress_time_limits);
    limits.suppress_errors |= i32::from(options.suppress_handler_errors);
    if limits.suppress_errors != 0 {
        limits.maxskipped = i32::MAX;
    }
    limits
}

/// A C integer: `10`, `0x10`, `010`, with the suffixes of its types; a bare `-D NAME` is 1.
pub(super) fn number(text: &str) -> Option<i64> {
    let t = text.trim().trim_end_matches(['u', 'U', 'l', 'L']);
    let (sign, t) = t.strip_prefix('-').map_or((1, t), |t| (-1, t));
    let n = match t.strip_prefix("0x").or_else(|| t.strip_prefix("0X")) {
        Some(hex) => i64::from_str_radix(hex, 16).ok()?,
        None if t.len() > 1 && t.starts_with('0') => i64::from_str_radix(&t[1..], 8).ok()?,
        None => t.parse().ok()?,
    };
    Some(sign * n)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(defines: &[(&str, &str)]) -> (Limits, Vec<String>) {
        let defines = defines.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        let mut diags = Diagnostics::default();
        let l = limits(&Options { defines, ..Options::default() }, &mut diags);
        (l, diags.list.into_iter().map(|d| d.message).collect())
    }

    #[test]
    fn the_interruptible_limit_follows_maxaction_unless_given() {
        assert_eq!(with(&[("MAXACTION", "20")]).0.maxaction_int, 200);
        let (l, _) = with(&[("MAXACTION_INTERRUPTIBLE", "60"), ("MAXACTION", "0x14")]);
        assert_eq!((l.maxaction, l.maxaction_int), (20, 60));
    }

    #[test]
    fn names_of_systemtap_s_manual_are_known() {
        let (l, said) = with(&[("INTERRUPTIBLE", "0"), ("STAP_SUPPRESS_HANDLER_ERRORS", "1")]);
        assert_eq!((l.interruptible, l.suppress_errors, said.len()), (0, 1, 0));
        for name in ["MAPHASHBIAS", "MAXUPROBES", "KRETACTIVE", "DEBUG_MEM"] {
            let (_, said) = with(&[(name, "20")]);
            assert!(said[0].starts_with(&format!("-D {name} has no effect: ")), "{said:?}");
        }
        assert_eq!(with(&[("STAP_CALLEE_MATCHALL", "1")]), with(&[]));
        let (_, said) = with(&[("STAP_SUPPRESS_TIME_LIMITS_ENABLE", "1")]);
        assert!(said[0].contains("guru"), "{said:?}");
    }

    #[test]
    fn the_manual_lists_them() {
        let page = include_str!("../../../docs/language.md");
        for (name, is) in OTHER_NAMES {
            assert!(page.contains(&format!("| `{name}` | `{is}`")), "{name}");
        }
        for (name, why) in WITHOUT_EFFECT {
            // Code words are marked as such there.
            let row = page.lines().find(|l| l.starts_with('|') && l.contains(&format!("`{name}`")));
            assert!(row.is_some_and(|r| r.replace('`', "").contains(why)), "{name}");
        }
    }

    #[test]
    fn unknown_names_and_values_out_of_range_are_refused() {
        assert!(with(&[("MAXACTIONS", "5")]).1[0].contains("(similar: MAXACTION"));
        assert!(with(&[("MAXACTION", "0")]).1[0].contains("out of range (1, "));
        assert!(with(&[("MAXACTION", "many")]).1[0].contains("expected a number"));
    }
}
