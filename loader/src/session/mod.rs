//! A session: one machine that runs one image. In: a flat image. Out: rings
//! of records, figures, counts. Two kinds: [`device`], the kernel module, and
//! [`hosted`], the same machine in this process. Neither prints or formats.

pub mod device;
pub mod hosted;
pub mod module;
pub mod places;
pub mod uapi;

use std::sync::Arc;
use std::time::Duration;
use stp_vm::host::Program;
pub use uapi::ProbeStats;

/// What a session is made from.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// The flat image.
    pub image: &'a [u8],
    /// The same, verified.
    pub program: &'a Arc<Program>,
    /// `target()`, 0 for none.
    pub target: i64,
    /// Bytes of data ring per CPU, 0: the default.
    pub ring: u32,
    /// Shortest and longest hit of each probe are wanted.
    pub timing: bool,
}

/// Bytes of data ring per CPU, if nobody says.
pub const DEFAULT_RING: u32 = 512 << 10;
/// Bytes of control ring per CPU.
pub const CONTROL_RING: u32 = 16 << 10;

/// Bytes that a session takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub image: u64,
    pub globals: u64,
    pub contexts: u64,
    pub rings: u64,
}

impl Memory {
    pub fn total(&self) -> u64 {
        self.image + self.globals + self.contexts + self.rings
    }
}

/// Result of [`Session::arm`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Armed {
    /// Probes that could not be armed, and that may be missing.
    pub refused: Vec<u32>,
    /// What the machine says about it.
    pub note: String,
}

/// Counts at the end of a run.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub errors: u64,
    pub skipped: u64,
    /// One per probe of the image.
    pub probes: Vec<ProbeStats>,
}

/// Why there is no session, or why it broke. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is no machine in the kernel and none could be brought there.
    #[error("{0}")]
    NoModule(String),
    #[error("{0}")]
    Mismatch(String),
    #[error("{0}")]
    Permission(String),
    /// The machine refused the image.
    #[error("the image was refused: {0}")]
    Image(String),
    /// A probe could not be armed.
    #[error("{text}")]
    Probe { probe: Option<u32>, text: String },
    #[error("{what}: {error}")]
    Os { what: &'static str, error: std::io::Error },
    /// The session would take more memory than there is, or than it may.
    #[error("{0}")]
    NoMemory(String),
    /// This kind of session can't do what the image asks.
    #[error("{0}")]
    Unable(String),
}

impl SessionError {
    fn os(what: &'static str) -> Self {
        SessionError::Os { what, error: std::io::Error::last_os_error() }
    }
}

/// A loaded image, until it is dropped.
pub trait Session {
    /// Start and length of each CPU's mapping of rings (`record.h`); they stay until the session is dropped.
    fn mappings(&self) -> Vec<(*const u8, usize)>;
    fn memory(&self) -> Memory;
    /// Arms the probes; no handler runs yet. `pump` is called while that goes on.
    fn arm(&mut self, pump: &mut dyn FnMut()) -> Result<Armed, SessionError>;
    /// Runs the begin probes and lets the others run. `pump` is called while that goes on: handlers
    /// that run here wait for room in a full ring.
    fn start(&mut self, pump: &mut dyn FnMut()) -> Result<(), SessionError>;
    /// Waits until there may be records, or one of `fds` has an event, or the time is up.
    /// A session in this process runs its timers here.
    fn wait(
        &mut self,
        fds: &mut [libc::pollfd],
        timeout: Option<Duration>,
        pump: &mut dyn FnMut(),
    ) -> Result<(), SessionError>;
    /// A byte or a line of standard input: runs the handlers that wait for one.
    fn input(&mut self, text: &[u8], line: bool, pump: &mut dyn FnMut()) -> Result<(), SessionError>;
    /// Takes the probes down and runs the end probes; `pump` as in `start`.
    fn stop(&mut self, pump: &mut dyn FnMut()) -> Result<(), SessionError>;
    fn stats(&mut self) -> Result<Stats, SessionError>;
}

/// poll(2) with a duration; `None` waits for ever. An interruption counts as a wake-up.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> Result<(), SessionError> {
    let time =
        timeout.map(|t| libc::timespec { tv_sec: t.as_secs() as i64, tv_nsec: i64::from(t.subsec_nanos()) });
    let time_ptr = time.as_ref().map_or(std::ptr::null(), |t| t as *const _);
    // SAFETY: the arrays and the time outlive the call.
    let n = unsafe { libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, time_ptr, std::ptr::null()) };
    if n < 0 {
        let error = std::io::Error::last_os_error();
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(SessionError::Os { what: "poll", error });
        }
        for fd in fds {
            fd.revents = 0;
        }
    }
    Ok(())
}
