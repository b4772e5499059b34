//! One thread a sink: does what its outbox says.

use super::assignment::Assignment;
use super::clock::{now, until};
use super::sink::Sink;
use super::status::{SinkStatus, Status};
use super::traced;
use crate::remediation::Remediation;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tripline_core::pipeline::{Outbox, OutboxEffect, OutboxInput, OutboxSettings};
use tripline_core::port::Store;

/// What a sink's thread works with.
pub(crate) struct SinkRun<'s> {
    pub(crate) store: &'s dyn Store,
    pub(crate) status: &'s Status,
    pub(crate) is_ending: &'s AtomicBool,
    /// Says whether this process sends, when several share the work.
    pub(crate) assignment: &'s Assignment,
    pub(crate) settings: OutboxSettings,
    /// For findings that are answered: whoever acts takes them, and nobody else.
    pub(crate) acting: Option<&'s Remediation>,
}

impl SinkRun<'_> {
    /// Whether it is this process that sends.
    fn sends(&self) -> bool {
        match self.acting {
            Some(engine) => engine.acts(),
            None => self.assignment.sends(),
        }
    }
}

/// A sink that fails is told of this often.
const COMPLAINS_EVERY: Duration = Duration::from_secs(60);

/// How long a thread sleeps before it looks whether it is still wanted.
const LOOKS_EVERY: Duration = Duration::from_millis(100);

/// Sends what is stored until it is told to end, while it is this process that sends.
pub(crate) fn run_sink(run: &SinkRun<'_>, sink: &mut dyn Sink) {
    while !run.is_ending.load(Ordering::Relaxed) {
        if run.sends() {
            let goes_on = send_while_it_is_ours(run, sink);
            if !goes_on || !run.assignment.is_shared() {
                return;
            }
        } else {
            watch(run);
        }
        std::thread::sleep(LOOKS_EVERY);
    }
}

/// Another process sends: how far it is.
fn watch(run: &SinkRun<'_>) {
    let name = &run.settings.sink;
    let (Ok(position), Ok(newest)) = (run.store.sink_position(name), run.store.newest()) else {
        return;
    };
    run.status.stored.know(newest);
    run.status.set(|now| {
        let sink = now.sinks.entry(name.clone()).or_default();
        sink.position = position;
        sink.waiting = newest.0.saturating_sub(position.0);
    });
}

/// Whether others found something, or somebody else sends now: nobody here tells.
fn is_news(run: &SinkRun<'_>) -> bool {
    if !run.assignment.is_shared() {
        return false;
    }
    let newest = run.store.newest().unwrap_or_default();
    if newest > run.status.stored.newest() {
        run.status.stored.tell(newest);
        return true;
    }
    !run.sends()
}

/// Whether there is any sense in beginning again.
fn send_while_it_is_ours(run: &SinkRun<'_>, sink: &mut dyn Sink) -> bool {
    let name = run.settings.sink.clone();
    let position = match run.store.sink_position(&name) {
        Ok(position) => position,
        Err(fault) => {
            tracing::error!(sink = name, %fault, "sink cannot start");
            return false;
        }
    };
    let mut outbox = Outbox::new(run.settings.clone(), position);
    let mut input = OutboxInput::Woken;
    let mut was_told_to_end = false;
    let mut told_fault: Option<Instant> = None;
    loop {
        if !run.sends() && input == OutboxInput::Woken {
            // What it sent and could not note is sent again by whoever goes on.
            return true;
        }
        let told = run.status.stored.told();
        let effects = outbox.step(now(), input);
        tell(run.status, &name, &outbox);
        input = OutboxInput::Woken;
        let mut wake = None;
        for effect in effects {
            match effect {
                OutboxEffect::Load { after, max } => {
                    let loaded = run.store.outgoing(after, max);
                    let newest = run.store.newest();
                    input = match (loaded, newest) {
                        (Ok(found), Ok(newest)) => OutboxInput::Loaded(found, newest),
                        (Err(fault), _) | (_, Err(fault)) => OutboxInput::StoreFailed(fault.class),
                    };
                }
                OutboxEffect::Send(batch) => {
                    let by = batch
                        .first()
                        .and_then(|one| run.status.stored.by(one.number));
                    let span = traced::publish(by.as_deref(), &name, batch.len());
                    input = match sink.send(&batch) {
                        Ok(()) => {
                            if told_fault.take().is_some() {
                                tracing::info!(sink = name, "sink takes findings again");
                            }
                            OutboxInput::Sent
                        }
                        Err(fault) => {
                            if told_fault.is_none_or(|at| at.elapsed() >= COMPLAINS_EVERY) {
                                told_fault = Some(Instant::now());
                                tracing::warn!(sink = name, ?fault, "sink failed");
                            }
                            span.record("fault", fault.detail());
                            OutboxInput::SendFailed(fault)
                        }
                    };
                }
                OutboxEffect::Save { position, dead } => {
                    run.status.set(|now| now.dead_letters += dead.len() as u64);
                    for letter in &dead {
                        tracing::warn!(
                            sink = name,
                            number = letter.sequence.0,
                            "finding set aside"
                        );
                    }
                    input = match run.store.sink_reached(&name, position, &dead) {
                        Ok(()) => OutboxInput::Saved,
                        Err(fault) => OutboxInput::StoreFailed(fault.class),
                    };
                }
                OutboxEffect::Wake { at, only_then } => wake = Some((at, only_then)),
                OutboxEffect::Drained => return true,
                OutboxEffect::Stop => {
                    tracing::error!(sink = name, "store failed; the sink stops");
                    let words = "the store failed; it starts again with the service";
                    run.status.set(|now| {
                        now.sinks.entry(name.clone()).or_default().last_fault =
                            Some(words.to_owned());
                    });
                    return false;
                }
            }
        }
        if run.is_ending.load(Ordering::Relaxed) && !was_told_to_end && input == OutboxInput::Woken
        {
            was_told_to_end = true;
            input = OutboxInput::Drain;
            continue;
        }
        let resends = &run.status.resends;
        resends.serve(&name, |batch| sink.send(batch));
        if let (OutboxInput::Woken, Some((at, only_then))) = (&input, wake) {
            while !until(at).is_zero() && !run.is_ending.load(Ordering::Relaxed) {
                resends.serve(&name, |batch| sink.send(batch));
                let patience = until(at).min(LOOKS_EVERY);
                if only_then {
                    std::thread::sleep(patience);
                    continue;
                }
                run.status.stored.wait(told, patience);
                if run.status.stored.told() != told || is_news(run) {
                    break;
                }
            }
        }
    }
}

fn tell(status: &Status, name: &str, outbox: &Outbox) {
    status.set(|now| {
        now.sinks.insert(
            name.to_owned(),
            SinkStatus {
                position: outbox.position(),
                waiting: outbox.waiting(),
                sent: outbox.sent(),
                set_aside: outbox.set_aside(),
                failures: outbox.failures(),
                last_fault: outbox.last_fault().map(str::to_owned),
            },
        );
    });
}
