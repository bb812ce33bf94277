//! The machine in the kernel: `/dev/stpvm` (`vm-kmod/kernel/uapi.h`). One
//! open file is one session; when it is closed the module takes all down.

use super::uapi::{self, Info, ProbeStats};
use super::{poll, Armed, Load, Memory, Session, SessionError, Stats, CONTROL_RING, DEFAULT_RING};
use std::fs::File;
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use stp_compiler::target::offsets::Offsets as KernelOffsets;

/// Records wait at most so long in a ring before the reader is woken.
const WAKE_MS: u32 = 50;

/// A device that speaks our version of the interface, not loaded yet.
pub struct Device {
    file: File,
    info: Info,
}

impl Device {
    /// Asks an open device who it is; `isa_hash` is that of our instruction set.
    pub fn new(file: File, isa_hash: u64) -> Result<Device, SessionError> {
        let mut info = Info { size: size_of::<Info>() as u32, ..Info::default() };
        // SAFETY: the ioctl fills an Info.
        if unsafe { libc::ioctl(file.as_raw_fd(), uapi::IOC_INFO, &mut info) } != 0 {
            return Err(mismatch(&format!("it does not answer ({})", io::Error::last_os_error())));
        }
        if info.version != uapi::VERSION {
            return Err(mismatch(&format!(
                "its interface is version {}, ours {}",
                info.version,
                uapi::VERSION
            )));
        }
        if info.isa_hash != isa_hash {
            return Err(mismatch("its instruction set is another one"));
        }
        if info.ncpus == 0 || info.ncpus > 8192 {
            return Err(mismatch("it does not know its CPUs"));
        }
        Ok(Device { file, info })
    }

    /// `CAP_*` that this caller may use.
    pub fn caps(&self) -> u32 {
        self.info.caps
    }

    pub fn ncpus(&self) -> u32 {
        self.info.ncpus
    }

    /// Hands the image to the machine and maps the rings.
    pub fn load(self, load: &Load<'_>, offsets: KernelOffsets) -> Result<DeviceSession, SessionError> {
        let data = if load.ring == 0 { DEFAULT_RING } else { load.ring };
        // SAFETY: all bits zero are a valid Load: integers and bytes only.
        let mut req: uapi::Load = unsafe { zeroed() };
        req.size = size_of::<uapi::Load>() as u32;
        req.image_len =
            u32::try_from(load.image.len()).map_err(|_| SessionError::Image("it is too large".into()))?;
        req.image = load.image.as_ptr() as u64;
        req.target = load.target;
        req.loader_pid = i64::from(std::process::id());
        req.ring_data = data;
        req.ring_ctl = CONTROL_RING;
        req.watermark = data / 4;
        req.wake_ms = WAKE_MS;
        // [`DeviceSession::beside`] reads while handlers wait, and our death ends them.
        req.room_ms = u32::MAX;
        req.flags = if load.timing { uapi::LF_TIMING } else { 0 };
        (req.tz_west, req.tz_name) = time_zone();
        req.offsets = uapi::Offsets { known: offsets, reserved: [u32::MAX; 3] };
        // SAFETY: `image` is readable for `image_len` bytes; the ioctl fills the results.
        if unsafe { libc::ioctl(self.file.as_raw_fd(), uapi::IOC_LOAD, &mut req) } != 0 {
            return Err(refused(&req, io::Error::last_os_error()));
        }
        let len = usize::try_from(req.ring_map_len).unwrap_or(0);
        let mut maps = Vec::with_capacity(self.info.ncpus as usize);
        for cpu in 0..self.info.ncpus {
            maps.push(Mapping::new(&self.file, u64::from(cpu) * req.ring_map_len, len)?);
        }
        Ok(DeviceSession {
            maps,
            probes: load.program.probes() as usize,
            memory: Memory {
                image: req.mem_image,
                globals: req.mem_globals,
                contexts: req.mem_contexts,
                rings: req.mem_rings,
            },
            file: self.file,
        })
    }
}

/// Seconds west of UTC and the name of the local time zone, now.
fn time_zone() -> (i64, [u8; 16]) {
    let mut name = [0u8; 16];
    // SAFETY: tm is plain data that localtime_r fills; tm_zone is a string of the C library.
    unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut tm: libc::tm = zeroed();
        if libc::localtime_r(&now, &mut tm).is_null() || tm.tm_zone.is_null() {
            return (0, name);
        }
        let zone = std::ffi::CStr::from_ptr(tm.tm_zone).to_bytes();
        let n = zone.len().min(name.len() - 1);
        name[..n].copy_from_slice(&zone[..n]);
        (-tm.tm_gmtoff, name)
    }
}

fn mismatch(what: &str) -> SessionError {
    SessionError::Mismatch(format!(
        "the loaded kernel module stpvm and this stap do not belong together: {what}; \
         unload it (`rmmod stpvm`) and install the one of this stap (`make kmod && make install`)"
    ))
}

fn refused(req: &uapi::Load, error: io::Error) -> SessionError {
    let text = uapi::text(&req.fault_text);
    match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => SessionError::Permission(format!(
            "this script may not be run by this user: {}",
            if text.is_empty() { error.to_string() } else { text }
        )),
        Some(libc::EINVAL | libc::ENOEXEC | libc::E2BIG) if !text.is_empty() => {
            let place = if req.fault_func == u32::MAX {
                String::new()
            } else {
                format!(" (rule {}, function {}, instruction {})", req.fault_rule, req.fault_func, req.fault_pc)
            };
            SessionError::Image(text + &place)
        }
        Some(libc::ENOMEM) => SessionError::NoMemory(
            "the kernel has no memory for this session: smaller arrays (MAXMAPENTRIES) or buffers (-s) need less".into(),
        ),
        _ if !text.is_empty() => SessionError::Image(format!("{text} ({error})")),
        _ => SessionError::Os { what: "loading the image into the kernel", error },
    }
}

/// One CPU's rings in our address space.
struct Mapping {
    base: *mut libc::c_void,
    len: usize,
}

impl Mapping {
    fn new(file: &File, offset: u64, len: usize) -> Result<Mapping, SessionError> {
        // SAFETY: a new shared mapping anywhere; nothing of ours is replaced.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                offset as libc::off_t,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(SessionError::os("mapping the output rings"));
        }
        Ok(Mapping { base, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, nobody uses it after us.
        unsafe { libc::munmap(self.base, self.len) };
    }
}

/// An image loaded into the kernel.
pub struct DeviceSession {
    // Dropped in this order: the mappings first, then the file that holds the session.
    maps: Vec<Mapping>,
    memory: Memory,
    /// In the image.
    probes: usize,
    file: File,
}

impl DeviceSession {
    /// Runs a call that may take long on a thread of its own; `pump` empties the rings meanwhile.
    fn beside<T: Send>(
        &self,
        call: impl FnOnce(RawFd) -> T + Send,
        pump: &mut dyn FnMut(),
    ) -> Result<T, SessionError> {
        // SAFETY: a new descriptor that nobody else owns.
        let done_fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if done_fd < 0 {
            return Err(SessionError::os("eventfd"));
        }
        // SAFETY: as above.
        let event = unsafe { OwnedFd::from_raw_fd(done_fd) };
        let done = AtomicBool::new(false);
        let fd = self.file.as_raw_fd();
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let result = call(fd);
                done.store(true, Ordering::Release);
                let one = 1u64;
                // SAFETY: eight bytes, as an eventfd wants.
                unsafe { libc::write(event.as_raw_fd(), (&raw const one).cast(), 8) };
                result
            });
            while !done.load(Ordering::Acquire) {
                let mut fds = [pollfd(fd), pollfd(event.as_raw_fd())];
                // The module may not wake anybody while probes are being armed: look now and then.
                poll(&mut fds, Some(Duration::from_millis(20)))?;
                pump();
            }
            Ok(thread.join().expect("an ioctl does not panic"))
        })
    }

    /// START; `which` has a byte for each probe, set where it could not be armed, or is empty. What
    /// the module says of it.
    fn ioc_start(
        &self,
        flags: u32,
        which: &mut [u8],
        pump: &mut dyn FnMut(),
    ) -> Result<String, SessionError> {
        let address = if which.is_empty() { 0 } else { which.as_mut_ptr() as u64 };
        let (start, error) = self.beside(
            |fd| {
                // SAFETY: integers and bytes only.
                let mut start: uapi::Start = unsafe { zeroed() };
                start.size = size_of::<uapi::Start>() as u32;
                start.failed_probe = u32::MAX;
                start.flags = flags;
                start.which = address;
                // SAFETY: the ioctl reads and fills a Start, and a byte of `which` for each probe.
                let r = unsafe { libc::ioctl(fd, uapi::IOC_START, &mut start) };
                (start, (r != 0).then(io::Error::last_os_error))
            },
            pump,
        )?;
        let text = uapi::text(&start.text);
        match error {
            None => Ok(text),
            Some(error) => Err(SessionError::Probe {
                probe: (start.failed_probe != u32::MAX).then_some(start.failed_probe),
                text: match error.raw_os_error() {
                    _ if text.is_empty() => error.to_string(),
                    // what the kernel gives for it has another name
                    Some(libc::EILSEQ) => format!("{text}, for it is inside an instruction"),
                    _ => format!("{text} ({error})"),
                },
            }),
        }
    }
}

fn pollfd(fd: RawFd) -> libc::pollfd {
    libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
}

impl Session for DeviceSession {
    fn mappings(&self) -> Vec<(*const u8, usize)> {
        self.maps.iter().map(|m| (m.base as *const u8, m.len)).collect()
    }

    fn memory(&self) -> Memory {
        self.memory
    }

    fn arm(&mut self, pump: &mut dyn FnMut()) -> Result<Armed, SessionError> {
        let mut which = vec![0u8; self.probes];
        let note = self.ioc_start(uapi::SF_ARM, &mut which, pump)?;
        let refused = (0..).zip(&which).filter(|(_, b)| **b != 0).map(|(n, _)| n).collect();
        Ok(Armed { refused, note })
    }

    fn start(&mut self, pump: &mut dyn FnMut()) -> Result<(), SessionError> {
        self.ioc_start(0, &mut [], pump).map(drop)
    }

    fn wait(
        &mut self,
        fds: &mut [libc::pollfd],
        timeout: Option<Duration>,
        _pump: &mut dyn FnMut(),
    ) -> Result<(), SessionError> {
        let mut all = Vec::with_capacity(fds.len() + 1);
        all.extend_from_slice(fds);
        all.push(pollfd(self.file.as_raw_fd()));
        poll(&mut all, timeout)?;
        fds.copy_from_slice(&all[..fds.len()]);
        if all[fds.len()].revents & (libc::POLLERR | libc::POLLNVAL) != 0 {
            return Err(SessionError::Unable("the kernel module ended the session".into()));
        }
        Ok(())
    }

    fn input(&mut self, text: &[u8], line: bool, _pump: &mut dyn FnMut()) -> Result<(), SessionError> {
        let mut req = uapi::Input {
            size: size_of::<uapi::Input>() as u32,
            line: line.into(),
            text: text.as_ptr() as u64,
            len: u32::try_from(text.len()).unwrap_or(u32::MAX),
            pad: 0,
        };
        // SAFETY: `text` is readable for `len` bytes.
        match unsafe { libc::ioctl(self.file.as_raw_fd(), uapi::IOC_INPUT, &mut req) } {
            0 => Ok(()),
            _ => Err(SessionError::os("handing input to the script")),
        }
    }

    fn stop(&mut self, pump: &mut dyn FnMut()) -> Result<(), SessionError> {
        let error = self.beside(
            |fd| {
                // SAFETY: no argument.
                let r = unsafe { libc::ioctl(fd, uapi::IOC_STOP) };
                (r != 0).then(io::Error::last_os_error)
            },
            pump,
        )?;
        match error {
            None => Ok(()),
            Some(error) => Err(SessionError::Os { what: "stopping the session", error }),
        }
    }

    fn stats(&mut self) -> Result<Stats, SessionError> {
        let mut stats = Stats::default();
        const CHUNK: usize = 256;
        loop {
            let mut part = [ProbeStats::default(); CHUNK];
            let mut req = uapi::Stats {
                size: size_of::<uapi::Stats>() as u32,
                first: stats.probes.len() as u32,
                count: CHUNK as u32,
                array: part.as_mut_ptr() as u64,
                ..uapi::Stats::default()
            };
            // SAFETY: `array` has room for `count` entries; the module gives back how many it filled.
            if unsafe { libc::ioctl(self.file.as_raw_fd(), uapi::IOC_STATS, &mut req) } != 0 {
                return Err(SessionError::os("reading the counts of the session"));
            }
            let got = (req.count as usize).min(CHUNK);
            stats.errors = req.errors;
            stats.skipped = req.skipped;
            stats.probes.extend_from_slice(&part[..got]);
            if got < CHUNK {
                return Ok(stats);
            }
        }
    }
}
