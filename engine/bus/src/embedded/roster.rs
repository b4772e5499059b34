//! The roster: which segments there must be.
//!
//! The names of files alone cannot tell a segment that was given up from one that is missing, nor whether the newest is
//! there, and a log that lost its newest segment would give the same sequences a second time. The roster says where the
//! log begins and which segment is its newest. It is written before segments are deleted and after one was begun, so
//! at any crash it speaks of too many old segments and of too few new ones, which opening knows how to settle.
//!
//! Two slots are overwritten in turn, each within a sector, so that a torn one leaves the other. Rejected: a new file in
//! the place of the old one, which needs room just when a full disk is to be relieved.
//!
//! | slot (at 0 and at 512), offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | `TRIPROS1` |
//! | 8 | 8 | how often it was written; the higher slot counts |
//! | 16 | 8 | identity of the log |
//! | 24 | 8 | first sequence that is not given up |
//! | 32 | 8 | first sequence of the newest segment |
//! | 40 | 4 | CRC32C of bytes 0 to 40 |

use super::disk::{Bytes, Folder};
use super::frame::{u32_at, u64_at};
use crc32c::crc32c;
use std::io;
use std::sync::Arc;

/// Its name in the folder.
pub(super) const ROSTER: &str = "roster";
const ROSTER_NEW: &str = "roster.new";
const MAGIC: [u8; 8] = *b"TRIPROS1";
const SLOT_BYTES: usize = 512;

/// What it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) log: u64,
    pub(super) oldest: u64,
    pub(super) newest: u64,
}

/// The file, and what it says now.
#[derive(Debug)]
pub(super) struct Roster {
    file: Arc<dyn Bytes>,
    written: u64,
    pub(super) listed: Listed,
}

impl Roster {
    /// Makes it durable under its name.
    pub(super) fn create(folder: &dyn Folder, listed: Listed) -> io::Result<Self> {
        let file = folder.create(ROSTER_NEW)?;
        let mut bytes = vec![0; 2 * SLOT_BYTES];
        bytes[..SLOT_BYTES].copy_from_slice(&slot(&listed, 2));
        bytes[SLOT_BYTES..].copy_from_slice(&slot(&listed, 1));
        file.write_at(0, &bytes)?;
        file.sync()?;
        folder.rename(ROSTER_NEW, ROSTER)?;
        folder.sync()?;
        Ok(Self {
            file,
            written: 2,
            listed,
        })
    }

    /// Reads it; `None` when it is not there or both slots are damaged.
    pub(super) fn open(folder: &dyn Folder) -> io::Result<Option<Self>> {
        let file = match folder.open(ROSTER) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut bytes = vec![0; 2 * SLOT_BYTES];
        let read = file.read_at(0, &mut bytes)?;
        let slots = bytes[..read].chunks(SLOT_BYTES).filter_map(read_slot);
        let newest = slots.max_by_key(|(written, _)| *written);
        Ok(newest.map(|(written, listed)| Self {
            file,
            written,
            listed,
        }))
    }

    /// Says something new, durably.
    pub(super) fn write(&mut self, listed: Listed) -> io::Result<()> {
        let written = self.written + 1;
        let at = (written % 2) * SLOT_BYTES as u64;
        self.file.write_at(at, &slot(&listed, written))?;
        self.file.sync()?;
        self.written = written;
        self.listed = listed;
        Ok(())
    }
}

fn slot(listed: &Listed, written: u64) -> Vec<u8> {
    let mut bytes = vec![0; SLOT_BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&written.to_le_bytes());
    bytes[16..24].copy_from_slice(&listed.log.to_le_bytes());
    bytes[24..32].copy_from_slice(&listed.oldest.to_le_bytes());
    bytes[32..40].copy_from_slice(&listed.newest.to_le_bytes());
    let check = crc32c(&bytes[..40]);
    bytes[40..44].copy_from_slice(&check.to_le_bytes());
    bytes
}

fn read_slot(bytes: &[u8]) -> Option<(u64, Listed)> {
    if bytes.len() < 44 || bytes[0..8] != MAGIC || u32_at(bytes, 40) != crc32c(&bytes[..40]) {
        return None;
    }
    let listed = Listed {
        log: u64_at(bytes, 16),
        oldest: u64_at(bytes, 24),
        newest: u64_at(bytes, 32),
    };
    Some((u64_at(bytes, 8), listed))
}
