//! The command of `-c`: made before the probes are armed, so that `target()`
//! is known, and let go when they are.

use super::signals::Signals;
use crate::cli::rc;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Has a shell run a command of `system()`. Nobody waits for it, and its failure is its own.
pub fn in_background(command: &[u8]) {
    let mut shell = std::process::Command::new("/bin/sh");
    shell.arg("-c").arg(OsStr::from_bytes(command)).stdin(std::process::Stdio::null());
    // What can't be started has told nobody anything; a shell that is there always can.
    let _ = shell.spawn();
}

/// A child that waits for its start, runs, or has ended.
pub struct Child {
    pid: libc::pid_t,
    /// Written to when it may go.
    go: Option<OwnedFd>,
    status: Option<libc::c_int>,
}

impl Child {
    /// Makes the process; it waits until [`Child::go`]. The process must have one thread only.
    pub fn new(command: &str, signals: &Signals) -> io::Result<Child> {
        let words = words(command)
            .into_iter()
            .map(|w| CString::new(w).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput)))
            .collect::<io::Result<Vec<_>>>()?;
        let mut argv: Vec<_> = words.iter().map(|w| w.as_ptr()).collect();
        argv.push(std::ptr::null());
        let whole = CString::new(command).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let shell = [c"/bin/sh".as_ptr(), c"-c".as_ptr(), whole.as_ptr(), std::ptr::null()];
        let mut pipe = [0; 2];
        // SAFETY: room for two descriptors.
        if unsafe { libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fresh descriptors.
        let (wait, go) = unsafe { (OwnedFd::from_raw_fd(pipe[0]), OwnedFd::from_raw_fd(pipe[1])) };
        // SAFETY: one thread; the child calls nothing but system calls and exec.
        let pid = unsafe { libc::fork() };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                let before = signals.before();
                let mut byte = 0u8;
                // SAFETY: as above; argv ends in a null, its strings in NUL.
                unsafe {
                    libc::close(go.as_raw_fd());
                    // End of file: the parent has gone, nothing is to be run.
                    if libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1) != 1 {
                        libc::_exit(1);
                    }
                    // Rust ignores SIGPIPE; the command must not.
                    libc::signal(libc::SIGPIPE, libc::SIG_DFL);
                    libc::sigprocmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
                    libc::execvp(argv[0], argv.as_ptr());
                    // Perhaps a word of the shell's own; if not, the shell says so.
                    libc::execv(shell[0], shell.as_ptr());
                    libc::_exit(127);
                }
            }
            pid => Ok(Child { pid, go: Some(go), status: None }),
        }
    }

    pub fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// Lets it run.
    pub fn go(&mut self) {
        if let Some(go) = self.go.take() {
            // SAFETY: one byte. If the child is gone, its end tells.
            unsafe { libc::write(go.as_raw_fd(), c"g".as_ptr().cast(), 1) };
        }
    }

    /// Has it ended? Does not wait.
    pub fn ended(&mut self) -> bool {
        if self.status.is_none() {
            let mut status = 0;
            // SAFETY: a place for the status.
            if unsafe { libc::waitpid(self.pid, &mut status, libc::WNOHANG) } == self.pid {
                self.status = Some(status);
            }
        }
        self.status.is_some()
    }

    /// Waits for its end, or for a signal that ends us.
    pub fn wait(&mut self, signals: &Signals) {
        self.go();
        while !self.ended() {
            let mut fd = libc::pollfd { fd: signals.fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one pollfd.
            unsafe { libc::poll(&mut fd, 1, -1) };
            if signals.read().end > 0 {
                return;
            }
        }
    }

    /// What to say of an end that was no success.
    pub fn complaint(&self) -> Option<String> {
        let status = self.status?;
        if libc::WIFSIGNALED(status) {
            let signal = libc::WTERMSIG(status);
            // SAFETY: strsignal gives a string for any number.
            let name = unsafe { std::ffi::CStr::from_ptr(libc::strsignal(signal)) };
            return Some(format!("Child process exited with signal {signal} ({})", name.to_string_lossy()));
        }
        let code = libc::WEXITSTATUS(status);
        (code != 0).then(|| format!("Child process exited with status {code}"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A child that never started sees the pipe close and ends by itself.
        self.go = None;
        if self.status.is_none() {
            self.ended();
        }
    }
}

/// Plain words are run as they are, so that `target()` is the command itself; what needs a shell gets one.
fn words(command: &str) -> Vec<String> {
    const SHELL: &[char] =
        &['|', '&', ';', '<', '>', '(', ')', '$', '`', '*', '?', '[', '#', '~', '=', '%', '{', '}', '\n'];
    if !command.contains(SHELL) {
        if let Some(words) = rc::split(command).filter(|w| !w.is_empty()) {
            return words;
        }
    }
    ["/bin/sh", "-c", command].map(String::from).to_vec()
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn a_shell_is_used_only_where_one_is_needed() {
        assert_eq!(words("ls -l 'a b'"), ["ls", "-l", "a b"]);
        assert_eq!(words("ls | wc"), ["/bin/sh", "-c", "ls | wc"]);
        assert_eq!(words("A=1 env"), ["/bin/sh", "-c", "A=1 env"]);
        assert_eq!(words("echo 'open"), ["/bin/sh", "-c", "echo 'open"]);
        assert_eq!(words(""), ["/bin/sh", "-c", ""]);
    }
}
