//! The tapset library: which file defines which name. In: directories. Out:
//! an index by name, made from outlines, and the macros of `.stpm` files.
//! Texts are kept until they are asked for; nothing is parsed before a script
//! refers to it, and nothing is parsed twice.

use crate::diag::{Diagnostics, Origin, SourceMap};
use crate::syntax::{self, MacroTable, Outline, ParseContext};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A tapset file that the index knows.
#[derive(Debug)]
pub struct LibraryFile {
    /// As messages name it.
    pub name: String,
    /// Taken by whoever parses the file.
    text: Option<Vec<u8>>,
    pub outline: Outline,
}

/// Files by what they define.
#[derive(Debug, Default)]
pub struct Library {
    pub files: Vec<LibraryFile>,
    pub macros: MacroTable,
    functions: HashMap<String, Vec<usize>>,
    globals: HashMap<String, Vec<usize>>,
    /// Names of aliases without their arguments, sorted, each with its file.
    aliases: Vec<(String, usize)>,
}

impl Library {
    /// Reads and outlines all tapset files below `dirs`, in the order of the
    /// directories and then of the paths. A file that can't be read is left out:
    /// an index that one bad file could break would take every script with it.
    pub fn open(
        dirs: &[PathBuf],
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
        let mut lib = Library::default();
        for path in &paths {
            let Ok(text) = std::fs::read(path) else { continue };
            let name = path.display().to_string();
            if path.extension().is_some_and(|e| e == "stpm") {
                let file = map.add(name, text, Origin::Library);
                let mut macros = std::mem::take(&mut lib.macros);
                syntax::parse_macros(
                    map,
                    file,
                    &ParseContext { macros: &macros.clone(), ..*cx },
                    &mut macros,
                    diags,
                );
                lib.macros = macros;
            } else {
                lib.add(name, text);
            }
        }
        lib.aliases.sort();
        lib
    }

    fn add(&mut self, name: String, text: Vec<u8>) {
        let outline = syntax::outline(&text);
        let n = self.files.len();
        for f in &outline.functions {
            push_once(self.functions.entry(f.clone()).or_default(), n);
        }
        for g in &outline.globals {
            push_once(self.globals.entry(g.clone()).or_default(), n);
        }
        for a in &outline.aliases {
            self.aliases.extend(alternatives(&without_args(a)).into_iter().map(|a| (a, n)));
        }
        self.files.push(LibraryFile { name, text: Some(text), outline });
    }

    /// The text of a file, once.
    pub fn take_text(&mut self, file: usize) -> Option<(String, Vec<u8>)> {
        let f = self.files.get_mut(file)?;
        Some((f.name.clone(), f.text.take()?))
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
