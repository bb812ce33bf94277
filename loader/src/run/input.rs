//! Standard input for `input.char` and `input.line`. In: what the image waits
//! for. Out: bytes and lines for the session. A terminal gives its characters
//! as they are typed while a script wants them one by one.

use crate::session::{Session, SessionError};
use stp_compiler::bytecode::Image;
use stp_compiler::types::hir::Place;

/// Bytes taken at a time: what the handlers print is read in between.
const PORTION: usize = 256;

/// The reader of standard input.
pub struct Input {
    chars: bool,
    lines: bool,
    /// Of the line that is not complete yet.
    line: Vec<u8>,
    /// Bytes of a line that are kept.
    most: usize,
    ended: bool,
    terminal: Option<Terminal>,
}

impl Input {
    /// `None` where no probe of the image waits for input.
    pub fn of(image: &Image) -> Option<Input> {
        let waits = |wanted| image.probes.iter().any(|p| p.at == Place::Input { line: wanted });
        let (chars, lines) = (waits(false), waits(true));
        (chars || lines).then(|| Input {
            chars,
            lines,
            line: Vec::new(),
            most: usize::try_from(image.limits.maxstringlen - 1).unwrap_or(0),
            ended: false,
            terminal: if chars { Terminal::unbuffered() } else { None },
        })
    }

    /// The descriptor to wait for; at the end of the input there is none.
    pub fn fd(&self) -> Option<libc::c_int> {
        (!self.ended).then_some(libc::STDIN_FILENO)
    }

    /// Reads what is there and hands it on. The session ignores what comes after the end of its run.
    pub fn take(&mut self, session: &mut dyn Session, pump: &mut dyn FnMut()) -> Result<(), SessionError> {
        let mut bytes = [0u8; PORTION];
        // SAFETY: the buffer has that many bytes.
        let n = unsafe { libc::read(libc::STDIN_FILENO, bytes.as_mut_ptr().cast(), bytes.len()) };
        let Ok(n) = usize::try_from(n) else {
            let e = std::io::Error::last_os_error();
            self.ended =
                !matches!(e.kind(), std::io::ErrorKind::Interrupted | std::io::ErrorKind::WouldBlock);
            return Ok(());
        };
        self.ended = n == 0;
        for byte in &bytes[..n] {
            if self.chars {
                session.input(&[*byte], false, pump)?;
            }
            if self.lines && self.line.len() < self.most {
                self.line.push(*byte);
            }
            if self.lines && *byte == b'\n' {
                session.input(&self.line, true, pump)?;
                self.line.clear();
            }
        }
        Ok(())
    }
}

/// A terminal as it was, to be put back.
struct Terminal(libc::termios);

impl Terminal {
    /// Standard input, if it is a terminal, without its buffer of lines.
    fn unbuffered() -> Option<Terminal> {
        // SAFETY: termios is plain data that tcgetattr fills.
        unsafe {
            let mut old: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(libc::STDIN_FILENO, &mut old) != 0 {
                return None;
            }
            let mut new = old;
            new.c_lflag &= !libc::ICANON;
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &new);
            Some(Terminal(old))
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        if let Some(Terminal(old)) = self.terminal.take() {
            // SAFETY: as it was given to us.
            unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &old) };
        }
    }
}
