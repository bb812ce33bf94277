//! Formats of `printf`.
//!
//! In: the value of the literal. Out: its pieces, or SystemTap's word on what
//! is wrong with it. One flag at most, then width, precision, `l`, letter.

use super::ast::{Bytes, Conversion, FormatFlags, FormatNumber, FormatPiece};
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, one_of};
use nom::combinator::{map, opt, value};
use nom::sequence::preceded;
use nom::{IResult, Parser};

type Fmt<'a, T> = IResult<&'a [u8], T, ()>;

/// Largest width or precision; an output of this size fits no buffer anyway.
const MAX_NUMBER: i32 = 1_000_000;

/// The pieces of a format.
pub fn parse(format: &[u8]) -> Result<Vec<FormatPiece>, &'static str> {
    let mut pieces = Vec::new();
    let mut text: Vec<u8> = Vec::new();
    let mut s = format;
    while !s.is_empty() {
        let plain: Fmt<&[u8]> = alt((take_while1(|b| b != b'%'), value(&b"%"[..], tag("%%")))).parse(s);
        if let Ok((rest, t)) = plain {
            text.extend_from_slice(t);
            s = rest;
            continue;
        }
        let (rest, conv) = match conversion(s) {
            Ok(x) => x,
            Err(_) if is_incomplete(s) => return Err("trailing incomplete print format conversion"),
            Err(_) => return Err("invalid or missing conversion specifier"),
        };
        if !text.is_empty() {
            pieces.push(FormatPiece::Text(Bytes(std::mem::take(&mut text))));
        }
        pieces.push(FormatPiece::Conv(conv));
        s = rest;
    }
    if !text.is_empty() {
        pieces.push(FormatPiece::Text(Bytes(text)));
    }
    Ok(pieces)
}

fn conversion(s: &[u8]) -> Fmt<'_, Conversion> {
    let (s, (flags, width, precision, _, letter)) = (
        head,
        number,
        map(opt(preceded(char('.'), precision)), |p| p.unwrap_or(FormatNumber::None)),
        opt(char('l')),
        one_of("diuxXopcsbmM"),
    )
        .parse(s)?;
    let size = match (letter, width) {
        ('b', FormatNumber::Fixed(n)) => n.clamp(0, 255) as u8,
        ('b', _) => 8,
        _ => 0,
    };
    Ok((s, Conversion { letter, flags, width, precision, size }))
}

/// `%` and its flag.
fn head(s: &[u8]) -> Fmt<'_, FormatFlags> {
    preceded(char('%'), opt(one_of("-+ #0")))
        .map(|flag| FormatFlags {
            zero: flag == Some('0'),
            plus: flag == Some('+'),
            space: flag == Some(' '),
            left: flag == Some('-'),
            alt: flag == Some('#'),
        })
        .parse(s)
}

fn number(s: &[u8]) -> Fmt<'_, FormatNumber> {
    let fixed = map(take_while1(|b: u8| b.is_ascii_digit()), fixed);
    map(opt(alt((value(FormatNumber::Dynamic, char('*')), fixed))), |n| n.unwrap_or(FormatNumber::None))
        .parse(s)
}

/// Behind the dot; nothing is 0, as in C.
fn precision(s: &[u8]) -> Fmt<'_, FormatNumber> {
    let fixed = map(take_while(|b: u8| b.is_ascii_digit()), fixed);
    alt((value(FormatNumber::Dynamic, char('*')), fixed)).parse(s)
}

fn fixed(digits: &[u8]) -> FormatNumber {
    let n = digits.iter().fold(0i32, |n, d| n.saturating_mul(10).saturating_add((d - b'0').into()));
    FormatNumber::Fixed(n.min(MAX_NUMBER))
}

/// A conversion that the end of the text cuts off.
fn is_incomplete(s: &[u8]) -> bool {
    let parts: Fmt<_> = (head, number, opt(preceded(char('.'), precision)), opt(char('l'))).parse(s);
    s.len() > 1 && parts.is_ok_and(|(rest, _)| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv(f: &str) -> Conversion {
        match parse(f.as_bytes()) {
            Ok(p) => match &p[..] {
                [FormatPiece::Conv(c)] => c.clone(),
                other => panic!("{f}: {other:?}"),
            },
            Err(e) => panic!("{f}: {e}"),
        }
    }

    #[test]
    fn one_flag_then_width_and_precision() {
        let c = conv("%-5.3d");
        assert!(c.flags.left && !c.flags.zero);
        assert_eq!((c.width, c.precision), (FormatNumber::Fixed(5), FormatNumber::Fixed(3)));
        // The zero behind another flag is part of the width.
        let c = conv("%+05d");
        assert!(c.flags.plus && !c.flags.zero);
        assert_eq!(c.width, FormatNumber::Fixed(5));
        let c = conv("%05d");
        assert!(c.flags.zero);
        let c = conv("%*.*x");
        assert_eq!((c.width, c.precision), (FormatNumber::Dynamic, FormatNumber::Dynamic));
        assert_eq!(conv("%5.d").precision, FormatNumber::Fixed(0));
        assert_eq!(conv("%ld").letter, 'd');
        assert_eq!(conv("%4b").size, 4);
        assert_eq!(conv("%b").size, 8);
    }

    #[test]
    fn text_and_percent_stay_together() {
        let text = |s: &str| FormatPiece::Text(Bytes::from(s));
        assert_eq!(parse(b"100%%!\n"), Ok(vec![text("100%!\n")]));
        assert_eq!(parse(b"a%db").map(|p| p.len()), Ok(3));
        assert_eq!(parse(b""), Ok(vec![]));
    }

    #[test]
    fn refuses_what_systemtap_refuses() {
        for bad in [
            "%y", "%f", "%", "a%", "%5%", "%lld", "%hd", "%0+5d", "%+-d", "%##x", "%5 d", "%.-5d", "%**d",
            "%1$d", "%S",
        ] {
            assert_eq!(parse(bad.as_bytes()), Err("invalid or missing conversion specifier"), "{bad}");
        }
        for cut in ["%5", "%5.3", "%.3l", "%-", "%*", "%d%5"] {
            assert_eq!(parse(cut.as_bytes()), Err("trailing incomplete print format conversion"), "{cut}");
        }
    }
}
