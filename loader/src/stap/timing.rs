//! The report of `-t`: how often each probe ran and what it took.

use crate::session::Stats;
use std::fmt::Write;
use stp_compiler::bytecode::Image;

/// Text of the report, without a newline at its end.
pub fn report(image: &Image, stats: &Stats) -> String {
    let mut out = String::from("----- probe hit report:");
    for (n, (p, s)) in image.probes.iter().zip(&stats.probes).enumerate() {
        if s.hits + s.skipped_busy + s.skipped_lock + s.skipped_stack == 0 {
            continue;
        }
        let _ = write!(
            out,
            "\n{}, hits: {}, cycles: {}avg",
            p.pp,
            s.hits,
            s.cycles.checked_div(s.hits).unwrap_or(0)
        );
        for (what, n) in [
            ("errors", s.errors),
            ("skipped while busy", s.skipped_busy),
            ("skipped for a lock", s.skipped_lock),
            ("skipped for stack space", s.skipped_stack),
            ("left out for overload", s.thinned),
            ("records lost", s.lost),
        ] {
            if n > 0 {
                let _ = write!(out, ", {what}: {n}");
            }
        }
        let _ = write!(out, ", from: {}, index: {n}", p.pn);
    }
    out
}
