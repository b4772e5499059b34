//! What the doors of channels share: the channels, the way into the log, and who is believed about where a request comes from.

use super::clock::now;
use super::partitions::Partitions;
use super::pulling::Pulls;
use super::service::ServeError;
use crate::channel::Channel;
use crate::channel::acks::Acks;
use crate::channel::allow::Network;
use crate::channel::ids::{Ids, IdsSettings};
use crate::channel::intake::{Intake, Outcome, Taken};
use crate::channel::quota::day;
use crate::channel::record::Arrival;
use crate::channel::registry::Registry;
use crate::config::Config;
use axum::http::HeaderMap;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often the folder of channels is looked at.
const LOOKS_EVERY: Duration = Duration::from_millis(500);

/// What the doors share.
pub(crate) struct Door {
    pub(crate) registry: Registry,
    pub(crate) intake: Intake,
    pub(crate) acks: Acks,
    pub(crate) pulls: Pulls,
    proxies: Vec<Network>,
    /// Where the events of the day are kept, by channel.
    days: PathBuf,
}

/// Events of a day, by channel.
type Days = BTreeMap<String, (i64, u64)>;

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
        let days = folder.join("days.json");
        let registry = Registry::open(&channels.folder(&config.data));
        let text = std::fs::read(&days).unwrap_or_default();
        // Without it the day begins anew.
        let known: Days = serde_json::from_slice(&text).unwrap_or_default();
        for (id, (day, events)) in known {
            if let Some(channel) = registry.now().by_id.get(&id) {
                channel.live.quota.resume(day, events);
            }
        }
        Ok(Self {
            registry,
            days,
            intake: Intake {
                partitions: partitions.clone(),
                ids,
                record_bytes_max,
            },
            acks: Acks::default(),
            pulls: Pulls::default(),
            proxies: proxies.filter_map(|one| Network::parse(one)).collect(),
        })
    }

    /// Reads the folder of channels again when something in it changed, until the service ends.
    pub(super) fn run(&self, is_gone: &AtomicBool) {
        let mut kept = Days::new();
        loop {
            let ends = is_gone.load(Ordering::Relaxed);
            self.registry.refresh();
            self.keep_days(&mut kept);
            if ends {
                return;
            }
            std::thread::sleep(LOOKS_EVERY);
        }
    }

    /// Keeps what was used of daily quotas, so that a restart does not begin the day anew. A kill may forget a second of it.
    fn keep_days(&self, kept: &mut Days) {
        let time = now();
        let channels = self.registry.now();
        let limited = channels
            .by_id
            .iter()
            .filter(|(_, channel)| channel.file.limits.events_per_day > 0);
        let days: Days = limited
            .map(|(id, channel)| (id.clone(), (day(time), channel.live.quota.today(time))))
            .collect();
        if days == *kept {
            return;
        }
        let draft = self.days.with_extension("new");
        let text = serde_json::to_vec(&days).unwrap_or_default();
        let written =
            std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &self.days));
        match written {
            Ok(()) => *kept = days,
            Err(fault) => tracing::warn!(%fault, "daily quotas not kept"),
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
                    Outcome::Rejected(why) => {
                        *seen.rejected.entry(why.code).or_default() += 1;
                        seen.last_fault = Some((arrival.time, why.code, why.words.clone()));
                    }
                }
            }
            seen.accepted += accepted;
        });
        accepted
    }

    /// Where a request comes from: the other end, or what proxies that are trusted say of it.
    pub(crate) fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let is_trusted = |one: IpAddr| {
            let one = one.to_canonical();
            self.proxies.iter().any(|network| network.contains(one))
        };
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
