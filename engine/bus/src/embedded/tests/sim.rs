//! A disk in memory that keeps no more than a disk has to.
//!
//! What was written and not synchronised is, after a crash, there or not, each sector by itself; beyond the old end of a
//! file a sector may also be rubbish. Names are there as far as the folder was synchronised, and after that a beginning
//! of what was done to them. After a failed synchronisation the pages count as clean: what they held never reaches the
//! disk, whatever is synchronised later. Any operation can be made to fail, or to be the last one before the crash.

use super::super::disk::{Bytes, Folder};
use super::Chance;
use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

const SECTOR: usize = 512;

/// What is to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The operation fails.
    Io,
    /// There is no room: writes may have written some of it.
    Full,
    /// The power goes: this and all later operations fail.
    Crash,
}

#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Debug, Default)]
struct SimFile {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Naming {
    Set(String, usize),
    Remove(String),
}

#[derive(Debug)]
struct State {
    files: Vec<SimFile>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending: Vec<Naming>,
    operations: u64,
    wrong: Option<(u64, Wrong)>,
    /// No room from now on, until it is taken back.
    full: bool,
    crashed: bool,
    locked: bool,
    chance: Chance,
}

impl State {
    /// Counts an operation that changes something.
    fn operation(&mut self) -> Result<(), Wrong> {
        if self.crashed {
            return Err(Wrong::Crash);
        }
        self.operations += 1;
        match self.wrong {
            Some((at, wrong)) if at == self.operations => {
                self.wrong = None;
                self.crashed |= wrong == Wrong::Crash;
                Err(wrong)
            }
            _ => Ok(()),
        }
    }
}

fn fault(wrong: Wrong) -> io::Error {
    match wrong {
        Wrong::Io | Wrong::Crash => io::Error::other("simulated"),
        Wrong::Full => io::ErrorKind::StorageFull.into(),
    }
}

/// A folder on such a disk. Clones are the same folder.
#[derive(Clone, Debug)]
pub(super) struct SimFolder(Arc<Mutex<State>>);

impl SimFolder {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending: Vec::new(),
            operations: 0,
            wrong: None,
            full: false,
            crashed: false,
            locked: false,
            chance: Chance(seed),
        })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0
            .lock()
            .expect("no test panics while it holds the disk")
    }

    /// The operation that is so many ahead goes wrong.
    pub(super) fn go_wrong(&self, ahead: u64, wrong: Wrong) {
        let mut state = self.state();
        state.wrong = Some((state.operations + ahead, wrong));
    }

    pub(super) fn nothing_wrong(&self) {
        self.state().wrong = None;
    }

    pub(super) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    pub(super) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The power goes now: whoever still writes cannot.
    pub(super) fn cut_power(&self) {
        self.state().crashed = true;
    }

    /// What is there when the power is back.
    pub(super) fn power_on(&self) {
        let state = &mut *self.state();
        let done = state.chance.below(state.pending.len() as u64 + 1) as usize;
        for naming in state.pending.drain(..).take(done) {
            match naming {
                Naming::Set(name, file) => {
                    // A rename takes the old name away.
                    state.durable_names.retain(|_, other| *other != file);
                    state.durable_names.insert(name, file);
                }
                Naming::Remove(name) => {
                    state.durable_names.remove(&name);
                }
            }
        }
        state.names = state.durable_names.clone();
        for file in &mut state.files {
            let durable_bytes = file.durable.len();
            for change in file.pending.drain(..) {
                tear(&mut file.durable, durable_bytes, change, &mut state.chance);
            }
            file.now = file.durable.clone();
        }
        state.crashed = false;
        state.locked = false;
        state.wrong = None;
        state.full = false;
    }

    /// The process is gone, and the system has all that was written.
    pub(super) fn kill(&self) {
        let mut state = self.state();
        state.crashed = false;
        state.locked = false;
        state.wrong = None;
        state.full = false;
    }

    /// The bytes of a file, to be damaged.
    pub(super) fn damage(&self, name: &str, with: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.names[name];
        let file = &mut state.files[file];
        with(&mut file.now);
        file.durable = file.now.clone();
        file.pending.clear();
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    /// Takes a file away, for good.
    pub(super) fn lose(&self, name: &str) {
        let mut state = self.state();
        state.names.remove(name);
        state.durable_names.remove(name);
    }
}

/// What may have become of a change that was not synchronised.
fn tear(durable: &mut Vec<u8>, durable_bytes: usize, change: Change, chance: &mut Chance) {
    let (offset, bytes) = match change {
        Change::Truncate(len) if chance.one_in(2) => return durable.resize(len, 0),
        Change::Truncate(_) => return,
        Change::Write(offset, bytes) => (offset, bytes),
    };
    let how = chance.below(4);
    if how == 0 {
        return;
    }
    let mut at = 0;
    while at < bytes.len() {
        let place = offset + at;
        let end = (at + SECTOR - place % SECTOR).min(bytes.len());
        if how == 1 || chance.one_in(2) {
            let to = offset + end;
            if durable.len() < to {
                durable.resize(to, 0);
            }
            durable[place..to].copy_from_slice(&bytes[at..end]);
            // A sector that never was on the disk may come to hold anything.
            if how == 3 && place / SECTOR * SECTOR >= durable_bytes && chance.one_in(4) {
                durable[place..to].fill_with(|| chance.next() as u8);
            }
        }
        at = end;
    }
}

impl Folder for SimFolder {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("sim").join(name)
    }

    fn lock(&self) -> io::Result<Result<Box<dyn Any + Send + Sync>, String>> {
        let mut state = self.state();
        if state.locked {
            return Ok(Err("4711".to_owned()));
        }
        state.locked = true;
        Ok(Ok(Box::new(Held(self.clone()))))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Bytes>> {
        let number = self.state().names.get(name).copied();
        let number = number.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimBytes(self.clone(), number)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn Bytes>> {
        let mut state = self.state();
        state.operation().map_err(fault)?;
        if state.full {
            return Err(fault(Wrong::Full));
        }
        let number = state.files.len();
        state.files.push(SimFile::default());
        state.names.insert(name.to_owned(), number);
        state.pending.push(Naming::Set(name.to_owned(), number));
        Ok(Arc::new(SimBytes(self.clone(), number)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operation().map_err(fault)?;
        let number = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), number);
        state.pending.push(Naming::Set(to.to_owned(), number));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operation().map_err(fault)?;
        state.names.remove(name).ok_or(io::ErrorKind::NotFound)?;
        state.pending.push(Naming::Remove(name.to_owned()));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operation().map_err(fault)?;
        state.pending.clear();
        state.durable_names = state.names.clone();
        Ok(())
    }

    fn chance(&self) -> u64 {
        self.state().chance.next()
    }
}

#[derive(Debug)]
struct Held(SimFolder);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

#[derive(Debug)]
struct SimBytes(SimFolder, usize);

impl Bytes for SimBytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.state().files[self.1].now.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.0.state();
        let now = &state.files[self.1].now;
        let rest = now.get(offset as usize..).unwrap_or(&[]);
        let len = rest.len().min(into.len());
        into[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let state = &mut *self.0.state();
        let outcome = state.operation();
        let offset = offset as usize;
        let grows = offset + bytes.len() > state.files[self.1].now.len();
        let outcome = if outcome.is_ok() && state.full && grows {
            Err(Wrong::Full)
        } else {
            outcome
        };
        let len = match outcome {
            Ok(()) => bytes.len(),
            // A write that fails may have written some of it, whole frames among it.
            Err(_) if state.chance.one_in(3) => bytes.len(),
            Err(_) => state.chance.below(bytes.len() as u64 + 1) as usize,
        };
        let file = &mut state.files[self.1];
        if outcome != Err(Wrong::Io) && len > 0 {
            let end = offset + len;
            if file.now.len() < end {
                file.now.resize(end, 0);
            }
            file.now[offset..end].copy_from_slice(&bytes[..len]);
            file.pending
                .push(Change::Write(offset, bytes[..len].to_vec()));
        }
        outcome.map_err(fault)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.state();
        state.operation().map_err(fault)?;
        let file = &mut state.files[self.1];
        file.now.resize(len as usize, 0);
        file.pending.push(Change::Truncate(len as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let state = &mut *self.0.state();
        let outcome = state.operation();
        let file = &mut state.files[self.1];
        match outcome {
            Ok(()) => {
                for change in file.pending.drain(..) {
                    match change {
                        Change::Truncate(len) => file.durable.resize(len, 0),
                        Change::Write(offset, bytes) => {
                            let end = offset + bytes.len();
                            if file.durable.len() < end {
                                file.durable.resize(end, 0);
                            }
                            file.durable[offset..end].copy_from_slice(&bytes);
                        }
                    }
                }
            }
            // At a crash they may still have been on their way; otherwise the pages count as clean from now on.
            Err(Wrong::Crash) => {}
            Err(_) => file.pending.clear(),
        }
        outcome.map_err(fault)
    }
}
