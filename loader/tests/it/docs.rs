//! The manual says of each option that is not obeyed what becomes of it.

use stp_loader::cli::table::{Support, OPTIONS};

#[test]
fn every_option_that_is_not_obeyed_stands_in_the_manual() {
    let page = include_str!("../../../docs/language.md");
    let rows: Vec<&str> = page.lines().filter(|l| l.starts_with("| `-") && !l.contains("`-D")).collect();
    let mut wanted = Vec::new();
    for o in OPTIONS {
        let (what, why) = match o.support {
            Support::Yes => continue,
            Support::No(why) => ("refused", why),
            Support::Harmless(why) => ("no effect", why),
        };
        wanted.push(format!("| `{}` | {what}: {why} |", o.spelling()));
    }
    assert_eq!(rows, wanted);
}
