//! Entities against a model that keeps everything, against snapshots at any point, and with a population of habits.

use super::calendar::{day_of, second_of};
use super::calibration::Maxima;
use super::owner::Owner;
use super::snapshot::checksum;
use super::table::{Entry, Table};
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SEED: [u64; 2] = [0x5EED, 0xFEED];
const START: i64 = 1_700_000_000;
const DAY: i64 = 86_400;

fn settings(history_days: u16, learning_days: u16) -> EntitySettings {
    EntitySettings {
        history_days,
        learning_days,
        ..EntitySettings::default()
    }
}

fn sight(entity: u64, value: u64, peers: u64, time_seconds: i64) -> Sight {
    Sight {
        entity,
        value,
        peers,
        time_seconds,
    }
}

/// Everything, the naive way.
#[derive(Default)]
struct Model {
    clock: u32,
    /// First and last second, count and days of each value of an entity.
    pairs: BTreeMap<(u64, u64), (u32, u32, u32, u32)>,
    /// First and last second of each entity.
    entities: BTreeMap<u64, (u32, u32)>,
    /// Every day on which a value of an entity was seen.
    days: BTreeMap<(u64, u64), BTreeSet<u32>>,
}

impl Model {
    /// What is answered when nothing is given up, and whether it is counted.
    fn see(&mut self, sight: &Sight, settings: &EntitySettings) -> (First, bool) {
        let second = second_of(sight.time_seconds);
        self.clock = self.clock.max(second);
        let oldest = day_of(self.clock).saturating_sub(u32::from(settings.history_days));
        let counts = |last: u32| day_of(last) >= oldest;
        self.pairs.retain(|_, (_, last, _, _)| counts(*last));
        self.entities.retain(|_, (_, last)| counts(*last));
        let learning = u32::from(settings.learning_days) * DAY as u32;
        let since = self.entities.get(&sight.entity).map(|(first, _)| *first);
        let learned =
            learning == 0 || since.is_some_and(|first| first.saturating_add(learning) <= second);
        let known = self.pairs.get(&(sight.entity, sight.value)).copied();
        let first = match known {
            Some((first, last, count, days)) => First::Known {
                first_seen: START_OF_TIME + i64::from(first),
                last_seen: START_OF_TIME + i64::from(last),
                count,
                days,
            },
            None if learned && counts(second) => First::New,
            None => First::Unknown,
        };
        if !counts(second) {
            return (first, false);
        }
        let pair = self
            .pairs
            .entry((sight.entity, sight.value))
            .or_insert((second, second, 0, 0));
        let (from, to) = (day_of(pair.0), day_of(pair.1));
        pair.3 += u32::from(pair.2 == 0 || day_of(second) > to || day_of(second) < from);
        *pair = (pair.0.min(second), pair.1.max(second), pair.2 + 1, pair.3);
        let days = self.days.entry((sight.entity, sight.value)).or_default();
        days.insert(day_of(second));
        let entity = self
            .entities
            .entry(sight.entity)
            .or_insert((second, second));
        *entity = (entity.0.min(second), entity.1.max(second));
        (first, true)
    }
}

const START_OF_TIME: i64 = 946_684_800;

/// Looks at every segment.
fn sweep(entities: &mut Entities) {
    let clock = i64::from(entities.clock) + START_OF_TIME;
    let at = entities.moment(&sight(0, 0, 0, clock));
    for level in [&mut entities.own, &mut entities.peers, &mut entities.all] {
        level.begin_sweep();
        while level.sweep.1 > 0 {
            level.sweep_some(&at);
        }
    }
}

/// Sights with some disorder, long silences and few different names.
fn sights() -> impl Strategy<Value = Vec<Sight>> {
    let step = prop_oneof![
        8 => 0i64..600,
        4 => 3_600i64..DAY,
        2 => DAY..4 * DAY,
        2 => -3 * DAY..0i64,
        1 => 10 * DAY..40 * DAY,
        1 => -30 * DAY..-3 * DAY,
    ];
    prop::collection::vec((0u64..6, 0u64..12, 0u64..2, step), 1..200).prop_map(|steps| {
        let mut time = START;
        let each = |(entity, value, peers, step): (u64, u64, u64, i64)| {
            time += step.max(0);
            sight(entity, value, peers, time + step.min(0))
        };
        steps.into_iter().map(each).collect()
    })
}

fn check_exact(all: &[Sight], settings: EntitySettings) {
    let (mut entities, mut model) = (Entities::new(settings, SEED), Model::default());
    let mut late = 0;
    for each in all {
        let (expected, counted) = model.see(each, &settings);
        let looked = entities.look(each);
        let seen = entities.see(each);
        assert_eq!(looked, seen);
        assert_eq!(seen.first, expected, "{each:?}");
        late += u64::from(!counted);
        check_sound(&seen);
    }
    sweep(&mut entities);
    let counters = entities.counters();
    assert_eq!(counters.keys, model.pairs.len() as u64);
    assert_eq!(counters.entities, model.entities.len() as u64);
    assert_eq!((counters.evicted, counters.evicted_above), (0, 0));
    assert_eq!(counters.late, late);
    // Restoring computes all totals again.
    Entities::restore(settings, SEED, &entities.snapshot()).expect("totals agree");
}

fn check_sound(seen: &Seen) {
    let numbers = [seen.own, seen.peer, seen.all, seen.surprise, seen.score];
    for number in numbers {
        assert!(number.is_finite() && number >= -1e-9, "{seen:?}");
    }
    assert!(seen.score <= 1.0);
}

/// With little room: nothing is called new that is not, and what is known is true.
fn check_short(all: &[Sight], settings: EntitySettings) {
    let (mut entities, mut model) = (Entities::new(settings, SEED), Model::default());
    for each in all {
        let of = model.days.get(&(each.entity, each.value));
        let of = of.map_or(0, BTreeSet::len) as u32;
        let (expected, _) = model.see(each, &settings);
        match (entities.see(each).first, expected) {
            (First::Unknown, _) | (First::New, First::New) => {}
            (
                First::Known {
                    first_seen,
                    last_seen,
                    count,
                    days,
                },
                First::Known {
                    first_seen: first,
                    last_seen: last,
                    count: all,
                    ..
                },
            ) => {
                // A late sight may be all that is left of what was seen since. And of late days only those outside of what
                // is remembered count, so that whoever remembers less may count more of them.
                assert!(
                    first_seen >= first && last_seen <= last && count <= all && days <= of,
                    "{first_seen} >= {first}, {last_seen} <= {last}, {count} <= {all}, {days} <= {of}: {each:?}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(entities.counters().keys <= settings.keys_max.max(8));
    }
    Entities::restore(settings, SEED, &entities.snapshot()).expect("totals agree");
}

fn check_restored(all: &[Sight], cut: usize, settings: EntitySettings) {
    let mut whole = Entities::new(settings, SEED);
    let (before, after) = all.split_at(cut.min(all.len()));
    for each in before {
        whole.see(each);
    }
    let bytes = whole.snapshot();
    let mut again = Entities::restore(settings, SEED, &bytes).expect("own bytes");
    assert_eq!(again.snapshot(), bytes);
    let roomy = EntitySettings {
        keys_max: 1 << 23,
        bytes_max: 1 << 30,
        ..settings
    };
    let roomy = Entities::restore(roomy, SEED, &bytes).expect("own bytes");
    for each in after {
        assert_eq!(whole.look(each), roomy.look(each));
    }
    let mut at_once = Vec::new();
    again.see_all(after, &mut at_once);
    for (each, seen) in after.iter().zip(&at_once) {
        assert_eq!(whole.see(each), *seen);
    }
    assert_eq!(whole.snapshot(), again.snapshot());
    assert_eq!(whole.counters(), again.counters());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn answers_are_those_of_a_model(all in sights(), history in 1u16..30, learning in 0u16..9) {
        check_exact(&all, settings(history, learning));
    }

    #[test]
    fn what_is_given_up_is_never_called_new(all in sights(), keys in 8u64..30, learning in 0u16..5) {
        check_short(&all, EntitySettings { keys_max: keys, ..settings(28, learning) });
        // Less memory than the empty tables take.
        check_short(&all, EntitySettings { bytes_max: 1 << 10, ..settings(28, learning) });
    }

    #[test]
    fn a_restart_changes_nothing(all in sights(), cut in 0usize..200, keys in 8u64..80) {
        check_restored(&all, cut, settings(14, 3));
        check_restored(&all, cut, EntitySettings { keys_max: keys, ..settings(14, 3) });
    }

    #[test]
    fn changed_bytes_are_refused(all in sights(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut entities = Entities::new(settings(14, 3), SEED);
        for each in &all {
            entities.see(each);
        }
        let mut bytes = entities.snapshot();
        let at = at.index(bytes.len());
        prop_assert!(Entities::restore(settings(14, 3), SEED, &bytes[..at]).is_err());
        bytes[at] ^= 1 << bit;
        prop_assert!(Entities::restore(settings(14, 3), SEED, &bytes).is_err());
        // Also when the checksum is made right, nothing panics, and what is taken can be gone on with.
        let end = bytes.len() - 8;
        let sum = checksum(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&sum);
        if let Ok(mut taken) = Entities::restore(settings(14, 3), SEED, &bytes) {
            for each in &all {
                taken.see(each);
            }
        }
    }

    #[test]
    fn the_order_within_a_second_does_not_matter(pairs in prop::collection::vec((0u64..5, 0u64..9), 1..60)) {
        let (mut one, mut other) = (Entities::new(settings(14, 0), SEED), Entities::new(settings(14, 0), SEED));
        for day in 0..3 {
            let second = |(entity, value): &(u64, u64)| sight(*entity, *value, entity % 2, START + day * DAY);
            pairs.iter().for_each(|pair| { one.see(&second(pair)); });
            pairs.iter().rev().for_each(|pair| { other.see(&second(pair)); });
        }
        for pair in &pairs {
            let ask = sight(pair.0, pair.1, pair.0 % 2, START + 3 * DAY);
            let (one, other) = (one.look(&ask), other.look(&ask));
            prop_assert_eq!((one.first, one.habits, one.all), (other.first, other.habits, other.all));
        }
    }

    #[test]
    fn a_table_holds_what_a_map_holds(
        steps in prop::collection::vec((0u8..8, 0u64..200, 0u32..4), 1..400),
        spread in prop::sample::select(vec![1u64, 1 << 40, 0x9E37_79B9_7F4A_7C15]),
        keys in prop::sample::select(vec![1u64, 20_000]),
    ) {
        let (mut table, mut map) = (Table::new(keys), BTreeMap::new());
        for (kind, key, number) in steps {
            let hash = key.wrapping_mul(spread);
            match kind {
                0 => {
                    table.remove(hash);
                    map.remove(&hash);
                }
                1 if key < 20 => {
                    let segment = table.segment_of(hash);
                    table.retain(segment, |entry| entry.owner != number);
                    map.retain(|hash, entry: &mut Entry| table.segment_of(*hash) != segment || entry.owner != number);
                }
                _ => {
                    let entry = Entry::new(hash, key as u32, number);
                    table.insert(entry);
                    map.insert(hash, entry);
                }
            }
            prop_assert_eq!(table.find(hash).map(|place| *table.at(place)), map.get(&hash).copied());
        }
        prop_assert!(table.entries().eq(map.values()));
        prop_assert_eq!(table.len(), map.len());
        prop_assert!(map.keys().all(|hash| table.find(*hash).is_some()));
    }
}

#[test]
fn times_from_both_ends_of_the_world() {
    for history in [0, 1, u16::MAX] {
        let mut entities = Entities::new(settings(history, history), SEED);
        for time in [i64::MIN, -1, 0, START, i64::MAX, START, i64::MIN, i64::MAX] {
            for value in [0, u64::MAX] {
                check_sound(&entities.see(&sight(value, value, value, time)));
            }
        }
        assert_eq!(entities.counters().late > 0, history < u16::MAX);
        Entities::restore(settings(1, 1), SEED, &entities.snapshot()).expect("other days");
    }
}

#[test]
fn foreign_bytes_are_refused_by_name() {
    let mut entities = Entities::new(settings(28, 7), SEED);
    entities.see(&sight(1, 2, 3, START));
    let bytes = entities.snapshot();
    let check = |seed: [u64; 2], bytes: &[u8], expected: EntityFault| {
        let fault = Entities::restore(settings(28, 7), seed, bytes).map(|_| ());
        assert_eq!(fault, Err(expected));
    };
    check(SEED, b"", EntityFault::NotASnapshot);
    check(
        SEED,
        b"something else altogether",
        EntityFault::NotASnapshot,
    );
    check([1, 2], &bytes, EntityFault::Secret);
    check(SEED, &bytes[..bytes.len() - 1], EntityFault::Checksum);
    let mut newer = bytes.clone();
    newer[8] = 2;
    check(SEED, &newer, EntityFault::Version(2));
}

#[test]
fn memory_has_a_bound_and_who_is_crowded_out_is_unknown() {
    let bound = EntitySettings {
        keys_max: 1 << 40,
        bytes_max: 2 << 20,
        ..settings(28, 1)
    };
    let mut entities = Entities::new(bound, SEED);
    entities.see(&sight(1, 1, 1, START));
    let mut most = 0;
    for at in 0..100_000u64 {
        entities.see(&sight(at / 3, at, at / 1000, START + DAY + at as i64));
        most = most.max(entities.bytes());
    }
    let counters = entities.counters();
    assert!(most <= (2 << 20) + (128 << 10), "{most} bytes");
    assert!(
        counters.keys > 5_000 && counters.evicted > 50_000,
        "{counters:?}"
    );
    // Entity 1 was given up whole; when it is back and learned, its old value may be one that it had.
    let later = START + 4 * DAY;
    assert_eq!(entities.see(&sight(1, 7, 1, later)).first, First::Unknown);
    let soon = entities.look(&sight(1, 1, 1, later + 2 * DAY));
    assert_eq!(
        (soon.first, soon.habits.own),
        (First::Unknown, Habit::Unknown)
    );
    // Once what was given up would be forgotten anyhow, new is new.
    for day in 0..40 {
        entities.see(&sight(1, 7, 1, later + day * DAY));
    }
    assert_eq!(
        entities.look(&sight(1, 1, 1, later + 40 * DAY)).first,
        First::New
    );
}

#[test]
fn what_expires_gives_its_memory_back() {
    let mut entities = Entities::new(settings(3, 0), SEED);
    for at in 0..20_000 {
        entities.see(&sight(at % 500, at, 1, START + at as i64));
    }
    let full = entities.bytes();
    for day in 0..10 {
        for at in 0..200 {
            entities.see(&sight(1, at % 5, 1, START + day * DAY + at as i64));
        }
    }
    let counters = entities.counters();
    assert_eq!((counters.keys, counters.entities), (5, 1));
    assert_eq!(counters.expired, 20_000 - 1);
    assert!(
        entities.bytes() < full / 4,
        "{} of {full}",
        entities.bytes()
    );
}

#[test]
fn a_distribution_of_exact_maxima_says_what_was_put_in() {
    // Maxima of 1000 exact probabilities a day: 3 + 0.25 on average, one day in a hundred above 5.
    let mut maxima = Maxima::default();
    for day in 0..200u32 {
        let uniform = (f64::from(day * 37 % 200) + 0.5) / 200.0;
        maxima.note(3.0 - (-uniform.ln()).log10());
        maxima = maxima.next_day(Prior::exact(3.25));
    }
    let gumbel = maxima.gumbel(Prior::exact(3.25));
    assert!((gumbel.surprise(5.0) - 2.0).abs() < 0.35, "{gumbel:?}");
    assert!((gumbel.below(5.0) - 0.99).abs() < 0.01);
    assert!(gumbel.surprise(1e300) > 300.0 && gumbel.below(1e300) == 1.0);
    assert!(gumbel.surprise(-1e300) == 0.0 && gumbel.below(-1e300) == 0.0);
    // One attack does not make the next one usual.
    let mut attacked = maxima;
    attacked.note(40.0);
    let after = attacked
        .next_day(Prior::exact(3.25))
        .gumbel(Prior::exact(3.25));
    assert!(after.surprise(8.0) > 3.0, "{after:?}");
}

#[test]
fn a_longer_history_does_not_make_what_was_forgotten_new() {
    let mut entities = Entities::new(settings(10, 1), SEED);
    for day in 0..20 {
        entities.see(&sight(1, 1, 1, START + day * DAY));
        if day < 5 {
            entities.see(&sight(1, 2, 1, START + day * DAY));
        }
    }
    let ask = sight(1, 2, 1, START + 20 * DAY);
    assert_eq!(entities.look(&ask).first, First::New);
    sweep(&mut entities);
    let bytes = entities.snapshot();
    let check = |history: u16, days: i64, expected: First| {
        let mut longer = Entities::restore(settings(history, 1), SEED, &bytes).expect("own bytes");
        for day in 20..20 + days {
            longer.see(&sight(1, 1, 1, START + day * DAY));
        }
        let later = Sight {
            time_seconds: ask.time_seconds + days * DAY,
            ..ask
        };
        assert_eq!(longer.look(&later).first, expected, "{history} {days}");
    };
    check(5, 0, First::New);
    check(20, 0, First::Unknown);
    check(20, 12, First::New);
}

/// Numbers that look like chance and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0) % limit
    }
}

const TINKERER: u64 = 7;
const DAYS: i64 = 60;

/// Sixty people in three groups. Each has ten habits out of its group's thirty things, does each on two days of three,
/// now and then one of the group's it has not, and once in a while something that nobody did. One does
/// something new every day.
fn population() -> Entities {
    let (mut entities, mut dice) = (Entities::new(settings(28, 7), SEED), Dice(1));
    for day in 0..DAYS {
        for user in 0..60u64 {
            let group = user % 3;
            let mut things = BTreeSet::new();
            for habit in 0..10 {
                if dice.below(3) > 0 {
                    things.insert(group * 1000 + (user * 7 + habit) % 30);
                }
            }
            if dice.below(20) == 0 {
                things.insert(group * 1000 + dice.below(30));
            }
            if user == TINKERER || dice.below(3000) == 0 {
                things.insert(1_000_000 + user * 1000 + day as u64);
            }
            for (at, thing) in things.into_iter().enumerate() {
                for again in 0..=dice.below(4) as i64 {
                    let time = START + day * DAY + at as i64 * 60 + again;
                    entities.see(&sight(user, thing, group, time));
                }
            }
        }
    }
    entities
}

#[test]
fn people_with_habits() {
    let mut entities = population();
    let time = START + DAYS * DAY;
    // What user 10 (of group 1) never did, and others of the group do.
    let of_peers = (0..30)
        .map(|thing| sight(10, 1000 + thing, 1, time))
        .find(|sight| {
            let habits = entities.look(sight).habits;
            (habits.own, habits.peers) == (Habit::Unseen, Habit::Frequent)
        })
        .expect("not everything of the group");
    let common = entities.look(&of_peers);
    let habit = entities.look(&sight(10, 1000 + 70 % 30, 1, time));
    let unheard_of = entities.look(&sight(10, 99_999, 1, time));
    let other_group = entities.look(&sight(10, 2, 1, time));
    let tinkered = entities.look(&sight(TINKERER, 99_999, 1, time));
    println!("{common:#?}\n{habit:#?}\n{unheard_of:#?}\n{other_group:#?}\n{tinkered:#?}");

    assert!(matches!(habit.first, First::Known { .. }));
    assert_eq!(habit.habits.own, Habit::Frequent);
    assert!(habit.own < 0.5 && habit.score < 0.01);

    assert_eq!(
        (common.habits.own, common.habits.peers),
        (Habit::Unseen, Habit::Frequent)
    );
    assert_eq!(unheard_of.habits.all, Habit::Unseen);
    assert_eq!(other_group.habits.peers, Habit::Unseen);
    assert_eq!(other_group.habits.all, Habit::Frequent);
    assert_eq!(other_group.habits.all.as_str(), "FREQUENT");

    assert!(common.score < 0.5 && unheard_of.score > 0.9);
    assert!(common.own < other_group.own && other_group.own < unheard_of.own);
    assert_eq!(tinkered.first, First::New);
    assert!(tinkered.own + 1.0 < unheard_of.own);
    assert!(tinkered.surprise < 1.0 && tinkered.score < 0.2);

    // Who came today is not known; what it does is judged by its group.
    let newborn = sight(5000, 1003, 1, time);
    assert_eq!(entities.see(&newborn).first, First::Unknown);
    let soon = entities.look(&sight(5000, 1004, 1, time + 6 * DAY));
    assert_eq!(
        (soon.first, soon.habits.own),
        (First::Unknown, Habit::Unknown)
    );
    assert_eq!(soon.own, soon.peer);
    assert_eq!(
        entities.look(&sight(5000, 1004, 1, time + 7 * DAY)).first,
        First::New
    );
}

#[test]
fn one_who_floods_a_group_blinds_nobody() {
    let mut entities = population();
    let time = START + DAYS * DAY;
    let before = entities.look(&sight(10, 99_999, 1, time + DAY)).own;
    for at in 0..20_000 {
        entities.see(&sight(22, 10_000_000 + at, 1, time + at as i64 / 4));
    }
    let after = entities.look(&sight(10, 99_999, 1, time + DAY)).own;
    assert!((before - after).abs() < 0.3, "{before} {after}");
}

#[test]
fn an_owner_is_as_small_as_was_said() {
    assert_eq!((size_of::<Entry>(), size_of::<Owner>()), (28, 80));
}
