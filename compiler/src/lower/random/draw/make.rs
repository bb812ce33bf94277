//! Draws scripts. In: a seed. Out: a script and what it prints; none where it
//! would run too long.

use super::eval::{Eval, Out};
use super::hist::{Kind, Shape};
use super::regex::PATTERNS;
use super::{array, text, Array, By, Each, Hist, Rng, ARRAYS, BUCKETS, E, FUNCTIONS, INTS, S, STRS, SV};
use std::fmt::Write as _;

const WORDS: [&str; 6] = ["", "a", "bc", "xyz", "abcb", "zz"];
const AGGS: [&str; 5] = ["@count", "@sum", "@min", "@max", "@avg"];
/// Formats of `sprintf`: one number, then one string.
const SPRINTFS: [&str; 6] = ["%d%s", "%5d|%-4s", "%-6d%6s", "%x:%.2s", "%05d%s%%", "%u%8.1s"];

/// Histograms of `st` and of `sa`: what is added are small numbers and the largest there are.
const HISTS: [Kind; 8] = [
    Kind::Log,
    Kind::Log,
    Kind::Log,
    Kind::Linear(0, 40, 10),
    Kind::Linear(-8, 8, 1),
    Kind::Linear(-128, 256, 64),
    Kind::Linear(1, 3, 1),
    Kind::Linear(-9_000_000_000, 6_000_000_000, 3_000_000_000),
];

struct Maker {
    rng: Rng,
    /// Functions that may be called from here on; the later ones call the earlier.
    callable: usize,
    in_loop: u32,
    in_function: bool,
    /// Only locals are written here.
    local: bool,
    /// The function at hand may call itself.
    recursive: Option<usize>,
    /// Arrays that are walked here must not be changed.
    walked: Vec<&'static str>,
    counters: u32,
    /// In the handler that adds to `sv`: one only, so that its values are of one processor, as the
    /// variance is rounded for each.
    first: bool,
    /// A statistic has one kind of histogram in a whole script.
    st: Kind,
    sa: Kind,
}

impl Maker {
    fn number(&mut self) -> i64 {
        self.rng.one(&[0, 1, -1, 2, 7, 63, 1 << 40, i64::MIN, i64::MAX, 255, -128])
    }

    fn int(&mut self, depth: u32) -> E {
        let leaf = depth == 0 || self.rng.chance(5);
        match if leaf { self.rng.below(4) } else { 4 + self.rng.below(21) } {
            0 => E::Num(self.number()),
            1 | 2 => E::Local(self.rng.one(&INTS)),
            3 => E::Global("g"),
            4 | 5 => E::Unary(self.rng.one(&["-", "~", "!"]), self.int(depth - 1).into()),
            6..=9 => {
                let op = self.rng.one(&[
                    "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", ">", ">=", "==", "!=",
                    "&&", "||",
                ]);
                E::Binary(op, self.int(depth - 1).into(), self.int(depth - 1).into())
            }
            10 => {
                let op = self.rng.one(&["==", "!=", "<", "<=", ">", ">="]);
                E::Binary(op, self.str(depth - 1).into(), self.str(depth - 1).into())
            }
            11 => {
                E::Choice(self.int(depth - 1).into(), self.int(depth - 1).into(), self.int(depth - 1).into())
            }
            12 | 13 => {
                let op = self.rng.one(&["=", "+=", "-=", "*=", "&=", "|=", "^=", "<<=", ">>=", "/=", "%="]);
                E::Assign(self.int_place(depth).into(), op, self.int(depth - 1).into())
            }
            14 => {
                let prefix = self.rng.chance(2);
                E::IncDec(prefix, self.rng.one(&["++", "--"]), self.int_place(depth).into())
            }
            15 | 16 => {
                let a = self.array(false);
                self.element(a, depth)
            }
            17 => {
                let a = &ARRAYS[self.rng.below(ARRAYS.len())];
                let E::Element(name, keys) = self.element(a, depth) else { unreachable!() };
                let keys = keys.into_iter().map(|k| (!self.rng.chance(4)).then_some(k)).collect();
                E::In(name, keys)
            }
            18 => E::Strlen(self.str(depth - 1).into()),
            19 => E::Isinstr(self.str(depth - 1).into(), self.str(depth - 1).into()),
            20 => {
                let pattern = self.rng.below(PATTERNS.len());
                E::Regex(self.rng.chance(4), self.str(depth - 1).into(), pattern)
            }
            21 => {
                // Most of the others fail where nothing was added yet.
                let op = self.rng.one(&["@count", "@count", "@sum", "@sum", "@min", "@max", "@avg"]);
                if self.rng.chance(3) {
                    let op = self.rng.one(&["@variance", "@variance", "@avg", "@max"]);
                    match self.rng.chance(3) {
                        true => E::Bucket(self.rng.below(BUCKETS)),
                        false => E::Agg(op, "sv", None),
                    }
                } else if self.rng.chance(2) {
                    E::Agg(op, "st", None)
                } else {
                    E::Agg(op, "sa", Some(self.int(depth.saturating_sub(2)).into()))
                }
            }
            22 => E::Strpos(self.str(depth - 1).into(), self.rng.one(&["a", "bc", "zz"])),
            _ => self.call(false, depth),
        }
    }

    /// A value for `sv`.
    fn small(&mut self) -> E {
        E::Binary("&", self.int(2).into(), E::Num(15).into())
    }

    fn str(&mut self, depth: u32) -> E {
        let leaf = depth == 0 || self.rng.chance(4);
        match if leaf { self.rng.below(3) } else { 3 + self.rng.below(13) } {
            0 => E::Text(self.rng.one(&WORDS)),
            1 | 2 => E::Local(self.rng.one(&STRS)),
            3 | 4 => E::Binary(".", self.str(depth - 1).into(), self.str(depth - 1).into()),
            5 => {
                E::Choice(self.int(depth - 1).into(), self.str(depth - 1).into(), self.str(depth - 1).into())
            }
            6 => {
                let op = self.rng.one(&["=", ".="]);
                let target = self.str_place(depth);
                E::Assign(target.into(), op, self.str(depth - 1).into())
            }
            7 => self.element(array("n"), depth),
            8 => E::Sprint(vec![self.int(depth - 1), self.str(depth - 1)]),
            9 => E::Global("h"),
            10 => {
                let (start, length) = (self.rng.below(4) as i64, self.rng.one(&[0, 1, 2, 100]));
                E::Substr(self.str(depth - 1).into(), E::Num(start).into(), E::Num(length).into())
            }
            11 => {
                let format = self.rng.one(&SPRINTFS);
                E::Sprintf(format, vec![self.int(depth - 1), self.str(depth - 1)])
            }
            12 => {
                let old = self.rng.one(&["a", "bc", "z"]);
                E::Replace(self.str(depth - 1).into(), old, self.str(depth - 1).into())
            }
            13 if self.rng.chance(3) => E::Hist(self.hist(depth).into()),
            _ => self.call(true, depth),
        }
    }

    fn hist(&mut self, depth: u32) -> Hist {
        // nothing may have been added to the others yet, which is an error
        match self.rng.below(4) {
            0 => Hist { name: "st", key: None, kind: self.st },
            1 => Hist { name: "sa", key: Some(self.int(depth.saturating_sub(2))), kind: self.sa },
            _ => Hist { name: "sv", key: None, kind: SV },
        }
    }

    fn array(&mut self, string: bool) -> &'static Array {
        let fits: Vec<_> = ARRAYS.iter().filter(|a| a.string == string).collect();
        fits[self.rng.below(fits.len())]
    }

    fn element(&mut self, a: &Array, depth: u32) -> E {
        let d = depth.saturating_sub(2);
        E::Element(a.name, a.keys.iter().map(|s| if *s { self.str(d) } else { self.int(d) }).collect())
    }

    /// May this be changed here?
    fn writable(&self, name: &str) -> bool {
        !self.local && !self.walked.contains(&name)
    }

    fn int_place(&mut self, depth: u32) -> E {
        let a = self.array(false);
        match self.rng.below(6) {
            0 if !self.local => E::Global("g"),
            1 | 2 if self.writable(a.name) => self.element(a, depth),
            _ => E::Local(self.rng.one(&INTS)),
        }
    }

    fn str_place(&mut self, depth: u32) -> E {
        match self.rng.below(6) {
            0 if !self.local => E::Global("h"),
            1 | 2 if self.writable("n") => self.element(array("n"), depth),
            _ => E::Local(self.rng.one(&STRS)),
        }
    }

    fn call(&mut self, string: bool, depth: u32) -> E {
        let only_local = self.local || !self.walked.is_empty();
        let mut fits: Vec<usize> = (0..self.callable)
            .filter(|n| FUNCTIONS[*n].string == string && (FUNCTIONS[*n].local || !only_local))
            .collect();
        fits.extend(self.recursive.filter(|n| FUNCTIONS[*n].string == string && self.walked.is_empty()));
        if fits.is_empty() {
            return if string { E::Local("s") } else { E::Local("x") };
        }
        let n = self.rng.one(&fits);
        let f = &FUNCTIONS[n];
        let mut args: Vec<E> = (0..f.ints).map(|_| self.int(depth.saturating_sub(1))).collect();
        if self.recursive == Some(n) {
            args[0] = E::Local("r");
        }
        args.extend((0..f.strs).map(|_| self.str(depth.saturating_sub(1))));
        E::Call(f.name, args)
    }

    fn block(&mut self, depth: u32, n: usize) -> Vec<S> {
        (0..1 + self.rng.below(n)).map(|_| self.stmt(depth)).collect()
    }

    fn loop_body(&mut self, depth: u32, n: usize) -> Vec<S> {
        self.in_loop += 1;
        let body = self.block(depth, n);
        self.in_loop -= 1;
        body
    }

    fn stmt(&mut self, depth: u32) -> S {
        match if depth == 0 { self.rng.below(13) } else { self.rng.below(23) } {
            0..=3 => S::Expr(if self.rng.chance(3) { self.str_assign() } else { self.int_assign() }),
            4 => S::Print("%d %s %d\n", vec![self.int(2), self.str(2), self.int(1)]),
            5 => S::Println(vec![self.str(2), self.int(2)]),
            6 if self.in_loop > 0 => self.rng.one(&[S::Break, S::Continue]),
            7 if self.rng.chance(6) && !self.in_function => S::Next,
            7 if self.rng.chance(4) => S::Error(self.str(1)),
            8 if self.writable("st") => S::Stat("st", None, self.int(2)),
            9 if self.writable("sa") => S::Stat("sa", Some(self.int(1)), self.int(2)),
            10 if self.rng.chance(4) => S::Buckets(self.rng.chance(2)),
            10 if self.first && self.rng.chance(2) => S::Stat("sv", None, self.small()),
            10 => S::Matched(self.str(3), self.rng.below(PATTERNS.len())),
            11 => self.delete(),
            6..=9 => S::Expr(self.int(3)),
            12 if self.rng.chance(2) => self.show("st"),
            12 => S::Hist(self.rng.chance(2), self.hist(1).into()),
            13..=15 => {
                let els = if self.rng.chance(2) { self.block(depth - 1, 2) } else { Vec::new() };
                S::If(self.int(3), self.block(depth - 1, 3), els)
            }
            16 | 17 => {
                self.counters += 1;
                let i = ["i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"][self.counters as usize % 8];
                let body = self.loop_body(depth - 1, 3);
                match self.rng.below(4) {
                    0 => S::While(i, body),
                    1 => S::DoWhile(i, body),
                    _ => S::For(i, self.rng.below(4) as i64, body),
                }
            }
            18..=20 => self.foreach(depth),
            _ => S::Try(self.block(depth - 1, 3), self.block(0, 2)),
        }
    }

    /// The histogram of a scalar, where it is not empty.
    fn show(&mut self, name: &'static str) -> S {
        let kind = if name == "st" { self.st } else { SV };
        let hist = S::Hist(false, Hist { name, key: None, kind }.into());
        S::If(E::Agg("@count", name, None), vec![hist], Vec::new())
    }

    fn foreach(&mut self, depth: u32) -> S {
        let stats = self.rng.chance(4);
        let a = &ARRAYS[self.rng.below(ARRAYS.len())];
        let (name, kinds): (_, &[bool]) = if stats { ("sa", &[false]) } else { (a.name, a.keys) };
        let first_int = self.rng.below(INTS.len());
        let keys: Vec<&str> = kinds.iter().map(|s| if *s { "s" } else { INTS[first_int] }).collect();
        let value = (!stats && self.rng.chance(2)).then(|| match a.string {
            true => "t",
            false => INTS[(first_int + 1) % INTS.len()],
        });
        let by = match self.rng.below(5) {
            0 | 1 => None,
            2 => Some(By::Key(self.rng.below(keys.len()))),
            _ if stats && self.rng.chance(2) => Some(By::Agg(self.rng.one(&AGGS))),
            _ => Some(By::Value),
        };
        let sort = by.map(|by| (by, self.rng.chance(2)));
        let slice = self.rng.chance(4).then(|| {
            let key = |m: &mut Self, s: &bool| if *s { m.str(1) } else { m.int(1) };
            kinds.iter().map(|s| (!self.rng.chance(2)).then(|| key(self, s))).collect()
        });
        let limit = self.rng.chance(3).then(|| self.int(1));
        self.walked.push(name);
        let body = self.loop_body(depth - 1, 2);
        self.walked.pop();
        S::Foreach(Box::new(Each { array: name, keys, value, sort, slice, limit, body }))
    }

    fn delete(&mut self) -> S {
        let a = &ARRAYS[self.rng.below(ARRAYS.len())];
        match self.rng.below(8) {
            0 if !self.local => S::Clear(self.rng.one(&["g", "h"])),
            // a parameter can't be deleted, and no function has four of them
            1 if self.in_function => S::Clear("w"),
            1 => S::Clear(self.rng.one(&["x", "t"])),
            2 if self.writable("st") => S::Clear("st"),
            3 if self.writable("sa") => S::Delete("sa", vec![Some(self.int(1))]),
            4 if self.writable(a.name) => S::Clear(a.name),
            _ if self.writable(a.name) => {
                let keys = a.keys.iter().map(|s| {
                    let key = if *s { self.str(1) } else { self.int(1) };
                    (!self.rng.chance(4)).then_some(key)
                });
                S::Delete(a.name, keys.collect())
            }
            _ => S::Expr(self.int_assign()),
        }
    }

    fn int_assign(&mut self) -> E {
        E::Assign(self.int_place(3).into(), "=", self.int(4).into())
    }
    fn str_assign(&mut self) -> E {
        E::Assign(self.str_place(3).into(), "=", self.str(4).into())
    }

    /// A function, or two of one name: the text, and the bodies for the evaluator.
    fn function(&mut self, n: usize) -> (String, Vec<Vec<S>>) {
        let f = &FUNCTIONS[n];
        let ints = INTS[..f.ints].iter().map(|p| format!("{p}:long"));
        let params: Vec<String> = ints.chain(STRS[..f.strs].iter().map(|p| format!("{p}:string"))).collect();
        let ret = if f.string { "string" } else { "long" };
        let head = format!("function {}:{ret}({}) {{\n{TYPES}", f.name, params.join(", "));
        let mut bodies = vec![self.function_body(n)];
        if f.overloaded {
            let odd = E::Binary("&", E::Local("x").into(), E::Num(1).into());
            bodies[0].insert(0, S::If(odd, vec![S::Next], Vec::new()));
            bodies.push(self.function_body(n));
        }
        let mut script = String::new();
        for code in &bodies {
            script += &head;
            text::body(code, &mut script, 1);
            script += "}\n";
        }
        (script, bodies)
    }

    fn function_body(&mut self, n: usize) -> Vec<S> {
        let f = &FUNCTIONS[n];
        self.in_function = true;
        self.local = f.local;
        let mut code = Vec::new();
        if f.recursive {
            // `r` is written here only, so that it goes down with each call.
            let end = |op, n| E::Binary(op, E::Local("x").into(), E::Num(n).into());
            let out_of_bounds = E::Binary("||", end("<", 1).into(), end(">", 3).into());
            let value = if f.string { self.str(2) } else { self.int(2) };
            code.push(S::If(out_of_bounds, vec![S::Return(value)], Vec::new()));
            let less = E::Binary("-", E::Local("x").into(), E::Num(1).into());
            code.push(S::Expr(E::Assign(E::Local("r").into(), "=", less.into())));
            self.recursive = Some(n);
        }
        code.extend(self.block(2, 3));
        code.push(S::Return(if f.string { self.str(3) } else { self.int(3) }));
        (self.in_function, self.local, self.recursive) = (false, false, None);
        code
    }

    /// What is left of the globals. All are read somewhere: what is only written would be shown at the end.
    fn closing(&mut self) -> Vec<S> {
        let line = "%d %s %d\n";
        let of = |a: &str, keys: Vec<E>| E::Element(array(a).name, keys);
        let k = of("k", vec![E::Num(1), E::Text("a")]);
        let mut code = vec![
            S::Print(line, vec![E::Global("g"), E::Global("h"), k]),
            S::Print(line, vec![of("m", vec![E::Num(7)]), of("n", vec![E::Text("a")]), E::Num(1)]),
        ];
        let of_key = E::Agg("@sum", "sa", Some(E::Local("x").into()));
        let each = Hist { name: "sa", key: Some(E::Local("x")), kind: self.sa };
        let body =
            vec![S::Println(vec![E::Local("x"), E::Text(" sum "), of_key]), S::Hist(false, each.into())];
        let each =
            Each { array: "sa", keys: vec!["x"], value: None, sort: None, slice: None, limit: None, body };
        code.push(S::Foreach(Box::new(each)));
        code.push(S::Println(vec![E::Agg("@count", "st", None), E::Text(" in all")]));
        code.push(S::Println(vec![E::Agg("@variance", "sv", None), E::Text(" variance")]));
        code.push(S::Buckets(false));
        code.extend([self.show("st"), self.show("sv")]);
        for a in &ARRAYS {
            // All that is left, in its order.
            let names: Vec<&str> = a.keys.iter().map(|s| if *s { "s" } else { "x" }).collect();
            let keys: Vec<E> = names.iter().map(|n| E::Local(n)).collect();
            let body = vec![S::Println(
                [keys, vec![E::Text("="), E::Local(if a.string { "t" } else { "y" })]].concat(),
            )];
            let value = Some(if a.string { "t" } else { "y" });
            let each = Each { array: a.name, keys: names, value, sort: None, slice: None, limit: None, body };
            code.push(S::Foreach(Box::new(each)));
        }
        code
    }
}

/// Says the types of the variables, and is never run.
const TYPES: &str = "  if (0) { x = y = z = w = r = 0; s = t = \"\" }\n";

/// Declarations; what each global is says a function that is never called.
const GLOBALS: &str = "global g = 3, h = \"h\", m, k, n, q[3], wrap%[2], st, sa, sv\n\
    function never() { m[1] = k[1, \"\"] = q[1] = wrap[1] = 1; n[\"\"] = \"\"; st <<< 1; sa[1] <<< 1 }\n";

/// A script and what it prints.
pub struct Case {
    pub script: String,
    /// What stap is given with `-D`.
    pub defines: Vec<(&'static str, i64)>,
    pub expected: String,
    /// An error was met, caught or not.
    pub failed: bool,
}

/// The case of a seed; `None` where it would run too long.
pub fn case(seed: u64) -> Option<Case> {
    let mut m = Maker {
        rng: Rng(seed | 1),
        callable: 0,
        in_loop: 0,
        in_function: false,
        local: false,
        recursive: None,
        walked: Vec::new(),
        counters: 0,
        first: false,
        st: Kind::Log,
        sa: Kind::Log,
    };
    for _ in 0..8 {
        m.rng.next();
    }
    (m.st, m.sa) = (m.rng.one(&HISTS), m.rng.one(&HISTS));
    let mut eval = Eval::default();
    let mut defines = Vec::new();
    if m.rng.chance(2) {
        let width = m.rng.one(&[1, 2, 3, 7, 200]);
        eval.shape = Shape { width, ..eval.shape };
        defines.push(("HIST_WIDTH", width as i64));
    }
    if m.rng.chance(2) {
        let elision = m.rng.one(&[-1, 0, 1, 5, 1000]);
        eval.shape = Shape { elision, ..eval.shape };
        defines.push(("HIST_ELISION", elision));
    }
    let mut script = String::new();
    for (n, f) in FUNCTIONS.iter().enumerate() {
        let (text, bodies) = m.function(n);
        script += &text;
        eval.functions.insert((f.name, f.ints + f.strs), bodies);
        m.callable = n + 1;
    }
    let line = "%d %s %d\n";
    let locals = |code: &mut Vec<S>| {
        code.push(S::Print(line, vec![E::Local("x"), E::Local("s"), E::Local("y")]));
        code.push(S::Print(line, vec![E::Local("z"), E::Local("t"), E::Local("w")]));
    };
    let six = E::Assign(E::Element("m", vec![E::Num(5)]).into(), "=", E::Num(6).into());
    let mut first = vec![S::Expr(six), S::Stat("sv", None, E::Num(3))];
    m.first = true;
    first.extend(m.block(3, 7));
    m.first = false;
    locals(&mut first);
    let mut second = m.block(3, 5);
    locals(&mut second);
    let mut last = m.block(2, 3);
    last.extend(m.closing());
    let _ = write!(script, "{GLOBALS}");
    // that one runs last is a probe's business: `end` comes when the run is over
    let handlers = [("begin", first), ("begin(1)", second), ("end", last)];
    for (n, (point, code)) in handlers.iter().enumerate() {
        let _ = writeln!(script, "probe {point} {{\n{TYPES}");
        if n == 0 {
            script += "  if (0) never()\n";
        }
        text::body(code, &mut script, 1);
        script += "}\n";
    }
    script += "probe begin(2) { exit() }\n";
    eval.start();
    for (_, code) in &handlers {
        match eval.handler(code) {
            Ok(()) | Err(Out::Next) => {}
            Err(Out::Error(text)) => eval.out += &format!("ERROR: {text}\n"),
            Err(_) => return None,
        }
    }
    Some(Case { script, defines, expected: eval.out, failed: eval.failed })
}
