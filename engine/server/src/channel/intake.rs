//! The one way into the log: events of a verified sender, each taken or refused by name, and answered when durable.
//!
//! An id is claimed, the event appended, the id settled; only then is it answered. Whatever fails before the append gives the id
//! back. It must never say that something was taken which is not in the log.

use super::Channel;
use super::decode::Entry;
use super::ids::{self, Claim, Ids, IdsFault, Key};
use super::record::{self, Arrival};
use crate::causes::with_causes;
use crate::serve::Partitions;
use std::collections::BTreeMap;
use tripline_core::event::{Kind, Parser};
use tripline_core::port::{Durability, FaultClass, NewRecord, Partition, PortFault, RecordKind};

/// Records appended at a time: one append is one write and one flush, and holds up others for as long.
const RECORDS_AT_A_TIME: usize = 10_000;

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
    /// Why not all of them were taken, where that is not their own fault.
    pub(crate) fault: Option<PortFault>,
}

/// The way in.
pub(crate) struct Intake {
    pub(crate) partitions: Partitions,
    pub(crate) ids: Ids,
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
        let mut outcomes: Vec<Option<Outcome>> = vec![None; entries.len()];
        let mut ready = Vec::new();
        let mut parser = Parser::new();
        for (index, entry) in entries.iter().enumerate() {
            match self.prepare(channel, arrival, (index, entry), seed, &mut parser) {
                Ok(one) => ready.push(one),
                Err(outcome) => outcomes[index] = Some(outcome),
            }
        }
        let wanted: Vec<(Key, u64)> = ready.iter().map(|one| (one.key, one.hash)).collect();
        let claims = self.ids.claim(&wanted);
        let mut here: BTreeMap<Key, u64> = BTreeMap::new();
        let mut new = Vec::new();
        for (one, claim) in ready.into_iter().zip(claims) {
            let index = one.index;
            let claim = match claim {
                // Of an event of this request that is there twice.
                Claim::Busy => match here.get(&one.key) {
                    Some(hash) if *hash == one.hash => Claim::Same,
                    Some(_) => Claim::Other,
                    None => Claim::Busy,
                },
                claim => claim,
            };
            match claim {
                Claim::New => {
                    here.insert(one.key, one.hash);
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
            fault: None,
        };
        self.append(channel, arrival, new, (&mut outcomes, &mut taken));
        taken.outcomes = outcomes.into_iter().flatten().collect();
        debug_assert_eq!(taken.outcomes.len(), entries.len());
        taken
    }

    fn prepare(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        (index, entry): (usize, &Entry<'_>),
        seed: Option<&str>,
        parser: &mut Parser,
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
        let document = parser
            .parse(bytes)
            .map_err(|why| Rejection::of("malformed", why.to_string()))?;
        let event = document.root();
        if event.kind() != Kind::Object {
            return Err(Rejection::of("malformed", "an event is an object"));
        }
        if let Some((code, words)) = channel.allow.refuses(event) {
            return Err(Rejection::of(code, words));
        }
        let own = record::own_id(event, &channel.file.id_field);
        let name = match (&entry.id, &own, seed) {
            (Some(id), _, _) => id.clone(),
            (None, Some(own), _) => own.clone(),
            (None, None, Some(seed)) => format!("{seed}\n{index}"),
            // The same bytes are the same event.
            (None, None, None) => format!("{:032x}", ids::key("", event.raw())),
        };
        let event_id = record::given_id(channel, name.as_bytes(), own.as_deref());
        let shown = entry.shown_id.as_deref().or(own.as_deref());
        let bytes = record::build(channel, arrival, event, (&event_id, shown), &entry.more);
        if bytes.len() > self.record_bytes_max {
            let words = format!(
                "longer than {} bytes with what is added, the most that the log takes",
                self.record_bytes_max
            );
            return Err(Rejection::of("too_large", words));
        }
        Ok(Ready {
            index,
            key: ids::key(&channel.id, name.as_bytes()),
            hash: ids::hash(event.raw()),
            event_id,
            partition: self.partitions.of(event),
            bytes,
        })
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
                let done = match &taken.fault {
                    // What follows would fail as well, and order among events is kept.
                    Some(fault) => Err(later(fault)),
                    None => self.append_chunk(channel, arrival, (partition, chunk), taken),
                };
                for one in chunk {
                    let event_id = one.event_id.clone();
                    outcomes[one.index] = Some(match &done {
                        Ok(()) => Outcome::Accepted { event_id },
                        Err(outcome) => outcome.clone(),
                    });
                }
                if done.is_err() {
                    let claimed: Vec<(Key, u64)> =
                        chunk.iter().map(|one| (one.key, one.hash)).collect();
                    self.ids.release(&claimed);
                }
            }
        }
    }

    fn append_chunk(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        (partition, chunk): (Partition, &[Ready]),
        taken: &mut Taken,
    ) -> Result<(), Outcome> {
        let attributes: Vec<String> = chunk
            .iter()
            .map(|one| ids::attributes(&channel.id, (one.key, one.hash)))
            .collect();
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
        match self.partitions.log(partition).append(&records) {
            Ok(appended) => {
                taken.durability = appended.durability;
                let settled: Vec<(Key, u64)> =
                    chunk.iter().map(|one| (one.key, one.hash)).collect();
                let place = (partition, appended.first);
                if let Err(fault) = self.ids.settle(&settled, place, arrival.time) {
                    // The events are in the log, whose records name their ids: they are found again at the next start.
                    self.tell(&fault);
                }
                Ok(())
            }
            Err(fault) => {
                taken.has_stopped |= fault.class == FaultClass::Stop;
                let outcome = later(&fault);
                taken.fault = Some(fault);
                Err(outcome)
            }
        }
    }

    fn tell(&self, fault: &IdsFault) {
        tracing::error!(fault = with_causes(fault), "ids of events not written");
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
