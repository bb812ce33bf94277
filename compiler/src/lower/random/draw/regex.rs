//! Patterns whose matches a person can compute: each with a function that
//! finds the leftmost longest one.

/// Where a match begins and ends.
type Found = Option<(usize, usize)>;

/// A pattern and what finds it.
pub type Pattern = (&'static str, fn(&[u8]) -> Found);

pub const PATTERNS: [Pattern; 9] = [
    ("a", |s| first(s, |b| b == b'a').map(|i| (i, i + 1))),
    ("^b", |s| (s.first() == Some(&b'b')).then_some((0, 1))),
    ("c$", |s| (s.last() == Some(&b'c')).then(|| (s.len() - 1, s.len()))),
    ("[a-c]+", |s| {
        let in_class = |b: u8| (b'a'..=b'c').contains(&b);
        first(s, in_class).map(|i| (i, run(s, i, in_class)))
    }),
    ("x(y|z)*", |s| first(s, |b| b == b'x').map(|i| (i, run(s, i + 1, |b| b == b'y' || b == b'z')))),
    ("^$", |s| s.is_empty().then_some((0, 0))),
    ("z?", |s| Some((0, usize::from(s.first() == Some(&b'z'))))),
    ("bc|b", |s| first(s, |b| b == b'b').map(|i| (i, i + 1 + usize::from(s.get(i + 1) == Some(&b'c'))))),
    ("[^a]{2}", |s| s.windows(2).position(|w| w[0] != b'a' && w[1] != b'a').map(|i| (i, i + 2))),
];

fn first(s: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    s.iter().position(|b| wanted(*b))
}

/// Behind the bytes from `i` on that are wanted.
fn run(s: &[u8], i: usize, wanted: impl Fn(u8) -> bool) -> usize {
    i + s[i..].iter().take_while(|b| wanted(**b)).count()
}
