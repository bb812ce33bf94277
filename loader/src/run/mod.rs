//! A run: from a loaded session to its end. In: session, printer, what the
//! command line says of the end. Out: what happened. Knows no compiler.

pub mod command;
pub mod daemon;
pub mod input;
pub mod signals;

use crate::output::order::Stream;
use crate::output::printer::Printer;
use crate::output::ring::RingError;
use crate::session::{Armed, Session, SessionError, Stats};
use command::Child;
use input::Input;
use signals::Signals;
use std::time::{Duration, Instant};

/// What may end a run, besides the script itself.
pub struct Control<'a> {
    pub signals: &'a Signals,
    /// `-T`
    pub timeout: Option<Duration>,
    /// `-c`
    pub child: Option<&'a mut Child>,
    /// Where a probe waits for standard input.
    pub input: Option<Input>,
    /// Told once the probes are armed, before any handler runs; an error ends the run.
    pub on_armed: &'a mut dyn FnMut(&Armed) -> Result<(), SessionError>,
}

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    pub stats: Stats,
    /// Records that found no room.
    pub lost: u64,
    /// A signal ended it.
    pub interrupted: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("{0}")]
    Ring(#[from] RingError),
}

/// While a number is missing, look again after this.
const GAP: Duration = Duration::from_millis(1);

/// Starts the session, prints until it ends, stops it. Whatever happens, what was printed is written out.
pub fn run(
    session: &mut dyn Session,
    printer: &mut Printer<'_>,
    control: Control<'_>,
) -> Result<Outcome, RunError> {
    // SAFETY: the mappings live as long as the session, and the stream goes before it.
    let mut stream = unsafe { Stream::new(&session.mappings()) }?;
    let result = run_with(session, &mut stream, printer, control);
    printer.flush();
    result
}

/// One look at the rings: prints what is there. Errors are kept for later, a pump has nobody to tell.
struct Pump<'s, 'p, 'i> {
    stream: &'s mut Stream,
    printer: &'p mut Printer<'i>,
    damaged: Option<RingError>,
    /// Later records wait for one that is not there yet.
    waits: bool,
}

impl Pump<'_, '_, '_> {
    fn drain(&mut self, last: bool) {
        if self.damaged.is_some() {
            self.stream.skip();
            return;
        }
        let printer = &mut *self.printer;
        match self.stream.drain(last, |rec| printer.record(&rec)) {
            Ok(waits) => self.waits = waits,
            Err(e) => self.damaged = Some(e),
        }
        self.printer.flush();
        for c in self.printer.commands.drain(..) {
            command::in_background(&c);
        }
    }

    /// The same while begin or end probes run. At the second Ctrl-C they are waited for no longer:
    /// only leaving the process closes a session that is being started or stopped.
    fn drain_beside(&mut self, signals: &Signals, seen: &mut u32) {
        self.drain(false);
        *seen += signals.read().end;
        if *seen > 1 {
            std::process::exit(1);
        }
    }
}

fn run_with(
    session: &mut dyn Session,
    stream: &mut Stream,
    printer: &mut Printer<'_>,
    mut control: Control<'_>,
) -> Result<Outcome, RunError> {
    let mut outcome = Outcome::default();
    let mut pump = Pump { stream, printer, damaged: None, waits: false };
    let mut signals = 0;
    let armed = session.arm(&mut || pump.drain_beside(control.signals, &mut signals))?;
    (control.on_armed)(&armed)?;
    session.start(&mut || pump.drain_beside(control.signals, &mut signals))?;
    if let Some(child) = &mut control.child {
        child.go();
    }
    let deadline = control.timeout.map(|t| Instant::now() + t);
    loop {
        pump.drain(false);
        let over = pump.printer.exit.is_some() || pump.printer.broken.is_some() || pump.damaged.is_some();
        if over || signals > 0 {
            break;
        }
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        if left.is_some_and(|l| l.is_zero()) {
            break;
        }
        let timeout = if pump.waits { Some(left.map_or(GAP, |l| l.min(GAP))) } else { left };
        let wanted = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // One that is negative is passed over.
        let input = control.input.as_ref().and_then(Input::fd).unwrap_or(-1);
        let mut fds = [wanted(control.signals.fd()), wanted(input)];
        session.wait(&mut fds, timeout, &mut || pump.drain(false))?;
        if fds[0].revents != 0 {
            let seen = control.signals.read();
            signals += seen.end;
            if seen.turn {
                // what has been printed so far belongs to the file that ends
                pump.drain(false);
                pump.printer.next_file();
            }
            if seen.child && control.child.as_mut().is_some_and(|c| c.ended()) {
                break;
            }
        }
        if let Some(input) = control.input.as_mut().filter(|_| fds[1].revents != 0) {
            input.take(session, &mut || pump.drain(false))?;
        }
    }
    outcome.interrupted = signals > 0;
    session.stop(&mut || pump.drain_beside(control.signals, &mut signals))?;
    pump.drain(true);
    if let Some(e) = pump.damaged {
        return Err(e.into());
    }
    outcome.stats = session.stats()?;
    outcome.lost = pump.stream.lost();
    Ok(outcome)
}
