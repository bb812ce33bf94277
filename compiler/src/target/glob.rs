//! Shell patterns over names: `*`, `?`, `[a-z]`, `[!x]`. A pattern without
//! these is the name itself. Time is bounded by pattern × name.

/// Does the text hold anything that makes it a pattern?
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Does the whole name match?
pub fn matches(pattern: &str, name: &str) -> bool {
    let (p, n) = (pattern.as_bytes(), name.as_bytes());
    let (mut pi, mut ni) = (0, 0);
    // where to go on when what follows the last `*` does not match
    let mut star: Option<(usize, usize)> = None;
    while ni < n.len() {
        match one(p, pi, n[ni]) {
            Some(next) => {
                pi = next;
                ni += 1;
            }
            None if p.get(pi) == Some(&b'*') => {
                star = Some((pi + 1, ni));
                pi += 1;
            }
            None => {
                let Some((after, from)) = star else { return false };
                star = Some((after, from + 1));
                (pi, ni) = (after, from + 1);
            }
        }
    }
    p[pi..].iter().all(|c| *c == b'*')
}

/// If the element of the pattern at `pi` takes this byte: where the next one begins.
fn one(p: &[u8], pi: usize, byte: u8) -> Option<usize> {
    match *p.get(pi)? {
        b'*' => None,
        b'?' => Some(pi + 1),
        b'[' => {
            let Some((inside, end)) = class(p, pi) else {
                return (byte == b'[').then_some(pi + 1);
            };
            let (negated, set) = match inside.first() {
                Some(b'!' | b'^') => (true, &inside[1..]),
                _ => (false, inside),
            };
            (in_set(set, byte) != negated).then_some(end)
        }
        c => (c == byte).then_some(pi + 1),
    }
}

/// What is between the brackets, and what comes after them. A `]` that comes first is a member.
fn class(p: &[u8], pi: usize) -> Option<(&[u8], usize)> {
    let from = pi + 1;
    let skip = usize::from(matches!(p.get(from), Some(b'!' | b'^'))) + 1;
    let close = p.get(from + skip..)?.iter().position(|c| *c == b']')? + from + skip;
    Some((&p[from..close], close + 1))
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    loop {
        set = match set {
            [] => return false,
            [lo, b'-', hi, rest @ ..] => {
                if (*lo..=*hi).contains(&byte) {
                    return true;
                }
                rest
            }
            [c, rest @ ..] => {
                if *c == byte {
                    return true;
                }
                rest
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (p, yes, no) in [
            ("vfs_*", vec!["vfs_", "vfs_read"], vec!["vfs", "_vfs_read"]),
            ("*read*", vec!["read", "vfs_readv", "readdir"], vec!["raed", ""]),
            ("a*b*c", vec!["abc", "aXbYbZc"], vec!["acb", "abcd"]),
            ("?d", vec!["fd"], vec!["d", "fdd"]),
            ("*", vec!["", "x"], vec![]),
            ("exact", vec!["exact"], vec!["exactly", "exac"]),
        ] {
            for name in yes {
                assert!(matches(p, name), "{p} should match {name}");
            }
            for name in no {
                assert!(!matches(p, name), "{p} should not match {name}");
            }
        }
    }

    #[test]
    fn brackets_are_sets_ranges_and_their_opposites() {
        assert!(matches("sys_[rw]*", "sys_write"));
        assert!(!matches("sys_[rw]*", "sys_open"));
        assert!(matches("x[0-9a-f]", "xb"));
        assert!(!matches("x[!0-9]", "x7"));
        assert!(matches("x[!0-9]", "xy"));
        assert!(matches("[]]", "]"));
        assert!(matches("[abc", "[abc"), "unclosed: a plain bracket");
    }
}
