//! Names that people type: wildcards, and the nearest names to one that is
//! not there. In: strings. Out: strings. Knows no scripts.

/// Whether `pattern` matches all of `name`. `*` stands for any bytes but a
/// dot, `**` for any bytes, `?` for one byte that is not a dot, `[ab]`,
/// `[a-z]`, `[!a]` for one byte of (or not of) a set: fnmatch(7), with the
/// dots of probe points in the part of slashes (stapprobes, "wildcards").
pub fn glob(pattern: &str, name: &str) -> bool {
    matches(pattern.as_bytes(), name.as_bytes())
}

/// Whether a component of a probe point is a pattern.
pub fn is_glob(s: &str) -> bool {
    s.contains(['*', '?', '['])
}

fn matches(mut p: &[u8], mut s: &[u8]) -> bool {
    // The last star passed: what follows it, where it may grow from, whether it crosses dots.
    let mut retry: Option<(&[u8], &[u8], bool)> = None;
    loop {
        let step = match p.first() {
            Some(b'*') => {
                let deep = p.get(1) == Some(&b'*');
                let rest = &p[if deep { 2 } else { 1 }..];
                // A shallow star inside the reach of a deep one gives way to it only when it fails
                // at a dot; recursion keeps both exact, and patterns are short.
                if retry.is_some_and(|(_, _, d)| d) && !deep {
                    let mut end = 0;
                    loop {
                        if matches(rest, &s[end..]) {
                            return true;
                        }
                        if end >= s.len() || s[end] == b'.' {
                            break;
                        }
                        end += 1;
                    }
                    false
                } else {
                    retry = Some((rest, s, deep));
                    p = rest;
                    continue;
                }
            }
            Some(b'?') => s.first().is_some_and(|c| *c != b'.').then(|| p = &p[1..]).is_some(),
            Some(b'[') => match (set(p, s.first().copied()), s.is_empty()) {
                (Some((true, rest)), false) => {
                    p = rest;
                    true
                }
                _ => false,
            },
            Some(c) => (s.first() == Some(c)).then(|| p = &p[1..]).is_some(),
            None if s.is_empty() => return true,
            None => false,
        };
        if step {
            s = &s[1..];
            continue;
        }
        match retry {
            Some((rest, from, deep)) if !from.is_empty() && (deep || from[0] != b'.') => {
                retry = Some((rest, &from[1..], deep));
                p = rest;
                s = &from[1..];
            }
            _ => return false,
        }
    }
}

/// A `[…]` at the head of `p`: whether `c` is in it, and what follows it.
fn set(p: &[u8], c: Option<u8>) -> Option<(bool, &[u8])> {
    let negated = matches!(p.get(1), Some(b'!' | b'^'));
    let mut i = if negated { 2 } else { 1 };
    let first = i;
    let mut found = false;
    loop {
        let lo = *p.get(i)?;
        if lo == b']' && i > first {
            return Some((found != negated, &p[i + 1..]));
        }
        let hi = match (p.get(i + 1), p.get(i + 2)) {
            (Some(b'-'), Some(hi)) if *hi != b']' => {
                i += 2;
                *hi
            }
            _ => lo,
        };
        found |= c.is_some_and(|c| lo <= c && c <= hi);
        i += 1;
    }
}

/// Edit distance of two names: insertions, deletions, replacements, each 1.
pub fn distance(a: &str, b: &str) -> usize {
    let b = b.as_bytes();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

/// The up to five nearest of `candidates`, nearest first, equals in
/// alphabetical order. Names that share less than half with `name` are left out.
pub fn similar<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let reach = (name.len() / 2).max(2);
    let mut near: Vec<(usize, &str)> = candidates
        .into_iter()
        .filter(|c| c.len().abs_diff(name.len()) <= reach && !c.is_empty())
        .map(|c| (distance(name, c), c))
        .filter(|(d, c)| *d <= reach && *d < name.len().max(c.len()))
        .collect();
    near.sort_unstable();
    near.dedup();
    near.truncate(5);
    near.into_iter().map(|(_, c)| c.to_string()).collect()
}

/// ` (similar: a, b)`, or nothing where nothing is near.
pub fn similar_note(names: &[String]) -> String {
    if names.is_empty() {
        String::new()
    } else {
        format!(" (similar: {})", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_component_and_two_do_not() {
        assert!(glob("syscall.*", "syscall.open"));
        assert!(!glob("syscall.*", "syscall.open.return"));
        assert!(glob("syscall.**", "syscall.open.return"));
        assert!(glob("**.return", "syscall.open.return"));
        assert!(glob("**", "a.b.c"));
        assert!(glob("sys**.*", "syscall.open.return"));
        assert!(!glob("**.ret", "syscall.open.return"));
    }

    #[test]
    fn sets_and_single_bytes_match_one_byte() {
        assert!(glob("s[a-c]?[!x]", "sbzy"));
        assert!(!glob("s[a-c]?[!x]", "sbzx"));
        assert!(!glob("s[a-c]", "s"));
        assert!(!glob("s[", "s["));
        assert!(glob("*a*b*c", "xaxbxbc"));
        assert!(!glob("*a*b*c", "xaxcxc"));
    }

    #[test]
    fn distance_counts_single_edits() {
        assert_eq!(distance("strlenn", "strlen"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }

    #[test]
    fn the_nearest_name_comes_first_and_far_ones_do_not_come() {
        let names = ["strlen", "strpos", "substr", "execname"];
        assert_eq!(similar("strlenn", names)[0], "strlen");
        assert!(similar("qqqqqqqqq", names).is_empty());
    }
}
