//! Signals as events: those that end a run, and the end of the command of
//! `-c`, are read from a descriptor instead of interrupting anything.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Signals that end the run.
const ENDING: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// Blocks the signals of interest, for the rest of the process: one that comes when the run is
/// over must not end it before it has said how the run went.
pub struct Signals {
    fd: OwnedFd,
    before: libc::sigset_t,
}

/// What has happened since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Signals that end the run, how many.
    pub end: u32,
    /// A child has changed its state.
    pub child: bool,
    /// SIGUSR2: output is to go on in the next file (man staprun).
    pub turn: bool,
}

/// To be called first of all. A shell without job control starts `stap … &` with SIGINT ignored, and
/// scripts end it with `kill -INT`, as SystemTap's: it must not be lost while the script is compiled.
pub fn listen_to_interrupts() {
    // SAFETY: the default action for one signal; no handler of ours is replaced.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

impl Signals {
    /// An ignored SIGHUP stays ignored (nohup); SIGINT does not ([`listen_to_interrupts`]).
    pub fn new() -> io::Result<Signals> {
        // SAFETY: sets and actions are plain data that the calls fill.
        unsafe {
            let mut set: libc::sigset_t = zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGCHLD);
            libc::sigaddset(&mut set, libc::SIGUSR2);
            for signal in ENDING {
                let mut now: libc::sigaction = zeroed();
                libc::sigaction(signal, std::ptr::null(), &mut now);
                if signal != libc::SIGHUP || now.sa_sigaction != libc::SIG_IGN {
                    libc::sigaddset(&mut set, signal);
                }
            }
            let mut before: libc::sigset_t = zeroed();
            if libc::sigprocmask(libc::SIG_BLOCK, &set, &mut before) != 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Signals { fd: OwnedFd::from_raw_fd(fd), before })
        }
    }

    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The mask from before, for a child.
    pub fn before(&self) -> libc::sigset_t {
        self.before
    }

    /// Takes the signals that wait.
    pub fn read(&self) -> Seen {
        let mut seen = Seen::default();
        loop {
            // SAFETY: plain data, filled by read.
            let mut info: libc::signalfd_siginfo = unsafe { zeroed() };
            let size = size_of::<libc::signalfd_siginfo>();
            // SAFETY: `info` has room for `size` bytes.
            let n = unsafe { libc::read(self.fd(), (&raw mut info).cast(), size) };
            if n != size as isize {
                return seen;
            }
            match info.ssi_signo as libc::c_int {
                libc::SIGCHLD => seen.child = true,
                libc::SIGUSR2 => seen.turn = true,
                _ => seen.end += 1,
            }
        }
    }
}
