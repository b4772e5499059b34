//! The envelope of a snapshot of state: what it is, of which version, how long, and its checksum.
//!
//! Version 2; version 1 was never released. Old reader, new data: refused by its version, and the state begins anew, which is said. New reader, old
//! data: each older version is read or refused by name. Old writer rewriting new data: cannot happen, as what
//! was refused is never written over (the file is renamed aside).
//!
//! The payload is only read when its checksum is right, so a torn or tampered file is never half believed.

use sha2::{Digest, Sha256};
use thiserror::Error;

/// Version of the payload that this build writes.
pub const SNAPSHOT_VERSION: u32 = 2;

const MAGIC: [u8; 8] = *b"TRIPSTAT";
const HEADER_BYTES: usize = MAGIC.len() + 4 + 8 + 32;

/// Why a snapshot cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EnvelopeFault {
    /// Something else.
    #[error("this is no snapshot of state")]
    NotASnapshot,
    /// Of another version.
    #[error("the snapshot has version {0}, and this build reads version {SNAPSHOT_VERSION}")]
    Version(u32),
    /// Not all of it is there.
    #[error("the snapshot is cut short: {found} of {wanted} bytes")]
    Truncated {
        /// Bytes that are there.
        found: u64,
        /// Bytes that should be.
        wanted: u64,
    },
    /// It was changed after it was written.
    #[error("the snapshot's checksum is wrong")]
    Checksum,
}

/// Room for the header, behind which the payload is written.
pub fn begin() -> Vec<u8> {
    vec![0; HEADER_BYTES]
}

/// Makes what was begun and written a snapshot. Payloads are large, so they are not copied.
pub fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    debug_assert!(
        bytes.len() >= HEADER_BYTES,
        "begun with room for the header"
    );
    let (header, payload) = bytes.split_at_mut(HEADER_BYTES);
    let length = (payload.len() as u64).to_le_bytes();
    let checksum = Sha256::digest(&*payload);
    let parts = [
        &MAGIC[..],
        &SNAPSHOT_VERSION.to_le_bytes(),
        &length,
        &checksum,
    ];
    header.copy_from_slice(&parts.concat());
    bytes
}

/// The payload of a snapshot.
pub fn open(bytes: &[u8]) -> Result<&[u8], EnvelopeFault> {
    let (magic, rest) = bytes
        .split_first_chunk::<8>()
        .ok_or(EnvelopeFault::NotASnapshot)?;
    if *magic != MAGIC {
        return Err(EnvelopeFault::NotASnapshot);
    }
    let truncated = |wanted: u64| EnvelopeFault::Truncated {
        found: bytes.len() as u64,
        wanted,
    };
    let short = || truncated(HEADER_BYTES as u64);
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let version = u32::from_le_bytes(*version);
    if version != SNAPSHOT_VERSION {
        return Err(EnvelopeFault::Version(version));
    }
    let (length, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    let (checksum, payload) = rest.split_first_chunk::<32>().ok_or_else(short)?;
    let length = u64::from_le_bytes(*length);
    if payload.len() as u64 != length {
        return Err(truncated(length.saturating_add(HEADER_BYTES as u64)));
    }
    if Sha256::digest(payload).as_slice() != checksum {
        return Err(EnvelopeFault::Checksum);
    }
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use super::{EnvelopeFault, begin, open};
    use proptest::prelude::*;

    fn seal(payload: &[u8]) -> Vec<u8> {
        super::seal([begin(), payload.to_vec()].concat())
    }

    proptest! {
        #[test]
        fn a_payload_survives_and_every_damage_is_seen(
            payload in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0u8..8,
        ) {
            let sealed = seal(&payload);
            prop_assert_eq!(open(&sealed), Ok(payload.as_slice()));
            let at = at.index(sealed.len());
            prop_assert!(open(&sealed[..at]).is_err());
            let mut damaged = sealed.clone();
            damaged[at] ^= 1 << bit;
            prop_assert!(open(&damaged).is_err());
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let mut sealed = seal(b"abc");
        assert_eq!(open(b"{}"), Err(EnvelopeFault::NotASnapshot));
        assert!(matches!(
            open(&sealed[..20]),
            Err(EnvelopeFault::Truncated { .. })
        ));
        sealed[8] = 9;
        assert_eq!(open(&sealed), Err(EnvelopeFault::Version(9)));
    }
}
