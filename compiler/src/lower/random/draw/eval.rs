//! The plain evaluator: what a drawn script prints, by the language's
//! definition, with the plainest data there is.

use super::hist::Shape;
use super::plain::{aggregate, cut, empty, fits, formatted, plain};
use super::regex::PATTERNS;
use super::text::text;
use super::{array, Hist, Val, ARRAYS, E, FUNCTIONS, INTS, S, STRS, SV};
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

pub(super) type Locals = BTreeMap<&'static str, Val>;
/// Entries in the array's order: that in which they came, until a loop sorts them.
pub(super) type Entries = Vec<(Vec<Val>, Val)>;

pub(super) type Stat = (&'static str, Option<i64>);

#[derive(Default)]
pub struct Eval {
    globals: BTreeMap<&'static str, Val>,
    pub(super) arrays: BTreeMap<&'static str, Entries>,
    /// All values of `st` and `sv` under no key, those of `sa` under theirs.
    pub(super) stats: Vec<(Stat, Vec<i64>)>,
    /// By name and number of parameters: the bodies in the order in which they are tried.
    pub functions: BTreeMap<(&'static str, usize), Vec<Vec<S>>>,
    /// How histograms are drawn.
    pub shape: Shape,
    pub out: String,
    /// Some error was met, caught or not.
    pub failed: bool,
    work: u32,
    nesting: u32,
}

fn is_string(name: &str) -> bool {
    name == "h" || STRS.contains(&name) || ARRAYS.iter().any(|a| a.name == name && a.string)
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

    /// Buckets of `sv`.
    fn buckets(&self) -> Vec<usize> {
        SV.counts(self.values(&("sv", None)))
    }

    fn histogram(&mut self, h: &Hist, l: &mut Locals) -> Result<String, Out> {
        let key = h.key.as_ref().map(|k| self.int(k, l)).transpose()?;
        match h.kind.draw(self.values(&(h.name, key)), self.shape) {
            Some(text) => Ok(text),
            None => self.error("empty aggregate"),
        }
    }

    pub(super) fn values(&self, stat: &Stat) -> &[i64] {
        self.stats.iter().find(|(k, _)| k == stat).map_or(&[][..], |(_, v)| v)
    }

    fn error<T>(&mut self, text: impl Into<String>) -> Result<T, Out> {
        self.failed = true;
        Err(Out::Error(text.into()))
    }
    pub(super) fn int(&mut self, e: &E, l: &mut Locals) -> Result<i64, Out> {
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
    pub(super) fn slice(&mut self, list: &[Option<E>], l: &mut Locals) -> Result<Vec<Option<Val>>, Out> {
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
                cut(plain(&args))
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
            E::Bucket(n) => Val::Int(self.buckets()[*n] as i64),
            E::Hist(h) => {
                let Val::Str(mut s) = cut(self.histogram(h, l)?.into_bytes()) else { unreachable!() };
                s.iter_mut().filter(|b| **b == b'\n').for_each(|b| *b = b'/');
                Val::Str(s)
            }
            E::Agg(op, name, key) => {
                let key = key.as_ref().map(|k| self.int(k, l)).transpose()?;
                match aggregate(op, self.values(&(name, key))) {
                    Some(n) => Val::Int(n),
                    None => return self.error("empty aggregate"),
                }
            }
        })
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
    pub(super) fn turn(&mut self, body: &[S], l: &mut Locals) -> Result<bool, Out> {
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
                self.print(&plain(&args));
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
                let mut counts: Vec<_> = self.buckets().into_iter().enumerate().collect();
                if *down {
                    counts.reverse();
                }
                for (b, count) in counts {
                    self.print(format!("{b}#{count}\n").as_bytes());
                    l.insert("b", Val::Int(b as i64));
                }
            }
            // SystemTap's `println` of one adds nothing to the empty line at its end
            S::Hist(_, h) => {
                let drawn = self.histogram(h, l)?;
                self.out += &drawn;
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
}
