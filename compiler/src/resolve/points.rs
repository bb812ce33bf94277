//! Probe points to places: aliases, wildcards, `?`, `!`, conditions. In: the
//! probe declarations of the units. Out: one [`Derived`] per place, with the
//! blocks to run there in order. Never looks into a block.

use super::builtin::{self, Comp, Request};
use super::names::{glob, is_glob, similar, similar_note};
use super::program;
use super::target_api::{Query, Spec, TargetPlace};
use super::world::{AliasDef, Body, UnitId, World};
use crate::diag::{Diagnostic, Span, Stage};
use crate::driver::Privilege;
use crate::syntax::ast::{self, ComponentArg, Literal, ProbePoint};
use crate::types::hir::Place;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// Parameters of an alias with what the point gave for them.
pub type Params = Rc<HashMap<String, Literal>>;

/// A block of statements that runs at a place.
#[derive(Clone, Debug)]
pub struct Piece {
    pub unit: UnitId,
    pub body: Body,
    pub params: Params,
}

/// A condition on a point.
#[derive(Clone, Debug)]
pub struct Condition {
    pub unit: UnitId,
    pub expr: ast::Expr,
}

/// A handler at one place.
#[derive(Clone, Debug)]
pub struct Derived {
    pub at: Place,
    pub target: Option<TargetPlace>,
    /// Prologues, the probe's own block, epilogues.
    pub pieces: Vec<Piece>,
    pub conditions: Vec<Condition>,
    pub pp: String,
    pub pn: String,
    /// `mine = begin <- mine`
    pub derivation: String,
    pub optional: bool,
    /// See [`crate::types::hir::Probe::one_of`].
    pub one_of: Option<Rc<str>>,
    /// Of the `probe` declaration.
    pub span: Span,
    pub unit: UnitId,
}

/// A point on its way through the aliases.
#[derive(Clone, Debug)]
struct Point {
    comps: Vec<Comp>,
    /// Of the point in the user's probe or the alias that names it.
    span: Span,
    /// Of each component, where it was written.
    spans: Vec<Span>,
    /// Wildcard matches may fail one by one.
    lenient: bool,
}

/// What aliases have added so far, outermost first.
#[derive(Clone, Default)]
struct Wrapping {
    before: Vec<Piece>,
    after: Vec<Piece>,
    conditions: Vec<Condition>,
    /// `mine = begin`, outermost first.
    steps: Vec<String>,
    /// Names of the aliases being expanded, against loops.
    open: Vec<String>,
    /// `pn()`: what the script asked for, wildcards resolved.
    pn: Option<String>,
    /// Components at the end of the point that `pn` still lacks: a wildcard is among them.
    pn_lacks: usize,
    optional: bool,
    /// The outermost point that has several places.
    one_of: Option<Rc<str>>,
}

impl Wrapping {
    /// With what the wildcards behind an alias stand for, once all components are known.
    fn completed(&self, comps: &[Comp]) -> Wrapping {
        let mut w = self.clone();
        let tail = &comps[comps.len() - w.pn_lacks.min(comps.len())..];
        if let Some(pn) = w.pn.as_mut().filter(|_| tail.iter().all(|c| !is_glob(&c.name))) {
            tail.iter().for_each(|c| *pn += &format!(".{c}"));
            w.pn_lacks = 0;
        }
        w
    }
}

type Failures = Vec<Diagnostic>;

/// Resolves all probes of a unit. What fails is reported to the world.
pub fn resolve_unit(world: &mut World<'_>, unit: UnitId) -> Vec<Derived> {
    let script = world.units[unit].script.clone();
    let mut out = Vec::new();
    for (n, probe) in script.probes.iter().enumerate() {
        let own = Piece { unit, body: Body::Probe(n), params: Params::default() };
        match resolve_points(world, unit, &probe.points, &Wrapping::default(), &Params::default()) {
            Ok(found) => {
                let shown = points_text(world, &probe.points);
                out.extend(found.into_iter().map(|f| f.finish(&own, &shown, probe.span, unit)));
            }
            Err(failures) => world.diags.list.extend(failures),
        }
    }
    out
}

/// A place, and what to run around the probe's own block.
struct Found {
    at: Place,
    target: Option<TargetPlace>,
    pp: String,
    wrapping: Wrapping,
}

impl Found {
    fn finish(self, own: &Piece, shown: &str, span: Span, unit: UnitId) -> Derived {
        let w = self.wrapping;
        let mut pieces = w.before;
        pieces.push(own.clone());
        pieces.extend(w.after);
        let mut derivation: Vec<String> = w.steps.into_iter().rev().collect();
        derivation.push(shown.to_string());
        Derived {
            pn: w.pn.unwrap_or_else(|| match self.target.as_ref().and_then(|t| t.called.as_ref()) {
                Some(called) => called.pn.clone(),
                None => self.pp.clone(),
            }),
            at: self.at,
            target: self.target,
            pp: self.pp,
            pieces,
            conditions: w.conditions,
            derivation: derivation.join(" <- "),
            optional: w.optional,
            one_of: w.one_of,
            span,
            unit,
        }
    }
}

/// A list of points: those with `?` may fail, after a `!` that did not fail the rest is passed over.
fn resolve_points(
    world: &mut World<'_>,
    unit: UnitId,
    points: &[ProbePoint],
    around: &Wrapping,
    params: &Params,
) -> Result<Vec<Found>, Failures> {
    let mut out = Vec::new();
    let mut failures = Failures::new();
    for p in points {
        match resolve_point(world, unit, p, around, params, &[]) {
            Ok(mut found) => {
                let done = p.sufficient && !found.is_empty();
                out.append(&mut found);
                if done {
                    break;
                }
            }
            Err(mut f) => failures.append(&mut f),
        }
    }
    if failures.is_empty() {
        Ok(out)
    } else {
        Err(failures)
    }
}

/// One point; `suffix` is what the user of an alias wrote behind its name.
fn resolve_point(
    world: &mut World<'_>,
    unit: UnitId,
    p: &ProbePoint,
    around: &Wrapping,
    params: &Params,
    suffix: &[(Comp, Span)],
) -> Result<Vec<Found>, Failures> {
    let mut around = around.clone();
    around.optional |= p.optional || p.sufficient;
    if let Some(expr) = &p.condition {
        around.conditions.push(Condition { unit, expr: expr.clone() });
    }
    let mut point = Point { comps: Vec::new(), span: p.span, spans: Vec::new(), lenient: false };
    for c in &p.components {
        let arg = match &c.arg {
            None => None,
            Some(ComponentArg::Literal(l)) => Some(l.clone()),
            Some(ComponentArg::Param(name)) => match params.get(&name.name) {
                Some(l) => Some(l.clone()),
                None => {
                    let d = failure(
                        world,
                        name.span,
                        "alias-parameter",
                        format!("unknown parameter {}", name.name),
                    );
                    return Err(vec![d]);
                }
            },
        };
        point.comps.push(Comp { name: c.name.name.clone(), arg });
        point.spans.push(c.name.span);
    }
    for (c, span) in suffix {
        point.comps.push(c.clone());
        point.spans.push(*span);
    }
    match expand(world, &point, &around) {
        Err(_) if p.optional || p.sufficient => Ok(Vec::new()),
        other => other,
    }
}

/// Built-in and alias meanings of a point.
fn expand(world: &mut World<'_>, point: &Point, around: &Wrapping) -> Result<Vec<Found>, Failures> {
    let wild = point.comps.iter().any(|c| is_glob(&c.name));
    let lenient = wild || point.lenient;
    let mut out = Vec::new();
    let mut failures = Failures::new();
    let mut matched = false;
    let mut around = around.clone();
    if wild && around.one_of.is_none() {
        around.one_of = Some(builtin::point_text(&point.comps).into());
    }
    let around = &around;
    for comps in builtin::expand(&point.comps) {
        matched = true;
        let around = around.completed(&comps);
        let found =
            bound(world, &comps, point, &around).and_then(|around| place(world, &comps, point, &around));
        match found {
            Ok(mut found) => out.append(&mut found),
            Err(d) if lenient => drop(d),
            Err(d) => failures.push(d),
        }
    }
    let mut hits = alias_hits(world, &point.comps);
    if wild && !matched && hits.is_empty() {
        hits = suffixed_hits(world, &point.comps);
    }
    for hit in hits {
        matched = true;
        match expand_alias(world, &hit, point, around, wild) {
            Ok(mut found) => out.append(&mut found),
            Err(f) if lenient => drop(f),
            Err(mut f) => failures.append(&mut f),
        }
    }
    if !failures.is_empty() {
        return Err(failures);
    }
    if out.is_empty() && (lenient || !matched) {
        return Err(vec![mismatch(world, point, wild)]);
    }
    Ok(out)
}

/// Where a point is bound to a program, the block that asks for it runs first.
fn bound<'a>(
    world: &mut World<'_>,
    comps: &[Comp],
    point: &Point,
    around: &'a Wrapping,
) -> Result<Cow<'a, Wrapping>, Diagnostic> {
    let fail = |world: &World<'_>, text: String| failure(world, point.span, "probe-point-value", text);
    let guard = match program::guard(comps, world.options.has_target) {
        Ok(None) => return Ok(Cow::Borrowed(around)),
        Ok(Some(guard)) => guard,
        Err(text) => return Err(fail(world, text)),
    };
    let Some(hit) = alias_hits(world, std::slice::from_ref(&guard)).pop() else {
        return Err(fail(world, format!("the tapset library lacks the alias {}", guard.name)));
    };
    world.touch(hit.unit);
    let mut around = around.clone();
    around.before.insert(0, Piece { unit: hit.unit, body: Body::Alias(hit.alias), params: hit.params });
    Ok(Cow::Owned(around))
}

/// A built-in point.
fn place(
    world: &mut World<'_>,
    comps: &[Comp],
    point: &Point,
    around: &Wrapping,
) -> Result<Vec<Found>, Diagnostic> {
    match builtin::request(comps, &|| world.target.constant("HZ").unwrap_or(250)) {
        Err(message) => Err(failure(world, point.span, "probe-point-value", message)),
        Ok(request)
            if world.options.privilege == Privilege::Stapusr && !builtin::is_unprivileged(&request) =>
        {
            let message = "probe point is not allowed for --privilege=stapusr";
            Err(failure(world, point.span, "privilege", message))
        }
        Ok(Request::Place(at)) => {
            Ok(vec![Found { at, target: None, pp: builtin::point_text(comps), wrapping: around.clone() }])
        }
        Ok(Request::Target(query)) => {
            let places = world.target.places(&query).map_err(|mut d| {
                let at = d.span.unwrap_or(point.span);
                d.message = format!("while resolving probe point: {}", d.message);
                d.token = Some(world.token(at));
                d.at(at)
            })?;
            if places.is_empty() {
                return Err(failure(world, point.span, "no-match", no_match(world, &query)));
            }
            // what the library asks for is known to be there
            let by_user = world.map.is_user(point.span);
            if let Some(message) = by_user.then(|| world.target.unchecked(&query)).flatten() {
                world.warning("unchecked-file", message, point.span);
            }
            let mut wrapping = around.clone();
            let pattern = comps
                .iter()
                .any(|c| matches!(&c.arg, Some(Literal::String(s)) if s.iter().any(|b| b"*?[".contains(b))));
            if (pattern || places.len() > 1) && wrapping.one_of.is_none() {
                wrapping.one_of = Some(builtin::point_text(comps).into());
            }
            let found = |p: TargetPlace| Found {
                at: p.place.clone(),
                pp: p.pp.clone(),
                target: Some(p),
                wrapping: wrapping.clone(),
            };
            Ok(places.into_iter().map(found).collect())
        }
    }
}

fn no_match(world: &World<'_>, query: &Query) -> String {
    let kind = match query {
        Query::Tracepoint { .. } => "tracepoints",
        Query::Syscall { .. } => "system calls",
        Query::Function { spec: Spec::Address(_), .. }
        | Query::Statement { spec: Spec::Address(_), .. }
        | Query::KprobeStatement { .. } => "addresses",
        _ => "functions",
    };
    let near = world.target.similar(query);
    if near.is_empty() {
        "no match".to_string()
    } else {
        format!("no match (similar {kind}: {})", near.join(", "))
    }
}

/// A definition of an alias that fits the first `used` components of a point.
#[derive(Clone, Debug)]
struct Hit {
    unit: UnitId,
    alias: usize,
    /// Its name, as `a.b`.
    name: String,
    used: usize,
    params: Params,
}

/// All definitions that fit; with several lengths, the longest under each name.
fn alias_hits(world: &mut World<'_>, comps: &[Comp]) -> Vec<Hit> {
    load_library_aliases(world, comps);
    let names: Vec<&str> = comps.iter().map(|c| c.name.as_str()).collect();
    let mut found: Vec<(&str, AliasDef, usize)> = Vec::new();
    let mut take = |name: &'_ str, used: usize| {
        if let Some((name, defs)) = world.aliases.get_key_value(name) {
            found.extend(defs.iter().map(|d| (name.as_str(), *d, used)));
        }
    };
    if names.iter().any(|n| is_glob(n)) {
        let deep = names.iter().any(|n| n.contains("**"));
        // What stands behind the name of an alias can't be a pattern itself.
        let shortest =
            if deep { names.len() } else { names.iter().rposition(|n| is_glob(n)).map_or(1, |i| i + 1) };
        for used in shortest..=names.len() {
            let pattern = names[..used].join(".");
            let keys: Vec<String> = world.aliases.keys().filter(|k| glob(&pattern, k)).cloned().collect();
            keys.iter().for_each(|k| take(k, used));
        }
    } else {
        (1..=names.len()).for_each(|used| take(&names[..used].join("."), used));
    }
    let mut hits: Vec<Hit> = Vec::new();
    for (name, def, used) in found {
        let decl = &world.units[def.unit].script.aliases[def.alias].names[def.name];
        if let Some(params) = bind(&decl.components, &comps[..used]) {
            hits.push(Hit { unit: def.unit, alias: def.alias, name: name.to_string(), used, params });
        }
    }
    // `a.b` with the suffix `.c` gives way to an alias `a.b.c` of its own, or to a built-in point.
    let builtin = !hits.is_empty() && !builtin::expand(comps).is_empty();
    let longest: BTreeSet<String> =
        hits.iter().filter(|h| h.used == comps.len()).map(|h| h.name.clone()).collect();
    let covered = |h: &Hit| {
        let head = format!("{}.", h.name);
        longest.iter().any(|l| l.starts_with(&head))
    };
    hits.retain(|h| h.used == comps.len() || !(builtin || covered(h)));
    if let Some(used) = hits.iter().map(|h| h.used).max().filter(|_| !names.iter().any(|n| is_glob(n))) {
        hits.retain(|h| h.used == used);
    }
    // Wildcards go through the names in order; definitions of one name in the order of the text.
    hits.sort_by(|a, b| a.name.split('.').cmp(b.name.split('.')));
    hits
}

/// Definitions that a pattern follows as a suffix, where it is no pattern of names: `read.ret*`
/// is `read.return` then. Of several lengths only the longest.
fn suffixed_hits(world: &World<'_>, comps: &[Comp]) -> Vec<Hit> {
    let last = comps.iter().rposition(|c| is_glob(&c.name)).unwrap_or(0);
    if comps.iter().any(|c| c.name.contains("**")) {
        return Vec::new();
    }
    let at = |used: usize| {
        let pattern = comps[..used].iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(".");
        let mut named: Vec<_> = world.aliases.iter().filter(|(name, _)| glob(&pattern, name)).collect();
        named.sort_by(|a, b| a.0.split('.').cmp(b.0.split('.')));
        let each = |(name, def): (&String, &AliasDef)| {
            let decl = &world.units[def.unit].script.aliases[def.alias].names[def.name];
            let params = bind(&decl.components, &comps[..used])?;
            Some(Hit { unit: def.unit, alias: def.alias, name: name.clone(), used, params })
        };
        named
            .into_iter()
            .flat_map(|(name, defs)| defs.iter().map(move |d| (name, d)))
            .filter_map(each)
            .collect()
    };
    (1..=last).rev().map(at).find(|hits: &Vec<Hit>| !hits.is_empty()).unwrap_or_default()
}

/// What the parameters of an alias are, if the arguments of a point fit it.
fn bind(def: &[ast::Component], given: &[Comp]) -> Option<Params> {
    let mut params = HashMap::new();
    // With `**` the names have been compared as a whole; there are no arguments then.
    if def.len() != given.len() {
        return def.iter().all(|c| c.arg.is_none()).then(Params::default);
    }
    for (d, g) in def.iter().zip(given) {
        match (&d.arg, &g.arg) {
            (None, None) => {}
            (Some(ComponentArg::Literal(l)), Some(g)) if l == g => {}
            (Some(ComponentArg::Param(p)), Some(g)) => {
                params.insert(p.name.clone(), g.clone());
            }
            _ => return None,
        }
    }
    Some(Rc::new(params))
}

/// Parses the library files that define an alias which may fit.
fn load_library_aliases(world: &mut World<'_>, comps: &[Comp]) {
    let names: Vec<&str> = comps.iter().map(|c| c.name.as_str()).collect();
    let files: Vec<usize> = if names.iter().any(|n| n.contains("**")) {
        let joined = names.join(".");
        world.library.aliases(|a| glob(&joined, a))
    } else if names.iter().any(|n| is_glob(n)) {
        let prefixes: Vec<String> = (1..=names.len()).map(|k| names[..k].join(".")).collect();
        world.library.aliases(|a| prefixes.iter().any(|p| glob(p, a)))
    } else {
        (1..=names.len())
            .flat_map(|k| world.library.alias(&names[..k].join(".")).collect::<Vec<_>>())
            .collect()
    };
    for f in files {
        world.load(f);
    }
}

fn expand_alias(
    world: &mut World<'_>,
    hit: &Hit,
    point: &Point,
    around: &Wrapping,
    wild: bool,
) -> Result<Vec<Found>, Failures> {
    world.touch(hit.unit);
    let script = world.units[hit.unit].script.clone();
    let decl = &script.aliases[hit.alias];
    // One alias may have several definitions; only the same one again is a loop.
    let key = format!("{}#{}#{}", hit.name, hit.unit, hit.alias);
    if around.open.contains(&key) {
        let message = format!("recursive loop in alias expansion of {}", hit.name);
        return Err(vec![failure(world, point.span, "alias-loop", message)]);
    }
    let mut around = around.clone();
    around.open.push(key);
    let suffix: Vec<(Comp, Span)> =
        point.comps[hit.used..].iter().cloned().zip(point.spans[hit.used..].iter().copied()).collect();
    if around.pn.is_none() {
        (around.pn, around.pn_lacks) = match wild {
            true => (Some(hit.name.clone()), suffix.len()),
            false => (Some(builtin::point_text(&point.comps)), 0),
        };
    }
    if around.pn_lacks > 0 {
        // The names of the hit stand for its part of the pattern.
        let mut comps = point.comps.clone();
        comps.iter_mut().zip(hit.name.split('.')).for_each(|(c, name)| c.name = name.to_string());
        around = around.completed(&comps);
    }
    let piece = |body| Piece { unit: hit.unit, body, params: hit.params.clone() };
    if decl.append {
        around.after.push(piece(Body::Alias(hit.alias)));
    } else {
        // Ours is nearer to the place than that of the alias that led here: it runs first.
        around.before.insert(0, piece(Body::Alias(hit.alias)));
        if decl.second.is_some() {
            around.after.push(piece(Body::AliasSecond(hit.alias)));
        }
    }
    around.steps.push(format!(
        "{} {} {}",
        hit.name,
        if decl.append { "+=" } else { "=" },
        decl.points.iter().map(|p| point_shown(world, p)).collect::<Vec<_>>().join(", ")
    ));
    let mut out = Vec::new();
    let mut failures = Failures::new();
    for p in &decl.points {
        match resolve_point(world, hit.unit, p, &around, &hit.params, &suffix) {
            Ok(mut found) => {
                let done = p.sufficient && !found.is_empty();
                out.append(&mut found);
                if done {
                    break;
                }
            }
            Err(f) => failures.extend(f.into_iter().map(|d| through(d, point, &hit.name))),
        }
    }
    if failures.is_empty() {
        Ok(out)
    } else {
        Err(failures)
    }
}

/// Says by which use of an alias a failure was met.
fn through(d: Diagnostic, point: &Point, name: &str) -> Diagnostic {
    if d.span == Some(point.span) {
        d
    } else {
        d.related(point.span, format!("in the expansion of alias {name}"))
    }
}

fn failure(world: &World<'_>, span: Span, code: &'static str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(Stage::Semantic, code, format!("while resolving probe point: {}", message.into()))
        .at(span)
        .token(world.token(span))
}

/// Nothing has that name.
fn mismatch(world: &World<'_>, point: &Point, wild: bool) -> Diagnostic {
    let text = builtin::point_text(&point.comps);
    let names = point.comps.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(".");
    let mut known: BTreeSet<String> =
        builtin::patterns().iter().map(|p| p.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(".")).collect();
    known.extend(world.aliases.keys().cloned());
    known.extend(world.library.alias_names().map(String::from));
    if known.contains(&names) {
        // The name is right and the arguments are not: show what it takes.
        let takes: Vec<String> = builtin::patterns()
            .iter()
            .filter(|p| p.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(".") == names)
            .map(|p| builtin::pattern_text(p))
            .collect();
        let mut d =
            failure(world, point.span, "probe-point-mismatch", format!("probe point mismatch: {text}"));
        if !takes.is_empty() {
            d = d.help(format!("it is written {}", takes.join(" or ")));
        }
        return d;
    }
    let near = similar(&names, known.iter().filter(|k| !k.starts_with('_')).map(String::as_str));
    let what =
        if wild { "probe point mismatch: didn't find any wildcard matches" } else { "probe point mismatch" };
    let d = failure(world, point.span, "probe-point-mismatch", format!("{what}{}", similar_note(&near)));
    match builtin::UNSERVED.iter().find(|f| names == **f || names.starts_with(&format!("{f}."))) {
        Some(family) => d.help(format!("probe points of the family {family} are not served by this version")),
        None => d,
    }
}

/// A list of points as written.
fn points_text(world: &World<'_>, points: &[ProbePoint]) -> String {
    points.iter().map(|p| point_shown(world, p)).collect::<Vec<_>>().join(",")
}

/// A point as written, with its marks and condition.
pub fn point_shown(world: &World<'_>, p: &ProbePoint) -> String {
    let comps: Vec<String> = p
        .components
        .iter()
        .map(|c| match &c.arg {
            None => c.name.name.clone(),
            Some(ComponentArg::Literal(Literal::Number(n))) => format!("{}({n})", c.name.name),
            Some(ComponentArg::Literal(Literal::String(s))) => format!("{}(\"{s}\")", c.name.name),
            Some(ComponentArg::Param(i)) => format!("{}({})", c.name.name, i.name),
        })
        .collect();
    let mut text = comps.join(".");
    if p.sufficient {
        text.push('!');
    } else if p.optional {
        text.push('?');
    }
    if let Some(c) = &p.condition {
        text += &format!(" if ({})", String::from_utf8_lossy(world.map.slice(c.span)));
    }
    text
}
