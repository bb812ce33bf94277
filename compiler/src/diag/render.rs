//! Diagnostics as text, laid out as SystemTap does.
//!
//! ```text
//! parse error: expected '('
//!         saw: number '1' at x.stp:1:18
//!      source: probe begin { if 1 println("x") }
//!                               ^
//! ```
//!
//! Semantic errors and warnings put the token behind the message. Summary
//! lines (`1 parse error.`) are the loader's.

use super::{Diagnostic, Palette, Severity, SourceMap, Span, Stage};

/// Text of one diagnostic, ending in a newline; errors with an empty line behind them.
/// `color`: in SystemTap's colours.
pub fn render(map: &SourceMap, d: &Diagnostic, color: bool) -> String {
    render_in(map, d, &if color { Palette::default() } else { Palette::plain() })
}

/// The same in colours of one's own.
pub fn render_in(map: &SourceMap, d: &Diagnostic, p: &Palette) -> String {
    let d = &Diagnostic {
        message: visible(&d.message),
        token: d.token.as_deref().map(visible),
        help: d.help.as_deref().map(visible),
        ..d.clone()
    };
    let (head, code) = match (d.severity, d.stage) {
        (Severity::Warning, _) => ("WARNING:", &p.warning),
        (_, Stage::Parse) => ("parse error:", &p.error),
        (_, Stage::Semantic | Stage::Translate) => ("semantic error:", &p.error),
    };
    let head = Palette::paint(code, head);
    let mut out = String::new();
    if d.severity == Severity::Error && d.stage == Stage::Parse {
        out += &format!("{head} {}\n", d.message);
        // What comes before the parser looks at a place; the parser saw a token.
        let before = ["junk", "pp-", "macro-"].iter().any(|c| d.code.starts_with(c));
        let label = if before { "         at:" } else { "        saw:" };
        if let Some(span) = d.span {
            let eof = d.token.as_deref().is_some_and(|t| t.ends_with(" EOF"));
            match &d.token {
                Some(token) if eof => out += &format!("{label} {token}\n"),
                token => {
                    out += &format!("{label} {}at {}\n", token_text(token.as_deref()), place(p, map, span));
                    excerpt(&mut out, p, map, span, 5);
                }
            }
            expansions(&mut out, p, map, span, 5);
        }
        for (span, message) in &d.related {
            out +=
                &format!("{head} {message}\n         at: {}at {}\n", what(map, *span), place(p, map, *span));
            excerpt(&mut out, p, map, *span, 5);
        }
    } else {
        let indent = if d.severity == Severity::Warning { 1 } else { 8 };
        out += &format!("{head} {}", d.message);
        match d.span {
            Some(span) => {
                out += &format!(": {}at {}\n", token_text(d.token.as_deref()), place(p, map, span));
                excerpt(&mut out, p, map, span, indent);
                expansions(&mut out, p, map, span, indent);
            }
            None => out.push('\n'),
        }
        for (span, message) in &d.related {
            if d.severity == Severity::Error {
                out.push('\n');
            }
            out += &format!("{head} {message}: {}at {}\n", what(map, *span), place(p, map, *span));
            excerpt(&mut out, p, map, *span, indent);
        }
    }
    if let Some(help) = &d.help {
        out += &format!("       help: {help}\n");
    }
    if d.severity == Severity::Error {
        out.push('\n');
    }
    out
}

fn token_text(token: Option<&str>) -> String {
    token.map_or(String::new(), |t| format!("{t} "))
}

/// `x.stp:1:2`
fn place(p: &Palette, map: &SourceMap, span: Span) -> String {
    Palette::paint(&p.source, &visible(&map.place(span)))
}

/// Control characters as `\x1b`, so that no script (a binary given for one, say) moves the
/// reader's cursor; tabs and line ends stay.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !matches!(c, '\t' | '\n') {
            out += &format!("\\x{:02x}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// What stands at a place, as SystemTap names it, by its look.
fn what(map: &SourceMap, span: Span) -> String {
    let text = String::from_utf8_lossy(map.slice(span)).into_owned();
    let kind = match text.bytes().next() {
        None => return String::new(),
        Some(b'"') => "string",
        Some(b'0'..=b'9') => "number",
        Some(b) if b.is_ascii_alphabetic() || b == b'_' || b == b'$' => "identifier",
        Some(_) => "operator",
    };
    visible(&format!("{kind} '{}' ", text.trim_matches('"')))
}

/// The line with what it is about, and a caret under the column.
fn excerpt(out: &mut String, p: &Palette, map: &SourceMap, span: Span, indent: usize) {
    let (line, col) = map.line_col(span);
    let span = map.resolve(span);
    let text = map.line(span.file, line);
    // Tabs stay tabs, so that the caret stands under its column on any terminal;
    // what is no ASCII counts as one column a character.
    let bytes = text.as_bytes();
    let from = (col as usize - 1).min(bytes.len());
    let to = from.saturating_add((span.hi - span.lo) as usize).min(bytes.len());
    let gap: String = visible(&String::from_utf8_lossy(&bytes[..from]))
        .chars()
        .map(|c| if c == '\t' { c } else { ' ' })
        .collect();
    // A token that ends within a character is not one of this line.
    let shown = match (text.get(..from), text.get(from..to), text.get(to..)) {
        (Some(before), Some(token), Some(after)) if !token.is_empty() => {
            let token = Palette::paint(&p.token, &visible(token));
            format!("{}{token}{}", visible(before), visible(after))
        }
        _ => visible(&text),
    };
    let caret = Palette::paint(&p.caret, "^");
    *out += &format!("{:indent$}source: {shown}\n{:width$}{gap}{caret}\n", "", "", width = indent + 8);
}

fn expansions(out: &mut String, p: &Palette, map: &SourceMap, span: Span, indent: usize) {
    let all = map.expansions(span);
    for (n, at) in all.iter().enumerate() {
        // The way through deep or recursive macros is the same again and again.
        if n == 4 && all.len() > 5 {
            *out += &format!("\t({} more expansions)\n", all.len() - n);
            break;
        }
        *out += &format!("\tin expansion of macro: {}at {}\n", what(map, *at), place(p, map, *at));
        excerpt(out, p, map, *at, indent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Origin;

    fn map() -> (SourceMap, Span) {
        let mut map = SourceMap::default();
        let file = map.add("x.stp", "global a\n\tprobe begin { a b }\r\n", Origin::User);
        (map, Span { file, lo: 24, hi: 25 })
    }

    #[test]
    fn parse_errors_say_what_they_saw() {
        let (map, span) = map();
        let d = Diagnostic::error(Stage::Parse, "x", "expected '('").at(span).token("identifier 'a'");
        assert_eq!(
            render(&map, &d, false),
            "parse error: expected '('\n        saw: identifier 'a' at x.stp:2:16\n     source: \tprobe begin { a b }\n             \t              ^\n\n"
        );
    }

    #[test]
    fn semantic_errors_put_the_token_behind_the_message() {
        let (map, span) = map();
        let first = Span { lo: 7, hi: 8, ..span };
        let d = Diagnostic::error(Stage::Semantic, "x", "no")
            .at(span)
            .token("identifier 'a'")
            .related(first, "first");
        assert_eq!(
            render(&map, &d, false),
            "semantic error: no: identifier 'a' at x.stp:2:16\n        source: \tprobe begin { a b }\n                \t              ^\n\nsemantic error: first: identifier 'a' at x.stp:1:8\n        source: global a\n                       ^\n\n"
        );
    }

    #[test]
    fn warnings_have_no_empty_line() {
        let (map, span) = map();
        let d = Diagnostic::warning(Stage::Semantic, "x", "hm").at(span);
        assert_eq!(
            render(&map, &d, false),
            "WARNING: hm: at x.stp:2:16\n source: \tprobe begin { a b }\n         \t              ^\n"
        );
    }

    #[test]
    fn the_place_and_the_token_in_its_line_are_coloured() {
        let (map, span) = map();
        let d = Diagnostic::warning(Stage::Semantic, "x", "hm").at(span).token("identifier 'a'");
        assert_eq!(
            render(&map, &d, true).replace("\x1b[K", ""),
            "\x1b[00;33mWARNING:\x1b[m hm: identifier 'a' at \x1b[00;34mx.stp:2:16\x1b[m\n \
             source: \tprobe begin { \x1b[01ma\x1b[m b }\n         \t              \x1b[01m^\x1b[m\n"
        );
    }

    #[test]
    fn the_end_of_the_text_has_no_line_to_show() {
        let (map, span) = map();
        let d = Diagnostic::error(Stage::Parse, "x", "expected statement").at(span).token("x.stp EOF");
        assert_eq!(render(&map, &d, false), "parse error: expected statement\n        saw: x.stp EOF\n\n");
    }
}
