//! What the fuzz targets share.

use std::convert::Infallible;
use stp_compiler::bytecode::{Image, ResolvedPlace};
use stp_compiler::types::hir::Place;
use stp_vm::flat::kind;

/// The flat form on a machine that knows no address; nothing where the image is too large.
pub fn flatten(image: &Image) -> Option<Vec<u8>> {
    let resolve = &mut |place: &Place| -> Result<ResolvedPlace, Infallible> {
        let kind = match place {
            Place::Begin { .. } => kind::BEGIN,
            Place::End { .. } => kind::END,
            Place::Error { .. } => kind::ERROR,
            Place::Never => kind::NEVER,
            Place::Timer { .. } => kind::TIMER,
            Place::Profile { .. } => kind::PROFILE,
            _ => kind::FENTRY,
        };
        Ok(ResolvedPlace { kind, ..ResolvedPlace::default() })
    };
    image.flatten(resolve).ok()
}
