//! Places in the source for the image: which token an instruction came from,
//! and the source lines that the listing shows.

use super::ir::NONE;
use crate::bytecode::{CodePlace, SourceLine};
use crate::diag::{SourceMap, Span};
use std::collections::HashMap;

/// Collects places; each token is kept once.
pub struct Lines<'a> {
    map: &'a SourceMap,
    index: HashMap<Span, u32>,
    /// The last answer: neighbours often ask for the same.
    last: Option<(Span, u32)>,
    file_of: HashMap<String, u32>,
    pub files: Vec<String>,
    pub places: Vec<CodePlace>,
    pub source: Vec<SourceLine>,
}

impl<'a> Lines<'a> {
    pub fn new(map: &'a SourceMap) -> Self {
        Self {
            map,
            index: HashMap::new(),
            last: None,
            file_of: HashMap::new(),
            files: Vec::new(),
            places: Vec::new(),
            source: Vec::new(),
        }
    }

    pub fn place(&mut self, span: Span) -> u32 {
        if let Some((s, n)) = self.last {
            if s == span {
                return n;
            }
        }
        let n = match self.index.get(&span) {
            Some(n) => *n,
            None => self.add(span),
        };
        self.last = Some((span, n));
        n
    }

    fn add(&mut self, span: Span) -> u32 {
        let at = self.map.resolve(span);
        let (line, col) = self.map.line_col(at);
        let name = &self.map.get(at.file).name;
        let file = match self.file_of.get(&**name) {
            Some(n) => *n,
            None => {
                self.files.push(name.to_string());
                self.file_of.insert(name.to_string(), self.files.len() as u32 - 1);
                self.files.len() as u32 - 1
            }
        };
        let token = token(self.map.slice(at));
        let n = self.places.len() as u32;
        self.places.push(CodePlace { token, file, line, col });
        if !self.source.iter().rev().take(8).any(|s| s.file == file && s.line == line) {
            self.source.push(SourceLine { file, line, text: self.map.line(at.file, line) });
        }
        debug_assert_ne!(n, NONE);
        self.index.insert(span, n);
        n
    }
}

const KEYWORDS: [&str; 21] = [
    "break", "case", "catch", "continue", "delete", "do", "else", "for", "foreach", "function", "global",
    "if", "in", "limit", "next", "private", "probe", "return", "switch", "try", "while",
];

/// A token as SystemTap's messages name it.
fn token(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let text = text.trim();
    let first = text.chars().next().unwrap_or(' ');
    let word: String = text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    match first {
        '"' => format!("string '{}'", text.trim_matches('"')),
        c if c.is_ascii_digit() => format!("number '{word}'"),
        _ if KEYWORDS.contains(&&*word) => "keyword".to_string(),
        c if c.is_alphabetic() || c == '_' => format!("identifier '{word}'"),
        '@' | '$' => {
            let name: String = text
                .chars()
                .enumerate()
                .take_while(|(i, c)| *i == 0 || c.is_alphanumeric() || *c == '_' || *c == '$')
                .map(|(_, c)| c)
                .collect();
            format!("{} '{name}'", if first == '@' { "operator" } else { "identifier" })
        }
        _ => {
            let op: String = text
                .chars()
                .take_while(|c| c.is_ascii_punctuation() && !"\"'@$_;".contains(*c))
                .take(4)
                .collect();
            format!("operator '{op}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::token;

    #[test]
    fn tokens_are_named_as_systemtap_names_them() {
        for (text, named) in [
            ("n", "identifier 'n'"),
            ("error(\"x\")", "identifier 'error'"),
            ("/", "operator '/'"),
            ("@hist_linear(s, 0, 10, 5)", "operator '@hist_linear'"),
            ("42", "number '42'"),
            ("\"abc\"", "string 'abc'"),
            ("while (1) n++", "keyword"),
            ("<<<", "operator '<<<'"),
            ("$file->f_flags", "identifier '$file'"),
        ] {
            assert_eq!(token(text.as_bytes()), named);
        }
    }
}
