//! What patterns match, run by the machine's own code on the tables.

use super::{compile, RegexError};
use stp_vm::regex::find;

/// Texts of the groups of the first match; `None` where there is no match.
fn groups(pattern: &str, subject: &str) -> Option<Vec<Option<String>>> {
    let tables = compile(pattern.as_bytes(), true).expect("pattern");
    let plain = compile(pattern.as_bytes(), false).expect("pattern");
    let found = find(&tables.words, subject.as_bytes()).expect("tables");
    let yes = find(&plain.words, subject.as_bytes()).expect("tables").is_some();
    assert_eq!(found.is_some(), yes, "both kinds of tables agree on {pattern:?} in {subject:?}");
    found.map(|g| g.iter().map(|r| r.map(|(lo, hi)| subject[lo..hi].to_string())).collect())
}

fn matches(pattern: &str, subject: &str) -> bool {
    groups(pattern, subject).is_some()
}

fn texts(pattern: &str, subject: &str) -> Vec<String> {
    groups(pattern, subject).expect("match").into_iter().map(Option::unwrap_or_default).collect()
}

#[test]
fn a_pattern_is_searched_anywhere() {
    assert!(matches("foo", "foobar"));
    assert!(matches("o+", "foobar"));
    assert!(!matches("zzz", "foobar"));
    assert!(matches("", "xyz"));
    assert!(matches("a*", ""));
}

#[test]
fn anchors_mean_the_ends_of_the_whole_string() {
    assert!(!matches("^bar", "foobar"));
    assert!(matches("bar$", "foobar"));
    assert!(matches("^$", ""));
    assert!(!matches("b$", "ab\n"));
    assert!(!matches("^line2", "line1\nline2"));
    assert!(!matches("a^b", "ab"));
    assert!(matches("(^a|b)$", "a"));
    assert!(!matches("(^a|b)$", "ca"));
}

#[test]
fn a_dot_is_any_byte() {
    assert!(matches("a.b", "a\nb"));
    assert!(!matches("a\\.b", "axb"));
    assert!(matches("a\\.b", "a.b"));
}

#[test]
fn classes() {
    assert!(matches("[0-9]+$", "abc123"));
    assert!(matches("^[^0-9]*$", "abc"));
    assert!(!matches("[a-c]-[x-z]", "w-y"));
    assert!(matches("[[:upper:]]", "A"));
    assert!(!matches("[[:digit:]]", "q"));
    assert!(matches("^[]a-]+$", "]-a"));
}

#[test]
fn counted_repetitions() {
    assert!(matches("^a{3}$", "aaa"));
    assert!(!matches("^a{3}$", "aa"));
    assert!(!matches("^a{2,3}$", "aaaa"));
    assert!(matches("^a{2,}$", "aaaaa"));
    assert!(matches("ab?c?$", "ab"));
}

#[test]
fn the_leftmost_match_wins_and_of_these_the_longest() {
    assert_eq!(texts("ab", "aabab"), ["ab"]);
    assert_eq!(texts("a+", "xaaay"), ["aaa"]);
    assert_eq!(texts("(a|ab)(c|bcd)*", "abcabc"), ["abc", "ab", "c"]);
    assert_eq!(texts("<.*>", "<<a>><b>"), ["<<a>><b>"]);
    assert_eq!(texts("a*", "baaa"), [""]);
    assert_eq!(texts("abcd|bc", "xabcx"), ["bc"]);
    assert_eq!(texts("b|abcd", "abcx"), ["b"]);
    assert_eq!(texts("b|abcd", "abcd"), ["abcd"]);
}

#[test]
fn groups_count_by_their_open_parenthesis() {
    assert_eq!(
        texts("(([0-9]+)-([0-9]+))-([0-9]+)", "2026-11-22"),
        ["2026-11-22", "2026-11", "2026", "11", "22"]
    );
    assert_eq!(texts("([a-z]+)=([0-9]+)", "bb=22"), ["bb=22", "bb", "22"]);
}

#[test]
fn a_repeated_group_holds_its_last_turn() {
    assert_eq!(texts("([a-z])*", "abcd"), ["abcd", "d"]);
    assert_eq!(texts("([a-z]X)+", "aXbXc"), ["aXbX", "bX"]);
}

#[test]
fn a_group_that_took_no_part_is_unset() {
    assert_eq!(groups("(a)|(b)", "xb"), Some(vec![Some("b".into()), None, Some("b".into())]));
    // The first start dies; nothing of its group may show in the second.
    assert_eq!(groups("(a)x|a?(b)", "ab"), Some(vec![Some("ab".into()), None, Some("b".into())]));
}

fn refusal(pattern: &str) -> String {
    compile(pattern.as_bytes(), true).expect_err("refused").to_string()
}

#[test]
fn refusals_name_the_position() {
    assert_eq!(refusal("(b"), "regex compilation error (at position 1): expected ), found end of regex");
    assert_eq!(refusal("[z-a]"), "regex compilation error (at position 4): Inverted character range z-a");
    assert_eq!(refusal("*b"), "regex compilation error (at position 0): unexpected '*'");
    assert_eq!(refusal("a)"), "regex compilation error (at position 1): unexpected )");
    assert!(refusal("(a)\\1").contains("backreferences"));
    assert!(refusal("a{3,2}").contains("inverted repetition"));
}

#[test]
fn what_would_need_huge_tables_is_refused() {
    let bomb = "(a|b)*a(a|b){40}";
    assert!(matches!(compile(bomb.as_bytes(), true), Err(RegexError::TooLarge { .. })));
    let deep = "(".repeat(100);
    assert!(compile(deep.as_bytes(), true).is_err());
    assert!(compile(b"((a{255}){255}){255}", true).is_err());
}

#[test]
fn what_is_too_large_is_told_by_its_measure() {
    let what = |pattern: &str| match compile(pattern.as_bytes(), true) {
        Err(RegexError::TooLarge { what, .. }) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(what("((a{1,200}){1,200}){1,200}"), "threads");
    assert_eq!(what("(a|b)*a(a|b){14}"), "states");
    // After 60 times `x` a match may have begun at each of them, with its own places of 15 groups.
    assert_eq!(what(&format!("x{{60}}{}", "(y)".repeat(15))), "tags at one time");
    // Rows of as many bytes as the text tells apart.
    let text: String =
        (0..2400u32).map(|n| char::from(b'0' + (n % 79) as u8)).filter(|c| c.is_alphanumeric()).collect();
    assert_eq!(what(&text), "table words");
}
