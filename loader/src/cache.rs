//! Where the cache is, and whether it is used. In: the environment. Out: a
//! [`Cache`]. What is in it, its users know.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use stp_compiler::cache::{Cache, Use};

/// The cache of the user who runs this program.
pub fn of_user(how: Use) -> Cache {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty());
    Cache::new(directory(var), how, &stamp())
}

/// `$SYSTEMTAP_DIR/cache`; without that variable `$XDG_CACHE_HOME/stpvm` or `~/.cache/stpvm`, not
/// SystemTap's own directory in the home: its cleaning would not know our files, nor ours its.
fn directory(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let home = || Some(PathBuf::from(var("HOME")?).join(".cache"));
    // XDG base directory specification: a path that is not absolute is to be ignored
    let xdg = || var("XDG_CACHE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
    match var("SYSTEMTAP_DIR") {
        Some(dir) => Some(PathBuf::from(dir).join("cache")),
        None => xdg().or_else(home).map(|d| d.join("stpvm")),
    }
    .filter(|d| d.is_absolute())
}

/// Says which program this is: its version, and the file's size and time, so that one that was
/// built anew reads nothing of the old one.
fn stamp() -> Vec<u8> {
    let file = std::env::current_exe().and_then(std::fs::metadata);
    let file = file.map_or(String::new(), |m| format!("{} {} {}", m.size(), m.mtime(), m.mtime_nsec()));
    format!("{} {file}", env!("CARGO_PKG_VERSION")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::directory;
    use std::ffi::OsString;
    use std::path::PathBuf;

    #[test]
    fn the_environment_says_where_the_cache_is() {
        let at = |vars: &[(&str, &str)]| {
            let found = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
            directory(found)
        };
        let path = |p: &str| Some(PathBuf::from(p));
        assert_eq!(at(&[("HOME", "/h")]), path("/h/.cache/stpvm"));
        assert_eq!(at(&[("HOME", "/h"), ("XDG_CACHE_HOME", "/x")]), path("/x/stpvm"));
        assert_eq!(at(&[("HOME", "/h"), ("XDG_CACHE_HOME", "x")]), path("/h/.cache/stpvm"));
        assert_eq!(at(&[("SYSTEMTAP_DIR", "/s"), ("XDG_CACHE_HOME", "/x")]), path("/s/cache"));
        assert_eq!(at(&[("SYSTEMTAP_DIR", "s")]), None, "it would move with the working directory");
        assert_eq!(at(&[]), None);
    }
}
