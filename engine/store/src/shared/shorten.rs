//! Shortening the ledger: an image of what its entries come to, and then they may go.
//!
//! ```text
//! image written ──▶ counts ──▶ everybody has come further than the image before it? ──▶ no key has its newest entry up to
//! there ──▶ ledger purged up to there ──▶ older images removed
//! ```
//!
//! The ledger reaches back to the second newest image, so a newest one that is damaged costs nobody anything. Each step may
//! be the last: an image that nothing was purged for takes room until the next ones are written, a purge that was not made
//! is made the next time, and so are removals. Several may do all of it at once, for every step only ever goes further.
//!
//! It relies on `everybody` to know who is there; whoever is not, and comes back, loads an image. It must never purge the
//! newest entry of a key: what is appended next is held against it, and whoever has not seen it must not get an entry in.
//! Such keys get an entry that changes nothing first. Rejected: leaving those entries where they are (purges by subject),
//! after which the stream has holes that nobody could tell from losses.

use super::change::{Change, Entry, keys};
use super::image::{self, Named};
use super::{Core, SharedStore, TRIES};
use crate::limits::IMAGES_KEPT;
use std::sync::atomic::Ordering;
use tripline_core::port::{FaultClass, PortFault, Sequence};
use tripline_core::rule::kind::EventTime;

/// What came of shortening the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortened {
    /// An image of this entry was written.
    pub image: Option<Sequence>,
    /// The entries up to here are gone.
    pub through: Option<Sequence>,
    /// Entries up to here may go when everybody has come further.
    pub waits: Option<Sequence>,
}

/// How the ledger was when this process shortened it last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// The newest image.
    image: Sequence,
    /// Nothing may go until there is another one.
    is_done: bool,
}

/// How many times more entries there are between images while somebody is waited for.
const RARER: u64 = 10;

impl SharedStore {
    /// Shortens the ledger if so many entries came after its newest image, or if somebody began to and did not end.
    /// `everybody` gives the entry that all who are there have come to, or nothing when this is not to go on.
    pub fn shorten(
        &self,
        entries: u64,
        everybody: &dyn Fn() -> Option<Sequence>,
    ) -> Result<Shortened, PortFault> {
        let core = &self.core;
        let ledger = core.ledger.as_ref();
        let known = || {
            core.known
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        let before = *known();
        // While it waits for somebody, images come more rarely: else each would be of a place that nobody has told of yet, and
        // with much to do the ledger would never be shortened.
        let waits = !before.is_done && before.image.0 > 0;
        let wanted = match waits {
            true => entries.saturating_mul(RARER),
            false => entries,
        };
        let is_wanted = |image: Sequence| {
            let place = core.local.applied().0;
            place > 0 && place.saturating_sub(image.0) >= wanted
        };
        if before.is_done && !is_wanted(before.image) {
            return Ok(Shortened::default());
        }
        let mut done = Shortened::default();
        let mut names = ledger.names()?;
        let mut kept = whole(core, &names)?;
        let newest = |kept: &[Named]| kept.first().map_or(Sequence(0), |one| one.place);
        if is_wanted(newest(&kept)) {
            let written = image::write(core, &|| everybody().is_some())?;
            done.image = Some(written.place);
            names = ledger.names()?;
            kept = whole(core, &names)?;
        }
        let image = newest(&kept);
        let Some(oldest) = kept.get(IMAGES_KEPT - 1) else {
            *known() = Known {
                image,
                is_done: true,
            };
            return Ok(done);
        };
        let through = oldest.place;
        if ledger.first()? <= through {
            let all = everybody().unwrap_or_default();
            if all.min(self.follows().place) < through {
                *known() = Known {
                    image,
                    is_done: false,
                };
                done.waits = Some(through);
                // The ledger itself has what images older than these are of; others are written while it waits.
                remove_before(core, through, &names)?;
                return Ok(done);
            }
            core.keep_heads(through)?;
            ledger.purge(through)?;
            done.through = Some(through);
        }
        remove_before(core, through, &names)?;
        *known() = Known {
            image,
            is_done: true,
        };
        Ok(done)
    }
}

/// The newest images that have all of their parts, as many as are to stay.
fn whole(core: &Core, names: &[String]) -> Result<Vec<Named>, PortFault> {
    let mut kept = Vec::new();
    for image in image::images(names) {
        if kept.len() == IMAGES_KEPT {
            break;
        }
        if image::is_whole(core.ledger.as_ref(), &image, names)? {
            kept.push(image);
        }
    }
    Ok(kept)
}

/// Removes images of earlier entries, and what is left of some that were never ended. What says that they count goes first.
fn remove_before(core: &Core, place: Sequence, names: &[String]) -> Result<(), PortFault> {
    let is_old = |name: &&String| image::place_of(name).is_some_and(|one| one < place);
    let mut old: Vec<&String> = names.iter().filter(is_old).collect();
    old.sort_unstable_by_key(|name| name.contains('.'));
    for name in old {
        core.ledger.forget(name)?;
    }
    Ok(())
}

impl Core {
    /// Sees to it that the newest entry of every key comes after a place, up to which this process has come.
    fn keep_heads(&self, through: Sequence) -> Result<(), PortFault> {
        for key in keys(&self.local.partitions()) {
            self.keep_head(&key, through)?;
        }
        Ok(())
    }

    fn keep_head(&self, key: &str, through: Sequence) -> Result<(), PortFault> {
        for _ in 0..TRIES {
            let newest = self.ledger.newest(key)?;
            if newest > through {
                return Ok(());
            }
            let number = self.numbers.fetch_add(1, Ordering::SeqCst) + 1;
            let now = EventTime::from_micros(self.now.load(Ordering::SeqCst));
            let change = Change::Head {
                key: key.to_owned(),
            };
            let entry = Entry::new(&self.me, number, now, change).to_bytes()?;
            match self.ledger.append(key, Some(newest), &entry) {
                Ok(_) => return Ok(()),
                // Somebody was faster, with an entry that is as good.
                Err(fault) if fault.class == FaultClass::Fenced => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(PortFault::new(
            FaultClass::Retry,
            format!("shorten the ledger: others were faster under {key} each of {TRIES} times"),
        ))
    }
}
