//! The tapset library: which file defines which name. In: directories. Out:
//! an index by name, made from outlines, and the macros of `.stpm` files.
//! A text is read and parsed when a script refers to something in it, and once.
//!
//! The outlines are kept in the cache from one run to the next; they hold for
//! the same files with the same times and sizes, so that a run looks at the
//! directories and opens nothing that it does not need.

use crate::cache::{checksum, Cache};
use crate::diag::{Diagnostics, Origin, SourceMap};
use crate::syntax::{self, MacroTable, Outline, ParseContext};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that changed less than this before it was read may change again without its times telling:
/// the clock of a file system has ticks.
const TICK_NS: i128 = 100_000_000;

/// A tapset file that the index knows.
#[derive(Debug)]
struct LibraryFile {
    path: PathBuf,
    outline: Outline,
}

/// Files by what they define.
#[derive(Debug, Default)]
pub struct Library {
    files: Vec<LibraryFile>,
    /// Files whose text was handed out.
    taken: HashSet<usize>,
    pub macros: MacroTable,
    functions: HashMap<String, Vec<usize>>,
    globals: HashMap<String, Vec<usize>>,
    /// Names of aliases without their arguments, sorted, each with its file.
    aliases: Vec<(String, usize)>,
}

/// Which file, and how it stood when it was looked at.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seen {
    path: Vec<u8>,
    size: u64,
    /// Where it lies, and its times of change in nanoseconds: any other file differs in one of them.
    device: u64,
    inode: u64,
    modified: i128,
    changed: i128,
}

impl Library {
    /// Outlines all tapset files below `dirs`, in the order of the directories and then of the
    /// paths. A file that can't be read is left out: an index that one bad file could break would
    /// take every script with it.
    pub fn open(
        dirs: &[PathBuf],
        cache: &Cache,
        map: &mut SourceMap,
        cx: &ParseContext<'_>,
        diags: &mut Diagnostics,
    ) -> Self {
        let mut paths = Vec::new();
        for dir in dirs {
            let mut found = Vec::new();
            collect(dir, 0, &mut found);
            found.sort();
            paths.append(&mut found);
        }
        let (macros, paths): (Vec<_>, Vec<_>) =
            paths.into_iter().partition(|p| p.extension().is_some_and(|e| e == "stpm"));
        let mut lib = Library::default();
        for path in &macros {
            lib.read_macros(path, map, cx, diags);
        }
        for file in outlined(paths, cache) {
            lib.add(file);
        }
        lib.aliases.sort();
        lib
    }

    fn read_macros(
        &mut self,
        path: &Path,
        map: &mut SourceMap,
        cx: &ParseContext<'_>,
        diags: &mut Diagnostics,
    ) {
        let Ok(text) = std::fs::read(path) else { return };
        let file = map.add(path.display().to_string(), text, Origin::Library);
        let mut macros = std::mem::take(&mut self.macros);
        syntax::parse_macros(map, file, &ParseContext { macros: &macros.clone(), ..*cx }, &mut macros, diags);
        self.macros = macros;
    }

    fn add(&mut self, file: LibraryFile) {
        let n = self.files.len();
        for f in &file.outline.functions {
            push_once(self.functions.entry(f.clone()).or_default(), n);
        }
        for g in &file.outline.globals {
            push_once(self.globals.entry(g.clone()).or_default(), n);
        }
        for a in &file.outline.aliases {
            self.aliases.extend(alternatives(&without_args(a)).into_iter().map(|a| (a, n)));
        }
        self.files.push(file);
    }

    /// How many files there are; they are numbered from 0.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Name and text of a file, once; `None` as well where it can't be read any more.
    pub fn take_text(&mut self, file: usize) -> Option<(String, Vec<u8>)> {
        let f = self.files.get(file)?;
        if !self.taken.insert(file) {
            return None;
        }
        Some((f.path.display().to_string(), std::fs::read(&f.path).ok()?))
    }
    /// Files that define a function of that name.
    pub fn functions(&self, name: &str) -> &[usize] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }
    /// Files that define a global of that name.
    pub fn globals(&self, name: &str) -> &[usize] {
        self.globals.get(name).map_or(&[], Vec::as_slice)
    }
    /// Files with an alias for which `wanted` says yes; it gets the name without arguments.
    pub fn aliases(&self, mut wanted: impl FnMut(&str) -> bool) -> Vec<usize> {
        let mut files: Vec<usize> = self.aliases.iter().filter(|(a, _)| wanted(a)).map(|(_, f)| *f).collect();
        files.sort_unstable();
        files.dedup();
        files
    }
    /// Files with an alias of exactly that name.
    pub fn alias(&self, name: &str) -> impl Iterator<Item = usize> + '_ {
        let from = self.aliases.partition_point(|(a, _)| a.as_str() < name);
        let name = name.to_string();
        self.aliases[from..].iter().take_while(move |(a, _)| *a == name).map(|(_, f)| *f)
    }
    pub fn function_names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }
    pub fn alias_names(&self) -> impl Iterator<Item = &str> {
        self.aliases.iter().map(|(a, _)| a.as_str())
    }
}

/// Outlines of the files, from the cache where they stand in it as they are on disk.
fn outlined(paths: Vec<PathBuf>, cache: &Cache) -> Vec<LibraryFile> {
    let mut seen = Vec::with_capacity(paths.len());
    let mut there = Vec::with_capacity(paths.len());
    for path in paths {
        if let Some(s) = look(&path) {
            seen.push(s);
            there.push(path);
        }
    }
    let config = bincode::config::standard();
    // One entry for a set of files: another set of directories does not push it out.
    let names = there.iter().flat_map(|p| [p.as_os_str().as_bytes(), b"\0"]).collect::<Vec<_>>().concat();
    let name = format!("tapsets-{:016x}", checksum(&names));
    let key = bincode::serde::encode_to_vec(&seen, config).unwrap_or_default();
    let kept: Option<Vec<Outline>> =
        cache.get(&name, &key).and_then(|b| Some(bincode::serde::decode_from_slice(&b, config).ok()?.0));
    if let Some(outlines) = kept.filter(|o| o.len() == there.len()) {
        let file = |(path, outline)| LibraryFile { path, outline };
        return there.into_iter().zip(outlines).map(file).collect();
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
    let settled = seen.iter().all(|s| now - s.modified.max(s.changed) > TICK_NS);
    let found = there.len();
    let read = |path: PathBuf| {
        let outline = syntax::outline(&std::fs::read(&path).ok()?);
        Some(LibraryFile { path, outline })
    };
    let files: Vec<LibraryFile> = there.into_iter().filter_map(read).collect();
    let outlines: Vec<&Outline> = files.iter().map(|f| &f.outline).collect();
    if let (true, Ok(bytes)) =
        (settled && found == files.len(), bincode::serde::encode_to_vec(&outlines, config))
    {
        cache.put(&name, &key, &bytes);
    }
    files
}

fn look(path: &Path) -> Option<Seen> {
    let meta = std::fs::metadata(path).ok()?;
    let ns = |s: i64, n: i64| i128::from(s) * 1_000_000_000 + i128::from(n);
    Some(Seen {
        path: path.as_os_str().as_bytes().to_vec(),
        size: meta.size(),
        device: meta.dev(),
        inode: meta.ino(),
        modified: ns(meta.mtime(), meta.mtime_nsec()),
        changed: ns(meta.ctime(), meta.ctime_nsec()),
    })
}

fn push_once(list: &mut Vec<usize>, n: usize) {
    if list.last() != Some(&n) {
        list.push(n);
    }
}

/// `a.b("x.y").c` as `a.b.c`.
fn without_args(alias: &str) -> String {
    let mut out = String::with_capacity(alias.len());
    let (mut depth, mut quoted, mut escaped) = (0u32, false, false);
    for c in alias.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 && !c.is_whitespace() => out.push(c),
            _ => {}
        }
    }
    out
}

/// `{a,b}.c` as `a.c` and `b.c`.
fn alternatives(alias: &str) -> Vec<String> {
    let braces = alias.find('{').and_then(|o| alias[o..].find('}').map(|c| (o, o + c)));
    let Some((open, close)) = braces else { return vec![alias.to_string()] };
    let (before, after) = (&alias[..open], &alias[close + 1..]);
    alias[open + 1..close].split(',').flat_map(|one| alternatives(&format!("{before}{one}{after}"))).collect()
}

/// Tapset files below `dir`. Deeper than any library would be, it is a loop of links.
fn collect(dir: &Path, depth: u32, out: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match path.extension().and_then(|e| e.to_str()) {
            Some("stp" | "stpm") => out.push(path),
            _ if depth < 16 && path.is_dir() => collect(&path, depth + 1, out),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alternatives_are_names_of_their_own() {
        assert_eq!(alternatives("a.b"), ["a.b"]);
        assert_eq!(alternatives("{a,b}.c.{d,e}"), ["a.c.d", "a.c.e", "b.c.d", "b.c.e"]);
        assert_eq!(alternatives("a.{b"), ["a.{b"]);
    }

    #[test]
    fn names_of_aliases_lose_their_arguments() {
        assert_eq!(without_args("a.b(\"x.(y\\\")\").c"), "a.b.c");
        assert_eq!(without_args("syscall.read"), "syscall.read");
    }
}
