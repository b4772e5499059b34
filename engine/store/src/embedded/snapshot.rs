//! Snapshots: hundreds of megabytes at a time, so each is a file of its own beside the database.
//!
//! `<partition>-<number>.snapshot` holds the bytes and nothing else; its length, its checksum and the records that it has
//! seen are in the partition's entry, which is switched in one write once the file is durable. So a file is either
//! pointed to and whole, or left over and removed at the next opening. Written under a temporary name, synced, renamed,
//! the folder synced. It must never read a file that the entry does not describe to the byte.
//! Rejected: as values of the database, which would write each of them four times on its way down the levels.

use super::fault::of_file;
use super::layout::SnapshotPointer;
use super::witness::sync_folder;
use crate::limits::SNAPSHOT_BYTES_MAX;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use tripline_core::port::{FaultClass, Partition, PortFault, SnapshotKept};
use xxhash_rust::xxh3::xxh3_64;

const ENDING: &str = "snapshot";

/// Writes a snapshot durably under a name that nothing points to yet.
pub(super) fn write(
    folder: &Path,
    partition: Partition,
    number: u64,
    snapshot: &SnapshotKept,
) -> Result<SnapshotPointer, PortFault> {
    if snapshot.bytes.len() as u64 > SNAPSHOT_BYTES_MAX {
        return Err(PortFault::new(
            FaultClass::Reject,
            format!(
                "keep a snapshot of partition {}: it has {} bytes, more than {SNAPSHOT_BYTES_MAX}",
                partition.0,
                snapshot.bytes.len()
            ),
        ));
    }
    let path = path(folder, partition, number);
    let temporary = path.with_extension("unfinished");
    let written = File::create_new(&temporary)
        .and_then(|mut file| {
            file.write_all(&snapshot.bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &path));
    if let Err(fault) = written {
        // What cannot be removed now is removed at the next opening.
        let _ = fs::remove_file(&temporary);
        return Err(of_file("write the snapshot", &path, fault));
    }
    sync_folder(folder)?;
    Ok(SnapshotPointer {
        position: snapshot.position.0,
        file: number,
        length: snapshot.bytes.len() as u64,
        checksum: xxh3_64(&snapshot.bytes),
    })
}

/// Reads the snapshot that an entry describes.
pub(super) fn read(
    folder: &Path,
    partition: Partition,
    pointer: &SnapshotPointer,
) -> Result<Vec<u8>, PortFault> {
    let path = path(folder, partition, pointer.file);
    let length = fs::metadata(&path)
        .map_err(|fault| of_file("read the snapshot", &path, fault))?
        .len();
    let mut bytes = Vec::new();
    if length == pointer.length {
        bytes = fs::read(&path).map_err(|fault| of_file("read the snapshot", &path, fault))?;
    }
    if bytes.len() as u64 != pointer.length || xxh3_64(&bytes) != pointer.checksum {
        return Err(PortFault::new(
            FaultClass::Stop,
            format!(
                "read the snapshot {}: it is damaged; restore the store from a copy",
                path.display()
            ),
        ));
    }
    Ok(bytes)
}

/// Removes a snapshot that nothing points to any more; one that stays is removed at the next opening.
pub(super) fn remove(folder: &Path, partition: Partition, number: u64) {
    let _ = fs::remove_file(path(folder, partition, number));
}

/// Removes what no entry points to.
pub(super) fn tidy(
    folder: &Path,
    pointed_to: impl Iterator<Item = (Partition, u64)>,
) -> Result<(), PortFault> {
    let wanted: BTreeSet<PathBuf> = pointed_to
        .map(|(partition, number)| path(folder, partition, number))
        .collect();
    let entries =
        fs::read_dir(folder).map_err(|fault| of_file("list the folder", folder, fault))?;
    for entry in entries {
        let path = entry
            .map_err(|fault| of_file("list the folder", folder, fault))?
            .path();
        let ours = path
            .extension()
            .is_some_and(|ending| ending == ENDING || ending == "unfinished");
        if ours && !wanted.contains(&path) {
            fs::remove_file(&path).map_err(|fault| of_file("remove", &path, fault))?;
        }
    }
    Ok(())
}

fn path(folder: &Path, partition: Partition, number: u64) -> PathBuf {
    folder.join(format!("{}-{number}.{ENDING}", partition.0))
}
