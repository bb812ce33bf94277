//! The plain evaluator: what a drawn script prints, by the language's
//! definition, with the plainest data there is.

use super::regex::PATTERNS;
use super::text::text;
use super::{array, By, Each, Val, ARRAYS, BUCKETS, E, FUNCTIONS, HIST, INTS, S, STRS};
use std::collections::BTreeMap;

/// Why a statement did not go on to the next.
pub enum Out {
    Error(String),
    Break,
    Continue,
    Next,
    Return(Val),
    /// Too much work for a test.
    Enough,
}

type Locals = BTreeMap<&'static str, Val>;
/// Entries in the array's order: that in which they came, until a loop sorts them.
type Entries = Vec<(Vec<Val>, Val)>;

type Stat = (&'static str, Option<i64>);

#[derive(Default)]
pub struct Eval {
    globals: BTreeMap<&'static str, Val>,
    arrays: BTreeMap<&'static str, Entries>,
    /// All values of `st` and `sv` under no key, those of `sa` under theirs.
    stats: Vec<(Stat, Vec<i64>)>,
    /// By name and number of parameters: the bodies in the order in which they are tried.
    pub functions: BTreeMap<(&'static str, usize), Vec<Vec<S>>>,
    pub out: String,
    /// Some error was met, caught or not.
    pub failed: bool,
    work: u32,
    nesting: u32,
}

const MAXSTRINGLEN: usize = 512;

fn cut(mut s: Vec<u8>) -> Val {
    s.truncate(MAXSTRINGLEN - 1);
    Val::Str(s)
}

fn empty(string: bool) -> Val {
    if string {
        Val::Str(Vec::new())
    } else {
        Val::Int(0)
    }
}

fn is_string(name: &str) -> bool {
    name == "h" || STRS.contains(&name) || ARRAYS.iter().any(|a| a.name == name && a.string)
}

/// `slice` picks an entry: equal keys, `None` fits all.
fn fits(slice: &[Option<Val>], keys: &[Val]) -> bool {
    slice.iter().zip(keys).all(|(s, k)| s.as_ref().is_none_or(|s| s == k))
}

fn aggregate(op: &str, values: &[i64]) -> Option<i64> {
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

/// Bucket of a value of `sv`.
fn bucket(v: i64) -> i64 {
    let (lo, hi, step) = HIST;
    match v {
        v if v < lo => 0,
        v if v >= hi + step => BUCKETS - 1,
        v => (v - lo) / step + 1,
    }
}

/// One conversion after another; only what the drawn formats use.
fn formatted(format: &str, args: &[Val]) -> Vec<u8> {
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

impl Eval {
    pub fn start(&mut self) {
        self.globals.insert("g", Val::Int(3));
        self.globals.insert("h", Val::Str(b"h".to_vec()));
    }

    pub fn handler(&mut self, code: &[S]) -> Result<(), Out> {
        self.nesting = 0;
        self.run(code, &mut Locals::new())
    }

    fn count_in(&self, n: i64) -> i64 {
        let values = self.values(&("sv", None));
        values.iter().filter(|v| bucket(**v) == n).count() as i64
    }

    fn values(&self, stat: &Stat) -> &[i64] {
        self.stats.iter().find(|(k, _)| k == stat).map_or(&[][..], |(_, v)| v)
    }

    fn error<T>(&mut self, text: impl Into<String>) -> Result<T, Out> {
        self.failed = true;
        Err(Out::Error(text.into()))
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
    fn slice(&mut self, list: &[Option<E>], l: &mut Locals) -> Result<Vec<Option<Val>>, Out> {
        list.iter().map(|e| e.as_ref().map(|e| self.eval(e, l)).transpose()).collect()
    }
    fn entries(&mut self, n: &'static str) -> &mut Entries {
        self.arrays.entry(n).or_default()
    }

    fn binary(&mut self, op: &str, a: Val, b: Val) -> Result<Val, Out> {
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
                "/" | "%" if b == 0 => return self.error("division by 0"),
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
            E::Local(_) | E::Global(_) => self.load(e, &[], l),
            E::Element(_, keys) => {
                let keys = self.list(keys, l)?;
                self.load(e, &keys, l)
            }
            E::In(n, keys) => {
                let keys = self.slice(keys, l)?;
                Val::Int(self.entries(n).iter().any(|(k, _)| fits(&keys, k)).into())
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
                self.binary(op, a, b)?
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
                    Some(op) => {
                        let old = self.load(t, &keys, l);
                        self.binary(op, old, v)?
                    }
                };
                self.store(t, keys, v.clone(), l)?;
                v
            }
            E::IncDec(prefix, op, t) => {
                let keys = self.keys_of(t, l)?;
                let Val::Int(old) = self.load(t, &keys, l) else { panic!("string") };
                let new = if *op == "++" { old.wrapping_add(1) } else { old.wrapping_sub(1) };
                self.store(t, keys, Val::Int(new), l)?;
                Val::Int(if *prefix { new } else { old })
            }
            E::Call(f, args) => {
                let args = self.list(args, l)?;
                self.call(f, args)?
            }
            E::Strlen(x) => Val::Int(self.str(x, l)?.len() as i64),
            E::Substr(s, start, n) => {
                let (s, start, n) = (self.str(s, l)?, self.int(start, l)? as usize, self.int(n, l)? as usize);
                cut(s.into_iter().skip(start).take(n).collect())
            }
            E::Isinstr(a, b) => {
                let (a, b) = (self.str(a, l)?, self.str(b, l)?);
                Val::Int((b.is_empty() || a.windows(b.len()).any(|w| w == b)).into())
            }
            E::Sprint(args) => {
                let args = self.list(args, l)?;
                cut(Self::plain(&args))
            }
            E::Sprintf(f, args) => {
                let args = self.list(args, l)?;
                cut(formatted(f, &args))
            }
            E::Regex(negated, s, n) => {
                let found = PATTERNS[*n].1(&self.str(s, l)?).is_some();
                Val::Int((found != *negated).into())
            }
            E::Strpos(a, b) => {
                let (a, b) = (self.str(a, l)?, b.as_bytes());
                Val::Int(a.windows(b.len()).position(|w| w == b).map_or(-1, |n| n as i64))
            }
            E::Replace(s, old, new) => {
                let (s, new, old) = (self.str(s, l)?, self.str(new, l)?, old.as_bytes());
                let (mut out, mut at) = (Vec::new(), 0);
                while at < s.len() {
                    if s[at..].starts_with(old) {
                        out.extend(&new);
                        at += old.len();
                    } else {
                        out.push(s[at]);
                        at += 1;
                    }
                }
                cut(out)
            }
            E::Bucket(n) => Val::Int(self.count_in(*n)),
            E::Agg(op, name, key) => {
                let key = key.as_ref().map(|k| self.int(k, l)).transpose()?;
                match aggregate(op, self.values(&(name, key))) {
                    Some(n) => Val::Int(n),
                    None => return self.error("empty aggregate"),
                }
            }
        })
    }

    fn plain(args: &[Val]) -> Vec<u8> {
        let mut out = Vec::new();
        for v in args {
            match v {
                Val::Int(n) => out.extend(n.to_string().bytes()),
                Val::Str(t) => out.extend(t),
            }
        }
        out
    }

    fn call(&mut self, name: &'static str, args: Vec<Val>) -> Result<Val, Out> {
        let string = FUNCTIONS.iter().find(|f| f.name == name).expect("function").string;
        let (mut ints, mut strs) = (INTS.iter(), STRS.iter());
        let inner: Locals = args
            .iter()
            .map(|v| match v {
                Val::Int(_) => (*ints.next().expect("parameter"), v.clone()),
                Val::Str(_) => (*strs.next().expect("parameter"), v.clone()),
            })
            .collect();
        self.nesting += 1;
        assert!(self.nesting < 30);
        let bodies = self.functions[&(name, args.len())].clone();
        let mut done = Ok(());
        for body in &bodies {
            done = self.run(body, &mut inner.clone());
            if !matches!(done, Err(Out::Next)) {
                break;
            }
        }
        self.nesting -= 1;
        match done {
            Ok(()) => Ok(empty(string)),
            Err(Out::Return(v)) => Ok(v),
            Err(e) => Err(e),
        }
    }

    fn keys_of(&mut self, t: &E, l: &mut Locals) -> Result<Vec<Val>, Out> {
        match t {
            E::Element(_, keys) => self.list(keys, l),
            _ => Ok(Vec::new()),
        }
    }

    fn load(&mut self, t: &E, keys: &[Val], l: &Locals) -> Val {
        let (E::Local(n) | E::Global(n) | E::Element(n, _)) = t else { panic!("{t:?}") };
        let found = match t {
            E::Local(n) => l.get(n).cloned(),
            E::Global(n) => self.globals.get(n).cloned(),
            _ => self.entries(n).iter().find(|(k, _)| k == keys).map(|(_, v)| v.clone()),
        };
        found.unwrap_or(empty(is_string(n)))
    }

    fn store(&mut self, t: &E, keys: Vec<Val>, v: Val, l: &mut Locals) -> Result<(), Out> {
        match t {
            E::Local(n) => drop(l.insert(n, v)),
            E::Global(n) => drop(self.globals.insert(n, v)),
            E::Element(n, _) => {
                let a = array(n);
                let entries = self.entries(n);
                if let Some((_, old)) = entries.iter_mut().find(|(k, _)| *k == keys) {
                    *old = v;
                    return Ok(());
                }
                if a.size == Some(entries.len()) {
                    if !a.wrap {
                        let text = format!("Array overflow, check size limit ({})", entries.len());
                        return self.error(text);
                    }
                    entries.remove(0);
                }
                entries.push((keys, v));
            }
            t => panic!("{t:?}"),
        }
        Ok(())
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

    fn print(&mut self, bytes: &[u8]) {
        self.out += &String::from_utf8_lossy(bytes);
    }

    fn stmt(&mut self, s: &S, l: &mut Locals) -> Result<(), Out> {
        match s {
            S::Expr(e) => drop(self.eval(e, l)?),
            S::Print(f, args) => {
                let args = self.list(args, l)?;
                self.print(&formatted(f, &args));
            }
            S::Println(args) => {
                let args = self.list(args, l)?;
                self.print(&Self::plain(&args));
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
                    Self::count(i, l);
                }
            }
            S::While(i, b) => {
                l.insert(i, Val::Int(0));
                while Self::count(i, l) < 2 && self.turn(b, l)? {}
            }
            S::DoWhile(i, b) => {
                l.insert(i, Val::Int(0));
                while self.turn(b, l)? && Self::count(i, l) < 1 {}
            }
            S::Foreach(f) => self.foreach(f, l)?,
            S::Try(a, b) => match self.run(a, l) {
                Err(Out::Error(_)) => self.run(b, l)?,
                r => r?,
            },
            S::Error(e) => {
                let message = [b"E".to_vec(), self.str(e, l)?].concat();
                let Val::Str(message) = cut(message) else { unreachable!() };
                return self.error(String::from_utf8_lossy(&message).into_owned());
            }
            S::Delete("sa", keys) => {
                let keys = self.slice(keys, l)?;
                self.stats.retain(|((_, k), _)| k.is_none() || !fits(&keys, &[Val::Int(k.unwrap_or(0))]));
            }
            S::Delete(m, keys) => {
                let keys = self.slice(keys, l)?;
                self.entries(m).retain(|(k, _)| !fits(&keys, k));
            }
            S::Clear("st") => self.stats.retain(|((n, _), _)| *n != "st"),
            S::Clear(n @ ("g" | "h")) => drop(self.globals.remove(n)),
            S::Clear(n) => {
                l.remove(n);
                self.arrays.remove(n);
            }
            S::Stat(name, key, v) => {
                let key = (*name, key.as_ref().map(|k| self.int(k, l)).transpose()?);
                let v = self.int(v, l)?;
                match self.stats.iter_mut().find(|(k, _)| *k == key) {
                    Some((_, values)) => values.push(v),
                    None => self.stats.push((key, vec![v])),
                }
            }
            S::Matched(e, n) => {
                let s = self.str(e, l)?;
                if let Some((from, to)) = PATTERNS[*n].1(&s) {
                    self.print(&[b"<", &s[from..to], b">\n"].concat());
                }
            }
            S::Buckets(down) => {
                for n in 0..BUCKETS {
                    let b = if *down { BUCKETS - 1 - n } else { n };
                    self.print(format!("{b}#{}\n", self.count_in(b)).as_bytes());
                    l.insert("b", Val::Int(b));
                }
            }
            S::Break => return Err(Out::Break),
            S::Continue => return Err(Out::Continue),
            S::Next => return Err(Out::Next),
            S::Return(e) => {
                let v = self.eval(e, l)?;
                return Err(Out::Return(v));
            }
        }
        Ok(())
    }

    /// `i++`
    fn count(i: &'static str, l: &mut Locals) -> i64 {
        let Some(Val::Int(k)) = l.get(i).cloned() else { panic!("no number in {i}") };
        l.insert(i, Val::Int(k.wrapping_add(1)));
        k
    }

    /// The entries of an array; of `sa` with what a loop without another word sorts them by.
    fn order_of(&self, name: &str) -> Entries {
        if name != "sa" {
            return self.arrays.get(name).cloned().unwrap_or_default();
        }
        let of = self.stats.iter().filter_map(|((_, k), v)| Some((vec![Val::Int((*k)?)], v.len())));
        of.map(|(k, n)| (k, Val::Int(n as i64))).collect()
    }

    fn set_order(&mut self, name: &'static str, entries: Entries) {
        if name != "sa" {
            self.arrays.insert(name, entries);
            return;
        }
        let at = |((_, k), _): &(Stat, Vec<i64>)| {
            k.and_then(|k| entries.iter().position(|(keys, _)| keys[0] == Val::Int(k)))
        };
        self.stats.sort_by_key(at);
    }

    /// Sorting is stable, and changes the array itself: the first `limit` entries come to the front.
    fn sort(&mut self, f: &Each, limit: i64) {
        let Some((by, down)) = &f.sort else { return };
        let entries = self.order_of(f.array);
        let value_of = |op: &str, keys: &[Val]| match keys[0] {
            Val::Int(k) => aggregate(op, self.values(&("sa", Some(k)))),
            _ => None,
        };
        let mut sorted = entries.clone();
        sorted.sort_by(|(ka, va), (kb, vb)| {
            let order = match by {
                By::Key(n) => ka[*n].cmp(&kb[*n]),
                By::Agg(op) => value_of(op, ka).cmp(&value_of(op, kb)),
                By::Value => va.cmp(vb),
            };
            if *down {
                order.reverse()
            } else {
                order
            }
        });
        sorted.truncate(usize::try_from(limit).unwrap_or(0));
        let rest = entries.into_iter().filter(|e| !sorted.contains(e)).collect::<Vec<_>>();
        sorted.extend(rest);
        self.set_order(f.array, sorted);
    }

    fn foreach(&mut self, f: &Each, l: &mut Locals) -> Result<(), Out> {
        let slice = f.slice.as_ref().map(|s| self.slice(s, l)).transpose()?;
        let mut left = f.limit.as_ref().map(|e| self.int(e, l)).transpose()?.unwrap_or(i64::MAX);
        self.sort(f, left);
        let mut at: Option<Vec<Val>> = None;
        while left > 0 {
            // a loop within may have sorted the array: what comes next is next now
            let entries = self.order_of(f.array);
            let next = at.map_or(0, |k| 1 + entries.iter().position(|(x, _)| *x == k).expect("it stays"));
            let Some((keys, value)) = entries.into_iter().nth(next) else { break };
            at = Some(keys.clone());
            left -= 1;
            if slice.as_ref().is_some_and(|s| !fits(s, &keys)) {
                continue;
            }
            for (name, key) in f.keys.iter().zip(keys) {
                l.insert(name, key);
            }
            if let Some(v) = f.value {
                l.insert(v, value);
            }
            if !self.turn(&f.body, l)? {
                break;
            }
        }
        Ok(())
    }
}
