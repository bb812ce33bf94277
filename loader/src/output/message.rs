//! Messages to the error stream, in SystemTap's form: `ERROR: …`, `WARNING: …`.
//! In: texts. Out: standard error. Decides colours, nothing else.

use std::io::{IsTerminal, Write};

/// Writes messages of the run.
#[derive(Clone, Debug)]
pub struct Messages {
    pub color: bool,
    /// `-w`
    pub no_warnings: bool,
}

impl Messages {
    /// Colours where the error stream is a terminal, unless told.
    pub fn new(color: crate::cli::Color, no_warnings: bool) -> Messages {
        use crate::cli::Color;
        // An empty SYSTEMTAP_COLORS switches colours off (man stap).
        let wanted = std::env::var_os("SYSTEMTAP_COLORS").is_none_or(|v| !v.is_empty());
        let color = match color {
            Color::Always => wanted,
            Color::Never => false,
            Color::Auto => {
                wanted
                    && std::io::stderr().is_terminal()
                    && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
            }
        };
        Messages { color, no_warnings }
    }

    pub fn error(&self, text: &[u8]) {
        self.line("01;31", "ERROR:", text);
    }

    pub fn warning(&self, text: &[u8]) {
        if !self.no_warnings {
            self.line("00;33", "WARNING:", text);
        }
    }

    /// What is good to know and no warning.
    pub fn note(&self, text: &str) {
        if !self.no_warnings {
            self.plain(&format!("stap: {text}"));
        }
    }

    /// A line without a kind.
    pub fn plain(&self, text: &str) {
        // A closed error stream leaves nobody to tell.
        let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
    }

    fn line(&self, color: &str, head: &str, text: &[u8]) {
        let mut out = Vec::with_capacity(text.len() + 24);
        if self.color {
            out.extend_from_slice(format!("\x1b[{color}m{head}\x1b[m ").as_bytes());
        } else {
            out.extend_from_slice(head.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(text);
        if out.last() != Some(&b'\n') {
            out.push(b'\n');
        }
        let _ = std::io::stderr().write_all(&out);
    }
}
