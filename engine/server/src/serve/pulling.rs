//! Takes the files of channels that pull: a thread for each, which lists, reads and remembers.
//!
//! Relies on the way in of all events, so quotas, what a channel allows and ids count here too. A round goes over all files that are
//! there; one that cannot be had now is tried again, later each time, and one that is broken is told and passed over. Only
//! the process that may send takes files. It must never remember a file before its events are durable.

use super::bus::logs_again;
use super::clock::now;
use super::http::{Api, Control, no_space};
use super::partitions::Partitions;
use super::shared_files::SharedFiles;
use crate::causes::with_causes;
use crate::channel::Channel;
use crate::channel::auth::Verified;
use crate::channel::decode::decoder::{self, DecoderFault};
use crate::channel::decode::{self, Entry, InflateFault};
use crate::channel::intake::Outcome;
use crate::channel::pull::taken::{Taken, key};
use crate::channel::pull::{Found, Names, PullFault, PullFile, Source};
use crate::channel::record::Arrival;
use crate::config::Config;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::OwnedSemaphorePermit;

/// How often it is looked whether something is to be done.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// Channels that pull at a time; each is a thread.
const PULLS_MAX: usize = 64;

/// Events of one file.
const EVENTS_MAX: usize = 1_000_000;

/// How long what failed is left alone, at first and at most.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
const AGAIN_AFTER_BREAKING: Duration = Duration::from_secs(30);
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(300);

/// How long the process before has to hear that it is another one's turn, and to finish the file that it began.
const HANDED_OVER_AFTER: Duration = Duration::from_secs(5);

const MIB: u64 = 1024 * 1024;

/// What was seen of pulling, by channel.
#[derive(Debug, Default)]
pub(crate) struct Pulls(Mutex<BTreeMap<String, Pulled>>);

#[derive(Clone, Debug, Default)]
struct Pulled {
    taken: u64,
    broken: u64,
    failed: u64,
    known: usize,
    last_round: Option<String>,
    last_fault: Option<(String, String)>,
}

impl Pulls {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Pulled>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, channel: &str, change: impl FnOnce(&mut Pulled)) {
        change(self.lock().entry(channel.to_owned()).or_default());
    }

    /// As it is told to the owner.
    pub(crate) fn told(&self, channel: &str) -> Value {
        let pulled = self.lock().get(channel).cloned().unwrap_or_default();
        let fault = pulled
            .last_fault
            .map(|(time, words)| json!({ "time": time, "message": words }));
        json!({
            "files_taken": pulled.taken,
            "files_broken": pulled.broken,
            "tries_failed": pulled.failed,
            "files_known": pulled.known,
            "last_round": pulled.last_round,
            "last_error": fault,
        })
    }
}

/// Pulling as a whole.
pub(crate) struct Pulling {
    api: Arc<Api>,
    folder: PathBuf,
    config: Config,
    /// Opened when a channel pulls and the work is shared.
    shared: Mutex<Option<Arc<SharedFiles>>>,
}

/// What was tried without success, how often, and when it is tried again.
#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    next: Instant,
}

impl Tries {
    fn after(before: Option<Self>) -> Self {
        let count = before.map_or(0, |tries| tries.count);
        let wait = AGAIN_AFTER.saturating_mul(1 << count.min(16));
        Self {
            count: count + 1,
            next: Instant::now() + wait.min(AGAIN_AFTER_MAX),
        }
    }
}

/// What became of a file.
enum Done {
    /// All its events are durable, or refused for good.
    Settled,
    /// It can never be read.
    Broken(String),
    Later(String),
    /// It is found again as it is by then.
    Changed,
    /// The service ends, or the channel is another one.
    Over,
}

impl Pulling {
    pub(super) fn new(api: Arc<Api>, config: &Config) -> Self {
        Self {
            api,
            folder: config.data.join("channel-files"),
            config: config.clone(),
            shared: Mutex::default(),
        }
    }

    /// Until the service ends.
    pub(super) fn run(&self, is_gone: &AtomicBool) {
        let busy: Mutex<HashSet<String>> = Mutex::default();
        thread::scope(|scope| {
            while !is_gone.load(Ordering::Relaxed) {
                for (id, channel) in &self.api.door.registry.now().by_id {
                    let Some(file) = &channel.file.pull else {
                        continue;
                    };
                    let mut threads = busy.lock().unwrap_or_else(PoisonError::into_inner);
                    if threads.len() >= PULLS_MAX || !threads.insert(id.clone()) {
                        continue;
                    }
                    let (id, file, busy) = (id.clone(), file.clone(), &busy);
                    scope.spawn(move || {
                        // A mistake of ours is one channel's outage for a moment, and nobody else's.
                        let pulled =
                            catch_unwind(AssertUnwindSafe(|| self.pull(&id, &file, is_gone)));
                        if pulled.is_err() {
                            self.failed(&id, "something broke while a file was taken");
                            self.rest(Instant::now() + AGAIN_AFTER_BREAKING, is_gone);
                        }
                        let mut threads = busy.lock().unwrap_or_else(PoisonError::into_inner);
                        threads.remove(&id);
                    });
                }
                thread::sleep(LOOKS_EVERY);
            }
        });
    }

    /// The channel, as long as it pulls as it did.
    fn channel(&self, id: &str, file: &PullFile, is_gone: &AtomicBool) -> Option<Arc<Channel>> {
        let channel = self.api.door.registry.now().by_id.get(id).cloned()?;
        let goes_on = channel.file.pull.as_ref() == Some(file) && !is_gone.load(Ordering::Relaxed);
        goes_on.then_some(channel)
    }

    /// Whether files are taken here and now.
    fn may(&self, channel: &Channel) -> bool {
        !channel.file.paused
            && self.api.assignment.sends()
            && !self.api.status.get().is_draining
            && no_space(&self.api).is_none()
    }

    /// What others took, where there are others.
    fn shared(&self) -> Result<Option<Arc<SharedFiles>>, String> {
        if !self.api.assignment.is_shared() {
            return Ok(None);
        }
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if shared.is_none() {
            *shared = Some(Arc::new(SharedFiles::open(&self.config)?));
        }
        Ok(shared.clone())
    }

    /// Hears what others took, before anything is taken here.
    fn follow(&self, id: &str, taken: &mut Taken) -> Result<(), String> {
        let Some(shared) = self.shared()? else {
            return Ok(());
        };
        let written = taken.extend(shared.hear(id)?);
        written.map_err(|fault| format!("what was taken is not written: {fault}"))
    }

    fn pull(&self, id: &str, file: &PullFile, is_gone: &AtomicBool) {
        let path = self.folder.join(format!("{id}.taken"));
        let mut taken = match Taken::open(path) {
            Ok(taken) => taken,
            Err(fault) => {
                self.failed(id, &format!("what was taken is not known: {fault}"));
                // Then another thread tries it.
                return self.rest(Instant::now() + AGAIN_AFTER * 10, is_gone);
            }
        };
        let source = Source::of(file, self.api.door.registry.folder());
        let mut files: HashMap<u128, Tries> = HashMap::new();
        let mut rounds: Option<Tries> = None;
        let mut was_sender = false;
        let mut sends_since: Option<Instant> = None;
        while let Some(channel) = self.channel(id, file, is_gone) {
            let mut next = Instant::now() + LOOKS_EVERY;
            sends_since = match self.api.assignment.sends() {
                true => sends_since.or(Some(next)),
                false => None,
            };
            was_sender &= sends_since.is_some();
            let is_alone = !self.api.assignment.is_shared();
            let is_handed_over =
                sends_since.is_some_and(|since| since.elapsed() >= HANDED_OVER_AFTER);
            if (is_alone || is_handed_over) && self.may(&channel) {
                let begun = Instant::now();
                let done = self.begin(id, &mut taken, &mut was_sender).and_then(|()| {
                    self.round((&channel, file), &source, (&mut taken, &mut files), is_gone)
                });
                match done {
                    Ok(()) => {
                        rounds = None;
                        next = begun + file.every();
                        if let Some(soonest) = files.values().map(|tries| tries.next).min() {
                            next = next.min(soonest);
                        }
                    }
                    Err(words) => {
                        self.failed(id, &words);
                        channel.live.refused("pull_failed", &words, now());
                        let tries = Tries::after(rounds);
                        (rounds, next) = (Some(tries), tries.next);
                    }
                }
            }
            while Instant::now() < next && self.channel(id, file, is_gone).is_some() {
                thread::sleep(LOOKS_EVERY);
            }
        }
    }

    /// Goes on where others were, when they were.
    fn begin(&self, id: &str, taken: &mut Taken, was_sender: &mut bool) -> Result<(), String> {
        if !*was_sender && self.api.assignment.is_shared() {
            let logs = Partitions::new(logs_again(&self.config)?, &self.config.nats.partition_by);
            let known = self.api.door.intake.ids.catch_up(&logs);
            known.map_err(|fault| with_causes(&fault))?;
        }
        self.follow(id, taken)?;
        *was_sender = true;
        Ok(())
    }

    fn rest(&self, until: Instant, is_gone: &AtomicBool) {
        while Instant::now() < until && !is_gone.load(Ordering::Relaxed) {
            thread::sleep(LOOKS_EVERY);
        }
    }

    fn failed(&self, id: &str, words: &str) {
        tracing::warn!(channel = id, fault = words, "files of a channel not had");
        self.api.door.pulls.note(id, |pulled| {
            pulled.failed += 1;
            pulled.last_fault = Some((now().to_string(), words.to_owned()));
        });
    }

    /// Goes over the files that are there.
    fn round(
        &self,
        (channel, file): (&Channel, &PullFile),
        source: &Source,
        (taken, files): (&mut Taken, &mut HashMap<u128, Tries>),
        is_gone: &AtomicBool,
    ) -> Result<(), String> {
        let mut there = HashSet::new();
        let mut fault = None;
        let names = match &channel.file.decoder {
            None => Names::Json,
            Some(_) => Names::Any,
        };
        let listed = source.list(&mut |found| {
            for one in found {
                let key = key(&one);
                there.insert(key);
                let is_due = files
                    .get(&key)
                    .is_none_or(|tries| Instant::now() >= tries.next);
                if taken.has(key) || !is_due || !one.is_wanted(names) {
                    continue;
                }
                let goes_on = self.channel(&channel.id, file, is_gone);
                let Some(channel) = goes_on.filter(|channel| self.may(channel)) else {
                    return false;
                };
                let done = self.file((&channel, file), source, &one, is_gone);
                let settled = self.settle(&channel, &one, done, (taken, files));
                if let Err(words) = settled {
                    fault = Some(words);
                    return false;
                }
            }
            true
        });
        let is_all = match listed {
            Ok(is_all) => is_all,
            Err(PullFault::Later(words) | PullFault::TooLarge(words)) => return Err(words),
            Err(PullFault::Changed) => return Err("there is no such place".to_owned()),
        };
        if let Some(words) = fault {
            return Err(words);
        }
        if is_all {
            files.retain(|key, _| there.contains(key));
            let kept = taken.keep(&there);
            kept.map_err(|fault| format!("what was taken is not written: {fault}"))?;
        }
        self.api.door.pulls.note(&channel.id, |pulled| {
            pulled.known = taken.count();
            pulled.last_round = Some(now().to_string());
        });
        Ok(())
    }

    /// Remembers what became of a file.
    fn settle(
        &self,
        channel: &Channel,
        found: &Found,
        done: Done,
        (taken, files): (&mut Taken, &mut HashMap<u128, Tries>),
    ) -> Result<(), String> {
        let key = key(found);
        match done {
            Done::Over | Done::Changed => return Ok(()),
            Done::Later(words) => {
                let words = format!("{}: {words}", found.name);
                self.failed(&channel.id, &words);
                channel.live.refused("file_failed", &words, now());
                let tries = Tries::after(files.get(&key).copied());
                files.insert(key, tries);
                return Ok(());
            }
            Done::Broken(words) => {
                let words = format!("{}: {words}", found.name);
                tracing::error!(
                    channel = channel.id,
                    fault = words,
                    "file of a channel broken"
                );
                channel.live.refused("file_broken", &words, now());
                self.api.door.pulls.note(&channel.id, |pulled| {
                    pulled.broken += 1;
                    pulled.last_fault = Some((now().to_string(), words));
                });
            }
            Done::Settled => self
                .api
                .door
                .pulls
                .note(&channel.id, |pulled| pulled.taken += 1),
        }
        if let Some(shared) = self.shared()? {
            shared.say(&channel.id, key)?;
        }
        files.remove(&key);
        let added = taken.add(key);
        added.map_err(|fault| format!("what was taken is not written: {fault}"))
    }

    /// Takes a file.
    fn file(
        &self,
        (channel, file): (&Channel, &PullFile),
        source: &Source,
        found: &Found,
        is_gone: &AtomicBool,
    ) -> Done {
        let (file_max, inflated_max) = file.bytes_max();
        let Some(_memory) = self.memory(inflated_max, is_gone) else {
            return Done::Over;
        };
        let bytes = match source.read(found, file_max) {
            Ok(bytes) => bytes,
            Err(PullFault::Later(words)) => return Done::Later(words),
            Err(PullFault::Changed) => return Done::Changed,
            Err(PullFault::TooLarge(words)) => return Done::Broken(words),
        };
        let text = match decode::inflate(&bytes, inflated_max) {
            Ok(text) => text,
            Err(InflateFault::Broken(words)) => {
                return Done::Broken(format!("it cannot be decompressed: {words}"));
            }
            Err(InflateFault::TooLarge) => {
                let words = format!(
                    "more than {inflated_max} bytes when it is decompressed (pull.inflated_max_mib)"
                );
                return Done::Broken(words);
            }
        };
        let event_max = usize::try_from(channel.file.limits.event_max_kib * 1024);
        let event_max = event_max.unwrap_or(usize::MAX);
        let decoded;
        let entries = match &channel.file.decoder {
            None => decode::json(&text, event_max, EVENTS_MAX),
            Some(name) => {
                let made = self
                    .api
                    .door
                    .decoders
                    .get(name)
                    .map_err(DecoderFault::Failed);
                let made = made.and_then(|one| decoder::decoded(&*one, &text, inflated_max));
                decoded = match made {
                    Ok(made) => made,
                    // The plugin may be mended, so the file is not passed over.
                    Err(DecoderFault::Failed(words)) => {
                        return Done::Later(format!("the decoder failed: {words}"));
                    }
                    Err(DecoderFault::TooLarge) => {
                        let words = format!(
                            "more than {inflated_max} bytes when it is decoded (pull.inflated_max_mib)"
                        );
                        return Done::Broken(words);
                    }
                };
                decoded.entries(event_max, EVENTS_MAX)
            }
        };
        let Some(entries) = entries else {
            return Done::Broken(format!("more than {EVENTS_MAX} events"));
        };
        self.events((channel, file), found, (&entries, bytes.len()), is_gone)
    }

    fn events(
        &self,
        (channel, file): (&Channel, &PullFile),
        found: &Found,
        (entries, bytes): (&[Entry<'_>], usize),
        is_gone: &AtomicBool,
    ) -> Done {
        let door = &self.api.door;
        let limits = &channel.file.limits;
        let mut bytes = bytes as u64;
        let mut is_something = entries.is_empty();
        for (number, chunk) in entries.chunks(limits.events_max).enumerate() {
            while let Err(exceeded) = channel.live.quota.check(limits, now()) {
                let seconds = u64::from(exceeded.retry_seconds.min(5));
                self.rest(Instant::now() + Duration::from_secs(seconds), is_gone);
                if self.channel(&channel.id, file, is_gone).is_none() {
                    return Done::Over;
                }
            }
            let arrival = Arrival {
                verified: Verified {
                    sender: "pull".to_owned(),
                    how: file.word().into(),
                    subject: Some(found.name.clone()),
                    message: None,
                    region: None,
                },
                address: None,
                time: now(),
                headers: BTreeMap::new(),
            };
            let quota = (chunk.len() as u64, bytes);
            channel.live.quota.take(limits, quota, arrival.time);
            let seed = format!("file\n{:032x}\n{number}", key(found));
            let taken = door.intake.take(channel, &arrival, chunk, Some(&seed));
            let accepted = door.note(channel, &arrival, bytes, &taken);
            self.api.status.set(|now| {
                now.appended += accepted;
                now.appended_bytes += bytes;
            });
            bytes = 0;
            if taken.has_stopped {
                taken.tell_stopped();
                // The service ends; whoever starts it again opens the log anew.
                let _ = self.api.control.send(Control::Failed);
                return Done::Over;
            }
            let later = taken.outcomes.iter().find_map(|outcome| match outcome {
                Outcome::Rejected(why) if why.is_retryable => Some(why.words.clone()),
                _ => None,
            });
            if let Some(words) = later {
                return Done::Later(words);
            }
            let is_event = |outcome: &Outcome| !matches!(outcome, Outcome::Rejected(why) if matches!(why.code, "malformed" | "undecodable"));
            is_something |= taken.outcomes.iter().any(is_event);
        }
        match is_something {
            true => Done::Settled,
            false => Done::Broken("nothing in it is an event".to_owned()),
        }
    }

    /// The memory that a file may take, of that which bodies of requests have; nothing when the service ends before.
    fn memory(&self, bytes: u64, is_gone: &AtomicBool) -> Option<OwnedSemaphorePermit> {
        let mib = u32::try_from(bytes.div_ceil(MIB)).unwrap_or(u32::MAX);
        // So that bodies of requests come as well.
        let mib = mib.min(self.api.memory_mib.div_ceil(2)).max(1);
        while !is_gone.load(Ordering::Relaxed) {
            if let Ok(permit) = self.api.memory.clone().try_acquire_many_owned(mib) {
                return Some(permit);
            }
            thread::sleep(LOOKS_EVERY);
        }
        None
    }
}
