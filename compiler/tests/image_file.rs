//! Damaged image files: whatever the bytes are, the reader gives an image or a
//! word, and an image from anywhere can be written, listed and flattened.
//! A short run with a fixed seed; `STPVM_FUZZ_SECONDS=3600` makes it a long one.

use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Instant;
use stp_compiler::bytecode::file::sealed;
use stp_compiler::bytecode::{assemble, Image, ResolvedPlace};
use stp_compiler::driver::{Compilation, Input, Options};

const SCRIPTS: [&str; 3] = [
    "global a, s, t%[8] probe begin { a[1, \"x\"]++; s <<< 5; t[2] = \"y\"; print(@hist_log(s)); exit() }",
    "function f(x, y:string) { if (x > 3) return f(x - 1, y . y) return x }\n\
     probe timer.ms(5), end { try { println(f(9, \"q\") / 2) } catch (e) { printf(\"%5s %-3d\\n\", e, 4) } }",
    "global n probe begin { foreach (k in n- limit 3) if (k =~ \"a(b|c)*\") println(matched(1)) n[\"abc\"] = 7 }",
];

fn image(script: &str) -> Image {
    let sysroot = Some(PathBuf::from("/nonexistent"));
    let mut c = Compilation::new(Options { sysroot, ..Options::default() });
    let input = Input { name: "F".into(), text: script.into() };
    let made = c.parse(&[input]).and_then(|()| c.analyze()).and_then(|()| c.translate());
    assert!(made.is_ok(), "{script}: {:?}", c.diagnostics.list);
    c.image.expect("an image")
}

/// True when the bytes are an image.
fn survives(bytes: &[u8]) -> bool {
    let Ok(image) = Image::from_bytes(bytes) else { return false };
    let again = image.to_bytes().expect("what was read can be written");
    assert_eq!(Image::from_bytes(&again).as_ref(), Ok(&image));
    let _ = assemble(&image.listing(true));
    let _ = image.error_text(b"x", 0, &[1, u32::MAX], Some(0));
    if let Ok(flat) = image.flatten::<Infallible>(&mut |_| Ok(ResolvedPlace::default())) {
        let _ = stp_vm::verify(&flat, 15);
    }
    true
}

#[test]
fn damaged_images_are_read_or_refused() {
    let seconds = std::env::var("STPVM_FUZZ_SECONDS").ok().and_then(|s| s.parse::<u64>().ok());
    let bodies: Vec<Vec<u8>> =
        SCRIPTS.iter().map(|s| image(s).to_bytes().expect("a file")[64..].to_vec()).collect();
    assert!(bodies.iter().all(|b| survives(&sealed(b, b"id"))));
    let mut state = 0x5eed_0bad_u64;
    let mut below = |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let start = Instant::now();
    let (mut made, mut read) = (0u64, 0u64);
    while seconds.map_or(made < 3000, |s| start.elapsed().as_secs() < s) {
        let mut body = bodies[below(bodies.len())].clone();
        for _ in 0..1 + below(3) {
            let at = below(body.len());
            match below(5) {
                0 => body[at] = below(256) as u8,
                1 => body[at] ^= 1 << below(8),
                2 => body[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)],
                3 => body.truncate(at.max(1)),
                _ => {
                    let from = below(body.len());
                    let n = 8.min(body.len() - at.max(from));
                    body.copy_within(from..from + n, at);
                }
            }
        }
        read += u64::from(survives(&sealed(&body, b"id")));
        made += 1;
    }
    eprintln!("{made} files, {read} read, {:?}", start.elapsed());
    assert!(read > made / 50, "{read} of {made}: only the reader's first checks were reached");
}
