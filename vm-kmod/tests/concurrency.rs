//! Several CPUs at once: atomic handlers, exact sums, no deadlock.
mod common;
use common::{i, ibc, storm, Image, ADD, INT, LOCK, READ, RET, STAT, WRITE};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use stp_vm::flat::Iter;
use stp_vm::isa::Op;
use stp_vm::{Hit, Outcome};

fn plain(p: u32) -> (u32, Hit) {
    (p, Hit::default())
}

/// A probe that prints integer global `g`.
fn show(im: &mut Image, g: i32) -> u32 {
    let f = im.fmt("%d ");
    im.probe(&[LOCK, i(Op::Gget, 0, 0, 0, g), i(Op::Print, 0, 0, 0, f), RET], &[(g as u16, READ)])
}

#[test]
fn a_handler_is_atomic_towards_its_globals() {
    // x = g; work; g = x + 1: without the lock, turns of the other CPUs get lost
    let mut im = Image::new();
    let g = im.int(0);
    im.probe(
        &[
            LOCK,
            i(Op::Gget, 0, 0, 0, g),
            i(Op::Ldi, 1, 0, 0, 0),
            i(Op::Addi, 1, 1, 0, 1),
            ibc(Op::Looplti, 1, 2, 50),
            i(Op::Addi, 0, 0, 0, 1),
            i(Op::Gset, 0, 0, 0, g),
            RET,
        ],
        &[(0, WRITE)],
    );
    let p = show(&mut im, g);
    let m = im.machine(4);
    let done = storm(&m, 20_000, |_, _| plain(0));
    m.run(0, p, &Hit::default());
    assert_eq!(common::text(&m), format!("{done} "));
}

#[test]
fn counters_per_cpu_lose_nothing() {
    let mut im = Image::new();
    let g = im.percpu();
    im.probe(&[LOCK, i(Op::Gaddi, 1, 0, 0, g), RET], &[(0, ADD)]);
    let p = show(&mut im, g);
    let m = im.machine(4);
    let done = storm(&m, 20_000, |_, k| plain(if k % 100 == 99 { p } else { 0 }));
    m.drain_all();
    m.run(0, p, &Hit::default());
    let sum: u64 = common::text(&m).trim().parse().unwrap();
    assert!(sum <= 4 * 20_000 * 99 / 100 && sum + 4 * 200 >= done, "{sum} of {done}");
}

#[test]
fn statistics_of_new_keys_on_every_cpu_merge_exactly() {
    let mut im = Image::new();
    let s = im.map(&[INT], STAT, 1000);
    im.probe(&[LOCK, i(Op::Arg, 0, 0, 0, 0), i(Op::Msadd, 0, 0, 0, s), RET], &[(0, ADD)]);
    let f = im.fmt("%d %d\n");
    let it = im.iter(Default::default());
    im.limits.maxaction = 100_000;
    im.probe(
        &[
            LOCK,
            i(Op::Ldi, 3, 0, 0, 0),
            i(Op::Ldi, 4, 0, 0, 0),
            i(Op::Itnew, 0, 0, 0, it),
            i(Op::Itnext, 0, 1, 0, 6),
            i(Op::Agldt, 0, 0, 0, 0),
            i(Op::Agget, 1, 0, 0, 0),
            i(Op::Add, 3, 3, 1, 0),
            i(Op::Agget, 1, 0, 1, 0),
            i(Op::Add, 4, 4, 1, 0),
            i(Op::Loop, 1, 0, 0, -7),
            i(Op::Print, 0, 3, 0, f),
            RET,
        ],
        &[(0, READ)],
    );
    let m = im.machine(4);
    let sum = AtomicU64::new(0);
    let done = storm(&m, 20_000, |_, k| {
        let v = u64::from(k % 997);
        (0, Hit { args: vec![v], ..Hit::default() })
    });
    (0..20_000u64).for_each(|k| {
        sum.fetch_add(4 * (k % 997), Ordering::Relaxed);
    });
    assert_eq!(done, 80_000, "a CPU's own lock is always free for it");
    m.run(0, 1, &Hit::default());
    assert_eq!(common::text(&m), format!("{done} {}\n", sum.into_inner()));
}

#[test]
fn handlers_that_share_two_maps_never_deadlock() {
    // one reads a and writes b, the other reads b and writes a; one reads both
    let mut im = Image::new();
    im.limits.maxtrylock = 1_000_000;
    let (a, b) = (im.map(&[INT], INT, 64), im.map(&[INT], INT, 64));
    for (from, to) in [(a, b), (b, a)] {
        let mode = |g| if g == to { WRITE } else { READ };
        im.probe(
            &[
                LOCK,
                i(Op::Arg, 0, 0, 0, 0),
                i(Op::Mget, 1, 0, 0, from),
                i(Op::Addi, 1, 1, 0, 1),
                i(Op::Mset, 1, 0, 0, to),
                RET,
            ],
            &[(0, mode(a)), (1, mode(b))],
        );
    }
    im.probe(&[LOCK, i(Op::Arg, 0, 0, 0, 0), i(Op::Mget, 1, 0, 0, a), RET], &[(0, READ), (1, READ)]);
    let m = im.machine(3);
    let done =
        storm(&m, 20_000, |cpu, k| ((cpu + k) % 3, Hit { args: vec![u64::from(k % 50)], ..Hit::default() }));
    assert_eq!(done, 60_000);
}

#[test]
fn a_lock_that_is_not_had_skips_the_handler() {
    let mut im = Image::new();
    (im.limits.maxtrylock, im.limits.trylockdelay) = (1, 1);
    im.limits.maxaction = i32::MAX;
    let g = im.int(0);
    im.probe(
        &[
            LOCK,
            i(Op::Gaddi, 1, 0, 0, g),
            i(Op::Ldi, 1, 0, 0, 0),
            i(Op::Addi, 1, 1, 0, 1),
            ibc(Op::Looplti, 1, 2, 20_000),
            RET,
        ],
        &[(0, WRITE)],
    );
    let p = show(&mut im, g);
    let m = im.machine(2);
    let (done, skipped) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|s| {
        for cpu in 0..2 {
            let (m, done, skipped) = (&m, &done, &skipped);
            s.spawn(move || {
                // until the two have met; they soon do
                for _ in 0..1_000_000 {
                    match m.run(cpu, 0, &Hit::default()) {
                        Outcome::Ok => done.fetch_add(1, Ordering::Relaxed),
                        _ => skipped.fetch_add(1, Ordering::Relaxed),
                    };
                    if skipped.load(Ordering::Relaxed) != 0 {
                        break;
                    }
                }
            });
        }
    });
    assert_ne!(skipped.into_inner(), 0);
    m.run(0, p, &Hit::default());
    let done = done.into_inner();
    assert_eq!(common::text(&m), format!("{done} "), "a skipped handler has no effect");
}

#[test]
fn between_two_tries_passes_the_delay() {
    let mut im = Image::new();
    (im.limits.maxtrylock, im.limits.trylockdelay) = (5, 1000);
    im.limits.maxaction = i32::MAX;
    let g = im.int(0);
    for turns in [2000, 1] {
        im.probe(
            &[
                LOCK,
                i(Op::Gaddi, 1, 0, 0, g),
                i(Op::Ldi, 2, 0, 0, 0),
                i(Op::Ldi, 1, 0, 0, 0),
                i(Op::Addi, 1, 1, 0, 1),
                ibc(Op::Looplti, 1, 2, 20_000),
                i(Op::Addi, 2, 2, 0, 1),
                ibc(Op::Looplti, 2, 5, turns),
                RET,
            ],
            &[(0, WRITE)],
        );
    }
    let m = im.machine(2);
    let over = AtomicU64::new(0);
    let waited = thread::scope(|s| {
        s.spawn(|| {
            while over.load(Ordering::Relaxed) == 0 {
                m.run(0, 0, &Hit::default());
            }
        });
        loop {
            let start = Instant::now();
            if m.run(1, 1, &Hit::default()) != Outcome::Ok {
                over.store(1, Ordering::Relaxed);
                break start.elapsed();
            }
        }
    });
    assert!(waited >= Duration::from_millis(5), "5 tries, {waited:?}");
}

#[test]
fn a_walk_that_stays_open_does_not_keep_others_from_sorting_its_array() {
    // the handler runs on after its release with the walk begun; the next one sorts meanwhile
    let mut im = Image::new();
    im.limits.maxtrylock = 100_000;
    let m = im.map(&[INT], INT, 8);
    let it = im.iter(Iter { sort: 1, ..Iter::default() });
    im.probe(
        &[
            LOCK,
            i(Op::Ldi, 0, 0, 0, 1),
            i(Op::Mset, 0, 0, 0, m),
            i(Op::Itnew, 0, 0, 0, it),
            i(Op::Unlock, 0, 0, 0, 0),
            i(Op::Ldi, 1, 0, 0, 0),
            i(Op::Addi, 1, 1, 0, 1),
            ibc(Op::Looplti, 1, 2, 500),
            RET,
        ],
        &[(m as u16, WRITE)],
    );
    let machine = im.machine(4);
    assert!(storm(&machine, 2000, |_, _| plain(0)) > 0);
}
