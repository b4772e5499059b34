//! Chance. See `wit/random.wit`.

use super::limits::RANDOM_BYTES_MAX;
use thiserror::Error;

/// More bytes than one call may ask for, or none to be had: a trap, since the interface knows no faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} random bytes in one call")]
pub struct TooMuch(pub u32);

pub(super) fn bytes(count: u32) -> Result<Vec<u8>, TooMuch> {
    if count > RANDOM_BYTES_MAX {
        return Err(TooMuch(count));
    }
    let mut bytes = vec![0; count as usize];
    // The system's generator needs no seeding and no state that instances could share.
    getrandom::fill(&mut bytes).map_err(|_| TooMuch(count))?;
    Ok(bytes)
}
