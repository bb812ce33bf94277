//! Times and memory of the passes, as `-v` shows them.

use std::time::Instant;

/// A pass being timed.
pub struct Pass {
    start: Instant,
    user: u64,
    sys: u64,
}

impl Pass {
    pub fn begin() -> Pass {
        let (user, sys) = cpu_ms();
        Pass { start: Instant::now(), user, sys }
    }

    /// `10usr/0sys/12real ms`, in milliseconds since the beginning.
    pub fn times(&self) -> String {
        let (user, sys) = cpu_ms();
        let real = self.start.elapsed().as_millis();
        format!("{}usr/{}sys/{real}real ms", user - self.user, sys - self.sys)
    }
}

fn cpu_ms() -> (u64, u64) {
    let ms = |t: libc::timeval| t.tv_sec as u64 * 1000 + t.tv_usec as u64 / 1000;
    let of = |who| {
        // SAFETY: plain data that the call fills.
        unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            usage
        }
    };
    let (own, children) = (of(libc::RUSAGE_SELF), of(libc::RUSAGE_CHILDREN));
    (ms(own.ru_utime) + ms(children.ru_utime), ms(own.ru_stime) + ms(children.ru_stime))
}

/// `12virt/3res/2shr/1data kb` of this process.
pub fn memory() -> String {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Vec<u64> = text.split_whitespace().map(|w| w.parse().unwrap_or(0)).collect();
    // SAFETY: no memory involved.
    let page_kb = u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096) / 1024;
    let kb = |n: usize| pages.get(n).copied().unwrap_or(0) * page_kb;
    format!("{}virt/{}res/{}shr/{}data kb", kb(0), kb(1), kb(2), kb(5))
}

/// `1 probe`, `2 probes`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A number of bytes for people.
pub fn bytes(n: u64) -> String {
    match n {
        0..=9_999 => format!("{n} B"),
        10_000..=10_239_999 => format!("{} KiB", n.div_ceil(1 << 10)),
        _ => format!("{} MiB", n.div_ceil(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_form_that_tools_read() {
        let m = memory();
        assert!(m.ends_with("data kb") && m.contains("virt/") && !m.starts_with("0virt"), "{m}");
        let t = Pass::begin().times();
        assert!(t.ends_with("real ms") && t.contains("usr/"), "{t}");
        assert_eq!(count(1, "probe") + &count(0, "global"), "1 probe0 globals");
    }
}
