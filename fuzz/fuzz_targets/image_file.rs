//! The reader of image files: any bytes, as they are and as the body of a file
//! whose head is right. What it reads is written again, listed, flattened, and
//! given to the verifier; nothing of that may fail otherwise than by its word.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stp_compiler::bytecode::file::sealed;
use stp_compiler::bytecode::Image;
use stp_fuzz::flatten;

fuzz_target!(|bytes: &[u8]| {
    for file in [bytes.to_vec(), sealed(bytes, b"id")] {
        let Ok(image) = Image::from_bytes(&file) else { continue };
        let again = image.to_bytes().expect("what was read can be written");
        assert_eq!(Image::from_bytes(&again).as_ref(), Ok(&image));
        let _ = stp_compiler::bytecode::assemble(&image.listing(true));
        let _ = image.error_text(b"x", 0, &[1], Some(0));
        if let Some(flat) = flatten(&image) {
            let _ = stp_vm::verify(&flat, 15);
        }
    }
});
