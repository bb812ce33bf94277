//! The probe points that are built in: one table of patterns, read by the
//! matcher, by `--dump-probe-types` and by "did you mean". In: components
//! with literal arguments. Out: a place, or a question to the target. The
//! meaning of each is stapprobes(3stap)'s.

#[cfg(test)]
mod tests;

use super::names::glob;
use super::target_api::{Callees, Query, Spec, Variant};
use crate::syntax::ast::Literal;
use crate::target::dwarf::calls::MAX_DEPTH as MAX_CALLEES;
use crate::types::hir::{Period, Place};
use std::sync::LazyLock;

/// Component of a probe point, its argument known.
#[derive(Clone, Debug, PartialEq)]
pub struct Comp {
    pub name: String,
    pub arg: Option<Literal>,
}

impl std::fmt::Display for Comp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.arg {
            None => f.write_str(&self.name),
            Some(Literal::Number(n)) => write!(f, "{}({n})", self.name),
            Some(Literal::String(s)) => write!(f, "{}(\"{s}\")", self.name),
        }
    }
}

/// `a.b("c")`
pub fn point_text(comps: &[Comp]) -> String {
    comps.iter().map(Comp::to_string).collect::<Vec<_>>().join(".")
}

/// What kind of argument a component of a pattern takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arg {
    None,
    Number,
    String,
}

/// A pattern: `timer.ms(number).randomize(number)`.
pub type Pattern = Vec<(&'static str, Arg)>;

/// What a built-in point asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    Place(Place),
    Target(Query),
}

/// All patterns, in alphabetical order.
pub fn patterns() -> &'static [Pattern] {
    static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(build);
    &PATTERNS
}

fn build() -> Vec<Pattern> {
    let mut rows: Vec<String> = ["begin", "end", "error"]
        .iter()
        .flat_map(|p| [p.to_string(), format!("{p}(number)")])
        .chain(
            ["never", "timer.profile", "timer.profile.tick", "timer.profile.freq.hz(number)"]
                .map(String::from),
        )
        .collect();
    for unit in ["s", "sec", "ms", "msec", "us", "usec", "ns", "nsec", "jiffies"] {
        rows.push(format!("timer.{unit}(number)"));
        rows.push(format!("timer.{unit}(number).randomize(number)"));
    }
    rows.push("timer.hz(number)".into());
    for base in ["kernel", "module(string)"] {
        for spec in ["string", "number"] {
            for suffix in ["", ".call", ".exported", ".inline", ".return", ".return.maxactive(number)"] {
                rows.push(format!("{base}.function({spec}){suffix}"));
            }
            rows.push(format!("{base}.statement({spec})"));
            rows.push(format!("{base}.statement({spec}).nearest"));
        }
        for suffix in ["", ".call", ".return"] {
            rows.push(format!("{base}.function(string).callee(string){suffix}"));
        }
        for suffix in [".label(string)", ".callees", ".callees(number)"] {
            rows.push(format!("{base}.function(string){suffix}"));
        }
    }
    rows.push("kernel.statement(number).absolute".into());
    rows.push("kernel.trace(string)".into());
    rows.push("kernel.tracepoint(string)".into());
    for base in ["kprobe", "kprobe.module(string)"] {
        for suffix in ["", ".call", ".return", ".return.maxactive(number)", ".maxactive(number)"] {
            rows.push(format!("{base}.function(string){suffix}"));
        }
    }
    rows.push("kprobe.statement(number).absolute".into());
    for suffix in ["", ".return", ".compat", ".compat.return"] {
        rows.push(format!("__syscall(string){suffix}"));
    }
    let perf = "perf.type(number).config(number)";
    for how in ["", ".sample(number)", ".hz(number)"] {
        for bound in ["", ".process", ".process(string)"] {
            rows.push(format!("{perf}{how}{bound}"));
        }
    }
    for bound in ["", ".process(string)"] {
        rows.push(format!("{perf}{bound}.counter(string)"));
    }
    for base in ["procfs", "procfs(string)"] {
        for umask in ["", ".umask(number)"] {
            for what in ["read", "read.maxsize(number)", "write"] {
                rows.push(format!("{base}{umask}.{what}"));
            }
        }
    }
    rows.push("__input.line".into());
    for base in ["netfilter.hook(string).pf(string)", "netfilter.pf(string).hook(string)"] {
        for priority in ["", ".priority(string)"] {
            rows.push(format!("{base}{priority}"));
        }
    }
    for access in ["write", "rw"] {
        for what in ["(string)", "(number)", "(number).length(number)"] {
            rows.push(format!("kernel.data{what}.{access}"));
        }
    }
    rows.sort();
    rows.iter().map(|r| parse(r)).collect()
}

fn parse(row: &str) -> Pattern {
    row.split('.')
        .map(|c| {
            let (name, arg) = c.split_once('(').unwrap_or((c, ""));
            let name: &'static str = name_of(name);
            let arg = match arg {
                "number)" => Arg::Number,
                "string)" => Arg::String,
                _ => Arg::None,
            };
            (name, arg)
        })
        .collect()
}

/// Every name that occurs in a pattern.
const NAMES: [&str; 59] = [
    "__input",
    "__syscall",
    "absolute",
    "begin",
    "call",
    "callee",
    "callees",
    "compat",
    "config",
    "counter",
    "data",
    "end",
    "error",
    "exported",
    "freq",
    "function",
    "hook",
    "hz",
    "inline",
    "jiffies",
    "kernel",
    "kprobe",
    "label",
    "length",
    "line",
    "maxactive",
    "maxsize",
    "module",
    "ms",
    "msec",
    "nearest",
    "netfilter",
    "never",
    "ns",
    "nsec",
    "perf",
    "pf",
    "priority",
    "process",
    "procfs",
    "profile",
    "python3",
    "randomize",
    "read",
    "return",
    "rw",
    "s",
    "sample",
    "sec",
    "statement",
    "tick",
    "timer",
    "trace",
    "tracepoint",
    "type",
    "umask",
    "us",
    "usec",
    "write",
];

/// Families of SystemTap that are known by name, so that a script that uses one is told so.
pub const UNSERVED: [&str; 4] = ["process", "python2", "python3", "java"];

fn name_of(name: &str) -> &'static str {
    NAMES.iter().find(|n| **n == name).copied().unwrap_or("")
}

/// Text of a pattern, as `--dump-probe-types` prints it.
pub fn pattern_text(p: &[(&str, Arg)]) -> String {
    let comp = |(name, arg): &(&str, Arg)| match arg {
        Arg::None => name.to_string(),
        Arg::Number => format!("{name}(number)"),
        Arg::String => format!("{name}(string)"),
    };
    p.iter().map(comp).collect::<Vec<_>>().join(".")
}

/// Another name of `trace`: a wildcard that fits both means the one.
const SYNONYM: &str = "tracepoint";

/// The points that a point with wildcards in its names means: those of the
/// table that need no argument beyond the given ones. A point without
/// wildcards means itself, if the table has it.
pub fn expand(comps: &[Comp]) -> Vec<Vec<Comp>> {
    let deep = comps.iter().any(|c| c.name.contains("**"));
    let names = comps.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(".");
    let mut out = Vec::new();
    for p in patterns() {
        let fits = if deep {
            let text = p.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(".");
            p.iter().all(|(_, a)| *a == Arg::None) && glob(&names, &text)
        } else {
            p.len() == comps.len()
                && p.iter().zip(comps).all(|((name, arg), c)| {
                    let kind = match c.arg {
                        None => Arg::None,
                        Some(Literal::Number(_)) => Arg::Number,
                        Some(Literal::String(_)) => Arg::String,
                    };
                    *arg == kind && glob(&c.name, name) && (*name != SYNONYM || !glob(&c.name, "trace"))
                })
        };
        if fits {
            out.push(if deep {
                p.iter().map(|(n, _)| Comp { name: n.to_string(), arg: None }).collect()
            } else {
                p.iter()
                    .zip(comps)
                    .map(|((n, _), c)| Comp { name: n.to_string(), arg: c.arg.clone() })
                    .collect()
            });
        }
    }
    out
}

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Makes the request of a point that [`expand`] gave. `hz`: jiffies per second of the traced
/// kernel, asked only for a timer in jiffies. The error is SystemTap's message.
pub fn request(comps: &[Comp], hz: &dyn Fn() -> i64) -> Result<Request, String> {
    let names: Vec<&str> = comps.iter().map(|c| c.name.as_str()).collect();
    let number = |i: usize| match comps.get(i).and_then(|c| c.arg.as_ref()) {
        Some(Literal::Number(n)) => *n,
        _ => 0,
    };
    let string = |i: usize| match comps.get(i).and_then(|c| c.arg.as_ref()) {
        Some(Literal::String(s)) => s.to_string_lossy(),
        _ => String::new(),
    };
    let place = |p| Ok(Request::Place(p));
    match names.as_slice() {
        ["begin"] => place(Place::Begin { priority: number(0) }),
        ["end"] => place(Place::End { priority: number(0) }),
        ["error"] => place(Place::Error { priority: number(0) }),
        ["never"] => place(Place::Never),
        ["timer", "profile"] | ["timer", "profile", "tick"] => place(Place::Profile { hz: None }),
        ["timer", "profile", "freq", "hz"] => match u64::try_from(number(3)) {
            Ok(hz) if hz > 0 => place(Place::Profile { hz: Some(hz) }),
            _ => Err("frequency must be greater than 0".into()),
        },
        ["timer", "hz"] => match number(1) {
            n if n > 0 => timer("ns", SECOND / n, 0, hz).and_then(place),
            _ => Err("frequency must be greater than 0".into()),
        },
        ["timer", unit, rest @ ..] => {
            let random = if rest.is_empty() { 0 } else { number(2) };
            timer(unit, number(1), random, hz).and_then(place)
        }
        ["perf", "type", "config", rest @ ..] => perf(number(1), number(2), rest, number(3)).and_then(place),
        ["kernel", "data", rest @ ..] => data(comps, rest, number).and_then(place),
        ["kernel", "trace" | "tracepoint"] => Ok(Request::Target(Query::Tracepoint { pattern: string(1) })),
        [base @ ("kernel" | "module"), what, rest @ ..] => {
            let module = (*base == "module").then(|| string(0));
            let spec = match &comps[1].arg {
                Some(Literal::Number(n)) => Spec::Address(*n as u64),
                _ => Spec::Pattern(string(1)),
            };
            Ok(Request::Target(match *what {
                "statement" => Query::Statement {
                    module,
                    spec,
                    nearest: rest.contains(&"nearest"),
                    absolute: rest.contains(&"absolute"),
                },
                _ => Query::Function { module, spec, variant: variant(comps, rest, 2, number, string)? },
            }))
        }
        ["kprobe", "statement", ..] => {
            Ok(Request::Target(Query::KprobeStatement { address: number(1) as u64 }))
        }
        ["kprobe", "module", "function", rest @ ..] => Ok(Request::Target(Query::Kprobe {
            module: Some(string(1)),
            symbol: string(2),
            variant: variant(comps, rest, 3, number, string)?,
        })),
        ["kprobe", "function", rest @ ..] => Ok(Request::Target(Query::Kprobe {
            module: None,
            symbol: string(1),
            variant: variant(comps, rest, 2, number, string)?,
        })),
        ["__syscall", rest @ ..] => Ok(Request::Target(Query::Syscall {
            name: string(0),
            compat: rest.contains(&"compat"),
            ret: rest.contains(&"return"),
        })),
        ["procfs", ..] => procfs(comps).and_then(place),
        ["netfilter", ..] => super::netfilter::place(comps).and_then(place),
        ["__input", "line"] => place(Place::Input { line: true }),
        _ => Err("probe point mismatch".into()),
    }
}

/// May a member of the group stapusr only use it (stap(1), "PROBE RESTRICTIONS")?
pub fn is_unprivileged(request: &Request) -> bool {
    use Place::{Begin, End, Error, Never, Timer};
    matches!(request, Request::Place(Begin { .. } | End { .. } | Error { .. } | Never | Timer { .. }))
}

/// The same of a pattern of the table.
pub fn is_pattern_unprivileged(p: &[(&str, Arg)]) -> bool {
    let comp = |(name, arg): &(&str, Arg)| Comp {
        name: name.to_string(),
        arg: match arg {
            Arg::None => None,
            Arg::Number => Some(Literal::Number(1)),
            Arg::String => Some(Literal::String("x".into())),
        },
    };
    let comps: Vec<Comp> = p.iter().map(comp).collect();
    request(&comps, &|| 1).is_ok_and(|r| is_unprivileged(&r))
}

/// Calls under way that a `.maxactive(N)` may ask for; 0 leaves it to us.
const MAX_ACTIVE: u32 = 32767;

fn variant(
    comps: &[Comp],
    rest: &[&str],
    at: usize,
    number: impl Fn(usize) -> i64,
    string: impl Fn(usize) -> String,
) -> Result<Variant, String> {
    let maxactive = |i| match u32::try_from(number(i)) {
        Ok(0) => Ok(None),
        Ok(n) if n <= MAX_ACTIVE => Ok(Some(n)),
        _ => Err(format!("maxactive value out of range [0,{MAX_ACTIVE}]")),
    };
    Ok(match rest {
        [] => Variant::Plain,
        ["call"] => Variant::Call,
        ["inline"] => Variant::Inline,
        ["exported"] => Variant::Exported,
        ["return"] => Variant::Return { maxactive: None },
        ["return", "maxactive"] => Variant::Return { maxactive: maxactive(at + 1)? },
        // Only return probes need room for calls under way: elsewhere it means nothing.
        ["maxactive"] => Variant::Plain,
        ["label"] => Variant::Label(string(at)),
        ["callee", rest @ ..] => Variant::Callee {
            pattern: string(at),
            depth: None,
            which: match rest {
                [] => Callees::All,
                ["call"] => Callees::Call,
                _ => Callees::Return,
            },
        },
        ["callees"] => Variant::Callee {
            pattern: "*".into(),
            depth: match comps[at].arg.is_some().then(|| u32::try_from(number(at))) {
                None => None,
                Some(Ok(n)) if (1..=MAX_CALLEES).contains(&n) => Some(n),
                Some(_) => return Err(format!("depth of callees out of range (1, {MAX_CALLEES})")),
            },
            which: Callees::All,
        },
        _ => return Err("probe point mismatch".into()),
    })
}

/// What `.counter` and `@perf` are told.
pub const COUNTERS: &str = "a counter of perf is read by @perf in probes of programs \
    (process(\"PATH\").…), which this version does not have; without .counter the event is sampled";

/// Without `.sample` and `.hz`.
const PERF_PERIOD: u64 = 1_000_000;

fn perf(event: i64, config: i64, rest: &[&str], n: i64) -> Result<Place, String> {
    let event = u32::try_from(event).map_err(|_| "perf type out of range".to_string())?;
    let above_zero = |what: &str| match u64::try_from(n) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(format!("{what} must be greater than 0")),
    };
    let period = match rest {
        [] | ["process"] => Period::Events(PERF_PERIOD),
        ["sample", ..] => Period::Events(above_zero("sample period")?),
        ["hz", ..] => Period::Hz(above_zero("frequency")?),
        _ => return Err(COUNTERS.into()),
    };
    Ok(Place::Perf { event, config: config as u64, period })
}

fn data(comps: &[Comp], rest: &[&str], number: impl Fn(usize) -> i64) -> Result<Place, String> {
    let (symbol, address) = match &comps[1].arg {
        Some(Literal::String(s)) => (Some(s.to_string_lossy()), 0),
        _ => (None, number(1) as u64),
    };
    // The processor watches 1, 2, 4 or 8 bytes; what lies between is widened.
    let length = match rest {
        ["length", _] => match number(2) {
            n @ 1..=8 => (n as u8).next_power_of_two(),
            n => return Err(format!("a hardware breakpoint watches 1 to 8 bytes, not {n}")),
        },
        _ => 1,
    };
    if address % u64::from(length) != 0 {
        return Err(format!(
            "the address of a hardware breakpoint of {length} bytes is a multiple of {length}"
        ));
    }
    Ok(Place::Data { symbol, module: None, address, length, write_only: rest.last() == Some(&"write") })
}

/// Where input probes of SystemTap are made from; no file has that name.
const STDIN: &str = "__stdin";

/// Of `/proc/systemtap/SESSION/command`, if no path is given.
const COMMAND: &str = "command";

/// Nobody but the owner, if no `.umask` is given.
const PROCFS_UMASK: i64 = 0o077;

fn procfs(comps: &[Comp]) -> Result<Place, String> {
    let number = |name: &str| {
        let comp = comps.iter().find(|c| c.name == name)?;
        match comp.arg {
            Some(Literal::Number(n)) => Some(n),
            _ => None,
        }
    };
    let path = match &comps[0].arg {
        Some(Literal::String(s)) => s.to_string_lossy(),
        _ => COMMAND.to_string(),
    };
    let write = comps.iter().any(|c| c.name == "write");
    if path == STDIN {
        return match write {
            true => Ok(Place::Input { line: false }),
            false => Err(format!("\"{STDIN}\" stands for the standard input, which can't be read from")),
        };
    }
    if path.starts_with('/') {
        return Err("procfs path cannot start with a '/'".into());
    }
    if path.is_empty() || path.ends_with('/') {
        return Err("procfs path cannot end with a '/'".into());
    }
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("procfs path cannot be relative (and contain '.' or '..')".into());
    }
    if path.contains('\0') || path.split('/').any(|part| part.len() > 255) {
        return Err("each part of a procfs path has at most 255 bytes".into());
    }
    let umask = number("umask").unwrap_or(PROCFS_UMASK);
    let all = if write { 0o222 } else { 0o444 };
    if !(0..=0o777).contains(&umask) || all & !umask == 0 {
        return Err(format!("with the umask 0{umask:o} nobody may use the file"));
    }
    // The buffer is the kernel's memory, for each time that the file is open.
    let size = match number("maxsize") {
        None => 0,
        Some(n) if n <= 0 => return Err("maxsize must be greater than 0".into()),
        Some(n) if n > PROCFS_LARGEST => return Err(format!("maxsize must not be above {PROCFS_LARGEST}")),
        Some(n) => n as u32,
    };
    Ok(Place::Procfs { path, write, size, umask: umask as u16 })
}

/// Bytes of the buffer of a procfs file.
const PROCFS_LARGEST: i64 = 16 << 20;

/// The longest that SystemTap waits in jiffies.
const JIFFIES_MAX: i64 = 1_000_000;

fn timer(unit: &str, n: i64, random: i64, hz: &dyn Fn() -> i64) -> Result<Place, String> {
    if unit == "jiffies" {
        if !(1..=JIFFIES_MAX).contains(&n) {
            return Err("invalid interval for jiffies timer".into());
        }
        if random < 0 || random > n {
            return Err("invalid randomize for jiffies timer".into());
        }
        let tick = SECOND as u64 / hz().max(1) as u64;
        let ns = |j: i64| (j as u64).saturating_mul(tick);
        return Ok(Place::Timer { ns: ns(n), random_ns: ns(random) });
    }
    // A day is the longest, 100 µs the shortest.
    let (each, low) = match unit {
        "s" | "sec" => (SECOND, 1),
        "ms" | "msec" => (1_000_000, 1),
        "us" | "usec" => (1_000, 100),
        "ns" | "nsec" => (1, 100_000),
        _ => return Err("probe point mismatch".into()),
    };
    let high = 86_400 * (SECOND / each);
    if !(low..=high).contains(&n) {
        return Err(format!("interval value out of range ({low}, {high})"));
    }
    if random < 0 || random > n {
        return Err("randomization value out of range".into());
    }
    Ok(Place::Timer { ns: (n * each) as u64, random_ns: (random * each) as u64 })
}
