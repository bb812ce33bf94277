//! Diagnostics of the compiler on the error stream, as SystemTap prints them:
//! equal texts once unless `-v` is given, the count of the others at the end.

use crate::output::message::Messages;
use std::collections::HashSet;
use stp_compiler::diag::{render_in, Diagnostics, Severity, SourceMap, Stage};

/// Prints each diagnostic once.
pub struct Report {
    messages: Messages,
    verbose: bool,
    /// How many of the list have been dealt with.
    done: usize,
    seen: HashSet<(bool, String)>,
    suppressed_errors: usize,
    suppressed_warnings: usize,
    parse_errors: usize,
    /// Warnings so far, also those that are not shown.
    pub warnings: usize,
}

impl Report {
    pub fn new(messages: Messages, verbose: bool) -> Report {
        Report {
            messages,
            verbose,
            done: 0,
            seen: HashSet::new(),
            suppressed_errors: 0,
            suppressed_warnings: 0,
            parse_errors: 0,
            warnings: 0,
        }
    }

    /// Prints what is new in the list.
    pub fn show(&mut self, map: &SourceMap, list: &Diagnostics) {
        for d in &list.list[self.done.min(list.list.len())..] {
            let error = d.severity == Severity::Error;
            if error {
                self.parse_errors += usize::from(d.stage == Stage::Parse);
            } else {
                self.warnings += 1;
                if self.messages.no_warnings {
                    continue;
                }
            }
            if !self.verbose && !self.seen.insert((error, d.message.clone())) {
                *(if error { &mut self.suppressed_errors } else { &mut self.suppressed_warnings }) += 1;
                continue;
            }
            let text = render_in(map, d, &self.messages.palette);
            self.messages.plain(text.trim_end_matches('\n'));
            if error {
                self.messages.plain("");
            }
        }
        self.done = list.list.len();
    }

    /// How many parse errors there were: said before the pass is said to have failed.
    pub fn count(&mut self) {
        if self.parse_errors > 0 {
            let s = if self.parse_errors == 1 { "" } else { "s" };
            self.messages.plain(&format!("{} parse error{s}.", self.parse_errors));
        }
        self.parse_errors = 0;
    }

    /// What is left to say at the end: how many messages were left out.
    pub fn close(&mut self) {
        for (n, what) in [(self.suppressed_errors, "error"), (self.suppressed_warnings, "warning")] {
            if n > 0 {
                self.messages.plain(&format!("Number of similar {what} messages suppressed: {n}."));
            }
        }
        if self.suppressed_errors + self.suppressed_warnings > 0 {
            self.messages.plain("Rerun with -v to see them.");
        }
        self.suppressed_errors = 0;
        self.suppressed_warnings = 0;
    }
}
