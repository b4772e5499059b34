//! Looking through the database's journals before it opens them.
//!
//! The database takes the first thing in a journal that it cannot read for the torn end of a crash, cuts the file there
//! and goes on; and its checksums leave out the number that orders a batch. Damage in the middle would silently take
//! back acknowledged writes, or reorder them. So the journals are read here first: every write of ours has the counter of
//! writes in it, which must grow by one from batch to batch and reach the witness. What is really a torn end is cut
//! here, so that the database is never shown it.
//!
//! It relies on the journal's form in `fjall` 3 (the magic ends in 3; a test reads what the pinned version writes) and on
//! being alone in the folder. It must never cut a journal that it refuses: what is left of it may be wanted. A newest
//! journal without a single whole batch may be torn at its very beginning; whether something is lost with it shows only
//! when the database is open and the witness is asked again.
//! Rejected: comparing with the witness after opening only. By then the evidence is cut off.

use super::fault::of_file;
use super::layout::{COUNTERS_KEY, read_counters};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use tripline_core::port::{FaultClass, PortFault};
use xxhash_rust::xxh3::Xxh3;

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";

/// What the journals say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// The newest write that is whole; absent when there is none in the journals.
    pub(super) writes: Option<u64>,
    /// Batches that are whole.
    pub(super) batches: u64,
}

/// Reads the journals of a database; `witnessed` is how many writes were acknowledged at least.
pub(super) fn look(folder: &Path, witnessed: u64) -> Result<Looked, PortFault> {
    let mut looked = Looked::default();
    let mut newest_sequence = None;
    let mut torn = Vec::new();
    let paths = journals(folder)?;
    let newest = paths.last().cloned();
    for path in paths {
        let mut journal = Journal::open(&path)?;
        let length = journal.left;
        let mut whole = 0;
        while let Some(batch) = journal
            .batch()
            .map_err(|fault| of_file("read the journal", &path, fault))?
        {
            if newest_sequence.is_some_and(|newest| batch.sequence <= newest) {
                return Err(damaged(&path, whole, "its batches are out of order"));
            }
            newest_sequence = Some(batch.sequence);
            if let Some(writes) = batch.writes {
                if looked.writes.is_some_and(|before| writes != before + 1) {
                    return Err(damaged(&path, whole, "acknowledged writes are missing"));
                }
                looked.writes = Some(writes);
            }
            looked.batches += 1;
            whole = length - journal.left;
        }
        // A journal is synced whole before the next one is begun, so only the newest can be torn.
        let unread = more_than_room(&path, whole)
            .map_err(|fault| of_file("read the journal", &path, fault))?;
        if unread && newest.as_ref() != Some(&path) {
            return Err(damaged(&path, whole, "acknowledged writes are missing"));
        }
        torn.push((path, whole));
    }
    if let (Some(writes), Some((path, whole))) = (looked.writes, torn.last())
        && writes < witnessed
    {
        let lost = format!("{} acknowledged writes are missing", witnessed - writes);
        return Err(damaged(path, *whole, &lost));
    }
    for (path, whole) in torn {
        cut(&path, whole).map_err(|fault| of_file("cut the torn end of", &path, fault))?;
    }
    Ok(looked)
}

fn damaged(path: &Path, place: u64, how: &str) -> PortFault {
    PortFault::new(
        FaultClass::Stop,
        format!(
            "open the store: its journal {} is damaged from byte {place} on: {how}; nothing was changed; restore the \
             store from a copy",
            path.display()
        ),
    )
}

/// The journals of a database, oldest first.
fn journals(folder: &Path) -> Result<Vec<PathBuf>, PortFault> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let listed = |fault| of_file("list the folder", folder, fault);
    for entry in fs::read_dir(folder).map_err(listed)? {
        let path = entry.map_err(listed)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name
            .and_then(|name| name.strip_suffix(".jnl"))
            .and_then(|number| number.parse::<u64>().ok());
        if let Some(number) = number {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Cuts a torn end.
fn cut(path: &Path, whole: u64) -> io::Result<()> {
    if more_than_room(path, whole)? {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(whole)?;
        file.sync_all()?;
    }
    Ok(())
}

/// Whether a journal has something after its last whole batch that is not the room which was made beforehand. A batch
/// does not begin with as many zeros, even if one of its bytes was damaged.
fn more_than_room(path: &Path, whole: u64) -> io::Result<bool> {
    let mut next = [0; 64];
    let read = File::open(path)?.read_at(&mut next, whole)?;
    Ok(next[..read].iter().any(|byte| *byte != 0))
}

struct Batch {
    sequence: u64,
    /// The counter of writes, if it is among the items.
    writes: Option<u64>,
}

struct Journal {
    file: BufReader<File>,
    /// Bytes of the file that were not read yet.
    left: u64,
}

impl Journal {
    fn open(path: &Path) -> Result<Self, PortFault> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (left, file) = opened.map_err(|fault| of_file("read the journal", path, fault))?;
        Ok(Self {
            file: BufReader::with_capacity(256 * 1024, file),
            left,
        })
    }

    /// The next batch if it is whole.
    fn batch(&mut self) -> io::Result<Option<Batch>> {
        match self.read_batch() {
            Ok(batch) => Ok(batch),
            Err(fault) if fault.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn read_batch(&mut self) -> io::Result<Option<Batch>> {
        if self.byte()? != START {
            return Ok(None);
        }
        let items = u32::from_le_bytes(self.array()?);
        let mut batch = Batch {
            sequence: u64::from_le_bytes(self.array()?),
            writes: None,
        };
        let mut sum = Xxh3::new();
        for _ in 0..items {
            match self.byte()? {
                ITEM => self.item(&mut sum, &mut batch)?,
                CLEAR => {
                    sum.update(&[CLEAR]);
                    sum.update(&self.array::<8>()?);
                }
                _ => return Ok(None),
            }
        }
        let end = self.byte()? == END;
        let wanted = u64::from_le_bytes(self.array()?);
        let magic: [u8; 4] = self.array()?;
        let whole = end && wanted == sum.digest() && magic == MAGIC;
        Ok(whole.then_some(batch))
    }

    fn item(&mut self, sum: &mut Xxh3, batch: &mut Batch) -> io::Result<()> {
        // Kind, compression, keyspace, length of the key, length of the value, and once more as it is in the file.
        let head: [u8; 20] = self.array()?;
        let key = usize::from(u16::from_le_bytes([head[10], head[11]]));
        let value = u32::from_le_bytes([head[16], head[17], head[18], head[19]]) as usize;
        let key = self.take(key)?;
        let value = self.take(value)?;
        sum.update(&[ITEM]);
        sum.update(&head);
        sum.update(&key);
        sum.update(&value);
        if key == COUNTERS_KEY.as_bytes() {
            batch.writes = read_counters(&value).ok().map(|one| one.writes);
        }
        Ok(())
    }

    fn byte(&mut self) -> io::Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.left = self.left.saturating_sub(N as u64);
        Ok(bytes)
    }

    /// So many bytes; a length beyond the file's end asks for no memory.
    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        if length as u64 > self.left {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes)?;
        self.left -= length as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fjall::{Database, KeyspaceCreateOptions, PersistMode};

    #[test]
    fn it_reads_what_the_pinned_version_writes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("database");
        let database = Database::builder(&path).open().expect("opens");
        let part = database
            .keyspace("meta", KeyspaceCreateOptions::default)
            .expect("a part");
        for writes in 1..=20 {
            let counters = super::super::layout::Counters {
                writes,
                ..Default::default()
            };
            let mut batch = database.batch();
            let value = super::super::layout::write_counters(&counters);
            batch.insert(&part, COUNTERS_KEY, value);
            batch.insert(&part, writes.to_be_bytes(), vec![7; 5000]);
            batch.remove(&part, (writes - 1).to_be_bytes());
            batch.commit().expect("writes");
        }
        database.persist(PersistMode::SyncData).expect("syncs");
        drop((part, database));
        let looked = look(&path, 20).expect("is whole");
        let wanted = Looked {
            writes: Some(20),
            batches: 20,
        };
        assert_eq!(looked, wanted);
        let fault = look(&path, 22).expect_err("two are missing");
        assert!(
            fault.doing.contains("2 acknowledged writes are missing"),
            "{fault}"
        );
        assert_eq!(
            look(&folder.path().join("none"), 0).expect("is new"),
            Looked::default()
        );
    }
}
