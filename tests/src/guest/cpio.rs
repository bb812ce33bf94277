//! Writes a `newc` cpio archive, the format that the kernel unpacks as initramfs
//! (Documentation/driver-api/early-userspace/buffer-format.rst). In: paths with
//! modes and contents. Out: the bytes. Never reads a file itself.

use std::collections::BTreeSet;

/// An archive in the making. Parent directories are added by themselves.
#[derive(Default)]
pub struct Archive {
    bytes: Vec<u8>,
    inode: u32,
    seen: BTreeSet<String>,
}

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

impl Archive {
    /// A regular file; `mode` holds the permission bits only.
    pub fn file(&mut self, path: &str, mode: u32, data: &[u8]) {
        self.entry(path, REGULAR | mode, (0, 0), data);
    }

    pub fn symlink(&mut self, path: &str, target: &str) {
        self.entry(path, SYMLINK | 0o777, (0, 0), target.as_bytes());
    }

    pub fn directory(&mut self, path: &str) {
        self.entry(path, DIRECTORY | 0o755, (0, 0), b"");
    }

    /// A character device (the kernel opens `/dev/console` before `/init` can mount anything).
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHARACTER | 0o600, (major, minor), b"");
    }

    /// Whether something of that path was added already.
    pub fn contains(&self, path: &str) -> bool {
        self.seen.contains(path.trim_start_matches('/'))
    }

    /// The finished archive with its trailer.
    pub fn finish(mut self) -> Vec<u8> {
        self.write("TRAILER!!!", 0, (0, 0), b"");
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), data: &[u8]) {
        let path = path.trim_start_matches('/');
        if path.is_empty() || self.seen.contains(path) {
            return;
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent);
        }
        self.seen.insert(path.to_string());
        self.write(path, mode, device, data);
    }

    fn write(&mut self, name: &str, mode: u32, device: (u32, u32), data: &[u8]) {
        self.inode += 1;
        let fields = [
            self.inode,
            mode,
            0, // uid
            0, // gid
            1, // links
            0, // mtime
            u32::try_from(data.len()).expect("a file of the initramfs is below 4 GiB"),
            0, // device of the archive: major, minor
            0,
            device.0,
            device.1,
            u32::try_from(name.len() + 1).expect("short name"),
            0, // checksum: none in this variant
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    /// Header with name, and data, each end at a multiple of four.
    fn pad(&mut self) {
        while self.bytes.len() % 4 != 0 {
            self.bytes.push(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn busybox_lists_what_was_written_parents_included() {
        let mut archive = Archive::default();
        archive.file("/a/b/hello", 0o755, b"12345");
        archive.symlink("/a/link", "b/hello");
        archive.file("/a/b/hello", 0o644, b"a second one is not taken");
        let mut child = Command::new("busybox")
            .args(["cpio", "-tv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("busybox");
        child.stdin.take().expect("pipe").write_all(&archive.finish()).expect("write");
        let out = String::from_utf8(child.wait_with_output().expect("wait").stdout).expect("text");
        let names: Vec<&str> = out.lines().filter_map(|l| l.split_whitespace().nth(5)).collect();
        assert_eq!(names, ["a", "a/b", "a/b/hello", "a/link"], "{out}");
        assert!(out.contains("-rwxr-xr-x") && out.contains(" 5 "), "{out}");
    }
}
