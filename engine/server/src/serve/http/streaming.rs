//! Bodies that go on: JSON lines of a sender who is known by the head of its request, taken as they come.
//!
//! ```text
//! lines ─▶ a stretch of them ─▶ durable ─▶ the next ones are read … end ─▶ one answer for all
//! ```
//!
//! The next stretch is read when the one before is durable and the quota has room, so a sender is ahead by no more than the
//! sockets hold. Whoever gets another answer than one of success, or none, sends all of it again: what was taken is known by its ids
//! or bytes. Before each stretch it is looked whether the sender still counts, as for a request of its own. It must never hold more
//! than a stretch and one event, nor memory that requests which end would wait for. Rejected: bodies that are signed, which
//! nobody may believe before their end, and compressed ones.

use super::answer::Refusal;
use super::channels::{
    self, BODY_SECONDS, ENDED_EARLY, Entered, ROOM_SECONDS, certificate, for_inflating, late,
    memory_for, nobody, note, over_quota, paused, refused,
};
use super::totals::Totals;
use super::{Shared, Unhurried, blocking};
use crate::channel::Channel;
use crate::channel::auth::{self, Asked, Early, Verified};
use crate::channel::decode::{self, cloud_events};
use crate::channel::record::Arrival;
use crate::serve::now;
use axum::body::{Body, Bytes};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use hyper::body::Body as _;
use memchr::memrchr;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that are taken together, when so many have come.
const STRETCH_BYTES: usize = 256 * 1024;

/// What has come is taken when nothing more comes for so long.
const PAUSE: Duration = Duration::from_millis(100);

/// Whoever sends nothing for so long is not waited for any longer.
const SILENT_MAX: Duration = Duration::from_secs(60);

/// How often it is looked whether a sender still counts, also of one who sends nothing that is whole.
const LOOKS_EVERY: Duration = Duration::from_secs(1);

/// Events that are taken together at most; channels may take fewer in one request.
const STRETCH_EVENTS: usize = 2_000;

/// How long the quota may hold up a stream; it is told to come again instead.
const QUOTA_SECONDS_MAX: u32 = 60;

/// What beside the bytes of an event a line may have.
const LINE_ROOM: usize = 1024;

const MIB: u64 = 1024 * 1024;

/// Somebody who is known, and whose body may go on.
pub(super) struct Streamer {
    pub(super) channel: Arc<Channel>,
    pub(super) verified: Verified,
    pub(super) address: IpAddr,
    /// Among the requests of the channel.
    pub(super) room: OwnedSemaphorePermit,
}

/// Whether a body is lines that need not be there as a whole. Events of which a few would take what all bodies that go on have
/// are no matter for that.
pub(super) fn may_go_on(api: &Shared, channel: &Channel, headers: &HeaderMap) -> bool {
    let kind = decode::content_type(headers);
    let are_lines = matches!(
        kind.as_str(),
        "application/x-ndjson"
            | "application/ndjson"
            | "application/jsonl"
            | "application/jsonlines"
            | "application/x-jsonlines"
    );
    let limits = &channel.file.limits;
    let length = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    are_lines
        && limits.stream_max_mib > 0
        && limits.event_max_kib <= u64::from(api.streams_mib) * 1024 / 8
        && length.is_none_or(|length| length > limits.body_max_kib * 1024)
        && channel.file.decoder.is_none()
        && channel.shape.list().is_none()
        && cloud_events::mode(headers).is_none()
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key("idempotency-key")
}

/// Takes a body as it comes.
pub(super) async fn take(
    api: &Shared,
    streamer: Streamer,
    head: Parts,
    mut body: Body,
) -> Result<Response, Refusal> {
    let channel = streamer.channel.clone();
    let limits = &channel.file.limits;
    let event_max = usize::try_from(limits.event_max_kib * 1024).unwrap_or(usize::MAX);
    let first = match tokio::time::timeout(SILENT_MAX, beginning(&mut body)).await {
        Ok(Some(Ok(bytes))) if decode::is_compressed(&bytes) => {
            // Its head did not say so.
            return take_whole(api, streamer, head, (bytes, body)).await;
        }
        Ok(first) => first,
        Err(_) => Some(Err("nothing came".to_owned())),
    };
    if let Some(Unhurried(is_unhurried)) = head.extensions.get::<Unhurried>() {
        is_unhurried.store(true, Ordering::Relaxed);
    }
    let mib = (4 * STRETCH_BYTES + event_max).div_ceil(MIB as usize) as u32;
    let mib = mib.min(api.streams_mib);
    // A share for each channel, so that none keeps the others from it.
    let room = tokio::time::timeout(ROOM_SECONDS, async {
        let share = channel.streams.clone().acquire_owned().await;
        (share, api.streams.clone().acquire_many_owned(mib).await)
    });
    let Ok((Ok(_share), Ok(_memory))) = room.await else {
        let words = "too many bodies that go on; come again, or send it in parts";
        return Err(refused(
            &channel,
            StatusCode::SERVICE_UNAVAILABLE,
            ("busy", words.to_owned()),
        )
        .retry_after(5));
    };
    let mut stream = Stream {
        api,
        streamer,
        head: &head,
        event_max,
        lines: Vec::new(),
        whole: 0,
        skips: false,
        totals: Totals::new(api.partitions.durability()),
    };
    let mut came = Some(first);
    let mut bytes_all = 0u64;
    let (mut heard, mut looked) = (Instant::now(), Instant::now());
    let ended = loop {
        if api.status.get().is_draining {
            break Some(Refusal::ending());
        }
        if looked.elapsed() >= LOOKS_EVERY {
            looked = Instant::now();
            if let Err(refusal) = stream.look_again() {
                break Some(refusal);
            }
        }
        let frame = match came.take() {
            Some(frame) => Some(frame),
            None => tokio::time::timeout(PAUSE, next(&mut body)).await.ok(),
        };
        let is_last = match frame {
            None if heard.elapsed() >= SILENT_MAX => {
                let words = "nothing more came for a minute, and the body did not end";
                break Some(Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", words));
            }
            None => false,
            Some(None) => true,
            Some(Some(Err(words))) => {
                let words = format!("{ENDED_EARLY}: {words}");
                break Some(Refusal::bad(words));
            }
            Some(Some(Ok(bytes))) => {
                heard = Instant::now();
                bytes_all += bytes.len() as u64;
                if bytes_all > limits.stream_max_mib * MIB {
                    let most = limits.stream_max_mib;
                    let words =
                        format!("the body is longer than {most} MiB (limits.stream_max_mib)");
                    let code = ("too_large", words);
                    break Some(refused(&channel, StatusCode::PAYLOAD_TOO_LARGE, code));
                }
                stream.push(&bytes);
                if stream.lines.len() < STRETCH_BYTES {
                    continue;
                }
                false
            }
        };
        if stream.has_lines(is_last) {
            if let Err(refusal) = stream.settle(is_last).await {
                break Some(refusal);
            }
            // Whoever sends was kept waiting meanwhile.
            heard = Instant::now();
        }
        if is_last || stream.totals.is_retryable {
            break None;
        }
    };
    let totals = stream.totals;
    match ended {
        Some(refusal) => Err(refusal.details(totals.told())),
        None if totals.is_empty() => {
            let words = "the body holds no event".to_owned();
            Err(refused(
                &channel,
                StatusCode::BAD_REQUEST,
                ("bad_request", words),
            ))
        }
        None => Ok(totals.answer()),
    }
}

/// Takes a body that is not taken as it comes after all, of which this came already.
async fn take_whole(
    api: &Shared,
    streamer: Streamer,
    head: Parts,
    (first, mut rest): (Bytes, Body),
) -> Result<Response, Refusal> {
    let channel = streamer.channel;
    let most = usize::try_from(channel.file.limits.body_max_kib * 1024).unwrap_or(usize::MAX);
    let memory = memory_for(api, most as u64).await?;
    let mut body = first.to_vec();
    let within = tokio::time::timeout(BODY_SECONDS, async {
        while let Some(bytes) = next(&mut rest).await {
            body.extend_from_slice(&bytes.map_err(|_| Refusal::bad(ENDED_EARLY))?);
            if body.len() > most {
                let words = format!("the body is longer than {most} bytes (limits.body_max_kib)");
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                return Err(refused(&channel, status, ("too_large", words)));
            }
        }
        Ok(())
    });
    match within.await {
        Ok(came) => came?,
        Err(_) => return Err(late()),
    }
    let memory = for_inflating(api, &channel, &body, memory).await?;
    let arrival = Arrival {
        verified: streamer.verified,
        address: Some(streamer.address),
        time: now(),
        headers: channel.shape.headers(&head.headers),
    };
    let entered = Entered {
        channel,
        arrival,
        headers: head.headers,
        body,
        _room: (streamer.room, memory),
    };
    let api = api.clone();
    blocking(move || channels::take(&api, &entered)).await
}

/// The first bytes of a body, enough of them to see what it is.
async fn beginning(body: &mut Body) -> Option<Result<Bytes, String>> {
    let mut first = Vec::new();
    while first.len() < 4 {
        match next(body).await {
            Some(Ok(bytes)) if first.is_empty() && bytes.len() >= 4 => return Some(Ok(bytes)),
            Some(Ok(bytes)) => first.extend_from_slice(&bytes),
            Some(Err(words)) => return Some(Err(words)),
            None if first.is_empty() => return None,
            None => break,
        }
    }
    Some(Ok(first.into()))
}

/// The next bytes of a body; nothing at its end.
async fn next(body: &mut Body) -> Option<Result<Bytes, String>> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(bytes)) => return Some(Ok(bytes)),
            // Trailers.
            Ok(Err(_)) => {}
            Err(fault) => return Some(Err(fault.to_string())),
        }
    }
}

struct Stream<'s> {
    api: &'s Shared,
    /// As it is by now.
    streamer: Streamer,
    head: &'s Parts,
    event_max: usize,
    /// What came and was not taken yet.
    lines: Vec<u8>,
    /// Where the last line of it that is whole ends.
    whole: usize,
    /// The line that goes on is too long, and was told of.
    skips: bool,
    totals: Totals,
}

impl Stream<'_> {
    fn push(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.skips {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                return;
            };
            self.skips = false;
            bytes = &bytes[end + 1..];
        }
        if let Some(end) = memrchr(b'\n', bytes) {
            self.whole = self.lines.len() + end + 1;
        }
        self.lines.extend_from_slice(bytes);
    }

    /// Whether there is something to take, or too much that is not whole.
    fn has_lines(&self, is_last: bool) -> bool {
        self.whole > 0 || is_last || self.lines.len() > self.event_max + LINE_ROOM
    }

    /// Takes the lines that are whole, or all that there are.
    async fn settle(&mut self, is_last: bool) -> Result<(), Refusal> {
        let whole = match is_last {
            true => self.lines.len(),
            false => self.whole,
        };
        self.whole = 0;
        let rest = self.lines.split_off(whole);
        let text = Bytes::from(std::mem::replace(&mut self.lines, rest));
        let most = STRETCH_EVENTS.min(self.streamer.channel.file.limits.events_max);
        let mut left = text;
        while !left.is_empty() && !self.totals.is_retryable {
            let end = memchr::memchr_iter(b'\n', &left).nth(most - 1);
            let part = left.split_to(end.map_or(left.len(), |end| end + 1));
            if !part.iter().all(u8::is_ascii_whitespace) {
                self.take(part).await?;
            }
        }
        if self.lines.len() > self.event_max + LINE_ROOM {
            let words = format!(
                "longer than {} bytes (limits.event_max_kib)",
                self.event_max
            );
            self.totals.too_large(&words);
            self.streamer
                .channel
                .live
                .note(|seen| *seen.rejected.entry("too_large").or_default() += 1);
            self.lines = Vec::new();
            self.skips = true;
        }
        Ok(())
    }

    async fn take(&mut self, text: Bytes) -> Result<(), Refusal> {
        let ends = memchr::memchr_iter(b'\n', &text).count() as u64;
        let count = ends + u64::from(!text.ends_with(b"\n"));
        self.wait_for_quota((count, text.len() as u64)).await?;
        let (api, channel) = (self.api.clone(), self.streamer.channel.clone());
        let arrival = Arrival {
            verified: self.streamer.verified.clone(),
            address: Some(self.streamer.address),
            time: now(),
            headers: channel.shape.headers(&self.head.headers),
        };
        let event_max = self.event_max;
        let taken = blocking(move || {
            if let Some(words) = super::events::no_space(&api) {
                let full = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "full", words);
                return Err(full.retry_after(10));
            }
            // A line may be a list of them, of which there are no more than a whole body may have.
            let limits = &channel.file.limits;
            let most = limits.events_max;
            let entries = decode::json(&text, event_max, most).ok_or_else(|| {
                let words = format!(
                    "a line has more events than the {most} of one request (limits.events_max)"
                );
                refused(
                    &channel,
                    StatusCode::PAYLOAD_TOO_LARGE,
                    ("too_large", words),
                )
            })?;
            let more = (entries.len() as u64).saturating_sub(count);
            channel.live.quota.take(limits, (more, 0), arrival.time);
            let taken = api.door.intake.take(&channel, &arrival, &entries, None);
            note(&api, (&channel, &arrival), text.len() as u64, &taken);
            Ok(taken)
        })
        .await?;
        self.totals.add(&taken);
        Ok(())
    }

    /// Whether the sender would be let in now: its channel may be closed or paused, its key may have ended.
    fn look_again(&mut self) -> Result<(), Refusal> {
        let id = &self.streamer.channel.id;
        let channel = self.api.door.registry.now().by_id.get(id).cloned();
        let channel = channel.ok_or_else(nobody)?;
        let asked = Asked {
            method: &self.head.method,
            path: self.head.uri.path(),
            query: self.head.uri.query().unwrap_or(""),
            headers: &self.head.headers,
            certificate: certificate(&self.head.extensions),
            now: now(),
        };
        let verified = match auth::early(&channel.senders, asked) {
            Early::Known(verified) if channel.allow.address(self.streamer.address) => verified,
            _ => return Err(nobody()),
        };
        if channel.file.paused {
            return Err(paused(&channel, &verified));
        }
        (self.streamer.channel, self.streamer.verified) = (channel, verified);
        Ok(())
    }

    /// Waits until the quota has room, and takes of it. Meanwhile nothing is read, so whoever sends waits as well.
    async fn wait_for_quota(&mut self, amount: (u64, u64)) -> Result<(), Refusal> {
        loop {
            self.look_again()?;
            let channel = &self.streamer.channel;
            let exceeded = match channel
                .live
                .quota
                .try_take(&channel.file.limits, amount, now())
            {
                Ok(()) => return Ok(()),
                Err(exceeded) => exceeded,
            };
            if exceeded.retry_seconds > QUOTA_SECONDS_MAX {
                return Err(over_quota(channel, exceeded));
            }
            if self.api.status.get().is_draining {
                return Err(Refusal::ending());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
