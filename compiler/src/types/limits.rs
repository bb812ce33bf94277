//! `-D` and its relatives to the limits of the image. Names, defaults and
//! ranges are those of `limits.def`.

use crate::diag::{Diagnostic, Diagnostics, Stage};
use crate::driver::Options;
use crate::resolve::names::{similar, similar_note};
use stp_vm::isa::{Limits, LIMITS};

/// The limits that the options ask for. What is unknown or out of range is reported.
pub fn limits(options: &Options, diags: &mut Diagnostics) -> Limits {
    let mut limits = Limits::default();
    let mut interruptible = false;
    let mut bad = |code, message: String| diags.push(Diagnostic::error(Stage::Semantic, code, message));
    for (name, value) in &options.defines {
        let Some(row) = LIMITS.iter().find(|l| l.name == name) else {
            let near = similar(name, LIMITS.iter().map(|l| l.name));
            bad("unknown-limit", format!("unknown limit -D {name}{}", similar_note(&near)));
            continue;
        };
        let Some(n) = number(value) else {
            bad("limit-value", format!("-D {name}={value}: expected a number"));
            continue;
        };
        match i32::try_from(n).ok().filter(|n| (row.lowest..=row.highest).contains(n)) {
            None => bad(
                "limit-value",
                format!("-D {name}={value}: value out of range ({}, {})", row.lowest, row.highest),
            ),
            Some(n) => {
                interruptible |= name == "MAXACTION_INTERRUPTIBLE";
                if let Some(field) = limits.field_mut(name) {
                    *field = n;
                }
            }
        }
    }
    // Handlers that may be interrupted may do ten times as much, unless told otherwise.
    if !interruptible {
        limits.maxaction_int = limits.maxaction.saturating_mul(10);
    }
    limits.suppress_time |= i32::from(options.suppress_time_limits);
    limits.suppress_errors |= i32::from(options.suppress_handler_errors);
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
    fn unknown_names_and_values_out_of_range_are_refused() {
        assert!(with(&[("MAXACTIONS", "5")]).1[0].contains("(similar: MAXACTION"));
        assert!(with(&[("MAXACTION", "0")]).1[0].contains("out of range (1, "));
        assert!(with(&[("MAXACTION", "many")]).1[0].contains("expected a number"));
    }
}
