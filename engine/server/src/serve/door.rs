//! What the doors of channels share: the channels, the way into the log, and who is believed about where a request comes from.

use super::assignment::Assignment;
use super::clock::now;
use super::partitions::Partitions;
use super::pulling::Pulls;
use super::service::ServeError;
use crate::channel::Channel;
use crate::channel::acks::Acks;
use crate::channel::allow::Network;
use crate::channel::destination::{DestinationNames, Destinations};
use crate::channel::ids::{Ids, IdsSettings};
use crate::channel::intake::{Intake, Outcome, Taken};
use crate::channel::live::{Silence, Turn};
use crate::channel::quota::day;
use crate::channel::record::{Arrival, event_id};
use crate::channel::registry::Registry;
use crate::config::Config;
use crate::plugins::Decoders;
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tripline_core::event::Parser;
use tripline_core::port::{NewRecord, Partition, PortFault, RecordKind};
use tripline_core::rule::kind::{EventTime, Period};

/// How often the folder of channels is looked at.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// How often destinations let go of what is old.
const TIDIES_EVERY: Duration = Duration::from_secs(60);

/// How often what outlives the process is written, when it changed.
const KEEPS_EVERY: Period = Period::from_seconds(5);

/// What the doors share.
pub(crate) struct Door {
    pub(crate) registry: Registry,
    pub(crate) intake: Intake,
    pub(crate) acks: Acks,
    /// Whoever tries a dead letter again.
    pub(crate) retrying: Mutex<()>,
    pub(crate) pulls: Pulls,
    pub(crate) decoders: Decoders,
    proxies: Vec<Network>,
    /// Where what channels used and when they were last heard of is kept.
    kept: PathBuf,
}

/// When something came in last, here or elsewhere, by channel that is watched for silence; microseconds after 1970.
type Heard = BTreeMap<String, i64>;

/// What outlives the process, by channel.
type Kept = BTreeMap<String, KeptOf>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
struct KeptOf {
    /// Days after 1970, and the events of that day.
    day: i64,
    events: u64,
    silence: Silence,
}

impl Door {
    /// Opens the folder of channels, and what is known of ids.
    pub(super) fn open(
        config: &Config,
        partitions: &Partitions,
        record_bytes_max: usize,
    ) -> Result<Self, ServeError> {
        let channels = &config.channels;
        let settings = IdsSettings {
            window: channels.remember.period(),
            ids_max: usize::try_from(channels.remember_max).unwrap_or(usize::MAX),
        };
        let folder = config.data.join("channel-ids");
        let ids = Ids::open(&folder, settings, partitions, now()).map_err(ServeError::Ids)?;
        let proxies = channels.trusted_proxies.iter();
        let kept = folder.join("channels.json");
        let destinations = Destinations::open(config)?;
        let names = DestinationNames::of(config);
        let registry = Registry::open(&channels.folder(&config.data), names);
        let text = std::fs::read(&kept).unwrap_or_default();
        // Without it the day, and silence, begin anew.
        let known: Kept = serde_json::from_slice(&text).unwrap_or_default();
        for (id, one) in known {
            if let Some(channel) = registry.now().by_id.get(&id) {
                channel.live.quota.resume(one.day, one.events);
                *channel.live.silence() = one.silence;
            }
        }
        Ok(Self {
            registry,
            kept,
            intake: Intake {
                partitions: partitions.clone(),
                ids,
                destinations,
                record_bytes_max,
            },
            acks: Acks::default(),
            retrying: Mutex::new(()),
            pulls: Pulls::default(),
            decoders: Decoders::new(
                Some(config.rules.plugins.clone()).filter(|file| !file.is_empty()),
                config.data.join("plugins"),
            ),
            proxies: proxies.filter_map(|one| Network::parse(one)).collect(),
        })
    }

    /// Reads the folder of channels again when something in it changed, until the service ends.
    pub(super) fn run(&self, assignment: &Assignment, is_gone: &AtomicBool) {
        let (mut kept, mut heard) = (Kept::new(), Heard::new());
        let mut written = now().minus(KEEPS_EVERY);
        let mut tidied: Option<Instant> = None;
        loop {
            let ends = is_gone.load(Ordering::Relaxed);
            self.registry.refresh();
            self.listen(assignment, &mut heard);
            if tidied.is_none_or(|at| at.elapsed() >= TIDIES_EVERY) {
                tidied = Some(Instant::now());
                self.intake.destinations.tidy();
            }
            if ends || now().since(written) >= KEEPS_EVERY {
                written = now();
                self.keep(&mut kept);
            }
            if ends {
                return;
            }
            std::thread::sleep(LOOKS_EVERY);
        }
    }

    /// Tells of channels that nothing comes from any more, by events of our own. Where processes share the work each says when it
    /// heard something, and the one that sends findings tells; the others know what it told, should one of them go on.
    fn listen(&self, assignment: &Assignment, heard: &mut Heard) {
        if !assignment.is_known() {
            return;
        }
        let time = now();
        let (others, silences) = assignment.others_listened();
        let (before, mut told) = (std::mem::take(heard), BTreeMap::new());
        for channel in self.registry.now().by_id.values() {
            let Some(after) = channel
                .file
                .silent_after
                .as_ref()
                .filter(|_| !channel.file.paused)
            else {
                continue;
            };
            let here = channel.live.seen().last_event;
            let here = here.map(|(time, _)| time.micros());
            let last = [&before, &others]
                .iter()
                .filter_map(|times| times.get(&channel.id).copied())
                .chain(here)
                .max();
            if let Some(last) = last {
                heard.insert(channel.id.clone(), last);
            }
            match (assignment.sends(), silences.get(&channel.id)) {
                (true, known) => {
                    let last = last.map(EventTime::from_micros);
                    self.look(channel, (after.period(), known.copied()), last, time);
                    told.insert(channel.id.clone(), *channel.live.silence());
                }
                (false, Some(known)) => *channel.live.silence() = *known,
                (false, None) => {}
            }
        }
        if assignment.is_shared() {
            assignment.listened(heard.clone(), told);
        }
    }

    /// Looks whether a channel is silent, and tells if that is new. `known` is what another process told that did so before.
    fn look(
        &self,
        channel: &Channel,
        (after, known): (Period, Option<Silence>),
        last: Option<EventTime>,
        time: EventTime,
    ) {
        let mut silence = *channel.live.silence();
        if let Some(known) = known
            && (silence.since == 0 || known.since >= silence.since)
        {
            silence = Silence {
                was_told: known.was_told || known.since == silence.since && silence.was_told,
                ..known
            };
        }
        let before = silence;
        let turn = silence.look(last, after, time);
        *channel.live.silence() = silence;
        let name = match turn {
            Some(Turn::Silent) => "ChannelSilent",
            Some(Turn::Resumed) => "ChannelResumed",
            None => return,
        };
        let since = EventTime::from_micros(before.since.max(last.map_or(0, EventTime::micros)));
        tracing::warn!(channel = channel.id, %since, "{name}");
        if let Err(fault) = self.tell(channel, name, (since, time)) {
            tracing::error!(channel = channel.id, %fault, "what became of a channel not told; it is tried again");
            *channel.live.silence() = before;
        }
    }

    /// Appends an event of our own about a channel.
    fn tell(
        &self,
        channel: &Channel,
        name: &str,
        (since, time): (EventTime, EventTime),
    ) -> Result<(), PortFault> {
        let file = &channel.file;
        let id = event_id(
            "tripline",
            format!("{name}\n{}\n{}", channel.id, since.micros()).as_bytes(),
        );
        let event = json!({
            "eventVersion": "1.11",
            "eventID": id,
            "eventTime": time.to_string(),
            "eventSource": "tripline",
            "eventName": name,
            "eventType": "TriplineServiceEvent",
            "awsRegion": "local",
            "sourceIPAddress": "tripline",
            "recipientAccountId": file.account,
            "userIdentity": { "type": "AWSService", "invokedBy": "tripline" },
            "requestParameters": {
                "channel": channel.id,
                "source": file.source,
                "owner": file.owner,
                "lastEventTime": since.to_string(),
                "silentAfterSeconds": file.silent_after.as_ref().map(|one| one.duration().as_secs()),
            },
            "responseElements": null,
            "ingest": { "channel": "tripline", "source": "tripline", "sender": "tripline", "verified": "own", "time": time.to_string() },
        })
        .to_string();
        let mut parser = Parser::new();
        let partition = parser
            .parse(event.as_bytes())
            .map_or(Partition(0), |document| {
                self.intake.partitions.of(document.root())
            });
        let record = NewRecord {
            kind: RecordKind::Event,
            taken: time,
            attributes: br#"{"channel":"tripline"}"#,
            payload: event.as_bytes(),
        };
        self.intake
            .partitions
            .log(partition)
            .append(&[record])
            .map(drop)
    }

    /// Keeps what was used of daily quotas and when channels were last heard of. A kill may forget some seconds of it.
    fn keep(&self, kept: &mut Kept) {
        let time = now();
        let channels = self.registry.now();
        let wanted = channels.by_id.iter().filter(|(_, channel)| {
            channel.file.limits.events_per_day > 0 || channel.file.silent_after.is_some()
        });
        let now: Kept = wanted
            .map(|(id, channel)| {
                let one = KeptOf {
                    day: day(time),
                    events: channel.live.quota.today(time),
                    silence: *channel.live.silence(),
                };
                (id.clone(), one)
            })
            .collect();
        if now == *kept {
            return;
        }
        let draft = self.kept.with_extension("new");
        let text = serde_json::to_vec(&now).unwrap_or_default();
        let written =
            std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &self.kept));
        match written {
            Ok(()) => *kept = now,
            Err(fault) => tracing::warn!(%fault, "daily quotas and silence of channels not kept"),
        }
    }

    /// Notes what became of events. How many are new.
    pub(crate) fn note(
        &self,
        channel: &Channel,
        arrival: &Arrival,
        bytes: u64,
        taken: &Taken,
    ) -> u64 {
        let mut accepted = 0;
        channel.live.note(|seen| {
            seen.requests += 1;
            seen.bytes += bytes;
            for outcome in &taken.outcomes {
                match outcome {
                    Outcome::Accepted { event_id } => {
                        accepted += 1;
                        seen.last_event = Some((arrival.time, event_id.clone()));
                    }
                    Outcome::Duplicate { .. } => seen.duplicates += 1,
                    Outcome::SetAside { code, .. } => {
                        seen.set_aside += 1;
                        let words = "set aside; `tripline dlq list` shows why".to_owned();
                        seen.last_fault = Some((arrival.time, code, words));
                    }
                    Outcome::Rejected(why) => {
                        *seen.rejected.entry(why.code).or_default() += 1;
                        seen.last_fault = Some((arrival.time, why.code, why.words.clone()));
                    }
                }
            }
            seen.accepted += accepted;
            seen.warned += taken.warned;
            if let Some(words) = &taken.warning {
                seen.last_fault = Some((arrival.time, "schema", words.clone()));
            }
        });
        accepted
    }

    /// Whether an address is that of a proxy that is trusted.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies.iter().any(|network| network.contains(address))
    }

    /// Where a request comes from: the other end, or what proxies that are trusted say of it.
    pub(crate) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_trusted = |one: IpAddr| self.is_proxy(one);
        let mut address = peer;
        let given = headers.get_all("x-forwarded-for").iter();
        let texts = given.filter_map(|value| value.to_str().ok());
        let hops: Vec<&str> = texts.flat_map(|text| text.split(',')).collect();
        for hop in hops.iter().rev() {
            if !is_trusted(address) {
                break;
            }
            match hop.trim().parse() {
                Ok(before) => address = before,
                // What is before that may be invented.
                Err(_) => break,
            }
        }
        address
    }
}
