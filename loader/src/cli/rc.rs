//! The user's rc file: options that are read before those of the command line
//! (man stap: `$SYSTEMTAP_DIR/rc`, `$HOME/.systemtap/rc` where that is unset).

use super::UsageError;
use std::path::PathBuf;

/// Words of the rc file, none where there is no such file.
pub fn options() -> Result<Vec<String>, UsageError> {
    let dir = match (std::env::var_os("SYSTEMTAP_DIR"), std::env::var_os("HOME")) {
        (Some(d), _) if !d.is_empty() => PathBuf::from(d),
        (_, Some(home)) if !home.is_empty() => PathBuf::from(home).join(".systemtap"),
        _ => return Ok(Vec::new()),
    };
    let file = dir.join("rc");
    let Ok(text) = std::fs::read_to_string(&file) else { return Ok(Vec::new()) };
    let mut words = Vec::new();
    for line in text.lines() {
        words.extend(split(line).ok_or_else(|| UsageError(format!("{}: unbalanced quote", file.display())))?);
    }
    Ok(words)
}

/// Words of a line as a shell would split them: blanks, quotes, backslashes, `#` comments; `None`
/// where a quote is not closed. Nothing is expanded.
pub fn split(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => break,
            '\\' => word.get_or_insert_with(String::new).extend(chars.next()),
            '\'' => {
                let w = word.get_or_insert_with(String::new);
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => w.push(c),
                    }
                }
            }
            '"' => {
                let w = word.get_or_insert_with(String::new);
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => w.push(c),
                            c => w.extend(['\\', c]),
                        },
                        c => w.push(c),
                    }
                }
            }
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn words_are_split_as_a_shell_does() {
        assert_eq!(split(r#" -v  -e 'a b' "c\"d"e\ f # rest"#).unwrap(), ["-v", "-e", "a b", "c\"de f"]);
        assert_eq!(split("''").unwrap(), [""]);
        assert!(split("'open").is_none());
        assert!(split("# only a comment").unwrap().is_empty());
    }
}
