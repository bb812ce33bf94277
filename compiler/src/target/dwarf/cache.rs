//! Indexes of debuginfo, kept between runs.
//!
//! In: a directory, a build id, bytes. Out: the index that was kept for that
//! build id. A file is written under a name of its own and then renamed, so a
//! reader sees a whole file or none, and two writers do no harm. What is
//! damaged, cut short or of another version is as good as absent. No failure
//! here is an error: the index can be made again.

use super::index::{Bytes, Index, VERSION};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

fn path(dir: &Path, build_id: &[u8]) -> PathBuf {
    let hex: String = build_id.iter().map(|b| format!("{b:02x}")).collect();
    dir.join(format!("names-{hex}-v{VERSION}"))
}

pub(super) fn load(dir: &Path, build_id: &[u8]) -> Option<Index> {
    let file = fs::File::open(path(dir, build_id)).ok()?;
    // SAFETY: private and read only; files here are replaced by renaming, never written in place.
    let map = unsafe { memmap2::Mmap::map(&file) }.ok()?;
    Index::from_bytes(Bytes::Mapped(map))
}

pub(super) fn store(dir: &Path, build_id: &[u8], bytes: &[u8]) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    let to = path(dir, build_id);
    let temporary = dir.join(format!(".names-{}-{n}", std::process::id()));
    let write = || -> std::io::Result<()> {
        fs::create_dir_all(dir)?;
        let mut f = fs::OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        f.write_all(bytes)?;
        f.sync_data()?;
        fs::rename(&temporary, &to)
    };
    if write().is_err() {
        let _ = fs::remove_file(&temporary);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_damage_counts_as_absence() {
        let dir = std::env::temp_dir().join(format!("stpvm-cache-test-{}", std::process::id()));
        let id = [0xab, 0xcd];
        assert!(load(&dir, &id).is_none());
        let empty = Index::empty();
        store(&dir, &id, empty.bytes());
        assert!(load(&dir, &id).is_some());
        assert!(load(&dir, &[1]).is_none());
        let file = path(&dir, &id);
        fs::write(&file, b"not an index").expect("write");
        assert!(load(&dir, &id).is_none());
        store(&dir, &id, empty.bytes());
        assert!(load(&dir, &id).is_some(), "a damaged file is replaced");
        let left: Vec<_> = fs::read_dir(&dir).expect("dir").flatten().collect();
        assert_eq!(left.len(), 1, "no temporary files stay");
        fs::remove_dir_all(&dir).expect("clean");
    }
}
