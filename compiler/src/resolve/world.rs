//! All that names may mean: the user's scripts, the library, the target. In:
//! parsed scripts. Out: units, loaded when something in them is referred to.

use super::library::Library;
use super::target_api::TargetVars;
use crate::diag::{Diagnostic, Diagnostics, FileId, Origin, SourceMap, Span, Stage};
use crate::driver::Options;
use crate::syntax::ast::{Script, Stmt};
use crate::syntax::{self, ParseContext};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// Number of a [`Unit`].
pub type UnitId = usize;

/// A parsed file: a user's script or a file of the library.
#[derive(Clone, Debug)]
pub struct Unit {
    pub file: FileId,
    pub script: Rc<Script>,
    pub library: bool,
}

/// Which block of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    Probe(usize),
    /// Block of an alias; for `= … {…}, {…}` the first.
    Alias(usize),
    AliasSecond(usize),
}

impl Unit {
    /// The block; `None` for the second block of an alias that has one only.
    pub fn block(&self, body: Body) -> Option<&Stmt> {
        match body {
            Body::Probe(n) => Some(&self.script.probes[n].body),
            Body::Alias(n) => Some(&self.script.aliases[n].body),
            Body::AliasSecond(n) => self.script.aliases[n].second.as_ref(),
        }
    }
}

/// One of the names of an alias.
#[derive(Clone, Copy, Debug)]
pub struct AliasDef {
    pub unit: UnitId,
    pub alias: usize,
    pub name: usize,
}

/// The surroundings of one compilation.
pub struct World<'a> {
    pub options: &'a Options,
    pub map: &'a mut SourceMap,
    pub diags: &'a mut Diagnostics,
    pub target: &'a dyn TargetVars,
    pub library: &'a mut Library,
    /// For parsing library files; its `macros` are replaced by the library's.
    pub parse: ParseContext<'a>,
    pub units: Vec<Unit>,
    /// Definitions of aliases by name without arguments (`syscall.read`).
    pub aliases: BTreeMap<String, Vec<AliasDef>>,
    /// Library file → its unit; `None` while it can't be parsed.
    loaded: HashMap<usize, Option<UnitId>>,
    /// Units of which something was referred to.
    used: Vec<bool>,
    /// Units whose probes have still to be resolved.
    pub fresh: Vec<UnitId>,
}

impl<'a> World<'a> {
    pub fn new(
        options: &'a Options,
        map: &'a mut SourceMap,
        diags: &'a mut Diagnostics,
        target: &'a dyn TargetVars,
        library: &'a mut Library,
        parse: ParseContext<'a>,
        scripts: Vec<(FileId, Script)>,
    ) -> Self {
        let mut world = World {
            options,
            map,
            diags,
            target,
            library,
            parse,
            units: Vec::new(),
            aliases: BTreeMap::new(),
            loaded: HashMap::new(),
            used: Vec::new(),
            fresh: Vec::new(),
        };
        for (file, script) in scripts {
            world.add(Unit { file, script: Rc::new(script), library: false });
        }
        world
    }

    /// Takes a parsed file in.
    pub fn add(&mut self, u: Unit) -> UnitId {
        let unit = self.units.len();
        for (alias, decl) in u.script.aliases.iter().enumerate() {
            for (name, def) in decl.names.iter().enumerate() {
                let names: Vec<&str> = def.components.iter().map(|c| c.name.name.as_str()).collect();
                self.aliases.entry(names.join(".")).or_default().push(AliasDef { unit, alias, name });
            }
        }
        self.used.push(!u.library);
        if !u.library {
            self.fresh.push(unit);
        }
        self.units.push(u);
        unit
    }

    /// Something of the unit is referred to: its probes come along.
    pub fn touch(&mut self, unit: UnitId) {
        if !self.used[unit] {
            self.used[unit] = true;
            self.fresh.push(unit);
        }
    }

    /// Does anything that is used depend on which kernel it is by a `%( … %)`?
    pub fn asks_kernel(&self) -> bool {
        self.units.iter().zip(&self.used).any(|(u, used)| *used && u.script.asks_kernel)
    }

    /// Parses a library file on first use.
    pub fn load(&mut self, file: usize) -> Option<UnitId> {
        if let Some(unit) = self.loaded.get(&file) {
            return *unit;
        }
        self.loaded.insert(file, None);
        let (name, text) = self.library.take_text(file)?;
        let id = self.map.add(name, text, Origin::Library);
        let before = self.diags.errors();
        let macros = std::mem::take(&mut self.library.macros);
        let cx = ParseContext { macros: &macros, user: false, ..self.parse };
        let script = syntax::parse(self.map, id, &cx, self.diags);
        self.library.macros = macros;
        if self.diags.errors() > before {
            // Its messages stand; what the file would define is missing, which may say more.
            return None;
        }
        let unit = self.add(Unit { file: id, script: Rc::new(script), library: true });
        self.loaded.insert(file, Some(unit));
        Some(unit)
    }

    /// Units of the user.
    pub fn user_units(&self) -> impl Iterator<Item = UnitId> + '_ {
        (0..self.units.len()).filter(|u| !self.units[*u].library)
    }

    /// What stands at a span, as messages name it: `identifier 'x'`, `number '5'`.
    pub fn token(&self, span: Span) -> String {
        token(self.map, span)
    }

    pub fn error(&mut self, code: &'static str, message: impl Into<String>, span: Span) {
        let token = self.token(span);
        self.diags.push(Diagnostic::error(Stage::Semantic, code, message).at(span).token(token));
    }

    pub fn warning(&mut self, code: &'static str, message: impl Into<String>, span: Span) {
        if !self.options.no_warnings {
            let token = self.token(span);
            self.diags.push(Diagnostic::warning(Stage::Semantic, code, message).at(span).token(token));
        }
    }
}

/// Words that SystemTap calls `keyword`, and does not spell out.
const KEYWORDS: [&str; 20] = [
    "probe", "global", "private", "function", "if", "else", "while", "for", "foreach", "in", "limit",
    "return", "delete", "break", "continue", "next", "string", "long", "try", "catch",
];

/// See [`World::token`].
pub fn token(map: &SourceMap, span: Span) -> String {
    let text = String::from_utf8_lossy(map.slice(span));
    let word = |s: &str| s.find(|c: char| !(c.is_alphanumeric() || "_$@".contains(c))).unwrap_or(s.len());
    match text.chars().next() {
        None => "end of text".to_string(),
        Some('"') => {
            let inner = text.trim_matches('"');
            format!("string '{inner}'")
        }
        Some(c) if c.is_ascii_digit() => format!("number '{}'", &text[..word(&text)]),
        Some('@') => format!("operator '{}'", &text[..word(&text)]),
        Some(c) if c.is_alphabetic() || c == '_' || c == '$' => {
            let w = &text[..word(&text)];
            if KEYWORDS.contains(&w) {
                "keyword".to_string()
            } else {
                format!("identifier '{w}'")
            }
        }
        Some(_) => {
            let end = text
                .find(|c: char| c.is_alphanumeric() || c.is_whitespace() || "_\"$@".contains(c))
                .unwrap_or(text.len())
                .min(4);
            format!("operator '{}'", text.get(..end.max(1)).unwrap_or(&text))
        }
    }
}
