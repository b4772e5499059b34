//! Worker and outbox, one input at a time. Whole runs with faults are the simulator's.

use super::{
    Effect, Examiner, Input, NoAnswers, Outbox, OutboxEffect, OutboxInput, OutboxSettings,
    SendFault, StopReason, Worker, WorkerSettings,
};
use crate::evaluate::RuleSet;
use crate::limits::{STARTS_BEFORE_CARE, STARTS_BEFORE_SETTING_ASIDE};
use crate::port::{
    Checkpoint, Commit, DeadReason, Delivered, Epoch, FaultClass, NewRecord, Outgoing, Partition,
    ReadMax, RecordKind, Sequence,
};
use crate::rule::kind::{EventTime, Period};
use crate::rule::{File, load};
use crate::wire::{Finding, PluginMemory};
use std::sync::Arc;

const STOPPED: &str = r#"
id = "stopped"
name = "Stopped"
description = "It stopped."
severity = "high"
status = "test"
authors = ["Tripline"]
when = 'event.?eventName.orValue("") == "Stop"'
"#;

fn rules() -> RuleSet {
    let catalog = load(
        &[File::found("stopped.toml", STOPPED)],
        jiff::civil::date(2026, 1, 1),
    );
    let (rules, reports) = RuleSet::of_catalog(&catalog);
    assert_eq!(rules.rules().len(), 1, "{reports:?} {:?}", catalog.reports);
    rules
}

fn at(second: i64) -> EventTime {
    EventTime::from_micros(second * 1_000_000)
}

fn settings() -> WorkerSettings {
    WorkerSettings {
        partition: Partition(0),
        read: ReadMax {
            records: 100,
            bytes: 1 << 20,
        },
        in_flight_max: 3,
        commit_every: Period::from_seconds(1),
        snapshot_every: Period::from_seconds(60),
        tick_every: Period::from_seconds(10),
        state_bytes_max: 16 << 20,
        undelivered_max: 10,
        plugins_remember: false,
    }
}

fn checkpoint(position: u64, starts: u32) -> Checkpoint {
    Checkpoint {
        epoch: Epoch(7),
        position: Sequence(position),
        starts,
        snapshot: None,
    }
}

fn delivered(first: u64, payloads: &[&str]) -> Delivered {
    let mut delivered = Delivered::default();
    for (sequence, payload) in (first..).zip(payloads) {
        let record = NewRecord {
            kind: RecordKind::Event,
            taken: at(1),
            attributes: b"",
            payload: payload.as_bytes(),
        };
        delivered.push(Sequence(sequence), &record);
    }
    delivered
}

fn only_fetch(effects: &[Effect]) -> Option<(Sequence, usize)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Fetch { after, max, .. } => Some((*after, max.records)),
        _ => None,
    })
}

fn commit_in(effects: &[Effect]) -> Option<&Commit> {
    effects.iter().find_map(|effect| match effect {
        Effect::Commit(commit) => Some(commit.as_ref()),
        _ => None,
    })
}

fn fetched(number: u64, through: u64, records: usize) -> Input {
    let through = Sequence(through);
    Input::Fetched {
        number,
        through,
        records,
    }
}

#[test]
fn batches_that_come_back_out_of_order_are_committed_in_order() {
    let rules = rules();
    let (mut worker, _) =
        Worker::start(&rules, settings(), checkpoint(0, 1), at(0)).expect("starts");
    let mut examiner = Examiner::new(&rules, Partition(0));
    worker.step(at(0), Input::Woken);
    worker.step(at(0), fetched(0, 1, 1));
    let effects = worker.step(at(0), fetched(1, 3, 2));
    assert_eq!(only_fetch(&effects), Some((Sequence(3), 100)));
    let second = delivered(2, &[r#"{"eventID":"b","eventName":"Stop"}"#, "{"]);
    let second = examiner.examine(1, &second, Sequence(0), &mut NoAnswers);
    let effects = worker.step(at(0), Input::Examined(Box::new(second)));
    assert_eq!(
        commit_in(&effects),
        None,
        "the first batch is not there yet"
    );
    let first = delivered(1, &[r#"{"eventID":"a","eventName":"Stop"}"#]);
    let first = examiner.examine(0, &first, Sequence(0), &mut NoAnswers);
    let effects = worker.step(at(0), Input::Examined(Box::new(first)));
    let commit = commit_in(&effects).expect("findings are committed at once");
    assert_eq!((commit.position, commit.epoch), (Sequence(3), Epoch(7)));
    let events: Vec<&str> = commit
        .findings
        .iter()
        .map(|one| one.event_id.as_str())
        .collect();
    assert_eq!(events, ["a", "b"]);
    assert!(
        matches!(commit.dead.as_slice(), [letter] if letter.sequence == Sequence(3)
        && matches!(&letter.reason, DeadReason::Malformed { .. }))
    );
    assert_eq!(commit.events.len(), 2, "events that findings cite are kept");
    assert_eq!(worker.committed(), Sequence(0));
    worker.step(at(0), Input::Committed);
    assert_eq!(worker.committed(), Sequence(3));
}

#[test]
fn a_commit_that_fails_is_tried_again_and_nothing_follows_it_before() {
    let rules = rules();
    let (mut worker, _) =
        Worker::start(&rules, settings(), checkpoint(0, 1), at(0)).expect("starts");
    let mut examiner = Examiner::new(&rules, Partition(0));
    worker.step(at(0), Input::Woken);
    let mut examine = |number: u64, sequence: u64| {
        let event = format!(r#"{{"eventID":"{sequence}","eventName":"Stop"}}"#);
        let batch = delivered(sequence, &[&event]);
        Input::Examined(Box::new(examiner.examine(
            number,
            &batch,
            Sequence(0),
            &mut NoAnswers,
        )))
    };
    worker.step(at(0), fetched(0, 1, 1));
    let effects = worker.step(at(0), examine(0, 1));
    let first = commit_in(&effects).expect("commits").clone();
    assert_eq!(
        commit_in(&worker.step(at(0), Input::CommitFailed(FaultClass::Full))),
        None
    );
    worker.step(at(0), fetched(1, 2, 1));
    assert_eq!(
        commit_in(&worker.step(at(0), examine(1, 2))),
        None,
        "one commit at a time"
    );
    let effects = worker.step(at(1), Input::Woken);
    assert_eq!(commit_in(&effects), Some(&first), "the same again");
    let effects = worker.step(at(1), Input::Committed);
    assert_eq!(
        commit_in(&effects).map(|one| one.position),
        Some(Sequence(2))
    );
    let effects = worker.step(at(1), Input::CommitFailed(FaultClass::Fenced));
    assert_eq!(effects, [Effect::Stop(StopReason::Fenced)]);
    assert_eq!(worker.step(at(2), Input::Woken), []);
}

#[test]
fn a_slow_sink_stops_reading_and_nothing_else() {
    let rules = rules();
    let (mut worker, _) =
        Worker::start(&rules, settings(), checkpoint(0, 1), at(0)).expect("starts");
    worker.step(at(0), Input::Undelivered(11));
    let effects = worker.step(at(0), Input::Woken);
    assert_eq!(only_fetch(&effects), None);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Wake { .. }))
    );
    assert!(only_fetch(&worker.step(at(0), Input::Undelivered(10))).is_some());
}

#[test]
fn who_died_again_and_again_goes_on_one_record_at_a_time() {
    let rules = rules();
    let starts = STARTS_BEFORE_CARE + 1;
    let (mut worker, _) =
        Worker::start(&rules, settings(), checkpoint(5, starts), at(0)).expect("starts");
    let effects = worker.step(at(0), Input::Woken);
    assert_eq!(only_fetch(&effects), Some((Sequence(5), 1)));
    let effects = worker.step(at(0), fetched(0, 6, 1));
    assert!(matches!(effects[0], Effect::Examine { number: 0, .. }));
    assert_eq!(
        only_fetch(&effects),
        None,
        "the next one waits until this one is durable"
    );
    let mut examiner = Examiner::new(&rules, Partition(0));
    let examined = examiner.examine(0, &delivered(6, &["{}"]), Sequence(5), &mut NoAnswers);
    let effects = worker.step(at(0), Input::Examined(Box::new(examined)));
    assert_eq!(
        commit_in(&effects).map(|one| one.position),
        Some(Sequence(6))
    );
    assert_eq!(only_fetch(&effects), None);
    let effects = worker.step(at(0), Input::Committed);
    assert_eq!(only_fetch(&effects), Some((Sequence(6), 1)));
}

#[test]
fn the_record_that_kills_is_set_aside() {
    let rules = rules();
    let starts = STARTS_BEFORE_SETTING_ASIDE + 1;
    let (mut worker, _) =
        Worker::start(&rules, settings(), checkpoint(5, starts), at(0)).expect("starts");
    worker.step(at(0), Input::Woken);
    let effects = worker.step(at(0), fetched(0, 6, 1));
    assert_eq!(effects[0], Effect::SetAside { number: 0, starts });
    let examiner = Examiner::new(&rules, Partition(0));
    let aside = examiner.set_aside(0, &delivered(6, &["killer"]), starts);
    let effects = worker.step(at(0), Input::Examined(Box::new(aside)));
    let commit = commit_in(&effects).expect("it is a dead letter");
    assert_eq!(commit.dead[0].reason, DeadReason::Fatal { starts });
    assert_eq!(commit.dead[0].payload, b"killer");
    worker.step(at(0), Input::Committed);
    let effects = worker.step(at(0), fetched(1, 7, 1));
    assert!(
        matches!(effects[0], Effect::Examine { number: 1, .. }),
        "{effects:?}"
    );
}

#[test]
fn a_start_with_nothing_to_do_is_a_good_start() {
    let rules = rules();
    let (mut worker, _) =
        Worker::start(&rules, settings(), checkpoint(5, 4), at(0)).expect("starts");
    worker.step(at(0), Input::Woken);
    let effects = worker.step(at(0), fetched(0, 5, 0));
    let commit =
        commit_in(&effects).expect("so that the next start is not held against the next record");
    assert_eq!((commit.position, commit.findings.len()), (Sequence(5), 0));
    worker.step(at(0), Input::Committed);
    assert_eq!(commit_in(&worker.step(at(0), fetched(1, 5, 0))), None);
}

#[test]
fn draining_ends_when_everything_is_durable() {
    let rules = rules();
    let (mut worker, _) =
        Worker::start(&rules, settings(), checkpoint(0, 1), at(0)).expect("starts");
    let mut examiner = Examiner::new(&rules, Partition(0));
    worker.step(at(0), Input::Woken);
    worker.step(at(0), fetched(0, 1, 1));
    let effects = worker.step(at(0), Input::Drain);
    assert!(!effects.contains(&Effect::Drained));
    let examined = examiner.examine(0, &delivered(1, &["{}"]), Sequence(0), &mut NoAnswers);
    let effects = worker.step(at(0), Input::Examined(Box::new(examined)));
    assert!(
        commit_in(&effects).is_some(),
        "a position is not waited for now"
    );
    // The read that was on its way brings something: that stays in the log.
    assert_eq!(
        worker.step(at(0), Input::Committed).last(),
        Some(&Effect::Wake { at: at(10) })
    );
    let effects = worker.step(at(0), fetched(1, 1, 0));
    assert_eq!(effects, [Effect::Drained]);
}

fn outgoing(number: u64) -> Outgoing {
    let finding = format!(
        r#"{{"version":1,"finding_id":"f{number}","rule_id":"r","rule_version":"v","rule_name":"n",
        "severity":"low","title":"t","dedup_key":[],"event_id":"e"}}"#
    );
    let finding: Finding = serde_json::from_str(&finding).expect("a finding");
    Outgoing {
        number: Sequence(number),
        finding,
    }
}

fn outbox(tries_max: Option<u32>, waiting_max: Option<u64>) -> Outbox {
    let settings = OutboxSettings {
        sink: "sink".to_owned(),
        batch: 2,
        tries_max,
        waiting_max,
    };
    Outbox::new(settings, Sequence(3))
}

fn busy() -> OutboxInput {
    OutboxInput::SendFailed(SendFault::Retry {
        detail: "busy".to_owned(),
        after: None,
    })
}

#[test]
fn findings_are_sent_in_order_and_the_place_is_kept_after() {
    let mut outbox = outbox(None, None);
    let effects = outbox.step(at(0), OutboxInput::Woken);
    assert_eq!(
        effects,
        [OutboxEffect::Load {
            after: Sequence(3),
            max: 2
        }]
    );
    let batch = vec![outgoing(4), outgoing(6)];
    let effects = outbox.step(at(0), OutboxInput::Loaded(batch.clone(), Sequence(9)));
    assert_eq!(effects, [OutboxEffect::Send(batch)]);
    assert_eq!(
        outbox.step(at(0), OutboxInput::Woken),
        [],
        "it is being sent"
    );
    let effects = outbox.step(at(0), OutboxInput::Sent);
    assert_eq!(
        effects,
        [OutboxEffect::Save {
            position: Sequence(6),
            dead: Vec::new()
        }]
    );
    let effects = outbox.step(at(0), OutboxInput::Saved);
    assert_eq!(
        effects,
        [OutboxEffect::Load {
            after: Sequence(6),
            max: 2
        }]
    );
    assert_eq!(outbox.waiting(), 3);
}

#[test]
fn a_sink_that_is_busy_is_waited_for_longer_and_longer() {
    let mut outbox = outbox(None, None);
    outbox.step(at(0), OutboxInput::Woken);
    outbox.step(
        at(0),
        OutboxInput::Loaded(vec![outgoing(4), outgoing(5)], Sequence(5)),
    );
    let mut now = at(0);
    let mut waits = Vec::new();
    for failure in 0..12 {
        let effects = outbox.step(now, busy());
        let Some(OutboxEffect::Wake {
            at,
            only_then: true,
        }) = effects.last()
        else {
            panic!("{failure}: {effects:?}");
        };
        waits.push(at.since(now).micros() / 1000);
        assert!(!matches!(
            outbox.step(now, OutboxInput::Woken)[..],
            [OutboxEffect::Send(_)]
        ));
        now = *at;
        let effects = outbox.step(now, OutboxInput::Woken);
        let [OutboxEffect::Send(batch)] = &effects[..] else {
            panic!("{effects:?}")
        };
        assert_eq!(
            batch.len(),
            if failure < 4 { 2 } else { 1 },
            "one finding probes"
        );
    }
    assert_eq!(waits[..4], [50, 100, 200, 400]);
    assert_eq!(waits[11], 30_000);
    let effects = outbox.step(now, OutboxInput::Sent);
    assert_eq!(
        effects,
        [OutboxEffect::Save {
            position: Sequence(4),
            dead: Vec::new()
        }]
    );
}

#[test]
fn a_sink_may_ask_to_be_left_alone_but_not_for_ever() {
    for (asked, waits) in [(120, 120), (1_000_000, 3_600)] {
        let mut outbox = outbox(None, None);
        outbox.step(at(0), OutboxInput::Woken);
        outbox.step(at(0), OutboxInput::Loaded(vec![outgoing(4)], Sequence(4)));
        let after = Some(Period::from_seconds(asked));
        let detail = "429".to_owned();
        let fault = SendFault::Retry { detail, after };
        let effects = outbox.step(at(0), OutboxInput::SendFailed(fault));
        assert!(
            effects.contains(&OutboxEffect::Wake {
                at: at(waits),
                only_then: true
            }),
            "{effects:?}"
        );
    }
}

#[test]
fn the_finding_that_a_sink_refuses_is_found_and_set_aside() {
    let refused = || {
        OutboxInput::SendFailed(SendFault::Refused {
            detail: "no".to_owned(),
        })
    };
    let mut outbox = outbox(None, None);
    outbox.step(at(0), OutboxInput::Woken);
    outbox.step(
        at(0),
        OutboxInput::Loaded(vec![outgoing(4), outgoing(5)], Sequence(5)),
    );
    let effects = outbox.step(at(0), refused());
    assert_eq!(
        effects,
        [OutboxEffect::Send(vec![outgoing(4)])],
        "each by itself"
    );
    outbox.step(at(0), OutboxInput::Sent);
    outbox.step(at(0), OutboxInput::Saved);
    outbox.step(at(0), OutboxInput::Loaded(vec![outgoing(5)], Sequence(5)));
    let effects = outbox.step(at(0), refused());
    let [
        OutboxEffect::Save {
            position: Sequence(5),
            dead,
        },
    ] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!(dead[0].sequence, Sequence(5));
    assert!(
        matches!(&dead[0].reason, DeadReason::Sink { sink, detail } if sink == "sink" && detail == "no")
    );
    outbox.step(at(0), OutboxInput::Saved);
    assert_eq!((outbox.sent(), outbox.set_aside()), (1, 1));
}

#[test]
fn what_may_be_dropped_is_a_setting() {
    let mut outbox = outbox(Some(6), Some(3));
    outbox.step(at(0), OutboxInput::Woken);
    let effects = outbox.step(
        at(0),
        OutboxInput::Loaded(vec![outgoing(4), outgoing(5)], Sequence(8)),
    );
    assert!(
        matches!(&effects[..], [OutboxEffect::Save { position: Sequence(5), dead }] if dead.len() == 2)
    );
    outbox.step(at(0), OutboxInput::Saved);
    outbox.step(at(0), OutboxInput::Loaded(vec![outgoing(6)], Sequence(8)));
    let mut now = at(0);
    for _ in 0..5 {
        outbox.step(now, busy());
        now = now.plus(Period::from_seconds(60));
        outbox.step(now, OutboxInput::Woken);
    }
    let effects = outbox.step(now, busy());
    assert!(
        matches!(&effects[..], [OutboxEffect::Save { position: Sequence(6), dead }] if dead.len() == 1),
        "{effects:?}"
    );
}

#[test]
fn draining_does_not_wait_for_a_sink_that_fails() {
    let mut outbox = outbox(None, None);
    outbox.step(at(0), OutboxInput::Woken);
    outbox.step(at(0), OutboxInput::Loaded(vec![outgoing(4)], Sequence(4)));
    outbox.step(at(0), busy());
    assert_eq!(
        outbox.step(at(0), OutboxInput::Drain),
        [OutboxEffect::Drained]
    );
    assert_eq!(outbox.step(at(0), OutboxInput::Woken), []);
}

#[test]
fn what_plugins_remember_is_kept_as_it_was_at_the_place_of_the_snapshot() {
    let rules = rules();
    let settings = WorkerSettings {
        plugins_remember: true,
        ..settings()
    };
    let (mut worker, _) = Worker::start(&rules, settings, checkpoint(0, 1), at(0)).expect("starts");
    assert!(worker.plugins().is_empty());
    let mut examiner = Examiner::new(&rules, Partition(0));
    let mut examined = |number: u64, sequence: u64| {
        let batch = delivered(sequence, &[r#"{"eventID":"a","eventName":"Start"}"#]);
        let mut examined = examiner.examine(number, &batch, Sequence(0), &mut NoAnswers);
        let memory = PluginMemory {
            plugin: "acme/burst".to_owned(),
            state: Arc::from([sequence as u8]),
        };
        examined.plugins.insert("burst".to_owned(), memory);
        Input::Examined(Box::new(examined))
    };
    worker.step(at(0), Input::Woken);
    // The first one, of nothing, is on its way at once.
    worker.step(at(0), Input::SnapshotKept);
    for number in 0..3 {
        worker.step(at(0), fetched(number, number + 1, 1));
    }
    worker.step(at(0), examined(0, 1));
    // What comes back early belongs to a later place.
    worker.step(at(0), examined(2, 3));
    worker.step(at(61), Input::Woken);
    let effects = worker.step(at(61), Input::Committed);
    let kept = effects.iter().find_map(|effect| match effect {
        Effect::KeepSnapshot { snapshot, .. } => Some(snapshot.as_ref().clone()),
        _ => None,
    });
    let kept = kept.expect("a snapshot, though no rule remembers");
    assert_eq!(kept.position, Sequence(1));
    worker.step(at(62), Input::SnapshotKept);
    let effects = worker.step(at(90), Input::Woken);
    let ticks = |effect: &Effect| matches!(effect, Effect::AppendTick { .. });
    assert!(!effects.iter().any(ticks), "no rule waits for time");
    let again = Checkpoint {
        snapshot: Some(kept),
        ..checkpoint(3, 1)
    };
    let (worker, _) = Worker::start(&rules, settings, again, at(61)).expect("starts");
    assert_eq!(*worker.plugins()["burst"].state, [1]);
}

#[test]
fn a_sink_that_is_away_is_asked_ever_more_rarely_also_when_findings_are_given_up() {
    let mut outbox = outbox(Some(2), None);
    let mut now = at(0);
    let (mut tries, mut given_up, mut next) = (Vec::new(), 0, 4);
    let mut effects = outbox.step(now, OutboxInput::Woken);
    let is_up = |given_up: u64| given_up == 8;
    while next < 14 {
        let mut input = OutboxInput::Woken;
        let mut wake = None;
        for effect in effects {
            match effect {
                OutboxEffect::Load { .. } => {
                    let newest = outgoing(20).number;
                    input = OutboxInput::Loaded(vec![outgoing(next)], newest);
                }
                OutboxEffect::Send(_) if is_up(given_up) => input = OutboxInput::Sent,
                OutboxEffect::Send(_) => {
                    tries.push(now);
                    input = busy();
                }
                OutboxEffect::Save { dead, .. } => {
                    given_up += dead.len() as u64;
                    next += 1;
                    input = OutboxInput::Saved;
                }
                OutboxEffect::Wake { at, .. } => wake = Some(at),
                OutboxEffect::Drained | OutboxEffect::Stop => panic!("it goes on"),
            }
        }
        if input == OutboxInput::Woken {
            now = wake.expect("it waits for something");
        }
        effects = outbox.step(now, input);
    }
    // Two tries of each of eight, and each pause at least as long as the one before.
    assert_eq!((given_up, tries.len()), (8, 16));
    let pauses: Vec<_> = tries.windows(2).map(|two| two[1].since(two[0])).collect();
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(
        *pauses.last().expect("some") >= Period::from_seconds(10),
        "{pauses:?}"
    );
    // Once it took one, the others follow at once.
    assert_eq!(outbox.failures(), 0);
    assert_eq!(outbox.sent(), 2);
}
