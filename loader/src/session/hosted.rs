//! The machine in this process: begin, end, error, never and timer probes,
//! one CPU, one thread, the real clock. Follows the module's rules for the
//! order of probes, for errors and for the end of a run (vm-kmod/kernel:
//! attach_task.c, context.c), so that a script prints the same here and there.

use super::{poll, Armed, Load, Memory, Session, SessionError, Stats, CONTROL_RING, DEFAULT_RING};
use crate::output::printer::exit;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};
use stp_vm::flat::kind;
use stp_vm::host::{rec, Hit, Machine, Outcome};
use stp_vm::isa::{Helper, Limits};

/// Shorter periods are not kept (as in the module).
const SHORTEST: Duration = Duration::from_micros(20);
/// Ticks per second that `timer.profile`, `jiffies()` and `HZ()` go by here.
const HZ: u64 = 250;

/// A timer probe, by its next deadline; equal ones fire in the order of the script.
type Due = Reverse<(Instant, u32)>;

/// An image loaded into this process.
pub struct HostedSession {
    machine: Machine,
    limits: Limits,
    start: Instant,
    timers: BinaryHeap<Due>,
    stats: Stats,
    /// Why the run is over (`REC_EXIT_*`); the first reason stands.
    end: Option<u32>,
    /// State of the generator behind `.randomize`.
    random: u64,
}

impl HostedSession {
    /// Takes the memory of the image.
    pub fn load(load: &Load<'_>) -> Result<HostedSession, SessionError> {
        let program = load.program.clone();
        let limits = program.header().limits.clone();
        let probes = program.probes() as usize;
        let ring = if load.ring == 0 { DEFAULT_RING } else { load.ring };
        let machine = Machine::new(program, 1, ring.next_power_of_two() as usize, CONTROL_RING as usize)
            .map_err(|e| match e.error.abs() {
                libc::ENOMEM => SessionError::NoMemory(
                    "there is no memory for this session: smaller arrays (MAXMAPENTRIES) need less".into(),
                ),
                _ => SessionError::Image(e.to_string()),
            })?;
        let mut session = HostedSession {
            machine,
            limits,
            start: Instant::now(),
            timers: BinaryHeap::new(),
            stats: Stats { probes: vec![Default::default(); probes], ..Stats::default() },
            end: None,
            random: 0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()),
        };
        session.tell_who_we_are(load.target);
        Ok(session)
    }

    /// What the script's questions about the current task are answered with: this process.
    fn tell_who_we_are(&mut self, target: i64) {
        let pid = i64::from(std::process::id());
        // SAFETY: these calls take no memory and cannot fail.
        let ids = unsafe {
            [
                (Helper::Ppid, i64::from(libc::getppid())),
                (Helper::Pgrp, i64::from(libc::getpgrp())),
                (Helper::Sid, i64::from(libc::getsid(0))),
                (Helper::Uid, i64::from(libc::getuid())),
                (Helper::Euid, i64::from(libc::geteuid())),
                (Helper::Gid, i64::from(libc::getgid())),
                (Helper::Egid, i64::from(libc::getegid())),
            ]
        };
        let ours = [
            (Helper::Target, target),
            (Helper::StpPid, pid),
            (Helper::Pid, pid),
            (Helper::Tid, pid),
            (Helper::Hz, HZ as i64),
        ];
        for (helper, value) in ids.into_iter().chain(ours) {
            self.machine.set_fact(helper, value);
        }
        let name = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        // SAFETY: as above.
        let parent = name(&unsafe { libc::getppid() }.to_string());
        self.machine.set_execname(name("self").trim_end(), parent.trim_end());
    }

    /// Probes of these kinds, in the order of the script.
    fn of_kind(&self, kinds: &[u16]) -> Vec<u32> {
        let program = self.machine.program();
        (0..program.probes()).filter(|n| kinds.contains(&program.probe(*n).kind)).collect()
    }

    /// Probes of a kind, by priority, then in the order of the script.
    fn in_order(&self, kind: u16) -> Vec<u32> {
        let mut list = self.of_kind(&[kind]);
        list.sort_by_key(|n| self.machine.program().probe(*n).arg);
        list
    }

    /// Runs one handler and keeps the accounts. `pump` empties the rings when they are full.
    fn hit(&mut self, probe: u32, value: Option<&mut Vec<u8>>, pump: &mut dyn FnMut()) {
        let ticks = self.start.elapsed().as_nanos() as u64 / (1_000_000_000 / HZ);
        self.machine.set_fact(Helper::Jiffies, ticks as i64);
        let begin = Instant::now();
        let outcome = self.machine.run_with_reader(0, probe, &Hit::default(), value, pump);
        let took = (begin.elapsed().as_nanos() as u64).max(1); // 0 is no time yet
        let st = &mut self.stats.probes[probe as usize];
        st.hits += 1;
        st.cycles += took;
        st.cycles_min = if st.cycles_min == 0 { took } else { st.cycles_min.min(took) };
        st.cycles_max = st.cycles_max.max(took);
        let unlimited = self.limits.suppress_errors != 0;
        match outcome {
            Outcome::Ok | Outcome::SkippedCond => {}
            Outcome::Error => {
                st.errors += 1;
                self.stats.errors += 1;
                if !unlimited && self.stats.errors > self.limits.maxerrors as u64 {
                    self.finish(exit::ERRORS);
                }
            }
            Outcome::SkippedLock | Outcome::SkippedBusy => {
                st.skipped_lock += 1;
                self.stats.skipped += 1;
                if !unlimited && self.stats.skipped > self.limits.maxskipped as u64 {
                    self.finish(exit::SKIPPED);
                }
            }
        }
        if self.machine.exiting() {
            self.finish(exit::CALL);
        }
    }

    /// The run is over: the reader is told once (of exit() by the machine itself).
    fn finish(&mut self, reason: u32) {
        if self.end.is_none() {
            self.end = Some(reason);
            if reason == exit::CALL {
                return;
            }
            let body = [reason.to_le_bytes(), 0u32.to_le_bytes()].concat();
            self.machine.control(0, rec::EXIT, &body);
        }
    }

    /// Time from one tick of a timer to the next.
    fn period(&mut self, probe: u32) -> Duration {
        let p = self.machine.program().probe(probe);
        let (base, random) = match p.kind {
            kind::PROFILE if p.arg == 0 => (1_000_000_000 / HZ as i64, 0),
            _ => (p.arg, p.arg2),
        };
        // xorshift64
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let spread = random.max(0) as u64;
        let shift = (self.random % (spread.saturating_mul(2).saturating_add(1))) as i64 - spread as i64;
        Duration::from_nanos(base.saturating_add(shift).max(0) as u64).max(SHORTEST)
    }

    /// Runs the timers that are due; says whether any was.
    fn tick(&mut self, pump: &mut dyn FnMut()) -> bool {
        let now = Instant::now();
        let mut ran = false;
        while let Some(Reverse((deadline, probe))) = self.timers.peek().copied() {
            if deadline > now || self.end.is_some() {
                break;
            }
            self.timers.pop();
            self.hit(probe, None, pump);
            ran = true;
            // The next tick that lies ahead: what was missed is not made up for.
            let period = self.period(probe);
            let late = Instant::now().saturating_duration_since(deadline).as_nanos();
            let steps = late / period.as_nanos() + 1;
            let ahead = u64::try_from(period.as_nanos() * steps).unwrap_or(u64::MAX);
            self.timers.push(Reverse((deadline + Duration::from_nanos(ahead), probe)));
        }
        ran
    }
}

impl Session for HostedSession {
    fn mappings(&self) -> Vec<(*const u8, usize)> {
        vec![self.machine.mapping(0)]
    }

    fn memory(&self) -> Memory {
        let f = self.machine.memory();
        Memory { image: f.image, globals: f.globals, contexts: f.contexts, rings: f.rings }
    }

    fn arm(&mut self, _pump: &mut dyn FnMut()) -> Result<Armed, SessionError> {
        Ok(Armed::default())
    }

    fn start(&mut self, pump: &mut dyn FnMut()) -> Result<(), SessionError> {
        for probe in self.in_order(kind::BEGIN) {
            // After exit() the other begin probes still run, after abort() or too many errors they don't.
            if self.machine.aborted() || self.end.is_some_and(|reason| reason != exit::CALL) {
                break;
            }
            self.hit(probe, None, pump);
            pump();
        }
        let now = Instant::now();
        for probe in self.of_kind(&[kind::TIMER, kind::PROFILE]) {
            let first = self.period(probe);
            self.timers.push(Reverse((now + first, probe)));
        }
        Ok(())
    }

    fn wait(
        &mut self,
        fds: &mut [libc::pollfd],
        timeout: Option<Duration>,
        pump: &mut dyn FnMut(),
    ) -> Result<(), SessionError> {
        if self.tick(pump) {
            return poll(fds, Some(Duration::ZERO));
        }
        let timer = self.timers.peek().map(|Reverse((at, _))| at.saturating_duration_since(Instant::now()));
        let least = [timer, timeout].into_iter().flatten().min();
        poll(fds, least)?;
        if fds.iter().all(|f| f.revents == 0) {
            self.tick(pump);
        }
        Ok(())
    }

    fn input(&mut self, text: &[u8], line: bool, pump: &mut dyn FnMut()) -> Result<(), SessionError> {
        for probe in self.of_kind(&[kind::INPUT]) {
            if self.machine.program().probe(probe).arg != i64::from(line) || self.end.is_some() {
                continue;
            }
            let most = self.limits.maxstringlen as usize - 1;
            self.hit(probe, Some(&mut text[..text.len().min(most)].to_vec()), pump);
        }
        Ok(())
    }

    fn stop(&mut self, pump: &mut dyn FnMut()) -> Result<(), SessionError> {
        self.timers.clear();
        let failed = self.end == Some(exit::ERRORS);
        for probe in self.in_order(if failed { kind::ERROR } else { kind::END }) {
            self.hit(probe, None, pump);
            pump();
        }
        Ok(())
    }

    fn stats(&mut self) -> Result<Stats, SessionError> {
        Ok(self.stats.clone())
    }
}
