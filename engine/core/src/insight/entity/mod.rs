//! What entities usually do: whether something is new to one of them, and how rare it is for it, for its peers and for
//! everybody. Behind `entity.first_seen` and `entity.rarity`.
//!
//! One [`Entities`] for each declared profile: who (`userIdentity.arn`), what (`eventSource` with `eventName`) and with whom
//! it is compared (the account). All three come as hashes. Counting is by days: a value weighs the days on which
//! its entity did it. Three levels are kept, each exactly: the values of entities, of groups, and of all. From them come
//! probabilities (`rarity`), and from these, with what each entity and then all of them showed on their days so far
//! (`calibration`), a score that means the same everywhere.
//!
//! Relies on: sights in the order of their times, or at most a few hours late. One that is older than what is
//! remembered is not counted. One that is years ahead makes everything before it forgotten, and nothing new: whoever
//! takes events in has to refuse such times. Hashes of the caller may be anything; they are mixed with a secret that
//! must be the same for the life of a store and unknown to those who make events.
//!
//! What an answer depends on: all sights before. Of sights within one second the order says which of them was the first;
//! for what holds after all of them it does not matter, as far as first and last, counts, days, words and the
//! chance for everybody go. Whose day brought something new to a group is then a matter of who came first, and surprise
//! and score are means in single precision, added in the order of coming; so the other numbers may differ a little.
//! Where memory was short, the same gives way for the same order. Nothing depends on a clock, on chance, or on whether
//! there was a restart in between.
//!
//! Must never do: say `New` of what was seen within the history, except for two hashes of 64 bits being equal, which then
//! says `Known` of what is new (a chance of 1 in 10^12 for each sight at ten million). Rejected: filters and sketches. At
//! ten million values the exact table takes 0.4 GB, and filters can neither forget nor say how often or since when.

mod calendar;
mod calibration;
mod level;
mod owner;
mod rarity;
mod seen;
mod snapshot;
mod table;
#[cfg(test)]
mod tests;

pub use seen::{EntityCounters, EntitySettings, First, Habit, Habits, Seen, Sight};
pub use snapshot::EntityFault;

use calendar::{Moment, day_of, days_between, time_of};
use calibration::{Everyday, Maxima, Prior, decades};
use level::{Found, Key, Level, Noted, Short, Weigh};
use owner::{NEW_ALL, NEW_PEERS, NEW_SELF, Owner};
use rarity::Three;
use std::hint::black_box;
use table::ENTRY_CHARGE;

/// What the entities of one profile usually do.
#[derive(Clone, Debug)]
pub struct Entities {
    settings: EntitySettings,
    seed: [u64; 2],
    /// Second of the latest sight.
    clock: u32,
    own: Level,
    peers: Level,
    all: Level,
    /// What the largest surprise of an entity's day is like, over all entities.
    everyday: Everyday,
    /// The largest of each day, over all entities.
    maxima: Maxima,
    late: u64,
}

/// Groups' values, and everybody's, may be a quarter as many as entities'.
const ABOVE_SHARE: u64 = 4;
/// When memory is short, these may keep such a share of it.
const ABOVE_BYTES_SHARE: u64 = 8;
/// So many sights before it is seen what a sight needs is fetched.
const AHEAD: usize = 2;
/// The mean of the largest of many days, each exact: Euler's constant over ln 10.
const MEAN_OF_EXACT: f64 = 0.250_681_6;
/// Days that brought something new are forgotten over so many histories.
const NEWS_HISTORIES: f32 = 2.0;

/// The numbers that a sight is answered with, beside what was found.
struct Judged {
    seen: Seen,
    /// Whether the entity is known for long enough.
    learned: bool,
}

impl Entities {
    /// Nothing seen yet. The seed is secret, and the same for the life of a store.
    pub fn new(settings: EntitySettings, seed: [u64; 2]) -> Self {
        let settings = EntitySettings {
            history_days: settings.history_days.max(1),
            ..settings
        };
        let above = settings.keys_max.div_ceil(ABOVE_SHARE);
        let sized = settings.bytes_max / (2 * ENTRY_CHARGE as u64);
        let sized_above = sized / ABOVE_BYTES_SHARE;
        Self {
            settings,
            seed,
            clock: 0,
            own: Level::new(Weigh::Days, settings.keys_max, sized),
            peers: Level::new(Weigh::Count, above, sized_above),
            all: Level::new(Weigh::Count, above, sized_above),
            everyday: Everyday::default(),
            maxima: Maxima::default(),
            late: 0,
        }
    }

    /// How it was set up.
    pub fn settings(&self) -> &EntitySettings {
        &self.settings
    }

    /// What holds for a sight; it is not counted.
    pub fn look(&self, sight: &Sight) -> Seen {
        let at = self.moment(sight);
        let three = self.find(&self.keys(sight), &at);
        self.judge(&three, &at).seen
    }

    /// Counts a sight, and says what held before it.
    pub fn see(&mut self, sight: &Sight) -> Seen {
        let at = self.moment(sight);
        let keys = self.keys(sight);
        let three = self.find(&keys, &at);
        let judged = self.judge(&three, &at);
        if !at.counts(at.second) {
            self.late = self.late.saturating_add(1);
            return judged.seen;
        }
        if day_of(at.clock) > day_of(self.clock) {
            self.begin_day();
        }
        self.clock = at.clock;
        self.count(&keys, &three, &at, &judged);
        for level in [&mut self.own, &mut self.peers, &mut self.all] {
            level.sweep_some(&at);
        }
        judged.seen
    }

    /// Counts sights one after the other, each as [`see`](Self::see) does, in about a sixth less time when there are millions
    /// of values: what the next ones will need is fetched from memory meanwhile.
    pub fn see_all(&mut self, sights: &[Sight], seen: &mut Vec<Seen>) {
        seen.reserve(sights.len());
        for (at, sight) in sights.iter().enumerate() {
            if let Some(later) = sights.get(at + AHEAD) {
                let [own, peers, _] = self.keys(later);
                black_box(self.own.pairs.touch(own.pair) ^ self.peers.pairs.touch(peers.pair));
            }
            seen.push(self.see(sight));
        }
    }

    /// Bytes of memory taken.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.own.bytes() + self.peers.bytes() + self.all.bytes()
    }

    /// What is remembered and what is not any more.
    pub fn counters(&self) -> EntityCounters {
        EntityCounters {
            keys: self.own.pairs.len() as u64,
            entities: self.own.owners.live() as u64,
            group_keys: self.peers.pairs.len() as u64,
            groups: self.peers.owners.live() as u64,
            all_keys: self.all.pairs.len() as u64,
            evicted: self.own.evicted,
            evicted_above: self.peers.evicted.saturating_add(self.all.evicted),
            expired: self.own.expired,
            late: self.late,
        }
    }

    fn moment(&self, sight: &Sight) -> Moment {
        Moment::new(sight.time_seconds, self.clock, self.settings.history_days)
    }

    fn keys(&self, sight: &Sight) -> [Key; 3] {
        let value = mix(sight.value ^ self.seed[1]);
        let key = |owner: u64| {
            let owner = mix(owner ^ self.seed[0]);
            Key {
                owner,
                pair: mix(owner.rotate_left(32).wrapping_add(value)),
            }
        };
        [key(sight.entity), key(sight.peers), key(0)]
    }

    fn find(&self, [own, peers, all]: &[Key; 3], at: &Moment) -> Three {
        Three {
            own: self.own.find(*own, at),
            peers: self.peers.find(*peers, at),
            all: self.all.find(*all, at),
        }
    }

    fn learned(&self, owner: Option<&Owner>, at: &Moment) -> bool {
        let days = self.settings.learning_days;
        days == 0 || owner.is_some_and(|owner| days_between(owner.first, at.second, days))
    }

    /// Whether what is not found was not there, for all that is known.
    fn known(&self, found: &Found, at: &Moment) -> bool {
        !found.lost && at.counts(at.second) && self.learned(found.owner.as_ref(), at)
    }

    fn judge(&self, three: &Three, at: &Moment) -> Judged {
        let first = match three.own.entry {
            Some(entry) => First::Known {
                first_seen: time_of(entry.first),
                last_seen: time_of(entry.last),
                count: entry.count,
                days: entry.days,
            },
            None if self.known(&three.own, at) => First::New,
            None => First::Unknown,
        };
        let history = self.settings.history_days;
        let chances = three.chances(at, history);
        let habits = three.habits(at, history, |found| self.known(found, at));
        let (own, peer, all) = (
            decades(chances.own),
            decades(chances.peer),
            decades(chances.all),
        );
        let usual = self.everyday.prior();
        let days = three.own.owner.map_or_else(Maxima::default, |owner| {
            let over = at.day() > day_of(owner.last);
            if over {
                owner.maxima.next_day(usual)
            } else {
                owner.maxima
            }
        });
        let surprise = days.gumbel(usual).surprise(own);
        let usual = self.usual_maximum();
        let over = day_of(at.clock) > day_of(self.clock);
        let of_all = if over {
            self.maxima.next_day(usual)
        } else {
            self.maxima
        };
        let score = of_all.gumbel(usual).below(surprise);
        Judged {
            learned: self.learned(three.own.owner.as_ref(), at),
            seen: Seen {
                first,
                own,
                peer,
                all,
                surprise,
                score,
                habits,
            },
        }
    }

    /// What the largest surprise of a day would be, were all of them exact.
    fn usual_maximum(&self) -> Prior {
        Prior::exact(MEAN_OF_EXACT - decades(self.own.owners.live().max(1) as f64))
    }

    fn begin_day(&mut self) {
        self.maxima = self.maxima.next_day(self.usual_maximum());
        for level in [&mut self.own, &mut self.peers, &mut self.all] {
            level.begin_sweep();
        }
    }

    fn count(&mut self, keys: &[Key; 3], three: &Three, at: &Moment, judged: &Judged) {
        let (short, short_above) = self.shortage();
        let noted = self.own.note(keys[0], &three.own, at, short);
        if noted.owner_day {
            self.end_day_of(noted.owner);
        }
        if noted.value_day {
            let peers = self.peers.note(keys[1], &three.peers, at, short_above);
            let all = self.all.note(keys[2], &three.all, at, short_above);
            if noted.owner_day {
                self.take_turns(three, [noted, peers, all], at);
            }
            self.count_news(three, [noted, peers, all], at);
        }
        if let Some(owner) = self.own.owners.get_mut(noted.owner)
            && judged.learned
            && at.day() == day_of(owner.last)
        {
            owner.maxima.note(judged.seen.own);
        }
        if at.day() == day_of(at.clock) {
            self.maxima.note(judged.seen.surprise);
        }
    }

    /// Whether entities' values have to give way, and whether those above have to.
    fn shortage(&self) -> (Short, Short) {
        let above = self.peers.charge().max(self.all.charge());
        let all = self.own.charge() + self.peers.charge() + self.all.charge();
        let limit = self.settings.bytes_max;
        let short = |is: bool| if is { Short::Yes } else { Short::No };
        (
            short(all > limit),
            short(all > limit && above > limit / ABOVE_BYTES_SHARE),
        )
    }

    /// What the entity showed on the day before is counted.
    fn end_day_of(&mut self, number: u32) {
        let usual = self.everyday.prior();
        if let Some(owner) = self.own.owners.get_mut(number) {
            if let Some(value) = owner.maxima.ended(usual) {
                self.everyday.note(value, &owner.maxima);
            }
            owner.maxima = owner.maxima.next_day(usual);
        }
    }

    /// An entity's day begins, which is one of its group and of all.
    fn take_turns(&mut self, three: &Three, noted: [Noted; 3], at: &Moment) {
        let lasting = f32::from(self.settings.history_days) * NEWS_HISTORIES;
        for (which, found) in [three.own, three.peers, three.all].iter().enumerate() {
            let learned = self.learned(found.owner.as_ref(), at);
            let before = found.owner.map_or(at.day(), |owner| day_of(owner.last));
            let days = at.day().saturating_sub(before) as f32;
            let Some(owner) = self.level_mut(which).owners.get_mut(noted[which].owner) else {
                continue;
            };
            owner.turns = owner.turns.saturating_add(1);
            if learned {
                owner.turn((-days / lasting).exp());
            }
        }
    }

    /// Counts what is new, for each entity once a day.
    fn count_news(&mut self, three: &Three, noted: [Noted; 3], at: &Moment) {
        let number = noted[0].owner;
        let Some(entity) = self.own.owners.get(number) else {
            return;
        };
        let mut news = entity.news;
        if at.day() != day_of(entity.last) {
            return;
        }
        let all = [
            (three.own, NEW_SELF),
            (three.peers, NEW_PEERS),
            (three.all, NEW_ALL),
        ];
        for (which, (found, bit)) in all.iter().enumerate() {
            let is_new = found.entry.is_none() && self.known(found, at);
            if !is_new || news & bit != 0 {
                continue;
            }
            news |= bit;
            if let Some(owner) = self.level_mut(which).owners.get_mut(noted[which].owner) {
                owner.fresh += 1.0;
            }
        }
        if let Some(entity) = self.own.owners.get_mut(number) {
            entity.news = news;
        }
    }

    fn level_mut(&mut self, which: usize) -> &mut Level {
        match which {
            0 => &mut self.own,
            1 => &mut self.peers,
            _ => &mut self.all,
        }
    }
}

/// Mixes all bits of a number into all bits of another, one to one (the finish of MurmurHash3).
fn mix(number: u64) -> u64 {
    let mut mixed = number ^ number >> 33;
    mixed = mixed.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    mixed ^= mixed >> 33;
    mixed = mixed.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    mixed ^ mixed >> 33
}
