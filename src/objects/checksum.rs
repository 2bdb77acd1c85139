//! Digests of bytes on their way in, and what can be said of a whole from those of its parts.

use md5::{Digest as _, Md5};
// The CRCs come from `s3s`, which has them with SIMD; it is only arithmetic, no wire type comes with it.
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] = [
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ];

    /// The name that everybody uses, in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    /// The algorithm of that name, in whatever case.
    pub fn named(name: &str) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// The bytes of one digest.
    pub fn len_bytes(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    /// The digest of bytes in memory.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let mut hasher = Hasher::new(self);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The reflected polynomial of a CRC and its width in bits; `None` for what is no CRC.
    fn polynomial(self) -> Option<(u64, u32)> {
        match self {
            Algorithm::Crc32 => Some((0xEDB8_8320, 32)),
            Algorithm::Crc32c => Some((0x82F6_3B78, 32)),
            Algorithm::Crc64Nvme => Some((0x9A6C_9329_AC4B_C9B5, 64)),
            Algorithm::Sha1 | Algorithm::Sha256 => None,
        }
    }
}

/// What a multipart object's checksum was computed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Span {
    /// All bytes, as if they had come in one piece.
    FullObject,
    /// The digests of the parts, one after the other.
    Composite,
}

/// A checksum that is kept with an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checksum {
    pub algorithm: Algorithm,
    pub span: Span,
    /// The digest in base64; a composite one ends in `-` and the number of parts.
    pub value: String,
}

impl Checksum {
    /// The checksum of a body that came in one piece.
    pub fn whole(algorithm: Algorithm, digest: &[u8]) -> Checksum {
        Checksum { algorithm, span: Span::FullObject, value: STANDARD.encode(digest) }
    }

    /// The checksum of an object from those of its parts: (digest, size in bytes) in order.
    ///
    /// `None` where the algorithm cannot be joined that way: the digest of a whole cannot be had from SHA digests
    /// of parts.
    pub fn of_parts(
        algorithm: Algorithm,
        span: Span,
        parts: &[(Vec<u8>, u64)],
    ) -> Option<Checksum> {
        let value = match span {
            Span::Composite => {
                let digests: Vec<u8> =
                    parts.iter().flat_map(|(digest, _)| digest.clone()).collect();
                format!("{}-{}", STANDARD.encode(algorithm.digest(&digests)), parts.len())
            }
            Span::FullObject => {
                let (polynomial, width) = algorithm.polynomial()?;
                let mut whole = 0;
                for (digest, size_bytes) in parts {
                    whole = shift(whole, *size_bytes, polynomial, width) ^ number(digest);
                }
                let bytes = whole.to_be_bytes();
                STANDARD.encode(&bytes[bytes.len() - algorithm.len_bytes()..])
            }
        };
        Some(Checksum { algorithm, span, value })
    }
}

fn number(digest: &[u8]) -> u64 {
    digest.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// A linear map on the bits of a CRC: what each single bit becomes.
type Map = [u64; 64];

fn apply(map: &Map, mut bits: u64) -> u64 {
    let mut sum = 0;
    while bits != 0 {
        sum ^= map[bits.trailing_zeros() as usize];
        bits &= bits - 1;
    }
    sum
}

/// The CRC's register after `size_bytes` further zero bytes.
///
/// A zero bit is a linear map of the register; maps are squared so that the cost grows with the logarithm of the size.
fn shift(crc: u64, size_bytes: u64, polynomial: u64, width: u32) -> u64 {
    let mut map: Map = [0; 64];
    map[0] = polynomial;
    for (below, bit) in map.iter_mut().skip(1).take(width as usize - 1).enumerate() {
        *bit = 1 << below;
    }
    let squared = |map: &Map| -> Map { std::array::from_fn(|bit| apply(map, map[bit])) };
    // Three squarings turn the map of one bit into that of one byte.
    let mut map = squared(&squared(&squared(&map)));
    let (mut crc, mut left) = (crc, size_bytes);
    while left != 0 {
        if left & 1 == 1 {
            crc = apply(&map, crc);
        }
        left >>= 1;
        if left != 0 {
            map = squared(&map);
        }
    }
    crc
}

enum Hasher {
    Crc32(Crc32),
    Crc32c(Crc32c),
    Crc64Nvme(Crc64Nvme),
    Sha1(Sha1),
    Sha256(Sha256),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Crc32 => Hasher::Crc32(Crc32::new()),
            Algorithm::Crc32c => Hasher::Crc32c(Crc32c::new()),
            Algorithm::Crc64Nvme => Hasher::Crc64Nvme(Crc64Nvme::new()),
            Algorithm::Sha1 => Hasher::Sha1(Sha1::new()),
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Crc32(hasher) => hasher.update(bytes),
            Hasher::Crc32c(hasher) => hasher.update(bytes),
            Hasher::Crc64Nvme(hasher) => hasher.update(bytes),
            Hasher::Sha1(hasher) => hasher.update(bytes),
            Hasher::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Crc32(hasher) => hasher.finalize().to_vec(),
            Hasher::Crc32c(hasher) => hasher.finalize().to_vec(),
            Hasher::Crc64Nvme(hasher) => hasher.finalize().to_vec(),
            Hasher::Sha1(hasher) => hasher.finalize().as_ref().to_vec(),
            Hasher::Sha256(hasher) => hasher.finalize().as_ref().to_vec(),
        }
    }
}

/// MD5 and the asked-for digests, in one pass.
pub(super) struct Hashes {
    md5: Md5,
    others: Vec<(Algorithm, Hasher)>,
}

/// What [`Hashes`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) md5: [u8; 16],
    pub(super) others: Vec<(Algorithm, Vec<u8>)>,
}

impl Hashes {
    pub(super) fn new(algorithms: &[Algorithm]) -> Hashes {
        let others = algorithms.iter().map(|algorithm| (*algorithm, Hasher::new(*algorithm)));
        Hashes { md5: Md5::new(), others: others.collect() }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        for (_, hasher) in &mut self.others {
            hasher.update(bytes);
        }
    }

    pub(super) fn finish(self) -> Digests {
        let others =
            self.others.into_iter().map(|(algorithm, hasher)| (algorithm, hasher.finish()));
        Digests { md5: self.md5.finalize().into(), others: others.collect() }
    }
}

/// The `ETag` of an object from the MD5 digests of its parts, in order.
pub(super) fn etag_of_parts(digests: &[Vec<u8>]) -> String {
    let mut md5 = Md5::new();
    for digest in digests {
        md5.update(digest);
    }
    format!("{}-{}", hex::encode(md5.finalize()), digests.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hello_has_the_checksum_that_botocore_sends() {
        assert_eq!(STANDARD.encode(Algorithm::Crc32.digest(b"hello")), "NhCmhg==");
    }

    proptest! {
        #[test]
        fn the_crc_of_a_whole_follows_from_its_parts(parts: Vec<Vec<u8>>) {
            let whole: Vec<u8> = parts.iter().flatten().copied().collect();
            for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
                let digests: Vec<(Vec<u8>, u64)> =
                    parts.iter().map(|part| (algorithm.digest(part), part.len() as u64)).collect();
                prop_assert_eq!(
                    Checksum::of_parts(algorithm, Span::FullObject, &digests),
                    Some(Checksum::whole(algorithm, &algorithm.digest(&whole)))
                );
            }
        }
    }
}
