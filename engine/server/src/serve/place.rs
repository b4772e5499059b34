//! Where in a log a place is, for every bus in the same way: by reading a record here and there.
//!
//! It relies on records lying in the order in which they were taken. Where a clock was set back they do not quite, and a
//! time means one of the places that it may mean.

use crate::config::Place;
use tripline_core::port::{Bus, Delivered, FaultClass, PortFault, ReadMax, Sequence};
use tripline_core::rule::kind::EventTime;

/// One record, however long it is.
const ONE: ReadMax = ReadMax {
    records: 1,
    bytes: 1,
};

/// The record before a place, so that reading after it begins there.
pub(super) fn before(bus: &dyn Bus, place: Place) -> Result<Sequence, PortFault> {
    let span = bus.span()?;
    match place {
        Place::First => Ok(Sequence(span.first.0.saturating_sub(1))),
        Place::New => Ok(span.last),
        Place::Record(number) if number > span.last.0 + 1 => {
            let words = format!(
                "the log has records {} to {}; a later one may become anything",
                span.first, span.last
            );
            let doing = format!("begin at record {number}");
            Err(PortFault::new(FaultClass::Reject, doing).because(words))
        }
        Place::Record(number) => Ok(Sequence(number - 1)),
        Place::Time(time) => {
            let time = EventTime::from(time);
            let (mut low, mut high) = (span.first.0.max(1), span.last.0 + 1);
            let mut read = Delivered::default();
            while low < high {
                let middle = low + (high - low) / 2;
                read.clear();
                bus.read(Sequence(middle - 1), ONE, &mut read)?;
                match read.records.first() {
                    Some(record) if record.taken < time => low = record.sequence.0 + 1,
                    // It came later, or there is nothing any more from here on.
                    _ => high = middle,
                }
            }
            Ok(Sequence(low - 1))
        }
    }
}
