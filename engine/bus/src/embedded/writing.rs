//! Appending: what waits is written and flushed together, by one of those who wait.
//!
//! Whoever appends makes its frame by itself and lines up. When nobody leads, it leads: it takes what is lined up,
//! writes it with one write, flushes once, and tells everybody. While it does, the next ones line up, so that a slow disk
//! makes the groups larger by itself. Rejected: a thread that writes, which costs two changes of threads for each append
//! of a single caller; and waiting a little for more to come, which a caller that is alone pays for nothing.
//!
//! It relies on frames of a segment standing back to back in the order of their sequences. It must never flush again
//! after a flush failed: the system may have marked as clean what never reached the disk, and the second flush would
//! succeed. The log is poisoned then, and opening it again finds out what is there.

use super::disk::Bytes;
use super::frame::{self, SEGMENT_HEADER_BYTES, SegmentHeader, Unplaced, segment_name};
use super::roster::{Listed, Roster};
use super::shared::{Failure, Index, Segment, Shared, View, is_full, locked};
use super::{Flush, WhenFull, limits};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, PoisonError};
use tripline_core::port::{FaultClass, NewRecord, PortFault};
use tripline_core::rule::kind::EventTime;

/// Those who append.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tickets: u64,
    waiting: VecDeque<(u64, Unplaced)>,
    done: BTreeMap<u64, Result<u64, Failure>>,
    led: bool,
}

impl Queue {
    /// What is written together now: in the order of arrival, and at least one.
    fn group(&mut self) -> Vec<(u64, Unplaced)> {
        let mut bytes = 0;
        let mut count = 0;
        for (_, frame) in &self.waiting {
            if count > 0 && bytes + frame.bytes.len() > limits::GROUP_BYTES {
                break;
            }
            bytes += frame.bytes.len();
            count += 1;
        }
        self.waiting.drain(..count).collect()
    }

    #[cfg(test)]
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }
}

/// The end of the log.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) active: Arc<dyn Bytes>,
    pub(super) name: String,
    /// The first sequence of the newest segment.
    pub(super) first: u64,
    /// Where the next frame goes.
    pub(super) end: u64,
    /// Up to where the file has zeroes behind its end.
    pub(super) zeroes_to: u64,
    /// The next sequence.
    pub(super) next: u64,
    /// Everything up to this sequence is durable.
    pub(super) durable: u64,
    pub(super) taken_newest: EventTime,
    /// Everything before this sequence was released.
    pub(super) released: u64,
    pub(super) roster: Roster,
    /// Frames that are written together.
    pub(super) run: Run,
}

#[derive(Debug, Default)]
pub(super) struct Run {
    bytes: Vec<u8>,
    /// Whose they are: ticket, first sequence, offset.
    places: Vec<(u64, u64, u64)>,
    next: u64,
    taken_newest: Option<EventTime>,
}

type Outcomes = Vec<(u64, Result<u64, Failure>)>;

impl Shared {
    /// Appends, and returns the first sequence.
    pub(super) fn append(&self, records: &[NewRecord<'_>]) -> Result<u64, PortFault> {
        self.fits(records)?;
        if records.is_empty() {
            self.usable()?;
            return Ok(locked(&self.view).last + 1);
        }
        let frame = Unplaced::new(records);
        let mut queue = locked(&self.queue);
        let ticket = queue.tickets;
        queue.tickets += 1;
        queue.waiting.push_back((ticket, frame));
        loop {
            if let Some(outcome) = queue.done.remove(&ticket) {
                return Ok(outcome?);
            }
            if queue.led {
                queue = self
                    .turned
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.led = true;
            let group = queue.group();
            drop(queue);
            let outcomes = self.commit(group);
            queue = locked(&self.queue);
            queue.led = false;
            queue.done.extend(outcomes);
            self.turned.notify_all();
        }
    }

    fn fits(&self, records: &[NewRecord<'_>]) -> Result<(), PortFault> {
        let reject = |why: String| Err(PortFault::new(FaultClass::Reject, why));
        let max = self.settings.record_bytes_max;
        for record in records {
            let bytes = record.attributes.len().saturating_add(record.payload.len());
            if bytes > max {
                return reject(format!(
                    "append a record of {bytes} bytes: at most {max} are taken"
                ));
            }
        }
        let bytes = frame::frame_bytes(records);
        if records.len() > limits::APPEND_RECORDS_MAX || bytes > limits::FRAME_BYTES_MAX {
            return reject(format!(
                "append {} records of {bytes} bytes together: at most {} records of {} bytes are taken",
                records.len(),
                limits::APPEND_RECORDS_MAX,
                limits::FRAME_BYTES_MAX
            ));
        }
        Ok(())
    }

    /// Writes what was lined up.
    fn commit(&self, group: Vec<(u64, Unplaced)>) -> Outcomes {
        let mut outcomes = Outcomes::new();
        let writer = &mut *locked(&self.writer);
        writer.run.next = writer.next;
        for (ticket, mut frame) in group {
            let bytes = frame.bytes.len() as u64;
            let mut offset = writer.end + writer.run.bytes.len() as u64;
            let over = offset + bytes > self.settings.segment_bytes;
            // A segment without records would give its name to the next one; it may have marks of closing.
            if over && writer.run.next > writer.first {
                self.settle(writer, &mut outcomes);
                let begun = self.usable().and_then(|()| self.begin_next(writer));
                if let Err(failure) = begun {
                    outcomes.push((ticket, Err(failure)));
                    continue;
                }
                offset = writer.end;
            }
            let run_bytes = writer.run.bytes.len() as u64;
            let room = self
                .usable()
                .and_then(|()| self.make_room(writer, run_bytes + bytes));
            if let Err(failure) = room {
                outcomes.push((ticket, Err(failure)));
                continue;
            }
            let run = &mut writer.run;
            frame.place(offset, run.next, writer.durable, self.log);
            let (count, taken_newest) = (frame.count, frame.taken_newest);
            if run.bytes.is_empty() {
                run.bytes = frame.bytes;
            } else {
                run.bytes.extend_from_slice(&frame.bytes);
            }
            run.places.push((ticket, run.next, offset));
            run.next += u64::from(count);
            run.taken_newest = run.taken_newest.max(Some(taken_newest));
        }
        self.settle(writer, &mut outcomes);
        outcomes
    }

    /// Writes the run, flushes it, and lets readers see it.
    fn settle(&self, writer: &mut Writer, outcomes: &mut Outcomes) {
        if writer.run.places.is_empty() {
            return;
        }
        let mut run = std::mem::take(&mut writer.run);
        let written = self.usable().and_then(|()| self.write(writer, &run));
        if written.is_ok() {
            self.publish(&run, writer.end);
        }
        for (ticket, first, _) in run.places.drain(..) {
            outcomes.push((ticket, written.clone().map(|()| first)));
        }
        run.bytes.clear();
        if run.bytes.capacity() > 2 * limits::GROUP_BYTES {
            run.bytes = Vec::new();
        }
        run.next = writer.next;
        run.taken_newest = None;
        writer.run = run;
    }

    fn write(&self, writer: &mut Writer, run: &Run) -> Result<(), Failure> {
        let doing = || format!("append to {}", self.shown(&writer.name));
        match writer.active.write_at(writer.end, &run.bytes) {
            Ok(()) => {}
            Err(fault) if is_full(&fault) => {
                let failure = Failure::io(FaultClass::Full, doing(), fault);
                self.take_back(writer)?;
                return Err(failure);
            }
            Err(fault) => return Err(self.poison(Failure::io(FaultClass::Stop, doing(), fault))),
        }
        let end = writer.end + run.bytes.len() as u64;
        if end > writer.zeroes_to {
            writer.zeroes_to = end;
            self.write_zeroes(writer, end, run.bytes.len())?;
        }
        if self.settings.flush == Flush::Fsync {
            self.sync(writer)?;
            writer.durable = run.next - 1;
        }
        self.check_named(writer)?;
        writer.end = end;
        writer.next = run.next;
        writer.taken_newest = writer
            .taken_newest
            .max(run.taken_newest.unwrap_or(EventTime::MIN));
        Ok(())
    }

    /// Nothing of a frame that found no room may stay: it was not taken, and must not be found when the log is opened.
    fn take_back(&self, writer: &mut Writer) -> Result<(), Failure> {
        writer.zeroes_to = writer.end;
        let doing = || format!("cut what found no room off {}", self.shown(&writer.name));
        writer
            .active
            .truncate(writer.end)
            .map_err(|fault| self.poison(Failure::io(FaultClass::Stop, doing(), fault)))?;
        self.sync(writer)
    }

    /// Writes zeroes ahead of short appends, as far as there is room.
    fn write_zeroes(&self, writer: &mut Writer, end: u64, run_bytes: usize) -> Result<(), Failure> {
        let to = (end + limits::ZEROES_AHEAD_BYTES).min(self.settings.segment_bytes);
        if run_bytes > limits::ZEROES_FOR_BYTES_MAX || to <= end {
            return Ok(());
        }
        match writer.active.write_at(end, &vec![0; (to - end) as usize]) {
            Ok(()) => writer.zeroes_to = to,
            Err(fault) if is_full(&fault) => {}
            Err(fault) => {
                let doing = format!("write ahead in {}", self.shown(&writer.name));
                return Err(self.poison(Failure::io(FaultClass::Stop, doing, fault)));
            }
        }
        Ok(())
    }

    /// Somebody may have deleted the newest segment, of which the system says nothing to whoever has it open.
    fn check_named(&self, writer: &Writer) -> Result<(), Failure> {
        let named = writer
            .active
            .is_named()
            .and_then(|is_named| match is_named {
                true => Ok(()),
                false => Err(io::Error::other(
                    "somebody deleted it while it was written to",
                )),
            });
        named.map_err(|fault| {
            let doing = format!("append to {}", self.shown(&writer.name));
            self.poison(Failure::io(FaultClass::Stop, doing, fault))
        })
    }

    /// Flushes the newest segment. Never again after it failed once.
    fn sync(&self, writer: &Writer) -> Result<(), Failure> {
        let _alone = locked(&self.flushing);
        // The flush in the background may have failed a moment ago, and this one would not be told of it.
        self.usable()?;
        writer.active.sync().map_err(|fault| {
            let doing = format!("flush {}", self.shown(&writer.name));
            self.poison(Failure::io(FaultClass::Stop, doing, fault))
        })
    }

    fn publish(&self, run: &Run, end: u64) {
        let mut view = locked(&self.view);
        view.last = run.next - 1;
        let newest = view.newest();
        newest.end = end;
        newest.taken_newest = newest
            .taken_newest
            .max(run.taken_newest.unwrap_or(EventTime::MIN));
        let index = Arc::clone(&newest.index);
        drop(view);
        for &(_, first, offset) in &run.places {
            index.note(first, offset);
        }
        self.grown.notify_all();
    }

    /// Closes the newest segment and begins the next.
    fn begin_next(&self, writer: &mut Writer) -> Result<(), Failure> {
        if writer.zeroes_to > writer.end {
            writer.active.truncate(writer.end).map_err(|fault| {
                let doing = format!("cut zeroes off {}", self.shown(&writer.name));
                self.poison(Failure::io(FaultClass::Stop, doing, fault))
            })?;
            writer.zeroes_to = writer.end;
        }
        // What is in a segment that is not the newest is durable: opening relies on it.
        self.sync(writer)?;
        writer.durable = writer.next - 1;
        let name = segment_name(writer.next);
        let header = SegmentHeader {
            log: self.log,
            first: writer.next,
            taken_before: writer.taken_newest,
        };
        let begun = begin_segment(&*self.folder, &name, &header);
        let active = match begun {
            Ok(active) => active,
            Err(Begun::NotYet(fault)) if is_full(&fault) => {
                let _ = self.folder.remove(&new_name(&name));
                let doing = format!("begin {}", self.shown(&name));
                return Err(Failure::io(FaultClass::Full, doing, fault));
            }
            Err(Begun::NotYet(fault) | Begun::Unknown(fault)) => {
                let doing = format!("begin {}", self.shown(&name));
                return Err(self.poison(Failure::io(FaultClass::Stop, doing, fault)));
            }
        };
        self.list(writer, None, writer.next)?;
        writer.active = active;
        writer.name = name;
        writer.first = writer.next;
        writer.end = SEGMENT_HEADER_BYTES;
        writer.zeroes_to = SEGMENT_HEADER_BYTES;
        let segment = Segment {
            first: writer.next,
            end: SEGMENT_HEADER_BYTES,
            taken_newest: writer.taken_newest,
            index: Arc::new(Index::default()),
        };
        let mut view = locked(&self.view);
        view.older_bytes += view.newest().end;
        view.segments.push_back(segment);
        drop(view);
        // What is too old goes now; when that fails, nothing is wrong with what is appended.
        let _ = self.forget(writer, 0);
        self.usable()
    }

    /// Says in the roster which segments there must be.
    fn list(&self, writer: &mut Writer, oldest: Option<u64>, newest: u64) -> Result<(), Failure> {
        let listed = Listed {
            oldest: oldest.unwrap_or(writer.roster.listed.oldest),
            newest,
            ..writer.roster.listed
        };
        writer.roster.write(listed).map_err(|fault| {
            let doing = format!("write {}", self.shown(super::roster::ROSTER));
            self.poison(Failure::io(FaultClass::Stop, doing, fault))
        })
    }

    /// Makes room for so many bytes, as the settings allow.
    fn make_room(&self, writer: &mut Writer, bytes: u64) -> Result<(), Failure> {
        if locked(&self.view).bytes() + bytes <= self.settings.bytes_max {
            return Ok(());
        }
        self.forget(writer, bytes)?;
        let held = locked(&self.view).bytes();
        if held + bytes <= self.settings.bytes_max {
            return Ok(());
        }
        let folder = self.shown("");
        let max = self.settings.bytes_max;
        Err(Failure::new(
            FaultClass::Full,
            format!(
                "append {bytes} bytes to {folder}: {held} of the {max} that it may have are taken"
            ),
        ))
    }

    pub(super) fn release(&self, before: u64) -> Result<(), Failure> {
        let writer = &mut *locked(&self.writer);
        writer.released = writer.released.max(before);
        self.usable()?;
        self.forget(writer, 0)
    }

    /// Gives up the oldest segments, as far as they may go.
    fn forget(&self, writer: &mut Writer, wanted_bytes: u64) -> Result<(), Failure> {
        let view = locked(&self.view);
        let count = self.forgettable(writer, &view, wanted_bytes);
        if count == 0 {
            return Ok(());
        }
        let oldest = view.segments[count].first;
        let newest = view.segments.back().map_or(oldest, |one| one.first);
        drop(view);
        // Said before it is done: whoever opens the log after a crash then does the rest.
        self.list(writer, Some(oldest), newest)?;
        let mut view = locked(&self.view);
        view.oldest = oldest;
        let gone: Vec<Segment> = view.segments.drain(..count).collect();
        view.older_bytes -= gone.iter().map(|one| one.end).sum::<u64>();
        drop(view);
        // A file that is held open takes its room although it is deleted.
        locked(&self.cursors).retain(|cursor| cursor.segment >= oldest);
        for segment in gone {
            let name = segment_name(segment.first);
            match self.folder.remove(&name) {
                Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
                    let doing = format!("delete {}, which opening the log does", self.shown(&name));
                    return Err(Failure::io(FaultClass::Retry, doing, fault));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn forgettable(&self, writer: &Writer, view: &View, wanted_bytes: u64) -> usize {
        let settings = &self.settings;
        let age_micros = settings
            .age_max
            .map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let pairs = || view.segments.iter().zip(view.segments.iter().skip(1));
        let is_released = |next: &Segment| next.first <= writer.released;
        let mut released_bytes: u64 = pairs()
            .filter(|(_, next)| is_released(next))
            .map(|(one, _)| one.end)
            .sum();
        let mut bytes = view.bytes() + wanted_bytes;
        let mut count = 0;
        for (segment, next) in pairs() {
            let over = bytes > settings.bytes_max;
            let newest = writer.taken_newest.micros();
            let age = newest.saturating_sub(segment.taken_newest.micros());
            let old = age_micros.is_some_and(|max| age > max);
            let goes = if is_released(next) {
                over || old || released_bytes > settings.released_bytes_max
            } else {
                settings.when_full == WhenFull::DropOldest && (over || old)
            };
            if !goes {
                break;
            }
            bytes -= segment.end;
            released_bytes = released_bytes.saturating_sub(segment.end);
            count += 1;
        }
        count
    }

    /// Makes durable what was appended so far. Those who append go on meanwhile.
    pub(super) fn flush(&self) -> Result<(), Failure> {
        let writer = locked(&self.writer);
        self.usable()?;
        let (active, last, name) = (
            Arc::clone(&writer.active),
            writer.next - 1,
            writer.name.clone(),
        );
        if writer.durable == last {
            return Ok(());
        }
        drop(writer);
        let alone = locked(&self.flushing);
        self.usable()?;
        active.sync().map_err(|fault| {
            let doing = format!("flush {}", self.shown(&name));
            self.poison(Failure::io(FaultClass::Stop, doing, fault))
        })?;
        drop(alone);
        let mut writer = locked(&self.writer);
        writer.durable = writer.durable.max(last);
        Ok(())
    }

    /// Leaves a frame without records, which says that all before it was durable: in a log that was closed, damage at
    /// the end cannot be taken for a torn tail.
    pub(super) fn close(&self) {
        let writer = &mut *locked(&self.writer);
        if self.usable().is_err() || self.sync(writer).is_err() {
            return;
        }
        writer.durable = writer.next - 1;
        let mut frame = Unplaced::new(&[]);
        frame.place(writer.end, writer.next, writer.durable, self.log);
        // When it finds no room, nothing is lost but its advantage: opening cuts it off.
        if writer.active.write_at(writer.end, &frame.bytes).is_ok() {
            let _ = self.sync(writer);
        }
    }
}

/// How far the beginning of a segment came.
#[derive(Debug)]
pub(super) enum Begun {
    /// It has not got its name.
    NotYet(io::Error),
    /// It has its name, or had it.
    Unknown(io::Error),
}

impl From<Begun> for io::Error {
    fn from(begun: Begun) -> Self {
        match begun {
            Begun::NotYet(fault) | Begun::Unknown(fault) => fault,
        }
    }
}

/// What a segment is called until its header is durable.
fn new_name(name: &str) -> String {
    format!("{name}.new")
}

/// Makes a segment that is durable with its header and its name: whoever finds the name finds a header.
pub(super) fn begin_segment(
    folder: &dyn super::disk::Folder,
    name: &str,
    header: &SegmentHeader,
) -> Result<Arc<dyn Bytes>, Begun> {
    let new = new_name(name);
    let active = folder.create(&new).map_err(Begun::NotYet)?;
    active
        .write_at(0, &header.encode())
        .map_err(Begun::NotYet)?;
    active.sync().map_err(Begun::Unknown)?;
    folder.rename(&new, name).map_err(Begun::Unknown)?;
    folder.sync().map_err(Begun::Unknown)?;
    Ok(active)
}
