//! The library's floating point beside the processor's: the same bits for
//! thousands of pairs that are chosen for their trouble.

use std::fmt::Write as _;
use std::process::Command;
use stp_tests::guest;

/// xorshift64*: the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Any bits; exponents near 1; few bits in the fraction; subnormal; the corners.
    fn double(&mut self) -> f64 {
        const CORNERS: [u64; 10] = [
            0,
            1,
            (1 << 52) - 1,
            1 << 52,
            0x3fef_ffff_ffff_ffff,
            0x3ff0_0000_0000_0001,
            0x4340_0000_0000_0000,
            0x43e0_0000_0000_0000,
            0x7fef_ffff_ffff_ffff,
            0x7ff0_0000_0000_0000,
        ];
        let (bits, sign) = (self.next(), self.next() << 63);
        f64::from_bits(match self.next() >> 61 {
            0 => CORNERS[(bits >> 32) as usize % CORNERS.len()] | sign,
            1 => bits,
            2 | 3 => (bits & ((1 << 52) - 1)) | (1023 - 30 + self.next() % 60) << 52 | sign,
            4 | 5 => {
                (bits & self.next() & self.next() & ((1 << 52) - 1)) | (1023 + self.next() % 4) << 52 | sign
            }
            6 => (bits & ((1 << 52) - 1)) | (self.next() % 3) << 52 | sign,
            _ => ((bits as i32 >> 20) as f64).to_bits(),
        })
    }
}

#[test]
fn floating_point_is_that_of_the_processor() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let (mut script, mut want) = (String::new(), String::new());
    for n in 0..120 {
        writeln!(script, "probe begin({n}) {{").unwrap();
        for _ in 0..10 {
            let (x, y) = (numbers.double(), numbers.double());
            let results =
                [("add", x + y), ("sub", x - y), ("mul", x * y), ("div", x / y), ("sqrt", x.sqrt())];
            let (a, b) = (x.to_bits(), y.to_bits());
            for (name, result) in results {
                let second = if name == "sqrt" { String::new() } else { format!(", {b:#x}") };
                writeln!(script, "printf(\"%x %x {name} %x\\n\", {a:#x}, {b:#x}, fp_{name}({a:#x}{second}))")
                    .unwrap();
                // which NaN it is differs between processors
                let bits = if result.is_nan() { "nan".into() } else { format!("{:x}", result.to_bits()) };
                writeln!(want, "{a:x} {b:x} {name} {bits}").unwrap();
            }
            writeln!(script, "printf(\"%d%d%d %s %x\\n\", fp_eq({a:#x}, {b:#x}), fp_lt({a:#x}, {b:#x}), fp_le({a:#x}, {b:#x}), fp_to_string({a:#x}, 9), long_to_fp({b:#x}))").unwrap();
            let text = if x.is_nan() { "nan".into() } else { format!("{x:.9}") };
            let integer = (b as i64 as f64).to_bits();
            writeln!(want, "{}{}{} {text} {integer:x}", (x == y) as u8, (x < y) as u8, (x <= y) as u8)
                .unwrap();
        }
        writeln!(script, "}}").unwrap();
    }
    script += "probe begin(1000) { exit() }";
    let stap = guest::stap_dir().expect("stap").join("stap");
    let mut run = Command::new(stap);
    // too long for a word of a command line
    let file = std::env::temp_dir().join(format!("stpvm-floating-point-{}.stp", std::process::id()));
    std::fs::write(&file, script).expect("script");
    run.args(["--runtime=user", "-DMAXACTION_INTERRUPTIBLE=1000000"]).arg(&file);
    let got = run.output().expect("stap starts");
    let _ = std::fs::remove_file(&file);
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    let got = String::from_utf8_lossy(&got.stdout).into_owned();
    let is_nan = |bits: &str| u64::from_str_radix(bits, 16).is_ok_and(|b| f64::from_bits(b).is_nan());
    for (got, want) in got.lines().zip(want.lines()) {
        let same =
            got == want || want.strip_suffix("nan").is_some_and(|w| got.strip_prefix(w).is_some_and(is_nan));
        assert!(same, "got {got}\nnot {want}");
    }
    assert_eq!(got.lines().count(), want.lines().count());
}
