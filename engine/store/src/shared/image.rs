//! Images of the store beside the ledger: written in parts, found, and loaded by whoever the ledger does not reach back to.
//!
//! ```text
//! image-<place>-<writer>.<n>     part n, as `embedded/image.rs` has it
//! image-<place>-<writer>         checksum (8 bytes), then JSON: what the store counts, length and checksum of each part
//! ```
//!
//! The last object makes the image count, and is written when all parts are there. An image is right by itself: it is what
//! the entries up to its place come to, whoever wrote it. So it does not matter whether its writer lived on, nor how many
//! write at the same time. Names are never used twice. Rejected: an entry of the ledger that makes an image count, which
//! could be purged with the ledger's front; one long object, of which a broken line takes all back.

use super::{Core, PATIENCE};
use crate::embedded::{Contents, EmbeddedStore, Loaded};
use crate::limits::IMAGE_PARTS_MAX;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tripline_core::port::{FaultClass, Ledger, PortFault, Sequence};
use xxhash_rust::xxh3::xxh3_64;

const VERSION: u8 = 1;

/// How often images may go while they are read, because others wrote newer ones, before that is a fault.
const LOOKS: usize = 5;

/// How long after a fault that may pass the same is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// What makes an image count.
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    /// Version of the shape.
    v: u8,
    contents: Contents,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Part {
    length: u64,
    checksum: u64,
}

/// An image by its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// The entry that it is of.
    pub(super) place: Sequence,
    pub(super) name: String,
}

/// The images among what is kept, newest first.
pub(super) fn images(names: &[String]) -> Vec<Named> {
    let whole = names.iter().filter(|name| !name.contains('.'));
    let mut images: Vec<Named> = whole
        .filter_map(|name| {
            Some(Named {
                place: place_of(name)?,
                name: name.clone(),
            })
        })
        .collect();
    images.sort_unstable_by(|one, other| other.cmp(one));
    images
}

/// The entry that an image, or a part of one, is of.
pub(super) fn place_of(name: &str) -> Option<Sequence> {
    let (place, _) = name.strip_prefix("image-")?.split_once('-')?;
    place.parse().ok().map(Sequence)
}

fn part_of(name: &str, number: usize) -> String {
    format!("{name}.{number}")
}

/// Writes an image of the store as it is now. `goes_on` says whether it is still wanted.
pub(super) fn write(core: &Core, goes_on: &dyn Fn() -> bool) -> Result<Named, PortFault> {
    let image = core.local.image();
    let number = core.numbers.fetch_add(1, Ordering::SeqCst) + 1;
    let place = image.place();
    let name = format!("image-{}-{}-{number}", place.0, core.me);
    let mut parts = Vec::new();
    let written = image.write(|bytes| {
        if parts.len() as u64 >= IMAGE_PARTS_MAX {
            return Err(crate::admit::reject(format!(
                "write an image of the store: it has more than {IMAGE_PARTS_MAX} parts"
            )));
        }
        patiently(goes_on, || {
            core.ledger.keep(&part_of(&name, parts.len()), &bytes)
        })?;
        parts.push(Part {
            length: bytes.len() as u64,
            checksum: xxh3_64(&bytes),
        });
        Ok(())
    });
    let count = parts.len();
    let counted = written.and_then(|contents| {
        let bytes = Manifest {
            v: VERSION,
            contents,
            parts,
        }
        .to_bytes()?;
        patiently(goes_on, || core.ledger.keep(&name, &bytes))
    });
    if let Err(fault) = counted {
        // What stays is removed when the ledger is shortened the next time but one.
        for part in 0..count {
            let _ = core.ledger.forget(&part_of(&name, part));
        }
        return Err(fault);
    }
    Ok(Named { place, name })
}

/// Whether an image has all of its parts, as far as their names tell. Why not.
pub(super) fn is_whole(
    ledger: &dyn Ledger,
    image: &Named,
    names: &[String],
) -> Result<bool, PortFault> {
    let Some(bytes) = ledger.kept(&image.name)? else {
        return Ok(false);
    };
    let Ok(manifest) = Manifest::read(&bytes) else {
        return Ok(false);
    };
    let mut parts = (0..manifest.parts.len()).map(|number| part_of(&image.name, number));
    Ok(parts.all(|part| names.contains(&part)))
}

/// How following began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Began {
    /// The entry that the store had come to.
    pub had: Sequence,
    /// The entry whose image was loaded in its place.
    pub loaded: Option<Sequence>,
    /// What was wrong with images that could not be loaded.
    pub wrong: Vec<String>,
}

/// The store as whoever follows the ledger needs it: its own, or the newest image when the ledger does not reach back to it,
/// or when it has nothing at all.
pub(super) fn reaching(
    mut local: EmbeddedStore,
    ledger: &dyn Ledger,
) -> Result<(EmbeddedStore, Began), PortFault> {
    let mut began = Began {
        had: local.applied(),
        ..Began::default()
    };
    for _ in 0..LOOKS {
        let has = local.applied();
        let first = ledger.first()?;
        let is_short = first.0 > has.0 + 1;
        if !is_short && has.0 > 0 {
            return Ok((local, began));
        }
        if has.0 == 0 && !local.is_empty() {
            return Err(PortFault::new(
                FaultClass::Stop,
                "follow the ledger: the store has findings or positions that are of no ledger, and would be another one than \
                 everybody else's; give another data folder",
            ));
        }
        began.wrong.clear();
        let images = images(&ledger.names()?);
        let last = ledger.last()?;
        let of_use = |image: &&Named| image.place > has && image.place.0 + 1 >= first.0;
        let mut loaded = None;
        for image in images.iter().filter(of_use) {
            if image.place > last {
                return Err(PortFault::new(
                    FaultClass::Stop,
                    format!(
                        "follow the ledger: there is an image of entry {}, and its newest is {}, so it lost some; restore it, \
                         or begin anew with another nats.prefix",
                        image.place.0, last.0
                    ),
                ));
            }
            match load(&local, ledger, image) {
                Ok(whole) => {
                    loaded = Some((image.place, whole));
                    break;
                }
                Err(fault) if fault.class == FaultClass::Reject => {
                    began
                        .wrong
                        .push(format!("{}: {}", image.name, words(&fault)));
                }
                Err(fault) => return Err(fault),
            }
        }
        if let Some((place, whole)) = loaded {
            local = local.replaced_by(whole)?;
            began.loaded = Some(place);
            continue;
        }
        // Newer ones may have taken their place meanwhile.
        if self::images(&ledger.names()?) != images {
            continue;
        }
        if !is_short {
            return Ok((local, began));
        }
        return Err(out_of_reach(has, first, &began.wrong));
    }
    Err(PortFault::new(
        FaultClass::Retry,
        format!("load an image: others wrote newer ones each of {LOOKS} times"),
    ))
}

fn out_of_reach(has: Sequence, first: Sequence, wrong: &[String]) -> PortFault {
    let why = match wrong {
        [] => "there is no image of what was before".to_owned(),
        wrong => wrong.join("; "),
    };
    PortFault::new(
        FaultClass::Stop,
        format!(
            "follow the ledger after entry {}: it begins at {}, and no image can be loaded: {why}; bring the images back, copy \
             the data folder of another process that has stopped, or begin anew with another nats.prefix",
            has.0, first.0
        ),
    )
}

/// Loads an image beside the store. `Reject` when it can never be.
fn load(local: &EmbeddedStore, ledger: &dyn Ledger, image: &Named) -> Result<Loaded, PortFault> {
    let kept = |name: &str| match patiently(&|| true, || ledger.kept(name)) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(crate::admit::reject(format!("read {name}: it is missing"))),
        // What cannot be read for so long is of no use, and others may be.
        Err(fault) if fault.class == FaultClass::Retry => Err(PortFault {
            class: FaultClass::Reject,
            ..fault
        }),
        Err(fault) => Err(fault),
    };
    let manifest = Manifest::read(&kept(&image.name)?)?;
    if manifest.contents.place != image.place.0 {
        return Err(crate::admit::reject(format!(
            "read {}: it is of entry {}",
            image.name, manifest.contents.place
        )));
    }
    let mut loading = local.begin_loading(manifest.contents)?;
    for (number, part) in manifest.parts.iter().enumerate() {
        let name = part_of(&image.name, number);
        let bytes = kept(&name)?;
        if bytes.len() as u64 != part.length || xxh3_64(&bytes) != part.checksum {
            return Err(crate::admit::reject(format!("read {name}: it is damaged")));
        }
        loading.add(&bytes)?;
    }
    loading.end()
}

impl Manifest {
    fn to_bytes(&self) -> Result<Vec<u8>, PortFault> {
        let json = serde_json::to_vec(self)
            .map_err(|fault| crate::admit::reject("write an image".to_owned()).because(fault))?;
        let mut bytes = xxh3_64(&json).to_be_bytes().to_vec();
        bytes.extend(json);
        Ok(bytes)
    }

    fn read(bytes: &[u8]) -> Result<Self, PortFault> {
        let damaged = || crate::admit::reject("read what an image has: it is damaged".to_owned());
        let (checksum, json) = bytes.split_first_chunk().ok_or_else(damaged)?;
        if xxh3_64(json) != u64::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        let manifest: Self =
            serde_json::from_slice(json).map_err(|fault| damaged().because(fault))?;
        if manifest.v != VERSION {
            return Err(crate::admit::reject(format!(
                "read what an image has: it has version {}, this program knows {VERSION}; a newer one wrote it",
                manifest.v
            )));
        }
        Ok(manifest)
    }
}

/// Does what may work later until it does, for as long as servers may take to restart.
fn patiently<T>(
    goes_on: &dyn Fn() -> bool,
    mut act: impl FnMut() -> Result<T, PortFault>,
) -> Result<T, PortFault> {
    let begun = Instant::now();
    loop {
        if !goes_on() {
            return Err(PortFault::new(
                FaultClass::Retry,
                "write an image: the process ends",
            ));
        }
        match act() {
            Err(fault) if fault.class == FaultClass::Retry && begun.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// A fault and its cause in one line.
fn words(fault: &PortFault) -> String {
    match &fault.source {
        None => fault.to_string(),
        Some(source) => format!("{fault}: {source}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_entry_and_what_they_are() {
        let names = [
            "partitions",
            "state-3-4294967296",
            "image-70-me-0a-1.0",
            "image-70-me-0a-1",
            "image-9-image-8-x-2",
            "image-x-1",
            "image-12",
        ];
        let names = names.map(str::to_owned);
        let found = images(&names);
        let found: Vec<(u64, &str)> = found
            .iter()
            .map(|one| (one.place.0, one.name.as_str()))
            .collect();
        assert_eq!(
            found,
            [(70, "image-70-me-0a-1"), (9, "image-9-image-8-x-2")]
        );
        assert_eq!(place_of("image-70-me-0a-1.0"), Some(Sequence(70)));
        assert_eq!(place_of("state-3-4294967296"), None);
    }
}
