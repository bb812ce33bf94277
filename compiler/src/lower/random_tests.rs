//! Random scripts: each is made together with a plain evaluator's answer, then
//! compiled, verified and run by the hosted machine. The same bytes must come
//! out. Small trees, few names and much nesting, so that registers are shared,
//! variables change inside of expressions and calls nest in arguments.
//! `STPVM_RANDOM=N` runs N scripts instead of the fixed few.

use super::tests::{compile_options, run_image};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// xorshift64*
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
    fn one<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

/// A number or a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Val {
    Int(i64),
    Str(Vec<u8>),
}

#[derive(Clone, Debug)]
enum E {
    Num(i64),
    Text(&'static str),
    Local(&'static str),
    Global(&'static str),
    Element(&'static str, Vec<E>),
    In(&'static str, Vec<E>),
    Unary(&'static str, Box<E>),
    Binary(&'static str, Box<E>, Box<E>),
    Choice(Box<E>, Box<E>, Box<E>),
    Assign(Box<E>, &'static str, Box<E>),
    IncDec(bool, &'static str, Box<E>),
    Call(&'static str, Vec<E>),
    Strlen(Box<E>),
    Sprint(Vec<E>),
}

#[derive(Clone, Debug)]
enum S {
    Expr(E),
    Print(Vec<E>),
    If(E, Vec<S>, Vec<S>),
    For(&'static str, i64, Vec<S>),
    While(&'static str, Vec<S>),
    Foreach(&'static str, &'static str, Vec<S>),
    Try(Vec<S>, Vec<S>),
    Delete(&'static str, E),
    Break,
    Continue,
    Return(E),
}

const INTS: [&str; 4] = ["x", "y", "z", "w"];
const STRS: [&str; 2] = ["s", "t"];
const WORDS: [&str; 4] = ["", "a", "bc", "xyz"];
/// Name, number of integer parameters `x y z`, of string parameters `s t`, gives a string.
const FUNCTIONS: [(&str, usize, usize, bool); 3] =
    [("fi", 2, 0, false), ("fs", 1, 1, true), ("fm", 1, 2, false)];

struct Maker {
    rng: Rng,
    /// Functions that may be called from here on; the later ones call the earlier.
    callable: usize,
    in_loop: u32,
    /// Arrays that are walked here must not be changed.
    walked: Vec<&'static str>,
    counters: u32,
}

impl Maker {
    fn int(&mut self, depth: u32) -> E {
        let leaf = depth == 0 || self.rng.below(5) == 0;
        match if leaf { self.rng.below(4) } else { 4 + self.rng.below(16) } {
            0 => E::Num(self.rng.one(&[0, 1, -1, 2, 7, 63, 1 << 40, i64::MIN, i64::MAX, 255, -128])),
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
                let op = self.rng.one(&["=", "+=", "-=", "*=", "&=", "|=", "^="]);
                E::Assign(self.int_place(depth).into(), op, self.int(depth - 1).into())
            }
            14 => {
                let prefix = self.rng.below(2) == 0;
                E::IncDec(prefix, self.rng.one(&["++", "--"]), self.int_place(depth).into())
            }
            15 => self.element("m", 1, 0, depth),
            16 => self.element("k", 1, 1, depth),
            17 => match self.element("k", 1, 1, depth) {
                E::Element(name, keys) => E::In(name, keys),
                e => e,
            },
            18 => E::Strlen(self.str(depth - 1).into()),
            _ => self.call(false, depth),
        }
    }

    fn str(&mut self, depth: u32) -> E {
        let leaf = depth == 0 || self.rng.below(4) == 0;
        match if leaf { self.rng.below(3) } else { 3 + self.rng.below(8) } {
            0 => E::Text(self.rng.one(&WORDS)),
            1 | 2 => E::Local(self.rng.one(&STRS)),
            3 | 4 => E::Binary(".", self.str(depth - 1).into(), self.str(depth - 1).into()),
            5 => {
                E::Choice(self.int(depth - 1).into(), self.str(depth - 1).into(), self.str(depth - 1).into())
            }
            6 => {
                let op = self.rng.one(&["=", ".="]);
                let target = if self.walked.contains(&"n") || self.rng.below(2) == 0 {
                    E::Local(self.rng.one(&STRS))
                } else {
                    self.element("n", 0, 1, depth)
                };
                E::Assign(target.into(), op, self.str(depth - 1).into())
            }
            7 => self.element("n", 0, 1, depth),
            8 => E::Sprint(vec![self.int(depth - 1), self.str(depth - 1)]),
            9 => E::Global("h"),
            _ => self.call(true, depth),
        }
    }

    fn element(&mut self, name: &'static str, ints: usize, strs: usize, depth: u32) -> E {
        let mut keys: Vec<E> = (0..ints).map(|_| self.int(depth.saturating_sub(2))).collect();
        keys.extend((0..strs).map(|_| self.str(depth.saturating_sub(2))));
        E::Element(name, keys)
    }

    fn int_place(&mut self, depth: u32) -> E {
        match self.rng.below(6) {
            0 => E::Global("g"),
            1 if !self.walked.contains(&"m") => self.element("m", 1, 0, depth),
            2 if !self.walked.contains(&"k") => self.element("k", 1, 1, depth),
            _ => E::Local(self.rng.one(&INTS)),
        }
    }

    fn call(&mut self, string: bool, depth: u32) -> E {
        let fits: Vec<_> = FUNCTIONS[..self.callable].iter().filter(|f| f.3 == string).copied().collect();
        if fits.is_empty() || !self.walked.is_empty() {
            return if string { E::Local("s") } else { E::Local("x") };
        }
        let (name, ints, strs, _) = self.rng.one(&fits);
        let mut args: Vec<E> = (0..ints).map(|_| self.int(depth - 1)).collect();
        args.extend((0..strs).map(|_| self.str(depth - 1)));
        E::Call(name, args)
    }

    fn block(&mut self, depth: u32, n: usize) -> Vec<S> {
        (0..1 + self.rng.below(n)).map(|_| self.stmt(depth)).collect()
    }

    fn stmt(&mut self, depth: u32) -> S {
        match if depth == 0 { self.rng.below(8) } else { self.rng.below(17) } {
            0..=4 => S::Expr(if self.rng.below(3) == 0 { self.str_assign() } else { self.int_assign() }),
            5 => S::Print(vec![self.int(2), self.str(2), self.int(1)]),
            6 if self.in_loop > 0 => self.rng.one(&[S::Break, S::Continue]),
            6 | 7 => S::Expr(self.int(3)),
            8..=10 => {
                let els = if self.rng.below(2) == 0 { self.block(depth - 1, 2) } else { Vec::new() };
                S::If(self.int(3), self.block(depth - 1, 3), els)
            }
            11 | 12 => {
                self.in_loop += 1;
                self.counters += 1;
                let i = ["i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"][self.counters as usize % 8];
                let body = self.block(depth - 1, 3);
                self.in_loop -= 1;
                if self.rng.below(3) == 0 {
                    S::While(i, body)
                } else {
                    S::For(i, self.rng.below(4) as i64, body)
                }
            }
            13 | 14 if !self.walked.contains(&"m") => {
                self.walked.push("m");
                self.in_loop += 1;
                let body = self.block(depth - 1, 2);
                self.in_loop -= 1;
                self.walked.pop();
                S::Foreach(self.rng.one(&INTS), "m", body)
            }
            15 => S::Try(self.block(depth - 1, 3), self.block(0, 2)),
            16 if !self.walked.contains(&"m") => S::Delete("m", self.int(2)),
            _ => S::Expr(self.int_assign()),
        }
    }

    fn int_assign(&mut self) -> E {
        E::Assign(self.int_place(3).into(), "=", self.int(4).into())
    }
    fn str_assign(&mut self) -> E {
        E::Assign(E::Local(self.rng.one(&STRS)).into(), "=", self.str(4).into())
    }
}

// -- text ---------------------------------------------------------------------------

fn list(l: &[E]) -> String {
    l.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn text(e: &E) -> String {
    match e {
        E::Num(i64::MIN) => "(-9223372036854775807 - 1)".into(),
        E::Num(n) if *n < 0 => format!("({n})"),
        E::Num(n) => n.to_string(),
        E::Text(s) => format!("\"{s}\""),
        E::Local(n) | E::Global(n) => n.to_string(),
        E::Element(n, keys) => format!("{n}[{}]", list(keys)),
        E::In(n, keys) => format!("([{}] in {n})", list(keys)),
        E::Unary(op, x) => format!("({op} {})", text(x)),
        E::Binary(op, a, b) => format!("({} {op} {})", text(a), text(b)),
        E::Choice(c, a, b) => format!("({} ? {} : {})", text(c), text(a), text(b)),
        E::Assign(t, op, v) => format!("({} {op} {})", text(t), text(v)),
        E::IncDec(true, op, t) => format!("({op}{})", text(t)),
        E::IncDec(false, op, t) => format!("({}{op})", text(t)),
        E::Call(f, args) => format!("{f}({})", list(args)),
        E::Strlen(x) => format!("strlen({})", text(x)),
        E::Sprint(args) => format!("sprint({})", list(args)),
    }
}

fn body(list_of: &[S], out: &mut String, indent: usize) {
    let pad = "  ".repeat(indent);
    for s in list_of {
        let inner = |l: &[S]| {
            let mut t = String::new();
            body(l, &mut t, indent + 1);
            format!("{{\n{t}{pad}}}")
        };
        let line = match s {
            S::Expr(e) => format!("{};", text(e)),
            S::Print(args) => format!("printf(\"%d %s %d\\n\", {})", list(args)),
            S::If(c, a, b) if b.is_empty() => format!("if ({}) {}", text(c), inner(a)),
            S::If(c, a, b) => format!("if ({}) {} else {}", text(c), inner(a), inner(b)),
            S::For(i, n, b) => format!("for ({i} = 0; {i} < {n}; {i}++) {}", inner(b)),
            S::While(i, b) => format!("{i} = 0;\n{pad}while ({i}++ < 2) {}", inner(b)),
            S::Foreach(k, m, b) => format!("foreach ({k}+ in {m}) {}", inner(b)),
            S::Try(a, b) => format!("try {} catch (e) {}", inner(a), inner(b)),
            S::Delete(m, k) => format!("delete {m}[{}]", text(k)),
            S::Break => "break".into(),
            S::Continue => "continue".into(),
            S::Return(e) => format!("return {};", text(e)),
        };
        let _ = writeln!(out, "{pad}{line}");
    }
}

// -- the plain evaluator ---------------------------------------------------------------

/// Why a statement did not go on to the next.
enum Out {
    Error(&'static str),
    Break,
    Continue,
    Return(Val),
    /// Too much work for a test.
    Enough,
}

type Locals = BTreeMap<&'static str, Val>;

#[derive(Default)]
struct Eval {
    globals: BTreeMap<&'static str, Val>,
    arrays: BTreeMap<&'static str, BTreeMap<Vec<Val>, Val>>,
    functions: BTreeMap<&'static str, Vec<S>>,
    out: String,
    work: u32,
    nesting: u32,
}

const MAXSTRINGLEN: usize = 512;

fn cut(mut s: Vec<u8>) -> Val {
    s.truncate(MAXSTRINGLEN - 1);
    Val::Str(s)
}

impl Eval {
    fn string_global(name: &str) -> bool {
        name == "h" || name == "n"
    }
    fn int(&mut self, e: &E, l: &mut Locals) -> Result<i64, Out> {
        match self.eval(e, l)? {
            Val::Int(n) => Ok(n),
            v => panic!("{v:?} where a number should be: {}", text(e)),
        }
    }
    fn str(&mut self, e: &E, l: &mut Locals) -> Result<Vec<u8>, Out> {
        match self.eval(e, l)? {
            Val::Str(s) => Ok(s),
            v => panic!("{v:?} where a string should be: {}", text(e)),
        }
    }
    fn list(&mut self, list: &[E], l: &mut Locals) -> Result<Vec<Val>, Out> {
        list.iter().map(|e| self.eval(e, l)).collect()
    }
    fn empty(string: bool) -> Val {
        if string {
            Val::Str(Vec::new())
        } else {
            Val::Int(0)
        }
    }

    fn binary(op: &str, a: Val, b: Val) -> Result<Val, Out> {
        let compare = |o: std::cmp::Ordering| match op {
            "<" => Some(o.is_lt()),
            "<=" => Some(o.is_le()),
            ">" => Some(o.is_gt()),
            ">=" => Some(o.is_ge()),
            "==" => Some(o.is_eq()),
            "!=" => Some(o.is_ne()),
            _ => None,
        };
        if let Some(yes) = compare(a.cmp(&b)) {
            return Ok(Val::Int(yes.into()));
        }
        Ok(match (a, b) {
            (Val::Str(mut a), Val::Str(b)) => {
                a.extend(b);
                cut(a)
            }
            (Val::Int(a), Val::Int(b)) => Val::Int(match op {
                "+" => a.wrapping_add(b),
                "-" => a.wrapping_sub(b),
                "*" => a.wrapping_mul(b),
                "/" | "%" if b == 0 => return Err(Out::Error("division by 0")),
                "/" => a.wrapping_div(b),
                "%" => a.wrapping_rem(b),
                "&" => a & b,
                "|" => a | b,
                "^" => a ^ b,
                "<<" => a.wrapping_shl(b as u32),
                ">>" => a.wrapping_shr(b as u32),
                op => panic!("{op}"),
            }),
            x => panic!("{x:?}"),
        })
    }

    fn eval(&mut self, e: &E, l: &mut Locals) -> Result<Val, Out> {
        self.work += 1;
        if self.work > 20_000 {
            return Err(Out::Enough);
        }
        Ok(match e {
            E::Num(n) => Val::Int(*n),
            E::Text(s) => Val::Str(s.as_bytes().to_vec()),
            E::Local(n) => l.get(n).cloned().unwrap_or(Self::empty(STRS.contains(n))),
            E::Global(n) => self.globals.get(n).cloned().unwrap_or(Self::empty(Self::string_global(n))),
            E::Element(n, keys) => {
                let keys = self.list(keys, l)?;
                self.element(n, &keys)
            }
            E::In(n, keys) => {
                let keys = self.list(keys, l)?;
                Val::Int(self.arrays.entry(n).or_default().contains_key(&keys).into())
            }
            E::Unary(op, x) => {
                let x = self.int(x, l)?;
                Val::Int(match *op {
                    "-" => x.wrapping_neg(),
                    "~" => !x,
                    _ => i64::from(x == 0),
                })
            }
            E::Binary("&&", a, b) => Val::Int((self.int(a, l)? != 0 && self.int(b, l)? != 0).into()),
            E::Binary("||", a, b) => Val::Int((self.int(a, l)? != 0 || self.int(b, l)? != 0).into()),
            E::Binary(op, a, b) => {
                let a = self.eval(a, l)?;
                let b = self.eval(b, l)?;
                Self::binary(op, a, b)?
            }
            E::Choice(c, a, b) => {
                let which = if self.int(c, l)? != 0 { a } else { b };
                self.eval(which, l)?
            }
            E::Assign(t, op, v) => {
                let keys = self.keys_of(t, l)?;
                let v = self.eval(v, l)?;
                let v = match op.strip_suffix('=') {
                    Some("") | None => v,
                    Some(op) => Self::binary(op, self.load(t, &keys, l), v)?,
                };
                self.store(t, keys, v.clone(), l);
                v
            }
            E::IncDec(prefix, op, t) => {
                let keys = self.keys_of(t, l)?;
                let Val::Int(old) = self.load(t, &keys, l) else { panic!("string") };
                let new = if *op == "++" { old.wrapping_add(1) } else { old.wrapping_sub(1) };
                self.store(t, keys, Val::Int(new), l);
                Val::Int(if *prefix { new } else { old })
            }
            E::Call(f, args) => {
                let args = self.list(args, l)?;
                let (_, _, _, string) = FUNCTIONS.iter().find(|x| x.0 == *f).expect("function");
                let (mut ints, mut strs) = (INTS.iter(), STRS.iter());
                let mut inner: Locals = args
                    .into_iter()
                    .map(|v| match v {
                        Val::Int(_) => (*ints.next().expect("parameter"), v),
                        Val::Str(_) => (*strs.next().expect("parameter"), v),
                    })
                    .collect();
                self.nesting += 1;
                assert!(self.nesting < 9);
                let body = self.functions[f].clone();
                let r = self.run(&body, &mut inner);
                self.nesting -= 1;
                match r {
                    Ok(()) => Self::empty(*string),
                    Err(Out::Return(v)) => v,
                    Err(e) => return Err(e),
                }
            }
            E::Strlen(x) => Val::Int(self.str(x, l)?.len() as i64),
            E::Sprint(args) => {
                let mut s = Vec::new();
                for v in self.list(args, l)? {
                    match v {
                        Val::Int(n) => s.extend(n.to_string().bytes()),
                        Val::Str(t) => s.extend(t),
                    }
                }
                cut(s)
            }
        })
    }

    fn element(&mut self, n: &'static str, keys: &[Val]) -> Val {
        let missing = Self::empty(Self::string_global(n));
        self.arrays.entry(n).or_default().get(keys).cloned().unwrap_or(missing)
    }
    fn keys_of(&mut self, t: &E, l: &mut Locals) -> Result<Vec<Val>, Out> {
        match t {
            E::Element(_, keys) => self.list(keys, l),
            _ => Ok(Vec::new()),
        }
    }
    fn load(&mut self, t: &E, keys: &[Val], l: &Locals) -> Val {
        match t {
            E::Local(n) => l.get(n).cloned().unwrap_or(Self::empty(STRS.contains(n))),
            E::Global(n) => self.globals.get(n).cloned().unwrap_or(Self::empty(Self::string_global(n))),
            E::Element(n, _) => self.element(n, keys),
            t => panic!("{t:?}"),
        }
    }
    fn store(&mut self, t: &E, keys: Vec<Val>, v: Val, l: &mut Locals) {
        match t {
            E::Local(n) => drop(l.insert(n, v)),
            E::Global(n) => drop(self.globals.insert(n, v)),
            E::Element(n, _) => drop(self.arrays.entry(n).or_default().insert(keys, v)),
            t => panic!("{t:?}"),
        }
    }

    fn run(&mut self, list: &[S], l: &mut Locals) -> Result<(), Out> {
        list.iter().try_for_each(|s| self.stmt(s, l))
    }

    /// One turn of a loop; `false` ends it.
    fn turn(&mut self, body: &[S], l: &mut Locals) -> Result<bool, Out> {
        match self.run(body, l) {
            Ok(()) | Err(Out::Continue) => Ok(true),
            Err(Out::Break) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn stmt(&mut self, s: &S, l: &mut Locals) -> Result<(), Out> {
        match s {
            S::Expr(e) => drop(self.eval(e, l)?),
            S::Print(args) => {
                let v = self.list(args, l)?;
                let shown: Vec<String> = v
                    .iter()
                    .map(|v| match v {
                        Val::Int(n) => n.to_string(),
                        Val::Str(s) => String::from_utf8_lossy(s).into_owned(),
                    })
                    .collect();
                self.out += &shown.join(" ");
                self.out.push('\n');
            }
            S::If(c, a, b) => {
                let which = if self.int(c, l)? != 0 { a } else { b };
                self.run(which, l)?;
            }
            S::For(i, n, b) => {
                l.insert(i, Val::Int(0));
                while l[i] < Val::Int(*n) {
                    if !self.turn(b, l)? {
                        break;
                    }
                    let Val::Int(k) = l[i] else { panic!("string") };
                    l.insert(i, Val::Int(k.wrapping_add(1)));
                }
            }
            S::While(i, b) => {
                l.insert(i, Val::Int(0));
                loop {
                    let Val::Int(k) = l[i] else { panic!("string") };
                    l.insert(i, Val::Int(k.wrapping_add(1)));
                    if k >= 2 || !self.turn(b, l)? {
                        break;
                    }
                }
            }
            S::Foreach(k, m, b) => {
                let keys: Vec<Val> = self.arrays.entry(m).or_default().keys().map(|k| k[0].clone()).collect();
                for key in keys {
                    l.insert(k, key);
                    if !self.turn(b, l)? {
                        break;
                    }
                }
            }
            S::Try(a, b) => match self.run(a, l) {
                Err(Out::Error(_)) => self.run(b, l)?,
                r => r?,
            },
            S::Delete(m, k) => {
                let k = self.eval(k, l)?;
                self.arrays.entry(m).or_default().remove(&vec![k]);
            }
            S::Break => return Err(Out::Break),
            S::Continue => return Err(Out::Continue),
            S::Return(e) => {
                let v = self.eval(e, l)?;
                return Err(Out::Return(v));
            }
        }
        Ok(())
    }
}

/// Says the types of the variables, and is never run.
const TYPES: &str = "  if (0) { x = y = z = w = 0; s = t = \"\" }\n";

/// Script and expected output of a seed; `None` where it would run too long.
fn case(seed: u64) -> Option<(String, String)> {
    let mut m = Maker { rng: Rng(seed | 1), callable: 0, in_loop: 0, walked: Vec::new(), counters: 0 };
    for _ in 0..8 {
        m.rng.next();
    }
    let mut eval = Eval::default();
    let mut script = String::from("global g = 3, h = \"h\", m, k, n\n");
    eval.globals.insert("g", Val::Int(3));
    eval.globals.insert("h", Val::Str(b"h".to_vec()));
    for (i, (name, ints, strs, string)) in FUNCTIONS.iter().enumerate() {
        let mut code = m.block(2, 3);
        code.push(S::Return(if *string { m.str(3) } else { m.int(3) }));
        let params: Vec<&str> = INTS[..*ints].iter().chain(&STRS[..*strs]).copied().collect();
        let typed: Vec<String> = params
            .iter()
            .map(|p| format!("{p}:{}", if STRS.contains(p) { "string" } else { "long" }))
            .collect();
        let ret = if *string { "string" } else { "long" };
        let _ = writeln!(script, "function {name}:{ret}({}) {{", typed.join(", "));
        script += TYPES;
        body(&code, &mut script, 1);
        script += "}\n";
        eval.functions.insert(name, code);
        m.callable = i + 1;
    }
    let mut code = vec![S::Expr(E::Assign(E::Element("m", vec![E::Num(5)]).into(), "=", E::Num(6).into()))];
    code.extend(m.block(3, 8));
    code.push(S::Print(vec![E::Local("x"), E::Local("s"), E::Local("y")]));
    code.push(S::Print(vec![E::Local("z"), E::Local("t"), E::Local("w")]));
    code.push(S::Print(vec![E::Global("g"), E::Global("h"), E::Element("k", vec![E::Num(1), E::Text("a")])]));
    code.push(S::Print(vec![
        E::Element("m", vec![E::Num(7)]),
        E::Element("n", vec![E::Text("a")]),
        E::Num(1),
    ]));
    script += "probe begin {\n";
    script += TYPES;
    body(&code, &mut script, 1);
    script += "}\n";
    match eval.run(&code, &mut Locals::new()) {
        Ok(()) => {}
        Err(Out::Error(text)) => eval.out += &format!("ERROR: {text}\n"),
        Err(_) => return None,
    }
    Some((script, eval.out))
}

#[test]
fn random_scripts_print_what_a_plain_evaluator_says() {
    let n: u64 = std::env::var("STPVM_RANDOM").ok().and_then(|n| n.parse().ok()).unwrap_or(150);
    let first: u64 = std::env::var("STPVM_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut run = 0;
    for seed in first..first + n {
        let Some((script, expected)) = case(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) else { continue };
        let image =
            compile_options(&script, &[("MAXACTION_INTERRUPTIBLE", "100000000"), ("MAXNESTING", "20")], true);
        let got = run_image(&image);
        // An error names its place behind its text.
        let got: String = got
            .lines()
            .map(|l| match l.strip_prefix("ERROR: ") {
                Some(_) => format!("{}\n", l.split(" near ").next().unwrap_or(l)),
                None => format!("{l}\n"),
            })
            .collect();
        assert_eq!(got, expected, "seed {seed}\n{script}\n{}", image.listing(true));
        let mut canonical = image.clone();
        canonical.canonical();
        assert_eq!(crate::bytecode::assemble(&image.listing(true)).expect("assembles"), canonical);
        run += 1;
    }
    assert!(run * 2 > n, "most cases are short enough to run");
}
