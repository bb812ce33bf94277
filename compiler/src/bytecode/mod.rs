//! The image: what a script has become. File form, flat form, listing, assembler.

/// A compiled script, independent of the addresses of the machine that will run it.
#[derive(Clone, Debug, Default)]
pub struct Image {}
