//! Following the ledger: entry after entry into the own store, and what came of ours to whoever waits for it.

use super::change::{Change, Entry};
use super::{Core, Outcome};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use tripline_core::port::{FaultClass, PortFault, Sequence, Store};

/// How long it waits for an entry before it looks whether it is still wanted.
const WAITS: Duration = Duration::from_millis(100);

/// How long it waits before it tries again what may work later.
const PAUSE: Duration = Duration::from_millis(200);

/// Most outcomes that nobody came for: whoever gave up may ask again soon, or never.
const OUTCOMES_MAX: usize = 1000;

/// How far the ledger is followed.
pub(super) struct Followed {
    /// Every entry up to here is done.
    pub(super) place: Sequence,
    /// The newest entry of each key, as far as it is known.
    pub(super) newest: BTreeMap<String, Sequence>,
    /// What came of changes of ours, by their numbers.
    pub(super) outcomes: BTreeMap<u64, Outcome>,
    /// Why it does not go on for now.
    pub(super) held_up: Option<String>,
    /// Why it never goes on.
    pub(super) stopped: Option<String>,
    /// That is because the ledger was shortened beyond where it is followed.
    pub(super) is_overtaken: bool,
}

impl Followed {
    pub(super) fn from(place: Sequence) -> Self {
        Self {
            place,
            newest: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            held_up: None,
            stopped: None,
            is_overtaken: false,
        }
    }

    /// Refuses everything when the ledger cannot be followed any more.
    pub(super) fn running(&self) -> Result<(), PortFault> {
        match &self.stopped {
            None => Ok(()),
            Some(words) => {
                Err(PortFault::new(FaultClass::Stop, "follow the ledger").because(words.clone()))
            }
        }
    }

    /// An entry that is not done in time.
    pub(super) fn late(&self, place: Sequence) -> PortFault {
        let why = self.held_up.as_deref().unwrap_or("it takes its time");
        PortFault::new(
            FaultClass::Retry,
            format!(
                "follow the ledger to entry {}: it is at {}; {why}",
                place.0, self.place.0
            ),
        )
    }
}

/// Tells whoever waits that nothing comes any more, also when this thread panics.
struct Stops<'c>(&'c Core);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        let mut followed = self.0.lock();
        followed
            .stopped
            .get_or_insert_with(|| "nobody follows it any more".to_owned());
        self.0.changed.notify_all();
    }
}

pub(super) fn follow(core: &Core) {
    let _stops = Stops(core);
    let mut after = core.lock().place;
    while !core.is_ending.load(Ordering::SeqCst) {
        match once(core, &mut after) {
            Ok(()) => {}
            Err(fault) if fault.class == FaultClass::Stop => {
                let overtaken = overtaken(core, after);
                let mut followed = core.lock();
                followed.is_overtaken = overtaken.is_some();
                followed.stopped = Some(overtaken.unwrap_or_else(|| words_of(&fault)));
                return;
            }
            Err(fault) => {
                core.lock().held_up = Some(words_of(&fault));
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Whether the ledger was shortened beyond where this process is, which no member did that knew of it.
fn overtaken(core: &Core, after: Sequence) -> Option<String> {
    let first = core.ledger.first().ok()?;
    (first.0 > after.0 + 1).then(|| {
        format!(
            "it was shortened while this process was held up: it begins at entry {}, and this one is at {}; started again, it \
             loads the newest image",
            first.0, after.0
        )
    })
}

fn once(core: &Core, after: &mut Sequence) -> Result<(), PortFault> {
    if !core.ledger.wait(*after, WAITS)? {
        core.lock().held_up = None;
        return Ok(());
    }
    for entry in core.ledger.read(*after)? {
        let (place, taken) = (entry.place, entry.taken);
        let entry = Entry::read(place, &entry.bytes)?.within(taken);
        let key = entry.change.key();
        let is_ours = entry.by == core.me;
        let number = entry.number;
        let outcome = done(core, place, entry)?;
        *after = place;
        let mut followed = core.lock();
        followed.held_up = None;
        followed.place = place;
        followed.newest.insert(key, place);
        if is_ours {
            followed.outcomes.insert(number, outcome);
            while followed.outcomes.len() > OUTCOMES_MAX {
                followed.outcomes.pop_first();
            }
        }
        core.changed.notify_all();
    }
    Ok(())
}

/// Does what an entry says. What is refused is refused everywhere; what may work later is tried until it does, for nothing
/// may come before it.
fn done(core: &Core, place: Sequence, entry: Entry) -> Result<Outcome, PortFault> {
    let local = &core.local;
    local.set_now(entry.now);
    loop {
        let fault = match do_it(core, place, &entry.change) {
            Ok(outcome) => return Ok(outcome),
            Err(fault) => fault,
        };
        match fault.class {
            FaultClass::Reject | FaultClass::Fenced => {
                return Ok(Outcome::Refused(fault.class, words_of(&fault)));
            }
            FaultClass::Retry | FaultClass::Full if !core.is_ending.load(Ordering::SeqCst) => {
                core.lock().held_up = Some(words_of(&fault));
                thread::sleep(PAUSE);
            }
            _ => return Err(fault),
        }
    }
}

fn do_it(core: &Core, place: Sequence, change: &Change) -> Result<Outcome, PortFault> {
    let local = &core.local;
    if !matches!(change, Change::Forget { .. }) {
        local.begin_entry(place);
    }
    Ok(match change {
        Change::TakeOver { partition } => Outcome::Taken(local.take_without_snapshot(*partition)?),
        Change::Commit(commit) => Outcome::Committed(local.commit(commit)?),
        Change::Snapshot {
            partition,
            epoch,
            kept,
        } => Outcome::Pointed(local.point_to((*partition, *epoch), kept)?),
        Change::SinkReached {
            sink,
            position,
            dead,
        } => {
            local.sink_reached(sink, *position, dead)?;
            Outcome::Done
        }
        Change::ForgetSink { sink } => Outcome::Count(local.forget_sink(sink)?.into()),
        Change::DropDead { numbers } => Outcome::Count(local.drop_dead_letters(numbers)?),
        Change::Forget { before } => {
            // Several batches, which may be done again.
            let count = local.forget_before(*before)?;
            local.end_entry(place)?;
            Outcome::Count(count)
        }
        Change::Publish { version, kept } => Outcome::Switched(local.publish(version, kept)?),
        Change::Switch {
            partition,
            epoch,
            version,
            forgets,
        } => Outcome::Switched(local.switch((*partition, *epoch), version, *forgets)?),
        Change::Head { .. } => {
            local.end_entry(place)?;
            Outcome::Done
        }
    })
}

/// All of it in one line.
fn words_of(fault: &PortFault) -> String {
    let mut words = fault.to_string();
    let mut source = std::error::Error::source(fault);
    while let Some(one) = source {
        words = format!("{words}: {one}");
        source = one.source();
    }
    words
}
