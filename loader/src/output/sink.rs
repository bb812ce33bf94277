//! Where the script's output goes: standard output, a file (`-o`, with `-S`
//! several one after the other), or a file per CPU (`-b`). In: bytes, each
//! with its CPU and sequence number. Writes in large pieces; the caller says
//! when nothing more is to come for now.

use super::message::reason;
use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Bytes after which a buffer is written out.
const FULL: usize = 64 << 10;

/// Head of a piece of a bulk file: sequence number, length; then the bytes.
pub const BULK_HEAD: usize = 16;

/// Files with the script's output.
pub struct Sink {
    kind: Kind,
    buffers: Vec<Vec<u8>>,
}

enum Kind {
    Stdout,
    File { name: String, file: File, size: Option<(u64, u32)>, written: u64, number: u64 },
    Bulk { files: Vec<File> },
}

impl Sink {
    pub fn stdout() -> Sink {
        Sink { kind: Kind::Stdout, buffers: vec![Vec::with_capacity(FULL * 2)] }
    }

    /// `-o`; `size`: bytes of a file and how many to keep, from `-S`.
    pub fn file(pattern: &str, size: Option<(u64, u32)>) -> io::Result<Sink> {
        let name = expand(pattern);
        let file = create(&numbered(&name, 0, size.is_some()))?;
        Ok(Sink {
            kind: Kind::File { name, file, size, written: 0, number: 0 },
            buffers: vec![Vec::with_capacity(FULL * 2)],
        })
    }

    /// `-b`: `PREFIX_0 …`, with `stpd_cpu` in place of `PREFIX_` where there is no `-o`.
    pub fn bulk(output: Option<&str>, cpus: usize) -> io::Result<Sink> {
        let prefix = output.map_or("stpd_cpu".to_string(), |o| expand(o) + "_");
        let files =
            (0..cpus).map(|n| create(Path::new(&format!("{prefix}{n}")))).collect::<io::Result<_>>()?;
        Ok(Sink { kind: Kind::Bulk { files }, buffers: vec![Vec::new(); cpus.max(1)] })
    }

    /// Appends what `fill` writes.
    pub fn append(&mut self, cpu: usize, seq: u64, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let n = if matches!(self.kind, Kind::Bulk { .. }) { cpu.min(self.buffers.len() - 1) } else { 0 };
        let buffer = &mut self.buffers[n];
        if let Kind::Bulk { .. } = self.kind {
            let at = buffer.len();
            buffer.extend_from_slice(&[0; BULK_HEAD]);
            fill(buffer);
            let len = (buffer.len() - at - BULK_HEAD) as u64;
            buffer[at..at + 8].copy_from_slice(&seq.to_le_bytes());
            buffer[at + 8..at + 16].copy_from_slice(&len.to_le_bytes());
        } else {
            fill(buffer);
        }
        if buffer.len() >= FULL {
            self.write_out(n)?;
        }
        Ok(())
    }

    /// Writes all that waits.
    pub fn flush(&mut self) -> io::Result<()> {
        for n in 0..self.buffers.len() {
            if !self.buffers[n].is_empty() {
                self.write_out(n)?;
            }
        }
        Ok(())
    }

    /// Goes on with the next file: `NAME.1` after `NAME`, or after `NAME.0` where there are several
    /// from the beginning (`-S`). Output elsewhere goes on as it does.
    pub fn next_file(&mut self) -> io::Result<()> {
        self.flush()?;
        match &mut self.kind {
            Kind::File { name, file, size, written, number } => {
                *written = 0;
                turn(name, file, size.map_or(0, |(_, keep)| keep), number)
            }
            _ => Ok(()),
        }
    }

    fn write_out(&mut self, n: usize) -> io::Result<()> {
        let buffer = &mut self.buffers[n];
        let result = match &mut self.kind {
            // Not through Rust's own buffer of standard output: ours is enough.
            Kind::Stdout => write_fd(libc::STDOUT_FILENO, buffer),
            Kind::Bulk { files } => files[n].write_all(buffer),
            Kind::File { name, file, size, written, number } => {
                write_turning(name, file, *size, written, number, buffer)
            }
        };
        buffer.clear();
        result
    }
}

/// Writes to the file and begins a new one where the size is reached, at the end of a line.
fn write_turning(
    name: &str,
    file: &mut File,
    size: Option<(u64, u32)>,
    written: &mut u64,
    number: &mut u64,
    buffer: &[u8],
) -> io::Result<()> {
    let Some((most, keep)) = size else { return file.write_all(buffer) };
    let mut rest = buffer;
    while !rest.is_empty() {
        let room = usize::try_from(most.saturating_sub(*written)).unwrap_or(usize::MAX);
        if rest.len() <= room {
            *written += rest.len() as u64;
            return file.write_all(rest);
        }
        let cut = rest[..room].iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
        // A line that fits no file is cut.
        let cut = if cut == 0 && *written == 0 { room.max(1) } else { cut };
        file.write_all(&rest[..cut])?;
        rest = &rest[cut..];
        *written = 0;
        turn(name, file, keep, number)?;
    }
    Ok(())
}

fn numbered(name: &str, number: u64, many: bool) -> PathBuf {
    if many {
        format!("{name}.{number}").into()
    } else {
        name.into()
    }
}

fn create(path: &Path) -> io::Result<File> {
    File::create(path).map_err(|e| io::Error::new(e.kind(), format!("{}: {}", path.display(), reason(&e))))
}

fn write_fd(fd: libc::c_int, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        // SAFETY: the buffer is readable for its length.
        let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        if n >= 0 {
            bytes = &bytes[n as usize..];
            continue;
        }
        let e = io::Error::last_os_error();
        match e.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => {
                let mut p = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
                // SAFETY: one pollfd.
                unsafe { libc::poll(&mut p, 1, -1) };
            }
            _ => return Err(e),
        }
    }
    Ok(())
}

/// The next of several files; the oldest goes where enough are kept.
fn turn(name: &str, file: &mut File, keep: u32, number: &mut u64) -> io::Result<()> {
    *number += 1;
    *file = create(&numbered(name, *number, true))?;
    if keep > 0 && *number >= u64::from(keep) {
        let old = numbered(name, *number - u64::from(keep), true);
        if let Err(e) = std::fs::remove_file(&old) {
            if e.kind() != io::ErrorKind::NotFound {
                return Err(e);
            }
        }
    }
    Ok(())
}

/// strftime(3) formats in a file's name, at local time (man stap, `-o`).
fn expand(pattern: &str) -> String {
    if !pattern.contains('%') {
        return pattern.to_string();
    }
    let Ok(format) = CString::new(pattern) else { return pattern.to_string() };
    let mut out = vec![0u8; 4096];
    // SAFETY: tm is plain data; `out` is written within its length; both strings end in NUL.
    let n = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now, &mut tm);
        libc::strftime(out.as_mut_ptr().cast(), out.len(), format.as_ptr(), &tm)
    };
    if n == 0 {
        return pattern.to_string();
    }
    String::from_utf8_lossy(&out[..n]).into_owned()
}

/// Pieces of a bulk file: sequence number and text each.
pub struct BulkReader<R> {
    from: R,
}

impl<R: Read> BulkReader<R> {
    pub fn new(from: R) -> Self {
        BulkReader { from }
    }

    /// The next piece; `None` at the end. A piece that is cut off is an error.
    pub fn piece(&mut self) -> io::Result<Option<(u64, Vec<u8>)>> {
        let mut head = [0u8; BULK_HEAD];
        let mut got = 0;
        while got < BULK_HEAD {
            match self.from.read(&mut head[got..])? {
                0 if got == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => got += n,
            }
        }
        let seq = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
        let len = u64::from_le_bytes(head[8..].try_into().expect("eight bytes"));
        let mut text = Vec::new();
        // Not trusted as a capacity: a foreign file may say anything.
        self.from.by_ref().take(len).read_to_end(&mut text)?;
        if text.len() as u64 != len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some((seq, text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(name: &str) -> PathBuf {
        let d = std::env::temp_dir().join(format!("stpvm-sink-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&d).unwrap();
        d
    }

    #[test]
    fn bulk_files_hold_what_each_cpu_wrote_with_its_numbers() {
        let d = dir("bulk");
        let out = d.join("f").display().to_string();
        let mut sink = Sink::bulk(Some(&out), 2).unwrap();
        for (cpu, seq, text) in [(0, 1, "a"), (1, 2, "bb"), (0, 3, "")] {
            sink.append(cpu, seq, |b| b.extend_from_slice(text.as_bytes())).unwrap();
        }
        sink.flush().unwrap();
        let read = |n: usize| {
            let mut r = BulkReader::new(File::open(format!("{out}_{n}")).unwrap());
            std::iter::from_fn(move || r.piece().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(read(0), [(1, b"a".to_vec()), (3, vec![])]);
        assert_eq!(read(1), [(2, b"bb".to_vec())]);
        std::fs::remove_dir_all(d).unwrap();
    }

    #[test]
    fn files_turn_at_line_ends_and_old_ones_go() {
        let d = dir("turn");
        let out = d.join("log").display().to_string();
        let mut sink = Sink::file(&out, Some((10, 2))).unwrap();
        for line in ["one\n", "two\n", "three\n", "four\n", "five\n"] {
            sink.append(0, 0, |b| b.extend_from_slice(line.as_bytes())).unwrap();
        }
        sink.flush().unwrap();
        let read = |n: u32| std::fs::read_to_string(format!("{out}.{n}")).ok();
        assert_eq!(read(0), None);
        assert_eq!(read(1).as_deref(), Some("three\n"));
        assert_eq!(read(2).as_deref(), Some("four\nfive\n"));
        std::fs::remove_dir_all(d).unwrap();
    }

    #[test]
    fn a_script_may_ask_for_the_next_file() {
        let d = dir("next");
        let out = d.join("log").display().to_string();
        let mut sink = Sink::file(&out, Some((1000, 2))).unwrap();
        for text in ["a", "b", "c"] {
            sink.append(0, 0, |b| b.extend_from_slice(text.as_bytes())).unwrap();
            sink.next_file().unwrap();
        }
        let read = |n: u32| std::fs::read_to_string(format!("{out}.{n}")).ok();
        assert_eq!([read(0), read(1), read(2), read(3)], [None, None, Some("c".into()), Some("".into())]);
        let mut plain = Sink::file(&out, None).unwrap();
        plain.next_file().unwrap();
        std::fs::remove_dir_all(d).unwrap();
    }

    #[test]
    fn time_formats_in_names_are_expanded() {
        assert_eq!(expand("plain"), "plain");
        assert_eq!(expand("100%%").as_str(), "100%");
        assert_eq!(expand("%Y").len(), 4);
    }
}
