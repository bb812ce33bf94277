//! Nanoseconds per turn of typical handlers in the hosted machine, beside the
//! same loops in lua5.4 where that is installed:
//!
//! `cargo run --release -p stp-vm --example bench`
#[path = "../tests/common/mod.rs"]
mod common;

use common::{help, i, ibc, Image, ADD, INT, LOCK, READ, RET, STAT, STR, WRITE};
use std::process::Command;
use std::time::Instant;
use stp_vm::isa::{Helper, Insn, Op};
use stp_vm::{Hit, Machine};

const TURNS: i32 = 200_000;

/// for (r0 = 0; r0 < TURNS; r0++) body; r8 = TURNS
fn looped(before: &[Insn], body: &[Insn]) -> Vec<Insn> {
    let mut code = before.to_vec();
    code.extend([i(Op::Ldi, 0, 0, 0, 0), i(Op::Ldi, 8, 0, 0, TURNS)]);
    code.extend(body);
    code.extend([i(Op::Addi, 0, 0, 0, 1), i(Op::Looplt, 0, 8, 1, -(body.len() as i32) - 2), RET]);
    code
}

fn image() -> Image {
    let mut im = Image::new();
    im.limits.maxaction = i32::MAX;
    im
}

/// Best of several runs of probe 0, divided by `turns`.
fn time(im: &Image, turns: i32) -> f64 {
    let mut im = im.clone();
    for f in &mut im.funcs {
        (f.naggs, f.niters) = (0, 0); // the loops below use none
    }
    let m = im.machine(1);
    best(&m, turns, |m| {
        m.run(0, 0, &Hit::default());
    })
}

fn best(m: &Machine, turns: i32, run: impl Fn(&Machine)) -> f64 {
    let mut least = f64::MAX;
    for _ in 0..15 {
        let start = Instant::now();
        run(m);
        least = least.min(start.elapsed().as_nanos() as f64 / f64::from(turns));
        m.drain(0);
    }
    least
}

fn lua(body: &str) -> Option<f64> {
    let n = 3_000_000;
    let script = format!(
        "local x, m, a, k = 0, 65535, {{}}, {{}} for i = 0, 255 do k[i] = 'key' .. i end \
         local best = 1e9 for r = 1, 5 do local s = os.clock() local i = 0 \
         while i < {n} do {body} i = i + 1 end \
         best = math.min(best, os.clock() - s) end print(best / {n} * 1e9)"
    );
    let out = Command::new("lua5.4").arg("-e").arg(script).output().ok()?;
    String::from_utf8(out.stdout).ok()?.trim().parse().ok()
}

fn main() {
    let mut rows: Vec<(&str, f64, Option<f64>)> = Vec::new();

    let mut im = image();
    im.probe(
        &looped(
            &[i(Op::Ldi, 1, 0, 0, 0), i(Op::Ldi, 2, 0, 0, 65535)],
            &[i(Op::Add, 1, 1, 0, 0), i(Op::And, 1, 1, 2, 0)],
        ),
        &[],
    );
    rows.push(("x = (x + i) & m", time(&im, TURNS), lua("x = (x + i) & m")));

    let mut im = image();
    im.probe(
        &looped(
            &[i(Op::Ldi, 1, 0, 0, 0)],
            &[
                i(Op::Andi, 2, 0, 0, 1),
                ibc(Op::Jeqi, 2, 2, 0),
                i(Op::Addi, 1, 1, 0, 3),
                i(Op::Jmp, 0, 0, 0, 1),
                i(Op::Xor, 1, 1, 0, 0),
            ],
        ),
        &[],
    );
    rows.push((
        "if (i & 1) x += 3; else x ^= i",
        time(&im, TURNS),
        lua("if i & 1 ~= 0 then x = x + 3 else x = x ~ i end"),
    ));

    let mut im = image();
    let g = im.int(0);
    im.probe(&looped(&[LOCK], &[i(Op::Gaddi, 1, 0, 0, g)]), &[(0, WRITE)]);
    rows.push(("global x++", time(&im, TURNS), lua("x = x + 1")));

    for (name, size, mask) in [("a[i & 255]++", 2048, 255), ("a[i & 65535]++", 65536, 65535)] {
        let mut im = image();
        let m = im.map(&[INT], INT, size);
        im.probe(
            &looped(&[LOCK], &[i(Op::Andi, 1, 0, 0, mask), i(Op::Ldi, 2, 0, 0, 1), i(Op::Madd, 2, 1, 0, m)]),
            &[(0, WRITE)],
        );
        let l = lua(&format!("local q = i & {mask} a[q] = (a[q] or 0) + 1"));
        rows.push((name, time(&im, TURNS), l));
    }

    let mut im = image();
    let m = im.map(&[STR], INT, 2048);
    let t = im.map(&[INT], STR, 256);
    let f = im.fmt("key%d");
    let mut code = vec![LOCK, i(Op::Ldi, 0, 0, 0, 0)];
    code.extend([
        i(Op::Sprint, 0, 0, 0, f),
        i(Op::Msets, 0, 0, 0, t),
        i(Op::Addi, 0, 0, 0, 1),
        ibc(Op::Looplti, 0, 4, 256),
    ]);
    im.probe(
        &looped(
            &code,
            &[
                i(Op::Andi, 1, 0, 0, 255),
                i(Op::Mgets, 0, 1, 0, t),
                i(Op::Ldi, 2, 0, 0, 1),
                i(Op::Madd, 2, 0, 0, m),
            ],
        ),
        &[(0, WRITE), (1, WRITE)],
    );
    rows.push((
        "a[k[i & 255]]++ (strings)",
        time(&im, TURNS),
        lua("local q = k[i & 255] a[q] = (a[q] or 0) + 1"),
    ));

    let mut im = image();
    let m = im.map(&[STR], INT, 2048);
    let keys: Vec<i32> = (0..8).map(|n| im.str(&format!("key{n}"))).collect();
    let mut body = Vec::new();
    for k in keys {
        body.extend([i(Op::Sldk, 0, 0, 0, k), i(Op::Ldi, 2, 0, 0, 1), i(Op::Madd, 2, 0, 0, m)]);
    }
    im.probe(&looped(&[LOCK], &body), &[(0, WRITE)]);
    rows.push((
        "a[\"key\"]++ (each of 8)",
        time(&im, TURNS * 8),
        lua("local q = k[1] a[q] = (a[q] or 0) + 1"),
    ));

    let mut im = image();
    let m = im.map(&[INT, STR], INT, 2048);
    let k = im.str("some name");
    im.probe(
        &looped(
            &[LOCK, i(Op::Sldk, 0, 0, 0, k)],
            &[i(Op::Andi, 1, 0, 0, 255), i(Op::Ldi, 2, 0, 0, 1), i(Op::Madd, 2, 1, 0, m)],
        ),
        &[(0, WRITE)],
    );
    rows.push(("a[i & 255, \"name\"]++", time(&im, TURNS), None));

    let mut im = image();
    let s = im.stat();
    im.globals[0].stat_ops = 1;
    im.probe(&looped(&[LOCK], &[i(Op::Sadd, 0, 0, 0, s)]), &[(0, ADD)]);
    rows.push(("s <<< i", time(&im, TURNS), None));

    let mut im = image();
    let s = im.map(&[INT], STAT, 2048);
    im.globals[0].stat_ops = 1;
    im.probe(&looped(&[LOCK], &[i(Op::Andi, 1, 0, 0, 255), i(Op::Msadd, 0, 1, 0, s)]), &[(0, ADD)]);
    rows.push(("s[i & 255] <<< i", time(&im, TURNS), None));

    let mut im = image();
    im.callee(1, 0, 1, &[i(Op::Addi, 0, 0, 0, 1), RET]);
    im.probe(&looped(&[], &[i(Op::Mov, 9, 0, 0, 0), i(Op::Call, 0, 9, 0, 0)]), &[]);
    rows.push(("f(i)", time(&im, TURNS), lua("x = (function(v) return v + 1 end)(i)")));

    let mut im = image();
    im.probe(&looped(&[], &[help(Op::Helpi, 1, 0, 0, Helper::Pid)]), &[]);
    rows.push(("pid()", time(&im, TURNS), None));

    let mut im = image();
    let (a, b) = (im.str("hello, "), im.str("world"));
    im.probe(&looped(&[i(Op::Sldk, 0, 0, 0, a), i(Op::Sldk, 1, 0, 0, b)], &[i(Op::Scat, 2, 0, 1, 0)]), &[]);
    rows.push(("s = a . b", time(&im, TURNS), None));

    let mut im = image();
    let f = im.fmt("%d:%s");
    let a = im.str("hello");
    im.probe(&looped(&[i(Op::Sldk, 0, 0, 0, a)], &[i(Op::Sprint, 1, 0, 0, f)]), &[]);
    rows.push(("sprintf(\"%d:%s\")", time(&im, TURNS), lua("local s = string.format('%d:%s', i, 'hello')")));

    // the ring holds some thousand records: fewer turns
    let turns = 4000;
    let mut im = image();
    let f = im.fmt("%d %d %d\n");
    let mut code = looped(&[i(Op::Ldi, 1, 0, 0, 1), i(Op::Ldi, 2, 0, 0, 2)], &[i(Op::Print, 0, 0, 0, f)]);
    code[3].imm = turns;
    im.probe(&code, &[]);
    rows.push(("printf of 3 numbers", time(&im, turns), None));

    let mut im = image();
    let m = im.map(&[INT], INT, 2048);
    im.probe(
        &[
            LOCK,
            i(Op::Ldi, 0, 0, 0, 0),
            i(Op::Muli, 1, 0, 0, 48271),
            i(Op::Andi, 1, 1, 0, 0xffff),
            i(Op::Mset, 1, 0, 0, m),
            i(Op::Addi, 0, 0, 0, 1),
            ibc(Op::Looplti, 0, 5, 2048),
            RET,
        ],
        &[(0, WRITE)],
    );
    let it = im.iter(stp_vm::flat::Iter { sort: 2, desc: 1, ..Default::default() });
    im.probe(
        &[
            LOCK,
            i(Op::Itnew, 0, 0, 0, it),
            i(Op::Itnext, 0, 1, 0, 2),
            i(Op::Itkey, 0, 0, 0, 0),
            i(Op::Loop, 1, 0, 0, -3),
            RET,
        ],
        &[(0, WRITE)],
    );
    let vm = im.machine(1);
    vm.run(0, 0, &Hit::default());
    rows.push((
        "foreach (k in a-), an entry of 2048",
        best(&vm, 2048, |m| {
            m.run(0, 1, &Hit::default());
        }),
        None,
    ));

    let mut im = image();
    im.probe(&[RET], &[]);
    (im.funcs[0].naggs, im.funcs[0].niters) = (0, 0);
    let vm = im.machine(1);
    let empty = best(&vm, TURNS, |m| {
        let hit = Hit::default();
        (0..TURNS).for_each(|_| {
            m.run(0, 0, &hit);
        });
    });
    rows.push(("an empty handler, from outside", empty, None));

    let mut im = image();
    let g = im.percpu();
    im.probe(&[LOCK, i(Op::Gaddi, 1, 0, 0, g), RET], &[(0, ADD)]);
    im.probe(&[LOCK, i(Op::Gget, 1, 0, 0, g), RET], &[(0, READ)]);
    for f in &mut im.funcs {
        (f.naggs, f.niters) = (0, 0);
    }
    let vm = im.machine(2);
    let one = best(&vm, TURNS, |m| {
        let hit = Hit::default();
        (0..TURNS).for_each(|_| {
            m.run(0, 0, &hit);
        });
    });
    rows.push(("a counting handler on 2 CPUs", one, None));

    println!("{:38} {:>8} {:>8} {:>6}", "ns a turn", "stpvm", "lua5.4", "ratio");
    for (name, ns, lua) in rows {
        match lua {
            Some(l) => println!("{name:38} {ns:8.2} {l:8.2} {:6.2}", l / ns),
            None => println!("{name:38} {ns:8.2}"),
        }
    }
}
