//! Diagnostics as text.

use super::{Diagnostic, Severity, SourceMap, Span, Stage};

/// Text of one diagnostic, ending in a newline. With `color`, SystemTap's default colours.
pub fn render(map: &SourceMap, d: &Diagnostic, color: bool) -> String {
    let head = match (d.severity, d.stage) {
        (Severity::Warning, _) => "WARNING:",
        (_, Stage::Parse) => "parse error:",
        (_, Stage::Semantic | Stage::Translate) => "semantic error:",
    };
    let paint = |code: &str, s: &str| if color { format!("\x1b[{code}m{s}\x1b[m") } else { s.to_string() };
    let head_color = if d.severity == Severity::Warning { "00;33" } else { "01;31" };
    let mut out = format!("{} {}", paint(head_color, head), d.message);
    let place = |span: Span, token: Option<&str>| match token {
        Some(token) => format!(": {} at {}", token, map.place(span)),
        None => format!(": at {}", map.place(span)),
    };
    if let Some(span) = d.span {
        out += &place(span, d.token.as_deref());
        out.push('\n');
        out += &excerpt(map, span, color);
    } else {
        out.push('\n');
    }
    for (span, message) in &d.related {
        out += &format!("{message}{}\n", place(*span, None));
        out += &excerpt(map, *span, color);
    }
    if let Some(help) = &d.help {
        out += &format!("        help: {help}\n");
    }
    out
}

fn excerpt(map: &SourceMap, span: Span, color: bool) -> String {
    let (line, col) = map.line_col(span);
    let text = map.line(span.file, line);
    // Tabs stay tabs, so that the caret stands under its column on any terminal.
    let indent: String =
        text.bytes().take(col as usize - 1).map(|b| if b == b'\t' { '\t' } else { ' ' }).collect();
    let caret = if color { "\x1b[01;32m^\x1b[m" } else { "^" };
    format!("        source: {text}\n                {indent}{caret}\n")
}
