//! What was pushed already: ids of events and requests, for as long as a sender may send them again.
//!
//! An id is claimed before its event is appended and settled after, so of two requests with the same event one waits for the
//! other. Settled ids are written to a file without waiting for the disk: an event is acknowledged after that, so the end of
//! the process loses none, and what the loss of power takes from the file is found again in the log, whose records name their
//! ids. Two generations are kept, each as long as the window or until it is full; the older one is forgotten as a whole.
//!
//! ```text
//! NNNNNN.ids   "tlids001" | i64 begun | u32 count | count x (u32 partition, u64 sequence) | u32 check | entries
//! entry        u128 key | u64 hash | u32 partition | u64 sequence | u32 check
//! ```
//!
//! It must never say that an id is new which was acknowledged within the window. Rejected: the store, whose commit for each
//! request would be a second flush.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tripline_core::port::{Delivered, Partition, PortFault, ReadMax, Sequence};
use tripline_core::rule::kind::{EventTime, Period};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::serve::Partitions;

/// What a file begins with.
const MAGIC: &[u8; 8] = b"tlids001";

const ENTRY_BYTES: usize = 40;

/// Records before the last one that the file knows that are looked at again after a start: requests that were under way at the
/// same time settle in any order.
const AGAIN: u64 = 100_000;

/// How much of the log is read at a time after a start.
const READ_MAX: ReadMax = ReadMax {
    records: 4096,
    bytes: 16 << 20,
};

/// Whose id it is, and the id.
pub(crate) type Key = u128;

/// The key of an id in a channel.
pub(crate) fn key(channel: &str, id: &[u8]) -> Key {
    let mut bytes = Vec::with_capacity(channel.len() + 1 + id.len());
    bytes.extend_from_slice(channel.as_bytes());
    // In no channel's id.
    bytes.push(0);
    bytes.extend_from_slice(id);
    digest(&bytes)
}

/// The first half of a SHA-256: nobody can make two ids with the same.
fn digest(bytes: &[u8]) -> u128 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(bytes);
    let (half, _) = digest.split_at(16);
    half.iter()
        .fold(0, |value, byte| (value << 8) | u128::from(*byte))
}

/// What tells two events with the same id apart.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    // Whoever could make a collision would only hide its own event.
    let wide = xxh3_128(bytes);
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// It is claimed now.
    New,
    /// The same was taken.
    Same,
    /// Something else with this id was taken.
    Other,
    /// Another request has it under way.
    Busy,
}

/// Why ids cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdsFault {
    #[error("{path}: cannot be opened or written")]
    File { path: PathBuf, source: io::Error },
    #[error("the log cannot be read for the ids of its records")]
    Log(#[source] PortFault),
}

/// How long ids are known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdsSettings {
    pub(crate) window: Period,
    /// Ids of both generations.
    pub(crate) ids_max: usize,
}

/// The ids.
pub(crate) struct Ids {
    folder: PathBuf,
    settings: IdsSettings,
    now: Mutex<Known>,
}

struct Known {
    current: HashMap<Key, u64>,
    previous: HashMap<Key, u64>,
    claimed: HashMap<Key, u64>,
    begun: EventTime,
    number: u64,
    /// The file of the generation before.
    older: Option<u64>,
    file: File,
    /// The newest record of each partition whose id is in a file.
    places: HashMap<u32, u64>,
    /// Times that a generation ended because it was full, before its time.
    full: u64,
}

impl Ids {
    /// Opens the ids of a folder, and adds those of records that only the log knows.
    pub(crate) fn open(
        folder: &Path,
        settings: IdsSettings,
        partitions: &Partitions,
        now: EventTime,
    ) -> Result<Self, IdsFault> {
        std::fs::create_dir_all(folder).map_err(|source| file_fault(folder, source))?;
        let numbers = numbers(folder)?;
        let mut read = Vec::new();
        for number in numbers.iter().rev().take(2) {
            if let Some(one) = Generation::read(&path(folder, *number))? {
                read.push((*number, one));
            }
        }
        let is_first = numbers.is_empty();
        // The newest is written anew in its own place: at no moment are there more or other generations than before.
        let number = numbers.last().copied().unwrap_or(1);
        let mut places = HashMap::new();
        for (_, one) in &read {
            for (partition, place) in &one.places {
                let known: &mut u64 = places.entry(*partition).or_default();
                *known = (*place).max(*known);
            }
        }
        if is_first {
            // Nothing was pushed before there were channels.
            for (partition, log) in partitions.all() {
                let span = log.span().map_err(IdsFault::Log)?;
                places.insert(partition.0, span.last.0);
            }
        }
        let mut read = read.into_iter().map(|(_, one)| one);
        let newest = read.next();
        let begun = newest.as_ref().map_or(now, |one| one.begun);
        let mut current: HashMap<Key, u64> = HashMap::new();
        let mut previous = HashMap::new();
        if let Some(newest) = newest {
            current.extend(newest.entries);
        }
        if let Some(older) = read.next() {
            previous.extend(older.entries);
        }
        let found = from_log(partitions, &mut places)?;
        current.extend(found);
        let file = create(folder, number, begun, &places, &current)?;
        let ids = Self {
            folder: folder.to_owned(),
            settings,
            now: Mutex::new(Known {
                current,
                previous,
                claimed: HashMap::new(),
                begun,
                number,
                older: numbers.iter().rev().nth(1).copied(),
                file,
                places,
                full: 0,
            }),
        };
        for old in numbers.iter().rev().skip(2) {
            // One that stays is removed at the next start.
            let _ = std::fs::remove_file(path(folder, *old));
        }
        Ok(ids)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims ids, each with the hash of what it names.
    pub(crate) fn claim(&self, wanted: &[(Key, u64)]) -> Vec<Claim> {
        let mut known = self.lock();
        let claim = |(key, hash): &(Key, u64)| {
            let settled = known.current.get(key).or_else(|| known.previous.get(key));
            match settled {
                Some(taken) if taken == hash => return Claim::Same,
                Some(_) => return Claim::Other,
                None => {}
            }
            match known.claimed.get(key) {
                Some(_) => Claim::Busy,
                None => {
                    known.claimed.insert(*key, *hash);
                    Claim::New
                }
            }
        };
        wanted.iter().map(claim).collect()
    }

    /// Remembers something that is no event, and answers what it named before, if anything.
    pub(crate) fn remember(&self, (key, hash): (Key, u64), now: EventTime) -> Option<u64> {
        let mut known = self.lock();
        let before = known.current.get(&key).or_else(|| known.previous.get(&key));
        if let Some(before) = before {
            return Some(*before);
        }
        let mut bytes = Vec::with_capacity(ENTRY_BYTES);
        push_entry(&mut bytes, (key, hash), (0, 0));
        known.current.insert(key, hash);
        let written = known.file.write_all(&bytes);
        let written = written.map_err(|source| file_fault(&self.folder, source));
        if let Err(fault) = written.and_then(|()| self.turn_in_time(&mut known, now)) {
            tracing::error!(
                fault = crate::causes::with_causes(&fault),
                "ids of requests not written"
            );
        }
        None
    }

    /// The events of claimed ids were appended to a partition, each at its place.
    pub(crate) fn settle(
        &self,
        taken: &[(Key, u64, Sequence)],
        partition: Partition,
        now: EventTime,
    ) -> Result<(), IdsFault> {
        let mut bytes = Vec::with_capacity(taken.len() * ENTRY_BYTES);
        for (key, hash, place) in taken {
            push_entry(&mut bytes, (*key, *hash), (partition.0, place.0));
        }
        let mut known = self.lock();
        let written = known.file.write_all(&bytes);
        let newest = known.places.entry(partition.0).or_default();
        for (_, _, place) in taken {
            *newest = (*newest).max(place.0);
        }
        for (key, hash, _) in taken {
            known.claimed.remove(key);
            known.current.insert(*key, *hash);
        }
        written.map_err(|source| file_fault(&self.folder, source))?;
        self.turn_in_time(&mut known, now)
    }

    /// Begins the next generation when this one is old or full.
    fn turn_in_time(&self, known: &mut Known, now: EventTime) -> Result<(), IdsFault> {
        let is_old = now.since(known.begun) >= self.settings.window;
        let is_full = known.current.len() >= (self.settings.ids_max / 2).max(1);
        if is_old || is_full {
            known.full += u64::from(is_full && !is_old);
            self.turn(known, now)?;
        }
        Ok(())
    }

    /// Adds the ids of records that other processes appended to the same logs.
    pub(crate) fn catch_up(&self, partitions: &Partitions) -> Result<(), IdsFault> {
        let mut places = self.lock().places.clone();
        let found = from_log(partitions, &mut places)?;
        let mut known = self.lock();
        let mut bytes = Vec::new();
        for (key, hash) in found {
            if !known.previous.contains_key(&key) && known.current.insert(key, hash).is_none() {
                push_entry(&mut bytes, (key, hash), (0, 0));
            }
        }
        let written = known.file.write_all(&bytes);
        written.map_err(|source| file_fault(&self.folder, source))?;
        for (partition, place) in places {
            let known = known.places.entry(partition).or_default();
            *known = (*known).max(place);
        }
        Ok(())
    }

    /// Claimed ids of events that were not appended.
    pub(crate) fn release(&self, claimed: &[(Key, u64)]) {
        let mut known = self.lock();
        for (key, _) in claimed {
            known.claimed.remove(key);
        }
    }

    /// Begins the next generation.
    fn turn(&self, known: &mut Known, now: EventTime) -> Result<(), IdsFault> {
        let number = known.number + 1;
        // The next file says that what came before it is known, so that must not be lost any more.
        let synced = known.file.sync_data();
        synced.map_err(|source| file_fault(&self.folder, source))?;
        let none = HashMap::new();
        known.file = create(&self.folder, number, now, &known.places, &none)?;
        if let Some(old) = known.older.replace(known.number) {
            // One that stays is removed at the next start.
            let _ = std::fs::remove_file(path(&self.folder, old));
        }
        known.number = number;
        known.begun = now;
        known.previous = std::mem::take(&mut known.current);
        Ok(())
    }

    /// Ids that are known, and how often a generation was full before its time.
    pub(crate) fn count(&self) -> (usize, u64) {
        let known = self.lock();
        (known.current.len() + known.previous.len(), known.full)
    }
}

/// One file.
struct Generation {
    begun: EventTime,
    places: HashMap<u32, u64>,
    entries: Vec<(Key, u64)>,
}

impl Generation {
    /// What is whole of a file; nothing when not even its beginning is.
    fn read(path: &Path) -> Result<Option<Self>, IdsFault> {
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|mut file| file.read_to_end(&mut bytes))
            .map_err(|source| file_fault(path, source))?;
        let found = Self::parse(&bytes);
        if found.is_none() {
            tracing::warn!(path = %path.display(), "file of ids broken; what it knew is read from the log");
        }
        Ok(found)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let count = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?) as usize;
        let end = 20 + count.checked_mul(12)?;
        let head = bytes.get(..end)?;
        let check = u32::from_le_bytes(bytes.get(end..end + 4)?.try_into().ok()?);
        if !head.starts_with(MAGIC) || check != check_of(head) {
            return None;
        }
        let begun = i64::from_le_bytes(head[8..16].try_into().ok()?);
        let mut found = Self {
            begun: EventTime::from_micros(begun),
            places: HashMap::new(),
            entries: Vec::new(),
        };
        for place in head[20..].chunks(12) {
            found.reached(number(&place[..4]) as u32, number(&place[4..]));
        }
        for entry in bytes[end + 4..].chunks(ENTRY_BYTES) {
            // The last one may be torn, and then there is nothing behind it.
            if entry.len() < ENTRY_BYTES || number(&entry[36..]) as u32 != check_of(&entry[..36]) {
                break;
            }
            let key = u128::from_le_bytes(entry[..16].try_into().ok()?);
            found.entries.push((key, number(&entry[16..24])));
            found.reached(number(&entry[24..28]) as u32, number(&entry[28..36]));
        }
        Some(found)
    }

    fn reached(&mut self, partition: u32, place: u64) {
        let known = self.places.entry(partition).or_default();
        *known = (*known).max(place);
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

fn check_of(bytes: &[u8]) -> u32 {
    xxh3_64(bytes) as u32
}

fn push_entry(into: &mut Vec<u8>, (key, hash): (Key, u64), (partition, sequence): (u32, u64)) {
    let start = into.len();
    into.extend_from_slice(&key.to_le_bytes());
    into.extend_from_slice(&hash.to_le_bytes());
    into.extend_from_slice(&partition.to_le_bytes());
    into.extend_from_slice(&sequence.to_le_bytes());
    let check = check_of(&into[start..]);
    into.extend_from_slice(&check.to_le_bytes());
}

/// A new file with what is known of its generation already, whole on the disk under its name or not there.
fn create(
    folder: &Path,
    number: u64,
    begun: EventTime,
    places: &HashMap<u32, u64>,
    known: &HashMap<Key, u64>,
) -> Result<File, IdsFault> {
    let mut bytes = Vec::with_capacity(64 + known.len() * ENTRY_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&begun.micros().to_le_bytes());
    bytes.extend_from_slice(&(places.len() as u32).to_le_bytes());
    for (partition, place) in places {
        bytes.extend_from_slice(&partition.to_le_bytes());
        bytes.extend_from_slice(&place.to_le_bytes());
    }
    let check = check_of(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    for (key, hash) in known {
        push_entry(&mut bytes, (*key, *hash), (0, 0));
    }
    let (path, draft) = (path(folder, number), folder.join("new"));
    let made = || {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&draft)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        std::fs::rename(&draft, &path)?;
        File::open(folder)?.sync_all()?;
        Ok(file)
    };
    made().map_err(|source| file_fault(&path, source))
}

/// The ids of records that are behind the places that files know.
fn from_log(
    partitions: &Partitions,
    places: &mut HashMap<u32, u64>,
) -> Result<Vec<(Key, u64)>, IdsFault> {
    let mut found = Vec::new();
    for (partition, log) in partitions.all() {
        let span = log.span().map_err(IdsFault::Log)?;
        let known = places.get(&partition.0).copied().unwrap_or(0);
        let mut after = known
            .saturating_sub(AGAIN)
            .max(span.first.0.saturating_sub(1));
        let mut delivered = Delivered::default();
        while after < span.last.0 {
            delivered.clear();
            log.read(Sequence(after), READ_MAX, &mut delivered)
                .map_err(IdsFault::Log)?;
            let Some(last) = delivered.records.last() else {
                break;
            };
            after = last.sequence.0;
            let attributes = delivered
                .records
                .iter()
                .map(|one| delivered.attributes(one));
            found.extend(attributes.filter_map(of_attributes));
        }
        places.insert(partition.0, span.last.0.max(known));
    }
    Ok(found)
}

/// What the attributes of a record say of its id.
pub(super) fn attributes(channel: &str, (key, hash): (Key, u64)) -> String {
    format!(r#"{{{}}}"#, fields(channel, (key, hash)))
}

/// The same without braces around it.
pub(super) fn fields(channel: &str, (key, hash): (Key, u64)) -> String {
    format!(r#""channel":"{channel}","key":"{key:032x}","hash":"{hash:016x}""#)
}

fn of_attributes(bytes: &[u8]) -> Option<(Key, u64)> {
    #[derive(serde::Deserialize)]
    struct Kept<'a> {
        key: &'a str,
        hash: &'a str,
    }
    // Records that came another way have none.
    let kept: Kept<'_> = serde_json::from_slice(bytes).ok()?;
    let key = u128::from_str_radix(kept.key, 16).ok()?;
    Some((key, u64::from_str_radix(kept.hash, 16).ok()?))
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:06}.ids"))
}

/// The numbers of the files of a folder, the oldest first.
fn numbers(folder: &Path) -> Result<Vec<u64>, IdsFault> {
    let mut numbers = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|source| file_fault(folder, source))?;
    for entry in entries {
        let entry = entry.map_err(|source| file_fault(folder, source))?;
        let name = entry.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".ids"));
        numbers.extend(stem.and_then(|stem| stem.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn file_fault(path: &Path, source: io::Error) -> IdsFault {
    IdsFault::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
