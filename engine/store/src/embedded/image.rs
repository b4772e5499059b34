//! Images: all that a store has, as of an entry of a ledger, in parts of which another process makes the same store.
//!
//! A part is zstd of things one after the other: the number of a table (1 byte), the length of its key and of its value (u32
//! big-endian each), the key, the value; both byte by byte as `layout.rs` has them. What the store counts is beside the parts,
//! in `Contents`.
//!
//! ```text
//! <folder>/image.loading/     a store that is being made of an image; removed when the store is opened again
//! <folder>/image.loaded/      the same when it is whole: its database and its witness are put in the place of ours
//! ```
//!
//! The rename from the one to the other is the moment at which the store is another one; what comes after it is done again
//! until it is done. It relies on one batch of the database being seen whole or not at all by whoever looks. It must never
//! show a store that is made in part. Rejected: writing into the tables of the store that is open, which after a crash would
//! be neither the old one nor the new one; and the files of the database as they are, which only the program that wrote them
//! may be able to read.

use super::fault::{of_database, of_file};
use super::layout::{Counters, FORMAT};
use super::witness::sync_folder;
use super::{EmbeddedStore, Parts};
use crate::limits::{IMAGE_PART_BYTES, IMAGE_PART_UNPACKED_MAX};
use fjall::{Keyspace, Readable, Snapshot};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;
use tripline_core::port::{FaultClass, Partition, PortFault, Sequence};

const LOADING: &str = "image.loading";
const LOADED: &str = "image.loaded";

/// Tables by the number that parts have for them. Numbers are never given to another table.
const TABLES: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

/// What is to be known of an image beside its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contents {
    /// The layout of keys and values.
    format: u32,
    /// The entry that changed the store last.
    pub(crate) place: u64,
    /// Things in all parts.
    items: u64,
    newest: u64,
    dead_newest: u64,
    dead_kept: u64,
    dead_given_way: u64,
    stamp: i64,
}

/// All that a store has at one moment, while others go on to change it.
pub(crate) struct Image<'s> {
    view: Snapshot,
    counters: Counters,
    parts: &'s Parts,
}

impl EmbeddedStore {
    /// All that the store has now.
    pub(crate) fn image(&self) -> Image<'_> {
        // Between two batches, so that tables and counters are of the same entry.
        let turn = self.turn();
        Image {
            view: self.database.snapshot(),
            counters: turn.counters,
            parts: &self.parts,
        }
    }

    /// Whether nothing was ever stored.
    pub(crate) fn is_empty(&self) -> bool {
        self.look_at(|state| {
            let counters = &state.counters;
            let stored = counters.newest + counters.dead_newest + counters.applied;
            stored == 0 && state.partitions.is_empty() && state.sinks.is_empty()
        })
    }

    /// The partitions that were ever taken over.
    pub(crate) fn partitions(&self) -> Vec<Partition> {
        self.look_at(|state| state.partitions.keys().copied().collect())
    }

    /// Begins a store beside this one, to be put in its place when it is whole. A format that is not known is `Reject`: this
    /// image is of no use here.
    pub(crate) fn begin_loading(&self, contents: Contents) -> Result<Loading, PortFault> {
        if contents.format != FORMAT {
            return Err(PortFault::new(
                FaultClass::Reject,
                format!(
                    "load an image: its format is {}, this program knows {FORMAT}; use the program that wrote it",
                    contents.format
                ),
            ));
        }
        let folder = self.folder.join(LOADING);
        remove(&folder)?;
        Ok(Loading {
            store: Self::open(&folder, self.options)?,
            contents,
            items: 0,
        })
    }

    /// Closes the store and opens the one that was loaded in its place.
    pub(crate) fn replaced_by(self, loading: Loaded) -> Result<Self, PortFault> {
        let (folder, options) = (self.folder.clone(), self.options);
        drop(loading.0);
        let (from, to) = (folder.join(LOADING), folder.join(LOADED));
        sync_folder(&from)?;
        fs::rename(&from, &to).map_err(|fault| of_file("rename", &from, fault))?;
        sync_folder(&folder)?;
        drop(self);
        Self::open(&folder, options)
    }
}

impl Image<'_> {
    /// The entry that it is the image of.
    pub(crate) fn place(&self) -> Sequence {
        Sequence(self.counters.applied)
    }

    /// Gives its parts, and says what it comes to.
    pub(crate) fn write(
        &self,
        mut give: impl FnMut(Vec<u8>) -> Result<(), PortFault>,
    ) -> Result<Contents, PortFault> {
        let fault = |fault| of_database("read the store for an image", fault);
        let mut part = Vec::new();
        let mut items = 0;
        for table in TABLES {
            let Some(of) = self.parts.of_table(table) else {
                continue;
            };
            for entry in self.view.iter(of) {
                let (key, value) = entry.into_inner().map_err(fault)?;
                put(&mut part, table, &key, &value);
                items += 1;
                if part.len() >= IMAGE_PART_BYTES {
                    give(packed(&part)?)?;
                    part.clear();
                }
            }
        }
        if !part.is_empty() {
            give(packed(&part)?)?;
        }
        let counters = &self.counters;
        Ok(Contents {
            format: FORMAT,
            place: counters.applied,
            items,
            newest: counters.newest,
            dead_newest: counters.dead_newest,
            dead_kept: counters.dead_kept,
            dead_given_way: counters.dead_given_way,
            stamp: counters.stamp,
        })
    }
}

fn packed(part: &[u8]) -> Result<Vec<u8>, PortFault> {
    zstd::bulk::compress(part, 1)
        .map_err(|fault| PortFault::new(FaultClass::Reject, "pack an image").because(fault))
}

fn put(part: &mut Vec<u8>, table: u8, key: &[u8], value: &[u8]) {
    part.push(table);
    // Both are far below 4 GiB: whatever is stored was an event, a finding or a dead letter.
    part.extend((key.len() as u32).to_be_bytes());
    part.extend((value.len() as u32).to_be_bytes());
    part.extend(key);
    part.extend(value);
}

/// Takes the first thing off a part.
fn take<'p>(part: &mut &'p [u8]) -> Option<(u8, &'p [u8], &'p [u8])> {
    let (head, rest) = part.split_first_chunk::<9>()?;
    let length =
        |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (key, rest) = rest.split_at_checked(length(1) as usize)?;
    let (value, rest) = rest.split_at_checked(length(5) as usize)?;
    *part = rest;
    Some((head[0], key, value))
}

/// A store that is being made of an image.
pub(crate) struct Loading {
    store: EmbeddedStore,
    contents: Contents,
    items: u64,
}

/// One that is whole.
pub(crate) struct Loaded(EmbeddedStore);

impl Loading {
    /// Adds a part. One that cannot be read is `Reject`: this image is of no use.
    pub(crate) fn add(&mut self, part: &[u8]) -> Result<(), PortFault> {
        let damaged =
            || PortFault::new(FaultClass::Reject, "read a part of an image: it is damaged");
        let part = zstd::bulk::decompress(part, IMAGE_PART_UNPACKED_MAX)
            .map_err(|fault| damaged().because(fault))?;
        let mut rest = part.as_slice();
        let store = &self.store;
        store.room(part.len())?;
        let (items, _) = store.write(|_, batch, _| {
            let mut items = 0;
            while !rest.is_empty() {
                let (table, key, value) = take(&mut rest).ok_or_else(damaged)?;
                let of = store.parts.of_table(table).ok_or_else(damaged)?;
                batch.insert(of, key, value);
                items += 1;
            }
            Ok(items)
        })?;
        self.items += items;
        Ok(())
    }

    /// Makes what was added the whole store.
    pub(crate) fn end(self) -> Result<Loaded, PortFault> {
        let contents = &self.contents;
        if contents.items != self.items {
            let (has, items) = (self.items, contents.items);
            return Err(PortFault::new(
                FaultClass::Reject,
                format!("load an image: it has {has} things of {items}, so it is damaged"),
            ));
        }
        self.store.begin_entry(Sequence(contents.place));
        self.store.change(|_, _, after| {
            after.counters = Counters {
                newest: contents.newest,
                dead_newest: contents.dead_newest,
                dead_kept: contents.dead_kept,
                dead_given_way: contents.dead_given_way,
                stamp: contents.stamp,
                ..after.counters
            };
            Ok(())
        })?;
        Ok(Loaded(self.store))
    }
}

impl Parts {
    fn of_table(&self, table: u8) -> Option<&Keyspace> {
        Some(match table {
            1 => &self.partitions,
            2 => &self.findings,
            3 => &self.outgoing,
            4 => &self.events,
            5 => &self.event_hours,
            6 => &self.dead,
            7 => &self.sinks,
            8 => &self.versions,
            _ => return None,
        })
    }
}

/// Puts a store that was loaded in the place of the one in the folder, and removes one that was loaded in part. The folder is
/// locked; whatever ends this in the middle, the next time goes on with it.
pub(super) fn adopt(folder: &Path) -> Result<(), PortFault> {
    remove(&folder.join(LOADING))?;
    let loaded = folder.join(LOADED);
    if !loaded.exists() {
        return Ok(());
    }
    // The witness last: it must not speak of a database that is still the old one.
    for name in ["database", "witness"] {
        let (from, to) = (loaded.join(name), folder.join(name));
        if !from.exists() {
            // It was moved before a crash.
            continue;
        }
        remove(&to)?;
        fs::rename(&from, &to).map_err(|fault| of_file("rename", &from, fault))?;
        sync_folder(folder)?;
    }
    remove(&loaded)
}

/// Removes a file or a folder with all that is in it, if it is there.
fn remove(path: &Path) -> Result<(), PortFault> {
    let removed = match path.is_dir() {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    match removed {
        Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
            Err(of_file("remove", path, fault))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::Options;
    use tripline_core::port::conformance::{dead_letter, finding};
    use tripline_core::port::{Commit, Epoch, FindingFilter, KeptEvent, Store};

    /// A store that has something of everything.
    fn filled(folder: &Path, entry: u64, id: &str) -> EmbeddedStore {
        let store = EmbeddedStore::open(folder, Options::default()).expect("opens");
        store.begin_entry(Sequence(entry));
        Store::take_over(&store, Partition(3)).expect("takes over");
        let commit = Commit {
            partition: Partition(3),
            epoch: Epoch(1),
            position: Sequence(7),
            findings: vec![finding(id, "rule", 0)],
            events: vec![KeptEvent {
                id: "e".to_owned(),
                bytes: id.repeat(3 << 20).into_bytes(),
            }],
            dead: vec![dead_letter(5, b"dead")],
            ..Commit::default()
        };
        store.commit(&commit).expect("commits");
        store
            .sink_reached("sink", Sequence(1), &[])
            .expect("reaches");
        store
    }

    fn loaded(from: &EmbeddedStore, to: &EmbeddedStore) -> Loaded {
        let mut parts = Vec::new();
        let image = from.image();
        let written = image.write(|part| {
            parts.push(part);
            Ok(())
        });
        assert!(parts.len() > 1, "several parts");
        let mut loading = to.begin_loading(written.expect("writes")).expect("begins");
        for part in &parts {
            loading.add(part).expect("loads");
        }
        loading.end().expect("ends")
    }

    fn assert_is(store: &EmbeddedStore, id: &str, entry: u64) {
        let filter = FindingFilter {
            max: 10,
            ..FindingFilter::default()
        };
        let found = store.findings(&filter).expect("reads").found;
        let ids: Vec<&str> = found
            .iter()
            .map(|one| one.finding.finding_id.as_str())
            .collect();
        assert_eq!(ids, [id]);
        assert_eq!(store.applied(), Sequence(entry));
        let event = store.event("e").expect("reads").expect("it is there");
        assert!(event.starts_with(id.as_bytes()));
        assert_eq!(
            Store::position(store, Partition(3)).expect("reads"),
            Sequence(7)
        );
        assert_eq!(
            store.sinks().expect("reads"),
            [("sink".to_owned(), Sequence(1))]
        );
        let filter = tripline_core::port::DeadFilter {
            max: 10,
            ..tripline_core::port::DeadFilter::default()
        };
        assert_eq!(store.dead_letters(&filter).expect("reads").len(), 1);
    }

    #[test]
    fn a_store_takes_the_place_of_another_whenever_that_is_ended() {
        // What was done of it when it ended: nothing but the rename, half of the removal, one move, both.
        for done in 0..=4 {
            let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
            let [from, to] = [0, 1].map(|at| folders[at].path());
            let one = filled(from, 40, "new");
            let other = filled(to, 9, "old");
            drop(loaded(&one, &other));
            drop(other);
            let beside = to.join(LOADED);
            fs::rename(to.join(LOADING), &beside).expect("renames");
            if done >= 1 {
                remove(&to.join("database")).expect("removes");
            }
            if done >= 2 {
                fs::rename(beside.join("database"), to.join("database")).expect("renames");
            }
            if done >= 3 {
                remove(&to.join("witness")).expect("removes");
                fs::rename(beside.join("witness"), to.join("witness")).expect("renames");
            }
            if done >= 4 {
                remove(&beside.join("lock")).expect("removes");
            }
            for _ in 0..2 {
                let store = EmbeddedStore::open(to, Options::default()).expect("opens");
                assert_is(&store, "new", 40);
                assert!(!beside.exists());
            }
        }
    }

    #[test]
    fn a_store_that_is_loaded_in_part_is_forgotten() {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let one = filled(folders[0].path(), 40, "new");
        let other = filled(folders[1].path(), 9, "old");
        drop(loaded(&one, &other));
        drop(other);
        let store = EmbeddedStore::open(folders[1].path(), Options::default()).expect("opens");
        assert_is(&store, "old", 9);
        assert!(!folders[1].path().join(LOADING).exists());
        // And the next one works.
        let whole = loaded(&one, &store);
        assert_is(&store.replaced_by(whole).expect("is replaced"), "new", 40);
    }

    #[test]
    fn what_is_no_part_or_not_all_of_them_is_refused() {
        let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        let one = filled(folders[0].path(), 40, "new");
        let other = filled(folders[1].path(), 9, "old");
        let mut parts = Vec::new();
        let contents = one
            .image()
            .write(|part| {
                parts.push(part);
                Ok(())
            })
            .expect("writes");
        let refused = |result: Result<(), PortFault>| {
            assert_eq!(result.map_err(|fault| fault.class), Err(FaultClass::Reject));
        };
        let mut loading = other.begin_loading(contents).expect("begins");
        refused(loading.add(b"no part"));
        refused(loading.add(&packed(&[9, 0, 0, 0, 0, 0, 0, 0, 0]).expect("packs")));
        refused(loading.add(&packed(&[1, 0, 0, 0, 9, 0, 0, 0, 0, 1]).expect("packs")));
        loading.add(&parts[0]).expect("loads");
        refused(loading.end().map(|_| ()));
        let newer = Contents {
            format: FORMAT + 1,
            ..contents
        };
        refused(other.begin_loading(newer).map(|_| ()));
    }
}
