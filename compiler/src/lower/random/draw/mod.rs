//! Draws random scripts. Small trees, few names and much nesting, so that
//! registers are shared, variables change inside of expressions and calls nest
//! in arguments; several probes share the globals. `make` draws a script, `text`
//! writes it, `eval` says what it prints (`walk` its loops through arrays, `hist`
//! its histograms). Knows nothing of the compiler: the
//! tests of the guests include it too.

mod eval;
mod hist;
pub mod make;
mod plain;
mod regex;
mod text;
mod walk;

use hist::Kind;

/// xorshift64*
pub struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }
    pub fn one<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
    pub fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }
}

/// A number or a string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Val {
    Int(i64),
    Str(Vec<u8>),
}

/// An expression; names are those of the consts below.
#[derive(Clone, Debug)]
pub enum E {
    Num(i64),
    Text(&'static str),
    Local(&'static str),
    Global(&'static str),
    Element(&'static str, Vec<E>),
    In(&'static str, Vec<Option<E>>),
    Unary(&'static str, Box<E>),
    Binary(&'static str, Box<E>, Box<E>),
    Choice(Box<E>, Box<E>, Box<E>),
    Assign(Box<E>, &'static str, Box<E>),
    IncDec(bool, &'static str, Box<E>),
    Call(&'static str, Vec<E>),
    Strlen(Box<E>),
    Substr(Box<E>, Box<E>, Box<E>),
    Isinstr(Box<E>, Box<E>),
    Strpos(Box<E>, &'static str),
    Replace(Box<E>, &'static str, Box<E>),
    Sprint(Vec<E>),
    Sprintf(&'static str, Vec<E>),
    /// Negated, and which of [`regex::PATTERNS`].
    Regex(bool, Box<E>, usize),
    /// `@count(st)`, `@sum(sa[k])`.
    Agg(&'static str, &'static str, Option<Box<E>>),
    /// `@hist_linear(sv, …)[n]`, by its place in [`Kind::counts`].
    Bucket(usize),
    /// `str_replace(sprint(@hist_log(st)), "\n", "/")`: an error's message is one line.
    Hist(Box<Hist>),
}

/// A histogram: of `st`, `sv` or an element of `sa`.
#[derive(Clone, Debug)]
pub struct Hist {
    pub name: &'static str,
    pub key: Option<E>,
    pub kind: Kind,
}

/// What a loop through an array is sorted by.
#[derive(Clone, Debug)]
pub enum By {
    Key(usize),
    Value,
    Agg(&'static str),
}

/// `foreach`, all of it.
#[derive(Clone, Debug)]
pub struct Each {
    pub array: &'static str,
    pub keys: Vec<&'static str>,
    pub value: Option<&'static str>,
    /// `true`: downwards.
    pub sort: Option<(By, bool)>,
    pub slice: Option<Vec<Option<E>>>,
    pub limit: Option<E>,
    pub body: Vec<S>,
}

#[derive(Clone, Debug)]
pub enum S {
    Expr(E),
    /// A format of [`text::FORMATS`]-like shape, and what it takes.
    Print(&'static str, Vec<E>),
    Println(Vec<E>),
    If(E, Vec<S>, Vec<S>),
    For(&'static str, i64, Vec<S>),
    While(&'static str, Vec<S>),
    DoWhile(&'static str, Vec<S>),
    Foreach(Box<Each>),
    Try(Vec<S>, Vec<S>),
    Error(E),
    /// Keys; `None` is `*`.
    Delete(&'static str, Vec<Option<E>>),
    /// A whole array or a scalar.
    Clear(&'static str),
    /// `st <<< v`, `sa[k] <<< v`
    Stat(&'static str, Option<E>, E),
    /// `if (s =~ p) print(matched(0))`
    Matched(E, usize),
    /// A loop through the buckets of `sv`, downwards or not.
    Buckets(bool),
    /// `print(@hist_log(st))`, or `println`.
    Hist(bool, Box<Hist>),
    Break,
    Continue,
    Next,
    Return(E),
}

pub const INTS: [&str; 4] = ["x", "y", "z", "w"];
pub const STRS: [&str; 2] = ["s", "t"];

/// An array: its name, keys (`true`: a string), what it holds, entries it has room for.
pub struct Array {
    pub name: &'static str,
    pub keys: &'static [bool],
    pub string: bool,
    pub size: Option<usize>,
    pub wrap: bool,
}

/// The arrays of numbers and strings; `sa` holds statistics, as the scalars `st` and `sv` do, and is
/// treated by itself.
pub const ARRAYS: [Array; 5] = [
    Array { name: "m", keys: &[false], string: false, size: None, wrap: false },
    Array { name: "k", keys: &[false, true], string: false, size: None, wrap: false },
    Array { name: "n", keys: &[true], string: true, size: None, wrap: false },
    Array { name: "q", keys: &[false], string: false, size: Some(3), wrap: false },
    Array { name: "wrap", keys: &[false], string: false, size: Some(2), wrap: true },
];

/// A function: its name, number of integer parameters `x y z`, of string parameters `s t`, what it gives.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    pub ints: usize,
    pub strs: usize,
    pub string: bool,
    /// Writes nothing but locals: may be called in a loop through an array.
    pub local: bool,
    /// Calls itself with one less.
    pub recursive: bool,
    /// There are two of it; the first may leave the call to the second.
    pub overloaded: bool,
}

const fn function(name: &'static str, ints: usize, strs: usize, string: bool) -> Function {
    Function { name, ints, strs, string, local: false, recursive: false, overloaded: false }
}

/// The later ones call the earlier.
pub const FUNCTIONS: [Function; 8] = [
    Function { local: true, ..function("fp", 2, 1, false) },
    Function { local: true, ..function("fq", 1, 2, true) },
    Function { recursive: true, ..function("fr", 2, 1, true) },
    function("fi", 2, 0, false),
    function("fs", 1, 1, true),
    function("fm", 1, 2, false),
    // of the same name as one above, with another number of parameters
    function("fi", 3, 0, false),
    Function { overloaded: true, ..function("fo", 1, 1, false) },
];

pub fn array(name: &str) -> &'static Array {
    ARRAYS.iter().find(|a| a.name == name).expect("an array")
}

/// Histogram of `sv`, whose values are 0 to 15: one bucket below, three, one above. Those of `st` and
/// `sa` are drawn, one for each script.
pub const SV: Kind = Kind::Linear(2, 10, 4);
/// Buckets of it.
pub const BUCKETS: usize = 5;
