//! `POST /v1/events`: events into the log.
//!
//! The body is what `scan` reads: JSON lines, an array, a delivery file, an envelope; plain, gzip or zstd, told by content.
//! The answer comes when all of it is as durable as it says. A record that is no event is named in the answer and not
//! taken; the others are.

use super::answer::{Refusal, json};
use super::{Control, Shared, blocking, body_of};
use crate::causes::with_causes;
use crate::input::split::{Ending, PieceKind, Splitter};
use crate::scan::nested::pieces_of;
use crate::serve::partitions::Partitions;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json as value};
use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;
use tripline_core::event::Parser;
use tripline_core::port::{FaultClass, NewRecord, Partition, RecordKind};

/// What events that came this way have beside them.
const ATTRIBUTES: &[u8] = br#"{"channel":"api"}"#;

/// Records that are no events, more than which are only counted.
const REFUSED_SHOWN_MAX: usize = 20;

/// Records appended at a time: one append is one write and one flush, and holds up others for as long.
const RECORDS_AT_A_TIME: usize = 10_000;

/// Records of one request: how many events there may be in so few bytes is not bounded by the bytes.
const RECORDS_MAX: usize = 100_000;

/// How long a request waits for others to give memory back.
const MEMORY_SECONDS: Duration = Duration::from_secs(10);

const MIB: u64 = 1024 * 1024;

/// Takes events.
pub(super) async fn take(
    State(api): State<Shared>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refusal> {
    if api.status.get().is_draining {
        return Err(Refusal::ending());
    }
    let body = body_of(&api, body)?;
    // What a compressed body becomes is known only when it is there, so the most that it may become is set aside.
    let bytes = match is_compressed(&body) {
        true => api.inflated_bytes_max,
        false => body.len() as u64,
    };
    let mib = u32::try_from(bytes.div_ceil(MIB))
        .unwrap_or(u32::MAX)
        .max(1);
    let room =
        tokio::time::timeout(MEMORY_SECONDS, api.memory.clone().acquire_many_owned(mib)).await;
    let Ok(Ok(room)) = room else {
        let words = "too many large bodies at once; come again";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "busy", words).retry_after(1));
    };
    blocking(move || {
        let _room = room;
        has_space(&api)?;
        let text = inflate(&body, api.inflated_bytes_max)?;
        take_text(&api, &text)
    })
    .await
}

/// Refuses where the disk is nearly full: the store needs room too, or the log could never be emptied.
fn has_space(api: &Shared) -> Result<(), Refusal> {
    let Some(words) = no_space(api) else {
        return Ok(());
    };
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "full", words).retry_after(10))
}

/// Why the disk is too full for events, when it is.
pub(crate) fn no_space(api: &Shared) -> Option<String> {
    let disk = rustix::fs::statvfs(&api.data).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    (free < api.free_bytes_min).then(|| {
        format!(
            "{free} bytes are free on the disk of {}, and {} must stay free (data_free_min_mib); make room",
            api.data.display(),
            api.free_bytes_min
        )
    })
}

/// The records of a body.
struct Records<'t> {
    /// With the partition that each belongs into.
    events: Vec<(Partition, &'t [u8])>,
    /// Records that are no events, and the first of them with the reason.
    refused: u64,
    shown: Vec<Value>,
}

impl<'t> Records<'t> {
    fn of(text: &'t [u8], event_bytes_max: usize, partitions: &Partitions) -> Self {
        let mut splitter = Splitter::new(event_bytes_max);
        let mut pieces = Vec::new();
        splitter.split(text, Ending::Last, &mut pieces);
        let mut parser = Parser::new();
        let mut records = Self {
            events: Vec::new(),
            refused: 0,
            shown: Vec::new(),
        };
        for (number, piece) in (1..).zip(&pieces) {
            let bytes = &text[piece.start..piece.end];
            let within = match piece.kind {
                PieceKind::Record => pieces_of(&mut parser, bytes),
                PieceKind::Fault(_) => None,
            };
            match within {
                None => records.take((number, piece.kind), bytes, &mut parser, partitions),
                Some(within) => {
                    for piece in within {
                        let bytes = &bytes[piece.start..piece.end];
                        records.take((number, piece.kind), bytes, &mut parser, partitions);
                    }
                }
            }
        }
        records
    }

    fn take(
        &mut self,
        (number, kind): (usize, PieceKind),
        bytes: &'t [u8],
        parser: &mut Parser,
        partitions: &Partitions,
    ) {
        let why = match kind {
            PieceKind::Fault(fault) => fault.to_string(),
            PieceKind::Record => match parser.parse(bytes) {
                Ok(document) => return self.events.push((partitions.of(document.root()), bytes)),
                Err(malformed) => malformed.to_string(),
            },
        };
        self.refused += 1;
        if self.shown.len() < REFUSED_SHOWN_MAX {
            self.shown.push(value!({ "record": number, "reason": why }));
        }
    }

    /// Why there is nothing in it.
    fn refusal(self) -> Refusal {
        let words = match self.refused {
            0 => "the body holds no event",
            _ => "nothing in the body is an event",
        };
        Refusal::bad(words).details(value!({ "refused": self.refused, "first": self.shown }))
    }
}

/// The events of a body, all of which must be some.
pub(super) fn records_of(api: &Shared, text: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
    let records = Records::of(text, api.event_bytes_max, &api.partitions);
    if records.events.is_empty() {
        return Err(records.refusal());
    }
    if records.refused > 0 {
        let words = "not everything in the body is an event";
        return Err(Refusal::bad(words).details(records.shown.into()));
    }
    Ok(records
        .events
        .into_iter()
        .map(|(_, bytes)| bytes.to_vec())
        .collect())
}

fn take_text(api: &Shared, text: &[u8]) -> Result<Response, Refusal> {
    let found = Records::of(text, api.event_bytes_max, &api.partitions);
    if found.events.is_empty() {
        return Err(found.refusal());
    }
    if found.events.len() > RECORDS_MAX {
        let words = format!(
            "{} events are more than the {RECORDS_MAX} of one request",
            found.events.len()
        );
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            words,
        ));
    }
    let Records {
        events: records,
        refused: refused_count,
        shown,
    } = found;
    let taken = super::super::now();
    let mut taken_count = 0;
    let mut taken_bytes = 0;
    let mut firsts = BTreeMap::new();
    let mut lasts = BTreeMap::new();
    let mut durability = api.partitions.durability();
    let max = api.partitions.append_max();
    let mut by_partition: BTreeMap<Partition, Vec<&[u8]>> = BTreeMap::new();
    for (partition, bytes) in &records {
        by_partition.entry(*partition).or_default().push(bytes);
    }
    let records_max = max.records.min(RECORDS_AT_A_TIME);
    let appends = by_partition.iter().flat_map(|(partition, records)| {
        let chunks = chunks(records, records_max, max.bytes);
        chunks.into_iter().map(|chunk| (*partition, chunk))
    });
    for (partition, chunk) in appends {
        let new: Vec<NewRecord<'_>> = chunk
            .iter()
            .map(|payload| NewRecord {
                kind: RecordKind::Event,
                taken,
                attributes: ATTRIBUTES,
                payload,
            })
            .collect();
        let each = api.partitions.log(partition).append_each(&new);
        for place in each.places.iter().flatten() {
            taken_count += 1;
            let first = firsts.entry(partition.0).or_insert(place.0);
            *first = place.0.min(*first);
            let last = lasts.entry(partition.0).or_insert(place.0);
            *last = place.0.max(*last);
        }
        for (record, place) in chunk.iter().zip(&each.places) {
            taken_bytes += if place.is_some() { record.len() } else { 0 };
        }
        durability = each.durability;
        if let Some(fault) = each.fault {
            let untaken = records.len() as u64 - taken_count;
            api.status.set(|now| {
                now.appended += taken_count;
                now.appended_bytes += taken_bytes as u64;
                *now.refused.entry("log").or_default() += untaken;
            });
            if fault.class == FaultClass::Stop {
                tracing::error!(fault = with_causes(&fault), "the log failed");
                // The service ends; whoever starts it again opens the log anew.
                let _ = api.control.send(Control::Failed);
            }
            return Err(Refusal::from(fault).details(value!({ "accepted": taken_count })));
        }
    }
    api.status.set(|now| {
        now.appended += records.len() as u64;
        now.appended_bytes += taken_bytes as u64;
        *now.refused.entry("malformed").or_default() += refused_count;
    });
    Ok(json(&value!({
        "accepted": records.len(),
        "refused": refused_count,
        "first_refused": shown,
        "first": firsts,
        "last": lasts,
        "durability": durability.as_str(),
    })))
}

fn is_compressed(body: &[u8]) -> bool {
    matches!(body, [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..])
}

/// Records that fit into one append each; a record that is too long for that is alone.
fn chunks<'r>(
    mut records: &'r [&'r [u8]],
    records_max: usize,
    bytes_max: usize,
) -> Vec<&'r [&'r [u8]]> {
    let mut chunks = Vec::new();
    while !records.is_empty() {
        let mut bytes = 0usize;
        let fits = |record: &&&[u8]| {
            bytes = bytes.saturating_add(record.len() + ATTRIBUTES.len());
            bytes <= bytes_max
        };
        let count = records.iter().take(records_max).take_while(fits).count();
        let (chunk, rest) = records.split_at(count.max(1));
        chunks.push(chunk);
        records = rest;
    }
    chunks
}

/// The body as it was before it was compressed.
fn inflate(body: &[u8], max: u64) -> Result<std::borrow::Cow<'_, [u8]>, Refusal> {
    let mut reader: Box<dyn Read + '_> =
        match body {
            [0x1f, 0x8b, ..] => Box::new(flate2::read::MultiGzDecoder::new(body)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let decoder = zstd::stream::read::Decoder::with_buffer(body);
                Box::new(decoder.map_err(|fault| {
                    Refusal::bad(format!("the zstd body cannot be read: {fault}"))
                })?)
            }
            _ => return Ok(body.into()),
        };
    let mut text = Vec::new();
    let read = reader.by_ref().take(max + 1).read_to_end(&mut text);
    read.map_err(|fault| {
        Refusal::bad(format!(
            "the compressed body cannot be read to its end: {fault}"
        ))
    })?;
    if text.len() as u64 > max {
        let words = format!(
            "the body is more than {max} bytes when it is decompressed (http.inflated_max_mib)"
        );
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            words,
        ));
    }
    Ok(text.into())
}

#[cfg(test)]
mod tests {
    use super::{ATTRIBUTES, chunks};

    #[test]
    fn appends_hold_no_more_than_they_may() {
        let long = vec![b' '; 100];
        let records: Vec<&[u8]> = vec![b"a", b"b", b"c", &long, b"d"];
        let sizes = |records_max, bytes_max| -> Vec<usize> {
            let chunks = chunks(&records, records_max, bytes_max);
            chunks.iter().map(|chunk| chunk.len()).collect()
        };
        assert_eq!(sizes(10, usize::MAX), [5]);
        assert_eq!(sizes(2, usize::MAX), [2, 2, 1]);
        assert_eq!(sizes(10, 2 * (1 + ATTRIBUTES.len())), [2, 1, 1, 1]);
        assert_eq!(sizes(10, 0), [1, 1, 1, 1, 1]);
    }
}
