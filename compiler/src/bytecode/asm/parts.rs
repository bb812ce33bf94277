//! What stands in the heads of a listing: types, classes of globals, tables of
//! regular expressions, formats. In: a line from the cursor on. Out: a part of
//! the image.

use super::super::image::*;
use super::super::listing::FLAG_LETTERS;
use super::cursor::Cursor;
use super::Step;
use crate::bytes::Bytes;
use crate::types::hir::SymbolRef;

pub(super) fn value_type(word: &str) -> Step<ValueType> {
    match word {
        "int" => Ok(ValueType::Int),
        "str" => Ok(ValueType::Str),
        other => Err(format!("expected int or str, not {other}")),
    }
}

pub(super) fn types(c: &mut Cursor<'_>) -> Step<Vec<ValueType>> {
    c.expect("(")?;
    let mut list = Vec::new();
    while !c.eat(")") {
        if !list.is_empty() {
            c.expect(",")?;
        }
        list.push(value_type(c.word())?);
    }
    Ok(list)
}

pub(super) fn function_head(c: &mut Cursor<'_>, handler: bool) -> Step<Function> {
    let mut f = Function { name: c.name()?, handler, ..Function::default() };
    if !handler {
        f.params = types(c)?;
        if c.eat("->") {
            f.ret = match value_type(c.word())? {
                ValueType::Int => Ret::Int,
                ValueType::Str => Ret::Str,
            };
        }
    }
    while !c.at_end() {
        match c.word() {
            "regs" => f.nregs = c.number()?.try_into().map_err(|_| "regs out of range")?,
            "strs" => f.nstrs = c.number()?.try_into().map_err(|_| "strs out of range")?,
            "aggs" => f.naggs = c.small()?,
            "iters" => f.niters = c.small()?,
            "locked" => f.locked = true,
            other => return Err(format!("unknown word {other} in a function's head")),
        }
    }
    Ok(f)
}

struct Stat {
    hist: Hist,
    variance: Option<u8>,
    minmax: bool,
}

/// After the word `stat`.
fn stat(c: &mut Cursor<'_>) -> Step<Stat> {
    let mut s = Stat { hist: Hist::None, variance: None, minmax: false };
    loop {
        let mut ahead = c.clone();
        match ahead.word() {
            "minmax" => s.minmax = true,
            "variance" => s.variance = Some(ahead.small()?),
            "log" => s.hist = Hist::Log,
            "linear" => {
                let (lo, hi, step) = (ahead.number()?, ahead.number()?, ahead.number()?);
                s.hist = Hist::Linear { lo, hi, step };
            }
            _ => return Ok(s),
        }
        *c = ahead;
    }
}

pub(super) fn class(c: &mut Cursor<'_>) -> Step<Class> {
    match c.word() {
        "int" => Ok(Class::Int { init: c.number()? }),
        "percpu" => Ok(Class::PerCpu { init: c.number()? }),
        "str" => Ok(Class::Str { init: Bytes(c.bytes()?) }),
        "stat" => {
            let Stat { hist, variance, minmax } = stat(c)?;
            Ok(Class::Stat { hist, variance, minmax })
        }
        "map" => {
            let keys = types(c)?;
            c.expect("->")?;
            let word = c.word().to_string();
            let stat = if word == "stat" { Some(stat(c)?) } else { None };
            let sized = match c.word() {
                "sized" => true,
                "size" => false,
                other => return Err(format!("expected size or sized, not {other}")),
            };
            let size = c.number()?.try_into().map_err(|_| "size out of range")?;
            let wrap = !c.at_end() && c.word() == "wrap";
            Ok(match stat {
                Some(Stat { hist, variance, minmax }) => {
                    Class::StatMap { keys, size, sized, wrap, hist, variance, minmax }
                }
                None => Class::Map { keys, value: value_type(&word)?, size, sized, wrap },
            })
        }
        other => Err(format!("unknown class {other}")),
    }
}

pub(super) fn dfa(c: &mut Cursor<'_>) -> Step<Dfa> {
    c.expect("#")?;
    c.number()?;
    let mut dfa = Dfa { pattern: Bytes(c.bytes()?), ..Dfa::default() };
    while !c.at_end() {
        match c.word() {
            "states" => dfa.nstates = c.number()?.try_into().map_err(|_| "states out of range")?,
            "groups" => dfa.ngroups = c.number()?.try_into().map_err(|_| "groups out of range")?,
            "flags" => dfa.flags = c.number()?.try_into().map_err(|_| "flags out of range")?,
            "words" => {
                while !c.at_end() {
                    dfa.words.push(u32::from_str_radix(c.word(), 16).map_err(|e| e.to_string())?);
                }
            }
            other => return Err(format!("unknown word {other} in a dfa")),
        }
    }
    Ok(dfa)
}

pub(super) fn hex(word: &str) -> Step<Vec<u8>> {
    let digits = word.strip_prefix("0x").unwrap_or(word);
    if digits.len() % 2 != 0 || !digits.is_ascii() {
        return Err("expected pairs of hex digits".into());
    }
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).map_err(|e| e.to_string()))
        .collect()
}

/// The text of a format, as [`listing`](super::super::listing) writes it.
pub(super) fn format_items(text: &[u8]) -> Step<Vec<FormatItem>> {
    let mut items = Vec::new();
    let mut literal: Vec<u8> = Vec::new();
    let mut rest = text;
    while let Some((b, tail)) = rest.split_first() {
        rest = tail;
        if *b != b'%' || rest.first() == Some(&b'%') {
            literal.push(*b);
            rest = if *b == b'%' { &rest[1..] } else { rest };
            continue;
        }
        if !literal.is_empty() {
            items.push(FormatItem::Text(Bytes(std::mem::take(&mut literal))));
        }
        let mut take = |want: &dyn Fn(u8) -> bool| {
            let n = rest.iter().take_while(|b| want(**b)).count();
            let (head, tail) = rest.split_at(n);
            rest = tail;
            String::from_utf8_lossy(head).into_owned()
        };
        let mut flags = 0;
        for c in take(&|b| FLAG_LETTERS.contains(&(b as char))).chars() {
            flags |= FLAG_LETTERS.iter().position(|f| *f == c).map_or(0, |n| 1 << n);
        }
        let digits = |b: u8| b.is_ascii_digit() || b == b'*';
        let number = |s: &str| match s {
            "" => Ok(Number::None),
            "*" => Ok(Number::Dynamic),
            s => s.parse().map(Number::Fixed).map_err(|e| format!("{s}: {e}")),
        };
        let width = number(&take(&digits))?;
        let dot = take(&|b| b == b'.');
        let digits_after = take(&digits);
        let precision = if dot.is_empty() { Number::None } else { number(&digits_after)? };
        let colon = take(&|b| b == b':');
        let size = take(&|b| b.is_ascii_digit() && !colon.is_empty()).parse().unwrap_or(0);
        let letter = rest.first().map(|b| *b as char).and_then(Conversion::from_letter);
        let conv = letter.ok_or("unknown conversion")?;
        rest = &rest[1..];
        items.push(FormatItem::Value { conv, flags, width, precision, size });
    }
    if !literal.is_empty() {
        items.push(FormatItem::Text(Bytes(literal)));
    }
    Ok(items)
}

/// `"symbol" "module" offset data` (or `code`), behind its `&`: an address that is looked up later.
pub(super) fn address(c: &mut Cursor<'_>) -> Step<SymbolRef> {
    let (symbol, module, offset) = (c.text()?, c.text()?, c.number()?);
    let data = match c.word() {
        "data" => true,
        "code" => false,
        other => return Err(format!("expected data or code, not {other:?}")),
    };
    Ok(SymbolRef { symbol, module: Some(module).filter(|m| !m.is_empty()), offset, data })
}
