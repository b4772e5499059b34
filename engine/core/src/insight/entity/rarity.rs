//! How probable a value was, on a day of an entity, of one of its peers, and of anybody.
//!
//! Of everybody's days (one for each entity and day) some share has the value: (c + 1/2) / (n + 1). Among the peers the
//! share is that of the others', and what they never did is left to everybody: (1 - m) c / n + m p, where m is the
//! missing mass, the chance that a day brings something new. The entity itself is the same over its peers. The missing
//! mass is what Good and Turing say, values that weigh one over all weight, until the days that brought something new
//! have been counted for a while; these weigh more with each day. So for somebody who does something new every day what is
//! new costs nothing by itself; and one who floods a group with new things is one voice, which blinds nobody.
//!
//! Nothing is said against a value that may have been given up: that level then stands back for the next one.

use super::calendar::{Moment, day_of};
use super::level::{Found, Weigh};
use super::owner::Owner;
use super::table::Entry;
use super::{Habit, Habits};

/// Chances of the value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chances {
    pub(super) own: f64,
    pub(super) peer: f64,
    pub(super) all: f64,
}

/// What the three levels know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Three {
    pub(super) own: Found,
    pub(super) peers: Found,
    pub(super) all: Found,
}

/// Seen on fewer days nothing is a habit.
const DAYS_LEAST: (u32, u32) = (3, 2);
/// On a share of days from which something is frequent, and from which infrequent; rare below.
const SHARE_LEAST: (f64, f64) = (1.0 / 3.0, 1.0 / 10.0);

impl Three {
    /// How probable the value was.
    pub(super) fn chances(&self, at: &Moment, history: u16) -> Chances {
        let all = match (self.all.owner, self.all.entry) {
            (Some(owner), entry) if entry.is_some() || !self.all.lost => {
                let turns = turns(&owner, entry.as_ref(), at, history);
                let weight = entry.map_or(0, |entry| Weigh::Count.of(&entry));
                (f64::from(weight) + 0.5) / (turns.max(f64::from(weight)) + 1.0)
            }
            (Some(_), _) => 1.0,
            (None, _) => 0.5,
        };
        let peer = self.peer_chance(all, at, history);
        let own = match (self.own.owner, self.own.entry) {
            (Some(owner), entry) if entry.is_some() || !self.own.lost => {
                let turns = turns(&owner, entry.as_ref(), at, history);
                let weight = entry.map_or(0, |entry| Weigh::Days.of(&entry));
                over(missing(&owner), share(weight, turns), peer)
            }
            _ => peer,
        };
        Chances { own, peer, all }
    }

    /// Among the others of the group.
    fn peer_chance(&self, all: f64, at: &Moment, history: u16) -> f64 {
        let (Some(owner), entry) = (self.peers.owner, self.peers.entry) else {
            return all;
        };
        if entry.is_none() && self.peers.lost {
            return all;
        }
        let others = owner
            .turns
            .saturating_sub(self.own.owner.map_or(0, |own| own.turns));
        if others == 0 {
            return all;
        }
        let scale = f64::from(others) / f64::from(owner.turns.max(1));
        let turns = turns(&owner, entry.as_ref(), at, history) * scale;
        over(missing(&owner), share(self.weight_of_others(), turns), all)
    }

    fn weight_of_others(&self) -> u32 {
        let own = self.own.entry.map_or(0, |entry| Weigh::Days.of(&entry));
        let group = self.peers.entry.map_or(0, |entry| Weigh::Count.of(&entry));
        group.saturating_sub(own)
    }

    /// The same in words.
    pub(super) fn habits(
        &self,
        at: &Moment,
        history: u16,
        known: impl Fn(&Found) -> bool,
    ) -> Habits {
        let word = |found: &Found, days: u32| match (found.owner, found.entry) {
            (Some(owner), Some(entry)) if days > 0 => {
                let of = f64::from(owner.days.max(1)) * recent(&owner, Some(&entry), at, history);
                in_words(days, f64::from(days) / of.max(f64::from(days)))
            }
            _ if known(found) => Habit::Unseen,
            _ => Habit::Unknown,
        };
        let days = |found: &Found| found.entry.map_or(0, |entry| entry.days);
        Habits {
            own: word(&self.own, days(&self.own)),
            peers: word(&self.peers, days(&self.peers).min(self.weight_of_others())),
            all: word(&self.all, days(&self.all)),
        }
    }
}

fn in_words(days: u32, share: f64) -> Habit {
    if days >= DAYS_LEAST.0 && share >= SHARE_LEAST.0 {
        Habit::Frequent
    } else if days >= DAYS_LEAST.1 && share >= SHARE_LEAST.1 {
        Habit::Infrequent
    } else {
        Habit::Rare
    }
}

/// What is seen with one chance, or else, when it is something new, with the other.
fn over(missing: f64, share: f64, behind: f64) -> f64 {
    (1.0 - missing) * share + missing * behind
}

fn share(weight: u32, turns: f64) -> f64 {
    let weight = f64::from(weight);
    if weight == 0.0 {
        0.0
    } else {
        weight / turns.max(weight)
    }
}

/// The chance that a day of an owner brings something new to it.
fn missing(owner: &Owner) -> f64 {
    let good_turing = (f64::from(owner.once) + 1.0) / (owner.weight as f64 + 1.0);
    let counted = (f64::from(owner.fresh) + good_turing.min(1.0)) / (f64::from(owner.busy) + 1.0);
    counted.clamp(0.0, 1.0)
}

/// Days of the owner's members among which a value is looked for.
fn turns(owner: &Owner, entry: Option<&Entry>, at: &Moment, history: u16) -> f64 {
    f64::from(owner.turns) * recent(owner, entry, at, history)
}

/// The share of the owner's time that counts for a value: since its first sight, and no less than the history. So what
/// became a habit of late is one, although it was none for years.
fn recent(owner: &Owner, entry: Option<&Entry>, at: &Moment, history: u16) -> f64 {
    let today = day_of(at.clock);
    let length = |from: u32| f64::from(today.saturating_sub(day_of(from))) + 1.0;
    let all = length(owner.first);
    let own = entry.map_or(0.0, |entry| length(entry.first));
    own.max(f64::from(history)).min(all) / all
}
