//! Values of literals.
//!
//! In: the text of a number or string token. Out: what it is worth.

use crate::bytes::Bytes;

/// A number as the language reads it: decimal, `0x…`, `0…` octal; 64 bits,
/// values past 2^63 wrap around. `None` where it is malformed or out of range.
pub fn number(text: &[u8]) -> Option<i64> {
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        _ => (10, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for b in digits {
        let digit = (*b as char).to_digit(radix)?;
        value = value.checked_mul(radix.into())?.checked_add(digit.into())?;
    }
    Some(value as i64)
}

/// A bad escape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape {
    /// Offset of the backslash in the token.
    pub at: usize,
}

/// The bytes of a string token, quotes included: C's escapes, an unknown one is
/// the character itself, backslash and end of line is nothing.
pub fn string(token: &[u8]) -> Result<Vec<u8>, BadEscape> {
    let body = token.strip_prefix(b"\"").unwrap_or(token);
    let body = body.strip_suffix(b"\"").unwrap_or(body);
    let mut out = Vec::with_capacity(body.len());
    let mut i = 0;
    while let Some(&b) = body.get(i) {
        i += 1;
        if b != b'\\' {
            out.push(b);
            continue;
        }
        let Some(&e) = body.get(i) else { break };
        i += 1;
        match e {
            b'a' => out.push(7),
            b'b' => out.push(8),
            b't' => out.push(b'\t'),
            b'n' => out.push(b'\n'),
            b'v' => out.push(11),
            b'f' => out.push(12),
            b'r' => out.push(b'\r'),
            b'\n' => {}
            b'0'..=b'7' => {
                let digits = digits(&body[i - 1..], 8, 3);
                i += digits.len() - 1;
                out.push(digits.iter().fold(0u32, |v, d| v * 8 + (d - b'0') as u32) as u8);
            }
            b'x' => {
                let digits = digits(&body[i..], 16, 2);
                if digits.is_empty() {
                    return Err(BadEscape { at: i - 1 });
                }
                i += digits.len();
                out.push(digits.iter().fold(0, |v, d| v * 16 + (*d as char).to_digit(16).unwrap_or(0) as u8));
            }
            other => out.push(other),
        }
    }
    Ok(out)
}

/// Strings of the language end at a NUL, whoever wrote it.
pub fn until_nul(mut bytes: Vec<u8>) -> Bytes {
    if let Some(n) = memchr::memchr(0, &bytes) {
        bytes.truncate(n);
    }
    Bytes(bytes)
}

fn digits(s: &[u8], radix: u32, most: usize) -> &[u8] {
    let n = s.iter().take(most).take_while(|b| (**b as char).is_digit(radix)).count();
    &s[..n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap_at_two_to_the_64() {
        assert_eq!(number(b"0"), Some(0));
        assert_eq!(number(b"0x1f"), Some(31));
        assert_eq!(number(b"0XFf"), Some(255));
        assert_eq!(number(b"010"), Some(8));
        assert_eq!(number(b"9223372036854775808"), Some(i64::MIN));
        assert_eq!(number(b"18446744073709551615"), Some(-1));
        for bad in ["18446744073709551616", "0x", "0xZZ", "089", "12abc", "0b11", "1e5", ""] {
            assert_eq!(number(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn escapes_are_c_s() {
        let s = |t: &str| string(t.as_bytes());
        assert_eq!(s(r#""tab\tq\"q\\ \x41 \101 \60""#), Ok(b"tab\tq\"q\\ A A 0".to_vec()));
        assert_eq!(s(r#""\a\b\v\f\r\n""#), Ok(vec![7, 8, 11, 12, 13, 10]));
        assert_eq!(s(r#""\q\z\e""#), Ok(b"qze".to_vec()));
        assert_eq!(s(r#""[\0601][\x4]""#), Ok(b"[01][\x04]".to_vec()));
        assert_eq!(s(r#""\xff\377""#), Ok(vec![255, 255]));
        assert_eq!(s("\"a\\\nb\""), Ok(b"ab".to_vec()));
    }

    #[test]
    fn a_nul_ends_the_string() {
        for text in [&br#""ab\0cd""#[..], br#""ab\x00cd\0""#, b"\"ab\0cd\""] {
            assert_eq!(string(text).map(until_nul), Ok(Bytes(b"ab".to_vec())));
        }
    }

    #[test]
    fn hex_escape_needs_digits() {
        assert_eq!(string(br#""ab\xg""#), Err(BadEscape { at: 3 }));
    }
}
