//! Many probes at once: what the kernel refuses of them, how long the rest takes, and what is kept
//! for calls that are under way.

use super::{prints, Check};
use stp_tests::guest::Outcome;

/// Thousands of functions, of which neither ftrace nor kprobes take all, on both kernels. The load
/// looks up directory entries.
const WILDCARD: &str = "stap -v -DSTP_NO_OVERLOAD -c 'load_files 5 f >/dev/null' \
    -e 'global n probe kernel.function(\"d*\")POINT { n++ } probe end { println(\"hit \", n > 50) }' 2>err\n\
    cat err >&2";

/// Nothing of a script runs that can't be armed: status, and what is said, with a `+` where the
/// advice stands.
const REFUSED: &str = "for p in POINTS; do\n\
    \tstap -e \"global n probe $p { n++ } probe begin { println(\\\"begun\\\") } \\\n\
    \tprobe timer.s(60) { exit() } probe end { println(\\\"ended\\\") }\" 2>err\n\
    \techo $? $(sed -n 's/^ERROR: probe //; s/; .*blacklist lists .* end the point with .?. .*/+/; /could not/p' err)\n\
    done";

pub fn checks() -> Vec<Check> {
    let mut checks: Vec<Check> = [("entries", ""), ("returns", ".return")]
        .into_iter()
        .map(|(what, point)| {
            let name = format!("{what} of a wildcard are armed at once, but for what the kernel refuses");
            Check::new(&name, &WILDCARD.replace("POINT", point), |o| {
                prints(o, "hit 1\n")?;
                let (refused, places) = refused(o)?;
                let ms = armed_in(o)?;
                match refused > 0 && refused < 10 && places > 1000 && ms < 20_000.0 {
                    true => Ok(()),
                    false => Err(format!("{refused} of {places} refused, {ms} ms")),
                }
            })
        })
        .collect();
    checks.extend([
        Check::new(
            "a function that is named and refused ends the run before it begins",
            &REFUSED.replace(
                "POINTS",
                "'kernel.function(\"exc_divide_error\")' 'kernel.function(\"exc_divide_error\").return' \
                 'kprobe.function(\"exc_divide_error\")'",
            ),
            |o| {
                prints(
                    o,
                    "1 kernel.function(\"exc_divide_error\").call could not be armed: \
                     the kernel allows no probe at this address (Invalid argument)+\n\
                     1 kernel.function(\"exc_divide_error\").return could not be armed: \
                     the kernel allows no return probe on this function (Invalid argument)+\n\
                     1 kprobe.function(\"exc_divide_error\") could not be armed: \
                     the kernel allows no probe at this address (Invalid argument)+\n",
                )
            },
        ),
        Check::new(
            "a pattern of which all places are refused ends the run before it begins",
            &REFUSED.replace(
                "POINTS",
                "'kernel.function(\"exc_divide*\")' 'kernel.function(\"exc_divide*\").return' \
                 'kernel.{function(\"exc_divide_error\"),function(\"exc_*_overrun\")}'",
            ),
            |o| {
                prints(
                    o,
                    "1 kernel.function(\"exc_divide*\") could not be armed: the kernel refuses the place+\n\
                     1 kernel.function(\"exc_divide*\").return could not be armed: the kernel refuses the place+\n\
                     1 kernel.function(\"exc_divide_error\").call could not be armed: \
                     the kernel allows no probe at this address (Invalid argument)+\n",
                )
            },
        ),
        Check::new(
            "what is optional may be refused",
            "for p in 'kernel.function(\"exc_divide_error\").return ?' 'kernel.function(\"exc_divide*\") ?' \\\n\
             'kernel.function(\"vfs_read\"), kernel.function(\"exc_divide_error\") ?'; do\n\
             \tstap -v -e \"global n probe $p { n++ } probe begin { println(\\\"begun\\\") }\n\
             \tprobe timer.ms(100) { exit() } probe end { if (n < 0) println(n) }\" 2>err; echo $? $(grep -o '[0-9]* could not be' err)\n\
             done",
            |o| prints(o, "begun\n0 1 could not be\nbegun\n0 1 could not be\nbegun\n0 1 could not be\n"),
        ),
        // the 18th call is that of the writer, which lets the readers go
        Check::new(
            "so many calls may be under way as .maxactive says, or 15, and others are counted",
            "mkfifo pipe\n\
             stap -e 'global two, all probe kernel.function(\"fifo_open\").return.maxactive(2) { two++ }\n\
             probe kernel.function(\"fifo_open\").return { all++ } probe end { println(two, \" \", all) }' \\\n\
             -c 'sh -c \"for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17; do cat pipe & done; sleep 5; : >pipe; wait\"'",
            |o| {
                let err = String::from_utf8_lossy(&o.stderr).into_owned();
                match (o.out().as_str(), err.contains("skipped probes: 19")) {
                    ("2 15\n", true) => Ok(()),
                    _ => Err("want 2 and 15 of 18, and 19 skipped".into()),
                }
            },
        ),
        Check::new(
            "a call that lasts longer than the run returns without it",
            "sleep 3 & s=$!\n\
             stap -e 'global n probe kernel.function(\"hrtimer_nanosleep\").return.maxactive(1), \\\n\
             kernel.function(\"hrtimer_nanosleep\").return { n++ } probe timer.ms(100) { exit() }' -c 'sh -c \"sleep 3 & sleep 1\"' >out\n\
             reload; wait $s; sleep 3; echo $?",
            |o| prints(o, "0\n"),
        ),
    ]);
    checks
}

fn refused(o: &Outcome) -> Result<(usize, usize), String> {
    let err = String::from_utf8_lossy(&o.stderr).into_owned();
    let line = err.lines().find(|l| l.ends_with("refused by the kernel.")).ok_or("nothing refused")?;
    let words: Vec<&str> = line.split_whitespace().collect();
    let at = words.iter().position(|w| *w == "of").ok_or("no `of`")?;
    let number = |n: usize| words.get(n).and_then(|w| w.parse().ok()).ok_or(format!("no numbers: {line}"));
    Ok((number(at - 1)?, number(at + 1)?))
}

fn armed_in(o: &Outcome) -> Result<f64, String> {
    let err = String::from_utf8_lossy(&o.stderr).into_owned();
    let after = err.split("armed in ").nth(1).ok_or("not armed")?;
    after.split(' ').next().and_then(|w| w.parse().ok()).ok_or("no time".into())
}
