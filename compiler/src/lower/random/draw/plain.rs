//! What the evaluator knows without a script's state: strings that are cut, what statistics say,
//! formats.

use super::Val;

const MAXSTRINGLEN: usize = 512;

pub fn cut(mut s: Vec<u8>) -> Val {
    s.truncate(MAXSTRINGLEN - 1);
    Val::Str(s)
}

pub fn empty(string: bool) -> Val {
    if string {
        Val::Str(Vec::new())
    } else {
        Val::Int(0)
    }
}

/// `slice` picks an entry: equal keys, `None` fits all.
pub fn fits(slice: &[Option<Val>], keys: &[Val]) -> bool {
    slice.iter().zip(keys).all(|(s, k)| s.as_ref().is_none_or(|s| s == k))
}

pub fn aggregate(op: &str, values: &[i64]) -> Option<i64> {
    let sum = values.iter().fold(0i64, |a, b| a.wrapping_add(*b));
    match op {
        "@count" => Some(values.len() as i64),
        "@sum" => Some(sum),
        "@min" => values.iter().min().copied(),
        "@max" => values.iter().max().copied(),
        "@avg" => (!values.is_empty()).then(|| sum / values.len() as i64),
        "@variance" => (!values.is_empty()).then(|| variance(values)),
        op => panic!("{op}"),
    }
}

/// Welford's way in whole numbers (stap(1), STATISTICS), then corrected to the mean of all.
fn variance(values: &[i64]) -> i64 {
    let (mut mean, mut m2, mut n) = (0, 0, 0);
    for v in values {
        n += 1;
        let delta = v - mean;
        mean += delta / n;
        m2 += delta * (v - mean);
    }
    if n < 2 {
        return 0;
    }
    let off = mean - values.iter().sum::<i64>() / n;
    ((n - 1) * (m2 / (n - 1)) + n * off * off) / (n - 1)
}

/// One conversion after another; only what the drawn formats use.
pub fn formatted(format: &str, args: &[Val]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut args = args.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.extend(before.bytes());
        if let Some(tail) = after.strip_prefix('%') {
            out.push(b'%');
            rest = tail;
            continue;
        }
        let end = after.find(|c: char| c.is_ascii_alphabetic()).expect("a letter");
        let (spec, letter) = (&after[..end], after.as_bytes()[end]);
        rest = &after[end + 1..];
        let (spec, precision) = spec.split_once('.').map_or((spec, None), |(a, p)| (a, p.parse().ok()));
        let left = spec.starts_with('-');
        let zero = spec.starts_with('0');
        let width: usize = spec.trim_start_matches(['-', '0']).parse().unwrap_or(0);
        let mut piece = match (letter, args.next().expect("an argument")) {
            (b'd', Val::Int(n)) => n.to_string().into_bytes(),
            (b'u', Val::Int(n)) => (*n as u64).to_string().into_bytes(),
            (b'x', Val::Int(n)) => format!("{n:x}").into_bytes(),
            (b's', Val::Str(s)) => s[..s.len().min(precision.unwrap_or(s.len()))].to_vec(),
            (c, v) => panic!("%{} of {v:?}", c as char),
        };
        let pad = width.saturating_sub(piece.len());
        if left {
            piece.extend(vec![b' '; pad]);
        } else {
            let sign = usize::from(zero && piece.first() == Some(&b'-'));
            piece.splice(sign..sign, vec![if zero { b'0' } else { b' ' }; pad]);
        }
        out.extend(piece);
    }
    out.extend(rest.bytes());
    out
}

/// As `print` writes them.
pub fn plain(args: &[Val]) -> Vec<u8> {
    let mut out = Vec::new();
    for v in args {
        match v {
            Val::Int(n) => out.extend(n.to_string().bytes()),
            Val::Str(t) => out.extend(t),
        }
    }
    out
}
