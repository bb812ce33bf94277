//! Language cases: scripts with what they must print. In: directories of cases.
//! Out: commands to run, and what differs. Never runs anything itself.
//!
//! A case is `NAME.stp` beside `NAME.out` (stdout, to the byte), `NAME.rc` (exit
//! status of stap, then `stage: compile` or `stage: run`; 0 and `run` without
//! it) and `NAME.err` (stderr; nothing without it). Of the runs that were
//! recorded with SystemTap (`oracle/`) only the kind of stderr counts: whether
//! it holds an error, whether it holds a warning. The script's first three
//! lines may say `# opts: …` (options of stap) and `# args: …` (of the script);
//! files that it needs lie in the directory `NAME.d`.

use anyhow::{ensure, Context, Result};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A script and its expectation.
#[derive(Clone, Debug)]
pub struct Case {
    /// Relative to `tests/language`, without the extension: `oracle/arr_basic`.
    pub name: String,
    pub script: PathBuf,
    pub options: Vec<String>,
    pub args: Vec<String>,
    pub stdout: Vec<u8>,
    pub status: i32,
    /// Refused before any run.
    pub refused: bool,
    pub stderr: Kind,
    /// What stderr holds to the byte; `None` where only its kind counts.
    pub messages: Option<Vec<u8>>,
    /// Files of `NAME.d`.
    pub files: Vec<PathBuf>,
}

/// What a reader of stderr is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kind {
    pub error: bool,
    pub warning: bool,
}

/// What a run gave; status `None` if it had to be killed.
#[derive(Clone, Debug)]
pub struct Got {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub status: Option<i32>,
}

/// Directory of the cases.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("language")
}

/// All cases below the directory, by name.
pub fn cases() -> Result<Vec<Case>> {
    let mut scripts = Vec::new();
    let mut pending = vec![directory()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            if path.is_dir() {
                // a case's own files
                if path.extension().is_none_or(|e| e != "d") {
                    pending.push(path);
                }
            } else if path.extension().is_some_and(|e| e == "stp") {
                scripts.push(path);
            }
        }
    }
    scripts.sort();
    scripts.iter().map(|s| Case::read(s)).collect()
}

impl Case {
    fn read(script: &Path) -> Result<Case> {
        let name = script.strip_prefix(directory())?.with_extension("").to_string_lossy().into_owned();
        let text = fs::read(script)?;
        let (mut options, mut args) = (Vec::new(), Vec::new());
        for line in String::from_utf8_lossy(&text).lines().take(3) {
            if let Some(words) = line.strip_prefix("# opts: ") {
                options.extend(words_of(words));
            } else if let Some(words) = line.strip_prefix("# args: ") {
                args.extend(words_of(words));
            }
        }
        let beside = |extension: &str| fs::read(script.with_extension(extension)).ok();
        let result = beside("rc").map_or("0".to_string(), |b| String::from_utf8_lossy(&b).into_owned());
        let recorded = name.starts_with("oracle/");
        let stderr = beside("err").unwrap_or_default();
        let mut lines = result.lines();
        let status = lines.next().unwrap_or_default().trim().parse();
        Ok(Case {
            status: status.with_context(|| format!("{name}.rc holds no exit status"))?,
            refused: lines.next() == Some("stage: compile"),
            stdout: beside("out").with_context(|| format!("{name}.out is missing"))?,
            files: files_below(&script.with_extension("d")),
            stderr: Kind::of(&stderr),
            messages: (!recorded).then_some(stderr),
            script: script.to_path_buf(),
            name,
            options,
            args,
        })
    }

    /// Arguments of stap, the script's own name without a directory (messages show it).
    pub fn command(&self) -> Vec<String> {
        let file = self.script.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        [&self.options[..], &[file], &self.args[..]].concat()
    }

    /// What differs, `None` if nothing does.
    pub fn difference(&self, got: &Got) -> Option<String> {
        let mut said = String::new();
        if got.status != Some(self.status) {
            let status = got.status.map_or("killed after its time".to_string(), |s| format!("status {s}"));
            let _ = write!(said, "{status}, want {}; ", self.status);
        }
        if let Some(line) = first_difference(&self.stdout, &got.stdout) {
            let _ = write!(said, "stdout {line}; ");
        }
        if let Some(line) = self.messages.as_ref().and_then(|want| first_difference(want, &got.stderr)) {
            let _ = write!(said, "stderr {line}; ");
        }
        let kind = Kind::of(&got.stderr);
        if self.messages.is_none() && kind != self.stderr {
            let first = String::from_utf8_lossy(&got.stderr).lines().next().unwrap_or("").to_string();
            let _ = write!(said, "stderr {}, want {} ({first}); ", kind.name(), self.stderr.name());
        }
        (!said.is_empty()).then(|| said.trim_end_matches("; ").to_string())
    }
}

impl Kind {
    /// The closing count of errors and staprun's own status are left aside.
    pub fn of(stderr: &[u8]) -> Kind {
        let text = String::from_utf8_lossy(stderr).to_lowercase();
        let aside = ["number of errors:", "exited with status", "messages suppressed"];
        let lines = || text.lines().filter(|l| !aside.iter().any(|a| l.contains(a)));
        Kind {
            error: lines().any(|l| has_word(l, "error")),
            warning: lines().any(|l| has_word(l, "warning")),
        }
    }

    fn name(self) -> &'static str {
        match (self.error, self.warning) {
            (false, false) => "silent",
            (true, false) => "error",
            (false, true) => "warning",
            (true, true) => "error and warning",
        }
    }
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir).map_or(Vec::new(), |entries| entries.flatten().map(|e| e.path()).collect());
    files.sort();
    files
}

/// Cases that are known to differ, with the reason: lines `NAME reason`, `#` comments.
pub fn known_differences() -> Result<BTreeMap<String, String>> {
    let file = directory().join("known-differences");
    let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let mut known = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (name, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        ensure!(!reason.trim().is_empty(), "known-differences: {name} without a reason");
        known.insert(name.to_string(), reason.trim().to_string());
    }
    Ok(known)
}

/// Sums up a run of all cases: how many agree; and the text of a failure if one
/// differs that is not known to, or if one agrees that was said to differ.
pub fn judge(results: &[(&Case, Got)], known: &BTreeMap<String, String>) -> (usize, Option<String>) {
    let mut said = String::new();
    let mut agree = 0;
    for (case, got) in results {
        let difference = case.difference(got);
        match (difference, known.contains_key(&case.name)) {
            (None, false) => agree += 1,
            (None, true) => {
                let _ = writeln!(said, "{}: agrees now; take it out of known-differences", case.name);
            }
            (Some(difference), false) => {
                let _ = writeln!(said, "{}: {difference}", case.name);
            }
            (Some(_), true) => {}
        }
    }
    (agree, (!said.is_empty()).then_some(said))
}

/// Splits like a shell does, as far as quotes and backslashes go.
fn words_of(line: &str) -> Vec<String> {
    let (mut words, mut word, mut open) = (Vec::new(), None::<String>, None::<char>);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, open) {
            (q, Some(o)) if q == o => open = None,
            ('\\', o) if o != Some('\'') => word.get_or_insert_with(Default::default).extend(chars.next()),
            ('\'' | '"', None) => {
                open = Some(c);
                word.get_or_insert_with(Default::default);
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_with(Default::default).push(c),
        }
    }
    words.extend(word);
    words
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !inside(line[..at].chars().next_back()) && !inside(line[at + word.len()..].chars().next())
    })
}

fn first_difference(want: &[u8], got: &[u8]) -> Option<String> {
    let (mut want, mut got) = (want.split(|&b| b == b'\n'), got.split(|&b| b == b'\n'));
    for n in 1.. {
        match (want.next(), got.next()) {
            (None, None) => break,
            (w, g) if w == g => {}
            (w, g) => {
                let show =
                    |l: Option<&[u8]>| l.map_or("its end".into(), |l| format!("`{}`", l.escape_ascii()));
                return Some(format!("line {n}: {} instead of {}", show(g), show(w)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(stdout: &str, status: i32, stderr: Kind) -> Case {
        let stdout = stdout.as_bytes().to_vec();
        let (name, script, options, args) = ("x".to_string(), PathBuf::new(), vec![], vec![]);
        let (messages, files) = (None, vec![]);
        Case { name, script, options, args, stdout, status, refused: false, stderr, messages, files }
    }

    fn got(stdout: &str, status: i32, stderr: &str) -> Got {
        Got { stdout: stdout.into(), stderr: stderr.into(), status: Some(status) }
    }

    #[test]
    fn each_thing_that_differs_is_told() {
        let c = case("a\nb\n", 0, Kind::default());
        assert_eq!(c.difference(&got("a\nb\n", 0, "Pass 5: run\n")), None);
        assert_eq!(c.difference(&got("a\nc\n", 0, "")).as_deref(), Some("stdout line 2: `c` instead of `b`"));
        assert_eq!(
            c.difference(&got("a\nb", 0, "")).as_deref(),
            Some("stdout line 3: its end instead of ``")
        );
        assert_eq!(c.difference(&got("a\nb\n", 1, "")).as_deref(), Some("status 1, want 0"));
        assert!(c
            .difference(&got("a\nb\n", 0, "WARNING: w\n"))
            .is_some_and(|d| d.contains("warning, want silent")));
    }

    #[test]
    fn messages_count_to_the_byte_where_they_are_ours() {
        let c = Case { messages: Some(b"WARNING: w\n".to_vec()), ..case("", 0, Kind::default()) };
        assert_eq!(c.difference(&got("", 0, "WARNING: w\n")), None);
        assert_eq!(
            c.difference(&got("", 0, "WARNING: v\n")).as_deref(),
            Some("stderr line 1: `WARNING: v` instead of `WARNING: w`")
        );
    }

    #[test]
    fn kind_counts_words_and_leaves_the_closing_count_aside() {
        let of = |s: &str| Kind::of(s.as_bytes());
        assert_eq!(of("ERROR: division by 0\n"), Kind { error: true, warning: false });
        assert_eq!(of("WARNING: Number of errors: 1, skipped probes: 0\n"), Kind::default());
        assert_eq!(of("terrors\nwarnings\n"), Kind::default());
    }

    #[test]
    fn a_known_difference_must_go_when_it_agrees() {
        let c = case("", 0, Kind::default());
        let known = BTreeMap::from([("x".to_string(), "reason".to_string())]);
        assert_eq!(judge(&[(&c, got("", 1, ""))], &known), (0, None));
        assert!(judge(&[(&c, got("", 0, ""))], &known).1.is_some());
        assert_eq!(judge(&[(&c, got("", 0, ""))], &BTreeMap::new()), (1, None));
        assert!(judge(&[(&c, got("", 1, ""))], &BTreeMap::new()).1.is_some());
    }

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(words_of(r#"-G s="a b" 'c "d' e\ f """#), ["-G", "s=a b", "c \"d", "e f", ""]);
    }
}
