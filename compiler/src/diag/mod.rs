//! Diagnostics: where a text came from and what is wrong with it.
//!
//! In: spans and messages from every stage. Out: text for people, in
//! SystemTap's form. Never prints by itself, never ends the process.

mod palette;
mod render;
mod source;

pub use palette::Palette;
pub use render::{render, render_in};
pub use source::{FileId, Origin, SourceFile, SourceMap, Span};

/// Which pass a diagnostic belongs to; names the prefix that people see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `parse error:` (pass 1)
    Parse,
    /// `semantic error:` (pass 2)
    Semantic,
    /// Translation (pass 3): what the image can't hold.
    Translate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Error,
    Warning,
}

/// One message with the places that it is about.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    pub stage: Stage,
    pub severity: Severity,
    /// Stable name, for tests and for the manual: `unknown-function`.
    pub code: &'static str,
    pub message: String,
    /// Main place; `None` for what is about no text (an option, a file).
    pub span: Option<Span>,
    /// What stands there, as SystemTap names it: `identifier 'x'`, `operator '/'`, `keyword at …`.
    pub token: Option<String>,
    /// More places, each with a message of its own.
    pub related: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    pub fn error(stage: Stage, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            stage,
            severity: Severity::Error,
            code,
            message: message.into(),
            span: None,
            token: None,
            related: Vec::new(),
            help: None,
        }
    }
    pub fn warning(stage: Stage, code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(stage, code, message) }
    }
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }
    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push((span, message.into()));
        self
    }
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// What the stages report into. Order is kept.
#[derive(Debug, Default)]
pub struct Diagnostics {
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    pub fn push(&mut self, d: Diagnostic) {
        self.list.push(d);
    }
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }
    pub fn errors(&self) -> usize {
        self.list.iter().filter(|d| d.severity == Severity::Error).count()
    }
}
