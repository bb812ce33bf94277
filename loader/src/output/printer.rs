//! What becomes of each record: text into the sink, messages to the error
//! stream, the end of the run noted. In: records in global order. The text of
//! a format is made by the machine's own code (`vm_render`).

use super::message::Messages;
use super::ring::{kind, Record};
use super::sink::Sink;
use std::io;
use stp_compiler::bytecode::Image;

/// Why the machine says that the run is over: `REC_EXIT_*` of `record.h`.
pub mod exit {
    pub const CALL: u32 = 0;
    pub const ERRORS: u32 = 1;
    pub const SKIPPED: u32 = 2;
    pub const OVERLOAD: u32 = 3;
}

/// Turns a record of kind `PRINT`, `HIST` or `STACK` into text, at the end of the buffer.
pub type Render<'a> = dyn Fn(&Record<'_>, &mut Vec<u8>) + 'a;

/// Prints records.
pub struct Printer<'a> {
    image: &'a Image,
    render: &'a Render<'a>,
    messages: Messages,
    sink: Sink,
    /// Script errors seen.
    pub errors: u64,
    /// Commands that the script wants a shell to run, in order; whoever runs them takes them out.
    pub commands: Vec<Vec<u8>>,
    /// The machine asked for the end, for this reason.
    pub exit: Option<u32>,
    /// Output can't be written any more; `None` inside: its reader has gone.
    pub broken: Option<Option<io::Error>>,
}

impl<'a> Printer<'a> {
    pub fn new(image: &'a Image, render: &'a Render<'a>, messages: Messages, sink: Sink) -> Printer<'a> {
        Printer { image, render, messages, sink, errors: 0, commands: Vec::new(), exit: None, broken: None }
    }

    /// Deals with one record.
    pub fn record(&mut self, rec: &Record<'_>) {
        match rec.kind {
            kind::PRINT | kind::HIST | kind::STACK => {
                let render = self.render;
                self.append(rec, |out| render(rec, out));
            }
            kind::TEXT => self.append(rec, |out| out.extend_from_slice(rec.text(8, rec.word(0)))),
            kind::WARN => {
                self.flush();
                self.messages.warning(rec.text(8, rec.word(0)));
            }
            kind::ERROR => {
                self.flush();
                self.errors += 1;
                self.messages.error(&self.error_text(rec));
            }
            kind::EXIT => self.exit = self.exit.or(Some(rec.word(0))),
            kind::NOTE => {
                self.flush();
                self.messages.warning(self.note_text(rec).as_bytes());
            }
            kind::ORDER if rec.word(0) == 0 => self.next_file(),
            kind::ORDER => {
                // what was printed before stands before what the command prints
                self.flush();
                self.commands.push(rec.text(8, rec.word(0)).to_vec());
            }
            // Of a later version: nothing that we could show.
            _ => {}
        }
    }

    /// Goes on with another file, where output goes to files.
    pub fn next_file(&mut self) {
        let result = self.sink.next_file();
        self.check(result);
    }

    /// Writes out what waits.
    pub fn flush(&mut self) {
        let result = self.sink.flush();
        self.check(result);
    }

    fn append(&mut self, rec: &Record<'_>, fill: impl FnOnce(&mut Vec<u8>)) {
        if self.broken.is_none() {
            let result = self.sink.append(rec.cpu, rec.seq, fill);
            self.check(result);
        }
    }

    fn check(&mut self, result: io::Result<()>) {
        if let Err(e) = result {
            if self.broken.is_none() {
                self.broken = Some((e.kind() != io::ErrorKind::BrokenPipe).then_some(e));
            }
        }
    }

    fn error_text(&self, rec: &Record<'_>) -> Vec<u8> {
        let (pc, len, depth) = (rec.word(0), rec.word(2), rec.word(3));
        let message = rec.text(16, len);
        let first = 4 + message.len().div_ceil(4);
        let callers: Vec<u32> =
            (0..(depth as usize).min(rec.body().len() / 4)).map(|n| rec.word(first + n)).collect();
        let probe = (rec.probe != 0xffff).then_some(u32::from(rec.probe));
        self.image.error_text(message, pc, &callers, probe)
    }

    /// Text of a `REC_NOTE`: its code, an argument, the probe that it is about.
    fn note_text(&self, rec: &Record<'_>) -> String {
        let pp = self.image.probes.get(usize::from(rec.probe)).map_or("?", |p| p.pp.as_str());
        match (rec.word(0), rec.word(1)) {
            (note::SAMPLED, n) => format!(
                "probe {pp} takes too much time: from here on it runs at one of {n} hits \
                 (-DSTP_NO_OVERLOAD or --suppress-time-limits prevent it)"
            ),
            (code, arg) => format!("note {code} of the machine ({arg}) about probe {pp}"),
        }
    }
}

/// Codes of `REC_NOTE` in `record.h`.
mod note {
    /// The overload guard lets a probe run at a part of its hits.
    pub const SAMPLED: u32 = 1;
}
