//! Messages to the error stream, in SystemTap's form: `ERROR: …`, `WARNING: …`.
//! In: texts. Out: standard error. Decides colours, nothing else.

use std::io::{IsTerminal, Write};
use stp_compiler::diag::Palette;

/// An error of the system in words: without the number that Rust adds for programmers.
pub fn reason(e: &dyn std::fmt::Display) -> String {
    let text = e.to_string();
    let number = text.rfind(" (os error ").and_then(|at| Some((at, at + text[at..].find(')')? + 1)));
    match number {
        Some((from, to)) => text[..from].to_string() + &text[to..],
        None => text,
    }
}

/// Writes messages of the run.
#[derive(Clone, Debug)]
pub struct Messages {
    /// Without colour where there is to be none.
    pub palette: Palette,
    /// `-w`
    pub no_warnings: bool,
}

impl Messages {
    /// Colours where the error stream is a terminal, unless told.
    pub fn new(color: crate::cli::Color, no_warnings: bool) -> Messages {
        use crate::cli::Color;
        let wanted = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
            }
        };
        // An empty or odd SYSTEMTAP_COLORS switches colours off (stap(1)).
        let palette = match std::env::var_os("SYSTEMTAP_COLORS") {
            _ if !wanted => None,
            None => Some(Palette::default()),
            Some(v) => v.to_str().and_then(Palette::parse),
        };
        Messages { palette: palette.unwrap_or_else(Palette::plain), no_warnings }
    }

    pub fn error(&self, text: &[u8]) {
        self.line(&self.palette.error, "ERROR:", text);
    }

    pub fn warning(&self, text: &[u8]) {
        if !self.no_warnings {
            self.line(&self.palette.warning, "WARNING:", text);
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
        out.extend_from_slice(Palette::paint(color, head).as_bytes());
        out.push(b' ');
        out.extend_from_slice(text);
        if out.last() != Some(&b'\n') {
            out.push(b'\n');
        }
        let _ = std::io::stderr().write_all(&out);
    }
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn errors_of_the_system_are_told_without_their_number() {
        let e = std::io::Error::from_raw_os_error(libc::ENOSPC);
        assert_eq!(reason(&e), "No space left on device");
        assert_eq!(reason(&"a (b)"), "a (b)");
        assert_eq!(reason(&"not armed (Invalid argument (os error 22))"), "not armed (Invalid argument)");
    }
}
