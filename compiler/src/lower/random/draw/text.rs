//! Drawn scripts as text.

use super::regex::PATTERNS;
use super::{By, Each, Hist, E, S, SV};
use std::fmt::Write as _;

fn list(l: &[E]) -> String {
    l.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn histogram(h: &Hist) -> String {
    match &h.key {
        None => h.kind.text(h.name),
        Some(k) => h.kind.text(&format!("{}[{}]", h.name, text(k))),
    }
}

fn keys(l: &[Option<E>]) -> String {
    l.iter().map(|k| k.as_ref().map_or("*".into(), text)).collect::<Vec<_>>().join(", ")
}

fn quoted(s: &str) -> String {
    format!("\"{}\"", s.replace('\n', "\\n"))
}

pub fn text(e: &E) -> String {
    match e {
        E::Num(i64::MIN) => "(-9223372036854775807 - 1)".into(),
        E::Num(n) if *n < 0 => format!("({n})"),
        E::Num(n) => n.to_string(),
        E::Text(s) => quoted(s),
        E::Local(n) | E::Global(n) => n.to_string(),
        E::Element(n, keys) => format!("{n}[{}]", list(keys)),
        E::In(n, k) => format!("([{}] in {n})", keys(k)),
        E::Unary(op, x) => format!("({op} {})", text(x)),
        E::Binary(op, a, b) => format!("({} {op} {})", text(a), text(b)),
        E::Choice(c, a, b) => format!("({} ? {} : {})", text(c), text(a), text(b)),
        E::Assign(t, op, v) => format!("({} {op} {})", text(t), text(v)),
        E::IncDec(true, op, t) => format!("({op}{})", text(t)),
        E::IncDec(false, op, t) => format!("({}{op})", text(t)),
        E::Call(f, args) => format!("{f}({})", list(args)),
        E::Strlen(x) => format!("strlen({})", text(x)),
        E::Substr(s, a, n) => format!("substr({}, {}, {})", text(s), text(a), text(n)),
        E::Isinstr(a, b) => format!("isinstr({}, {})", text(a), text(b)),
        E::Strpos(a, b) => format!("strpos({}, {})", text(a), quoted(b)),
        E::Replace(s, a, b) => format!("str_replace({}, {}, {})", text(s), quoted(a), text(b)),
        E::Bucket(n) => format!("{}[{n}]", SV.text("sv")),
        E::Hist(h) => format!("str_replace(sprint({}), \"\\n\", \"/\")", histogram(h)),
        E::Sprint(args) => format!("sprint({})", list(args)),
        E::Sprintf(f, args) => format!("sprintf({}, {})", quoted(f), list(args)),
        E::Regex(negated, s, n) => {
            let op = if *negated { "!~" } else { "=~" };
            format!("({} {op} {})", text(s), quoted(PATTERNS[*n].0))
        }
        E::Agg(op, name, None) => format!("{op}({name})"),
        E::Agg(op, name, Some(k)) => format!("{op}({name}[{}])", text(k)),
    }
}

fn each(f: &Each) -> String {
    let sign = |by_this: bool| match &f.sort {
        Some((_, true)) if by_this => "-",
        Some((_, false)) if by_this => "+",
        _ => "",
    };
    let names: Vec<String> = f
        .keys
        .iter()
        .enumerate()
        .map(|(n, k)| format!("{k}{}", sign(matches!(f.sort, Some((By::Key(s), _)) if s == n))))
        .collect();
    let value = f.value.map_or(String::new(), |v| format!("{v} = "));
    let slice = f.slice.as_ref().map_or(String::new(), |s| format!("[{}]", keys(s)));
    let by = match &f.sort {
        Some((By::Value, _)) => sign(true).to_string(),
        Some((By::Agg(op), _)) => format!(" {op} {}", sign(true)),
        _ => String::new(),
    };
    let limit = f.limit.as_ref().map_or(String::new(), |l| format!(" limit {}", text(l)));
    format!("foreach ({value}[{}] in {}{slice}{by}{limit})", names.join(", "), f.array)
}

pub fn body(list_of: &[S], out: &mut String, indent: usize) {
    let pad = "  ".repeat(indent);
    for s in list_of {
        let inner = |l: &[S]| {
            let mut t = String::new();
            body(l, &mut t, indent + 1);
            format!("{{\n{t}{pad}}}")
        };
        let line = match s {
            S::Expr(e) => format!("{};", text(e)),
            S::Print(f, args) => format!("printf({}, {});", quoted(f), list(args)),
            S::Println(args) => format!("println({});", list(args)),
            S::If(c, a, b) if b.is_empty() => format!("if ({}) {}", text(c), inner(a)),
            S::If(c, a, b) => format!("if ({}) {} else {}", text(c), inner(a), inner(b)),
            S::For(i, n, b) => format!("for ({i} = 0; {i} < {n}; {i}++) {}", inner(b)),
            S::While(i, b) => format!("{i} = 0;\n{pad}while ({i}++ < 2) {}", inner(b)),
            S::DoWhile(i, b) => format!("{i} = 0;\n{pad}do {} while ({i}++ < 1)", inner(b)),
            S::Foreach(f) => format!("{} {}", each(f), inner(&f.body)),
            S::Try(a, b) => format!("try {} catch (e) {}", inner(a), inner(b)),
            S::Error(e) => format!("error(\"E\" . {});", text(e)),
            S::Delete(m, k) => format!("delete {m}[{}];", keys(k)),
            S::Clear(m) => format!("delete {m};"),
            S::Stat(m, None, v) => format!("{m} <<< {};", text(v)),
            S::Stat(m, Some(k), v) => format!("{m}[{}] <<< {};", text(k), text(v)),
            S::Matched(e, n) => {
                let pattern = quoted(PATTERNS[*n].0);
                format!("if ({} =~ {pattern}) println(\"<\", matched(0), \">\");", text(e))
            }
            S::Buckets(down) => {
                let (h, sign) = (SV.text("sv"), if *down { "-" } else { "" });
                format!("foreach (b{sign} in {h}) println(b, \"#\", {h}[b]);")
            }
            S::Hist(false, h) => format!("print({});", histogram(h)),
            S::Hist(true, h) => format!("println({});", histogram(h)),
            S::Break => "break;".into(),
            S::Continue => "continue;".into(),
            S::Next => "next;".into(),
            S::Return(e) => format!("return {};", text(e)),
        };
        let _ = writeln!(out, "{pad}{line}");
    }
}
