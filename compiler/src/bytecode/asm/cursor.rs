//! A place in a line, and the words, numbers and strings that are read from there.

use super::Step;

/// A place in a line.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self { rest: line }
    }
    pub(super) fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }
    pub(super) fn at_end(&mut self) -> bool {
        self.skip();
        // `#3` is a dfa, `# text` a comment.
        let comment = self.rest.starts_with('#') && !self.rest[1..].starts_with(|c: char| c.is_ascii_digit());
        self.rest.is_empty() || comment
    }
    pub(super) fn end(&mut self) -> Step<()> {
        if self.at_end() {
            Ok(())
        } else {
            Err(format!("unexpected {}", self.rest))
        }
    }
    pub(super) fn rest(&mut self) -> &'a str {
        std::mem::take(&mut self.rest)
    }
    pub(super) fn eat(&mut self, what: &str) -> bool {
        self.skip();
        match self.rest.strip_prefix(what) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
    pub(super) fn expect(&mut self, what: &str) -> Step<()> {
        if self.eat(what) {
            Ok(())
        } else {
            Err(format!("expected {what} before {:?}", self.rest))
        }
    }
    pub(super) fn comma(&mut self, first: &mut bool) -> Step<()> {
        if std::mem::replace(first, false) {
            Ok(())
        } else {
            self.expect(",")
        }
    }
    /// Letters, digits, `_`, and dots that stand before one of them.
    pub(super) fn word(&mut self) -> &'a str {
        self.skip();
        let bytes = self.rest.as_bytes();
        let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let mut n = 0;
        while part(bytes.get(n)) || (bytes.get(n) == Some(&b'.') && part(bytes.get(n + 1))) {
            n += 1;
        }
        let (word, rest) = self.rest.split_at(n);
        self.rest = rest;
        word
    }
    pub(super) fn name(&mut self) -> Step<String> {
        self.skip();
        if self.rest.starts_with('"') {
            return self.text();
        }
        match self.word() {
            "" => Err(format!("expected a name before {:?}", self.rest)),
            word => Ok(word.to_string()),
        }
    }
    pub(super) fn plain_number(&mut self) -> Option<u32> {
        let mut ahead = self.clone();
        let n = ahead.word().parse().ok()?;
        *self = ahead;
        Some(n)
    }
    pub(super) fn number(&mut self) -> Step<i64> {
        let negative = self.eat("-");
        let word = self.word();
        let text = if negative { format!("-{word}") } else { word.to_string() };
        text.parse().map_err(|_| format!("expected a number, not {text:?}"))
    }
    pub(super) fn small(&mut self) -> Step<u8> {
        self.number()?.try_into().map_err(|_| "number out of range".into())
    }
    pub(super) fn register(&mut self, letter: char) -> Option<u8> {
        let mut ahead = self.clone();
        let n = ahead.word().strip_prefix(letter)?.parse().ok()?;
        *self = ahead;
        Some(n)
    }
    /// `..r4` after `r2`: shown for people, the callee says how many there are.
    pub(super) fn range_end(&mut self, letter: char) -> Step<()> {
        if self.eat("..") && self.register(letter).is_none() {
            return Err(format!("expected a register {letter}N after .."));
        }
        Ok(())
    }
    /// `3:` or `1/3:`; the file is 0 where it is not named.
    pub(super) fn file_line(&mut self) -> Step<(u32, u32)> {
        let first = self.number()?;
        let pair = if self.eat("/") { (first, self.number()?) } else { (0, first) };
        self.expect(":")?;
        match (u32::try_from(pair.0), u32::try_from(pair.1)) {
            (Ok(file), Ok(line)) => Ok((file, line)),
            _ => Err("line out of range".into()),
        }
    }
    pub(super) fn text(&mut self) -> Step<String> {
        String::from_utf8(self.bytes()?).map_err(|e| e.to_string())
    }
    /// A quoted string, escapes as in [`Bytes`]' text.
    pub(super) fn bytes(&mut self) -> Step<Vec<u8>> {
        self.expect("\"")?;
        let bytes = self.rest.as_bytes();
        let (mut out, mut n) = (Vec::new(), 0);
        loop {
            match bytes.get(n) {
                None => return Err("unterminated string".into()),
                Some(b'"') => break,
                Some(b'\\') => {
                    let octal: String = bytes[n + 1..]
                        .iter()
                        .take(3)
                        .map(|b| *b as char)
                        .take_while(char::is_ascii_digit)
                        .collect();
                    let (byte, len) = match bytes.get(n + 1) {
                        Some(b'n') => (b'\n', 1),
                        Some(b't') => (b'\t', 1),
                        Some(b'r') => (b'\r', 1),
                        Some(b'"') => (b'"', 1),
                        Some(b'\\') => (b'\\', 1),
                        _ => {
                            let byte = u8::from_str_radix(&octal, 8).map_err(|_| "unknown escape")?;
                            (byte, octal.len())
                        }
                    };
                    out.push(byte);
                    n += 1 + len;
                }
                Some(b) => {
                    out.push(*b);
                    n += 1;
                }
            }
        }
        self.rest = &self.rest[n + 1..];
        Ok(out)
    }
}
