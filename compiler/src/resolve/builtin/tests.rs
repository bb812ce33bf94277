//! Patterns of built-in points, and what a point asks for.

use super::*;

fn comp(name: &str, n: Option<i64>) -> Comp {
    Comp { name: name.into(), arg: n.map(Literal::Number) }
}

#[test]
fn every_pattern_has_only_known_names_and_makes_a_request() {
    for p in patterns() {
        let comps: Vec<Comp> = p
            .iter()
            .map(|(n, a)| Comp {
                name: n.to_string(),
                arg: match a {
                    Arg::None => None,
                    Arg::Number => Some(Literal::Number(100_000)),
                    Arg::String => Some(Literal::String("x".into())),
                },
            })
            .collect();
        assert!(p.iter().all(|(n, _)| !n.is_empty()), "{}", pattern_text(p));
        let request = request(&comps, &|| 250);
        let text = pattern_text(p);
        let refused = ["timer.s", "timer.hz", ".counter", ".length", ".umask", ".maxactive", "netfilter"]
            .iter()
            .chain(&["callees(number)"])
            .any(|t| text.contains(t));
        assert!(request.is_ok() || refused, "{text}: {request:?}");
    }
}

#[test]
fn intervals_have_bounds_in_their_own_unit() {
    let t = |unit, n| request(&[comp("timer", None), comp(unit, Some(n))], &|| 250);
    assert_eq!(t("ms", 0).unwrap_err(), "interval value out of range (1, 86400000)");
    assert_eq!(t("us", 99).unwrap_err(), "interval value out of range (100, 86400000000)");
    assert_eq!(t("s", 2), Ok(Request::Place(Place::Timer { ns: 2_000_000_000, random_ns: 0 })));
    assert_eq!(t("hz", 20_000).unwrap_err(), "interval value out of range (100000, 86400000000000)");
    assert_eq!(t("jiffies", 3), Ok(Request::Place(Place::Timer { ns: 12_000_000, random_ns: 0 })));
    assert_eq!(t("hz", 4), Ok(Request::Place(Place::Timer { ns: 250_000_000, random_ns: 0 })));
}

#[test]
fn callees_have_a_depth_from_1_on() {
    let function = Comp { name: "function".into(), arg: Some(Literal::String("f".into())) };
    let callees = |n| request(&[comp("kernel", None), function.clone(), comp("callees", Some(n))], &|| 250);
    assert!(callees(1).is_ok() && callees(16).is_ok());
    for n in [0, -3, 17, 1 << 40] {
        assert_eq!(callees(n).unwrap_err(), "depth of callees out of range (1, 16)", "{n}");
    }
}

#[test]
fn watched_data_has_a_length_that_the_processor_knows() {
    let at = |address, length| {
        request(
            &[
                comp("kernel", None),
                comp("data", Some(address)),
                comp("length", Some(length)),
                comp("write", None),
            ],
            &|| 250,
        )
    };
    let place = |address, length| {
        Ok(Request::Place(Place::Data { symbol: None, module: None, address, length, write_only: true }))
    };
    assert_eq!(at(0x1000, 3), place(0x1000, 4));
    assert_eq!(at(0x1000, 8), place(0x1000, 8));
    assert!(at(0x1000, 9).is_err());
    assert!(at(0x1004, 8).is_err(), "not aligned");
}

#[test]
fn wildcards_match_only_points_whose_arguments_are_given() {
    let found = expand(&[comp("timer", None), comp("*", None)]);
    assert_eq!(found.iter().map(|c| point_text(c)).collect::<Vec<_>>(), ["timer.profile"]);
    let found = expand(&[comp("b*", None)]);
    assert_eq!(found.iter().map(|c| point_text(c)).collect::<Vec<_>>(), ["begin"]);
    assert!(expand(&[comp("begin", None), comp("call", None)]).is_empty());
    let event = |name: &str| {
        let event = Comp { name: name.into(), arg: Some(Literal::String("sched_switch".into())) };
        expand(&[comp("kernel", None), event]).len()
    };
    assert_eq!(["tr*", "trace", "tracepoint", "*point"].map(event), [1; 4]);
}
