//! What every bus must do.

use crate::port::{Bus, Delivered, NewRecord, ReadMax, RecordKind, Sequence};
use crate::rule::kind::EventTime;

/// Demands of a bus what the trait says. `open` opens the same log each time; the one opened before is gone by then.
pub fn bus(open: &mut dyn FnMut() -> Box<dyn Bus>) {
    let record = |payload: &'static [u8]| NewRecord {
        kind: RecordKind::Event,
        taken: EventTime::from_micros(1),
        attributes: b"{}",
        payload,
    };
    let log = open();
    let appended = log
        .append(&[record(b"one"), record(b"two")])
        .expect("appends");
    assert_eq!(appended.first, Sequence(1));
    drop(log);
    let log = open();
    let mut read = Delivered::default();
    let max = ReadMax {
        records: 10,
        bytes: 1000,
    };
    log.read(Sequence(0), max, &mut read).expect("reads");
    let payloads: Vec<&[u8]> = read.records.iter().map(|one| read.payload(one)).collect();
    assert_eq!(payloads, [b"one", b"two"]);
}
