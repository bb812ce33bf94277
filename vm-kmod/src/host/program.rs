//! A verified image, and what becomes of its records: [`Program::load`] is the
//! verifier, [`Program::render`] the machine's own printf.

use super::ffi::{
    vm_header, vm_load, vm_nprobes, vm_probe, vm_render, vm_string, vm_unload, CFault, CProg, SymFn,
};
use super::{Fault, Record};
use crate::flat::{Header, Probe};
use std::ffi::{c_char, c_void, CStr};

/// How an address is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The name of its symbol.
    Name,
    /// Its source file, its line, both.
    File,
    Line,
    FileLine,
}

/// A verified image.
pub struct Program(pub(super) *mut CProg);

// SAFETY: a program is never written after `vm_load` made it.
unsafe impl Send for Program {}
unsafe impl Sync for Program {}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: made by vm_load, freed once.
        unsafe { vm_unload(self.0) }
    }
}

impl Program {
    /// Checks the flat image and keeps a copy of it. `caps`: those that may
    /// be used ([`crate::isa`]`::CAP_*`).
    pub fn load(flat: &[u8], caps: u32) -> Result<Program, Fault> {
        let mut out = std::ptr::null_mut();
        let mut f = CFault { error: 0, rule: 0, func: !0, pc: !0, text: [0; 160] };
        // SAFETY: flat is readable for its length; out and f are ours.
        let err = unsafe { vm_load(flat.as_ptr().cast(), flat.len(), caps, &mut out, &mut f) };
        if err == 0 {
            return Ok(Program(out));
        }
        // SAFETY: the C side ends the text with a NUL inside the array.
        let text = unsafe { CStr::from_ptr(f.text.as_ptr()) }.to_string_lossy().into_owned();
        let place = |n| (n != !0).then_some(n);
        Err(Fault { error: f.error, rule: f.rule, func: place(f.func), pc: place(f.pc), text })
    }

    pub fn header(&self) -> &Header {
        // SAFETY: points into the program, which outlives the result.
        unsafe { &*vm_header(self.0) }
    }

    pub fn probes(&self) -> u32 {
        // SAFETY: the program is whole.
        unsafe { vm_nprobes(self.0) }
    }

    /// Probe `n`; panics when there is none.
    pub fn probe(&self, n: u32) -> &Probe {
        assert!(n < self.probes());
        // SAFETY: n is in range; points into the program.
        unsafe { &*vm_probe(self.0, n) }
    }

    /// String constant `n` as a name in [`Probe`] and its like refer to it.
    /// `n` must come from a table of this program.
    pub fn string(&self, n: u32) -> &CStr {
        assert!(n < self.header().sect[crate::flat::Section::Str as usize].count);
        // SAFETY: n is in range, strings were checked to end with a NUL.
        unsafe { CStr::from_ptr(vm_string(self.0, n)) }
    }

    /// Text of a record of type PRINT, TEXT, HIST or WARN. `sym` gives the
    /// name of a kernel address; without it addresses are printed as numbers.
    pub fn render(&self, r: &Record, sym: Option<&mut dyn FnMut(u64, Form) -> String>) -> Vec<u8> {
        let mut out = Vec::new();
        self.render_words(&r.words, &mut out, sym);
        out
    }

    /// [`Program::render`] for a record that still stands in its ring (head
    /// included): appends the text to `out`. Nothing where the bytes are no
    /// whole, 8-byte aligned record.
    pub fn render_bytes(
        &self,
        record: &[u8],
        out: &mut Vec<u8>,
        sym: Option<&mut dyn FnMut(u64, Form) -> String>,
    ) {
        // SAFETY: any bytes are words.
        let (before, words, after) = unsafe { record.align_to::<u64>() };
        if before.is_empty() && after.is_empty() && words.len() >= 2 {
            self.render_words(words, out, sym);
        }
    }

    fn render_words(
        &self,
        words: &[u64],
        out: &mut Vec<u8>,
        mut sym: Option<&mut dyn FnMut(u64, Form) -> String>,
    ) {
        extern "C" fn call(arg: *mut c_void, addr: u64, form: c_char, out: *mut c_char, cap: usize) -> usize {
            // SAFETY: arg is the closure reference below; out has cap bytes.
            unsafe {
                let f = &mut *arg.cast::<&mut dyn FnMut(u64, Form) -> String>();
                let form = match form as u8 {
                    b'f' => Form::File,
                    b'l' => Form::Line,
                    b'b' => Form::FileLine,
                    _ => Form::Name,
                };
                let text = f(addr, form);
                let n = text.len().min(cap);
                std::ptr::copy_nonoverlapping(text.as_ptr(), out.cast(), n);
                n
            }
        }
        if (words[0] as u32) as usize > words.len() * 8 {
            return;
        }
        // a format may be nothing but wide fields: what no sensible record needs is cut
        let most = (1 << 20) + words.len() * 256;
        let mut room = 1024 + words.len() * 16;
        loop {
            out.reserve(room);
            let (f, arg) = match &mut sym {
                Some(f) => (Some(call as SymFn), std::ptr::from_mut(f).cast::<c_void>()),
                None => (None, std::ptr::null_mut()),
            };
            let space = out.spare_capacity_mut();
            let cap = space.len().min(most);
            // SAFETY: the header points at the start of the program's image, the
            // record is whole (its length was checked), space has cap bytes.
            let n = unsafe {
                let flat = std::ptr::from_ref(self.header()).cast();
                vm_render(flat, words.as_ptr(), space.as_mut_ptr().cast(), cap, f, arg)
            };
            // full: there may be more (a wide field, a histogram)
            if n < cap || cap == most {
                // SAFETY: vm_render wrote n bytes behind what was there.
                unsafe { out.set_len(out.len() + n.min(cap)) };
                return;
            }
            room = most.min(cap * 4);
        }
    }
}

/// Checks a flat image; `caps` as in [`Program::load`].
pub fn verify(flat: &[u8], caps: u32) -> Result<(), Fault> {
    Program::load(flat, caps).map(drop)
}
