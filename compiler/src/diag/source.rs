//! The texts of a compilation and positions in them.
//!
//! Texts are bytes: a script need not be UTF-8. A macro that is expanded
//! gets a file of its own that shares the text of the file where it was
//! defined, so that a position says both where the token stands and which
//! invocation brought it.

use std::sync::Arc;

/// Number of a text in the [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A stretch of bytes of one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    pub file: FileId,
    pub lo: u32,
    pub hi: u32,
}

impl Span {
    /// From the start of `self` to the end of `other`, where both are in one text.
    pub fn to(self, other: Span) -> Span {
        if self.file == other.file {
            Span { hi: other.hi.max(self.hi), ..self }
        } else {
            self
        }
    }
}

/// Where a text came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The script that the user gave: a file's name as it was written, `<input>` for `-e` and `-`.
    User,
    /// A file of the tapset library.
    Library,
    /// The text of the file that holds the macro, read once more for the invocation at that place.
    Macro { at: Span },
    /// An argument of the script, put in at that place (`$1`, `@1`); positions in it are that place.
    Argument { at: Span },
}

/// A text with its name and where it came from.
#[derive(Clone, Debug)]
pub struct SourceFile {
    pub name: Arc<str>,
    pub text: Arc<[u8]>,
    pub origin: Origin,
    /// Byte offsets at which lines begin.
    lines: Arc<[u32]>,
}

/// All texts of one compilation.
#[derive(Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Takes a text in. Texts past 4 GiB are cut: positions are 32 bits.
    pub fn add(&mut self, name: impl Into<Arc<str>>, text: impl Into<Vec<u8>>, origin: Origin) -> FileId {
        let mut text: Vec<u8> = text.into();
        text.truncate(u32::MAX as usize - 1);
        let mut lines = vec![0];
        lines.extend(text.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i as u32 + 1));
        self.push(SourceFile { name: name.into(), text: text.into(), origin, lines: lines.into() })
    }
    /// `file` once more, for the macro invocation at `at`.
    pub fn add_expansion(&mut self, file: FileId, at: Span) -> FileId {
        let f = SourceFile { origin: Origin::Macro { at }, ..self.get(file).clone() };
        self.push(f)
    }
    fn push(&mut self, f: SourceFile) -> FileId {
        self.files.push(f);
        FileId(self.files.len() as u32 - 1)
    }
    pub fn get(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }
    /// The bytes of a span.
    pub fn slice(&self, span: Span) -> &[u8] {
        self.get(span.file).text.get(span.lo as usize..span.hi as usize).unwrap_or(b"")
    }
    /// The place in a file for a span in an argument of the script; others as they are.
    pub fn resolve(&self, mut span: Span) -> Span {
        while let Origin::Argument { at } = self.get(span.file).origin {
            span = at;
        }
        span
    }
    /// The invocations that brought a span in, innermost first.
    pub fn expansions(&self, span: Span) -> Vec<Span> {
        let mut out = Vec::new();
        let mut span = self.resolve(span);
        while let Origin::Macro { at } = self.get(span.file).origin {
            out.push(at);
            span = self.resolve(at);
        }
        out
    }
    /// Is the text, or the invocation that brought it in, the user's own?
    pub fn is_user(&self, span: Span) -> bool {
        let outer = self.expansions(span).last().copied().unwrap_or(span);
        self.get(self.resolve(outer).file).origin == Origin::User
    }
    /// Line and column, both from 1; columns count bytes, as SystemTap's do.
    pub fn line_col(&self, span: Span) -> (u32, u32) {
        let span = self.resolve(span);
        let lines = &self.get(span.file).lines;
        let line = lines.partition_point(|start| *start <= span.lo).max(1);
        (line as u32, span.lo - lines[line - 1] + 1)
    }
    /// The text of a line (from 1), without its end; what is no UTF-8 is replaced.
    pub fn line(&self, file: FileId, line: u32) -> String {
        let f = self.get(file);
        let lo = line.checked_sub(1).and_then(|i| f.lines.get(i as usize)).copied().unwrap_or(0) as usize;
        let rest = f.text.get(lo..).unwrap_or(b"");
        let end = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let end = if rest[..end].ends_with(b"\r") { end - 1 } else { end };
        String::from_utf8_lossy(&rest[..end]).into_owned()
    }
    /// `name:line:column`.
    pub fn place(&self, span: Span) -> String {
        let (line, col) = self.line_col(span);
        format!("{}:{line}:{col}", self.get(self.resolve(span).file).name)
    }
}
