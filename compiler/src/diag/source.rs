//! The texts of a compilation and positions in them.

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
    /// The body of a macro, expanded at that place.
    Macro { at: Span },
}

#[derive(Clone, Debug)]
pub struct SourceFile {
    pub name: String,
    pub text: String,
    pub origin: Origin,
    /// Byte offsets at which lines begin.
    lines: Vec<u32>,
}

/// All texts of one compilation.
#[derive(Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>, origin: Origin) -> FileId {
        let text = text.into();
        let mut lines = vec![0];
        lines.extend(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i as u32 + 1));
        self.files.push(SourceFile { name: name.into(), text, origin, lines });
        FileId(self.files.len() as u32 - 1)
    }
    pub fn get(&self, id: FileId) -> &SourceFile {
        &self.files[id.0 as usize]
    }
    /// Line and column, both from 1; columns count bytes, as SystemTap's do.
    pub fn line_col(&self, span: Span) -> (u32, u32) {
        let lines = &self.get(span.file).lines;
        let line = lines.partition_point(|start| *start <= span.lo).max(1);
        (line as u32, span.lo - lines[line - 1] + 1)
    }
    /// The text of a line (from 1), without its end.
    pub fn line(&self, file: FileId, line: u32) -> &str {
        let f = self.get(file);
        let lo = f.lines[line as usize - 1] as usize;
        f.text[lo..].split('\n').next().unwrap_or("")
    }
    /// `name:line:column`.
    pub fn place(&self, span: Span) -> String {
        let (line, col) = self.line_col(span);
        format!("{}:{line}:{col}", self.get(span.file).name)
    }
}
