//! What rules that remember are told during a scan, and what they find.
//!
//! A scan reads archives, whose files come in any order, so observations wait until the input is at its end or memory
//! runs short; `--live` goes by the lateness of each rule instead, for input that arrives as it happens. Event time
//! then comes as far as several events agree. Without a folder for state the end of the input is the end: what is
//! still within its lateness is seen, and only what something later could still answer stays open.
//!
//! With a folder, the state is written when the input is at its end. Input that arrives as it happens has none, so
//! then it is written every minute and on interruption too. Reading again what was read before such a moment is
//! harmless: it is late, or waits already.

use super::report::{Findings, Place};
use crate::causes::with_causes;
use crate::plugins::Plugins;
use crate::state_folder::StateFolder;
use jiff::Timestamp;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tripline_core::evaluate::{Observations, RuleSet};
use tripline_core::event::Event;
use tripline_core::insight::Record;
use tripline_core::rule::kind::{EventKey, EventTime, Period, StoredEvent};
use tripline_core::state::{State, StateCounters, StateSettings, Telling, Told, Watermark};
use tripline_core::wire::PluginMemories;

/// How often a state without an end is written, and how seldom at least when that takes long.
const SAVED_EVERY: Duration = Duration::from_secs(60);
const SAVING_SHARE: u32 = 20;

/// Events this much later than now are broken clocks, not late clocks.
const FUTURE_ALLOWED: Period = Period::from_days(1);

/// What one record is to rules that remember.
pub(crate) struct Observed {
    /// Its place among the records of the batch.
    pub(crate) record: u32,
    pub(crate) id: String,
    pub(crate) time: Option<Timestamp>,
    pub(crate) bytes: Box<[u8]>,
    pub(crate) physical_line: u64,
    pub(crate) observations: Observations,
}

impl Observed {
    /// Of an event that rules were told of.
    pub(crate) fn new(
        record: u32,
        event: &Event<'_>,
        bytes: &[u8],
        physical_line: u64,
        observations: &mut Observations,
    ) -> Self {
        Self {
            record,
            id: event.id().as_str().to_owned(),
            time: event.time(),
            bytes: bytes.into(),
            physical_line,
            observations: std::mem::take(observations),
        }
    }

    /// About how much memory it takes.
    pub(crate) fn heap_bytes(&self) -> usize {
        let observations = size_of_val(self.observations.all.as_slice());
        size_of::<Self>() + self.bytes.len() + self.id.len() + observations
    }
}

/// How time passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// All at once, in any order.
    Archive,
    /// As it happens.
    Live,
}

/// State during a scan.
pub(crate) struct Remembering<'r> {
    state: State<'r>,
    arrival: Arrival,
    watermark: Watermark,
    newest: Option<EventTime>,
    folder: Option<StateFolder>,
    /// What plugins remember of the records so far; also of those that no rule asks now.
    plugins: PluginMemories,
    telling: Findings,
    /// At the end of the input time goes no further than it would in the middle of it.
    stays_open: bool,
    /// What other scans came to with this state.
    before: StateCounters,
    saved: Instant,
    /// How long writing took last.
    saving: Duration,
}

impl<'r> Remembering<'r> {
    /// State that goes on from the folder, if there is one; nothing when neither a rule nor a plugin remembers.
    pub(crate) fn start(
        (rules, plugins): (&'r RuleSet, &Plugins<'_>),
        how: (Arrival, Findings, usize),
        now: Timestamp,
        folder: Option<StateFolder>,
    ) -> Result<Option<Self>, crate::state_folder::StateFault> {
        let Some(mut started) = Self::fresh((rules, plugins), how, now, folder) else {
            return Ok(None);
        };
        if let Some(folder) = &started.folder {
            started.plugins = folder.restore(&mut started.state)?;
            for alias in plugins.strangers(&started.plugins) {
                let _ = writeln!(
                    io::stderr(),
                    "state: the plugin `{alias}` is another one now, and begins to remember anew"
                );
            }
            started.before = started.state.counters();
        }
        Ok(Some(started))
    }

    /// State that remembers nothing yet, and is kept in the folder, if there is one; nothing when neither a rule nor a plugin
    /// remembers.
    pub(crate) fn fresh(
        (rules, plugins): (&'r RuleSet, &Plugins<'_>),
        (arrival, telling, bytes_max): (Arrival, Findings, usize),
        now: Timestamp,
        folder: Option<StateFolder>,
    ) -> Option<Self> {
        if !(State::is_needed(rules) || plugins.remember()) {
            return None;
        }
        let settings = StateSettings {
            bytes_max,
            // Who goes on another day would wait until then for what is open now.
            telling: match (arrival, &folder) {
                (Arrival::Archive, None) => Telling::Once,
                _ => Telling::AtOnce,
            },
            future: EventTime::from(now).plus(FUTURE_ALLOWED),
        };
        let state = State::new(rules, settings);
        Some(Self {
            before: state.counters(),
            state,
            arrival,
            watermark: Watermark::default(),
            newest: None,
            folder,
            plugins: PluginMemories::new(),
            telling,
            stays_open: false,
            saved: Instant::now(),
            saving: Duration::ZERO,
        })
    }

    /// Tells the rules of a record that came for the first time. Whether one of them was told, and did not leave it out.
    pub(crate) fn observe(&mut self, observed: Observed, file: &str, position: u64) -> bool {
        let Observed {
            id,
            time,
            bytes,
            physical_line,
            observations,
            ..
        } = observed;
        for fault in &observations.faults {
            self.state.fault(fault.rule, &fault.reason);
        }
        self.state.groups_cut(observations.groups_cut);
        if observations.all.is_empty() {
            return false;
        }
        let Some(time) = time.map(EventTime::from) else {
            self.state.timeless();
            return false;
        };
        let event = Arc::new(StoredEvent {
            key: EventKey::new(&id),
            time,
            bytes,
            origin: Place::write(file, position, physical_line).into(),
        });
        if time <= self.state.settings().future {
            self.watermark.note(time, &event.key);
            self.newest = self.newest.max(Some(time));
        }
        self.state.observe(&event, &observations.all)
    }

    /// What was found since the last call.
    pub(crate) fn told(&mut self) -> Vec<Told> {
        if self.arrival == Arrival::Live
            && let Some(reached) = self.watermark.reached()
        {
            self.state.advance(reached);
        }
        self.state.take_told()
    }

    /// Goes on from what another run kept in a folder, which stays as it is.
    pub(crate) fn go_on_from(
        &mut self,
        folder: &StateFolder,
    ) -> Result<(), crate::state_folder::StateFault> {
        self.plugins = folder.restore(&mut self.state)?;
        self.before = self.state.counters();
        Ok(())
    }

    /// Whoever goes on from what is learnt comes to what one run over everything would have come to: what is within its lateness
    /// at the end of the input goes on waiting.
    pub(crate) fn stay_open(&mut self) {
        self.stays_open = true;
    }

    /// From now on records of insights are kept.
    pub(crate) fn keep_insights(&mut self) {
        self.state.keep_insights();
    }

    /// From now on insights explain the minute of this time, of series of which a part of the key holds the text.
    pub(crate) fn explain(&mut self, time: Timestamp, text: &str) {
        self.state.explain_insights(EventTime::from(time), text);
    }

    /// What insights explained since, where they were asked to.
    pub(crate) fn explained(&mut self) -> Vec<serde_json::Value> {
        self.state.take_explained()
    }

    /// Records of insights since the last call, where they are kept.
    pub(crate) fn insights(&mut self) -> Vec<Record> {
        self.state.take_insights()
    }

    /// The input is at its end. With a folder, what may still be joined by later events is kept in it; what was only
    /// learnt from is over.
    pub(crate) fn finish(&mut self) -> Vec<Told> {
        let goes_on = self.folder.is_some() && self.telling == Findings::Shown;
        if goes_on && self.arrival == Arrival::Live {
            return self.told();
        }
        if let Some(newest) = self.newest {
            if goes_on || self.stays_open {
                self.state.advance(newest);
            } else {
                self.state.complete(newest);
            }
        }
        if !goes_on {
            self.state.finish();
        }
        self.state.take_told()
    }

    /// Whether an interruption is an end like any other.
    pub(crate) fn is_live(&self) -> bool {
        self.arrival == Arrival::Live
    }

    /// Whether it is time to write a state that may have no end.
    pub(crate) fn is_save_due(&self) -> bool {
        self.is_live()
            && self.folder.is_some()
            && self.saved.elapsed() >= SAVED_EVERY.max(self.saving * SAVING_SHARE)
    }

    /// Writes the state while the input goes on. A folder that cannot be written now may be later, so that is told and
    /// not the end.
    pub(crate) fn save_meanwhile(&mut self) {
        let begun = Instant::now();
        if let Err(fault) = self.save() {
            // If standard error is closed, nobody wants to know.
            let _ = writeln!(io::stderr(), "state: {}", with_causes(&fault));
        }
        self.saved = Instant::now();
        self.saving = begun.elapsed();
    }

    /// Writes the state into its folder, if it has one.
    pub(crate) fn save(&self) -> Result<(), crate::state_folder::StateFault> {
        match &self.folder {
            Some(folder) => folder.save(&self.state, &self.plugins),
            None => Ok(()),
        }
    }

    /// What plugins remember of the records so far.
    pub(crate) fn plugins(&self) -> &PluginMemories {
        &self.plugins
    }

    /// Takes what plugins remember after a batch.
    pub(crate) fn plugins_came_to(&mut self, memories: PluginMemories) {
        self.plugins.extend(memories);
    }

    /// What became of everything in this scan.
    pub(crate) fn counters(&self) -> StateCounters {
        self.state.counters().since(&self.before)
    }

    /// Whether what is pending at the end is kept for another scan.
    pub(crate) fn keeps(&self) -> bool {
        self.folder.is_some()
    }
}
