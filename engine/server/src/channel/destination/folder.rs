//! A folder of JSON lines: one event a line, files named by when they were begun.
//!
//! ```text
//! archive/20261127T191502.000123Z.jsonl      closed when it is long enough
//! archive/20261127T203011.918273Z.jsonl      the newest is written to
//! ```
//!
//! Lines are flushed before they are answered, those of several requests together. It must never leave half a line behind that
//! somebody was told is there, nor a whole one behind half a line: what a crash or a full disk left is cut off before more
//! is written. One process has the folder; files that are not named so are somebody else's and are left alone.

use super::Put;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tripline_core::port::{FaultClass, PortFault};

/// How long a file becomes where the configuration does not say, in MiB.
pub(super) const FILE_MIB: u64 = 256;

const ENDING: &str = "jsonl";

/// How long files are, and last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) file_bytes_max: u64,
    pub(super) keep: Option<Duration>,
}

pub(super) struct Folder {
    path: PathBuf,
    settings: Settings,
    writing: Mutex<Writing>,
    /// Of so many writes everything is on the disk.
    synced: Mutex<u64>,
    _lock: File,
}

struct Writing {
    file: Newest,
    writes: u64,
    /// Nobody knows what is on the disk of writes up to here that were not told of yet.
    lost: u64,
}

/// The file that is written to.
enum Newest {
    Open(Open),
    /// A write left half of itself behind, which is to be cut off.
    Torn,
    /// It could not be flushed: what it has is not to be relied on, and another is begun.
    Doubtful,
}

/// A file as it is known here.
struct Open {
    file: Arc<File>,
    path: PathBuf,
    length: u64,
}

impl Open {
    /// Whether it is there under its name, and nobody else wrote to it.
    fn is_there(&self) -> io::Result<bool> {
        let (named, here) = match std::fs::metadata(&self.path) {
            Ok(named) => (named, self.file.metadata()?),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(fault) => return Err(fault),
        };
        let is_same = named.dev() == here.dev() && named.ino() == here.ino();
        Ok(is_same && here.len() == self.length)
    }
}

impl Folder {
    pub(super) fn open(path: &Path, settings: Settings) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(".lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::other(
                    "another process writes there; give each a folder of its own",
                ));
            }
            Err(TryLockError::Error(fault)) => return Err(fault),
        }
        let newest = files(path)?.pop();
        let file = match newest {
            None => begin(path)?,
            Some(newest) => go_on(newest)?,
        };
        // Also the folder itself, where it was made just now.
        if let Some(above) = path.parent() {
            sync(above)?;
        }
        Ok(Self {
            path: path.to_owned(),
            settings,
            writing: Mutex::new(Writing {
                file: Newest::Open(file),
                writes: 0,
                lost: 0,
            }),
            synced: Mutex::new(0),
            _lock: lock,
        })
    }

    /// Writes events and returns when they are on the disk: all of them or none.
    pub(super) fn put(&self, events: &[&Put<'_>]) -> (Vec<bool>, Option<PortFault>) {
        let mut lines = Vec::with_capacity(events.iter().map(|one| one.payload.len() + 1).sum());
        for event in events {
            // Outside of texts, where alone they may be, ends of lines are as good as blanks.
            let blank = |byte: &u8| {
                if matches!(byte, b'\n' | b'\r') {
                    b' '
                } else {
                    *byte
                }
            };
            lines.extend(event.payload.iter().map(blank));
            lines.push(b'\n');
        }
        match self.write(&lines).and_then(|write| self.sync(write)) {
            Ok(()) => (vec![true; events.len()], None),
            Err(fault) => {
                let class = match fault.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FaultClass::Full,
                    _ => FaultClass::Retry,
                };
                let doing = format!("write to {}", self.path.display());
                let fault = PortFault::new(class, doing).because(fault.to_string());
                (vec![false; events.len()], Some(fault))
            }
        }
    }

    /// Writes lines; the number of this write.
    fn write(&self, lines: &[u8]) -> io::Result<u64> {
        let mut writing = self.lock();
        let mut open = self.newest(&mut writing, lines.len() as u64)?;
        if let Err(fault) = (&*open.file).write_all(lines) {
            // If what it left cannot be cut off now, it is before the next write.
            let is_cut = open.file.set_len(open.length).is_ok();
            if is_cut && (&*open.file).seek(SeekFrom::Start(open.length)).is_ok() {
                writing.file = Newest::Open(open);
            }
            return Err(fault);
        }
        open.length += lines.len() as u64;
        writing.file = Newest::Open(open);
        writing.writes += 1;
        Ok(writing.writes)
    }

    /// The file for so many bytes. It is torn until it is put back.
    fn newest(&self, writing: &mut Writing, bytes: u64) -> io::Result<Open> {
        let full =
            |open: &Open| open.length > 0 && open.length + bytes > self.settings.file_bytes_max;
        match std::mem::replace(&mut writing.file, Newest::Torn) {
            Newest::Open(open) if !open.is_there()? => {
                // Somebody took it away, or wrote to it: what was not told of yet may not be where it is looked for.
                writing.doubt();
                begin(&self.path)
            }
            Newest::Open(open) if full(&open) => {
                // Whoever waits for what is in it flushes the next one only.
                if let Err(fault) = open.file.sync_data() {
                    writing.doubt();
                    return Err(fault);
                }
                begin(&self.path)
            }
            Newest::Open(open) => Ok(open),
            Newest::Torn => match files(&self.path)?.pop() {
                Some(newest) => go_on(newest).inspect_err(|_| writing.doubt()),
                None => begin(&self.path),
            },
            Newest::Doubtful => {
                writing.file = Newest::Doubtful;
                begin(&self.path)
            }
        }
    }

    /// Waits until a write is on the disk. One flush is for all that was written when it began.
    fn sync(&self, write: u64) -> io::Result<()> {
        let unknown = || io::Error::other("what was written was not flushed");
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        if *synced >= write {
            return Ok(());
        }
        let (file, through) = {
            let writing = self.lock();
            match &writing.file {
                // Files before it were flushed when they were closed.
                Newest::Open(open) if write > writing.lost => (open.file.clone(), writing.writes),
                _ => return Err(unknown()),
            }
        };
        if let Err(fault) = file.sync_data() {
            self.lock().doubt();
            return Err(fault);
        }
        // A fault is told once to whoever flushes first, and that may have been another one.
        if write <= self.lock().lost || file.metadata()?.nlink() == 0 {
            return Err(unknown());
        }
        *synced = through;
        Ok(())
    }

    /// Removes files that are older than is to be kept, but never the newest.
    pub(super) fn tidy(&self) -> io::Result<()> {
        let Some(keep) = self.settings.keep else {
            return Ok(());
        };
        let mut old = files(&self.path)?;
        old.pop();
        let now = SystemTime::now();
        for path in old {
            let removed = std::fs::metadata(&path).and_then(|about| {
                let age = now.duration_since(about.modified()?);
                // Of one that claims to be of the future nothing is known.
                match age.is_ok_and(|age| age > keep) {
                    true => std::fs::remove_file(&path),
                    false => Ok(()),
                }
            });
            match removed {
                Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
                _ => {}
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// Nothing that was written and not flushed counts.
    fn doubt(&mut self) {
        self.file = Newest::Doubtful;
        self.lost = self.writes;
    }
}

/// How files are called: by when they were begun.
const NAME: &str = "%Y%m%dT%H%M%S.%6fZ";

/// When a file of ours was begun, by its name; nothing of others.
fn begun(path: &Path) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(ENDING)?.strip_suffix('.')?;
    let time = DateTime::strptime(NAME, stem).ok()?;
    let time = time.to_zoned(TimeZone::UTC).ok()?.timestamp();
    // What reads alike may be written otherwise.
    (time.strftime(NAME).to_string() == stem).then_some(time)
}

/// The files of ours in a folder, the oldest first.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if let Some(begun) = begun(&path) {
            found.push((begun, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// A new file, whose name is on the disk. A clock that was set back must not make an older file the newest.
fn begin(folder: &Path) -> io::Result<Open> {
    let newest = files(folder)?.pop().and_then(|newest| begun(&newest));
    let after = newest.and_then(|newest| newest.checked_add(1.microsecond()).ok());
    let time = after.map_or(Timestamp::now(), |after| after.max(Timestamp::now()));
    let path = folder.join(format!("{}.{ENDING}", time.strftime(NAME)));
    let file = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o640)
        .open(&path)?;
    file.sync_all()?;
    sync(folder)?;
    Ok(Open {
        file: Arc::new(file),
        path,
        length: 0,
    })
}

/// The newest file as it goes on: without a line that was begun and not ended.
fn go_on(path: PathBuf) -> io::Result<Open> {
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut block = vec![0; 64 * 1024];
    let mut keep = 0;
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - from) as usize];
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(part)?;
        if let Some(place) = part.iter().rposition(|byte| *byte == b'\n') {
            keep = from + place as u64 + 1;
            break;
        }
        end = from;
    }
    if keep < length {
        file.set_len(keep)?;
    }
    // Also of what a process wrote that was killed before it flushed, and of the name.
    file.sync_all()?;
    if let Some(folder) = path.parent() {
        sync(folder)?;
    }
    file.seek(SeekFrom::Start(keep))?;
    Ok(Open {
        file: Arc::new(file),
        path,
        length: keep,
    })
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: Settings = Settings {
        file_bytes_max: 1000,
        keep: Some(Duration::from_secs(3600)),
    };

    fn put(folder: &Folder, payload: &str) {
        let event = Put {
            channel: "app",
            event_id: "1",
            payload: payload.as_bytes(),
        };
        let (done, fault) = folder.put(&[&event]);
        assert!(done == [true] && fault.is_none(), "{fault:?}");
    }

    fn lines(path: &Path) -> Vec<String> {
        let texts = files(path).expect("files").into_iter();
        texts
            .map(|file| std::fs::read_to_string(file).expect("text"))
            .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn every_event_is_one_line_and_files_end_when_they_are_long() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("archive");
        let folder = Folder::open(&path, SETTINGS).expect("opens");
        for number in 0..40 {
            put(
                &folder,
                &format!(
                    "{{\"number\":\r\n {number},\"text\":\"{}\"}}",
                    "x".repeat(60)
                ),
            );
        }
        let kept = lines(&path);
        assert_eq!(kept.len(), 40);
        for (number, line) in kept.iter().enumerate() {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(value["number"], number);
        }
        let all = files(&path).expect("files");
        assert!(all.len() > 3, "{all:?}");
        for file in &all {
            assert!(std::fs::metadata(file).expect("there").len() <= 1000);
        }
        assert!(Folder::open(&path, SETTINGS).is_err(), "it is somebody's");
    }

    #[test]
    fn what_a_crash_left_of_a_line_is_cut_off() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("archive");
        put(&Folder::open(&path, SETTINGS).expect("opens"), "{\"a\":1}");
        let file = files(&path).expect("files").pop().expect("one");
        let mut left = OpenOptions::new().append(true).open(&file).expect("opens");
        left.write_all(&vec![b'x'; 100_000]).expect("written");
        put(&Folder::open(&path, SETTINGS).expect("opens"), "{\"a\":2}");
        assert_eq!(lines(&path), ["{\"a\":1}", "{\"a\":2}"]);
        // Nothing but half a line.
        std::fs::write(&file, "half").expect("written");
        put(&Folder::open(&path, SETTINGS).expect("opens"), "{\"a\":3}");
        assert_eq!(lines(&path), ["{\"a\":3}"]);
    }

    #[test]
    fn old_files_go_and_the_newest_stays() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("archive");
        std::fs::create_dir_all(&path).expect("made");
        for name in [
            "20200101T000000.000000Z",
            "20200102T000000.000000Z",
            "29990101T000000.000000Z",
        ] {
            let file = path.join(format!("{name}.jsonl"));
            std::fs::write(&file, "{}\n").expect("written");
            let old = SystemTime::now() - Duration::from_secs(7200);
            let opened = File::options().write(true).open(&file).expect("opens");
            opened.set_modified(old).expect("set");
        }
        let small = Settings {
            file_bytes_max: 4,
            ..SETTINGS
        };
        let folder = Folder::open(&path, small).expect("opens");
        folder.tidy().expect("tidied");
        assert_eq!(lines(&path).len(), 1, "the newest stays however old it is");
        // Names go up also when the clock was set back.
        put(&folder, "{\"a\":1}");
        put(&folder, "{\"a\":2}");
        assert_eq!(lines(&path), ["{}", "{\"a\":1}", "{\"a\":2}"]);
        folder.tidy().expect("tidied");
        assert_eq!(lines(&path), ["{\"a\":1}", "{\"a\":2}"]);
    }

    #[test]
    fn what_was_taken_away_is_not_written_to_and_what_is_not_ours_is_left_alone() {
        let place = tempfile::tempdir().expect("a folder");
        let path = place.path().join("archive");
        std::fs::create_dir_all(&path).expect("made");
        for name in [
            "zzz.jsonl",
            "30000101T000000.000000Za.jsonl",
            "29990101T000000Z.jsonl",
        ] {
            std::fs::write(path.join(name), "half").expect("written");
        }
        let folder = Folder::open(&path, SETTINGS).expect("opens");
        put(&folder, "{\"a\":1}");
        let first = files(&path).expect("files").pop().expect("one");
        std::fs::rename(&first, place.path().join("away")).expect("moved");
        put(&folder, "{\"a\":2}");
        assert_eq!(lines(&path), ["{\"a\":2}"]);
        // Somebody else wrote to it.
        let second = files(&path).expect("files").pop().expect("one");
        std::fs::write(&second, "{\"a\":2}\n{\"b\":1}\nhalf").expect("written");
        put(&folder, "{\"a\":3}");
        let kept = lines(&path);
        assert_eq!(kept.last().map(String::as_str), Some("{\"a\":3}"));
        // Without the folder nothing is taken, and with it again it goes on.
        let gone = place.path().join("gone");
        std::fs::rename(&path, &gone).expect("moved");
        let event = Put {
            channel: "app",
            event_id: "1",
            payload: b"{}",
        };
        let (done, fault) = folder.put(&[&event]);
        assert!(done == [false] && fault.is_some());
        std::fs::rename(&gone, &path).expect("moved back");
        put(&folder, "{\"a\":4}");
        assert_eq!(lines(&path).last().map(String::as_str), Some("{\"a\":4}"));
        for name in [
            "zzz.jsonl",
            "30000101T000000.000000Za.jsonl",
            "29990101T000000Z.jsonl",
        ] {
            assert_eq!(
                std::fs::read_to_string(path.join(name)).expect("there"),
                "half"
            );
        }
    }
}
