//! The report of `-t`: how often each probe ran and what it took, in cycles of the processor (in a
//! process, nanoseconds).

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
        let _ = write!(out, "\n{}, ", p.pp);
        if let Some(place) = place(image, p.function) {
            let _ = write!(out, "({place}), ");
        }
        let average = s.cycles.checked_div(s.hits).unwrap_or(0);
        let _ = match s.cycles_max {
            0 => write!(out, "hits: {}, cycles: {average}avg", s.hits),
            most => {
                write!(out, "hits: {}, cycles: {}min/{average}avg/{most}max", s.hits, s.cycles_min)
            }
        };
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

/// Where the handler's code begins: `FILE:LINE:COLUMN` of its first token.
fn place(image: &Image, function: u32) -> Option<String> {
    let lines = &image.functions.get(function as usize)?.lines;
    let p = lines.iter().find_map(|l| image.places.get(l.place as usize))?;
    Some(format!("{}:{}:{}", image.files.get(p.file as usize)?, p.line, p.col))
}
