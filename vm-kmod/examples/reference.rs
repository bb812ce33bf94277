//! Writes `docs/reference.md` from the tables.

fn main() -> std::io::Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference.md");
    std::fs::write(path, stp_vm::reference::page())
}
