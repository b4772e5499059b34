//! The one way into the log: events of a verified sender, each taken or refused by name, and answered when durable.
//!
//! An id is claimed, the event appended, the id settled; only then is it answered. Whatever fails before the append gives the id
//! back. It must never say that something was taken which is not in the log.

use super::Channel;
use super::decode::Entry;
use super::destination::{Destinations, Put};
use super::ids::{self, Claim, Ids, IdsFault, Key};
use super::record::{self, Arrival, Names};
use super::shape::{Invalid, Misfit};
use crate::causes::with_causes;
use crate::serve::Partitions;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use tripline_core::event::{Kind, Parser};
use tripline_core::limits::DEAD_LETTER_BYTES_MAX;
use tripline_core::port::{
    Durability, FaultClass, NewRecord, Partition, PortFault, RecordKind, Sequence,
};

/// Records appended at a time: one append is one write and one flush, and holds up others for as long.
const RECORDS_AT_A_TIME: usize = 10_000;

/// What is kept of why an event was set aside: it goes into a header of a message where the bus is NATS.
const DETAIL_MAX: usize = 300;

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted {
        event_id: String,
    },
    /// It was taken before.
    Duplicate {
        event_id: String,
    },
    /// It was taken, and set aside until what is wrong is mended.
    SetAside {
        event_id: String,
        code: &'static str,
    },
    Rejected(Rejection),
}

/// Why an event was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) code: &'static str,
    pub(crate) words: String,
    /// Whether the same may be taken later.
    pub(crate) is_retryable: bool,
}

impl Rejection {
    fn of(code: &'static str, words: impl Into<String>) -> Outcome {
        Outcome::Rejected(Self {
            code,
            words: words.into(),
            is_retryable: false,
        })
    }

    fn later(code: &'static str, words: impl Into<String>) -> Outcome {
        Outcome::Rejected(Self {
            code,
            words: words.into(),
            is_retryable: true,
        })
    }
}

/// What became of all of them.
pub(crate) struct Taken {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) durability: Durability,
    /// The log takes nothing any more.
    pub(crate) has_stopped: bool,
    /// Events that were taken though the schema says something against them, and the last such words.
    pub(crate) warned: u64,
    pub(crate) warning: Option<String>,
    /// Why not all of them were taken, where that is not their own fault.
    pub(crate) fault: Option<PortFault>,
}

impl Taken {
    /// Says why the log takes nothing any more.
    pub(crate) fn tell_stopped(&self) {
        let fault = self.fault.as_ref().map(|fault| with_causes(fault));
        tracing::error!(fault, "the log failed");
    }
}

/// The way in.
pub(crate) struct Intake {
    pub(crate) partitions: Partitions,
    pub(crate) ids: Ids,
    pub(crate) destinations: Destinations,
    /// The longest record that the bus takes.
    pub(crate) record_bytes_max: usize,
}

/// An event that may come.
struct Ready {
    index: usize,
    key: Key,
    hash: u64,
    event_id: String,
    partition: Partition,
    bytes: Vec<u8>,
    warning: Option<String>,
    /// Why it is set aside, and what is kept for when it is tried again.
    aside: Option<(Misfit, Kept)>,
}

/// What of an arrival is kept with an event that is set aside.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Kept {
    pub(crate) sender: String,
    pub(crate) verified: String,
    #[serde(default)]
    pub(crate) subject: Option<String>,
    pub(crate) time: i64,
    pub(crate) address: Option<IpAddr>,
    /// The id that its sender gave it, as it may be shown.
    #[serde(default)]
    pub(crate) shown_id: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
}

/// Tools of one request, and what is the same for all of its events.
#[derive(Default)]
struct Tools {
    ingest: String,
    sent: Parser,
    whole: Parser,
    shaped: Parser,
    redacted: Parser,
}

/// Whether an id that is known keeps an event out.
#[derive(Clone, Copy)]
enum Known<'k> {
    KeepsOut,
    /// It was set aside before, and is tried again.
    Again(&'k SetAside),
}

/// What is known of an event that was set aside. Its id stands for the bytes as they were sent, not for what is left of them after
/// redaction.
#[derive(Clone, Debug)]
pub(crate) struct SetAside {
    pub(crate) key: Key,
    pub(crate) hash: u64,
    pub(crate) event_id: String,
    pub(crate) shown_id: Option<String>,
}

/// Ids that are claimed. What was not settled when this goes is given back, whatever happened.
struct Claimed<'i> {
    ids: &'i Ids,
    keys: Vec<(Key, u64)>,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        self.ids.release(&self.keys);
    }
}

impl Intake {
    /// Takes the events of a request. `seed` names those that have no id of their own.
    pub(crate) fn take(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        entries: &[Entry<'_>],
        seed: Option<&str>,
    ) -> Taken {
        self.take_known(channel, arrival, (entries, seed), Known::KeepsOut)
    }

    /// Takes none of so many events, for a while.
    pub(crate) fn refuse(&self, count: usize, (code, words): (&'static str, &str)) -> Taken {
        Taken {
            outcomes: vec![Rejection::later(code, words); count],
            durability: self.partitions.durability(),
            has_stopped: false,
            warned: 0,
            warning: None,
            fault: None,
        }
    }

    /// Takes an event that was set aside once more, by what was kept of it. It is not set aside again.
    pub(crate) fn take_again(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        before: &SetAside,
        bytes: &[u8],
    ) -> Taken {
        let mut entry = Entry::plain(bytes.into());
        entry.shown_id.clone_from(&before.shown_id);
        self.take_known(channel, arrival, (&[entry], None), Known::Again(before))
    }

    fn take_known(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        (entries, seed): (&[Entry<'_>], Option<&str>),
        known: Known<'_>,
    ) -> Taken {
        let mut outcomes: Vec<Option<Outcome>> = vec![None; entries.len()];
        let mut ready = Vec::new();
        let mut tools = Tools {
            ingest: record::ingest(channel, arrival),
            ..Tools::default()
        };
        for (index, entry) in entries.iter().enumerate() {
            let event_id = match known {
                Known::KeepsOut => None,
                Known::Again(before) => Some(before.event_id.as_str()),
            };
            let named = (seed, event_id);
            match self.prepare(channel, arrival, (index, entry), named, &mut tools) {
                Ok(Ready {
                    aside: Some((misfit, _)),
                    ..
                }) if matches!(known, Known::Again(_)) => {
                    outcomes[index] = Some(Rejection::of(misfit.code, misfit.words));
                }
                Ok(mut one) => {
                    if let Known::Again(before) = known {
                        (one.key, one.hash) = (before.key, before.hash);
                    }
                    ready.push(one);
                }
                Err(outcome) => outcomes[index] = Some(outcome),
            }
        }
        let wanted: Vec<(Key, u64)> = ready.iter().map(|one| (one.key, one.hash)).collect();
        let claims = match known {
            Known::KeepsOut => self.ids.claim(&wanted),
            Known::Again(_) => vec![Claim::New; wanted.len()],
        };
        let new_ones = wanted.iter().zip(&claims);
        let _claimed = Claimed {
            ids: &self.ids,
            keys: match known {
                Known::Again(_) => Vec::new(),
                Known::KeepsOut => new_ones
                    .filter(|(_, claim)| **claim == Claim::New)
                    .map(|(one, _)| *one)
                    .collect(),
            },
        };
        let mut here: BTreeMap<Key, (u64, usize)> = BTreeMap::new();
        let mut repeats = Vec::new();
        let mut new = Vec::new();
        for (one, claim) in ready.into_iter().zip(claims) {
            let index = one.index;
            let claim = match claim {
                // Of an event of this request that is there twice.
                Claim::Busy => match here.get(&one.key) {
                    Some((hash, first)) if *hash == one.hash => {
                        repeats.push((index, *first));
                        continue;
                    }
                    Some(_) => Claim::Other,
                    None => Claim::Busy,
                },
                claim => claim,
            };
            match claim {
                Claim::New => {
                    here.insert(one.key, (one.hash, index));
                    new.push(one);
                }
                Claim::Same => {
                    let event_id = one.event_id;
                    outcomes[index] = Some(Outcome::Duplicate { event_id });
                }
                Claim::Other => {
                    let words =
                        "another event with this id was taken; give each event an id of its own";
                    outcomes[index] = Some(Rejection::of("id_reused", words));
                }
                Claim::Busy => {
                    let words = "the same event is being taken for another request; come again";
                    outcomes[index] = Some(Rejection::later("in_progress", words));
                }
            }
        }
        let mut taken = Taken {
            outcomes: Vec::new(),
            durability: self.partitions.durability(),
            has_stopped: false,
            warned: 0,
            warning: None,
            fault: None,
        };
        self.append(channel, arrival, new, (&mut outcomes, &mut taken));
        for (index, first) in repeats {
            outcomes[index] = match &outcomes[first] {
                Some(Outcome::Accepted { event_id } | Outcome::SetAside { event_id, .. }) => {
                    let event_id = event_id.clone();
                    Some(Outcome::Duplicate { event_id })
                }
                // What became of the first became of it too.
                other => other.clone(),
            };
        }
        taken.outcomes = outcomes.into_iter().flatten().collect();
        debug_assert_eq!(taken.outcomes.len(), entries.len());
        taken
    }

    fn prepare(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        (index, entry): (usize, &Entry<'_>),
        (seed, known_id): (Option<&str>, Option<&str>),
        tools: &mut Tools,
    ) -> Result<Ready, Outcome> {
        let bytes = match &entry.body {
            Ok(bytes) => bytes,
            Err(why) => return Err(Rejection::of(why.code, why.words.clone())),
        };
        let most = channel.file.limits.event_max_kib * 1024;
        if bytes.len() as u64 > most {
            let words = format!("longer than {most} bytes (limits.event_max_kib)");
            return Err(Rejection::of("too_large", words));
        }
        let document = tools
            .sent
            .parse(bytes)
            .map_err(|why| Rejection::of("malformed", why.to_string()))?;
        let sent = document.root();
        if sent.kind() != Kind::Object {
            return Err(Rejection::of("malformed", "an event is an object"));
        }
        let hash = ids::hash(sent.raw());
        let plain = sent.raw();
        let whole = match entry.more.is_empty() {
            true => None,
            false => Some(record::with_more(sent, &entry.more)),
        };
        let sent = match &whole {
            None => sent,
            Some(bytes) => {
                let parsed = tools.whole.parse(bytes);
                parsed
                    .map_err(|why| Rejection::of("malformed", why.to_string()))?
                    .root()
            }
        };
        let own = record::own_id(sent, &channel.file.id_field);
        let name = match (&entry.id, &own, seed) {
            (Some(id), _, _) => id.clone(),
            (None, Some(own), _) => own.clone(),
            (None, None, Some(seed)) => format!("{seed}\n{index}"),
            // The same bytes are the same event.
            (None, None, None) => format!("{:032x}", ids::key("", plain)),
        };
        let shown = entry.shown_id.as_deref().or(own.as_deref());
        let shown = shown.map(|id| channel.shape.shown_id(id, &channel.file.id_field));
        let key = ids::key(&channel.id, name.as_bytes());
        let mut ready = Ready {
            index,
            key,
            hash,
            event_id: known_id.map_or_else(
                || record::given_id(channel, key, own.as_deref()),
                str::to_owned,
            ),
            partition: self.partitions.of(sent),
            bytes: Vec::new(),
            warning: None,
            aside: None,
        };
        let shaped = match channel.shape.apply(sent, &arrival.headers) {
            Ok(shaped) => shaped,
            Err(misfit) if channel.shape.invalid == Invalid::DeadLetter => {
                ready.bytes = channel
                    .shape
                    .redacted(sent)
                    .unwrap_or_else(|| sent.raw().to_vec());
                if ready.bytes.len() > DEAD_LETTER_BYTES_MAX {
                    // It could not be kept whole, so its sender keeps it.
                    return Err(Rejection::of(misfit.code, misfit.words));
                }
                ready.aside = Some((misfit, arrival.kept(shown)));
                return Ok(ready);
            }
            Err(misfit) => return Err(Rejection::of(misfit.code, misfit.words)),
        };
        ready.warning = shaped.warning;
        let shaped = match &shaped.bytes {
            Cow::Borrowed(_) => sent,
            Cow::Owned(bytes) => {
                let parsed = tools.shaped.parse(bytes);
                parsed
                    .map_err(|why| Rejection::of("unmapped", why.to_string()))?
                    .root()
            }
        };
        if let Some((code, words)) = channel.allow.refuses(shaped) {
            return Err(Rejection::of(code, words));
        }
        ready.partition = self.partitions.of(shaped);
        let clean = channel.shape.redacted(shaped);
        let clean = match &clean {
            None => shaped,
            Some(bytes) => {
                let parsed = tools.redacted.parse(bytes);
                parsed
                    .map_err(|why| Rejection::of("unmapped", why.to_string()))?
                    .root()
            }
        };
        let names = Names {
            event: &ready.event_id,
            sender: shown.as_deref(),
        };
        let kept = match channel.shape.keeps_sent {
            false => None,
            true => Some(match channel.shape.redacted(sent) {
                Some(redacted) => Cow::Owned(redacted),
                None => Cow::Borrowed(sent.raw()),
            }),
        };
        ready.bytes = record::build(&tools.ingest, (clean, kept.as_deref()), names);
        if ready.bytes.len() > self.record_bytes_max {
            let words = format!(
                "longer than {} bytes with what is added, the most that the log takes",
                self.record_bytes_max
            );
            return Err(Rejection::of("too_large", words));
        }
        Ok(ready)
    }

    fn append(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        new: Vec<Ready>,
        (outcomes, taken): (&mut [Option<Outcome>], &mut Taken),
    ) {
        let mut by_partition: BTreeMap<Partition, Vec<Ready>> = BTreeMap::new();
        for one in new {
            by_partition.entry(one.partition).or_default().push(one);
        }
        let max = self.partitions.append_max();
        for (partition, ready) in by_partition {
            let mut rest = ready.as_slice();
            while !rest.is_empty() {
                let mut bytes = 0usize;
                let fits = |one: &&Ready| {
                    bytes = bytes.saturating_add(one.bytes.len() + 256);
                    bytes <= max.bytes
                };
                let most = max.records.min(RECORDS_AT_A_TIME);
                let count = rest.iter().take(most).take_while(fits).count().max(1);
                let (chunk, after) = rest.split_at(count);
                rest = after;
                let places = match &taken.fault {
                    // What follows would fail as well, and order among events is kept.
                    Some(fault) if fault.class != FaultClass::Reject => vec![None; chunk.len()],
                    _ => self.append_chunk(channel, arrival, (partition, chunk), taken),
                };
                for (one, place) in chunk.iter().zip(places) {
                    let event_id = one.event_id.clone();
                    outcomes[one.index] = Some(match (place, &one.aside, &taken.fault) {
                        (Some(_), None, _) => Outcome::Accepted { event_id },
                        (Some(_), Some((misfit, _)), _) => {
                            let code = misfit.code;
                            Outcome::SetAside { event_id, code }
                        }
                        (None, _, Some(fault)) => later(fault),
                        (None, _, None) => Rejection::later("busy", "the log did not say"),
                    });
                    if let (Some(_), Some(words)) = (place, &one.warning) {
                        taken.warned += 1;
                        taken.warning = Some(words.clone());
                    }
                }
            }
        }
    }

    /// Appends those events that their destinations have.
    fn append_chunk(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        (partition, chunk): (Partition, &[Ready]),
        taken: &mut Taken,
    ) -> Vec<Option<Sequence>> {
        let names = &channel.file.destinations;
        if names.is_empty() {
            let all: Vec<&Ready> = chunk.iter().collect();
            return self.append_to_log(channel, arrival, (partition, &all), taken);
        }
        let is_put = |one: &&Ready| one.aside.is_none();
        let events: Vec<Put<'_>> = chunk
            .iter()
            .filter(is_put)
            .map(|one| Put {
                channel: &channel.id,
                event_id: &one.event_id,
                payload: &one.bytes,
            })
            .collect();
        let (done, fault) = self.destinations.put(names, &events, arrival.time);
        let mut done = done.into_iter();
        let goes_on: Vec<bool> = chunk
            .iter()
            .map(|one| !is_put(&one) || done.next().unwrap_or(false))
            .collect();
        let both = chunk.iter().zip(&goes_on);
        let there: Vec<&Ready> = both
            .filter(|(_, goes)| **goes)
            .map(|(one, _)| one)
            .collect();
        let mut places = match there.is_empty() {
            true => Vec::new(),
            false => self.append_to_log(channel, arrival, (partition, &there), taken),
        }
        .into_iter();
        if let Some(fault) = fault {
            taken.fault = Some(PortFault::graver(taken.fault.take(), fault));
        }
        goes_on
            .into_iter()
            .map(|goes| if goes { places.next().flatten() } else { None })
            .collect()
    }

    fn append_to_log(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        (partition, chunk): (Partition, &[&Ready]),
        taken: &mut Taken,
    ) -> Vec<Option<Sequence>> {
        let attributes: Vec<String> = chunk.iter().map(|one| one.attributes(channel)).collect();
        let records: Vec<NewRecord<'_>> = chunk
            .iter()
            .zip(&attributes)
            .map(|(one, attributes)| NewRecord {
                kind: RecordKind::Event,
                taken: arrival.time,
                attributes: attributes.as_bytes(),
                payload: &one.bytes,
            })
            .collect();
        let each = self.partitions.log(partition).append_each(&records);
        taken.durability = each.durability;
        let placed = chunk.iter().zip(&each.places);
        let settled: Vec<(Key, u64, Sequence)> = placed
            .filter_map(|(one, place)| Some((one.key, one.hash, (*place)?)))
            .collect();
        if let Err(fault) = self.ids.settle(&settled, partition, arrival.time) {
            // The events are in the log, whose records name their ids: they are found again at the next start.
            self.tell(&fault);
        }
        if let Some(fault) = each.fault {
            taken.has_stopped |= fault.class == FaultClass::Stop;
            taken.fault = Some(PortFault::graver(taken.fault.take(), fault));
        }
        each.places
    }

    fn tell(&self, fault: &IdsFault) {
        tracing::error!(fault = with_causes(fault), "ids of events not written");
    }
}

impl Ready {
    /// What its record has beside it. The reason comes first where it is set aside: the pipeline looks for it there.
    fn attributes(&self, channel: &Channel) -> String {
        match &self.aside {
            None => ids::attributes(&channel.id, (self.key, self.hash)),
            Some((misfit, kept)) => {
                let words: String = misfit.words.chars().take(DETAIL_MAX).collect();
                let dead = serde_json::json!({ "code": misfit.code, "detail": words });
                let kept = serde_json::to_string(kept).unwrap_or_default();
                let fields = ids::fields(&channel.id, (self.key, self.hash));
                let id = &self.event_id;
                format!(
                    r#"{{"dead":{dead},{fields},"event_id":{},"kept":{kept}}}"#,
                    serde_json::json!(id)
                )
            }
        }
    }
}

fn later(fault: &PortFault) -> Outcome {
    let (code, is_retryable) = match fault.class {
        FaultClass::Full => ("full", true),
        FaultClass::Retry => ("busy", true),
        FaultClass::Fenced | FaultClass::Stop => ("stopped", true),
        FaultClass::Reject => ("refused_by_log", false),
    };
    Outcome::Rejected(Rejection {
        code,
        words: with_causes(fault),
        is_retryable,
    })
}
