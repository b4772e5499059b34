//! What every bus must do.
//!
//! One function of demands after another, each on a log that holds what the earlier ones left in it, so that all of
//! them also hold in a log that is not new. It relies on the trait alone, and must never ask for more than the trait
//! says: a bus may keep what was released, and may pause at any place. What only threads can show (that appends of
//! many wait for one another, that waiting wakes) is tested by each adapter, since core starts no threads.

use crate::port::{Bus, Delivered, NewRecord, ReadMax, Record, RecordKind, Sequence};
use crate::rule::kind::EventTime;
use std::time::Duration;

/// Long enough a record to outgrow every buffer that is read at a time.
const HUGE_BYTES: usize = 3 * 1024 * 1024;

/// Read at once, more than any demand here appends.
const ALL: ReadMax = ReadMax {
    records: 100_000,
    bytes: 64 * 1024 * 1024,
};

/// A record as it must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Expected {
    kind: RecordKind,
    taken: EventTime,
    attributes: Vec<u8>,
    payload: Vec<u8>,
}

impl Expected {
    fn event(payload: impl Into<Vec<u8>>) -> Self {
        Self {
            kind: RecordKind::Event,
            taken: EventTime::from_micros(1),
            attributes: b"{}".to_vec(),
            payload: payload.into(),
        }
    }

    fn new_record(&self) -> NewRecord<'_> {
        NewRecord {
            kind: self.kind,
            taken: self.taken,
            attributes: &self.attributes,
            payload: &self.payload,
        }
    }
}

/// A log, and what was appended to it so far.
struct Trial<'a> {
    open: &'a mut dyn FnMut() -> Box<dyn Bus>,
    log: Option<Box<dyn Bus>>,
    expected: Vec<Expected>,
}

impl Trial<'_> {
    fn log(&self) -> &dyn Bus {
        self.log.as_deref().expect("the log is open")
    }

    fn last(&self) -> Sequence {
        Sequence(self.expected.len() as u64)
    }

    fn append(&mut self, records: Vec<Expected>) {
        let new: Vec<NewRecord<'_>> = records.iter().map(Expected::new_record).collect();
        let appended = self.log().append(&new).expect("appends");
        assert_eq!(
            appended.first,
            self.last().next(),
            "records follow without a hole"
        );
        assert_eq!(appended.durability, self.log().durability());
        self.expected.extend(records);
    }

    fn reopen(&mut self) {
        self.log = None;
        self.log = Some((self.open)());
    }

    /// One read, each record of which must be the one expected at its place.
    fn read(&self, after: Sequence, max: ReadMax) -> Delivered {
        let mut read = Delivered::default();
        self.log().read(after, max, &mut read).expect("reads");
        assert!(read.lost.is_empty(), "lost without reason: {:?}", read.lost);
        let mut sequence = after;
        for record in &read.records {
            sequence = sequence.next();
            assert_eq!(record.sequence, sequence, "in order, without holes");
            self.agrees(&read, record);
        }
        read
    }

    fn agrees(&self, read: &Delivered, record: &Record) {
        let expected = &self.expected[record.sequence.0 as usize - 1];
        let found = Expected {
            kind: record.kind,
            taken: record.taken,
            attributes: read.attributes(record).to_vec(),
            payload: read.payload(record).to_vec(),
        };
        // Compared apart from the assertion: records may have megabytes, which nobody wants to see printed.
        assert!(found == *expected, "record {} differs", record.sequence);
    }

    /// Everything after a place, in as many reads as it takes.
    fn read_all(&self, after: Sequence, max: ReadMax) {
        let mut at = after;
        while at < self.last() {
            let read = self.read(at, max);
            let last = read.records.last().expect("at least one record");
            at = last.sequence;
        }
        assert!(self.read(at, max).records.is_empty());
    }
}

/// Demands of a bus what the trait says. `open` opens the same log each time, at first an empty one; the one opened
/// before is gone by then. The log must hold 8 MiB.
pub fn bus(open: &mut dyn FnMut() -> Box<dyn Bus>) {
    let log = open();
    let mut trial = Trial {
        open,
        log: Some(log),
        expected: Vec::new(),
    };
    an_empty_log_has_nothing(&trial);
    records_come_back_as_they_were(&mut trial);
    an_empty_append_takes_no_place(&mut trial);
    batches_stay_together(&mut trial);
    a_reopened_log_goes_on(&mut trial);
    reading_keeps_to_its_limits(&mut trial);
    reading_adds_to_what_is_there(&trial);
    a_huge_record_comes_back(&mut trial);
    reading_can_begin_anywhere(&trial);
    waiting_says_whether_there_is_more(&trial);
    what_is_released_may_go_and_the_rest_stays(&mut trial);
}

fn an_empty_log_has_nothing(trial: &Trial<'_>) {
    let span = trial.log().span().expect("tells its span");
    assert_eq!((span.first, span.last), (Sequence(1), Sequence(0)));
    assert!(trial.read(Sequence(0), ALL).records.is_empty());
    let more = trial.log().wait(Sequence(0), Duration::ZERO);
    assert!(!more.expect("waits"));
}

fn records_come_back_as_they_were(trial: &mut Trial<'_>) {
    let odd = Expected {
        kind: RecordKind::Event,
        taken: EventTime::from_micros(-62_135_596_800_000_001),
        attributes: Vec::new(),
        payload: (0..=255).collect(),
    };
    let tick = Expected {
        kind: RecordKind::Tick,
        taken: EventTime::from_micros(1_767_225_600_000_001),
        attributes: Vec::new(),
        payload: Vec::new(),
    };
    let empty = Expected {
        attributes: br#"{"channel":"partner","id":"a"}"#.to_vec(),
        ..Expected::event(b"".as_slice())
    };
    let largest = Expected {
        taken: EventTime::MAX,
        ..Expected::event(b"[1,2]".as_slice())
    };
    trial.append(vec![odd]);
    trial.append(vec![tick, empty, largest]);
    trial.read_all(Sequence(0), ALL);
    let span = trial.log().span().expect("tells its span");
    assert_eq!((span.first, span.last), (Sequence(1), trial.last()));
    assert!(span.bytes > 0);
}

fn an_empty_append_takes_no_place(trial: &mut Trial<'_>) {
    trial.append(Vec::new());
    let span = trial.log().span().expect("tells its span");
    assert_eq!(span.last, trial.last());
    trial.append(vec![Expected::event("after nothing")]);
    trial.read_all(Sequence(0), ALL);
}

fn batches_stay_together(trial: &mut Trial<'_>) {
    for batch in 0..50 {
        let records = (0..batch % 7).map(|n| Expected::event(format!("{batch}.{n}")));
        trial.append(records.collect());
    }
    trial.read_all(Sequence(0), ALL);
}

fn a_reopened_log_goes_on(trial: &mut Trial<'_>) {
    for round in 0..3 {
        let before = trial.log().span().expect("tells its span");
        trial.reopen();
        let after = trial.log().span().expect("tells its span");
        assert_eq!((before.first, before.last), (after.first, after.last));
        trial.read_all(Sequence(0), ALL);
        trial.append(vec![Expected::event(format!("opened {round}"))]);
        trial.read_all(Sequence(0), ALL);
    }
}

fn reading_keeps_to_its_limits(trial: &mut Trial<'_>) {
    trial.append((0..40).map(|_| Expected::event([7; 100])).collect());
    let after = Sequence(trial.last().0 - 40);
    let records = |max: ReadMax| trial.read(after, max).records.len();
    let max = |records, bytes| ReadMax { records, bytes };
    assert_eq!(records(max(1, 1 << 20)), 1);
    assert_eq!(records(max(7, 1 << 20)), 7);
    assert_eq!(records(max(100, 1 << 20)), 40);
    assert_eq!(records(max(0, 1 << 20)), 1, "at least one record");
    assert_eq!(records(max(100, 0)), 1, "at least one record");
    // Each record has 102 bytes, so the third crosses the bound and no fourth is begun.
    assert_eq!(records(max(100, 300)), 3);
    for records in [1, 2, 3, 11] {
        trial.read_all(Sequence(0), max(records, 1 << 20));
        trial.read_all(Sequence(0), max(100, records * 100));
    }
}

fn reading_adds_to_what_is_there(trial: &Trial<'_>) {
    let mut read = Delivered::default();
    let two = ReadMax {
        records: 2,
        bytes: 1 << 20,
    };
    for after in [0, 2] {
        let read_now = trial.log().read(Sequence(after), two, &mut read);
        read_now.expect("reads");
    }
    let places: Vec<u64> = read.records.iter().map(|one| one.sequence.0).collect();
    assert_eq!(places, [1, 2, 3, 4]);
    for record in &read.records {
        trial.agrees(&read, record);
    }
}

fn a_huge_record_comes_back(trial: &mut Trial<'_>) {
    let huge: Vec<u8> = (0..HUGE_BYTES).map(|n| (n % 251) as u8).collect();
    trial.append(vec![
        Expected::event("before"),
        Expected::event(huge),
        Expected::event("after"),
    ]);
    let small = ReadMax {
        records: 10,
        bytes: 10,
    };
    trial.read_all(Sequence(trial.last().0 - 3), small);
    trial.reopen();
    trial.read_all(Sequence(0), ALL);
}

fn reading_can_begin_anywhere(trial: &Trial<'_>) {
    let few = ReadMax {
        records: 3,
        bytes: 1 << 20,
    };
    for after in (0..trial.last().0).rev() {
        let read = trial.read(Sequence(after), few);
        assert!(!read.records.is_empty(), "there is a record after {after}");
    }
    assert!(trial.read(trial.last(), few).records.is_empty());
    let beyond = Sequence(trial.last().0 + 1000);
    assert!(trial.read(beyond, few).records.is_empty());
}

fn waiting_says_whether_there_is_more(trial: &Trial<'_>) {
    let log = trial.log();
    let long = Duration::from_secs(3600);
    let before = Sequence(trial.last().0 - 1);
    assert!(log.wait(Sequence(0), long).expect("waits"));
    assert!(log.wait(before, long).expect("waits"));
    let short = Duration::from_millis(1);
    assert!(!log.wait(trial.last(), short).expect("waits"));
}

fn what_is_released_may_go_and_the_rest_stays(trial: &mut Trial<'_>) {
    let kept = Sequence(trial.last().0 / 2);
    for before in [Sequence(0), kept, Sequence(1)] {
        trial.log().release(before).expect("releases");
    }
    for _ in 0..2 {
        let span = trial.log().span().expect("tells its span");
        assert!(span.first <= kept, "what was not released is gone");
        assert_eq!(span.last, trial.last());
        trial.read_all(Sequence(kept.0 - 1), ALL);
        trial.reopen();
    }
    trial.append(vec![Expected::event("after the release")]);
    let everything = Sequence(trial.last().0 + 1);
    trial.log().release(everything).expect("releases");
    trial.append(vec![Expected::event("after the release of everything")]);
    trial.reopen();
    trial.read_all(Sequence(trial.last().0 - 1), ALL);
    let mut read = Delivered::default();
    trial
        .log()
        .read(Sequence(0), ALL, &mut read)
        .expect("reads");
    let first = read.records.first().expect("the last one is kept");
    let lost: u64 = read
        .lost
        .iter()
        .map(|(range, _)| range.end - range.start)
        .sum();
    assert_eq!(
        lost + 1,
        first.sequence.0,
        "what is no longer there is told"
    );
}
