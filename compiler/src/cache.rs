//! What one run has computed and a later one may use instead of computing it
//! again: the index of the tapset library, the sorted symbols of a kernel. In:
//! a directory, names, keys. Out: bytes as they were put, or nothing.
//!
//! A cache is never needed and never trusted. Whatever is wrong with it (no
//! directory, a read-only one, a file that someone else may write, a torn,
//! damaged or foreign file) is the same as an empty one. Files are written
//! beside their name and renamed, so two runs at once never see half of one.
//! Nothing here is mapped: a file could change under a mapping.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

const MAGIC: &[u8; 8] = b"stpvmc1\n";
/// Bytes before the key: magic, checksum of the key and what follows, lengths of both.
const HEAD: usize = 8 + 8 + 8 + 8;
/// No entry is larger than that; a length that says so is damage.
const LARGEST: u64 = 256 << 20;
/// Ends of names: entries, and entries that are being written.
const ENTRY: &str = "stpvm";
const UNFINISHED: &str = "tmp";
/// A file that has been unfinished for so long will stay so: its writer was killed.
const GIVEN_UP: Duration = Duration::from_secs(600);
/// File in the directory that holds its largest size in MiB (man stap, CACHING), and what is meant without it.
const LIMIT_FILE: &str = "cache_mb_limit";
const LIMIT_MB: u64 = 256;

/// How a cache is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Use {
    /// Read and written.
    #[default]
    Full,
    /// Written only (`--poison-cache`).
    Write,
    /// Not at all (`--disable-cache`).
    Off,
}

/// A directory of entries; a cache without one holds nothing.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    dir: Option<PathBuf>,
    reads: bool,
    stamp: Vec<u8>,
}

impl Cache {
    /// The cache in a directory, which is made when something is first put. The stamp says which
    /// program writes the entries: what another one has put is not found.
    pub fn new(dir: Option<PathBuf>, how: Use, stamp: &[u8]) -> Cache {
        Cache { dir: dir.filter(|_| how != Use::Off), reads: how == Use::Full, stamp: stamp.to_vec() }
    }

    /// Is anything kept at all?
    pub fn is_used(&self) -> bool {
        self.dir.is_some()
    }

    /// The key as it stands in a file.
    fn full(&self, key: &[u8]) -> Vec<u8> {
        [&(self.stamp.len() as u64).to_le_bytes()[..], &self.stamp, key].concat()
    }

    /// The entry of that name, if it was put under the same key. Names are of letters, digits, `-` and `_`.
    pub fn get(&self, name: &str, key: &[u8]) -> Option<Vec<u8>> {
        let (file, meta) = self.open(name)?;
        let size = meta.len().checked_sub(HEAD as u64).filter(|n| *n <= LARGEST)?;
        let mut bytes = Vec::with_capacity(usize::try_from(size).ok()? + HEAD);
        // one more than there should be: a file that grows is not ours
        file.take(meta.len() + 1).read_to_end(&mut bytes).ok()?;
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let lengths = (number(head, 16)?, number(head, 24)?);
        let whole = lengths.0.checked_add(lengths.1)? == rest.len() as u64;
        if &head[..8] != MAGIC || !whole || number(head, 8)? != checksum(&bytes[16..]) {
            return None;
        }
        let (found, data) = rest.split_at_checked(usize::try_from(lengths.0).ok()?)?;
        if found != self.full(key) {
            return None;
        }
        let from = bytes.len() - data.len();
        bytes.drain(..from);
        Some(bytes)
    }

    /// Keeps the data under that name, in place of what was there. What goes wrong is of no account.
    pub fn put(&self, name: &str, key: &[u8], data: &[u8]) {
        let Some(dir) = &self.dir else { return };
        let key = self.full(key);
        if data.len() as u64 + key.len() as u64 > LARGEST || make(dir).is_none() {
            return;
        }
        let mut rest = Vec::with_capacity(16 + key.len() + data.len());
        rest.extend_from_slice(&(key.len() as u64).to_le_bytes());
        rest.extend_from_slice(&(data.len() as u64).to_le_bytes());
        rest.extend_from_slice(&key);
        rest.extend_from_slice(data);
        // of this process, and of one writer in it
        static WRITERS: AtomicU32 = AtomicU32::new(0);
        let writer = WRITERS.fetch_add(1, Ordering::Relaxed);
        let unfinished = dir.join(format!("{name}.{}.{writer}.{UNFINISHED}", std::process::id()));
        let write = || -> std::io::Result<()> {
            // what a killed process of the same number left behind
            let _ = fs::remove_file(&unfinished);
            let mut f = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
            f.write_all(MAGIC)?;
            f.write_all(&checksum(&rest).to_le_bytes())?;
            f.write_all(&rest)?;
            fs::rename(&unfinished, dir.join(format!("{name}.{ENTRY}")))
        };
        if write().is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        self.clean();
    }

    /// Removes what was left unfinished, and the oldest entries while all are larger than the limit.
    pub fn clean(&self) {
        let Some(dir) = self.dir.as_deref().filter(|d| is_private(d)) else { return };
        let Ok(list) = fs::read_dir(dir) else { return };
        let mut entries: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for path in list.flatten().map(|e| e.path()) {
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            let Ok(changed) = meta.modified() else { continue };
            match path.extension().and_then(|e| e.to_str()) {
                Some(ENTRY) if meta.is_file() => entries.push((changed, meta.len(), path)),
                Some(UNFINISHED) if changed.elapsed().is_ok_and(|age| age > GIVEN_UP) => {
                    let _ = fs::remove_file(&path);
                }
                _ => {}
            }
        }
        let limit = fs::read_to_string(dir.join(LIMIT_FILE)).ok();
        let limit = limit.and_then(|t| t.trim().parse().ok()).unwrap_or(LIMIT_MB).saturating_mul(1 << 20);
        entries.sort();
        let mut all: u64 = entries.iter().map(|e| e.1).sum();
        for (_, size, path) in entries {
            if all <= limit {
                break;
            }
            all -= size;
            let _ = fs::remove_file(&path);
        }
    }

    /// Opens an entry that only we can have written.
    fn open(&self, name: &str) -> Option<(File, fs::Metadata)> {
        let dir = self.dir.as_deref().filter(|d| self.reads && is_private(d))?;
        let path = dir.join(format!("{name}.{ENTRY}"));
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
        let meta = file.metadata().ok()?;
        (meta.is_file() && ours(&meta)).then_some((file, meta))
    }
}

/// Owned by us, and nobody else may write it.
fn ours(meta: &fs::Metadata) -> bool {
    // SAFETY: no memory involved.
    meta.uid() == unsafe { libc::geteuid() } && meta.mode() & 0o022 == 0
}

fn is_private(dir: &Path) -> bool {
    fs::metadata(dir).is_ok_and(|m| m.is_dir() && ours(&m))
}

/// Makes the directory where the nearest that exists is our own: root with the home of someone
/// else (as sudo leaves it) must not put files there that their owner could not replace. Nothing
/// is made in `/` itself: a path that begins with nothing that exists is a mistake.
fn make(dir: &Path) -> Option<()> {
    if !dir.exists() {
        dir.ancestors().skip(1).find(|d| d.exists()).filter(|d| d.parent().is_some() && is_private(d))?;
        DirBuilder::new().recursive(true).mode(0o700).create(dir).ok()?;
    }
    is_private(dir).then_some(())
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Finds damage, not malice: eight bytes a step, multiplied and folded.
pub fn checksum(bytes: &[u8]) -> u64 {
    let step = |h: u64, w: u64| {
        let h = (h ^ w).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        h ^ (h >> 32)
    };
    let chunks = bytes.chunks_exact(8);
    let mut last = [0; 8];
    last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    let h = chunks.fold(bytes.len() as u64, |h, c| {
        step(h, u64::from_le_bytes([c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]))
    });
    step(step(h, u64::from_le_bytes(last)), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{symlink, PermissionsExt};

    /// A directory that goes with the test.
    struct Temp(PathBuf);
    impl Temp {
        fn new(name: &str) -> Temp {
            let dir = std::env::temp_dir().join(format!("stpvm-cache-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&dir);
            DirBuilder::new().mode(0o700).create(&dir).unwrap();
            Temp(dir)
        }
        fn cache(&self) -> Cache {
            Cache::new(Some(self.0.join("deep/cache")), Use::Full, b"v1")
        }
        fn entry(&self, name: &str) -> PathBuf {
            self.0.join("deep/cache").join(format!("{name}.stpvm"))
        }
    }
    impl Drop for Temp {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_was_put_under_a_key_comes_back_under_that_key_alone() {
        let t = Temp::new("key");
        let c = t.cache();
        assert_eq!(c.get("x", b"k"), None);
        c.put("x", b"k", b"data");
        assert_eq!(c.get("x", b"k").as_deref(), Some(&b"data"[..]));
        assert_eq!(c.get("x", b"K"), None);
        assert_eq!(c.get("y", b"k"), None);
        c.put("x", b"K", b"");
        assert_eq!(c.get("x", b"k"), None, "one entry a name");
        assert_eq!(c.get("x", b"K").as_deref(), Some(&b""[..]));
        let other = Cache::new(Some(t.0.join("deep/cache")), Use::Full, b"v2");
        assert_eq!(other.get("x", b"K"), None, "of another program");
    }

    #[test]
    fn damage_at_any_byte_and_any_cut_is_an_empty_cache() {
        let t = Temp::new("damage");
        let c = t.cache();
        c.put("x", b"key", b"some data to damage");
        let good = fs::read(t.entry("x")).unwrap();
        for n in 0..good.len() {
            let mut bad = good.clone();
            bad[n] ^= 1 << (n % 8);
            fs::write(t.entry("x"), &bad).unwrap();
            assert_eq!(c.get("x", b"key"), None, "byte {n}");
            fs::write(t.entry("x"), &good[..n]).unwrap();
            assert_eq!(c.get("x", b"key"), None, "cut at {n}");
        }
        fs::write(t.entry("x"), [&good[..], b"more"].concat()).unwrap();
        assert_eq!(c.get("x", b"key"), None);
        fs::write(t.entry("x"), &good).unwrap();
        assert!(c.get("x", b"key").is_some());
    }

    #[test]
    fn files_that_others_may_write_or_that_lead_elsewhere_are_not_read() {
        let t = Temp::new("others");
        let c = t.cache();
        c.put("x", b"k", b"data");
        fs::set_permissions(t.entry("x"), fs::Permissions::from_mode(0o622)).unwrap();
        assert_eq!(c.get("x", b"k"), None);
        fs::set_permissions(t.entry("x"), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(c.get("x", b"k").is_some());
        symlink(t.entry("x"), t.entry("link")).unwrap();
        assert_eq!(c.get("link", b"k"), None);
        let dir = t.0.join("deep/cache");
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(c.get("x", b"k"), None);
        c.put("y", b"k", b"data");
        assert!(!t.entry("y").exists());
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_no_error() {
        Cache::new(Some("/proc/none/such".into()), Use::Full, b"").put("x", b"k", b"data");
        let t = Temp::new("none");
        fs::write(t.0.join("deep"), "a file where a directory should be").unwrap();
        let c = t.cache();
        c.put("x", b"k", b"data");
        assert_eq!(c.get("x", b"k"), None);
    }

    #[test]
    fn a_cache_is_written_only_or_not_at_all_as_it_is_told() {
        let t = Temp::new("use");
        let dir = || Some(t.0.join("deep/cache"));
        Cache::new(dir(), Use::Off, b"v1").put("x", b"k", b"data");
        assert!(!t.entry("x").exists());
        let poisoned = Cache::new(dir(), Use::Write, b"v1");
        poisoned.put("x", b"k", b"data");
        assert_eq!(poisoned.get("x", b"k"), None);
        assert!(t.cache().get("x", b"k").is_some());
        assert_eq!(Cache::new(dir(), Use::Off, b"v1").get("x", b"k"), None);
    }

    #[test]
    fn writers_at_the_same_time_leave_one_whole_entry() {
        let t = Temp::new("race");
        let c = t.cache();
        std::thread::scope(|s| {
            for n in 0..4u8 {
                let c = c.clone();
                s.spawn(move || {
                    for _ in 0..50 {
                        c.put(&format!("own{n}"), b"k", &[n; 5000]);
                        if let Some(data) = c.get("own0", b"k") {
                            assert_eq!(data, [0; 5000]);
                        }
                    }
                });
            }
        });
        assert_eq!(c.get("own3", b"k"), Some(vec![3; 5000]));
    }

    #[test]
    fn cleaning_drops_the_oldest_beyond_the_limit_and_old_leftovers() {
        let t = Temp::new("clean");
        let c = t.cache();
        let age = |path: &Path, seconds: u64| {
            let when = SystemTime::now() - Duration::from_secs(seconds);
            File::options().write(true).open(path).unwrap().set_modified(when).unwrap();
        };
        for (name, old) in [("a", 300), ("b", 200), ("c", 100)] {
            c.put(name, b"k", &vec![0; 600 << 10]);
            age(&t.entry(name), old);
        }
        let left = t.0.join("deep/cache/x.1.tmp");
        let fresh = t.0.join("deep/cache/x.2.tmp");
        fs::write(&left, "").unwrap();
        fs::write(&fresh, "").unwrap();
        age(&left, 3600);
        c.clean();
        assert!(t.entry("a").exists() && !left.exists() && fresh.exists());
        fs::write(t.0.join("deep/cache/cache_mb_limit"), "1\n").unwrap();
        c.clean();
        let there = ["a", "b", "c"].map(|n| t.entry(n).exists());
        assert_eq!(there, [false, false, true]);
    }

    #[test]
    fn the_checksum_sees_length_order_and_the_last_bytes() {
        let sums =
            [&b""[..], b"\0", b"\0\0", b"12345678", b"123456789", b"12345678\0", b"87654321"].map(checksum);
        for (n, s) in sums.iter().enumerate() {
            assert!(!sums[..n].contains(s), "{n}");
        }
    }
}
