//! Rules about capabilities, formats, iterators, regular expressions and the cost of all of it.

use super::*;

#[test]
fn caps_are_stated_and_allowed() {
    let zero = i(Op::Ldi, 0, 0, 0, 0);
    for (op, need) in [
        (i(Op::Ldm, 0, 0, 8, 0), 1),
        (i(Op::Ldu, 0, 0, 8, 0), 2),
        (i(Op::Stm, 0, 0, 8, 0), 8),
        (i(Op::Stu, 0, 0, 8, 0), 8),
        (help(Op::Helps, 0, 0, 0, Helper::DPath), 1),
    ] {
        let mut im = handler(&[zero, op, RET]);
        im.caps = need;
        accepted(&im);
        assert_eq!(stp_vm::verify(&im.flat(), !need).unwrap_err().rule(), Rule::Caps);
        im.caps = ALL_CAPS & !need;
        refused(&im, Rule::Caps);
    }
}

#[test]
fn format_states_its_arguments() {
    let mut im = handler(&[RET]);
    im.fmt("%d %s");
    accepted(&im);
    for change in [(|f| f.ni = 2) as fn(&mut stp_vm::flat::Fmt), |f| f.ns = 0] {
        let mut bad = im.clone();
        change(&mut bad.fmts[0]);
        refused(&bad, Rule::Format);
    }
}

#[test]
fn iter_fits_its_map() {
    let program = |it: Iter| {
        let mut im = handler(&[RET]);
        im.map(&[INT, STR], INT, 4);
        im.map(&[INT], STAT, 4);
        im.iter(it);
        im
    };
    let it = Iter::default();
    for good in [
        Iter { sort: 1, key: 1, ..it },
        Iter { sort: 2, ..it },
        Iter { map: 1, sort: 3, key: 5, ..it },
        Iter { slice: 3, ..it },
    ] {
        accepted(&program(good));
    }
    for bad in [
        Iter { sort: 1, key: 2, ..it },
        Iter { sort: 3, ..it },
        Iter { map: 1, sort: 2, ..it },
        Iter { map: 1, sort: 3, key: 6, ..it },
        Iter { slice: 4, ..it },
        Iter { sort: 4, ..it },
    ] {
        refused(&program(bad), Rule::Iter);
    }
    refused(&program(Iter { map: 2, ..it }), Rule::Container);
}

#[test]
fn regex_tables_are_checked() {
    // one state that accepts everything: see core/regex.h
    let table = |start: u32| {
        let mut w = vec![1, 1, 0, start, 0, 0];
        w.extend([0; 64]);
        w.extend([0, 0xffff_ffff, 0, 0xffff_ffff, 0]);
        w.push(0);
        w.push(start);
        w[5] = w.len() as u32;
        w
    };
    let program = |w: Vec<u32>, first| {
        let mut im = handler(&[i(Op::Sldk, 0, 0, 0, 0), i(Op::Rxm, 0, 0, 0, 0), RET]);
        im.dfas.push(Dfa { first, count: w.len() as u32, ..Dfa::default() });
        im.dfadata = w;
        im
    };
    accepted(&program(table(0), 0));
    refused(&program(table(1), 0), Rule::Regex);
    refused(&program(table(0), 1), Rule::Regex);
}

#[test]
fn a_stated_worst_case_holds() {
    let stated = |code: &[Insn], callee: &[Insn], cost: u32| {
        let mut im = handler(code);
        im.callee(0, 0, 0, callee);
        im.probes[0].cost = cost;
        im
    };
    let call = i(Op::Call, 0, 0, 0, 1);
    let charge = |n| i(Op::Charge, 0, 0, 0, n);
    // straight code, branches, charges of its own and of what it calls
    accepted(&stated(&[i(Op::Ldi, 0, 0, 0, 1), ibc(Op::Jeqi, 0, 0, 5), RET], &[RET], 1));
    accepted(&stated(&[charge(3), call, call, RET], &[charge(2), RET], 7));
    refused(&stated(&[charge(3), call, call, RET], &[charge(2), RET], 6), Rule::Cost);
    // loops and recursion have none; not stating one is right for them
    let endless = [i(Op::Loop, 1, 0, 0, -1)];
    refused(&stated(&endless, &[RET], 1_000_000), Rule::Cost);
    refused(&stated(&[call, RET], &endless, 1_000_000), Rule::Cost);
    refused(&stated(&[call, RET], &[call, RET], 1_000_000), Rule::Cost);
    accepted(&stated(&endless, &[RET], 0));
    accepted(&stated(&[call, RET], &[call, RET], 0));
}

#[test]
fn recursion_through_several_functions_is_found_wherever_it_starts() {
    // probe 0 -> a -> b -> c -> b: no bound; probe 1 -> d: one
    let mut im = handler(&[i(Op::Call, 0, 0, 0, 1), RET]);
    for to in [2, 3, 2] {
        im.callee(0, 0, 0, &[i(Op::Call, 0, 0, 0, to), RET]);
    }
    im.callee(0, 0, 0, &[RET]);
    im.probe(&[i(Op::Call, 0, 0, 0, 4), RET], &[]);
    im.probes[1].cost = 9;
    accepted(&im);
    im.probes[0].cost = 9;
    refused(&im, Rule::Cost);
}

#[test]
fn complex_images_are_refused_not_verified_for_ever() {
    // every function is the same long stretch of code
    let mut im = handler(&[RET]);
    let long: Vec<u64> =
        std::iter::repeat_n(i(Op::Ldi, 0, 0, 0, 0).encode(), 20_000).chain([RET.encode()]).collect();
    im.func_words(&long);
    let f = im.funcs[1];
    im.funcs.extend(vec![f; 20_000]);
    refused(&im, Rule::Complex);
    // more try blocks than the machine looks through
    let mut im = Image::new();
    im.probe(&[LOCK, RET, RET], &[]);
    for _ in 0..300 {
        im.try_block(0, 1, 2);
    }
    refused(&im, Rule::Complex);
}

#[test]
fn complex_code_between_two_charges_has_a_bound() {
    let filler = |n: usize| vec![i(Op::Ldi, 0, 0, 0, 0); n];
    // a function
    let function = |n: usize| handler(&[filler(n), vec![RET]].concat());
    accepted(&function(65_535));
    refused(&function(65_536), Rule::Complex);
    // a loop
    let turn = |n: usize| handler(&[filler(n), vec![i(Op::Loop, 1, 0, 0, -1 - n as i32)]].concat());
    accepted(&turn(4_095));
    refused(&turn(4_096), Rule::Complex);
    let short =
        |n: u16| handler(&[filler(usize::from(n) - 1), vec![ibc(Op::Looplti, 0, n, 5), RET]].concat());
    accepted(&short(4_096));
    refused(&short(4_097), Rule::Complex);
}

#[test]
fn complex_tables_that_share_what_they_refer_to_are_refused() {
    // a format of more pieces than arguments can ask for
    let pieces = |n: usize| {
        let mut im = handler(&[RET]);
        im.fmt_items(&vec![FmtItem { prec: -1, ..FmtItem::default() }; n]);
        im
    };
    accepted(&pieces(1024));
    refused(&pieces(1025), Rule::Complex);
    // lock sets: every probe has the same large one
    let locks = |probes: usize| {
        let mut im = Image::new();
        for _ in 0..4096 {
            im.int(0);
        }
        im.probe(&[RET], &(0..4096).map(|g| (g, READ)).collect::<Vec<_>>());
        let p = im.probes[0];
        im.probes.resize(probes, p);
        im
    };
    accepted(&locks(4096));
    refused(&locks(4097), Rule::Complex);
    // regular expressions: all of them the same large table
    let (states, classes) = (1000u32, 256);
    let mut w = vec![states, classes, 0, 0, 0, 0];
    w.extend((0..64).map(|n| (0..4).map(|b| (4 * n + b) << (8 * b)).sum::<u32>()));
    for _ in 0..states {
        w.extend([0, !0, 0, !0, 0]);
    }
    w.resize(w.len() + (states * classes) as usize, 0);
    w.push(0);
    w[5] = w.len() as u32;
    let dfas = |n: usize| {
        let mut im = handler(&[RET]);
        im.dfas.resize(n, Dfa { first: 0, count: w.len() as u32, ..Dfa::default() });
        im.dfadata = w.clone();
        im
    };
    accepted(&dfas(60));
    refused(&dfas(70), Rule::Complex);
    // more items in a state than a match has room for, in a table without tags too
    let mut many = dfas(1);
    (many.dfadata[4], many.dfadata[70]) = (!0, 1025);
    refused(&many, Rule::Regex);
}

#[test]
fn caps_guru_for_handlers_without_a_limit() {
    let mut im = handler(&[RET]);
    im.limits.suppress_time = 1;
    accepted(&im);
    im.caps &= !8;
    refused(&im, Rule::Caps);
}

#[test]
fn handlers_have_no_parameters_and_probes_enter_handlers_only() {
    let mut im = handler(&[RET]);
    im.funcs[0].ni = 1;
    refused(&im, Rule::Container);
    let mut im = handler(&[RET]);
    im.funcs[0] = Func { flags: 0, ..im.funcs[0] };
    refused(&im, Rule::Container);
}
