//! Where the tapset library is.

use crate::output::message::reason;
use std::path::{Path, PathBuf};

/// Directories of the library: those that the environment names (`STPVM_TAPSETS`, else
/// `SYSTEMTAP_TAPSET`; several are separated by colons), else the one that belongs to this program.
pub fn directories() -> Vec<PathBuf> {
    for name in ["STPVM_TAPSETS", "SYSTEMTAP_TAPSET"] {
        if let Some(v) = std::env::var_os(name).filter(|v| !v.is_empty()) {
            return std::env::split_paths(&v).collect();
        }
    }
    std::env::current_exe().ok().and_then(|exe| beside(&exe)).into_iter().collect()
}

/// What keeps the library from being read, for people: without it hardly a script means anything.
pub fn complaint(directories: &[PathBuf]) -> Option<String> {
    let why = match directories {
        [] => {
            "it is neither at ../share/stpvm/tapsets beside this program, nor in its source tree".to_string()
        }
        dirs => dirs
            .iter()
            .find_map(|d| std::fs::read_dir(d).err().map(|e| format!("{}: {}", d.display(), reason(&e))))?,
    };
    Some(format!(
        "the tapset library can't be read: {why}; most probe points and functions are missing \
         (make install brings it, SYSTEMTAP_TAPSET says where it is)"
    ))
}

/// `PREFIX/share/stpvm/tapsets` of `PREFIX/bin/stap`, or `tapsets` of the source tree that it was built in.
fn beside(exe: &Path) -> Option<PathBuf> {
    let installed = exe.parent()?.parent()?.join("share/stpvm/tapsets");
    if installed.is_dir() {
        return Some(installed);
    }
    exe.ancestors()
        .skip(1)
        .find(|dir| dir.join("Cargo.toml").is_file() && dir.join("tapsets").is_dir())
        .map(|dir| dir.join("tapsets"))
}

#[cfg(test)]
mod tests {
    use super::beside;
    use std::fs;

    #[test]
    fn the_library_is_found_from_the_program() {
        let top = std::env::temp_dir().join(format!("stpvm-tapsets-{}", std::process::id()));
        let make = |p: &str| fs::create_dir_all(top.join(p)).unwrap();
        make("usr/bin");
        assert_eq!(beside(&top.join("usr/bin/stap")), None);
        make("usr/share/stpvm/tapsets");
        assert_eq!(beside(&top.join("usr/bin/stap")), Some(top.join("usr/share/stpvm/tapsets")));
        make("src/target/debug/deps");
        make("src/tapsets");
        fs::write(top.join("src/Cargo.toml"), "").unwrap();
        assert_eq!(beside(&top.join("src/target/debug/deps/stap-1")), Some(top.join("src/tapsets")));
        fs::remove_dir_all(top).unwrap();
    }
}
