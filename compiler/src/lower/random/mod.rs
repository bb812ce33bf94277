//! Random scripts: each is made together with a plain evaluator's answer, then
//! compiled, verified and run by the hosted machine. The same bytes must come
//! out; `tests/language/random.rs` asks the same of the guests' kernels.
//! `STPVM_RANDOM=N` runs N scripts instead of the fixed few, `STPVM_SEED=N`
//! begins with another.

mod draw;

use super::tests::{compile_options, run_image};
use draw::make::case;

/// Output without the places of errors, which the evaluator does not know.
fn without_places(out: &str) -> String {
    out.lines()
        .map(|l| match l.strip_prefix("ERROR: ") {
            Some(_) => format!("{}\n", l.split(" near ").next().unwrap_or(l)),
            None => format!("{l}\n"),
        })
        .collect()
}

#[test]
fn random_scripts_print_what_a_plain_evaluator_says() {
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let n = number("STPVM_RANDOM").unwrap_or(150);
    let first = number("STPVM_SEED").unwrap_or(1);
    let mut run = 0;
    for seed in first..first + n {
        let Some(case) = case(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)) else { continue };
        let script = &case.script;
        let drawn: Vec<(&str, String)> = case.defines.iter().map(|(n, v)| (*n, v.to_string())).collect();
        let mut limits = vec![("MAXACTION_INTERRUPTIBLE", "100000000"), ("MAXNESTING", "40")];
        limits.extend(drawn.iter().map(|(n, v)| (*n, v.as_str())));
        let image = compile_options(script, &limits, true);
        let got = without_places(&run_image(&image));
        assert_eq!(got, case.expected, "seed {seed}\n{script}\n{}", image.listing(true));
        // What has no use is left out; an error in it then is not met.
        if !case.failed {
            let image = compile_options(script, &limits, false);
            let got = without_places(&run_image(&image));
            assert_eq!(got, case.expected, "optimized, seed {seed}\n{script}\n{}", image.listing(true));
        }
        let mut canonical = image.clone();
        canonical.canonical();
        assert_eq!(crate::bytecode::assemble(&image.listing(true)).expect("assembles"), canonical);
        run += 1;
    }
    assert!(run * 2 > n, "most cases are short enough to run");
}
