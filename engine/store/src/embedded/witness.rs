//! The witness: how many writes were acknowledged, in a small file beside the database.
//!
//! A database that finds its journal damaged takes the damage for the torn end of a crash and leaves out what follows.
//! It has nothing to compare with; the witness is that: written after each sync and before anything is acknowledged. A
//! database that knows of fewer writes than its witness lost acknowledged ones, and is refused. The witness itself is not
//! synced: after a loss of power it may be some seconds old, which only makes it say less. It relies on the operating
//! system keeping what a killed process wrote. It must never say more than is durable.
//!
//! 24 bytes: `TRIPWIT1`, the number of writes big-endian, their checksum. Written at once, within one sector.
//! Rejected: syncing it as well, which would make each commit twice as dear to notice damage some seconds earlier.

use super::fault::of_file;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tripline_core::port::{FaultClass, PortFault};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"TRIPWIT1";

pub(super) struct Witness {
    path: PathBuf,
    file: File,
    /// What it said when it was opened.
    pub(super) writes: u64,
}

impl Witness {
    /// Opens it, or makes one that has seen nothing.
    pub(super) fn open(folder: &Path) -> Result<Self, PortFault> {
        let path = folder.join("witness");
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options
            .open(&path)
            .map_err(|fault| of_file("open the witness", &path, fault))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|fault| of_file("read the witness", &path, fault))?;
        // Power was lost before its first bytes came to the disk: it has seen nothing.
        let fresh = bytes.iter().all(|byte| *byte == 0);
        let writes = match read(&bytes) {
            Some(writes) => writes,
            None if fresh => 0,
            None => {
                return Err(PortFault::new(
                    FaultClass::Stop,
                    format!(
                        "read the witness {}: it is damaged; remove it if the rest of the store is known to be whole",
                        path.display()
                    ),
                ));
            }
        };
        Ok(Self { path, file, writes })
    }

    /// Says that so many writes are durable.
    pub(super) fn write(&self, writes: u64) -> Result<(), PortFault> {
        self.file
            .write_all_at(&text(writes), 0)
            .map_err(|fault| of_file("write the witness", &self.path, fault))
    }

    /// Refuses a database that knows of fewer writes.
    pub(super) fn check(&self, writes: u64) -> Result<(), PortFault> {
        if writes >= self.writes {
            return Ok(());
        }
        let lost = self.writes - writes;
        Err(PortFault::new(
            FaultClass::Stop,
            format!(
                "open the store: its last {lost} acknowledged writes are missing from the database; restore it from a \
                 copy, or remove {} to go on without them",
                self.path.display()
            ),
        ))
    }
}

fn text(writes: u64) -> [u8; 24] {
    let mut text = [0; 24];
    text[..8].copy_from_slice(MAGIC);
    text[8..16].copy_from_slice(&writes.to_be_bytes());
    let sum = xxh3_64(&text[..16]);
    text[16..].copy_from_slice(&sum.to_be_bytes());
    text
}

fn read(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; 24] = bytes.try_into().ok()?;
    let writes = u64::from_be_bytes(bytes[8..16].try_into().ok()?);
    (*bytes == text(writes)).then_some(writes)
}

/// Makes what was created in a folder outlive a loss of power.
pub(super) fn sync_folder(folder: &Path) -> Result<(), PortFault> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|fault| of_file("sync the folder", folder, fault))
}

/// Makes a folder, if it is not there.
pub(super) fn make_folder(folder: &Path) -> Result<(), PortFault> {
    fs::create_dir_all(folder).map_err(|fault| of_file("make the folder", folder, fault))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_it_wrote_and_no_flipped_bit() {
        let whole = text(77);
        assert_eq!(read(&whole), Some(77));
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped), None, "bit {bit}");
        }
        assert_eq!(read(&whole[..23]), None);
    }
}
