//! Every alias of SystemTap's library compiles with the kernel's own types, or
//! stands in a list with its reason; and those families that a process can
//! bring about fire with plausible values.

use super::{ok, Check};
use std::collections::BTreeSet;
use stp_tests::guest::Outcome;

/// Families without a point that the process brings about in every run, beyond those that fire.
const SEEN: &str = include_str!("scripts/families.stp");

fn aliases() -> Vec<&'static str> {
    let all = include_str!("aliases").lines().filter(|l| !l.starts_with('#') && !l.is_empty());
    // nd_syscall and tp_syscall are other names of the same points
    all.map(|l| {
        l.strip_prefix("{syscall,nd_syscall,tp_syscall}.").map_or(l, |_| &l[l.find('}').unwrap_or(0) + 1..])
    })
    .collect()
}

/// The script with all of them, an alias a line.
fn script() -> String {
    let name = |a: &str| if a.starts_with('.') { format!("syscall{a}") } else { a.to_string() };
    aliases().iter().map(|a| format!("probe {} {{ println(pp()) }}\n", name(a))).collect()
}

pub fn checks(series: &str) -> Vec<Check> {
    let all = format!(
        "for m in nfsd nfsv3 nfsv4; do modprobe $m || exit; done\n\
         cat >aliases.stp <<'END'\n{}END\n\
         stap -g -v -p2 aliases.stp >out 2>err; echo status $?\n\
         sed -n 's/.*aliases.stp:\\([0-9]*\\):.*/failed \\1/p' err | sort -u; head -c 20000 err >&2",
        script()
    );
    let resolve: fn(&Outcome) -> Result<(), String> = match series {
        "6.1" => |o| every_alias(o, "6.1"),
        _ => |o| every_alias(o, "6.12"),
    };
    vec![
        Check::new("every alias resolves or says why", &all, resolve)
            .may_log(&["NFS", "nfsd", "RPC", "FS-Cache", "Key type"])
            .limit(300),
        Check::new(
            "families fire with plausible values",
            "(while usleep 100000; do echo >/dev/console; done) & noise=$!\n\
             stap -DSTP_NO_OVERLOAD -c families /scripts/families.stp; s=$?; kill $noise; exit $s",
            families,
        ),
    ]
}

fn every_alias(o: &Outcome, series: &str) -> Result<(), String> {
    ok(o)?;
    let (aliases, out) = (aliases(), o.out());
    let mut failed = BTreeSet::new();
    for line in out.lines().filter_map(|l| l.strip_prefix("failed ")) {
        let n: usize = line.parse().map_err(|_| format!("no number: {line}"))?;
        failed.insert(*aliases.get(n.wrapping_sub(1)).ok_or("no such line")?);
    }
    if failed.len() * 2 > aliases.len() {
        return Err("most aliases fail".into());
    }
    let mut said = String::new();
    let mut used = BTreeSet::new();
    let lines: Vec<(&str, &str)> = absent(series).collect();
    for alias in failed {
        let name = if alias.starts_with('.') { format!("syscall{alias}") } else { alias.to_string() };
        match lines.iter().position(|(p, _)| stp_compiler::target::glob::matches(p, &name)) {
            Some(n) => drop(used.insert(n)),
            None => said += &format!("{name} does not resolve\n"),
        }
    }
    for (n, (pattern, reason)) in lines.iter().enumerate() {
        if !used.contains(&n) {
            said += &format!("aliases-absent: all of {pattern} resolve ({reason})\n");
        }
    }
    if said.is_empty() {
        Ok(())
    } else {
        Err(said)
    }
}

/// Patterns and reasons that hold on that kernel.
fn absent(series: &str) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
    include_str!("aliases-absent").lines().filter(|l| !l.starts_with('#')).filter_map(move |line| {
        let line = match line.split_once(": ") {
            Some((kernel, rest)) if kernel.starts_with(|c: char| c.is_ascii_digit()) => {
                (kernel == series).then_some(rest)?
            }
            _ => line,
        };
        line.split_once(' ')
    })
}

/// Every name that the script can count was counted, and was plausible each time.
fn families(o: &Outcome) -> Result<(), String> {
    ok(o)?;
    let mut said = String::new();
    let mut wanted = 0;
    for name in SEEN.split("seen(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        wanted += 1;
        match super::numbers(o, name).as_deref() {
            Ok([hits, good]) if *hits > 0 && hits == good => {}
            Ok([hits, good]) => said += &format!("{name}: {good} of {hits} are plausible\n"),
            _ => said += &format!("{name} never fired\n"),
        }
    }
    if wanted < 60 {
        said += "the script counts too little\n";
    }
    if said.is_empty() {
        Ok(())
    } else {
        Err(said)
    }
}
