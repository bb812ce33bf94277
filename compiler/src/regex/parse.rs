//! POSIX extended regular expressions to a tree.

use super::RegexError;

/// Set of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteSet(pub [u64; 4]);

impl ByteSet {
    pub const NONE: ByteSet = ByteSet([0; 4]);
    pub const ALL: ByteSet = ByteSet([u64::MAX; 4]);
    pub fn insert(&mut self, b: u8) {
        self.0[usize::from(b >> 6)] |= 1 << (b & 63);
    }
    pub fn contains(&self, b: u8) -> bool {
        self.0[usize::from(b >> 6)] >> (b & 63) & 1 != 0
    }
    fn of(test: impl Fn(u8) -> bool) -> Self {
        let mut set = Self::NONE;
        (0..=255).filter(|b| test(*b)).for_each(|b| set.insert(b));
        set
    }
    fn union(&mut self, other: &ByteSet) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a |= b);
    }
    fn negated(self) -> Self {
        ByteSet(self.0.map(|w| !w))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    Empty,
    Bytes(ByteSet),
    Start,
    End,
    Cat(Vec<Node>),
    Alt(Vec<Node>),
    Repeat { node: Box<Node>, min: u32, max: Option<u32> },
    Group(usize, Box<Node>),
}

/// Most repetitions that `{n,m}` may ask for.
const MAX_REPEAT: u32 = 255;
/// Groups beyond this have no tags (`RX_MAX_TAGS` of `core/regex.h`).
const MAX_GROUPS: usize = 16;
/// Depth of parentheses; bounds the recursion.
const MAX_DEPTH: usize = 64;

/// The tree, and how many groups there are (the whole match counted).
pub fn parse(pattern: &[u8]) -> Result<(Node, usize), RegexError> {
    let mut p = Parser { text: pattern, at: 0, groups: 1, depth: 0 };
    let node = p.alternation()?;
    match p.peek() {
        None => Ok((node, p.groups)),
        Some(_) => p.error(p.at, "unexpected )"),
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    groups: usize,
    depth: usize,
}

impl Parser<'_> {
    fn error<T>(&self, at: usize, what: impl Into<String>) -> Result<T, RegexError> {
        Err(RegexError::Syntax { at, what: what.into() })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, b: u8) -> bool {
        let hit = self.peek() == Some(b);
        self.at += usize::from(hit);
        hit
    }

    fn alternation(&mut self) -> Result<Node, RegexError> {
        let mut branches = vec![self.branch()?];
        while self.take(b'|') {
            branches.push(self.branch()?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Alt(branches) })
    }

    fn branch(&mut self) -> Result<Node, RegexError> {
        let mut list = Vec::new();
        while let Some(b) = self.peek() {
            if b == b'|' || b == b')' {
                break;
            }
            let mut node = self.atom()?;
            while let Some((min, max)) = self.repetition()? {
                node = Node::Repeat { node: Box::new(node), min, max };
            }
            list.push(node);
        }
        Ok(match list.len() {
            0 => Node::Empty,
            1 => list.remove(0),
            _ => Node::Cat(list),
        })
    }

    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, RegexError> {
        let bounds = match self.peek() {
            Some(b'*') => (0, None),
            Some(b'+') => (1, None),
            Some(b'?') => (0, Some(1)),
            Some(b'{') => return self.counted().map(Some),
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(bounds))
    }

    fn counted(&mut self) -> Result<(u32, Option<u32>), RegexError> {
        let open = self.at;
        self.at += 1;
        let low = self.number()?;
        let (min, max) = if self.take(b',') {
            (low.unwrap_or(0), self.number()?)
        } else {
            match low {
                Some(n) => (n, Some(n)),
                None => return self.error(open, "expected a number after {"),
            }
        };
        if !self.take(b'}') {
            return self.error(self.at, "expected }");
        }
        if max.is_some_and(|max| max < min) {
            return self.error(open, format!("inverted repetition {{{min},{}}}", max.unwrap_or(0)));
        }
        Ok((min, max))
    }

    fn number(&mut self) -> Result<Option<u32>, RegexError> {
        let start = self.at;
        let mut value = 0;
        while let Some(d @ b'0'..=b'9') = self.peek() {
            value = value * 10 + u32::from(d - b'0');
            if value > MAX_REPEAT {
                return self.error(start, format!("repetition above {MAX_REPEAT}"));
            }
            self.at += 1;
        }
        Ok((self.at > start).then_some(value))
    }

    fn atom(&mut self) -> Result<Node, RegexError> {
        let start = self.at;
        let Some(b) = self.peek() else { return Ok(Node::Empty) };
        self.at += 1;
        Ok(match b {
            b'(' => {
                let n = self.groups;
                self.groups += 1;
                self.depth += 1;
                if n >= MAX_GROUPS || self.depth > MAX_DEPTH {
                    return Err(RegexError::TooLarge { what: "groups", limit: MAX_GROUPS - 1 });
                }
                let inner = self.alternation()?;
                if !self.take(b')') {
                    return self.error(start + 1, "expected ), found end of regex");
                }
                self.depth -= 1;
                Node::Group(n, Box::new(inner))
            }
            b'[' => Node::Bytes(self.bracket()?),
            b'.' => Node::Bytes(ByteSet::ALL),
            b'^' => Node::Start,
            b'$' => Node::End,
            b'*' | b'+' | b'?' | b'{' => {
                return self.error(start, format!("unexpected '{}'", b as char));
            }
            b'\\' => Node::Bytes(self.escape(start)?),
            _ => Node::Bytes(ByteSet::of(|x| x == b)),
        })
    }

    fn escape(&mut self, start: usize) -> Result<ByteSet, RegexError> {
        let Some(b) = self.peek() else {
            return self.error(start, "unexpected end of regex after \\");
        };
        self.at += 1;
        let word = |x: u8| x.is_ascii_alphanumeric() || x == b'_';
        Ok(match b {
            b'w' => ByteSet::of(word),
            b'W' => ByteSet::of(|x| !word(x)),
            b's' => ByteSet::of(|x| x.is_ascii_whitespace() || x == 11),
            b'S' => ByteSet::of(|x| !(x.is_ascii_whitespace() || x == 11)),
            b'0'..=b'9' => return self.error(start, "backreferences are not supported"),
            b'b' | b'B' | b'<' | b'>' => {
                return self.error(start, "word boundaries are not supported");
            }
            _ => ByteSet::of(|x| x == b),
        })
    }

    /// After `[`. A `]` first, a `-` first or last are themselves.
    fn bracket(&mut self) -> Result<ByteSet, RegexError> {
        let mut set = ByteSet::NONE;
        let negated = self.take(b'^');
        let first = self.at;
        loop {
            let Some(b) = self.peek() else {
                return self.error(first, "expected ], found end of regex");
            };
            if b == b']' && self.at > first {
                self.at += 1;
                break;
            }
            if b == b'[' && self.text.get(self.at + 1) == Some(&b':') {
                set.union(&self.named_class()?);
                continue;
            }
            self.at += 1;
            let range = self.peek() == Some(b'-') && !matches!(self.text.get(self.at + 1), None | Some(b']'));
            if !range {
                set.insert(b);
                continue;
            }
            let high = self.text[self.at + 1];
            self.at += 2;
            if high < b {
                let what = format!("Inverted character range {}-{}", b as char, high as char);
                return self.error(self.at, what);
            }
            (b..=high).for_each(|x| set.insert(x));
        }
        Ok(if negated { set.negated() } else { set })
    }

    fn named_class(&mut self) -> Result<ByteSet, RegexError> {
        let start = self.at;
        let rest = &self.text[start + 2..];
        let Some(len) = rest.windows(2).position(|w| w == b":]") else {
            return self.error(start, "expected :]");
        };
        let name = &rest[..len];
        self.at = start + 2 + len + 2;
        let test: fn(u8) -> bool = match name {
            b"alpha" => |b| b.is_ascii_alphabetic(),
            b"digit" => |b| b.is_ascii_digit(),
            b"alnum" => |b| b.is_ascii_alphanumeric(),
            b"upper" => |b| b.is_ascii_uppercase(),
            b"lower" => |b| b.is_ascii_lowercase(),
            b"space" => |b| b.is_ascii_whitespace() || b == 11,
            b"blank" => |b| b == b' ' || b == b'\t',
            b"punct" => |b| b.is_ascii_punctuation(),
            b"print" => |b| b == b' ' || b.is_ascii_graphic(),
            b"graph" => |b| b.is_ascii_graphic(),
            b"cntrl" => |b| b.is_ascii_control(),
            b"xdigit" => |b| b.is_ascii_hexdigit(),
            _ => {
                let name = String::from_utf8_lossy(name).into_owned();
                return self.error(start, format!("unknown character class [:{name}:]"));
            }
        };
        Ok(ByteSet::of(test))
    }
}
