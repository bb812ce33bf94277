//! Maps and iterators: entries, order, limits, wrapping, slices, sorting.
mod common;
use common::{i, ibc, Image, ADD, INT, LOCK, READ, RET, STAT, STR, WRITE};
use stp_vm::flat::Iter;
use stp_vm::isa::Op;
use stp_vm::Hit;

/// A probe that prints every entry of an iteration: `f` shows key 0, key 1 (integers), value.
fn foreach(im: &mut Image, it: i32, limit: i64, map: u16) {
    let f = im.fmt("%d:%d ");
    let k = im.konst(limit);
    im.probe(
        &[
            LOCK,
            i(Op::Ldk, 5, 0, 0, k),
            i(Op::Ldi, 6, 0, 0, 1),
            i(Op::Itnew, 0, 5, 6, it),
            i(Op::Itnext, 0, 1, 0, 4),
            i(Op::Itkey, 0, 0, 0, 0),
            i(Op::Itval, 1, 0, 0, 0),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Loop, 1, 0, 0, -5),
            RET,
        ],
        &[(map, WRITE)],
    );
}

/// A probe that sets map[k] = v for each pair.
fn fill(im: &mut Image, map: i32, pairs: &[(i64, i64)]) {
    let mut code = vec![LOCK];
    for &(k, v) in pairs {
        let (k, v) = (im.konst(k), im.konst(v));
        code.extend([i(Op::Ldk, 0, 0, 0, k), i(Op::Ldk, 1, 0, 0, v), i(Op::Mset, 1, 0, 0, map)]);
    }
    code.push(RET);
    im.probe(&code, &[(map as u16, WRITE)]);
}

#[test]
fn entries_are_found_by_integer_string_and_mixed_keys() {
    for keys in [&[INT][..], &[STR], &[INT, STR], &[STR, INT, STR]] {
        let mut im = Image::new();
        let m = im.map(keys, INT, 10);
        let (ka, kb) = (im.str("some key of a length"), im.str("another"));
        let f = im.fmt("%d %d %d %d\n");
        im.probe(
            &[
                LOCK,
                i(Op::Ldi, 0, 0, 0, 7),
                i(Op::Ldi, 1, 0, 0, 8),
                i(Op::Sldk, 0, 0, 0, ka),
                i(Op::Sldk, 1, 0, 0, kb),
                i(Op::Sldk, 2, 0, 0, ka),
                i(Op::Ldi, 4, 0, 0, 5),
                i(Op::Mset, 4, 0, 0, m),
                i(Op::Madd, 4, 1, 1, m), // another key: 0 + 5
                i(Op::Madd, 4, 0, 0, m), // 5 + 5
                i(Op::Mhas, 5, 0, 0, m),
                i(Op::Mdel, 0, 0, 0, m),
                i(Op::Mhas, 6, 0, 0, m),
                i(Op::Mget, 7, 1, 1, m),
                i(Op::Print, 0, 4, 0, f),
                RET,
            ],
            &[(0, WRITE)],
        );
        // with one integer key and no string r1 alone is the key, and so on
        im.probes[0].flags = 0;
        assert_eq!(im.run(), "10 1 0 5\n", "{keys:?}");
    }
}

#[test]
fn reading_does_not_create_an_entry() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 4);
    let f = im.fmt("%d%d");
    im.probe(
        &[
            LOCK,
            i(Op::Ldi, 0, 0, 0, 9),
            i(Op::Mget, 1, 0, 0, m),
            i(Op::Mhas, 2, 0, 0, m),
            i(Op::Print, 0, 1, 0, f),
            RET,
        ],
        &[(0, READ)],
    );
    assert_eq!(im.run(), "00");
}

#[test]
fn a_small_number_is_added_to_an_entry_at_once() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 1);
    let f = im.fmt("%d ");
    let add = |n: i8| i(Op::Maddi, n as u8, 0, 0, m);
    let show = [i(Op::Mget, 1, 0, 0, m), i(Op::Print, 0, 1, 0, f)];
    let mut code = vec![LOCK, i(Op::Ldi, 0, 0, 0, 7)];
    for n in [1, 127, -128, -1] {
        code.push(add(n));
        code.extend(show);
    }
    // the map is full: another key is an error
    code.extend([i(Op::Ldi, 0, 0, 0, 8), add(1), RET]);
    im.probe(&code, &[(0, WRITE)]);
    assert_eq!(im.run(), "1 128 0 -1 ERROR: Array overflow, check size limit (1)\n");
}

#[test]
fn unsorted_walks_keep_the_order_of_insertion() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 10);
    fill(&mut im, m, &[(30, 1), (10, 2), (20, 3), (5, 4), (30, 5)]);
    let it = im.iter(Iter { map: m as u16, ..Iter::default() });
    foreach(&mut im, it, 0, 0);
    assert_eq!(im.run(), "30:5 10:2 20:3 5:4 ");
}

#[test]
fn a_deleted_key_that_comes_back_is_last() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 3);
    fill(&mut im, m, &[(1, 1), (2, 2), (3, 3)]);
    im.probe(&[LOCK, i(Op::Ldi, 0, 0, 0, 1), i(Op::Mdel, 0, 0, 0, m), RET], &[(0, WRITE)]);
    fill(&mut im, m, &[(1, 4)]);
    let it = im.iter(Iter { map: 0, ..Iter::default() });
    foreach(&mut im, it, 0, 0);
    assert_eq!(im.run(), "2:2 3:3 1:4 ");
}

#[test]
fn a_full_map_is_an_error_that_names_the_limit() {
    for (flags, text) in
        [(2, "Array overflow, check size limit (2)"), (0, "Array overflow, check MAXMAPENTRIES")]
    {
        let mut im = Image::new();
        let m = im.map(&[INT], INT, 2);
        im.globals[0].flags = flags;
        fill(&mut im, m, &[(1, 1), (2, 2), (1, 3), (3, 3)]);
        let it = im.iter(Iter { map: 0, ..Iter::default() });
        foreach(&mut im, it, 0, 0);
        assert_eq!(im.run(), format!("ERROR: {text}\n1:3 2:2 "));
    }
}

#[test]
fn a_wrapping_map_drops_its_oldest() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 3);
    im.globals[0].flags = 1;
    fill(&mut im, m, &[(1, 1), (2, 2), (3, 3), (1, 9), (4, 4)]);
    let it = im.iter(Iter { map: 0, ..Iter::default() });
    foreach(&mut im, it, 0, 0);
    assert_eq!(im.run(), "2:2 3:3 4:4 ");
}

#[test]
fn clearing_makes_all_room_again() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 2);
    for round in 0..3 {
        fill(&mut im, m, &[(round, 1), (round + 10, 2)]);
        im.probe(&[LOCK, i(Op::Mclr, 0, 0, 0, m), RET], &[(0, WRITE)]);
    }
    fill(&mut im, m, &[(7, 7)]);
    let it = im.iter(Iter { map: 0, ..Iter::default() });
    foreach(&mut im, it, 0, 0);
    assert_eq!(im.run(), "7:7 ");
}

#[test]
fn sorting_is_stable_and_signed_both_ways() {
    let pairs = [(4, 1), (3, 2), (-2, 1), (i64::MAX, 2), (i64::MIN, 1)];
    for (sort, desc, want) in [
        (1, 0, "-9223372036854775808:1 -2:1 3:2 4:1 9223372036854775807:2 "),
        (1, 1, "9223372036854775807:2 4:1 3:2 -2:1 -9223372036854775808:1 "),
        (2, 0, "4:1 -2:1 -9223372036854775808:1 3:2 9223372036854775807:2 "),
        (2, 1, "3:2 9223372036854775807:2 4:1 -2:1 -9223372036854775808:1 "),
    ] {
        let mut im = Image::new();
        let m = im.map(&[INT], INT, 10);
        fill(&mut im, m, &pairs);
        let it = im.iter(Iter { map: 0, sort, desc, ..Iter::default() });
        foreach(&mut im, it, 0, 0);
        assert_eq!(im.run(), want);
    }
}

#[test]
fn the_limit_ends_a_walk_and_none_or_less_gives_nothing() {
    for (limit, want) in [(2, "9:0 8:1 "), (0, ""), (-1, ""), (i64::MAX, "9:0 8:1 7:2 ")] {
        let mut im = Image::new();
        let m = im.map(&[INT], INT, 10);
        fill(&mut im, m, &[(7, 2), (9, 0), (8, 1)]);
        let it = im.iter(Iter { map: 0, sort: 1, desc: 1, has_limit: 1, ..Iter::default() });
        foreach(&mut im, it, limit, 0);
        assert_eq!(im.run(), want);
    }
}

#[test]
fn strings_sort_by_bytes_also_past_eight_of_them() {
    let mut im = Image::new();
    let m = im.map(&[STR], STR, 10);
    let keys: Vec<i32> =
        ["prefix--b", "prefix--a", "prefix--", "Zoo", "prefix--ab"].iter().map(|k| im.str(k)).collect();
    let mut code = vec![LOCK];
    for k in keys {
        code.extend([i(Op::Sldk, 0, 0, 0, k), i(Op::Msets, 0, 0, 0, m)]);
    }
    let f = im.fmt("%s=%s ");
    for (sort, desc) in [(1, 0), (2, 1)] {
        let it = im.iter(Iter { map: 0, sort, desc, ..Iter::default() });
        code.extend([
            i(Op::Itnew, 0, 0, 0, it),
            i(Op::Itnext, 0, 1, 0, 4),
            i(Op::Itkeys, 1, 0, 0, 0),
            i(Op::Itvals, 2, 0, 0, 0),
            i(Op::Print, 0, 0, 1, f),
            i(Op::Loop, 1, 0, 0, -5),
        ]);
    }
    code.push(RET);
    im.probe(&code, &[(0, WRITE)]);
    assert_eq!(
        im.run(),
        "Zoo=Zoo prefix--=prefix-- prefix--a=prefix--a prefix--ab=prefix--ab prefix--b=prefix--b \
         prefix--b=prefix--b prefix--ab=prefix--ab prefix--a=prefix--a prefix--=prefix-- Zoo=Zoo "
    );
}

#[test]
fn a_slice_keeps_what_fits_and_the_limit_counts_before_it() {
    // a[i, j] = (i * 7 + j * 5) % 9: the two largest are [1,2]=8 and [1,0]=7
    for (limit, want) in [(9, "1:8 2:6 0:1 "), (2, "1:8 ")] {
        let mut im = Image::new();
        let m = im.map(&[INT, INT], INT, 16);
        let mut code = vec![LOCK];
        for x in 0..3 {
            for y in 0..3 {
                code.extend([
                    i(Op::Ldi, 0, 0, 0, x),
                    i(Op::Ldi, 1, 0, 0, y),
                    i(Op::Ldi, 2, 0, 0, (x * 7 + y * 5) % 9),
                    i(Op::Mset, 2, 0, 0, m),
                ]);
            }
        }
        code.push(RET);
        im.probe(&code, &[(0, WRITE)]);
        let f = im.fmt("%d:%d ");
        let it = im.iter(Iter { map: 0, sort: 2, desc: 1, has_limit: 1, slice: 2, ..Iter::default() });
        im.probe(
            &[
                LOCK,
                i(Op::Ldi, 5, 0, 0, limit),
                i(Op::Ldi, 6, 0, 0, 2), // the slice key: [*, 2]
                i(Op::Itnew, 0, 5, 6, it),
                i(Op::Itnext, 0, 1, 0, 4),
                i(Op::Itkey, 0, 0, 0, 0),
                i(Op::Itval, 1, 0, 0, 0),
                i(Op::Print, 0, 0, 0, f),
                i(Op::Loop, 1, 0, 0, -5),
                RET,
            ],
            &[(0, WRITE)],
        );
        assert_eq!(im.run(), want);
    }
}

/// `foreach (k in m) { printf("[%d", k); foreach (j in m) printf(" %d", j) }`, sorted as said.
fn nested(im: &mut Image, outer: i32, inner: i32) {
    let (f, g) = (im.fmt("[%d"), im.fmt(" %d"));
    im.probe(
        &[
            LOCK,
            i(Op::Itnew, 0, 0, 0, outer),
            i(Op::Itnext, 0, 1, 0, 8),
            i(Op::Itkey, 0, 0, 0, 0),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Itnew, 1, 0, 0, inner),
            i(Op::Itnext, 1, 1, 0, 3),
            i(Op::Itkey, 0, 1, 0, 0),
            i(Op::Print, 0, 0, 0, g),
            i(Op::Loop, 1, 0, 0, -4),
            i(Op::Loop, 1, 0, 0, -9),
            RET,
        ],
        &[(0, WRITE)],
    );
}

#[test]
fn a_sorted_walk_leaves_its_order_to_those_that_follow() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 6);
    fill(&mut im, m, &[(2, 7), (1, 8), (3, 7), (5, 9), (4, 8)]);
    let plain = im.iter(Iter { map: 0, ..Iter::default() });
    let up = im.iter(Iter { map: 0, sort: 2, ..Iter::default() });
    foreach(&mut im, up, 0, 0);
    foreach(&mut im, plain, 0, 0);
    assert_eq!(im.run(), "2:7 3:7 1:8 4:8 5:9 2:7 3:7 1:8 4:8 5:9 ");
    // what is entered then is last
    fill(&mut im, m, &[(0, 7)]);
    foreach(&mut im, plain, 0, 0);
    assert!(im.run().ends_with("5:9 0:7 "));
}

#[test]
fn a_sorted_walk_with_a_limit_brings_that_many_to_the_front() {
    for (limit, rest) in [
        (1, "5:9 2:7 1:8 3:7 4:8 "),
        (2, "5:9 1:8 2:7 3:7 4:8 "),
        (4, "5:9 1:8 4:8 2:7 3:7 "),
        (0, "2:7 1:8 3:7 5:9 4:8 "),
        (-1, "2:7 1:8 3:7 5:9 4:8 "),
    ] {
        let mut im = Image::new();
        let m = im.map(&[INT], INT, 5);
        fill(&mut im, m, &[(2, 7), (1, 8), (3, 7), (5, 9), (4, 8)]);
        let down = im.iter(Iter { map: 0, sort: 2, desc: 1, has_limit: 1, ..Iter::default() });
        let plain = im.iter(Iter { map: 0, ..Iter::default() });
        foreach(&mut im, down, limit, 0);
        let first = im.run().len();
        foreach(&mut im, plain, 0, 0);
        assert_eq!(im.run()[first..], *rest, "{limit}");
    }
}

#[test]
fn a_wrapping_map_drops_what_is_first_in_its_order() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 3);
    im.globals[0].flags = 1;
    fill(&mut im, m, &[(3, 1), (2, 2), (1, 3)]);
    let it = im.iter(Iter { map: 0, sort: 1, ..Iter::default() });
    let plain = im.iter(Iter { map: 0, ..Iter::default() });
    foreach(&mut im, it, 0, 0);
    fill(&mut im, m, &[(4, 4)]);
    foreach(&mut im, plain, 0, 0);
    assert_eq!(im.run(), "1:3 2:2 3:1 2:2 3:1 4:4 ");
}

#[test]
fn walks_of_one_map_nest_and_go_on_in_its_order() {
    let up = Iter { map: 0, sort: 1, ..Iter::default() };
    let down = Iter { desc: 1, ..up };
    let plain = Iter { sort: 0, ..up };
    for (outer, inner, want) in [
        (plain, plain, "[2 2 1 3[1 2 1 3[3 2 1 3"),
        (up, up, "[1 1 2 3[2 1 2 3[3 1 2 3"),
        (up, plain, "[1 1 2 3[2 1 2 3[3 1 2 3"),
        // after 2 comes 3 in the new order, and nothing after 1 in a falling one
        (plain, up, "[2 1 2 3[3 1 2 3"),
        (up, down, "[1 3 2 1"),
    ] {
        let mut im = Image::new();
        let m = im.map(&[INT], INT, 4);
        fill(&mut im, m, &[(2, 0), (1, 0), (3, 0)]);
        let (outer, inner) = (im.iter(outer), im.iter(inner));
        nested(&mut im, outer, inner);
        assert_eq!(im.run(), want);
    }
}

#[test]
fn recursion_into_sorted_loops_ends_by_maxnesting_only() {
    let mut im = Image::new();
    im.limits.maxnesting = 100;
    let m = im.map(&[INT], INT, 4);
    fill(&mut im, m, &[(2, 0)]);
    let it = im.iter(Iter { map: 0, sort: 1, ..Iter::default() });
    let n = im.func(&[i(Op::Itnew, 0, 0, 0, it), i(Op::Itnext, 0, 1, 0, 1), i(Op::Call, 0, 0, 0, 1), RET]);
    im.funcs[n as usize].flags = 2;
    im.probe(&[LOCK, i(Op::Call, 0, 0, 0, n as i32), RET], &[(0, WRITE)]);
    foreach(&mut im, it, 0, 0);
    assert_eq!(im.run(), "ERROR: MAXNESTING exceeded\n2:0 ");
}

#[test]
fn deleting_while_walking_never_faults() {
    let mut im = Image::new();
    let m = im.map(&[INT], INT, 8);
    fill(&mut im, m, &[(1, 1), (2, 2), (3, 3), (4, 4)]);
    for sort in 0..2 {
        let it = im.iter(Iter { map: 0, sort, ..Iter::default() });
        let f = im.fmt("%d ");
        im.probe(
            &[
                LOCK,
                i(Op::Itnew, 0, 0, 0, it),
                i(Op::Itnext, 0, 1, 0, 6),
                i(Op::Itkey, 0, 0, 0, 0),
                i(Op::Print, 0, 0, 0, f),
                i(Op::Mdel, 0, 0, 0, m),
                i(Op::Addi, 0, 0, 0, 10),
                i(Op::Mset, 0, 0, 0, m),
                i(Op::Loop, 1, 0, 0, -7),
                RET,
            ],
            &[(0, WRITE)],
        );
        im.probes.last_mut().unwrap().flags = 1;
    }
    let text = im.run();
    // the compiler refuses such loops: what they print is not promised, but that they end
    assert!(text.starts_with("1 "), "{text}");
}

#[test]
fn maps_of_statistics_merge_every_cpu() {
    let mut im = Image::new();
    let m = im.map(&[INT], STAT, 8);
    im.probe(
        &[LOCK, i(Op::Arg, 0, 0, 0, 0), i(Op::Arg, 1, 0, 0, 1), i(Op::Msadd, 1, 0, 0, m), RET],
        &[(0, ADD)],
    );
    let it = im.iter(Iter { map: 0, sort: 3, key: 1, desc: 1, ..Iter::default() });
    let f = im.fmt("%d: %d %d %d %d\n");
    im.probe(
        &[
            LOCK,
            i(Op::Itnew, 0, 0, 0, it),
            i(Op::Itnext, 0, 1, 0, 8),
            i(Op::Itkey, 0, 0, 0, 0),
            i(Op::Agldt, 0, 0, 0, 0),
            i(Op::Agget, 1, 0, 0, 0),
            i(Op::Agget, 2, 0, 1, 0),
            i(Op::Agget, 3, 0, 2, 0),
            i(Op::Agget, 4, 0, 3, 0),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Loop, 1, 0, 0, -9),
            RET,
        ],
        &[(0, READ)],
    );
    im.probe(&[LOCK, i(Op::Ldi, 0, 0, 0, 2), i(Op::Mdel, 0, 0, 0, m), RET], &[(0, WRITE)]);
    let vm = im.machine(3);
    for (cpu, k, v) in [(0, 1, 10), (1, 1, 20), (2, 2, 7), (0, 2, 100), (1, 3, 1)] {
        vm.run(cpu, 0, &Hit { args: vec![k, v], ..Hit::default() });
    }
    vm.run(1, 1, &Hit::default());
    assert_eq!(common::text(&vm), "2: 2 107 7 100\n1: 2 30 10 20\n3: 1 1 1 1\n");
    vm.run(2, 2, &Hit::default());
    vm.run(0, 0, &Hit { args: vec![2, 5], ..Hit::default() });
    vm.run(1, 1, &Hit::default());
    assert_eq!(common::text(&vm), "1: 2 30 10 20\n2: 1 5 5 5\n3: 1 1 1 1\n");
}

#[test]
fn a_wrapping_map_of_statistics_keeps_the_newest() {
    let mut im = Image::new();
    let m = im.map(&[INT], STAT, 2);
    im.globals[0].flags = 1;
    let f = im.fmt("%d:%d ");
    let it = im.iter(Iter { map: 0, ..Iter::default() });
    im.probe(&[LOCK, i(Op::Arg, 0, 0, 0, 0), i(Op::Msadd, 0, 0, 0, m), RET], &[(0, ADD)]);
    im.probe(
        &[
            LOCK,
            i(Op::Itnew, 0, 0, 0, it),
            i(Op::Itnext, 0, 1, 0, 5),
            i(Op::Itkey, 0, 0, 0, 0),
            i(Op::Agldt, 0, 0, 0, 0),
            i(Op::Agget, 1, 0, 1, 0),
            i(Op::Print, 0, 0, 0, f),
            i(Op::Loop, 1, 0, 0, -6),
            RET,
        ],
        &[(0, READ)],
    );
    let vm = im.machine(2);
    for k in 0..5 {
        vm.run(k as u32 % 2, 0, &Hit { args: vec![k], ..Hit::default() });
    }
    vm.run(0, 1, &Hit::default());
    assert_eq!(common::text(&vm), "3:3 4:4 ");
}

#[test]
fn many_keys_are_all_found_again() {
    let mut im = Image::new();
    im.limits.maxaction = i32::MAX;
    let (m, n) = (im.map(&[INT], INT, 5000), im.map(&[STR], INT, 5000));
    let (d, f) = (im.fmt("%x-key"), im.fmt("%d %d\n"));
    let mul = 0x1_0001; // keys with the same low bits
    im.probe(
        &[
            LOCK,
            i(Op::Ldi, 0, 0, 0, 0),
            i(Op::Muli, 1, 0, 0, mul),
            i(Op::Mset, 0, 1, 0, m),
            i(Op::Sprint, 0, 1, 0, d),
            i(Op::Mset, 0, 0, 0, n),
            i(Op::Addi, 0, 0, 0, 1),
            ibc(Op::Looplti, 0, 6, 5000),
            i(Op::Ldi, 0, 0, 0, 0),
            i(Op::Ldi, 3, 0, 0, 0),
            i(Op::Ldi, 4, 0, 0, 0),
            i(Op::Muli, 1, 0, 0, mul),
            i(Op::Mget, 2, 1, 0, m),
            i(Op::Add, 3, 3, 2, 0),
            i(Op::Sprint, 0, 1, 0, d),
            i(Op::Mget, 2, 0, 0, n),
            i(Op::Add, 4, 4, 2, 0),
            i(Op::Addi, 0, 0, 0, 1),
            ibc(Op::Looplti, 0, 8, 5000),
            i(Op::Print, 0, 3, 0, f),
            RET,
        ],
        &[(0, WRITE), (1, WRITE)],
    );
    assert_eq!(im.run(), "12497500 12497500\n");
}
