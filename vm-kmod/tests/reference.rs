//! The committed reference page says what the tables say.

#[test]
fn reference_page_is_fresh() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference.md");
    let page = std::fs::read_to_string(path).expect("docs/reference.md");
    assert!(
        page == stp_vm::reference::page(),
        "docs/reference.md is stale: cargo run -p stp-vm --example reference"
    );
}
