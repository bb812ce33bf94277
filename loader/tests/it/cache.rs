//! The cache of `stap` as its user meets it: what it keeps changes no output,
//! whatever state it is in.

use crate::common::{command, good, Dir};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `stap` with a cache and a tapset library of the test's own.
fn stap(d: &Dir, options: &[&str]) -> Command {
    // above "/tmp" itself, which others may write
    fs::set_permissions(&d.0, fs::Permissions::from_mode(0o700)).unwrap();
    let mut c = command(options);
    c.env("SYSTEMTAP_DIR", &d.0).env("STPVM_TAPSETS", d.0.join("tapsets"));
    c
}

const SCRIPT: &str = "probe begin { println(answer()); exit() }";

fn answer(d: &Dir, options: &[&str]) -> String {
    good(&stap(d, &[options, &["-e", SCRIPT]].concat()).output().unwrap())
}

fn library(d: &Dir, file: &str, text: &str) {
    let path = d.0.join("tapsets").join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    // as if written some time ago: an index of files that changed just now is not kept
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(150));
}

fn entries(d: &Dir) -> Vec<PathBuf> {
    let Ok(list) = fs::read_dir(d.0.join("cache")) else { return Vec::new() };
    let mut all: Vec<PathBuf> = list.map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn a_library_that_changes_is_indexed_anew() {
    let d = Dir::new("cache-changes");
    library(&d, "a.stp", "function answer() { return 1 }");
    assert_eq!(answer(&d, &[]), "1\n");
    assert_eq!(entries(&d).len(), 1, "the index was kept");
    assert_eq!(answer(&d, &[]), "1\n");
    // the same file says something else; another file takes it over; it comes back below a directory
    library(&d, "a.stp", "function answer() { return 2 }");
    assert_eq!(answer(&d, &[]), "2\n");
    library(&d, "b.stp", "function answer() { return 33 }");
    fs::remove_file(d.0.join("tapsets/a.stp")).unwrap();
    assert_eq!(answer(&d, &[]), "33\n");
    fs::remove_file(d.0.join("tapsets/b.stp")).unwrap();
    library(&d, "deep/c.stp", "function answer() { return 4 }");
    assert_eq!(answer(&d, &[]), "4\n");
}

#[test]
fn a_damaged_cache_is_as_good_as_none_and_is_mended() {
    let d = Dir::new("cache-damage");
    library(&d, "a.stp", "function answer() { return 5 }");
    answer(&d, &[]);
    let file = entries(&d).pop().expect("an entry");
    let whole = fs::read(&file).unwrap();
    let middle = whole.len() / 2;
    let mut flipped = whole.clone();
    flipped[middle] ^= 0x10;
    for bad in [&flipped[..], &whole[..middle], b"", b"not a cache at all, but a text that someone left here"]
    {
        fs::write(&file, bad).unwrap();
        assert_eq!(answer(&d, &[]), "5\n");
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_done_without() {
    let d = Dir::new("cache-readonly");
    library(&d, "a.stp", "function answer() { return 6 }");
    // root writes everywhere, so a file stands in the way
    fs::write(d.0.join("cache"), "").unwrap();
    assert_eq!(answer(&d, &[]), "6\n");
    let o = stap(&d, &["-e", SCRIPT]).env("SYSTEMTAP_DIR", "/proc").output().unwrap();
    assert_eq!(good(&o), "6\n");
    assert!(!Path::new("/nonexistent").exists(), "nothing is made in the root directory");
}

#[test]
fn runs_at_the_same_time_share_the_cache() {
    let d = Dir::new("cache-together");
    library(&d, "a.stp", "function answer() { return 7 }");
    let start = || stap(&d, &["-e", SCRIPT]).stdout(Stdio::piped()).spawn().unwrap();
    let runs: Vec<_> = (0..8).map(|_| start()).collect();
    for run in runs {
        assert_eq!(good(&run.wait_with_output().unwrap()), "7\n");
    }
    let left = entries(&d);
    assert!(left.len() == 1 && left[0].extension().is_some_and(|e| e == "stpvm"), "{left:?}");
    assert_eq!(answer(&d, &[]), "7\n");
}

#[test]
fn options_keep_the_cache_out_distrust_it_and_prune_it() {
    let d = Dir::new("cache-options");
    library(&d, "a.stp", "function answer() { return 8 }");
    assert_eq!(answer(&d, &["--disable-cache"]), "8\n");
    assert_eq!(entries(&d), [] as [PathBuf; 0]);
    assert_eq!(answer(&d, &["--poison-cache"]), "8\n");
    let file = entries(&d).pop().expect("poisoned is written");
    fs::write(&file, "x").unwrap();
    assert_eq!(answer(&d, &["--disable-cache"]), "8\n");
    assert_eq!(fs::read(&file).unwrap(), b"x");
    assert_eq!(answer(&d, &["--poison-cache"]), "8\n");
    assert!(fs::read(&file).unwrap().len() > 10);
    fs::write(d.0.join("cache/cache_mb_limit"), "0\n").unwrap();
    assert_eq!(good(&stap(&d, &["--clean-cache"]).output().unwrap()), "");
    assert!(!file.exists());
}
