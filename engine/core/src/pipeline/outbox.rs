//! The outbox of one sink: what was found and stored, sent on in order.
//!
//! Findings come from the store, not from the worker: only what is durable is sent, and what a sink has yet to take waits
//! in the store for as long as it must. How far the sink has come is kept there too. A sink that fails is tried again,
//! less and less often; one that refuses a finding gets the others, and the refused one becomes a dead letter. A crash
//! between sending and saving sends again, so a sink sees a finding at least once, and tells repetitions by
//! `finding_id` and `revision`.

use crate::limits::{
    DEAD_LETTER_BYTES_MAX, OUTBOX_FAILURES_BEFORE_PROBING, OUTBOX_FINDINGS_MAX,
    OUTBOX_RETRY_ASKED_LONGEST_MS, OUTBOX_RETRY_LONGEST_MS, RETRY_FIRST_MS,
};
use crate::port::{DeadLetter, DeadReason, FaultClass, Outgoing, Partition, Sequence};
use crate::rule::kind::{EventTime, Period};

/// How an outbox goes about it.
#[derive(Clone, Debug)]
pub struct OutboxSettings {
    /// The name of the sink.
    pub sink: String,
    /// Findings sent at a time; at most [`OUTBOX_FINDINGS_MAX`].
    pub batch: usize,
    /// Failures of one batch after which its findings are set aside; never without it.
    pub tries_max: Option<u32>,
    /// Findings waiting beyond which the oldest are set aside; never without it.
    pub waiting_max: Option<u64>,
}

/// Why a sink did not take findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendFault {
    /// It may later: it was not reached, is busy, or asks to wait this long.
    Retry {
        /// What it answered.
        detail: String,
        /// How long it asks to wait.
        after: Option<Period>,
    },
    /// It will never take these.
    Refused {
        /// What it answered.
        detail: String,
    },
}

impl SendFault {
    /// What the sink answered.
    pub fn detail(&self) -> &str {
        match self {
            Self::Retry { detail, .. } | Self::Refused { detail } => detail,
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum OutboxInput {
    /// Time may have passed, or something may have been stored.
    Woken,
    /// What was stored after the place asked for, and the newest number that there is.
    Loaded(Vec<Outgoing>, Sequence),
    /// The store could not be read or written.
    StoreFailed(FaultClass),
    /// The sink took the findings.
    Sent,
    /// It did not.
    SendFailed(SendFault),
    /// The place is durable.
    Saved,
    /// Finish what was begun, and say so.
    Drain,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum OutboxEffect {
    /// Load what was stored after this. Answered by `Loaded` or `StoreFailed`.
    Load {
        /// After this number.
        after: Sequence,
        /// At most so many.
        max: usize,
    },
    /// Send these. Answered by `Sent` or `SendFailed`.
    Send(Vec<Outgoing>),
    /// Keep how far the sink has come. Answered by `Saved` or `StoreFailed`.
    Save {
        /// Up to here.
        position: Sequence,
        /// Those that it will never take.
        dead: Vec<DeadLetter>,
    },
    /// Send `Woken` at this time, or as soon as something is stored.
    Wake {
        /// The time.
        at: EventTime,
        /// Only the time counts.
        only_then: bool,
    },
    /// There will be no more effects.
    Drained,
    /// There will be no more effects: the store cannot be trusted any more.
    Stop,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// Nothing is begun.
    Idle,
    /// The store could not be read; again at this time.
    LoadingLater(EventTime),
    Loading,
    Sending(Vec<Outgoing>),
    /// The sink did not take these; again at this time.
    SendingLater(Vec<Outgoing>, EventTime),
    /// The place is being kept, with these dead letters.
    Saving(Vec<DeadLetter>),
    /// They could not be kept; again at this time.
    SavingLater(Vec<DeadLetter>, EventTime),
    Ended,
}

/// The outbox of one sink.
#[derive(Clone, Debug)]
pub struct Outbox {
    settings: OutboxSettings,
    phase: Phase,
    position: Sequence,
    newest: Sequence,
    /// Failures of what is sent now.
    failures: u32,
    /// Failures in a row that may be for a while, of whatever was sent: a sink that is away is asked ever more rarely, also when
    /// what it was asked to take is given up.
    unreached: u32,
    /// Findings sent together: one after the sink refused some, which shows which of them it refuses.
    together: usize,
    is_draining: bool,
    sent: u64,
    set_aside: u64,
    last_fault: Option<String>,
    effects: Vec<OutboxEffect>,
}

impl Outbox {
    /// An outbox whose sink has come so far.
    pub fn new(settings: OutboxSettings, position: Sequence) -> Self {
        let together = settings.batch.clamp(1, OUTBOX_FINDINGS_MAX);
        Self {
            settings,
            phase: Phase::Idle,
            position,
            newest: position,
            failures: 0,
            unreached: 0,
            together,
            is_draining: false,
            sent: 0,
            set_aside: 0,
            last_fault: None,
            effects: Vec::new(),
        }
    }

    /// Takes in what happened, and says what is to be done now.
    pub fn step(&mut self, now: EventTime, input: OutboxInput) -> Vec<OutboxEffect> {
        self.is_draining |= input == OutboxInput::Drain;
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        self.phase = match (phase, input) {
            (Phase::Ended, _) => Phase::Ended,
            (Phase::Loading, OutboxInput::Loaded(found, newest)) => self.loaded(now, found, newest),
            (Phase::Loading, OutboxInput::StoreFailed(class)) => self
                .store_failed(class, |outbox| {
                    Phase::LoadingLater(outbox.again_at(now, None))
                }),
            (Phase::Sending(batch), OutboxInput::Sent) => self.taken(batch),
            (Phase::Sending(batch), OutboxInput::SendFailed(fault)) => {
                self.refused(now, batch, fault)
            }
            (Phase::Saving(dead), OutboxInput::Saved) => {
                self.set_aside += dead.len() as u64;
                self.failures = 0;
                match self.unreached {
                    0 => self.load(),
                    // The next one would only be given up as well.
                    _ => Phase::LoadingLater(self.again_at(now, None)),
                }
            }
            (Phase::Saving(dead), OutboxInput::StoreFailed(class)) => self
                .store_failed(class, |outbox| {
                    Phase::SavingLater(dead, outbox.again_at(now, None))
                }),
            (phase, _) => self.rest(now, phase),
        };
        std::mem::take(&mut self.effects)
    }

    /// What is done when nothing happened but time.
    fn rest(&mut self, now: EventTime, phase: Phase) -> Phase {
        match phase {
            Phase::Idle => self.load(),
            Phase::LoadingLater(at) if at <= now || self.is_draining => self.load(),
            // What a sink did not take stays in the store; nobody waits for it at the end.
            Phase::SendingLater(..) if self.is_draining => self.end(),
            Phase::SendingLater(batch, at) if at <= now => self.send(batch),
            Phase::SavingLater(dead, at) if at <= now => self.save(dead),
            Phase::LoadingLater(at) | Phase::SendingLater(_, at) | Phase::SavingLater(_, at) => {
                self.effects.push(OutboxEffect::Wake {
                    at,
                    only_then: true,
                });
                phase
            }
            busy => busy,
        }
    }

    fn end(&mut self) -> Phase {
        self.effects.push(OutboxEffect::Drained);
        Phase::Ended
    }

    fn load(&mut self) -> Phase {
        if self.is_draining {
            return self.end();
        }
        self.effects.push(OutboxEffect::Load {
            after: self.position,
            max: self.together,
        });
        Phase::Loading
    }

    fn send(&mut self, batch: Vec<Outgoing>) -> Phase {
        self.effects.push(OutboxEffect::Send(batch.clone()));
        Phase::Sending(batch)
    }

    fn save(&mut self, dead: Vec<DeadLetter>) -> Phase {
        self.effects.push(OutboxEffect::Save {
            position: self.position,
            dead: dead.clone(),
        });
        Phase::Saving(dead)
    }

    fn store_failed(&mut self, class: FaultClass, later: impl FnOnce(&mut Self) -> Phase) -> Phase {
        if matches!(
            class,
            FaultClass::Stop | FaultClass::Reject | FaultClass::Fenced
        ) {
            self.effects.push(OutboxEffect::Stop);
            return Phase::Ended;
        }
        later(self)
    }

    fn loaded(&mut self, now: EventTime, found: Vec<Outgoing>, newest: Sequence) -> Phase {
        self.newest = newest;
        let Some(last) = found.last() else {
            if self.is_draining {
                return self.end();
            }
            let at = now.plus(Period::from_seconds(LOOK_SECONDS));
            self.effects.push(OutboxEffect::Wake {
                at,
                only_then: false,
            });
            return Phase::Idle;
        };
        let last = last.number;
        if let Some(max) = self.settings.waiting_max
            && newest.0.saturating_sub(last.0) >= max
        {
            self.position = last;
            let detail = format!("more than {max} findings waited for it");
            let dead = found
                .iter()
                .map(|one| self.dead_letter(now, one, &detail))
                .collect();
            return self.save(dead);
        }
        self.send(found)
    }

    fn taken(&mut self, batch: Vec<Outgoing>) -> Phase {
        (self.failures, self.unreached) = (0, 0);
        self.last_fault = None;
        self.sent += batch.len() as u64;
        self.together = (self.together * 2).min(self.settings.batch.clamp(1, OUTBOX_FINDINGS_MAX));
        self.pass(&batch);
        self.save(Vec::new())
    }

    fn refused(&mut self, now: EventTime, mut batch: Vec<Outgoing>, fault: SendFault) -> Phase {
        self.failures = self.failures.saturating_add(1);
        let (detail, is_over) = match &fault {
            SendFault::Refused { detail } => {
                // It is there.
                self.unreached = 0;
                (detail.clone(), true)
            }
            SendFault::Retry { detail, .. } => {
                self.unreached = self.unreached.saturating_add(1);
                let is_over = self
                    .settings
                    .tries_max
                    .is_some_and(|max| self.failures >= max);
                (detail.clone(), is_over)
            }
        };
        self.last_fault = Some(detail.clone());
        if is_over && batch.len() == 1 {
            self.failures = 0;
            self.pass(&batch);
            let dead = batch
                .iter()
                .map(|one| self.dead_letter(now, one, &detail))
                .collect();
            return self.save(dead);
        }
        if is_over || self.failures >= OUTBOX_FAILURES_BEFORE_PROBING {
            self.together = 1;
            batch.truncate(1);
        }
        if is_over {
            self.failures = 0;
            if self.unreached == 0 {
                return self.send(batch);
            }
        }
        let asked = match fault {
            SendFault::Retry { after, .. } => after,
            SendFault::Refused { .. } => None,
        };
        let at = self.again_at(now, asked);
        self.effects.push(OutboxEffect::Wake {
            at,
            only_then: true,
        });
        match self.is_draining {
            true => self.end(),
            false => Phase::SendingLater(batch, at),
        }
    }

    fn pass(&mut self, batch: &[Outgoing]) {
        if let Some(last) = batch.last() {
            self.position = last.number;
        }
    }

    /// When to try again what failed: later each time, and not before the sink wants it.
    fn again_at(&mut self, now: EventTime, asked: Option<Period>) -> EventTime {
        let failures = self.failures.max(self.unreached);
        let doublings = failures.saturating_sub(1).min(20);
        let millis = (RETRY_FIRST_MS << doublings).min(OUTBOX_RETRY_LONGEST_MS);
        let own = Period::from_millis(millis);
        let longest = Period::from_millis(OUTBOX_RETRY_ASKED_LONGEST_MS);
        let at = now.plus(asked.map_or(own, |asked| asked.min(longest).max(own)));
        self.effects.push(OutboxEffect::Wake {
            at,
            only_then: true,
        });
        at
    }

    fn dead_letter(&self, now: EventTime, outgoing: &Outgoing, detail: &str) -> DeadLetter {
        // A finding is JSON that was read before; what cannot be written has no bytes to keep.
        let mut payload = serde_json::to_vec(&outgoing.finding).unwrap_or_default();
        let bytes = payload.len() as u64;
        payload.truncate(DEAD_LETTER_BYTES_MAX);
        DeadLetter {
            partition: Partition::default(),
            sequence: outgoing.number,
            taken: now,
            reason: DeadReason::Sink {
                sink: self.settings.sink.clone(),
                detail: detail.to_owned(),
            },
            bytes,
            attributes: Vec::new(),
            payload,
        }
    }

    /// How far the sink has come.
    pub fn position(&self) -> Sequence {
        self.position
    }

    /// How many findings wait for the sink, as far as is known.
    pub fn waiting(&self) -> u64 {
        self.newest.0.saturating_sub(self.position.0)
    }

    /// Findings that the sink took, since the start.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Findings that it will never take, since the start.
    pub fn set_aside(&self) -> u64 {
        self.set_aside
    }

    /// Failures since something worked.
    pub fn failures(&self) -> u32 {
        self.failures.max(self.unreached)
    }

    /// What the sink answered last, when it failed last.
    pub fn last_fault(&self) -> Option<&str> {
        self.last_fault.as_deref()
    }
}

/// A sink with nothing to do looks again after this long, though nobody told it.
const LOOK_SECONDS: i64 = 30;
