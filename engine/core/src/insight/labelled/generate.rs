//! Makes the clean series of all keys, and has unusual activity planted.
//!
//! Six weeks from a Monday, three of them scored. Relies on [`super::shape`] for what keys are like and on [`super::plant`]
//! for labels. Must plant after all clean series are complete, because a label is measured against all six weeks of them.

use super::plant::Planter;
use super::random::Random;
use super::shape::{Class, DAY, Season, Shape};
use super::{Key, Set};

/// Minutes since the epoch of Monday 2026-01-05.
const BEGIN: u32 = 29_460_960;
pub(super) const MINUTES: u32 = 42 * DAY;
pub(super) const WARM: u32 = 21 * DAY;

/// How many keys a set has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Sixty, of all classes.
    Full,
    /// Twenty, none of which is born late.
    Small,
}

const FULL: [(Class, u32); 9] = [
    (Class::Rare, 11),
    (Class::Session, 11),
    (Class::Low, 9),
    (Class::Mid, 12),
    (Class::High, 4),
    (Class::Cron, 6),
    (Class::Deploy, 3),
    (Class::Trend, 2),
    (Class::Newborn, 2),
];
const SMALL: [(Class, u32); 8] = [
    (Class::Rare, 4),
    (Class::Session, 4),
    (Class::Low, 3),
    (Class::Mid, 4),
    (Class::High, 1),
    (Class::Cron, 2),
    (Class::Deploy, 1),
    (Class::Trend, 1),
];

/// Makes a set from a seed.
pub fn generate(seed: u64, profile: Profile) -> Set {
    let classes: &[(Class, u32)] = if profile == Profile::Full {
        &FULL
    } else {
        &SMALL
    };
    let mut random = Random::new(seed, 0);
    // A working day of the scored weeks, not the first two.
    let holiday = 21 + 7 * random.whole(0, 3) + random.whole(0, 5);
    let holiday = if holiday < 23 { holiday + 7 } else { holiday };
    let gaps = [
        random.whole(2, 20),
        random.whole(22, 30),
        random.whole(31, 41),
    ]
    .map(|day| {
        let start = day * DAY + random.whole(60, DAY - 120);
        (start, start + random.whole(20, 70))
    });
    let mut set = Set {
        begin: BEGIN,
        warm_until: BEGIN + WARM,
        end: BEGIN + MINUTES,
        gaps: gaps
            .map(|(start, end)| (start + BEGIN, end + BEGIN))
            .to_vec(),
        ..Set::default()
    };
    let deploys = deployments(&mut random, holiday);
    for (class, many) in classes {
        for number in 0..*many {
            let key = set.keys.len();
            let mut random = Random::new(seed, key as u64 + 1);
            let born = if *class == Class::Newborn {
                random.whole(21 * DAY, 32 * DAY)
            } else {
                0
            };
            let shape = Shape::new(*class, born, &mut random);
            let counts = clean(&shape, holiday, &deploys, &mut random);
            let name = format!("{0}.amazonaws.com/Call{number}", class.name());
            set.keys.push(Key {
                name,
                class: class.name(),
            });
            if born > 0 {
                set.ignored.push((key, (BEGIN + born, BEGIN + born + DAY)));
            }
            let mut planter = Planter {
                shape: &shape,
                holiday,
                gaps: &gaps,
                counts,
                random,
            };
            let labels = planter.plant(key);
            planter.contaminate();
            let mut counts = planter.counts;
            for (start, end) in gaps {
                counts[start as usize..end as usize].fill((0, 0));
            }
            set.labels.extend(labels.into_iter().map(|mut label| {
                for minute in [&mut label.start, &mut label.end, &mut label.grace_end] {
                    *minute += BEGIN;
                }
                label
            }));
            set.counts.push(counts);
        }
    }
    set.labels.sort_by_key(|label| (label.start, label.key));
    set
}

/// When everything is deployed: up to twice a working day.
fn deployments(random: &mut Random, holiday: u32) -> Vec<u32> {
    let mut all = Vec::new();
    for day in (0..42).filter(|day| day % 7 < 5 && *day != holiday) {
        for _ in 0..random.poisson(0.9) {
            all.push(day * DAY + random.whole(9 * 60, 18 * 60));
        }
    }
    all
}

/// The series when nothing is unusual.
fn clean(shape: &Shape, holiday: u32, deploys: &[u32], random: &mut Random) -> Vec<(u32, u32)> {
    let mut calls = vec![0u32; MINUTES as usize];
    let keep = f64::exp(-1.0 / shape.memory);
    let fresh = f64::sqrt(1.0 - keep * keep);
    let (mut before, mut wander) = (random.normal(), random.normal());
    // Error rates wander too, within a factor of two or so.
    let (mut error_wander, mut failing) = (random.normal(), vec![0.0; MINUTES as usize]);
    for minute in shape.born..MINUTES {
        if minute % 60 == 0 {
            before = wander;
            wander = keep * wander + fresh * random.normal();
            error_wander = 0.9 * error_wander + 0.435_9 * random.normal();
        }
        let part = f64::from(minute % 60) / 60.0;
        let level = f64::exp(shape.wander * (before + (wander - before) * part));
        let mean = shape.mean(minute, holiday) * level;
        let burst = random.gamma(shape.burstiness);
        calls[minute as usize] = random.poisson(mean * burst);
        failing[minute as usize] = shape.errors * f64::exp(0.35 * error_wander);
    }
    if let Some((period, place, length, rate)) = shape.job {
        let mut at = place;
        while at + length < MINUTES {
            for minute in at..at + length {
                calls[minute as usize] += random.poisson(rate);
            }
            at += period;
        }
    }
    if shape.class == Class::Session {
        sessions(&mut calls, random);
    }
    if shape.class == Class::Deploy {
        for at in deploys {
            if random.chance(0.8) {
                let (length, rate) = (random.whole(4, 16), random.scale(2.0, 16.0));
                // Nothing is deployed at night where the callers live.
                let at = (*at as i32 - shape.zone).clamp(0, MINUTES as i32 - 20) as u32;
                for minute in at..at + length {
                    calls[minute as usize] += random.poisson(rate);
                }
            }
        }
    }
    let both = calls.into_iter().zip(failing);
    both.map(|(calls, failing)| (calls, random.binomial(calls, failing)))
        .collect()
}

/// A person or tool that works for some minutes, at any time.
fn sessions(calls: &mut [u32], random: &mut Random) {
    let gap = random.scale(1.0, 5.0) * f64::from(DAY);
    let (low, high) = (random.scale(1.0, 1.6), random.scale(2.0, 6.0));
    let mut at = random.between(0.0, gap);
    while at < f64::from(MINUTES - 20) {
        let rate = random.scale(low, high);
        let length = random.whole(2, 9);
        for minute in at as u32..at as u32 + length {
            if random.chance(0.8) {
                calls[minute as usize] += random.poisson(rate).max(1);
            }
        }
        at += -f64::ln(1.0 - random.unit()) * gap;
    }
}

/// Whether a key has enough of a season for an hour to be unusual.
pub(super) fn has_nights(shape: &Shape) -> bool {
    matches!(shape.season, Season::Office | Season::Night) && shape.class != Class::Rare
}
