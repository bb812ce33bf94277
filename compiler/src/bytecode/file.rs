//! The file form of an image, `NAME.stpbc`.
//!
//! ```text
//!   0  magic "\x7fstpbc\r\n"    a transfer as text damages it visibly
//!   8  u32 version of this form
//!  12  u32 bytes of the body
//!  16  u64 fingerprint of the instruction set (isa::ISA_HASH)
//!  24  u64 checksum (FNV-1a) of all that follows
//!  32  u8  length of the build-id, then 31 bytes of it (zero where unused)
//!  64  body: bincode 2, serde
//! ```
//!
//! Reads whatever bytes it is given; refuses, never panics, takes no more
//! memory than a small multiple of the file.

use super::image::Image;
use crate::target::kernel::ID_MAX;
use stp_vm::isa::ISA_HASH;

const MAGIC: &[u8; 8] = b"\x7fstpbc\r\n";
const VERSION: u32 = 2;
const HEADER: usize = 64;
/// Most bytes of a body, and most memory that reading one may ask for.
const BODY_MAX: usize = 64 << 20;

/// Why a file is not an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("not a compiled script (stap -p4 makes one)")]
    Foreign,
    #[error("compiled script is cut short: {have} of {want} bytes")]
    Truncated { have: usize, want: usize },
    #[error("compiled script is for another version of stpvm: compile it again")]
    OtherVersion,
    #[error("compiled script is damaged: {0}")]
    Damaged(String),
    #[error("script is too large: {0} bytes of bytecode")]
    TooLarge(usize),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<BODY_MAX>()
}

/// 64-bit FNV-1a: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// Head and checksum put before an encoded body, whatever that holds: tests of the reader make
/// damaged images with it.
pub fn sealed(body: &[u8], target: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&ISA_HASH.to_le_bytes());
    out.extend_from_slice(&[0; 8]);
    let id = &target[..target.len().min(ID_MAX)];
    out.push(id.len() as u8);
    out.extend_from_slice(id);
    out.resize(HEADER, 0);
    out.extend_from_slice(body);
    let sum = checksum(&out[32..]);
    out[24..32].copy_from_slice(&sum.to_le_bytes());
    out
}

impl Image {
    /// The file form.
    pub fn to_bytes(&self) -> Result<Vec<u8>, FileError> {
        let body = bincode::serde::encode_to_vec(self, config())
            .map_err(|e| FileError::Damaged(format!("it can't be written: {e}")))?;
        if body.len() > BODY_MAX {
            return Err(FileError::TooLarge(body.len()));
        }
        Ok(sealed(&body, &self.target))
    }

    /// Reads the file form; `bytes` may be anything.
    pub fn from_bytes(bytes: &[u8]) -> Result<Image, FileError> {
        if bytes.get(..8) != Some(MAGIC.as_slice()) {
            return Err(FileError::Foreign);
        }
        let Some(head) = bytes.get(..HEADER) else {
            return Err(FileError::Truncated { have: bytes.len(), want: HEADER });
        };
        let u32_at = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u32_at(8) != VERSION || u64_at(16) != ISA_HASH {
            return Err(FileError::OtherVersion);
        }
        let len = u32_at(12) as usize;
        let body = &bytes[HEADER..];
        if body.len() < len {
            return Err(FileError::Truncated { have: bytes.len(), want: HEADER.saturating_add(len) });
        }
        if body.len() > len || len > BODY_MAX {
            return Err(FileError::Damaged("bytes follow its end".into()));
        }
        if checksum(&bytes[32..]) != u64_at(24) {
            return Err(FileError::Damaged("checksum does not fit".into()));
        }
        let (mut image, used): (Image, usize) = bincode::serde::decode_from_slice(body, config())
            .map_err(|e| FileError::Damaged(format!("{e}")))?;
        if used != len {
            return Err(FileError::Damaged("body is longer than what it holds".into()));
        }
        let id = usize::from(head[32]).min(ID_MAX);
        image.target = head[33..33 + id].to_vec();
        Ok(image)
    }
}
