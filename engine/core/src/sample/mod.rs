//! Invented CloudTrail records, as many as wanted, with known incidents planted in the noise.
//!
//! They feed the demo, the benchmarks and tests: what a rule set must find is written in the manifest. The
//! same options give the same bytes on every machine, so a figure or a failure can be repeated. Nothing here
//! reads a clock or the machine's chance, and no record was copied: shapes, sizes and shares were set to
//! those of public real logs (median 1.0 to 1.6 KB, 6 % errors, the odd `userIdentity` of every kind).
//! Rejected: shipping a recorded corpus, which says nothing of 100,000 events, cannot grow and has owners.
//!
//! The catalogue of operations and the incidents are data: `catalogue.txt` and `incidents.txt`.

mod catalogue;
mod identity;
mod incident;
mod random;
mod record;
mod rhythm;
mod scene;
mod template;
mod world;

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use catalogue::{Operation, Service};
use identity::Caller;
pub use random::Random;
use random::spread;
use record::{Draft, Failure, region_of, write_record};
use rhythm::{HOURS_PER_WEEK, Timeline, hour_of_week};
use scene::Scene;
use world::{World, push_uuid};

/// Most accounts of a sample: more add nothing but memory.
const ACCOUNTS_MAX: u32 = 100_000;
/// Longest span of a sample: the hours are listed once.
const DAYS_MAX: u32 = 3660;
/// How far back a duplicate may lie, in records.
const DUPLICATE_REACH: usize = 64;
/// Records held back at most to put them out of order.
const DISORDER_RECORDS_MAX: usize = 4096;

/// What to generate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Same seed, same bytes.
    pub seed: u64,
    /// How many records, planted ones and duplicates included (but all planted records always come).
    pub events: u64,
    /// Time of the first hour.
    pub start: Timestamp,
    /// How many days the records are spread over; at least one.
    pub days: u32,
    /// How many accounts; at least one.
    pub accounts: u32,
    /// How many incidents; the kinds take turns.
    pub incidents: u32,
    /// How many records in a thousand come a second time, byte for byte.
    pub duplicates_per_mille: u32,
    /// How late a record may come; 0 gives them in order of time.
    pub disorder_seconds: u32,
}

impl Default for Options {
    /// A small company's busy day, with one incident of each kind.
    fn default() -> Self {
        Self {
            seed: 1,
            events: 5000,
            start: Timestamp::from_second(1_767_571_200).unwrap_or(Timestamp::UNIX_EPOCH),
            days: 1,
            accounts: 5,
            incidents: 18,
            duplicates_per_mille: 0,
            disorder_seconds: 0,
        }
    }
}

/// One generated record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its `eventID`.
    pub event_id: String,
    /// Its `eventTime`.
    pub time: Timestamp,
    /// One line of JSON, without the line's end.
    pub bytes: Vec<u8>,
}

/// One planted incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// What happens, such as `trail_stopped`.
    pub kind: &'static str,
    /// ATT&CK tactic and technique.
    pub technique: &'static str,
    /// What happens, in words.
    pub title: &'static str,
    /// The account it happens in.
    pub account: String,
    /// Time of its first record.
    #[serde(serialize_with = "as_text")]
    pub first: Timestamp,
    /// Time of its last record.
    #[serde(serialize_with = "as_text")]
    pub last: Timestamp,
    /// Its records, in order.
    pub event_ids: Vec<String>,
}

fn as_text<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// What was planted in a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The seed the sample was made from.
    pub seed: u64,
    /// The incidents, in order of time.
    pub incidents: Vec<Incident>,
}

impl Manifest {
    /// The manifest as JSON, one incident per line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = format!("{{\"seed\":{},\"incidents\":[", self.seed);
        for (place, incident) in self.incidents.iter().enumerate() {
            text.push_str(if place == 0 { "\n" } else { ",\n" });
            text.push_str(&serde_json::to_string(incident).unwrap_or_default());
        }
        text.push_str("\n]}\n");
        text
    }
}

/// Gives the records one after the other.
#[derive(Debug)]
pub struct Generator {
    random: Random,
    world: World,
    services: Vec<Service>,
    /// For every hour of the week, the running sums of the services' weights.
    service_sums: Vec<Vec<u64>>,
    timeline: Timeline,
    manifest: Manifest,
    planted: VecDeque<Record>,
    /// Noise to come, and all of it.
    noise_left: u64,
    noise: u64,
    /// Time of the next noise, when a planted record came before it.
    noise_time: Option<Timestamp>,
    records_left: u64,
    duplicates_per_mille: u64,
    recent: VecDeque<Record>,
    disorder: i64,
    /// Records held back, the next to come last.
    late: Vec<(i64, Record)>,
}

impl Generator {
    /// A generator; options out of bounds are moved to the nearest bound.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let services = catalogue::builtin();
        let world = World::new(options.seed, options.accounts.clamp(1, ACCOUNTS_MAX));
        let hours = options.days.clamp(1, DAYS_MAX) * 24;
        let (manifest, planted) = plant(options, &world, hours);
        let service_sums: Vec<Vec<u64>> = (0..HOURS_PER_WEEK)
            .map(|hour| sums_at(&services, hour))
            .collect();
        let level = |hour: usize| service_sums[hour].last().copied().unwrap_or(1);
        let timeline = Timeline::new(options.start, hours, level);
        // Duplicates take the place of noise.
        let noise = options.events.saturating_sub(planted.len() as u64);
        Self {
            random: Random::new(options.seed),
            timeline,
            world,
            services,
            service_sums,
            manifest,
            records_left: options.events.max(planted.len() as u64),
            planted: planted.into(),
            noise_left: noise,
            noise,
            noise_time: None,
            duplicates_per_mille: u64::from(options.duplicates_per_mille.min(1000)),
            recent: VecDeque::with_capacity(DUPLICATE_REACH),
            disorder: i64::from(options.disorder_seconds),
            late: Vec::new(),
        }
    }

    /// What was planted, known before the first record.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The next record in order of time, or a copy of one that was.
    fn next_in_order(&mut self) -> Option<Record> {
        if self.records_left == 0 {
            return None;
        }
        self.records_left -= 1;
        let may_copy = !self.recent.is_empty() && self.noise_left > 0;
        if may_copy && self.random.per_mille(self.duplicates_per_mille) {
            self.noise_left -= 1;
            let back = self.random.below(self.recent.len() as u64);
            return self.recent.get(usize::try_from(back).unwrap_or(0)).cloned();
        }
        let record = self.fresh()?;
        if self.duplicates_per_mille > 0 {
            if self.recent.len() == DUPLICATE_REACH {
                self.recent.pop_front();
            }
            self.recent.push_back(record.clone());
        }
        Some(record)
    }

    /// A planted record when its time has come, else noise.
    fn fresh(&mut self) -> Option<Record> {
        if self.noise_left == 0 {
            return self.planted.pop_front();
        }
        let time = match self.noise_time.take() {
            Some(time) => time,
            None => self.draw_noise_time(),
        };
        let planted = self.planted.front();
        if planted.is_some_and(|planted| planted.time <= time) {
            self.noise_time = Some(time);
            return self.planted.pop_front();
        }
        self.noise_left -= 1;
        Some(self.noise_at(time))
    }

    fn draw_noise_time(&mut self) -> Timestamp {
        let grain = 1 << 16;
        let done = self.noise - self.noise_left;
        let part = done * grain + self.random.below(grain);
        self.timeline.at(part, self.noise * grain)
    }

    fn noise_at(&mut self, time: Timestamp) -> Record {
        let random = &mut self.random;
        let hour = hour_of_week(time);
        let service = &self.services[random.weighted(&self.service_sums[hour])];
        let operation = &service.operations[random.weighted(&service.running_sums)];
        let account = &self.world.accounts[random.favoured(self.world.accounts.len())];
        let region = region_of(service, account.region(random));
        let mut scene = Scene::new(account, region, time);
        let caller = Caller::draw(service, operation, hour % 24, random);
        let failure = draw_failure(service, operation, caller, hour, &scene, random);
        let mut event_id = String::with_capacity(36);
        push_uuid(random, &mut event_id);
        let draft = Draft {
            source: service.source,
            name: operation.name,
            traits: operation.traits,
            columns: &operation.columns,
            resource: service.resource.as_ref(),
            caller,
            origin: caller.origin(account, random),
            failure,
            event_id,
            principal: None,
        };
        let json = write_record(&draft, &mut scene, random);
        Record {
            event_id: draft.event_id,
            time,
            bytes: json.into_bytes(),
        }
    }
}

impl Iterator for Generator {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        if self.disorder == 0 {
            return self.next_in_order();
        }
        // Hold records back until nothing that is still to come can arrive before the earliest of them.
        loop {
            let next = self.late.last().map(|(arrival, _)| *arrival);
            let full = self.late.len() >= DISORDER_RECORDS_MAX;
            if full {
                return self.late.pop().map(|(_, record)| record);
            }
            let Some(record) = self.next_in_order() else {
                return self.late.pop().map(|(_, record)| record);
            };
            let now = record.time.as_second();
            let delay = self.random.below(self.disorder.unsigned_abs() + 1);
            let arrival = now + i64::try_from(delay).unwrap_or(0);
            let place = self.late.partition_point(|(other, _)| *other > arrival);
            self.late.insert(place, (arrival, record));
            if next.is_some_and(|next| next < now) {
                return self.late.pop().map(|(_, record)| record);
            }
        }
    }
}

/// Plays the incidents over the span, each kind in turn.
fn plant(options: &Options, world: &World, hours: u32) -> (Manifest, Vec<Record>) {
    let scenarios = incident::builtin();
    let mut incidents = Vec::new();
    let mut records: Vec<Record> = Vec::new();
    let span = u64::from(hours) * 3600;
    for number in 0..options.incidents {
        let mut random = Random::new(spread(options.seed ^ spread(u64::from(number) + 1)));
        let scenario = &scenarios[number as usize % scenarios.len()];
        // One part of the span each, away from its ends.
        let part = span / u64::from(options.incidents);
        let begin = part * u64::from(number) + random.below(part / 2 + 1);
        let begin = SignedDuration::from_secs(i64::try_from(begin).unwrap_or(0));
        let start = options.start.checked_add(begin).unwrap_or(options.start);
        let (incident, played) = scenario.play(world, start, &mut random);
        incidents.push(incident);
        records.extend(played);
    }
    records.sort_by_key(|record| record.time);
    (
        Manifest {
            seed: options.seed,
            incidents,
        },
        records,
    )
}

fn sums_at(services: &[Service], hour: usize) -> Vec<u64> {
    let mut sum = 0;
    services
        .iter()
        .map(|service| {
            sum += service.weight * service.rhythm.level(hour);
            sum
        })
        .collect()
}

/// About 6 % of the calls fail, more while batches run and while people deploy.
fn draw_failure(
    service: &Service,
    operation: &Operation,
    caller: Caller,
    hour_of_week: usize,
    scene: &Scene<'_>,
    random: &mut Random,
) -> Failure {
    let share = match hour_of_week % 24 {
        1..4 => 90,
        13..16 => 75,
        _ if hour_of_week >= 120 => 50,
        _ => 60,
    };
    if service.errors.is_empty() || caller == Caller::AwsService || !random.per_mille(share) {
        return Failure::None;
    }
    let code = service.errors[random.favoured(service.errors.len())];
    Failure::of(
        code,
        &format!("{}:{}", service.prefix, operation.name),
        scene,
        random,
    )
}

#[cfg(test)]
mod tests;
