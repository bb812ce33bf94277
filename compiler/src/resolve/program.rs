//! Points that are bound to a program: `perf.….process("PATH")`, `perf.….process`.
//! In: such a point. Out: the block of the library (tapsets/perf.stp) that asks
//! whether the current task is of that program, to run before all others.

use super::builtin::Comp;
use crate::bytes::Bytes;
use crate::syntax::ast::Literal;
use std::env;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The alias of the library whose block is to run, with what it is to compare.
/// `None`: the point is bound to no program. The error says what is wrong.
pub fn guard(comps: &[Comp], has_target: bool) -> Result<Option<Comp>, String> {
    let bound = match comps {
        [first, .., last] if first.name == "perf" && last.name == "process" => &last.arg,
        _ => return Ok(None),
    };
    match bound {
        Some(Literal::String(name)) => {
            let name = PathBuf::from(std::ffi::OsString::from_vec(name.to_vec()));
            let path = find(&name, &env::var_os("PATH").unwrap_or_default())
                .ok_or_else(|| format!("there is no program '{}', here or in PATH", name.display()))?;
            if is_script(&path) {
                let text = "is a script: name the program that reads it, or use .process with -c or -x";
                return Err(format!("'{}' {text}", name.display()));
            }
            let path = Bytes::from(path.into_os_string().into_vec());
            Ok(Some(Comp { name: "__in_program".into(), arg: Some(Literal::String(path)) }))
        }
        _ if has_target => Ok(Some(Comp { name: "__in_target".into(), arg: None })),
        _ => Err("process without a path is that of -c or -x, and neither is given".into()),
    }
}

/// Where a program is, without symbolic links, as the kernel names it. Like a shell, a name without
/// a slash is looked for in the directories of PATH.
fn find(name: &Path, path: &std::ffi::OsStr) -> Option<PathBuf> {
    let is_program =
        |p: &PathBuf| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let found = match name.components().count() {
        1 if !name.has_root() => env::split_paths(path).map(|dir| dir.join(name)).find(is_program),
        _ => Some(name.to_path_buf()).filter(is_program),
    };
    found?.canonicalize().ok()
}

/// Does another program run for it?
fn is_script(path: &Path) -> bool {
    let mut first = [0; 2];
    std::fs::File::open(path).and_then(|mut f| f.read_exact(&mut first)).is_ok() && first == *b"#!"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perf(process: Option<Literal>) -> Vec<Comp> {
        let comp = |name: &str, arg| Comp { name: name.into(), arg };
        let number = || Some(Literal::Number(1));
        vec![comp("perf", None), comp("type", number()), comp("config", number()), comp("process", process)]
    }

    #[test]
    fn programs_are_found_as_a_shell_does() {
        let dir = env::temp_dir().join(format!("stpvm-program-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("none")).unwrap();
        let dir = dir.canonicalize().unwrap();
        std::fs::write(dir.join("plain"), "").unwrap();
        std::fs::write(dir.join("tool"), "").unwrap();
        std::fs::set_permissions(dir.join("tool"), PermissionsExt::from_mode(0o755)).unwrap();
        let link = dir.join("link");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink("tool", &link).unwrap();
        let path = env::join_paths([dir.join("none"), dir.clone()]).unwrap();
        let tool = Some(dir.join("tool"));
        for name in ["tool", "link"] {
            assert_eq!(find(Path::new(name), &path), tool, "{name}");
            assert_eq!(find(&dir.join(name), "".as_ref()), tool, "{name}");
        }
        for name in ["plain", "none", "nosuch", ""] {
            assert_eq!(find(Path::new(name), &path), None, "{name}");
            assert_eq!(find(&dir.join(name), &path), None, "{name}");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_point_is_bound_to_a_program_or_to_the_target() {
        let guard_of = |p, target| guard(&perf(p), target).map(|g| g.map(|c| c.name));
        let sh = || Some(Literal::String("/bin/sh".into()));
        assert_eq!(guard_of(sh(), false), Ok(Some("__in_program".to_string())));
        assert_eq!(guard_of(None, true), Ok(Some("__in_target".to_string())));
        assert!(guard_of(None, false).unwrap_err().contains("-c or -x"));
        assert!(guard_of(Some(Literal::String("/nosuch".into())), true).unwrap_err().contains("'/nosuch'"));
        assert_eq!(guard(&perf(None)[..3], false), Ok(None));
    }
}
